"""Pictures put together from tiles: jobs of the workers.

A picture is made block by block, so that no worker holds much: a block's tiles are decoded one
after the other, laid on a canvas in the resolution they have, and that is scaled. Blocks fit
together without a seam: each is scaled as part of the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from isocenter.errors import Malformed
from isocenter.imaging import finishing
from isocenter.imaging.cielab import Colour
from isocenter.imaging.codecs import codec
from isocenter.imaging.finishing import Finish
from isocenter.imaging.native import Buffer
from isocenter.imaging.recipes import Recipe

Bytes = NDArray[np.uint8]

MARGIN: Final = 2
"""Pixels around a block that smoothing looks at."""
_EXTREMES: Final = Struct("<dd")


class Piece(NamedTuple):
    """A tile of a block."""

    size: int
    """Bytes of its frame, which follow those of the tile before."""
    recipe: int
    """Which of the recipes its frame is decoded by."""
    left: int
    """Where it lies on the canvas; may be outside."""
    top: int


class Box(NamedTuple):
    """Part of a canvas, in pixels and parts of them."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Part of a picture, and what it is made from."""

    recipes: tuple[Recipe, ...]
    pieces: tuple[Piece, ...]
    canvas: tuple[int, int]
    """Columns and rows, in the resolution of the tiles."""
    box: Box
    """Of the canvas, what is shown."""
    size: tuple[int, int]
    """Columns and rows of what is given."""
    absent: Colour
    """Where there is no tile."""
    is_grey: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is given."""
        columns, rows = self.size
        return (rows, columns) if self.is_grey else (rows, columns, 3)


class Part(NamedTuple):
    """Where a block lies in the picture."""

    left: int
    top: int
    columns: int
    rows: int


def block(data: memoryview, wanted: Block) -> Buffer:
    """Give the samples of a block. Raises: Malformed, Unsupported."""
    return np.ascontiguousarray(_block(data, wanted)).reshape(-1).data


def drawn(data: memoryview, wanted: Block, flips: tuple[bool, bool], finish: Finish) -> Buffer:
    """Give a picture of a single block as a file. Raises: Malformed, Unsupported."""
    return finishing.finished(_flipped(_block(data, wanted), flips), finish)


def joined(
    data: memoryview,
    parts: Sequence[Part],
    shape: tuple[int, ...],
    flips: tuple[bool, bool],
    finish: Finish,
) -> Buffer:
    """Give a picture, of ``shape``, as a file: ``data`` are its blocks, one after the other."""
    picture = np.empty(shape, np.uint8)
    samples = shape[2:]
    at = 0
    for left, top, columns, rows in parts:
        size = int(np.prod((rows, columns, *samples)))
        cells = np.frombuffer(data[at : at + size], np.uint8).reshape((rows, columns, *samples))
        picture[top : top + rows, left : left + columns] = cells
        at += size
    return finishing.finished(_flipped(picture, flips), finish)


def extremes(data: memoryview, recipe: Recipe, sizes: Sequence[int]) -> Buffer:
    """Give the lowest and the highest stored value of frames. Raises: Malformed, Unsupported."""
    decode = codec(recipe.transfer_syntax).decode
    if decode is None:
        raise Malformed(f"frames of {recipe.transfer_syntax} are not decoded one by one")
    low, high, at = np.inf, -np.inf, 0
    for size in sizes:
        pixels = decode(data[at : at + size], recipe.form)
        low, high = min(low, float(pixels.min())), max(high, float(pixels.max()))
        at += size
    return _EXTREMES.pack(low, high)


def read_extremes(data: bytes) -> tuple[float, float]:
    """Take what ``extremes`` gave."""
    low, high = _EXTREMES.unpack(data)
    return low, high


def _block(data: memoryview, wanted: Block) -> Bytes:
    columns, rows = wanted.canvas
    background: Colour | int = round(sum(wanted.absent) / 3) if wanted.is_grey else wanted.absent
    canvas = np.empty((rows, columns) if wanted.is_grey else (rows, columns, 3), np.uint8)
    canvas[:] = background
    at = 0
    for piece in wanted.pieces:
        tile = wanted.recipes[piece.recipe].follow(data[at : at + piece.size])
        at += piece.size
        if tile.ndim < canvas.ndim:
            tile = np.repeat(tile[..., None], 3, 2)
        _lay(canvas, tile, piece.left, piece.top)
    return _scaled(canvas, wanted.box, wanted.size)


def _lay(canvas: Bytes, tile: Bytes, left: int, top: int) -> None:
    """Lay a tile on the canvas, as far as it meets it."""
    first_row, first_column = max(-top, 0), max(-left, 0)
    rows = min(tile.shape[0], canvas.shape[0] - top)
    columns = min(tile.shape[1], canvas.shape[1] - left)
    if first_row >= rows or first_column >= columns:
        return
    target = canvas[top + first_row : top + rows, left + first_column : left + columns]
    target[:] = tile[first_row:rows, first_column:columns]


def _scaled(canvas: Bytes, box: Box, size: tuple[int, int]) -> Bytes:
    shown = box.right - box.left, box.bottom - box.top
    if shown == size and box.left.is_integer() and box.top.is_integer():
        left, top, right, bottom = map(int, box)
        return canvas[top:bottom, left:right]
    shrinks = size[0] * size[1] < shown[0] * shown[1]
    method = Pillow.Resampling.BOX if shrinks else Pillow.Resampling.BILINEAR
    return np.asarray(
        Pillow.fromarray(canvas).resize(
            size, method, box=(box.left, box.top, box.right, box.bottom)
        )
    )


def _flipped(picture: Bytes, flips: tuple[bool, bool]) -> Bytes:
    across, down = (-1 if each else 1 for each in flips)
    return np.ascontiguousarray(picture[::down, ::across])
