"""Pictures as files: scaled to a viewport, written as a media type (PS3.18 8.7.4, 8.3.5)."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from isocenter.errors import Malformed, Unsupported

Bytes = NDArray[np.uint8]

_BOX: Final = Struct(">I")

DEFAULT_QUALITY: Final = 90
LARGEST_SIDE: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewport:
    """Where a picture is to fit, and which part of it (PS3.18 8.3.5.1.3, 9.5.1.2.4, 9.5.1.2.5)."""

    width: int = 0
    """In pixels; 0: as the height asks, or as many as there are."""
    height: int = 0
    left: float = 0
    """Of the region: in pixels, or, if ``is_normalized``, of the whole picture's width."""
    top: float = 0
    source_width: float = 0
    """0: to the right edge. Negative: mirrored."""
    source_height: float = 0
    is_normalized: bool = False

    def __post_init__(self) -> None:
        """Raises: Malformed."""
        if not (0 <= self.width <= LARGEST_SIDE and 0 <= self.height <= LARGEST_SIDE):
            raise Malformed(f"a viewport is of 1 to {LARGEST_SIDE} pixels a side")

    def region(self, rows: int, columns: int) -> tuple[slice, slice]:
        """Give the rows and columns that are shown. Raises: Malformed, if there are none."""
        across, down = (columns, rows) if self.is_normalized else (1, 1)
        left, right = _span(self.left * across, abs(self.source_width) * across, columns)
        top, bottom = _span(self.top * down, abs(self.source_height) * down, rows)
        if left >= right or top >= bottom:
            raise Malformed("the region of the viewport lies outside of the image")
        return slice(top, bottom), slice(left, right)

    def size(self, width: float, height: float) -> tuple[float, float]:
        """Give the size of what is ``width`` by ``height``, in proportion, when it is fit in."""
        scales = [
            wanted / there
            for wanted, there in ((self.width, width), (self.height, height))
            if wanted
        ]
        scale = min(scales, default=1.0)
        return width * scale, height * scale


def _span(start: float, length: float, most: int) -> tuple[int, int]:
    first = round(min(abs(start), most))
    return first, min(round(min(abs(start) + length, most)) if length else most, most)


def scaled(picture: Bytes, viewport: Viewport | None, aspect: float = 1.0) -> Bytes:
    """Fit a picture into ``viewport``, keeping its proportions; its pixels become square.

    Raises: Malformed, for a region that lies outside.
    """
    if viewport is None and aspect == 1:
        return picture
    viewport = viewport or Viewport()
    region = picture[viewport.region(*picture.shape[:2])]
    size = _pixels(
        *viewport.size(region.shape[1] / min(aspect, 1.0), region.shape[0] * max(aspect, 1.0))
    )
    if size != (region.shape[1], region.shape[0]):
        shrinks = size[0] * size[1] < region.shape[0] * region.shape[1]
        method = Pillow.Resampling.BOX if shrinks else Pillow.Resampling.BILINEAR
        source = Pillow.fromarray(np.ascontiguousarray(region))
        region = np.asarray(source.resize(size, method))
    across = -1 if viewport.source_width < 0 else 1
    down = -1 if viewport.source_height < 0 else 1
    return np.ascontiguousarray(region[::down, ::across])


def _pixels(width: float, height: float) -> tuple[int, int]:
    """Whole pixels, not too many: what is too large shrinks in proportion."""
    excess = max(width / LARGEST_SIDE, height / LARGEST_SIDE, 1.0)
    return max(round(width / excess), 1), max(round(height / excess), 1)


def jpeg(picture: Bytes, quality: int, profile: bytes) -> bytes:
    """Write a JPEG file."""
    if profile:
        return _saved(picture, "JPEG", quality=quality, icc_profile=profile)
    return bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(picture), quality))


def png(picture: Bytes, quality: int, profile: bytes) -> bytes:
    """Write a PNG file; ``quality`` does not matter."""
    del quality
    if profile:
        return _saved(picture, "PNG", icc_profile=profile)
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture), 1))


def webp(picture: Bytes, quality: int, profile: bytes) -> bytes:
    """Write a WebP file."""
    coloured = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    if profile:
        return _saved(coloured, "WEBP", quality=quality, icc_profile=profile)
    return bytes(imagecodecs.webp_encode(np.ascontiguousarray(coloured), quality))


def jp2(picture: Bytes, quality: int, profile: bytes) -> bytes:
    """Write a JP2 file."""
    level = 0 if quality >= 100 else 20 + quality / 3
    file = bytes(
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(picture), level, codecformat="jp2", reversible=not level
        )
    )
    return _with_profile(file, profile) if profile else file


def gif(picture: Bytes, quality: int, profile: bytes) -> bytes:
    """Write a GIF file of one frame; ``quality`` does not matter, and it has no profile."""
    del quality, profile
    return _saved(picture, "GIF")


def _saved(picture: Bytes, name: str, **options: object) -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(picture).save(out, name, **options)
    return out.getvalue()


def _with_profile(file: bytes, profile: bytes) -> bytes:
    """Put an ICC profile in the place of the colour specification (ISO 15444-1 I.5.3.3)."""
    header = file.index(b"jp2h") - 4
    colour = file.index(b"colr", header) - 4
    (size,) = _BOX.unpack_from(file, header)
    (old,) = _BOX.unpack_from(file, colour)
    box = _BOX.pack(len(profile) + 11) + b"colr\x02\0\0" + profile
    enlarged = _BOX.pack(size + len(box) - old)
    return b"".join((file[:header], enlarged, file[header + 4 : colour], box, file[colour + old :]))


Writer = Callable[[Bytes, int, bytes], bytes]

WRITERS: Final[Mapping[str, Writer]] = MappingProxyType(
    {"image/jpeg": jpeg, "image/png": png, "image/gif": gif, "image/webp": webp, "image/jp2": jp2}
)
"""Media types of stills, the default first."""
WITHOUT_PROFILE: Final = frozenset({"image/gif", "video/mp4"})
"""Those that have no place for an ICC profile."""


def written(
    picture: Bytes, media_type: str, quality: int = DEFAULT_QUALITY, profile: bytes = b""
) -> bytes:
    """Write a picture as ``media_type``; ``quality`` from 1 to 100. Raises: Unsupported."""
    writer = WRITERS.get(media_type)
    if writer is None:
        raise Unsupported(f"a picture is not written as {media_type}")
    return writer(picture, quality, profile)
