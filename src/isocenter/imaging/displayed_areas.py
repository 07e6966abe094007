"""Which part of an image is displayed, turned which way, and how large (PS3.3 C.10.4, C.10.6)."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from isocenter.errors import Malformed
from isocenter.imaging.attributes import Dataset, integer, number, numbers, text
from isocenter.imaging.pictures import LARGEST_SIDE, Viewport

Bytes = NDArray[np.uint8]
Point = tuple[float, float]

MOST_PIXELS: Final = 1 << 26
"""Of a picture whose size the state alone decides; larger ones shrink in proportion."""
FARTHEST: Final = 1 << 20
"""Pixels that an area may reach beyond the image."""
LARGEST_RATIO: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Area:
    """The Specified Displayed Area, in pixels of the image as it is stored, edges from 0."""

    left: int
    top: int
    right: int
    bottom: int
    aspect: float = 1.0
    """Height of a stored pixel over its width."""
    magnification: float | None = None
    """Displayed pixels for a stored one; None: as many as fit."""
    rotation: int = 0
    """Degrees clockwise."""
    is_flipped: bool = False
    """Left to right, once it is rotated."""

    @property
    def is_turned(self) -> bool:
        """Rows are displayed as columns."""
        return self.rotation in (90, 270)

    def size(self) -> Point:
        """Give width and height as displayed, in square pixels, not scaled."""
        width = (self.right - self.left) / min(self.aspect, 1.0)
        height = (self.bottom - self.top) * max(self.aspect, 1.0)
        return (height, width) if self.is_turned else (width, height)

    def turned(self, u: float, v: float) -> Point:
        """Take fractions of the area as stored to those as displayed."""
        u, v = {0: (u, v), 90: (1 - v, u), 180: (1 - u, 1 - v), 270: (v, 1 - u)}[self.rotation]
        return (1 - u if self.is_flipped else u), v

    def view(self, viewport: Viewport | None) -> "View":
        """Say how it is scaled, and what of it is shown (PS3.18 8.3.5.1.6, 9.5.2.4).

        Raises: Malformed, for a region without any pixel.
        """
        width, height = self.size()
        if self.magnification is not None:
            width, height = width * self.magnification, height * self.magnification
        viewport = viewport or Viewport()
        across, down = viewport.source_width or 1.0, viewport.source_height or 1.0
        region = (width * across, height * down)
        scale = 1.0
        if self.magnification is None:
            scale = viewport.size(*region)[0] / region[0]
        scale = _bounded(scale, region, has_size=bool(viewport.width or viewport.height))
        shown = [max(round(each * scale), 1) for each in region]
        offset = [viewport.left * width * scale, viewport.top * height * scale]
        if self.magnification is not None:  # cropped about its middle, not scaled
            for axis, most in enumerate((viewport.width, viewport.height)):
                if most and most < shown[axis]:
                    offset[axis] += (shown[axis] - most) // 2
                    shown[axis] = most
        whole = (width * scale, height * scale)
        if viewport.source_width == 0 and self.magnification is None:
            whole = (float(shown[0]), float(shown[1]))  # whole pixels
        return View(self, whole, (offset[0], offset[1]), (shown[0], shown[1]))


def _bounded(scale: float, size: Point, *, has_size: bool) -> float:
    scale = min(scale, LARGEST_SIDE / max(size))
    if has_size:
        return scale
    return min(scale, sqrt(MOST_PIXELS / (size[0] * size[1])))


@dataclass(frozen=True, slots=True)
class View:
    """An area on the pixels of a picture."""

    area: Area
    whole: Point
    """Width and height of the whole area in displayed pixels."""
    offset: Point
    """Where in it the picture begins."""
    size: tuple[int, int]
    """Width and height of the picture."""

    def of_pixel(self, point: Point) -> Point:
        """Take a point from pixels of the image, from 0.0 at its upper left corner, to display."""
        area = self.area
        u = (point[0] - area.left) / (area.right - area.left)
        v = (point[1] - area.top) / (area.bottom - area.top)
        return self.of_display(area.turned(u, v))

    def of_display(self, point: Point) -> Point:
        """Take a point from fractions of the displayed area."""
        return (
            point[0] * self.whole[0] - self.offset[0],
            point[1] * self.whole[1] - self.offset[1],
        )

    def placed(self, plane: Bytes) -> Bytes:
        """Give what of ``plane``, ``(rows, columns[, 3])``, is in the picture; black around it."""
        canvas = np.zeros((self.size[1], self.size[0], *plane.shape[2:]), np.uint8)
        area = self.area
        rows = slice(max(area.top, 0), min(area.bottom, plane.shape[0]))
        columns = slice(max(area.left, 0), min(area.right, plane.shape[1]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return canvas
        piece = np.rot90(plane[rows, columns], -(area.rotation // 90))
        piece = piece[:, ::-1] if area.is_flipped else piece
        corners = [
            self.of_pixel((columns.start, rows.start)),
            self.of_pixel((columns.stop, rows.stop)),
        ]
        across = _Span.of(corners[0][0], corners[1][0], self.size[0], piece.shape[1])
        down = _Span.of(corners[0][1], corners[1][1], self.size[1], piece.shape[0])
        if across.start < across.stop and down.start < down.stop:
            canvas[down.start : down.stop, across.start : across.stop] = _resized(
                piece, across, down
            )
        return canvas


@dataclass(frozen=True, slots=True)
class _Span:
    """Pixels of the picture from ``start`` to ``stop``, and which of the source they show."""

    start: int
    stop: int
    first: float
    last: float

    @classmethod
    def of(cls, one: float, other: float, size: int, source: int) -> "_Span":
        low, high = min(one, other), max(one, other)
        start = min(max(round(low), 0), size)
        stop = min(max(round(high), 0), size)
        scale = source / (high - low)
        first, last = (start - low) * scale, (stop - low) * scale
        return cls(start, stop, min(max(first, 0.0), source), min(max(last, 0.0), source))


def _resized(piece: Bytes, across: _Span, down: _Span) -> Bytes:
    wanted = (across.stop - across.start, down.stop - down.start)
    box = (across.first, down.first, across.last, down.last)
    if all(abs(each - round(each)) < 1e-6 for each in box):
        left, top, right, bottom = map(round, box)
        if (right - left, bottom - top) == wanted:
            return piece[top:bottom, left:right]
    shown = (across.last - across.first) * (down.last - down.first)
    if min(box[2] - box[0], box[3] - box[1]) <= 0:
        return np.zeros((wanted[1], wanted[0], *piece.shape[2:]), np.uint8)
    shrinks = wanted[0] * wanted[1] < shown
    method = Pillow.Resampling.BOX if shrinks else Pillow.Resampling.BILINEAR
    source = Pillow.fromarray(np.ascontiguousarray(piece))
    return np.asarray(source.resize(wanted, method, box))


def area(item: Dataset | None, spatial: Dataset, rows: int, columns: int) -> Area:
    """Read an item of the Displayed Area Selection Sequence, or take the whole image.

    ``spatial`` has the Spatial Transformation module. Raises: Malformed.
    """
    rotation = integer(spatial, "00700042", 0)
    if rotation not in (0, 90, 180, 270):
        raise Malformed(f"the presentation state rotates by {rotation} degrees")
    is_flipped = text(spatial, "00700041") == "Y"
    if item is None:
        return Area(0, 0, columns, rows, rotation=rotation, is_flipped=is_flipped)
    ends = [numbers(item, tag) for tag in ("00700052", "00700053")]
    if any(len(each) != 2 for each in ends):
        raise Malformed("the displayed area has no corners")
    # The corners are named as they are displayed, and counted as they are stored: with a rotation
    # the upper left one is another. Which is which follows from the numbers.
    left, right = sorted(int(each[0]) for each in ends)
    top, bottom = sorted(int(each[1]) for each in ends)
    if min(left, top) < -FARTHEST or max(right, bottom) > FARTHEST + 0xFFFF:
        raise Malformed("the displayed area lies far beyond the image")
    return Area(
        left - 1, top - 1, right, bottom, _aspect(item), _magnification(item), rotation, is_flipped
    )


def _aspect(item: Dataset) -> float:
    """Presentation Pixel Spacing and Aspect Ratio are vertical first. Raises: Malformed."""
    for tag in ("00700101", "00700102"):
        if len(pair := numbers(item, tag)) == 2:
            if min(pair) <= 0 or not 1 / LARGEST_RATIO <= pair[0] / pair[1] <= LARGEST_RATIO:
                raise Malformed("the pixels of the displayed area have no proportion")
            return pair[0] / pair[1]
    return 1.0


def _magnification(item: Dataset) -> float | None:
    """TRUE SIZE cannot be had: how large the pixels of a browser are is not known."""
    if text(item, "00700100") != "MAGNIFY":
        return None
    ratio = number(item, "00700103")
    if ratio is None or not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        raise Malformed("the displayed area is magnified by no number that can be")
    return ratio
