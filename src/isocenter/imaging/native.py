"""Uncompressed frames: cells of bytes to arrays and back (PS3.5 8.1, Annex D)."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed
from isocenter.imaging.pixel_format import PixelFormat

Buffer = bytes | bytearray | memoryview
Pixels = NDArray[Any]

SHARED_CHROMA: Final = {"YBR_FULL_422": "YBR_FULL", "YBR_PARTIAL_422": "YBR_PARTIAL"}
"""Photometric interpretations in which two pixels share theirs, and what they are without that.

Source: PS3.3 C.7.6.3.1.2.
"""


def decode(data: Buffer, form: PixelFormat, *, is_big_endian: bool = False) -> Pixels:
    """Give the frame as an array, without a copy where that can be.

    Bits above those stored are left as they are. Raises: Malformed, where bytes are missing.
    """
    if form.bits_allocated == 1:
        return _bits(data, form)
    dtype = form.dtype.newbyteorder(">" if is_big_endian else "<")
    if is_big_endian and form.bits_allocated == 8:
        # Big endian pixel data is OW: the two bytes of each word change places (PS3.5 A.3).
        data = swapped(data)
    if is_subsampled(form):
        return _upsampled(data, form)
    size = form.samples * dtype.itemsize
    if len(data) < size:
        raise Malformed(f"{len(data)} bytes of pixels where a frame takes {size}")
    cells = np.frombuffer(data, dtype, form.samples)
    return arranged(cells, form).astype(form.dtype, copy=False)


def is_subsampled(form: PixelFormat) -> bool:
    """Whether uncompressed pixels share their chroma two by two (PS3.3 C.7.6.3.1.2)."""
    return (
        form.photometric_interpretation in SHARED_CHROMA
        and form.samples_per_pixel == 3
        and form.bits_allocated == 8
    )


def _upsampled(data: Buffer, form: PixelFormat) -> Pixels:
    pixels = form.rows * form.columns
    if len(data) >= pixels * 3:  # Peer quirk: named so, but with chroma for every pixel
        return arranged(np.frombuffer(data, np.uint8, pixels * 3), form)
    if form.columns % 2 or len(data) < pixels * 2:
        raise Malformed(f"{len(data)} bytes of pixels where a frame takes {pixels * 2}")
    pairs = np.frombuffer(data, np.uint8, pixels * 2).reshape(-1, 4)
    full = pairs[:, (0, 2, 3, 1, 2, 3)]
    return full.reshape(form.rows, form.columns, 3)


def arranged(cells: Pixels, form: PixelFormat) -> Pixels:
    """Give samples in their order in the data set the shape of the frame."""
    if form.samples_per_pixel == 1:
        return cells.reshape(form.rows, form.columns)
    if form.planar_configuration == 1:
        planes = cells.reshape(form.samples_per_pixel, form.rows, form.columns)
        return planes.transpose(1, 2, 0)
    return cells.reshape(form.rows, form.columns, form.samples_per_pixel)


def encode(pixels: Pixels, form: PixelFormat) -> bytes:
    """Give a frame as little endian cells, samples of a pixel as ``form`` wants them."""
    if form.bits_allocated == 1:
        return np.packbits(pixels.astype(bool).ravel(), bitorder="little").tobytes()
    if form.planar_configuration == 1 and form.samples_per_pixel > 1:
        pixels = pixels.transpose(2, 0, 1)
    return pixels.astype(form.dtype.newbyteorder("<"), copy=False).tobytes()


def swapped(data: Buffer) -> bytes:
    """Change the bytes of each word; of an odd length the last stays."""
    whole = len(data) & ~1
    words = np.frombuffer(data, "<u2", whole // 2).byteswap().tobytes()
    return words + bytes(data[whole:])


def _bits(data: Buffer, form: PixelFormat) -> Pixels:
    if len(data) * 8 < form.samples:
        raise Malformed(f"{len(data)} bytes of pixels where a frame takes {form.samples} bits")
    packed = np.frombuffer(data, np.uint8, (form.samples + 7) // 8)
    return arranged(np.unpackbits(packed, count=form.samples, bitorder="little"), form)
