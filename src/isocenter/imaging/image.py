"""An image as its attributes describe it, frame by frame (PS3.3 C.7.6.3, C.7.6.16)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from isocenter.errors import Malformed
from isocenter.imaging.attributes import (
    Dataset,
    integer,
    items,
    nearest,
    number,
    numbers,
    text,
    values,
    wrapped,
)
from isocenter.imaging.codecs import WHOLE_CELLS
from isocenter.imaging.colours import GREYS, PALETTE
from isocenter.imaging.luts import Rescale, Table, Window, outputs, rescale, windows
from isocenter.imaging.pixel_format import PixelFormat

FRAME_VOI_LUT: Final = "00289132"
PIXEL_PRESENTATION: Final = "00089205"
FRAME_TYPES: Final = ("00189226", "00189329", "00189504", "00189751")
"""Functional group macros that have a Pixel Presentation of each frame."""
X_RAYS: Final = frozenset({"1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"})
"""X-Ray Angiographic and Radiofluoroscopic Image Storage."""
PIXEL_VALUE_TRANSFORMATION: Final = "00289145"
PIXEL_MEASURES: Final = "00289110"
FLOAT_PIXEL_DATA: Final = "7FE00008"
DOUBLE_FLOAT_PIXEL_DATA: Final = "7FE00009"
_PADDING: Final = {
    FLOAT_PIXEL_DATA: ("00280122", "00280124"),
    DOUBLE_FLOAT_PIXEL_DATA: ("00280123", "00280125"),
}
"""Pixel Padding Value and its Range Limit, for each kind of floating point pixels."""
_WHOLE_PADDING: Final = ("00280120", "00280121")


@dataclass(frozen=True, slots=True)
class Padding:
    """Stored values that mean "no image here" (PS3.3 C.7.5.1.1.2)."""

    low: float
    high: float


class Image:
    """What is said of the pixels. Frames count from 1."""

    def __init__(self, dataset: Dataset) -> None:
        """``dataset``: in the DICOM JSON model. Raises: Malformed, Unsupported."""
        self.dataset = dataset
        self.form = _form(dataset)
        self.frames = max(integer(dataset, "00280008", 1), 1)

    @property
    def photometric(self) -> str:
        """Photometric Interpretation."""
        return self.form.photometric_interpretation

    def low_bit(self, transfer_syntax: str) -> int:
        """The bit of a decoded cell in which the stored values begin, of High Bit.

        Formerly the bits stored could lie anywhere in their cell (PS3.5 8.1.1, Note 3); what is
        compressed has no cells, and begins with its lowest bit.
        """
        if self.form.is_float or transfer_syntax not in WHOLE_CELLS:
            return 0
        stored = self.form.bits_stored
        lowest = integer(self.dataset, "00280102", stored - 1) + 1 - stored
        return lowest if 0 <= lowest <= self.form.bits_allocated - stored else 0

    @property
    def is_grey(self) -> bool:
        """Whether windows apply."""
        return self.photometric in GREYS or (
            self.form.samples_per_pixel == 1 and self.photometric != PALETTE
        )

    def is_supplemented(self, frame: int) -> bool:
        """Whether the higher stored values are shown in colours, those of the palette.

        Source: PS3.3 C.8.16.2.1.1.1.
        """
        if self.form.is_float or "00281101" not in self.dataset:
            return False
        told = text(self.dataset, PIXEL_PRESENTATION)
        if told == "MIXED":
            groups = (
                nearest(self.dataset, each, frame, PIXEL_PRESENTATION) for each in FRAME_TYPES
            )
            return any(text(each, PIXEL_PRESENTATION) == "COLOR" for each in groups)
        return told == "COLOR"

    def modality(self, frame: int) -> Rescale | Table:
        """What maps stored values to the modality's, for display (PS3.3 C.11.1).

        Raises: Malformed.
        """
        if self._is_shown_as_stored:
            return Rescale()
        if tables := items(self.dataset, "00283000"):
            return Table.of(tables[0], outputs(self.form))
        return rescale(nearest(self.dataset, PIXEL_VALUE_TRANSFORMATION, frame, "00281053"))

    def windows(self, frame: int) -> list[Window]:
        """The windows that the image offers, the first being the default (PS3.3 C.11.2)."""
        told = nearest(self.dataset, FRAME_VOI_LUT, frame, "00281050")
        return windows(told, is_float=self.form.is_float)

    def voi_tables(self, frame: int, modality: Rescale | Table) -> list[Table]:
        """The VOI LUTs that the image offers; those that cannot be read are left out.

        ``modality``: what comes before them.
        """
        found = []
        inputs = outputs(self.form, modality)
        for item in items(nearest(self.dataset, FRAME_VOI_LUT, frame, "00283010"), "00283010"):
            try:
                found.append(Table.of(item, inputs))
            except Malformed:
                continue
        return found

    @cached_property
    def is_inverse(self) -> bool:
        """Whether low values are shown white."""
        shape = text(self.dataset, "20500020")
        return shape == "INVERSE" or (self.photometric == "MONOCHROME1" and shape != "IDENTITY")

    @cached_property
    def _is_shown_as_stored(self) -> bool:
        """Whether the Modality LUT leads to values that are not for display (PS3.3 C.8.7.1)."""
        relationship = text(self.dataset, "00281040")
        return text(self.dataset, "00080016") in X_RAYS and relationship in ("LOG", "DISP")

    @cached_property
    def padding(self) -> Padding | None:
        """Pixel Padding Value, with its Range Limit."""
        tags = _PADDING.get(next(filter(self.dataset.__contains__, _PADDING), ""), _WHOLE_PADDING)
        value, limit = (number(self.dataset, tag) for tag in tags)
        if value is None:
            return None
        ends = (value, value if limit is None else limit)
        if self.form.is_signed:
            # Peer quirk: the value is written unsigned beside signed pixels.
            ends = tuple(wrapped(end, self.form.bits_allocated) for end in ends)  # type: ignore[assignment]
        return Padding(min(ends), max(ends))

    def aspect(self, frame: int) -> float:
        """Height of a pixel over its width."""
        measures = nearest(self.dataset, PIXEL_MEASURES, frame, "00280030")
        for place, tag in (
            (self.dataset, "00280034"),
            (measures, "00280030"),
            (self.dataset, "00181164"),  # Imager Pixel Spacing
            (self.dataset, "00182010"),  # Nominal Scanned Pixel Spacing
        ):
            pair = numbers(place, tag)
            if len(pair) == 2 and min(pair) > 0:
                return pair[0] / pair[1]
        return 1.0


def _form(dataset: Dataset) -> PixelFormat:
    allocated = integer(dataset, "00280100", 0)
    is_float = FLOAT_PIXEL_DATA in dataset or DOUBLE_FLOAT_PIXEL_DATA in dataset
    if not values(dataset, "00280010") or not values(dataset, "00280011"):
        raise Malformed("the image does not say its rows and columns")
    return PixelFormat(
        rows=integer(dataset, "00280010", 0),
        columns=integer(dataset, "00280011", 0),
        samples_per_pixel=integer(dataset, "00280002", 1),
        bits_allocated=allocated,
        bits_stored=integer(dataset, "00280101", allocated) or allocated,
        is_signed=integer(dataset, "00280103", 0) == 1,
        photometric_interpretation=text(dataset, "00280004") or "MONOCHROME2",
        planar_configuration=integer(dataset, "00280006", 0),
        is_float=is_float,
    )
