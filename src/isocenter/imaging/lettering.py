"""Text on pictures, in a box or at a point: how large, which way, in which style.

Source: PS3.3 C.10.5.1.1. The font is the one that comes with Pillow; signs that it does not have
are drawn as a box.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow, ImageDraw, ImageFont

from isocenter.imaging.cielab import Colour
from isocenter.imaging.graphics import Note, Point, Shadow

Bytes = NDArray[np.uint8]

SMALLEST: Final = 9
"""Pixels of the font below which it is not read, even if the box is smaller."""
LARGEST: Final = 64
SPACING: Final = 1.2
SLANT: Final = 0.2
WIDEST: Final = 8_192
"""Pixels of a line of text that are drawn."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text is, upright, and by how much it is turned."""

    left: float
    top: float
    width: float
    height: float
    size: int
    """Of the font."""
    turn: int = 0
    """Quarters, clockwise."""

    @classmethod
    def of(
        cls,
        canvas: tuple[int, int],
        lines: tuple[str, ...],
        box: tuple[Point, Point] | None,
        anchor: Point | None,
    ) -> "Place":
        """Find the place for ``lines``: in the box, or beside the anchor."""
        usual = min(max(min(canvas) // 32, SMALLEST), LARGEST)
        if box is None:
            x, y = anchor or (0.0, 0.0)
            width = max((_length(line, usual) for line in lines), default=0.0)
            height = usual * SPACING * len(lines)
            left = max(min(x + usual / 2, canvas[0] - width), 0.0)
            top = max(min(y + usual / 4, canvas[1] - height), 0.0)
            return cls(left, top, width, height, usual)
        (x0, y0), (x1, y1) = box
        width, height = abs(x1 - x0), abs(y1 - y0)
        turn = _turn(x1 - x0, y1 - y0)
        across, down = (height, width) if turn % 2 else (width, height)
        size = usual
        while size > SMALLEST and not _fits(lines, size, across, down):
            size -= 1
        return cls(min(x0, x1), min(y0, y1), width, height, size, turn)

    def nearest(self, point: Point) -> Point:
        """Give the middle of the side that is nearest to a point."""
        x, y = self.left + self.width / 2, self.top + self.height / 2
        sides = (
            (x, self.top),
            (x, self.top + self.height),
            (self.left, y),
            (self.left + self.width, y),
        )
        return min(sides, key=lambda side: (side[0] - point[0]) ** 2 + (side[1] - point[1]) ** 2)


def _turn(across: float, down: float) -> int:
    """Text runs from the box's upper left to its lower right corner, wherever they came to lie.

    One that is mirrored, or stands upright after all, is written to be read.
    """
    if across < 0 and down < 0:
        return 2
    if abs(down) > abs(across):
        return 1 if across < 0 else 3 if down < 0 else 0
    return 0


def _fits(lines: tuple[str, ...], size: int, width: float, height: float) -> bool:
    if size * SPACING * len(lines) > height * 1.1:
        return False
    return all(_length(line, size) <= width for line in lines)


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Give the font in a size in pixels."""
    return ImageFont.load_default(size)


def _length(line: str, size: int) -> float:
    return float(font_of(size).getlength(line))


Mask = tuple[Bytes, tuple[int, int], Colour, float]


def masks(canvas: tuple[int, int], note: Note, place: Place, colour: Colour) -> Iterator[Mask]:
    """Give what is painted: mask, where it lies, in which colour and how opaque."""
    shadow = note.writing.shadow
    if shadow is None and not note.writing.is_styled:
        dark = (0, 0, 0) if sum(colour) > 382 else (255, 255, 255)
        shadow = Shadow(dark, 1.0, (0.0, 0.0), is_outline=True)
    if shadow is not None:
        stroke = max(place.size // 12, 1) if shadow.is_outline else 0
        moved = (0.0, 0.0) if shadow.is_outline else shadow.offset
        for mask, at in _written(canvas, note, place, stroke, moved):
            yield mask, at, shadow.colour, shadow.opacity
    for mask, at in _written(canvas, note, place, 0, (0.0, 0.0)):
        yield mask, at, colour, 1.0


def _written(
    canvas: tuple[int, int], note: Note, place: Place, stroke: int, moved: Point
) -> Iterator[tuple[Bytes, tuple[int, int]]]:
    step = place.size * SPACING
    across, down = (place.height, place.width) if place.turn % 2 else (place.width, place.height)
    room = down - step * len(note.lines)
    share = {"CENTER": 0.5, "BOTTOM": 1.0}.get(note.writing.vertical, 0.0)
    top = max(room, 0.0) * share
    for number, line in enumerate(note.lines):
        y = top + number * step
        if not line.strip() or y > 4 * max(canvas):
            continue
        drawn, inset = _line(line, note, place.size, stroke)
        length = drawn.shape[1] - 2 * inset
        free = across - length
        x = {"CENTER": 0.5, "RIGHT": 1.0}.get(note.writing.horizontal, 0.0) * free
        yield from _laid(canvas, drawn, (x - inset, y - inset), place, moved)


def _line(line: str, note: Note, size: int, stroke: int) -> tuple[Bytes, int]:
    """Give a line as a mask, and how much is around it."""
    font = font_of(size)
    writing = note.writing
    heavy = stroke + (max(size // 16, 1) if writing.is_bold else 0)
    inset = heavy + size // 2
    width = min(round(font.getlength(line)), WIDEST) + 2 * inset
    mask = Pillow.new("L", (max(width, 1), round(size * SPACING) + 2 * inset))
    pen = ImageDraw.Draw(mask)
    pen.text((inset, inset), line, 255, font, stroke_width=heavy)
    if writing.is_underlined:
        below = inset + size
        pen.line((inset, below, width - inset, below), 255, max(size // 16, 1) + 2 * stroke)
    if writing.is_italic:
        shift = SLANT * (inset + size * SPACING / 2)
        slanted = (1, SLANT, -shift, 0, 1, 0)
        mask = mask.transform(
            mask.size, Pillow.Transform.AFFINE, slanted, Pillow.Resampling.BILINEAR
        )
    return np.asarray(mask), inset


def _laid(
    canvas: tuple[int, int], mask: Bytes, at: Point, place: Place, moved: Point
) -> Iterator[tuple[Bytes, tuple[int, int]]]:
    """Turn a line with its place, and cut off what lies outside of the picture."""
    x, y = at
    rows, columns = mask.shape
    if place.turn == 1:
        x, y = place.width - y - rows, x
    elif place.turn == 2:
        x, y = place.width - x - columns, place.height - y - rows
    elif place.turn == 3:
        x, y = y, place.height - x - columns
    turned = np.rot90(mask, -place.turn)
    left = round(place.left + x + moved[0])
    top = round(place.top + y + moved[1])
    rows_seen = slice(max(-top, 0), min(canvas[1] - top, turned.shape[0]))
    columns_seen = slice(max(-left, 0), min(canvas[0] - left, turned.shape[1]))
    if rows_seen.start < rows_seen.stop and columns_seen.start < columns_seen.stop:
        yield turned[rows_seen, columns_seen], (max(left, 0), max(top, 0))
