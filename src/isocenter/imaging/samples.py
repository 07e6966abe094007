"""Samples as codecs see them: unsigned numbers of as many bits as are stored."""

import numpy as np

from isocenter.errors import Unsupported
from isocenter.imaging.native import Pixels
from isocenter.imaging.pixel_format import PixelFormat


def signed(pixels: Pixels, form: PixelFormat) -> Pixels:
    """Give decoded ``pixels`` the type of ``form``, the sign bit being the highest one stored."""
    if not form.is_signed or pixels.dtype.kind == "i":
        return pixels.astype(form.dtype, copy=False)
    shift = form.bits_allocated - form.bits_stored
    cells = pixels.astype(form.dtype, copy=True)
    if shift:
        np.left_shift(cells, shift, out=cells)
        np.right_shift(cells, shift, out=cells)
    return cells


def unsigned(pixels: Pixels, form: PixelFormat) -> Pixels:
    """Give ``pixels`` as unsigned numbers below 2 to the power of ``bits_stored``.

    Raises: Unsupported, where that would lose something.
    """
    cells = pixels.view(f"u{pixels.dtype.itemsize}") if pixels.dtype.kind == "i" else pixels
    if form.bits_stored == form.bits_allocated:
        return cells
    kept: Pixels = cells & np.array((1 << form.bits_stored) - 1, cells.dtype)
    if not np.array_equal(signed(kept, form), pixels):
        raise Unsupported(f"there are values that do not fit the {form.bits_stored} bits stored")
    return kept
