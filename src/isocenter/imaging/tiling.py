"""Images whose frames are tiles of a larger matrix: which tile lies where.

Columns and rows of the total matrix count from 0 here, frames from 1. Source: PS3.3 C.7.6.17.3,
C.8.12.4, C.8.12.14.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isocenter.dicom.elements import Element, elements
from isocenter.dicom.syntax import lookup
from isocenter.errors import Malformed
from isocenter.imaging.attributes import Dataset, integer, items, nearest, text
from isocenter.imaging.image import Image
from isocenter.imaging.native import Buffer

WHOLE_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
TILED: Final = frozenset(
    {
        WHOLE_SLIDE,
        "1.2.840.10008.5.1.4.1.1.77.1.9",  # Confocal Microscopy Tiled Pyramidal
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    }
)
"""SOP classes of which pictures are put together from tiles."""

OPTICAL_PATH_IDENTIFICATION: Final = "00480207"
OPTICAL_PATH_IDENTIFIER: Final = "00480106"
OPTICAL_PATHS: Final = "00480105"
_PLANE_POSITION: Final = 0x0048021A
_COLUMN: Final = 0x0048021E
_ROW: Final = 0x0048021F
_Z: Final = 0x0040074A
_PATH_SEQUENCE: Final = 0x00480207
_PATH: Final = 0x00480106
_WANTED: Final = frozenset({_COLUMN, _ROW, _Z, _PATH})

_PLACE: Final = np.dtype([("column", "<i4"), ("row", "<i4"), ("z", "<f8"), ("path", "S16")])
_LONG: Final = {True: Struct("<i"), False: Struct(">i")}


class Tile(NamedTuple):
    """A frame, and where its first pixel lies in the total matrix."""

    frame: int
    left: int
    top: int


class Region(NamedTuple):
    """Part of a total matrix, ends excluded."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tiling:
    """How the frames of one instance, or of a concatenation, make up a total matrix."""

    columns: int
    """Of the total matrix."""
    rows: int
    tile_columns: int
    tile_rows: int
    first: int = 0
    """In the order of tiles without gaps: where those of the chosen plane and path begin."""
    places: "NDArray[np.void] | None" = field(default=None, repr=False)
    """Where the tiles lie, if that is told of each; only those of the chosen plane and path have a
    frame."""
    frames: "NDArray[np.int64] | None" = field(default=None, repr=False)
    """Of ``places``, their frames."""

    def tiles(self, region: Region) -> list[Tile]:
        """Give the tiles that ``region`` meets; later ones lie above earlier ones."""
        if self.places is not None and self.frames is not None:
            return self._sparse(self.places, self.frames, region)
        across = -(-self.columns // self.tile_columns)
        top, bottom = region.top // self.tile_rows, -(-region.bottom // self.tile_rows)
        left, right = region.left // self.tile_columns, -(-region.right // self.tile_columns)
        return [
            Tile(
                self.first + row * across + column + 1,
                column * self.tile_columns,
                row * self.tile_rows,
            )
            for row in range(top, bottom)
            for column in range(left, right)
        ]

    def count(self, region: Region) -> int:
        """Say how many tiles ``region`` meets at most, without listing them."""
        if self.frames is not None:
            return len(self.tiles(region))
        across = -(-region.right // self.tile_columns) - region.left // self.tile_columns
        down = -(-region.bottom // self.tile_rows) - region.top // self.tile_rows
        return across * down

    def _sparse(
        self, places: "NDArray[np.void]", frames: "NDArray[np.int64]", region: Region
    ) -> list[Tile]:
        left, top = places["column"].astype(np.int64), places["row"].astype(np.int64)
        meets = (left < region.right) & (left + self.tile_columns > region.left)
        meets &= (top < region.bottom) & (top + self.tile_rows > region.top)
        return [
            Tile(int(frames[each]), int(left[each]), int(top[each]))
            for each in np.flatnonzero(meets)
        ]


def size(image: Image) -> tuple[int, int] | None:
    """Give columns and rows of the total matrix; None, if the frames are not tiles of one."""
    dataset = image.dataset
    columns, rows = integer(dataset, "00480006", 0), integer(dataset, "00480007", 0)
    if text(dataset, "00080016") not in TILED or columns < 1 or rows < 1:
        return None
    return columns, rows


def is_full(image: Image) -> bool:
    """Whether the tiles come row by row without gaps (PS3.3 C.7.6.17.3)."""
    return text(image.dataset, "00209311") == "TILED_FULL"


def full(image: Image, path: str) -> Tiling:
    """Say where the tiles of ``path`` lie, in the middle focal plane, if there are no gaps.

    Raises: Malformed, if the frames are no tiles.
    """
    columns, rows = _size(image)
    form = image.form
    each_plane = -(-columns // form.columns) * -(-rows // form.rows)
    planes = max(integer(image.dataset, "00480303", 1), 1)
    known = paths(image.dataset)
    number = known.index(path) if path in known else 0
    return Tiling(
        columns=columns,
        rows=rows,
        tile_columns=form.columns,
        tile_rows=form.rows,
        first=(number * planes + planes // 2) * each_plane,
    )


def sparse(image: Image, places: "NDArray[np.void]", frames: "NDArray[np.int64]") -> Tiling:
    """Say where the tiles lie of which only some are there; ``places`` as chosen."""
    columns, rows = _size(image)
    return Tiling(
        columns=columns,
        rows=rows,
        tile_columns=image.form.columns,
        tile_rows=image.form.rows,
        places=places,
        frames=frames,
    )


def paths(dataset: Dataset) -> list[str]:
    """The optical paths, the default first (PS3.3 C.8.12.5)."""
    return [text(each, OPTICAL_PATH_IDENTIFIER) for each in items(dataset, OPTICAL_PATHS)]


def shared_path(image: Image) -> str:
    """The optical path of frames that do not say theirs."""
    found = nearest(image.dataset, OPTICAL_PATH_IDENTIFICATION, 0, OPTICAL_PATH_IDENTIFIER)
    return text(found, OPTICAL_PATH_IDENTIFIER)


def _size(image: Image) -> tuple[int, int]:
    found = size(image)
    if found is None:
        raise Malformed("the frames are not tiles of a total matrix")
    return found


def chosen(places: "NDArray[np.void]", path: str) -> "NDArray[np.bool_]":
    """Which tiles are of ``path`` (or say none), in the middle of the focal planes there are."""
    of_path = (places["path"] == b"") | (places["path"] == path.encode("ascii", "replace"))
    if not of_path.any():
        of_path[:] = True
    planes = np.unique(places["z"][of_path])
    middle: NDArray[np.bool_] = of_path & (places["z"] == planes[len(planes) // 2])
    return middle


# In a worker.


def places(groups: memoryview, syntax: str) -> Buffer:
    """Read where each frame lies from the Per-Frame Functional Groups Sequence as it is encoded.

    Raises: Malformed, for a frame that does not say it.
    """
    (sequence,) = elements(groups, lookup(syntax))
    found = np.array([_place(item.elements()) for item in sequence.items()], _PLACE)
    return found.tobytes()


def read_places(data: Buffer) -> "NDArray[np.void]":
    """Take what ``places`` gave."""
    return np.frombuffer(data, _PLACE)


def _place(group: Iterator[Element]) -> tuple[int, int, float, bytes]:
    found: dict[int, bytes] = {}
    is_little = True
    for macro in group:
        if macro.tag not in (_PLANE_POSITION, _PATH_SEQUENCE):
            continue
        for item in macro.items():
            for element in item.elements():
                if element.tag in _WANTED:
                    is_little = element.layout.is_little_endian
                    found[element.tag] = bytes(element.value)
            break
    column, row = (_number(found.get(tag, b""), is_little=is_little) for tag in (_COLUMN, _ROW))
    return column - 1, row - 1, _decimal(found.get(_Z, b"")), found.get(_PATH, b"").strip(b" \0")


def _number(value: bytes, *, is_little: bool) -> int:
    if len(value) != 4:
        raise Malformed("a tile that does not say where it lies")
    number: int = _LONG[is_little].unpack(value)[0]
    return number


def _decimal(value: bytes) -> float:
    try:
        found = float(value.strip(b" \0") or b"0")
    except ValueError:
        return 0.0
    return found if np.isfinite(found) else 0.0
