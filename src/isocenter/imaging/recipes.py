"""How one frame becomes a picture: everything that is needed, small enough to hand to a worker."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed
from isocenter.imaging import colour_hints, colours, greys, segments
from isocenter.imaging.codecs import codec
from isocenter.imaging.colours import PALETTE
from isocenter.imaging.greys import Shading
from isocenter.imaging.image import Image
from isocenter.imaging.luts import Window
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.overlays import Overlay, burnt_in, overlays
from isocenter.imaging.pictures import Viewport, scaled
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.shutters import Shutter

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """Colours for stored values."""

    first: int
    """The value that the first colour is for."""
    colours: Bytes = field(repr=False)
    """``(entries, 3)``."""

    def apply(self, pixels: Pixels) -> Bytes:
        """Give the colours, along a last axis of 3."""
        at = np.clip(pixels.astype(np.int64) - self.first, 0, len(self.colours) - 1)
        found: Bytes = self.colours[at]
        return found


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recipe:
    """How one frame is decoded and shown."""

    form: PixelFormat
    transfer_syntax: str
    shading: Shading | None = None
    """For greys."""
    palette: Palette | None = None
    """For stored values; beside ``shading``, for those from the palette's first on."""
    overlays: tuple[Overlay, ...] = ()
    shutter: Shutter | None = None
    aspect: float = 1.0
    """Height of a pixel over its width."""
    low_bit: int = 0
    """Of a decoded cell: the one in which the stored values begin."""

    def follow(self, frame: Buffer) -> Bytes:
        """Give ``(rows, columns)`` or ``(rows, columns, 3)``. Raises: Malformed, Unsupported."""
        pixels = self.decoded(frame)
        picture = np.ascontiguousarray(self.coloured(pixels, frame))
        if not picture.flags.writeable:
            picture = picture.copy()
        burnt_in(picture, pixels, self.overlays)
        if self.shutter is not None:
            hidden = self.shutter.hidden(self.form.rows, self.form.columns)
            picture[hidden] = self.shutter.value >> 8
        return picture

    def sized(self, frame: Buffer, viewport: Viewport | None) -> Bytes:
        """Give the picture as it fits ``viewport``. Raises: Malformed, Unsupported."""
        return scaled(self.follow(frame), viewport, self.aspect)

    def decoded(self, frame: Buffer) -> Pixels:
        """Give the cells, all bits of them. Raises: Malformed, Unsupported."""
        used = codec(self.transfer_syntax)
        if used.decode is None:
            raise Malformed(f"frames of {self.transfer_syntax} are not decoded one by one")
        return used.decode(frame, self.form)

    def stored(self, pixels: Pixels) -> Pixels:
        """Bring the stored values of cells to their lowest bits; others may lie above."""
        return pixels >> self.low_bit if self.low_bit else pixels

    def coloured(self, cells: Pixels, frame: Buffer) -> Bytes:
        """Give cells as they are shown. Raises: Malformed, Unsupported."""
        pixels = self.stored(cells)
        if self.shading is not None:
            shades = greys.shown(pixels, self.form, self.shading)
            return shades if self.palette is None else self._supplemented(shades, pixels)
        if self.palette is not None:
            return self.palette.apply(greys.stored_values(pixels, self.form))
        named = colour_hints.photometric(
            frame, self.transfer_syntax, self.form.photometric_interpretation
        )
        return colours.to_rgb(pixels, named, self.form.bits_stored)

    def _supplemented(self, shades: Bytes, pixels: Pixels) -> Bytes:
        """Lay the colours of a supplemental palette over greys (PS3.3 C.7.9)."""
        assert self.palette is not None
        stored = greys.stored_values(pixels, self.form)
        is_coloured = stored >= self.palette.first
        picture = np.repeat(shades[..., None], 3, 2)
        picture[is_coloured] = self.palette.apply(stored[is_coloured])
        return picture


def recipe(image: Image, frame: int, transfer_syntax: str, window: Window | None = None) -> Recipe:
    """Say how ``frame`` (from 1) is shown, as its own attributes ask.

    ``window`` goes before the image's own. Raises: Malformed.
    """
    plain = Recipe(
        form=image.form,
        transfer_syntax=transfer_syntax,
        overlays=tuple(overlays(image.dataset, frame)),
        shutter=Shutter.of(image.dataset, frame),
        aspect=image.aspect(frame),
        low_bit=image.low_bit(transfer_syntax),
    )
    if window is None and segments.is_segmentation(image):
        return replace(plain, palette=Palette(0, segments.palette(image, frame)))
    if image.is_grey:
        shading = greys.shading(image, frame, window)
        palette = Palette(*colours.palette(image.dataset)) if image.is_supplemented(frame) else None
        return replace(plain, shading=shading, palette=palette)
    if image.photometric == PALETTE:
        return replace(plain, palette=Palette(*colours.palette(image.dataset)))
    return plain
