"""Deflated image frames (PS3.5 A.4.13): cells as native ones, each frame deflated by itself."""

import zlib

from isocenter.errors import Malformed
from isocenter.imaging import native
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat

LEVEL = 6


def decode(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame, inflating no more than it holds. Raises: Malformed."""
    size = (form.samples * form.bits_allocated + 7) // 8
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        cells = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise Malformed(f"deflated frame cannot be inflated: {error}") from error
    return native.decode(cells, form)


def encode(pixels: Pixels, form: PixelFormat) -> bytes:
    """Deflate the frame."""
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(native.encode(pixels, form)) + deflater.flush()
