"""JPEG XL (ISO 18181; PS3.5 8.2.15, A.4.12), by imagecodecs (libjxl)."""

import imagecodecs

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import codestream, jpeg, samples, worksite
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat

QUICKEST = 1
"""Effort: twenty times as fast as the next, for some percent more bytes."""


def decode(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame, in RGB if it has colours.

    Raises: Malformed.
    """
    codestream.must_fit(codestream.jpeg_xl(data), form)
    try:
        pixels = imagecodecs.jpegxl_decode(
            data, keeporientation=True, numthreads=worksite.threads()
        )
    except (RuntimeError, ValueError) as error:
        raise Malformed(f"JPEG XL stream cannot be decoded: {error}") from error
    if pixels.size != form.samples:
        raise Malformed(
            f"the stream holds {pixels.size} samples where the image has {form.samples}"
        )
    return samples.signed(pixels.reshape(form.shape), form)


def decode_recompressed(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame of the JPEG stream that this was made of, as ``jpeg.decode`` gives it.

    Raises: Malformed; Unsupported, if it was made of something else.
    """
    codestream.must_fit(codestream.jpeg_xl(data), form)
    return jpeg.decode(to_jpeg(data), form)


def encode(pixels: Pixels, form: PixelFormat) -> bytes:
    """Compress without loss. Raises: Unsupported, for samples of more than 16 bits."""
    if form.bits_allocated not in (8, 16) or form.samples_per_pixel not in (1, 3):
        raise Unsupported(
            f"JPEG XL of {form.samples_per_pixel} samples of {form.bits_allocated} bits"
        )
    cells = samples.unsigned(pixels, form)
    return bytes(
        imagecodecs.jpegxl_encode(
            cells,
            lossless=True,
            effort=QUICKEST,
            bitspersample=form.bits_stored,
            usecontainer=False,
        )
    )


def from_jpeg(data: Buffer) -> bytes:
    """Recompress a JPEG stream so that it can be had back byte for byte. Raises: Malformed."""
    try:
        return bytes(imagecodecs.jpegxl_encode_jpeg(data))
    except (RuntimeError, ValueError) as error:
        raise Malformed(f"JPEG stream cannot be recompressed: {error}") from error


def to_jpeg(data: Buffer) -> bytes:
    """Give back the JPEG stream that was recompressed. Raises: Unsupported, if there was none."""
    try:
        return bytes(imagecodecs.jpegxl_decode_jpeg(data))
    except (RuntimeError, ValueError) as error:
        raise Unsupported("this JPEG XL stream was not made from a JPEG stream") from error
