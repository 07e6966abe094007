"""Pictures as files: scaled to a viewport, written as a media type (PS3.18 8.7.4, 8.3.5)."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from isocenter.errors import Malformed, Unsupported

Bytes = NDArray[np.uint8]

DEFAULT_QUALITY: Final = 90
LARGEST_SIDE: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewport:
    """Where a picture is to fit, and which part of it (PS3.18 8.3.5.1.3); in pixels."""

    width: int
    height: int
    left: int = 0
    top: int = 0
    source_width: int = 0
    """0: to the right edge. Negative: mirrored."""
    source_height: int = 0

    def __post_init__(self) -> None:
        """Raises: Malformed."""
        if not (0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE):
            raise Malformed(f"a viewport of {self.width} by {self.height} pixels")


def scaled(picture: Bytes, viewport: Viewport | None, aspect: float = 1.0) -> Bytes:
    """Fit a picture into ``viewport``, keeping its proportions; its pixels become square.

    Raises: Malformed, for a region that lies outside.
    """
    if viewport is None and aspect == 1:
        return picture
    region, mirrored = _region(picture, viewport)
    height, width = region.shape[0] * max(aspect, 1.0), region.shape[1] / min(aspect, 1.0)
    if viewport is not None:
        scale = min(viewport.width / width, viewport.height / height)
        width, height = width * scale, height * scale
    size = (min(max(round(width), 1), LARGEST_SIDE), min(max(round(height), 1), LARGEST_SIDE))
    if size == (region.shape[1], region.shape[0]):
        return mirrored(region)
    shrinks = size[0] * size[1] < region.shape[0] * region.shape[1]
    method = Pillow.Resampling.BOX if shrinks else Pillow.Resampling.BILINEAR
    return mirrored(np.asarray(Pillow.fromarray(region).resize(size, method)))


def _region(picture: Bytes, viewport: Viewport | None) -> "tuple[Bytes, Callable[[Bytes], Bytes]]":
    rows, columns = picture.shape[:2]
    if viewport is None:
        return picture, _as_is
    width = viewport.source_width or columns - viewport.left
    height = viewport.source_height or rows - viewport.top
    region = picture[
        max(viewport.top, 0) : viewport.top + abs(height),
        max(viewport.left, 0) : viewport.left + abs(width),
    ]
    if not region.size:
        raise Malformed("the region of the viewport lies outside of the image")
    steps = (-1 if height < 0 else 1, -1 if width < 0 else 1)
    if steps == (1, 1):
        return np.ascontiguousarray(region), _as_is
    return np.ascontiguousarray(region), lambda each: each[:: steps[0], :: steps[1]]


def _as_is(picture: Bytes) -> Bytes:
    return picture


def jpeg(picture: Bytes, quality: int) -> bytes:
    """Write a JPEG file."""
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(picture), quality))


def png(picture: Bytes, quality: int) -> bytes:
    """Write a PNG file; ``quality`` does not matter."""
    del quality
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture), 1))


def webp(picture: Bytes, quality: int) -> bytes:
    """Write a WebP file."""
    coloured = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    return bytes(imagecodecs.webp_encode(np.ascontiguousarray(coloured), quality))


def jp2(picture: Bytes, quality: int) -> bytes:
    """Write a JP2 file."""
    level = 0 if quality >= 100 else 20 + quality / 3
    return bytes(
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(picture), level, codecformat="jp2", reversible=not level
        )
    )


def gif(picture: Bytes, quality: int) -> bytes:
    """Write a GIF file of one frame; ``quality`` does not matter."""
    del quality
    out = io.BytesIO()
    Pillow.fromarray(picture).save(out, "GIF")
    return out.getvalue()


WRITERS: Final[Mapping[str, Callable[[Bytes, int], bytes]]] = MappingProxyType(
    {"image/jpeg": jpeg, "image/png": png, "image/gif": gif, "image/jp2": jp2, "image/webp": webp}
)
"""Media types of stills, the default first."""


def written(picture: Bytes, media_type: str, quality: int = DEFAULT_QUALITY) -> bytes:
    """Write a picture as ``media_type``; ``quality`` from 1 to 100. Raises: Unsupported."""
    writer = WRITERS.get(media_type)
    if writer is None:
        raise Unsupported(f"a picture is not written as {media_type}")
    return writer(picture, quality)
