"""What a data set says of its pixels, as far as converting them needs to know."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from isocenter.dicom.layout import PIXEL_DATA, PIXEL_DATA_TAGS
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.values import decode
from isocenter.dicom.windowed import Place, Walk
from isocenter.errors import Malformed, NotFound
from isocenter.imaging.pixel_format import PixelFormat

IMAGE_TYPE: Final = 0x00080008
PIXEL_PRESENTATION: Final = 0x00089205
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
DERIVATION_DESCRIPTION: Final = 0x00082111
REFERENCED_SERIES: Final = 0x00081115
SERIES_INSTANCE: Final = 0x0020000E
SAMPLES_PER_PIXEL: Final = 0x00280002
PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
PLANAR_CONFIGURATION: Final = 0x00280006
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
BITS_ALLOCATED: Final = 0x00280100
BITS_STORED: Final = 0x00280101
HIGH_BIT: Final = 0x00280102
PIXEL_REPRESENTATION: Final = 0x00280103
LOSSY_IMAGE_COMPRESSION: Final = 0x00282110
LOSSY_RATIO: Final = 0x00282112
LOSSY_METHOD: Final = 0x00282114
ICON_IMAGE_SEQUENCE: Final = 0x00880200
EXTENDED_TABLES: Final = (0x7FE00001, 0x7FE00002)
"""Extended Offset Table and its Lengths."""
LONGEST: Final = 1 << 16
"""Bytes of such an attribute that are read."""

_READ: Final = frozenset(
    {
        *(IMAGE_TYPE, SOP_CLASS, SOP_INSTANCE, DERIVATION_DESCRIPTION, PIXEL_PRESENTATION),
        *(SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, ROWS, COLUMNS),
        *(BITS_ALLOCATED, BITS_STORED, HIGH_BIT, PIXEL_REPRESENTATION),
        *(LOSSY_IMAGE_COMPRESSION, LOSSY_RATIO, LOSSY_METHOD, SERIES_INSTANCE),
    }
)
_TEXTS: Final = frozenset({LOSSY_RATIO})
"""Numbers that are kept as they are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An image, apart from its pixels."""

    form: PixelFormat
    high_bit: int
    pixels: Place
    image_type: list[str]
    sop_class: str
    sop_instance: str
    derivation: bytes
    """Derivation Description, in the character set of the data set."""
    lossy: str
    ratios: list[str]
    methods: list[str]
    has_compressed_icon: bool
    is_supplemented: bool = False
    """Whether some of the stored values are indices into a palette (PS3.3 C.8.16.2.1.1.1)."""
    series: str = ""
    has_referenced_series: bool = False
    """Whether there is a Referenced Series Sequence (PS3.3 C.12.2)."""


def describe(walk: Walk, syntax: TransferSyntax) -> Subject:
    """Read what a data set says of its image. Raises: NotFound, if there is none; Malformed."""
    raw: dict[int, list[Any]] = {}
    derivation = b""
    icon: Place | None = None
    has_series = False
    for place in walk.elements(_READ | PIXEL_DATA_TAGS | {ICON_IMAGE_SEQUENCE, REFERENCED_SERIES}):
        if place.tag in PIXEL_DATA_TAGS:
            has_icon = icon is not None and _is_compressed(walk, icon)
            found = _subject(raw, place, derivation, has_compressed_icon=has_icon)
            return replace(found, has_referenced_series=has_series)
        if place.tag in _READ and (place.length or 0) <= LONGEST:
            value = bytes(walk.reader.window(place.offset, place.offset + (place.length or 0)))
            if place.tag == DERIVATION_DESCRIPTION:
                derivation = value.rstrip(b" \0")
            is_little = place.layout.is_little_endian
            vr = "LO" if place.tag in _TEXTS else place.vr
            raw[place.tag] = decode(vr, value, is_little_endian=is_little)
        elif place.tag == ICON_IMAGE_SEQUENCE:
            icon = place
        elif place.tag == REFERENCED_SERIES:
            has_series = True
    raise NotFound("the instance has no pixel data")


def _is_compressed(walk: Walk, icon: Place) -> bool:
    """Whether the icon's own pixels are encapsulated."""
    try:
        return walk.find((ICON_IMAGE_SEQUENCE, 0, PIXEL_DATA)).is_encapsulated
    except NotFound:
        return False


def _subject(
    raw: dict[int, list[Any]], pixels: Place, derivation: bytes, *, has_compressed_icon: bool
) -> Subject:
    number, texts, text = _readers(raw)
    allocated = number(BITS_ALLOCATED, 0)
    stored = number(BITS_STORED, allocated) or allocated
    form = PixelFormat(
        rows=number(ROWS, 0),
        columns=number(COLUMNS, 0),
        samples_per_pixel=number(SAMPLES_PER_PIXEL, 1),
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=number(PIXEL_REPRESENTATION, 0) == 1,
        photometric_interpretation=text(PHOTOMETRIC_INTERPRETATION) or "MONOCHROME2",
        planar_configuration=number(PLANAR_CONFIGURATION, 0),
        is_float=pixels.tag != PIXEL_DATA,
    )
    return Subject(
        form=form,
        high_bit=number(HIGH_BIT, stored - 1),
        pixels=pixels,
        image_type=texts(IMAGE_TYPE),
        sop_class=text(SOP_CLASS),
        sop_instance=text(SOP_INSTANCE),
        derivation=derivation,
        lossy=text(LOSSY_IMAGE_COMPRESSION),
        ratios=texts(LOSSY_RATIO),
        methods=texts(LOSSY_METHOD),
        has_compressed_icon=has_compressed_icon,
        is_supplemented=text(PIXEL_PRESENTATION) in ("COLOR", "MIXED"),
        series=text(SERIES_INSTANCE),
    )


def _readers(
    raw: dict[int, list[Any]],
) -> tuple[Callable[[int, int], int], Callable[[int], list[str]], Callable[[int], str]]:
    def number(tag: int, default: int) -> int:
        value = next(iter(raw.get(tag, ())), None)
        if value is None:
            return default
        if not isinstance(value, int):
            raise Malformed(f"({tag:08X}) is not a whole number")
        return value

    def texts(tag: int) -> list[str]:
        return [each.strip() if isinstance(each, str) else "" for each in raw.get(tag, ())]

    def text(tag: int) -> str:
        return next(iter(texts(tag)), "")

    return number, texts, text
