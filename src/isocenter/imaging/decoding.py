"""Decoding and encoding frames as jobs of the workers."""

import numpy as np

from isocenter.imaging.codecs import codec
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.workers import Workers


async def decode(workers: Workers, frame: Buffer, syntax: str, form: PixelFormat) -> Pixels:
    """Decode one frame. Raises: Malformed, Unsupported."""
    codec(syntax)
    cells = await workers.lend(decoded, [frame], syntax, form)
    return np.frombuffer(cells, form.dtype).reshape(form.shape)


async def encode(workers: Workers, pixels: Pixels, syntax: str, form: PixelFormat) -> bytes:
    """Encode one frame. Raises: Unsupported."""
    cells = np.ascontiguousarray(pixels, form.dtype)
    return await workers.run(encoded, [cells.reshape(-1).view(np.uint8).data], syntax, form)


def decoded(frame: memoryview, syntax: str, form: PixelFormat) -> Buffer:
    """Decode, in a worker: gives the samples of the array."""
    decoder = codec(syntax).decode
    assert decoder is not None
    pixels = np.ascontiguousarray(decoder(frame, form))
    return pixels.reshape(-1).view(np.uint8).data


def encoded(cells: memoryview, syntax: str, form: PixelFormat) -> Buffer:
    """Encode the samples of an array, in a worker."""
    encoder = codec(syntax).encode
    assert encoder is not None
    return encoder(np.frombuffer(cells, form.dtype).reshape(form.shape), form)
