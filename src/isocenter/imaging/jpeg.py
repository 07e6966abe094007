"""The JPEG processes of ISO 10918-1 (PS3.5 8.2.1, A.4.1), by imagecodecs (libjpeg-turbo).

No colour is transformed on the way: what the samples mean is what Photometric Interpretation says,
not what the stream's markers hint at.
"""

import imagecodecs

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import codestream, samples
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat

DEFAULT_QUALITY = 90


def decode(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame, its chroma upsampled. Raises: Malformed."""
    stream = codestream.jpeg(data)
    codestream.must_fit(stream, form)
    try:
        if stream.components == 3:
            pixels = imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="YCBCR")
        else:
            pixels = imagecodecs.jpeg8_decode(data)
    except (RuntimeError, ValueError) as error:
        raise Malformed(f"JPEG stream cannot be decoded: {error}") from error
    return samples.signed(pixels.reshape(form.shape), form)


def encode_baseline(pixels: Pixels, form: PixelFormat, quality: int = DEFAULT_QUALITY) -> bytes:
    """Compress with loss; colours are to be RGB, and become YBR_FULL_422.

    Raises: Unsupported, for samples of more than 8 bits.
    """
    if form.bits_stored > 8 or form.is_signed or form.bits_allocated != 8:
        raise Unsupported("JPEG baseline holds unsigned samples of 8 bits")
    samples.unsigned(pixels, form)  # raises where bits would be lost
    if form.samples_per_pixel == 1:
        return bytes(imagecodecs.jpeg8_encode(pixels, quality))
    return bytes(
        imagecodecs.jpeg8_encode(
            pixels, quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="422"
        )
    )


def encode_lossless(pixels: Pixels, form: PixelFormat) -> bytes:
    """Compress by first-order prediction, selection value 1 (process 14).

    Raises: Unsupported, for samples of more than 16 bits.
    """
    if form.bits_allocated not in (8, 16):
        raise Unsupported(f"JPEG lossless of samples of {form.bits_allocated} bits")
    cells = samples.unsigned(pixels, form)
    raw = {"colorspace": "RGB", "outcolorspace": "RGB"} if form.samples_per_pixel == 3 else {}
    return bytes(
        imagecodecs.jpeg8_encode(
            cells, lossless=True, predictor=1, bitspersample=form.bits_stored, **raw
        )
    )
