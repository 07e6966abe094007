"""Curves on paper: which part of a recording at which speed and gain, and where each line runs.

Drawn as clinicians read it: time to the right, 25 mm for a second, 10 mm for a millivolt, one lead
below the other, each begun with a pulse of 1 mV.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.waveform_samples import Samples, Values
from isocenter.imaging.waveforms import OF_NERVES, ORDER, Channel, Multiplex

Points = NDArray[np.int32]
"""Rows of x and y in hundredths of a millimetre, to the right and down."""

SPEEDS: Final = (12.5, 25.0, 50.0)
"""Millimetres a second."""
GAINS: Final = (5.0, 10.0, 20.0)
"""Millimetres a millivolt."""
USUAL: Final = 10.0
"""Seconds that are drawn where nothing else is asked for."""
SHORTEST: Final = 0.5
LONGEST: Final = 60.0
LARGEST: Final = 32 << 20
"""Bytes of samples that are drawn."""
FINEST: Final = 10
"""Columns of a millimetre: samples that are closer are drawn as what they span."""
SCALE: Final = 100

LEFT: Final = 20
"""Millimetres before the curves: names and pulses."""
RIGHT: Final = 10
NARROW: Final = 70
"""Millimetres for curves, at least: what is written below has its room."""
ABOVE, BELOW = 10, 10
NARROWEST, WIDEST = 15, 60
"""Millimetres from one lead to the next."""
FARTHEST: Final = 100.0
"""Millimetres to which a curve is drawn away from its line."""
NEAR: Final = 5.0
"""Millimetres that a curve may lie off its line before it is moved there."""
TALL: Final = 30.0
"""Millimetres of a curve that is no voltage of the heart."""
PULSE: Final = (12, 17)
"""Where the pulse begins and ends."""
_MILLIVOLTS: Final = MappingProxyType({"nV": 1e-6, "uV": 1e-3, "µV": 1e-3, "mV": 1.0, "V": 1e3})


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """What is to be drawn. Raises: Malformed, if that is nothing sensible."""

    group: int = 1
    start: float = 0.0
    """Seconds from the beginning of the recording."""
    seconds: float = USUAL
    speed: float = 25.0
    gain: float = 10.0

    def __post_init__(self) -> None:
        """Raises: Malformed."""
        if self.group < 1:
            raise Malformed("recordings are counted from 1")
        if not (isfinite(self.start) and self.start >= 0):
            raise Malformed("a start is a number of seconds from 0 on")
        if not SHORTEST <= self.seconds <= LONGEST:
            raise Malformed(f"{SHORTEST:g} to {LONGEST:g} seconds are drawn at a time")
        if self.speed not in SPEEDS:
            raise Malformed(f"the speed is {_listed(SPEEDS)} mm/s")
        if self.gain not in GAINS:
            raise Malformed(f"the gain is {_listed(GAINS)} mm/mV")

    def span(self, group: Multiplex) -> tuple[int, int]:
        """Give the first and the last (exclusive) sample. Raises: Malformed, Unsupported."""
        first = floor(self.start * group.frequency + 1e-6)
        if first >= group.samples:
            raise Malformed(f"the recording ends after {group.seconds:.10g} s")
        last = min(first + max(ceil(self.seconds * group.frequency), 1), group.samples)
        if (last - first) * group.step > LARGEST:
            raise Unsupported(f"{(last - first) * group.step} bytes of samples: ask for less time")
        return first, last

    def shown(self, group: Multiplex) -> float:
        """Give the seconds that there are of those that are asked for. Raises: as ``span``."""
        first, last = self.span(group)
        return min((last - first) / group.frequency, self.seconds)

    def width(self, group: Multiplex) -> int:
        """Give the millimetres of the sheet from left to right. Raises: as ``span``."""
        return LEFT + max(ceil(self.shown(group) * self.speed / 5) * 5, NARROW) + RIGHT


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{each:g}" for each in numbers)


@dataclass(frozen=True, slots=True)
class Curve:
    """One lead on the sheet; places in mm."""

    name: str
    told: str
    """Its scale, where that is not the sheet's gain."""
    at: float
    """Of its line, from the top."""
    pulse: float
    """How high the pulse of 1 mV is; 0 for none."""
    runs: tuple[Points, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A piece of paper with curves; in mm."""

    width: float
    height: float
    curves: tuple[Curve, ...]
    start: float
    """Seconds at the left end of the curves."""
    seconds: float
    speed: float
    told: tuple[str, ...]
    """What is written below: speed, gain, filters, sampling."""


def laid(samples: Samples, group: Multiplex, sop_class: str, strip: Strip) -> Sheet:
    """Lay samples, of which the first is the strip's, out on a sheet."""
    first, _ = strip.span(group)
    shown = [
        _Shown.of(samples.channel(number), group, number, sop_class, strip)
        for number in ordered(group.channels)
    ]
    lines = list(_lines(shown))
    seconds = strip.shown(group)
    curves = tuple(
        Curve(each.name, each.told, at, each.pulse, tuple(each.runs(at)))
        for each, at in zip(shown, lines, strict=True)
    )
    return Sheet(
        width=strip.width(group),
        height=lines[-1] + _thick(max(shown[-1].lowest, 5)) + BELOW,
        curves=curves,
        start=first / group.frequency,
        seconds=seconds,
        speed=strip.speed,
        told=tuple(_told(group, shown, strip)),
    )


def ordered(channels: Sequence[Channel]) -> list[int]:
    """Give the numbers of channels, from 0, as they follow each other on a sheet."""
    places = {name: place for place, name in enumerate(ORDER)}
    numbers = range(len(channels))
    return sorted(numbers, key=lambda number: places.get(channels[number].name, len(places)))


def _told(group: Multiplex, shown: Sequence["_Shown"], strip: Strip) -> Iterator[str]:
    yield f"{strip.speed:g} mm/s"
    if any(each.pulse for each in shown):
        yield f"{strip.gain:g} mm/mV"
    if filters := _filters(group.channels):
        yield filters
    yield f"{group.frequency:.6g} Hz"


def _filters(channels: Sequence[Channel]) -> str:
    """What all channels have in common."""
    each = {channel.filters for channel in channels}
    if len(each) != 1:
        return ""
    low, high, notch = each.pop()
    parts = []
    if low and high:
        parts.append(f"{low:g} to {high:g} Hz")
    elif low or high:
        parts.append(f"≥ {low:g} Hz" if low else f"≤ {high:g} Hz")
    if notch:
        parts.append(f"notch {notch:g} Hz")
    return ", ".join(parts)


# --- where lines run


@dataclass(frozen=True, slots=True)
class _Shown:
    """A curve that has no place yet: x in mm from the left, y in mm above its line."""

    name: str
    told: str
    pulse: float
    x: Values
    y: Values

    @classmethod
    def of(
        cls, values: Values, group: Multiplex, number: int, sop_class: str, strip: Strip
    ) -> "_Shown":
        channel = group.channels[number]
        per_sample = strip.speed / group.frequency
        begin = LEFT + _skew(channel) * strip.speed
        x: Values = np.asarray(begin + np.arange(len(values)) * per_sample, np.float64)
        x, values = _thinned(x, values, per_sample)
        millivolts = _MILLIVOLTS.get(channel.units)
        if millivolts is not None and not sop_class.startswith(OF_NERVES):
            y = values * millivolts * strip.gain
            middle = _middle(y)
            y = y - middle if abs(middle) > NEAR else y
            return cls(channel.name, "", strip.gain, x, np.clip(y, -FARTHEST, FARTHEST))
        y, told = _scaled(values, channel.units)
        return cls(channel.name, told, 0.0, x, np.clip(y, -FARTHEST, FARTHEST))

    @property
    def lowest(self) -> float:
        """How far it goes below its line."""
        return max(0.0, -float(np.nanmin(self.y))) if _is_any(self.y) else 0.0

    def profile(self) -> tuple[Values, Values]:
        """How far it goes above and below its line in each 5 mm of the paper."""
        bins = np.maximum(self.x / 5, 0).astype(np.int64)
        count = int(bins.max(initial=0)) + 1
        above, below = np.zeros(count), np.zeros(count)
        is_there = np.isfinite(self.y)
        np.maximum.at(above, bins[is_there], self.y[is_there])
        np.maximum.at(below, bins[is_there], -self.y[is_there])
        return above, below

    def runs(self, line: float) -> Iterator[Points]:
        """Give its lines on the paper; where there is nothing, they break off."""
        is_there = np.isfinite(self.y)
        edges = np.flatnonzero(np.diff(is_there.astype(np.int8), prepend=0, append=0))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            x, y = self.x[start:end], line - self.y[start:end]
            yield np.rint(np.column_stack((x, y)) * SCALE).astype(np.int32)


def _skew(channel: Channel) -> float:
    return channel.skew if abs(channel.skew) < 1 else 0.0


def _is_any(values: Values) -> bool:
    return bool(np.isfinite(values).any())


def _middle(values: Values) -> float:
    return float(np.nanmedian(values)) if _is_any(values) else 0.0


def _scaled(values: Values, units: str) -> tuple[Values, str]:
    """Fit values to the paper by a round scale; give mm, and what that scale is."""
    if not _is_any(values):
        return values, units
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    step = _round_step((high - low) * 10 / TALL)  # of 10 mm
    base = floor(low / step) * step
    named = f" {units}" if units else ""
    told = f"10 mm = {step:g}{named}, line at {base:g}"
    return (values - base) / step * 10, told


def _round_step(wanted: float) -> float:
    """Give the next of 1, 2, 5, 10 …"""
    if not 1e-30 < wanted < 1e30:
        return 1.0 if wanted <= 1e-30 else 1e30
    power = 10.0 ** floor(log10(wanted))
    return next(power * each for each in (1, 2, 5, 10) if power * each >= wanted * 0.999999)


def _lines(shown: Sequence[_Shown]) -> Iterator[float]:
    """Where the curves' lines are, from the top: on thick ones, as close as they do not meet."""
    above, below = shown[0].profile()
    line = ABOVE + _thick(min(max(float(above.max()) + 1, shown[0].pulse, 10), WIDEST))
    yield line
    for each in shown[1:]:
        above, under = each.profile()
        both = min(len(above), len(below))
        need = float((above[:both] + below[:both]).max(initial=0)) + 1
        line += min(max(_thick(max(need, each.pulse)), NARROWEST), WIDEST)
        yield line
        below = under


def _thick(height: float) -> float:
    return ceil(height / 5) * 5.0


def _thinned(x: Values, values: Values, per_sample: float) -> tuple[Values, Values]:
    """Of samples that share a column of the drawing keep the lowest and the highest, in order."""
    many = floor(1 / (FINEST * per_sample))
    if many <= 2 or len(values) <= many:
        return x, values
    whole = len(values) // many * many
    blocks = values[:whole].reshape(-1, many)
    is_empty = ~np.isfinite(blocks).any(axis=1)
    lowest = np.where(np.isfinite(blocks), blocks, np.inf).argmin(axis=1)
    highest = np.where(np.isfinite(blocks), blocks, -np.inf).argmax(axis=1)
    starts = np.arange(len(blocks)) * many
    places = np.sort(np.column_stack((lowest, highest)), axis=1) + starts[:, None]
    kept = values[places]
    kept[is_empty] = np.nan
    rest = slice(whole, None)
    return (
        np.concatenate((x[places].ravel(), x[rest])),
        np.concatenate((kept.ravel(), values[rest])),
    )
