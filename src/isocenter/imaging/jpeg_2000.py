"""JPEG 2000 and HTJ2K (ISO 15444-1, -15; PS3.5 8.2.4, 8.2.14, A.4.4, A.4.10).

By imagecodecs: OpenJPEG, and OpenJPH for reversible HTJ2K. OpenJPH as imagecodecs calls it wraps
around where a lossy stream overshoots, so OpenJPEG decodes those.
"""

from collections.abc import Callable

import imagecodecs
import numpy as np

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import codestream, samples, worksite
from isocenter.imaging.codestream import Codestream
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat

DEFAULT_NOISE_RATIO = 60
DEFAULT_STEP = 0.001


def decode(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame; a component transformation is undone, so YBR_RCT and YBR_ICT become RGB.

    Raises: Malformed.
    """
    return _decoded(_by_openjpeg, data, form, codestream.jpeg_2000(data))


def decode_high_throughput(data: Buffer, form: PixelFormat) -> Pixels:
    """As ``decode``, for HTJ2K."""
    stream = codestream.jpeg_2000(data)
    return _decoded(_by_openjph if stream.is_reversible else _by_openjpeg, data, form, stream)


def _by_openjpeg(data: Buffer, _: Codestream) -> Pixels:
    pixels: Pixels = imagecodecs.jpeg2k_decode(data, numthreads=worksite.threads())
    return pixels


def _by_openjph(data: Buffer, stream: Codestream) -> Pixels:
    shape = (stream.rows, stream.columns)
    dtype = np.dtype(f"{'i' if stream.is_signed else 'u'}{_width(stream.precision)}")
    # Where there is room for it: colours may come in another order.
    room = worksite.array(shape, dtype) if stream.components == 1 else None
    pixels: Pixels = imagecodecs.htj2k_decode(data, planar=False, out=room)
    return pixels


def _width(bits: int) -> int:
    """Bytes of a sample as decoders give it."""
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def _decoded(
    decoder: Callable[[Buffer, Codestream], Pixels],
    data: Buffer,
    form: PixelFormat,
    stream: Codestream,
) -> Pixels:
    codestream.must_fit(stream, form)
    try:
        pixels = decoder(data, stream)
    except (RuntimeError, ValueError) as error:
        raise Malformed(f"JPEG 2000 stream cannot be decoded: {error}") from error
    return samples.signed(pixels.reshape(form.shape), form)


def encode_lossless(pixels: Pixels, form: PixelFormat) -> bytes:
    """Compress by the reversible wavelet; RGB becomes YBR_RCT."""
    _check(form)
    return bytes(
        imagecodecs.jpeg2k_encode(
            _cells(pixels, form),
            codecformat="j2k",
            reversible=True,
            bitspersample=form.bits_stored,
            mct=_is_transformed(form),
        )
    )


def encode_lossy(
    pixels: Pixels, form: PixelFormat, noise_ratio: int = DEFAULT_NOISE_RATIO
) -> bytes:
    """Compress by the irreversible wavelet to a peak signal to noise ratio in dB.

    RGB becomes YBR_ICT.
    """
    _check(form)
    return bytes(
        imagecodecs.jpeg2k_encode(
            _cells(pixels, form),
            level=noise_ratio,
            codecformat="j2k",
            reversible=False,
            bitspersample=form.bits_stored,
            mct=_is_transformed(form),
        )
    )


def encode_high_throughput(pixels: Pixels, form: PixelFormat) -> bytes:
    """As ``encode_lossless``, for HTJ2K."""
    _check(form)
    return bytes(
        imagecodecs.htj2k_encode(_cells(pixels, form), reversible=True, rgb=_is_transformed(form))
    )


def encode_progressive(pixels: Pixels, form: PixelFormat) -> bytes:
    """As ``encode_high_throughput``, in the order RPCL with a tile-part for each resolution."""
    _check(form)
    return bytes(
        imagecodecs.htj2k_encode(
            _cells(pixels, form),
            reversible=True,
            rgb=_is_transformed(form),
            tlm=True,
            tilepart=imagecodecs.HTJ2K.TILEPART.RESOLUTIONS,
        )
    )


def encode_high_throughput_lossy(
    pixels: Pixels, form: PixelFormat, step: float = DEFAULT_STEP
) -> bytes:
    """Compress by the irreversible wavelet; ``step`` quantizes, of a full scale of 1."""
    _check(form)
    return bytes(
        imagecodecs.htj2k_encode(
            _cells(pixels, form), level=step, reversible=False, rgb=_is_transformed(form)
        )
    )


def _check(form: PixelFormat) -> None:
    if form.bits_allocated not in (8, 16) or form.samples_per_pixel not in (1, 3):
        raise Unsupported(
            f"JPEG 2000 of {form.samples_per_pixel} samples of {form.bits_allocated} bits"
        )


def _is_transformed(form: PixelFormat) -> bool:
    """Colours other than RGB are compressed as they are (PS3.5 8.2.4)."""
    return form.photometric_interpretation == "RGB"


def _cells(pixels: Pixels, form: PixelFormat) -> Pixels:
    """What the encoder takes; signed samples stay signed."""
    samples.unsigned(pixels, form)  # raises where bits would be lost
    return np.ascontiguousarray(pixels)
