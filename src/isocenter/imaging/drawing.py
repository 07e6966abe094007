"""Graphics and text drawn on pictures, at the size at which they are seen (PS3.3 C.10.5).

Where the standard leaves it open, lines are as thick as a pixel, text is as large as its box takes
but no larger than is read with ease, and dark around, so that it is read on any ground.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import ceil, cos, hypot, isfinite, pi, sin
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow, ImageDraw

from isocenter.imaging import lettering
from isocenter.imaging.cielab import Colour
from isocenter.imaging.displayed_areas import View
from isocenter.imaging.graphics import Ink, Layer, Note, Point, Shape

Bytes = NDArray[np.uint8]

FARTHEST: Final = 1e6
"""Pixels beyond the picture to which corners of filled shapes are kept."""
ROUNDING: Final = 1e-3
"""Pixels by which coordinates of single precision may be off."""
STEPS: Final = 16
"""Straight lines for a part of a curve."""
AROUND: Final = 180
"""Straight lines for an ellipse."""
MARK: Final = 4.0
"""Half the size of the cross that a point is drawn as, in pixels."""
HEAD: Final = 8.0
"""Length of the head of an arrow."""


class Canvas:
    """A picture that is drawn on; in colour, once a colour is used."""

    def __init__(self, picture: Bytes) -> None:
        self.picture = picture if picture.flags.writeable else picture.copy()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.picture.shape[1], self.picture.shape[0]

    def paint(self, mask: Bytes, at: tuple[int, int], colour: Colour, opacity: float = 1.0) -> None:
        """Lay a colour where ``mask`` is, whose upper left corner lies ``at`` x and y."""
        if self.picture.ndim == 2 and len(set(colour)) > 1:
            self.picture = np.repeat(self.picture[..., None], 3, 2)
        place = self.picture[at[1] : at[1] + mask.shape[0], at[0] : at[0] + mask.shape[1]]
        wanted = np.array(colour if place.ndim == 3 else colour[:1], np.uint8)
        if opacity >= 1 and not ((mask > 0) & (mask < 255)).any():
            place[mask > 0] = wanted
            return
        share = mask.astype(np.float32) * np.float32(opacity / 255)
        share = share[..., None] if place.ndim == 3 else share
        place[...] = np.rint(place + (wanted.astype(np.float32) - place) * share).astype(np.uint8)


def drawn(canvas: Canvas, view: View, layer: Layer) -> None:
    """Draw what is in a layer."""
    for each in layer.drawn:
        if isinstance(each, Shape):
            _shape(canvas, view, each, layer.colour)
        else:
            _note(canvas, view, each, layer.colour)


def _placed(view: View, points: Iterable[Point], *, is_of_display: bool) -> list[Point]:
    placed = map(view.of_display if is_of_display else view.of_pixel, points)
    return [each for each in placed if isfinite(each[0]) and isfinite(each[1])]


def _shape(canvas: Canvas, view: View, shape: Shape, colour: Colour) -> None:
    points = _placed(view, _outline(shape), is_of_display=shape.is_of_display)
    if not points:
        return
    if shape.kind == "POINT":
        (x, y) = points[0]
        paths = [[(x - MARK, y), (x + MARK, y)], [(x, y - MARK), (x, y + MARK)]]
    else:
        paths = [points]
    if shape.is_filled and len(points) > 2:
        _filled(canvas, points, shape.fill, colour)
    if shape.thickness <= 0:
        return
    if shape.shadow is not None:
        shadow = shape.shadow
        ink = Ink(shadow.colour, shadow.opacity)
        around = 2.0 if shadow.is_outline else 0.0
        offset = (0.0, 0.0) if shadow.is_outline else shadow.offset
        for path in paths:
            moved = [(x + offset[0], y + offset[1]) for x, y in path]
            _stroked(canvas, moved, ink, colour, shape.thickness + around)
    for path in paths:
        _stroked(canvas, path, shape.line, colour, shape.thickness)


def _outline(shape: Shape) -> Sequence[Point]:
    """Give the corners of what stands for a shape, in its own units."""
    points = shape.points
    if shape.kind == "INTERPOLATED":
        return _curve(points)
    if shape.kind == "CIRCLE":
        (x, y), edge = points
        radius = hypot(edge[0] - x, edge[1] - y)
        return _ellipse((x, y), (radius, 0.0), (0.0, radius))
    if shape.kind == "ELLIPSE":
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
        middle = ((ax + bx) / 2, (ay + by) / 2)
        return _ellipse(middle, ((bx - ax) / 2, (by - ay) / 2), ((dx - cx) / 2, (dy - cy) / 2))
    return points


def _ellipse(middle: Point, major: Point, minor: Point) -> list[Point]:
    angles = (2 * pi * step / AROUND for step in range(AROUND + 1))
    return [
        (
            middle[0] + major[0] * cos(angle) + minor[0] * sin(angle),
            middle[1] + major[1] * cos(angle) + minor[1] * sin(angle),
        )
        for angle in angles
    ]


def _curve(points: Sequence[Point]) -> Sequence[Point]:
    """Give a Catmull-Rom spline through all points; closed, if the last is the first."""
    if len(points) < 3:
        return points
    known = np.array(points)
    is_closed = points[0] == points[-1]
    before = known[-2] if is_closed else 2 * known[0] - known[1]
    behind = known[1] if is_closed else 2 * known[-1] - known[-2]
    all_of = np.vstack((before, known, behind))
    t = (np.arange(STEPS) / STEPS)[None, :, None]
    p0, p1, p2, p3 = (all_of[at : len(all_of) - 3 + at, None, :] for at in range(4))
    curve = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )  # fmt: skip
    flat = np.vstack((curve.reshape(-1, 2), known[-1:]))
    return [(float(x), float(y)) for x, y in flat]


def cell(value: float) -> int:
    """Give the pixel in which a coordinate lies; between two, that before."""
    return 0 if 0 <= value < ROUNDING else ceil(value - ROUNDING) - 1


Segment = tuple[Point, Point]


def _stroked(
    canvas: Canvas, path: Sequence[Point], ink: Ink, colour: Colour, thickness: float
) -> None:
    width, height = canvas.size
    margin = thickness + 1
    bounds = (-margin, -margin, width + margin, height + margin)
    ends = zip(path, path[1:] or path, strict=False)
    segments = [found for each in ends if (found := _clipped(each, bounds))]
    if not segments:
        return
    for wanted, opacity, is_on in _inks(ink, colour):
        if opacity <= 0:
            continue
        parts = _dashes(segments, ink.pattern, is_on=is_on) if ink.pattern else segments
        _masked(canvas, parts, partial(_line, thickness=thickness), thickness, wanted, opacity)


def _inks(ink: Ink, colour: Colour) -> list[tuple[Colour, float, bool]]:
    inks = [(ink.colour or colour, ink.opacity, True)]
    if ink.pattern and ink.other is not None:
        inks.append((ink.other, ink.other_opacity, False))
    return inks


def _line(draw: ImageDraw.ImageDraw, part: Segment, at: Point, thickness: float) -> None:
    ends = [(cell(x) - at[0], cell(y) - at[1]) for x, y in part]
    draw.line([*ends[0], *ends[1]], 255, max(round(thickness), 1))


def _masked(
    canvas: Canvas,
    parts: Sequence[Segment],
    draw: Callable[[ImageDraw.ImageDraw, Segment, Point], None],
    thickness: float,
    colour: Colour,
    opacity: float,
) -> None:
    if not parts:
        return
    box = _box(canvas, [point for part in parts for point in part], thickness)
    if box is None:
        return
    left, top, right, bottom = box
    mask = Pillow.new("L", (right - left, bottom - top))
    pen = ImageDraw.Draw(mask)
    for part in parts:
        draw(pen, part, (left, top))
    canvas.paint(np.asarray(mask), (left, top), colour, opacity)


def _box(
    canvas: Canvas, points: Sequence[Point], margin: float
) -> tuple[int, int, int, int] | None:
    """Give left, top, right and bottom of what is painted; None, if it lies outside."""
    width, height = canvas.size
    xs, ys = zip(*points, strict=True)
    left, top = (max(int(min(each) - margin) - 2, 0) for each in (xs, ys))
    right = min(int(min(max(xs), width) + margin) + 3, width)
    bottom = min(int(min(max(ys), height) + margin) + 3, height)
    return (left, top, right, bottom) if left < right and top < bottom else None


def _clipped(segment: Segment, bounds: tuple[float, float, float, float]) -> Segment | None:
    """Give what of a straight line is within (Liang and Barsky)."""
    (x0, y0), (x1, y1) = segment
    dx, dy = x1 - x0, y1 - y0
    first, last = 0.0, 1.0
    for step, room in (
        (-dx, x0 - bounds[0]),
        (dx, bounds[2] - x0),
        (-dy, y0 - bounds[1]),
        (dy, bounds[3] - y0),
    ):
        if step == 0:
            if room < 0:
                return None
            continue
        at = room / step
        first, last = (max(first, at), last) if step < 0 else (first, min(last, at))
    if first > last:
        return None
    return ((x0 + first * dx, y0 + first * dy), (x0 + last * dx, y0 + last * dy))


def _dashes(segments: Sequence[Segment], pattern: bytes, *, is_on: bool) -> list[Segment]:
    """Cut lines after a pattern of 32 bits, one for a pixel of length."""
    bits = [bool(byte >> shift & 1) for byte in pattern for shift in range(7, -1, -1)]
    found: list[Segment] = []
    at = 0
    for (x0, y0), (x1, y1) in segments:
        length = max(ceil(hypot(x1 - x0, y1 - y0)), 1)
        begin: int | None = None
        for step in range(length + 1):
            is_wanted = step < length and bits[(at + step) % len(bits)] == is_on
            if is_wanted and begin is None:
                begin = step
            if not is_wanted and begin is not None:
                share = (begin / length, (step - 1) / length)
                one, other = ((x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in share)
                found.append((one, other))
                begin = None
        at += length
    return found


def _filled(canvas: Canvas, points: Sequence[Point], ink: Ink, colour: Colour) -> None:
    box = _box(canvas, points, 0)
    if box is None:
        return
    left, top, right, bottom = box
    corners = [(_kept(cell(x)) - left, _kept(cell(y)) - top) for x, y in points]
    mask = Pillow.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).polygon(corners, 255)
    inside = np.asarray(mask)
    for wanted, opacity, is_on in _inks(ink, colour):
        pattern = _stipple(ink.pattern, box, is_on=is_on) if ink.pattern else None
        shown = inside if pattern is None else np.where(pattern, inside, np.uint8(0))
        canvas.paint(shown, (left, top), wanted, opacity)


def _stipple(pattern: bytes, box: tuple[int, int, int, int], *, is_on: bool) -> NDArray[np.bool_]:
    cells = np.unpackbits(np.frombuffer(pattern, np.uint8)).reshape(-1, 32).astype(bool)
    rows = np.arange(box[1], box[3]) % len(cells)
    columns = np.arange(box[0], box[2]) % 32
    chosen: NDArray[np.bool_] = cells[np.ix_(rows, columns)] == is_on
    return chosen


def _kept(value: float) -> float:
    return min(max(value, -FARTHEST), FARTHEST)


def _note(canvas: Canvas, view: View, note: Note, colour: Colour) -> None:
    anchor = None
    if note.anchor is not None:
        anchor = next(
            iter(_placed(view, [note.anchor], is_of_display=note.is_anchor_of_display)), None
        )
    box = None
    if note.box is not None:
        corners = _placed(view, note.box, is_of_display=note.is_box_of_display)
        box = (corners[0], corners[1]) if len(corners) == 2 else None
    if not _is_seen(canvas, [*(box or ()), *([anchor] if anchor else [])]):
        return
    place = lettering.Place.of(canvas.size, note.lines, box, anchor)
    wanted = note.writing.colour or colour
    if anchor is not None and box is not None and note.is_anchor_visible:
        _arrow(canvas, place.nearest(anchor), anchor, wanted)
    for mask, at, ink, opacity in lettering.masks(canvas.size, note, place, wanted):
        canvas.paint(mask, at, ink, opacity)


def _is_seen(canvas: Canvas, points: Sequence[Point]) -> bool:
    """Whether any of a text's box or its anchor lies in the picture (PS3.3 C.10.5.1.1)."""
    return bool(points) and _box(canvas, points, 0) is not None


def _arrow(canvas: Canvas, start: Point, end: Point, colour: Colour) -> None:
    length = hypot(end[0] - start[0], end[1] - start[1])
    if length < 1:
        return
    ink = Ink()
    _stroked(canvas, [start, end], ink, colour, 1.0)
    along = ((start[0] - end[0]) / length, (start[1] - end[1]) / length)
    for turn in (0.4, -0.4):
        aside = (
            along[0] * cos(turn) - along[1] * sin(turn),
            along[0] * sin(turn) + along[1] * cos(turn),
        )
        tip = (end[0] + aside[0] * HEAD, end[1] + aside[1] * HEAD)
        _stroked(canvas, [end, tip], ink, colour, 1.0)
