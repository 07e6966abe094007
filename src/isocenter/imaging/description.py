"""What a data set says of its image, in the DICOM JSON model: read without its pixels.

Values are written inline, also lookup tables, overlays and profiles. What no picture is made from
is left out, so that little is kept of an object of a hundred thousand frames.
"""

from typing import Final

from isocenter.dicom.elements import Element, elements
from isocenter.dicom.json_model import Dataset, to_json
from isocenter.dicom.layout import PIXEL_DATA_TAGS
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Place, Reader, Walk
from isocenter.errors import NotFound

LARGEST_VALUE: Final = 8 << 20
"""Bytes of an attribute that are read: tables, overlays and profiles have less."""
LARGEST_GROUPS: Final = 64 << 20
"""Bytes of functional groups; of more frames, each is shown as the shared ones say."""
LARGEST: Final = 128 << 20
"""Bytes of all of it."""

PER_FRAME_GROUPS: Final = 0x52009230
PER_FRAME_MACROS: Final = frozenset(
    {
        0x00189226,  # MR Image Frame Type
        0x00189329,  # CT Image Frame Type
        0x00189472,  # Frame Display Shutter
        0x00189504,  # X-Ray 3D Frame Type
        0x00189751,  # PET Frame Type
        0x00289110,  # Pixel Measures
        0x00289132,  # Frame VOI LUT
        0x00289145,  # Pixel Value Transformation
        0x00480207,  # Optical Path Identification
        0x0062000A,  # Segment Identification
    }
)
_GROUPS: Final = frozenset(
    {0x0008, 0x0010, 0x0018, 0x0020, 0x0022, 0x0028, 0x0048, 0x0054, 0x0062, 0x2050, 0x5200}
)
_SINGLE: Final = frozenset({0x00400512})
"""Container Identifier: wanted though its group is not."""


def describe(reader: Reader, syntax: TransferSyntax) -> Dataset:
    """Read what is needed of an (inflated) data set that has pixel data.

    An empty attribute stands for the pixel data. Raises: NotFound, if there is none; Malformed.
    """
    walk = Walk(reader, syntax)
    wanted = bytearray()
    at = 0
    for place in walk.elements():
        if place.tag in PIXEL_DATA_TAGS:
            found = _model(elements_of=bytes(wanted), syntax=syntax)
            found[f"{place.tag:08X}"] = {"vr": place.vr}
            return found
        end = _behind(walk, place)
        if _is_wanted(place.tag, end - at) and len(wanted) + end - at <= LARGEST:
            wanted += walk.reader.window(at, end)
        at = end
    raise NotFound("the instance has no pixel data")


def _behind(walk: Walk, place: Place) -> int:
    delimiter = 8 if place.length is None else 0
    return walk.end_of(place) + delimiter


def _is_wanted(tag: int, size: int) -> bool:
    group = tag >> 16
    is_overlay = group & 0xFF01 == 0x6000
    if group not in _GROUPS and not is_overlay and tag not in _SINGLE:
        return False
    return size <= (LARGEST_GROUPS if tag == PER_FRAME_GROUPS else LARGEST_VALUE)


def _model(elements_of: bytes, syntax: TransferSyntax) -> Dataset:
    plain: list[Element] = []
    per_frame: list[Dataset] = []
    for element in elements(elements_of, syntax):
        if element.tag == PER_FRAME_GROUPS:
            per_frame = _of_frames(element)
        else:
            plain.append(element)
    found = to_json(plain)
    if any(per_frame):
        found[f"{PER_FRAME_GROUPS:08X}"] = {"vr": "SQ", "Value": per_frame}
    return found


def _of_frames(groups: Element) -> list[Dataset]:
    return [
        to_json(each for each in item.elements() if each.tag in PER_FRAME_MACROS)
        for item in groups.items()
    ]
