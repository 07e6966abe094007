"""Grey-scale display: stored values through modality, VOI and presentation (PS3.4 N.2)."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.imaging import worksite
from isocenter.imaging.image import Image, Padding
from isocenter.imaging.luts import Function, Rescale, Table, Values, Window
from isocenter.imaging.native import Pixels
from isocenter.imaging.pixel_format import PixelFormat

Bytes = NDArray[np.uint8]

MOST_BITS_BY_TABLE: Final = 16
"""Up to here every value that can be is mapped once, and pixels are looked up."""
FEW_BITS: Final = 12
"""Up to here to map all values that can be is quicker than to find out which there are."""
MOST_BYTES_BY_BITS: Final = 2
"""Up to this size of a cell there is a table for whatever bits are in it."""
AT_A_TIME: Final = 1 << 15
"""Pixels that are looked up together: NumPy makes numbers of 64 bits of them, for the cache."""


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
    modality = image.modality(frame)
    voi: Window | Table | None = window
    if voi is None:
        offered: list[Window | Table] = [
            *image.windows(frame),
            *image.voi_tables(frame, modality),
        ]
        voi = offered[0] if offered else None
    return Shading(modality, voi, image.is_inverse, padding=image.padding)


def shown(pixels: Pixels, form: PixelFormat, look: Shading) -> Bytes:
    """Give ``(rows, columns)`` in greys of 8 bits."""
    if form.is_float or form.bits_stored > MOST_BITS_BY_TABLE:
        return _directly(pixels.astype(np.float64), look)
    if look.voi is not None and form.bits_stored <= FEW_BITS:
        return _looked_up(_whole_table(pixels.dtype.itemsize, form, look), pixels)
    stored = stored_values(pixels, form)
    low, high = int(stored.min()), int(stored.max())
    values = np.arange(low, high + 1, dtype=np.float64)
    if look.voi is None:
        look = _spread_plainly(form, look) or _spread(look, _values_there(stored, values, look))
    # Only what is there is mapped.
    greys = _directly(values, look)
    size = stored.dtype.itemsize
    if size <= MOST_BYTES_BY_BITS:
        return _looked_up(_by_bits(greys, low, size), stored)
    return _looked_up(greys, _counted_from(stored, low))


def _counted_from(stored: Pixels, first: int) -> Pixels:
    """How far each value is above ``first``, unsigned; what is below comes out very large."""
    size = stored.dtype.itemsize
    above: Pixels = stored.view(f"u{size}") - np.array(first & _MASKS[size], f"u{size}")
    return above


def _by_bits(greys: Bytes, low: int, size: int) -> Bytes:
    """A table for all that can be in a cell of ``size`` bytes, by its bits unsigned.

    ``greys`` are for the values from ``low`` on; nobody looks up the others.
    """
    table = np.zeros(1 << 8 * size, np.uint8)
    start = low & _MASKS[size]
    straight = min(len(greys), len(table) - start)
    table[start : start + straight] = greys[:straight]
    table[: len(greys) - straight] = greys[straight:]  # from 0 on, behind negative ones
    return table


def _whole_table(size: int, form: PixelFormat, look: Shading) -> Bytes:
    """What is shown for all that can be in a cell of ``size`` bytes, by its bits unsigned."""
    count = 1 << form.bits_stored
    values = np.arange(count, dtype=np.float64)
    if form.is_signed:
        values[count // 2 :] -= count
    # Bits above those stored make no difference.
    return np.tile(_directly(values, look), (1 << 8 * size) // count)


def _looked_up(table: Bytes, pixels: Pixels) -> Bytes:
    """Each pixel's grey; all bits that there are stand for a place in the table."""
    at = np.ascontiguousarray(pixels).view(f"u{pixels.dtype.itemsize}").reshape(-1)
    room = worksite.array(at.shape, np.dtype(np.uint8))
    greys: Bytes = np.empty(at.shape, np.uint8) if room is None else room
    for start in range(0, at.size, AT_A_TIME):
        table.take(at[start : start + AT_A_TIME], out=greys[start : start + AT_A_TIME], mode="wrap")
    return greys.reshape(pixels.shape)


_MASKS: Final = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF, 8: 0xFFFFFFFFFFFFFFFF}


def stored_values(pixels: Pixels, form: PixelFormat) -> Pixels:
    """Stored values, what lies in the bits above left out."""
    unused = 8 * pixels.dtype.itemsize - form.bits_stored
    if not unused:
        return pixels
    if not form.is_signed:
        masked: Pixels = pixels & np.array((1 << form.bits_stored) - 1, pixels.dtype)
        return masked
    shift = np.array(unused, pixels.dtype)
    extended: Pixels = (pixels << shift) >> shift
    return extended


def _values_there(stored: Pixels, values: Values, look: Shading) -> Values:
    """The values among which the lowest and the highest are to be found: no padding."""
    padding = look.padding
    low, high = int(values[0]), int(values[-1])
    if padding is None or not any(padding.low <= end <= padding.high for end in (low, high)):
        return values if isinstance(look.modality, Table) else values[[0, -1]]
    if isinstance(look.modality, Table):
        counts = np.bincount((stored.astype(np.int64) - low).ravel(), minlength=values.size)
        return values[np.flatnonzero(counts)]
    first, last = ceil(padding.low), floor(padding.high)
    if low >= first and high <= last:
        return values[[0, -1]]  # there is nothing but padding
    if low >= first:
        low = last + 1 + int(_counted_from(stored, last + 1).min())
    if high <= last:
        high = first - 1 - int((-_counted_from(stored, first - 1)).min())
    return np.array((low, high), np.float64)


def _spread_plainly(form: PixelFormat, look: Shading) -> Shading | None:
    """Pixels of 8 bits without a word on windows are shown as they are."""
    if not is_plain(form, look):
        return None
    highest = (1 << form.bits_stored) - 1
    return _spread(look, np.array((0.0, highest)))


def is_plain(form: PixelFormat, look: Shading) -> bool:
    """Pixels of 8 bits without a word on windows are shown as they are."""
    return form.bits_stored <= 8 and not form.is_signed and look.modality == Rescale()


def _directly(values: Values, look: Shading) -> Bytes:
    greys: Bytes = np.rint(fractions(values, look) * 255).astype(np.uint8)
    return greys


def fractions(values: Values, look: Shading) -> Values:
    """Give how light each value is shown, from 0 to 1."""
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
    return np.clip(np.nan_to_num(mapped, nan=0.0), 0, 1)


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
