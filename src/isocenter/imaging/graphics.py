"""Graphics and text of presentation states: read, bounded, not yet drawn (PS3.3 C.10.5, C.10.7).

Compound graphics come with an equivalent of simple ones (C.10.5.1.3.1), and that is what is drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.attributes import (
    Dataset,
    binary,
    integer,
    items,
    number,
    numbers,
    text,
    values,
)
from isocenter.imaging.cielab import Colour, recommended

Point = tuple[float, float]
WHITE: Final = (255, 255, 255)

MOST_POINTS: Final = 100_000
"""Points of all graphics of a picture."""
MOST_OBJECTS: Final = 10_000
LONGEST_TEXT: Final = 4_096
"""Characters of a text object; a Short Text has 1,024."""
MOST_TEXT: Final = 100_000
"""Characters of all texts of a picture."""
THICKEST: Final = 1_000.0
_DISPLAYED: Final = "DISPLAY"
_POINTS: Final = {"POINT": (1, 1), "CIRCLE": (2, 2), "ELLIPSE": (4, 4)}


@dataclass(frozen=True, slots=True)
class Ink:
    """A pattern of two colours; the second may be none."""

    colour: Colour | None = None
    """None: as the layer has it."""
    opacity: float = 1.0
    other: Colour | None = None
    other_opacity: float = 0.0
    pattern: bytes = b""
    """Bits that are one in the first colour; empty: all of them."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """What is drawn below, moved by some pixels or all around."""

    colour: Colour
    opacity: float
    offset: Point
    is_outline: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A graphic object."""

    kind: str
    """Graphic Type."""
    points: tuple[Point, ...]
    is_of_display: bool
    """Points are fractions of the displayed area, not pixels of the image."""
    is_filled: bool = False
    line: Ink = Ink()
    thickness: float = 1.0
    fill: Ink = Ink()
    shadow: Shadow | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """A Text Style."""

    colour: Colour | None = None
    horizontal: str = "LEFT"
    vertical: str = "TOP"
    is_bold: bool = False
    is_italic: bool = False
    is_underlined: bool = False
    is_styled: bool = False
    """The state says how text is to look."""
    shadow: Shadow | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A text object: in a box, at an anchor point, or both."""

    lines: tuple[str, ...]
    box: tuple[Point, Point] | None
    """Upper left and lower right corner."""
    is_box_of_display: bool
    anchor: Point | None
    is_anchor_of_display: bool
    is_anchor_visible: bool
    writing: Writing


@dataclass(frozen=True, slots=True)
class Layer:
    """What is drawn at once; a picture has several, one above the other."""

    order: int
    colour: Colour
    drawn: tuple[Shape | Note, ...] = ()


def layers(sequence: list[Dataset], annotations: list[Dataset]) -> dict[str, Layer]:
    """Read the Graphic Layers by name, with the items of Graphic Annotation that are for a frame.

    Raises: Malformed; Unsupported, for more than is drawn.
    """
    found: dict[str, Layer] = {}
    for item in sequence:
        name = text(item, "00700002")
        found[name] = Layer(integer(item, "00700062", 0), colour_of_layer(item))
    bounds = _Bounds()
    for item in annotations:
        name = text(item, "00700002")
        below = found.get(name) or Layer(0, WHITE)
        drawn = (*below.drawn, *_shapes(item, bounds), *_notes(item, bounds))
        found[name] = Layer(below.order, below.colour, drawn)
        _refuse_unequal_compounds(item)
    return found


def colour_of_layer(item: Dataset) -> Colour:
    """Graphic Layer Recommended Display CIELab or Grayscale Value."""
    if (named := recommended(item, "00700401")) is not None:
        return named
    grey = integer(item, "00700066", 0xFFFF) >> 8 & 0xFF
    return (grey, grey, grey)


class _Bounds:
    """Counts what is drawn, and refuses too much of it."""

    def __init__(self) -> None:
        self._objects = self._points = self._characters = 0

    def add(self, points: int = 0, characters: int = 0) -> None:
        """Raises: Unsupported."""
        self._objects += 1
        self._points += points
        self._characters += characters
        if (
            self._objects > MOST_OBJECTS
            or self._points > MOST_POINTS
            or self._characters > MOST_TEXT
            or characters > LONGEST_TEXT
        ):
            raise Unsupported("the presentation state has more graphics than are drawn")


def _shapes(annotation: Dataset, bounds: _Bounds) -> Iterator[Shape]:
    for item in items(annotation, "00700009"):
        kind = text(item, "00700023")
        points = _points(item, "00700022")
        least, most = _POINTS.get(kind, (1, MOST_POINTS))
        if kind not in (*_POINTS, "POLYLINE", "INTERPOLATED"):
            raise Unsupported(f"a graphic of type {kind[:16]!r} is not drawn")
        if not least <= len(points) <= most:
            raise Malformed(f"a graphic of type {kind} with {len(points)} points")
        bounds.add(points=len(points))
        line = next(iter(items(item, "00700232")), {})
        yield Shape(
            kind,
            points,
            is_of_display=text(item, "00700005") == _DISPLAYED,
            is_filled=text(item, "00700024") == "Y",
            line=_ink(line, "00700255", is_plain=text(line, "00700254") != "DASHED"),
            thickness=_thickness(line),
            fill=_fill(item),
            shadow=_shadow(line),
        )


def _notes(annotation: Dataset, bounds: _Bounds) -> Iterator[Note]:
    for item in items(annotation, "00700008"):
        lines = tuple(_printable(each) for each in _told(item).splitlines())
        bounds.add(characters=sum(map(len, lines)) + len(lines))
        corners = [*_points(item, "00700010"), *_points(item, "00700011")]
        anchors = _points(item, "00700014")
        if len(corners) not in (0, 2) or len(anchors) > 1 or not (corners or anchors):
            raise Malformed("a text of the presentation state has no place")
        yield Note(
            lines,
            (corners[0], corners[1]) if corners else None,
            text(item, "00700003") == _DISPLAYED,
            anchors[0] if anchors else None,
            text(item, "00700004") == _DISPLAYED,
            text(item, "00700015") == "Y",
            _writing(item),
        )


def _told(item: Dataset) -> str:
    found = values(item, "00700006")
    return found[0] if found and isinstance(found[0], str) else ""


def _printable(line: str) -> str:
    return "".join(each if each.isprintable() else " " for each in line)


def _writing(item: Dataset) -> Writing:
    horizontal = text(item, "00700012") or "LEFT"
    style = next(iter(items(item, "00700231")), None)
    if style is None:
        return Writing(horizontal=horizontal)
    return Writing(
        colour=recommended(style, "00700241"),
        horizontal=text(style, "00700242") or horizontal,
        vertical=text(style, "00700243") or "TOP",
        is_bold=text(style, "00700249") == "Y",
        is_italic=text(style, "00700250") == "Y",
        is_underlined=text(style, "00700248") == "Y",
        is_styled=True,
        shadow=_shadow(style),
    )


def _shadow(style: Dataset) -> Shadow | None:
    kind = text(style, "00700244")
    if kind not in ("NORMAL", "OUTLINED"):
        return None
    across, down = (number(style, tag) or 0.0 for tag in ("00700245", "00700246"))
    offset = (_within(across), _within(down))
    colour = recommended(style, "00700247") or (0, 0, 0)
    return Shadow(colour, _opacity(style, "00700258"), offset, kind == "OUTLINED")


def _within(value: float) -> float:
    return min(max(value, -THICKEST), THICKEST)


def _fill(item: Dataset) -> Ink:
    style = next(iter(items(item, "00700233")), {})
    return _ink(style, "00700256", is_plain=text(style, "00700257") != "STIPPELED")


def _ink(style: Dataset, pattern: str, *, is_plain: bool) -> Ink:
    bits = b"" if is_plain else _bits(style, pattern)
    if not any(bits):
        bits = b""
    return Ink(
        recommended(style, "00700251"),
        _opacity(style, "00700284"),
        recommended(style, "00700252"),
        _opacity(style, "00700285") if "00700252" in style else 0.0,
        bits,
    )


def _bits(style: Dataset, tag: str) -> bytes:
    """A line's pattern is a number of 32 bits, a fill's are 32 rows of them."""
    if "Value" in style.get(tag, {}):
        return (integer(style, tag, 0) & 0xFFFFFFFF).to_bytes(4, "big")
    found = binary(style, tag)
    return found if len(found) == 128 else b""


def _thickness(style: Dataset) -> float:
    found = number(style, "00700253")
    if found is None:
        return 1.0
    return min(max(found, 0.0), THICKEST)


def _opacity(style: Dataset, tag: str) -> float:
    found = number(style, tag)
    return 1.0 if found is None else min(max(found, 0.0), 1.0)


def _points(item: Dataset, tag: str) -> tuple[Point, ...]:
    """Raises: Malformed, for half a point or one that is nowhere."""
    if "InlineBinary" in item.get(tag, {}):  # of 64 KiB and more, explicit VR has it as UN
        data = binary(item, tag)
        found = np.frombuffer(data, "<f4", len(data) // 4).astype(float).tolist()
        is_whole = bool(np.isfinite(found).all()) and not len(data) % 8
    else:
        found = numbers(item, tag)
        is_whole = len(found) == len(values(item, tag)) and not len(found) % 2
    if not is_whole:
        raise Malformed("a graphic of the presentation state has half a point")
    return tuple(zip(found[::2], found[1::2], strict=True))


def _refuse_unequal_compounds(annotation: Dataset) -> None:
    """Raises: Unsupported, for a compound graphic that nothing simple stands for."""
    wanted = {number(each, "00700226") for each in items(annotation, "00700209")}
    simple = chain(items(annotation, "00700008"), items(annotation, "00700009"))
    if not wanted <= {number(each, "00700226") for each in simple}:
        raise Unsupported("a compound graphic without its simple equivalent is not drawn")
