"""Grey-scale display: stored values through modality, VOI and presentation (PS3.4 N.2)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.imaging.image import Image, Padding
from isocenter.imaging.luts import Function, Rescale, Table, Values, Window
from isocenter.imaging.native import Pixels
from isocenter.imaging.pixel_format import PixelFormat

Bytes = NDArray[np.uint8]

MOST_BITS_BY_TABLE: Final = 16
"""Up to here every value that can be is mapped once, and pixels are looked up."""


@dataclass(frozen=True, slots=True)
class Shading:
    """How grey values are to be shown."""

    modality: Rescale | Table
    voi: Window | Table | None
    """None: from the lowest to the highest value there is."""
    is_inverse: bool = False
    presentation: Table | None = None
    padding: Padding | None = None
    """Shown as background."""


def shading(image: Image, frame: int, window: Window | None = None) -> Shading:
    """Give what the image itself asks for; ``window`` goes before its own. Raises: Malformed."""
    voi: Window | Table | None = window
    if voi is None:
        offered: list[Window | Table] = [*image.windows(frame), *image.voi_tables()]
        voi = offered[0] if offered else None
    return Shading(image.modality(frame), voi, image.is_inverse, padding=image.padding)


def shown(pixels: Pixels, form: PixelFormat, look: Shading) -> Bytes:
    """Give ``(rows, columns)`` in greys of 8 bits."""
    if form.is_float or form.bits_stored > MOST_BITS_BY_TABLE:
        return _directly(pixels.astype(np.float64), look)
    patterns = _patterns(pixels, form.bits_stored)
    values = _all_values(form.bits_stored, is_signed=form.is_signed)
    if look.voi is None and not _is_plain(form, look):
        values_there = values[np.flatnonzero(np.bincount(patterns.ravel(), minlength=values.size))]
        look = _spread(look, values_there)
    table = _directly(values, look)
    greys: Bytes = table[patterns]
    return greys


def _patterns(pixels: Pixels, bits_stored: int) -> Pixels:
    """Stored values as numbers from 0, what lies in the bits above left out."""
    unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
    if bits_stored < 8 * pixels.dtype.itemsize:
        masked: Pixels = unsigned & np.array((1 << bits_stored) - 1, unsigned.dtype)
        return masked
    return unsigned


def _all_values(bits: int, *, is_signed: bool) -> Values:
    values = np.arange(1 << bits, dtype=np.float64)
    if is_signed:
        values[1 << (bits - 1) :] -= 1 << bits
    return values


def _is_plain(form: PixelFormat, look: Shading) -> bool:
    """Pixels of 8 bits without a word on windows are shown as they are."""
    return form.bits_stored <= 8 and not form.is_signed and look.modality == Rescale()


def _directly(values: Values, look: Shading) -> Bytes:
    padded = None
    if look.padding is not None:
        padded = (values >= look.padding.low) & (values <= look.padding.high)
    look = look if look.voi is not None else _spread(look, values)
    mapped = look.modality.apply(values)
    if isinstance(look.voi, Window):
        mapped = look.voi.apply(mapped)
    elif look.voi is not None:
        mapped = look.voi.apply_scaled(mapped)
    if look.presentation is not None:
        table = look.presentation
        mapped = table.apply_scaled(np.rint(mapped * (len(table.entries) - 1)) + table.first)
    if look.is_inverse:
        mapped = 1 - mapped
    if padded is not None:
        mapped = np.where(padded, 0.0, mapped)
    greys: Bytes = np.nan_to_num(np.rint(mapped * 255), nan=0.0).astype(np.uint8)
    return greys


def _spread(look: Shading, values: Values) -> Shading:
    """Choose the window from the lowest to the highest of ``values`` that is no padding."""
    if look.padding is not None:
        inside = (values < look.padding.low) | (values > look.padding.high)
        values = values[inside] if inside.any() else values
    mapped = look.modality.apply(values)
    finite = mapped[np.isfinite(mapped)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    window = Window(float((low + high) / 2), float(max(high - low, 1e-6)), Function.LINEAR_EXACT)
    return Shading(look.modality, window, look.is_inverse, look.presentation, look.padding)
