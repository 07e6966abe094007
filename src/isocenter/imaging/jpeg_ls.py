"""JPEG-LS (ISO 14495-1; PS3.5 8.2.3, A.4.3), by imagecodecs (CharLS)."""

from typing import Final

import imagecodecs

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import codestream, samples
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat

MOST_GROWTH: Final = 4
"""What a sample can take of its size: no code is longer than LIMIT (ISO 14495-1 A.2.1)."""
MOST_HEADERS: Final = 1 << 12


def decode(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame. Raises: Malformed."""
    codestream.must_fit(codestream.jpeg(data), form)
    try:
        pixels = imagecodecs.jpegls_decode(data)
    except (RuntimeError, ValueError) as error:
        raise Malformed(f"JPEG-LS stream cannot be decoded: {error}") from error
    return samples.signed(pixels.reshape(form.shape), form)


def encode(pixels: Pixels, form: PixelFormat, allowed_error: int = 0) -> bytes:
    """Compress; a sample may be wrong by ``allowed_error``.

    Raises: Unsupported, for samples of more than 16 bits.
    """
    if form.bits_allocated not in (8, 16):
        raise Unsupported(f"JPEG-LS of samples of {form.bits_allocated} bits")
    samples.unsigned(pixels, form)  # raises where bits would be lost
    # Peer quirk: pydicom does not extend the sign of fewer bits, so that it is written in full.
    cells = pixels.view(f"u{pixels.dtype.itemsize}")
    try:
        return bytes(imagecodecs.jpegls_encode(cells, allowed_error))
    except imagecodecs.JpeglsError:
        # Noise grows: the library provides for less than it then takes.
        most = MOST_GROWTH * cells.nbytes + MOST_HEADERS
        return bytes(imagecodecs.jpegls_encode(cells, allowed_error, out=most))
