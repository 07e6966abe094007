"""Levels of whole slide images: which belong together, and which one suffices for a picture.

Source: PS3.3 C.7.6.1.1.3, C.8.12.1, C.8.12.4, C.8.12.14.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from isocenter.errors import Malformed
from isocenter.imaging import tiling
from isocenter.imaging.attributes import integer, items, number, text, values
from isocenter.imaging.cielab import Colour, recommended
from isocenter.imaging.image import Image
from isocenter.imaging.pictures import LARGEST_SIDE, Viewport
from isocenter.imaging.tiling import Region

VOLUME, THUMBNAIL, OVERVIEW, LABEL = "VOLUME", "THUMBNAIL", "OVERVIEW", "LABEL"

MOST_PIXELS: Final = 1 << 24
"""Of a picture that is put together from tiles."""
BLOCK_SIDE: Final = 4_096
"""Pixels of a side of what is worked on at a time, in the resolution of the tiles."""
_SLACK: Final = 0.02
"""By how much the proportions of levels may differ, beyond what comes from rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class Slide:
    """What an image says of itself as part of a slide."""

    image: Image
    columns: int
    """Of the total matrix."""
    rows: int

    @property
    def flavour(self) -> str:
        """The third value of Image Type."""
        found = values(self.image.dataset, "00080008")
        return str(found[2]).strip() if len(found) > 2 else VOLUME

    @property
    def shows_label(self) -> bool:
        """Whether the slide's label, on which a patient's name may stand, is in the picture."""
        told = text(self.image.dataset, "00480010") == "YES"
        return told or self.flavour in (LABEL, "LOCALIZER")

    @property
    def path(self) -> str:
        """The optical path that is shown: the first."""
        return next(iter(tiling.paths(self.image.dataset)), "") or tiling.shared_path(self.image)

    @property
    def concatenation(self) -> tuple[str, int]:
        """Concatenation UID and Concatenation Frame Offset Number; no UID, if it is whole."""
        dataset = self.image.dataset
        return text(dataset, "00209161"), max(integer(dataset, "00209228", 0), 0)

    @property
    def absent(self) -> Colour:
        """Where there is no tile; light for colours, dark for greys, unless that is told."""
        told = recommended(self.image.dataset, "00480015")
        return told or ((0, 0, 0) if self.image.photometric == "MONOCHROME2" else (255, 255, 255))


def slide(image: Image) -> Slide | None:
    """Take an image for (a level of) a slide; None, if its frames are not tiles."""
    found = tiling.size(image)
    return None if found is None else Slide(image, *found)


def is_level(own: Slide, other: Slide) -> bool:
    """Whether ``other`` shows the same as ``own`` with fewer pixels."""
    if other.columns >= own.columns or other.flavour not in (VOLUME, THUMBNAIL):
        return False
    one, two = own.image.dataset, other.image.dataset
    if text(one, "00080016") != tiling.WHOLE_SLIDE or own.image.is_grey != other.image.is_grey:
        return False
    frames_of_reference = text(one, "00200052"), text(two, "00200052")
    if not frames_of_reference[0] or len(set(frames_of_reference)) > 1:
        return False
    told = [
        (text(one, tag), text(two, tag))
        for tag in ("00080019", "00400512")  # Pyramid UID, Container Identifier
    ]
    told.append((own.path, other.path))
    if any(a and b and a != b for a, b in told):
        return False
    return _is_same_plane(own, other) and _are_in_proportion(own, other)


def _is_same_plane(own: Slide, other: Slide) -> bool:
    """Whether the focal planes are the same, as far as single ones say where they lie."""
    depths = []
    for each in (own.image.dataset, other.image.dataset):
        origin = next(iter(items(each, "00480008")), {})
        if integer(each, "00480303", 1) == 1:
            depths.append(number(origin, "0040074A"))
    known = [depth for depth in depths if depth is not None]
    return len(known) < 2 or abs(known[0] - known[1]) < 1e-6


def _are_in_proportion(own: Slide, other: Slide) -> bool:
    across, down = own.columns / other.columns, own.rows / other.rows
    rounding = 1 / other.columns + 1 / other.rows
    return abs(across / down - 1) <= _SLACK + rounding


def factors(own: Slide, level: Slide) -> tuple[float, float]:
    """By how much columns and rows of ``own`` are more: whole numbers, where it is rounding."""
    across, down = own.columns / level.columns, own.rows / level.rows
    whole = round(across)
    if abs(own.columns / whole - level.columns) < 1 and abs(own.rows / whole - level.rows) < 1:
        return whole, whole
    return across, down


def sufficient(own: Slide, levels: Iterable[Slide], view: "View") -> Slide:
    """Choose the level of fewest pixels that still has those which are to be shown."""
    best = own
    for level in levels:
        across, down = factors(own, level)
        region = view.region
        if (
            level.columns < best.columns
            and (region.right - region.left) / across >= view.columns - 0.5
            and (region.bottom - region.top) / down >= view.rows - 0.5
        ):
            best = level
    return best


@dataclass(frozen=True, slots=True)
class View:
    """What is to be shown of a slide, and how large."""

    region: Region
    """Of the slide's own total matrix."""
    columns: int
    rows: int

    @property
    def is_too_large(self) -> bool:
        """Whether it is more than is put together at once."""
        return self.columns * self.rows > MOST_PIXELS or max(self.columns, self.rows) > LARGEST_SIDE


def view(of: Slide, viewport: Viewport | None) -> View:
    """Say what ``viewport`` shows of a slide. Raises: Malformed, for a region outside."""
    viewport = viewport or Viewport()
    down, across = viewport.region(of.rows, of.columns)
    region = Region(across.start, down.start, across.stop, down.stop)
    aspect = of.image.aspect(1)
    width, height = viewport.size(
        (region.right - region.left) / min(aspect, 1.0),
        (region.bottom - region.top) * max(aspect, 1.0),
    )
    return View(region, max(round(width), 1), max(round(height), 1))


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """A part of a picture, and what it takes of a level's total matrix."""

    left: int
    """In the picture."""
    top: int
    columns: int
    rows: int
    canvas: Region
    """Of the level: what is laid out."""
    box: tuple[float, float, float, float]
    """Of the canvas: what is shown."""


def plan(own: Slide, level: Slide, view: View, margin: int) -> list[BlockPlan]:
    """Divide a picture into blocks. Raises: Malformed."""
    across, down = factors(own, level)
    region = view.region
    left, right = (min(each / across, level.columns) for each in (region.left, region.right))
    top, bottom = (min(each / down, level.rows) for each in (region.top, region.bottom))
    if left >= right or top >= bottom:
        raise Malformed("the region of the viewport lies outside of the image")
    scale_x, scale_y = (right - left) / view.columns, (bottom - top) / view.rows
    width = max(int(BLOCK_SIDE / scale_x), 1)
    height = max(int(BLOCK_SIDE / scale_y), 1)
    blocks = []
    for y in range(0, view.rows, height):
        for x in range(0, view.columns, width):
            columns, rows = min(width, view.columns - x), min(height, view.rows - y)
            start, stop = left + x * scale_x, left + (x + columns) * scale_x
            upper, lower = top + y * scale_y, top + (y + rows) * scale_y
            canvas = Region(
                max(int(start) - margin, 0),
                max(int(upper) - margin, 0),
                min(-int(-stop // 1) + margin, level.columns),
                min(-int(-lower // 1) + margin, level.rows),
            )
            box = (
                start - canvas.left,
                upper - canvas.top,
                min(stop, level.columns) - canvas.left,
                min(lower, level.rows) - canvas.top,
            )
            blocks.append(BlockPlan(x, y, columns, rows, canvas, box))
    return blocks
