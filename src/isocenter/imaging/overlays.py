"""Overlay planes, beside the pixels or within their unused bits (PS3.3 C.9.2)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.imaging.attributes import Dataset, binary, integer, numbers, text, words
from isocenter.imaging.native import Pixels

PLANES: Final = tuple(
    (f"{group:04X}", f"{group:04X}0010", f"{group:04X}0102") for group in range(0x6000, 0x6020, 2)
)
"""Groups of overlay planes, with what tells that there is one: its Rows, or its Bit Position."""
LARGEST: Final = 1 << 28
"""Bits of an overlay plane that are worked with."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """One plane for one frame."""

    origin: tuple[int, int]
    """Row and column of the image under its first point, from 1; may lie outside."""
    bit: int
    """The bit of each pixel in which it stands, for one within the pixels; -1 for one beside."""
    points: "NDArray[np.uint8] | None" = None
    """``(rows, columns)`` of 0 and 1; None for one within the pixels."""


def overlays(dataset: Dataset, frame: int) -> list[Overlay]:
    """Give the overlay planes of ``frame`` (from 1); those that are broken are left out."""
    found = []
    for prefix, rows, bit in PLANES:
        if rows in dataset or bit in dataset:
            if text(dataset, f"{prefix}0022").upper() == "HIDDEN":
                continue
            overlay = plane(dataset, prefix, frame)
            if overlay is not None:
                found.append(overlay)
    return found


def plane(dataset: Dataset, prefix: str, frame: int) -> Overlay | None:
    """Give the plane of a group, such as ``6000``; None, if there is none, or it is broken."""
    if f"{prefix}0010" not in dataset and f"{prefix}0102" not in dataset:
        return None
    origin = [int(each) for each in numbers(dataset, f"{prefix}0050")] or [1, 1]
    place = (origin[0], origin[1] if len(origin) > 1 else 1)
    if f"{prefix}3000" not in dataset:
        bit = integer(dataset, f"{prefix}0102", 0)
        return Overlay(place, bit) if 0 < bit < 64 else None
    rows, columns = integer(dataset, f"{prefix}0010", 0), integer(dataset, f"{prefix}0011", 0)
    planes = integer(dataset, f"{prefix}0015", 1)
    number = frame - integer(dataset, f"{prefix}0051", 1) if planes > 1 else 0
    size = rows * columns
    if not 0 < size <= LARGEST or not 0 <= number < planes:
        return None
    return _plane(_bytes(dataset, f"{prefix}3000"), place, (rows, columns), number)


def _plane(
    data: bytes, origin: tuple[int, int], shape: tuple[int, int], plane: int
) -> Overlay | None:
    size = shape[0] * shape[1]
    start = plane * size
    if len(data) * 8 < start + size:
        return None
    first = start // 8
    packed = np.frombuffer(data, np.uint8)[first : (start + size + 7) // 8]
    points = np.unpackbits(packed, bitorder="little")[start - first * 8 :][:size]
    return Overlay(origin, -1, points.reshape(shape))


def _bytes(dataset: Dataset, tag: str) -> bytes:
    return words(dataset, tag).tobytes() if "Value" in dataset[tag] else binary(dataset, tag)


def burnt_in(picture: "NDArray[np.uint8]", pixels: Pixels, planes: "tuple[Overlay, ...]") -> None:
    """Paint the planes white into ``picture``, which is of the size of ``pixels``."""
    for overlay in planes:
        picture[on_image(overlay, pixels)] = 255


def on_image(overlay: Overlay, pixels: Pixels) -> "NDArray[np.bool_]":
    """Give ``(rows, columns)`` of the image, true where the plane is set."""
    if overlay.points is None:
        cells = pixels.view(f"u{pixels.dtype.itemsize}")
        points: NDArray[np.bool_] = ((cells >> overlay.bit) & 1).astype(bool)
        return points
    points = np.zeros(pixels.shape[:2], bool)
    _place(points, overlay.points, overlay.origin)
    return points


def _place(
    canvas: "NDArray[np.bool_]", points: "NDArray[np.uint8]", origin: tuple[int, int]
) -> None:
    top, left = origin[0] - 1, origin[1] - 1
    rows = slice(max(top, 0), min(top + points.shape[0], canvas.shape[0]))
    columns = slice(max(left, 0), min(left + points.shape[1], canvas.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        canvas[rows, columns] = points[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ].astype(bool)
