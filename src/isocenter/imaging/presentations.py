"""Images as presentation states show them: one frame, from its bytes to the picture.

Source: PS3.4 N.2. What a state does not say is not done, whatever the image says: its windows,
shutters and overlays, and which end of its greys is white, do not count.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import colours, displayed_areas, drawing, graphics, greys
from isocenter.imaging.attributes import Dataset, integer, items, text
from isocenter.imaging.cielab import Colour, recommended
from isocenter.imaging.colours import PALETTE
from isocenter.imaging.displayed_areas import Area
from isocenter.imaging.drawing import Canvas
from isocenter.imaging.graphics import WHITE, Layer
from isocenter.imaging.greys import Shading
from isocenter.imaging.image import Image
from isocenter.imaging.luts import Function, Rescale, Table, Values, Window, rescale, windows
from isocenter.imaging.native import Buffer, Pixels
from isocenter.imaging.overlays import PLANES, Overlay, on_image, plane
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.recipes import Palette, Recipe
from isocenter.imaging.shutters import Shutter
from isocenter.imaging.states import COLOR, PSEUDO_COLOR, State
from isocenter.imaging.subtraction import Subtraction, subtraction

Bytes = NDArray[np.uint8]

SOFTCOPY_VOI: Final = "00283110"
DISPLAYED_AREA: Final = "0070005A"
GRAPHIC_LAYERS: Final = "00700060"
GRAPHIC_ANNOTATION: Final = "00700001"
MOST_VERTICES: Final = 100_000
"""Of a polygonal shutter."""


@dataclass(frozen=True, slots=True, eq=False)
class Activated:
    """An overlay plane in a layer."""

    overlay: Overlay
    layer: Layer


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Presented:
    """How one frame is shown as a presentation state asks; given to a worker as a Recipe is."""

    recipe: Recipe
    """Without overlays and shutters of the image."""
    area: Area
    subtraction: Subtraction | None = None
    palette: Palette | None = None
    """Colours for greys, in a Pseudo-Color state."""
    shutter: Shutter | None = None
    bitmap: Overlay | None = None
    """What is hidden, too."""
    shutter_colour: Colour = (0, 0, 0)
    overlays: tuple[Activated, ...] = ()
    layers: tuple[Layer, ...] = ()
    """The lowest first."""
    sizes: tuple[int, ...] = ()
    """Bytes of each of ``frames``, if there are several."""

    @property
    def frames(self) -> tuple[int, ...]:
        """Further frames whose bytes are handed over behind those of the shown one."""
        return self.subtraction.frames[1:] if self.subtraction else ()

    def sized(self, data: Buffer, viewport: Viewport | None) -> Bytes:
        """Give the picture, in ``viewport``. Raises: Malformed, Unsupported."""
        frames = list(self._frames(memoryview(data)))
        pixels = self.recipe.decoded(frames[0])
        picture = self._hidden(self._coloured(pixels, frames), pixels)
        view = self.area.view(viewport)
        canvas = Canvas(view.placed(picture))
        for layer in self.layers:
            for each in self.overlays:
                if each.layer is layer:
                    mask = on_image(each.overlay, pixels).astype(np.uint8) * np.uint8(255)
                    canvas.paint(view.placed(mask), (0, 0), layer.colour)
            drawing.drawn(canvas, view, layer)
        return canvas.picture

    def _frames(self, data: memoryview) -> Iterator[memoryview]:
        at = 0
        for size in self.sizes or (len(data),):
            yield data[at : at + size]
            at += size

    def _coloured(self, pixels: Pixels, frames: list[memoryview]) -> Bytes:
        look = self.recipe.shading
        if look is None or (self.subtraction is None and self.palette is None):
            return np.ascontiguousarray(self.recipe.coloured(pixels, frames[0]))
        values = self._values(pixels)
        if self.subtraction is not None:
            others = (self._values(self.recipe.decoded(each)) for each in frames[1:])
            planes = [look.modality.apply(each) for each in (values, *others)]
            values = self.subtraction.apply(planes)
            look = replace(look, modality=Rescale(), padding=None)
        shown = greys.fractions(values, look)
        if self.palette is None:
            return np.rint(shown * 255).astype(np.uint8)
        chosen = np.rint(shown * (len(self.palette.colours) - 1)).astype(np.int64)
        return np.ascontiguousarray(self.palette.colours[chosen])

    def _values(self, pixels: Pixels) -> Values:
        form = self.recipe.form
        values = self.recipe.stored(pixels)
        plain = values if form.is_float else greys.stored_values(values, form)
        return plain.astype(np.float64)

    def _hidden(self, picture: Bytes, pixels: Pixels) -> Bytes:
        hidden = np.zeros(picture.shape[:2], bool)
        if self.shutter is not None:
            hidden |= self.shutter.hidden(*picture.shape[:2])
        if self.bitmap is not None:
            hidden |= on_image(self.bitmap, pixels)
        if not hidden.any():
            return picture
        canvas = Canvas(picture)
        canvas.paint(hidden.astype(np.uint8) * np.uint8(255), (0, 0), self.shutter_colour)
        return canvas.picture


def presented(
    state: State, image: Image, sop_instance: str, frame: int, transfer_syntax: str
) -> Presented:
    """Say how ``frame`` (from 1) is shown as ``state`` asks.

    Raises: Malformed; Unsupported, for what is not done, or more than is done.
    """
    said = state.dataset
    spatial = next(iter(state.of(DISPLAYED_AREA, sop_instance, frame)), None)
    rows, columns = image.form.rows, image.form.columns
    area = displayed_areas.area(spatial, said, rows, columns)
    if spatial is None:
        area = replace(area, aspect=image.aspect(frame))
    named = graphics.layers(
        items(said, GRAPHIC_LAYERS), state.of(GRAPHIC_ANNOTATION, sop_instance, frame)
    )
    activated = tuple(_activated(said, image.dataset, frame, named))
    plain = Presented(
        recipe=Recipe(
            form=image.form,
            transfer_syntax=transfer_syntax,
            low_bit=image.low_bit(transfer_syntax),
        ),
        area=area,
        shutter=_shutter(said),
        bitmap=_bitmap(said, image.dataset, frame),
        shutter_colour=_shutter_colour(said),
        overlays=activated,
        layers=tuple(sorted(named.values(), key=lambda each: each.order)),
    )
    if image.is_grey:
        return _of_greys(plain, state, image, sop_instance, frame)
    if state.sop_class == PSEUDO_COLOR:
        raise Unsupported("a Pseudo-Color state is for images in greys, and this one is in colour")
    if image.photometric == PALETTE:
        palette = Palette(*colours.palette(image.dataset))
        return replace(plain, recipe=replace(plain.recipe, palette=palette))
    return plain


def _of_greys(
    plain: Presented, state: State, image: Image, sop_instance: str, frame: int
) -> Presented:
    if state.sop_class == COLOR:
        raise Unsupported("a Color state is for images in colour, and this one is in greys")
    said = state.dataset
    subtracted = subtraction(said, image.dataset, frame, image.frames)
    modality = _modality(said)
    palette = None
    if state.sop_class == PSEUDO_COLOR:
        palette = Palette(*colours.palette(said))
    voi = _voi(state, sop_instance, frame)
    if voi is None:
        voi = _whole(image.form, modality, is_difference=subtracted is not None, palette=palette)
    tables = items(said, "20500010")
    look = Shading(
        modality,
        voi,
        is_inverse=not tables and text(said, "20500020") == "INVERSE",
        presentation=Table.of(tables[0]) if tables else None,
        padding=image.padding,
    )
    recipe = replace(plain.recipe, shading=look)
    return replace(plain, recipe=recipe, subtraction=subtracted, palette=palette)


def _modality(said: Dataset) -> Rescale | Table:
    tables = items(said, "00283000")
    return Table.of(tables[0]) if tables else rescale(said)


def _voi(state: State, sop_instance: str, frame: int) -> Window | Table | None:
    for item in state.of(SOFTCOPY_VOI, sop_instance, frame):
        if tables := items(item, "00283010"):
            return Table.of(tables[0])
        if found := windows(item):
            return found[0]
        raise Malformed("the presentation state has a VOI LUT that cannot be read")
    return None


def _whole(
    form: PixelFormat, modality: Rescale | Table, *, is_difference: bool, palette: Palette | None
) -> Window | None:
    """Give what stands for an absent VOI LUT: all values that can be, from black to white."""
    if palette is not None:
        low, high = float(palette.first), float(palette.first + len(palette.colours) - 1)
    elif form.is_float:
        return None
    else:
        low, high = _range(form, modality)
        if is_difference:
            low, high = low - high, high - low
    return Window((low + high) / 2, max(high - low, 1e-6), Function.LINEAR_EXACT)


def _range(form: PixelFormat, modality: Rescale | Table) -> tuple[float, float]:
    if isinstance(modality, Table):
        return 0.0, float((1 << modality.bits) - 1)
    least = -(1 << (form.bits_stored - 1)) if form.is_signed else 0
    ends = modality.apply(np.array((least, least + (1 << form.bits_stored) - 1), np.float64))
    return float(ends.min()), float(ends.max())


def _shutter(said: Dataset) -> Shutter | None:
    shutter = Shutter.of(said)
    if shutter is not None and len(shutter.polygon) > MOST_VERTICES:
        raise Unsupported("the shutter of the presentation state has too many corners")
    return shutter


def _bitmap(said: Dataset, image: Dataset, frame: int) -> Overlay | None:
    """Find the Bitmap Display Shutter (PS3.3 C.7.6.15). Raises: Malformed."""
    if "BITMAP" not in said.get("00181600", {}).get("Value", ()):
        return None
    prefix = f"{integer(said, '00181623', 0) & 0xFFFF:04X}"
    found = plane(said, prefix, frame) or plane(image, prefix, frame)
    if found is None:
        raise Malformed("the presentation state names a shutter that is not there")
    return found


def _shutter_colour(said: Dataset) -> Colour:
    if (named := recommended(said, "00181624")) is not None:
        return named
    grey = integer(said, "00181622", 0) >> 8 & 0xFF
    return (grey, grey, grey)


def _activated(
    said: Dataset, image: Dataset, frame: int, named: dict[str, Layer]
) -> Iterator[Activated]:
    """Find the overlays that are shown (PS3.3 C.11.7). Raises: Malformed."""
    for prefix, _, _ in PLANES:
        name = text(said, f"{prefix}1001")
        if not name:
            continue
        is_own = f"{prefix}3000" in said
        overlay = plane(said if is_own else image, prefix, frame)
        if overlay is None and is_own:
            raise Malformed("the presentation state has an overlay that cannot be read")
        layer = named.setdefault(name, Layer(0, WHITE))
        if overlay is not None:
            yield Activated(overlay, layer)
