"""RLE compression of frames (PS3.5 Annex G), by pylibjpeg-rle."""

import struct
from typing import Final

import numpy as np
from rle.rle import decode_frame, decode_segment, encode_frame

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import native
from isocenter.imaging.native import Buffer, Pixels, arranged
from isocenter.imaging.pixel_format import PixelFormat

MOST_SEGMENTS: Final = 15
HEADER_SIZE: Final = 64
_HEADER: Final = struct.Struct("<L")


def decode(data: Buffer, form: PixelFormat) -> Pixels:
    """Give the frame. Raises: Malformed."""
    expected = form.samples_per_pixel * max(form.bits_allocated // 8, 1)
    if len(data) < HEADER_SIZE:
        raise Malformed("RLE header is cut short", offset=len(data))
    (segments,) = _HEADER.unpack_from(data)
    if segments != expected:
        raise Malformed(f"{segments} RLE segments where the image has {expected}", offset=0)
    if form.bits_allocated == 1:
        return _bits(data, form)
    try:
        cells = decode_frame(bytes(data), form.rows * form.columns, form.bits_allocated, "<")
    except ValueError as error:
        raise Malformed(f"RLE frame cannot be decoded: {error}") from error
    samples = np.frombuffer(cells, form.dtype.newbyteorder("<"), form.samples)
    if form.samples_per_pixel > 1:  # by planes, whatever the planar configuration (PS3.5 G.2)
        planes = samples.reshape(form.samples_per_pixel, form.rows, form.columns)
        return planes.transpose(1, 2, 0)
    return arranged(samples, form)


def _bits(data: Buffer, form: PixelFormat) -> Pixels:
    """Give a frame of single bits: encoders write them packed, or a byte each."""
    (start,) = _HEADER.unpack_from(data, 4)
    if start < HEADER_SIZE:
        raise Malformed(f"RLE segment at byte {start}", offset=4)
    try:
        cells = decode_segment(bytes(data[start:]))
    except ValueError as error:
        raise Malformed(f"RLE frame cannot be decoded: {error}") from error
    if len(cells) < form.samples:
        return native.decode(cells, form)
    return arranged(np.frombuffer(cells, np.uint8, form.samples), form)


def encode(pixels: Pixels, form: PixelFormat) -> bytes:
    """Give the compressed frame. Raises: Unsupported, for more segments than a frame may have."""
    if form.samples_per_pixel * form.bits_allocated // 8 > MOST_SEGMENTS:
        raise Unsupported(f"RLE has no more than {MOST_SEGMENTS} segments")
    if form.bits_allocated == 1:
        packed = np.frombuffer(native.encode(pixels, form), np.uint8)
        return bytes(encode_frame(packed.tobytes(), 1, packed.size, 1, 8, "<"))
    if form.samples_per_pixel not in (1, 3):
        raise Unsupported(f"RLE of {form.samples_per_pixel} samples per pixel")
    cells = _interleaved(pixels, form)
    encoded = encode_frame(
        cells, form.rows, form.columns, form.samples_per_pixel, form.bits_allocated, "<"
    )
    return bytes(encoded)


def _interleaved(pixels: Pixels, form: PixelFormat) -> bytes:
    if form.planar_configuration == 0:
        return native.encode(pixels, form)
    return pixels.astype(form.dtype.newbyteorder("<"), copy=False).tobytes()
