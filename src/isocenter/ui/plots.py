"""Plots: their geometry, and the table behind each. Drawn as SVG without any style of its own."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH, HEIGHT = 1000.0, 100.0
"""Of the drawing; it is stretched to the room there is."""
MOST_SERIES: Final = 8
"""Colours there are; what is beyond shares the last."""
GAP: Final = 0.2
"""Between two bars, of the room each has."""
STEPS: Final = (1, 2, 5, 10)

Say = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of one bar."""

    x: float
    y: float
    width: float
    height: float
    series: int
    """From 1; names its colour."""
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn, and what it says in words."""

    title: str
    bars: tuple[Bar, ...]
    area: str
    """The path of an area; empty where there are bars."""
    heights: tuple[str, ...]
    """What stands at the side, from the top down."""
    along: tuple[str, ...]
    """What stands below."""
    legend: tuple[tuple[int, str], ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """The table behind it."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see."""
        return not self.bars and not self.area


def stacked(
    title: str, labels: Sequence[str], parts: Mapping[str, Sequence[float]], say: Say, others: str
) -> Plot:
    """Bars, one for each label, of the parts on each other; the largest part is at the bottom."""
    shown = _largest(parts, others)
    sums = [sum(each) for each in zip(*shown.values(), strict=True)] or [0.0] * len(labels)
    top = _round_up(max(sums, default=0))
    bars = [
        bar
        for place, label in enumerate(labels)
        for bar in _pile(place, len(labels), label, top, shown, say)
    ]
    rows = [
        (label, *(say(values[place]) for values in shown.values()))
        for place, label in enumerate(labels)
        if sums[place]
    ]
    legend = tuple((number, name) for number, name in enumerate(shown, 1) if name)
    return Plot(
        title,
        tuple(bars),
        "",
        (say(top), say(top / 2), say(0)),
        _along(labels),
        legend,
        ("", *(name or title for name in shown)),
        tuple(reversed(rows)),
    )


def _pile(
    place: int,
    places: int,
    label: str,
    top: float,
    parts: Mapping[str, Sequence[float]],
    say: Say,
) -> Iterator[Bar]:
    """The parts of one bar, from the bottom up."""
    room = WIDTH / places
    x, width, below = (place + GAP / 2) * room, room * (1 - GAP), 0.0
    for number, (name, values) in enumerate(parts.items(), 1):
        if values[place] > 0:
            height = values[place] / top * HEIGHT
            below += height
            title = f"{f'{label}, {name}' if name else label}: {say(values[place])}"
            left, upper, wide, high = map(_cut, (x, HEIGHT - below, width, height))
            yield Bar(left, upper, wide, high, number, title)


def growing(title: str, labels: Sequence[str], values: Sequence[float], say: Say) -> Plot:
    """An area below the values."""
    top = _round_up(max(values, default=0))
    area = ""
    if any(values):
        step = WIDTH / max(1, len(values) - 1)
        points = [
            f"{_cut(place * step)} {_cut(HEIGHT - value / top * HEIGHT)}"
            for place, value in enumerate(values)
        ]
        if len(points) == 1:
            points.append(f"{_cut(WIDTH)} {points[0].split()[1]}")
        area = f"M0 {_cut(HEIGHT)}L{'L'.join(points)}L{_cut(WIDTH)} {_cut(HEIGHT)}Z"
    rows = tuple((label, say(value)) for label, value in zip(labels, values, strict=True))
    heights = (say(top), say(top / 2), say(0))
    return Plot(title, (), area, heights, _along(labels), (), ("", title), tuple(reversed(rows)))


def _largest(parts: Mapping[str, Sequence[float]], others: str) -> dict[str, Sequence[float]]:
    """The parts with the largest sums, and the rest as one."""
    ordered = sorted(parts, key=lambda name: (-sum(parts[name]), name))
    if len(ordered) <= MOST_SERIES:
        return {name: parts[name] for name in ordered}
    shown = {name: parts[name] for name in ordered[: MOST_SERIES - 1]}
    rest = [parts[name] for name in ordered[MOST_SERIES - 1 :]]
    return {**shown, others: [sum(each) for each in zip(*rest, strict=True)]}


def _round_up(value: float) -> float:
    """The next round number: 1, 2 or 5 times a power of ten."""
    if value <= 1:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in STEPS if step * power >= value))


def _along(labels: Sequence[str]) -> tuple[str, ...]:
    """The first, the middle and the last."""
    if len(labels) < 3:
        return tuple(labels)
    return labels[0], labels[len(labels) // 2], labels[-1]


def _cut(value: float) -> float:
    return round(value, 2)
