"""The data dictionary: tags, keywords, VRs (PS3.6); private ones as far as pydicom knows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isocenter.dicom.layout import (
    BITS_ALLOCATED,
    LONG_VRS,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    SHORT_VRS,
    Buffer,
)
from isocenter.dicom.tables import ATTRIBUTES, PRIVATE, REPEATED

_NEWER: Final = {
    # In the standard, but newer than pydicom 3.0's dictionary.
    0x00060001: (
        *("SQ", "1", "Current Frame Functional Groups Sequence", ""),
        "CurrentFrameFunctionalGroupsSequence",
    ),
}
_ROWS: Final = {**ATTRIBUTES, **_NEWER}
_VRS: Final = {tag: row[0] for tag, row in _ROWS.items()}
"""VR by tag as the dictionary writes it, ``US or SS`` and the like included."""
_TAGS: Final = {row[4]: tag for tag, row in _ROWS.items()}
_MASKS: Final = tuple(
    (
        mask,
        int("".join("0" if each == "x" else "F" for each in mask), 16),
        int(mask.replace("x", "0"), 16),
    )
    for mask in REPEATED
)
"""Of repeating groups: the bits that tell them, and what those are."""
NOTICED: Final = frozenset({BITS_ALLOCATED, PIXEL_REPRESENTATION})
"""What later elements hang on, besides private creators."""
_KNOWN_VRS: Final = frozenset(SHORT_VRS.values()) | frozenset(LONG_VRS.values())


def tag_of(keyword: str) -> int | None:
    """Give the tag of ``keyword``, also written as ``GGGGEEEE`` or ``(GGGG,EEEE)``; else None."""
    known = _TAGS.get(keyword)
    if known is not None and keyword:
        return known
    digits = keyword.strip("()").replace(",", "")
    if len(digits) != 8:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the dictionary."""

    tag: str
    """Eight digits; ``x`` where any may stand, of repeating groups (PS3.5 7.6)."""
    vr: str
    """Perhaps several, as ``US or SS``."""
    vm: str
    name: str
    keyword: str
    is_retired: bool
    creator: str = ""
    """Of a private attribute."""


def _attribute(tag: str, row: tuple[str, ...], creator: str = "") -> Attribute:
    vr, vm, name, retired, *keyword = row
    return Attribute(tag, vr, vm, name, "".join(keyword), retired == "Retired", creator)


def attributes() -> Iterator[Attribute]:
    """Give every public attribute."""
    for tag, row in _ROWS.items():
        yield _attribute(f"{tag:08X}", row)
    for mask, row in REPEATED.items():
        yield _attribute(mask, row)


def public_attribute(tag: int) -> Attribute | None:
    """Give what the dictionary has of ``tag``; one of a repeating group with its own group."""
    row = _row(tag)
    return None if row is None else _attribute(f"{tag:08X}", row)


def private_attributes(tag: int, creator: str = "") -> Iterator[Attribute]:
    """Give what those have of private ``tag`` who use it, or one of them: whatever its block."""
    for owner in (creator,) if creator else PRIVATE:
        if (row := _private_row(tag, owner)) is not None:
            yield _attribute(f"{tag:08X}", (*row[:4], ""), owner)


def _row(tag: int) -> tuple[str, str, str, str, str] | None:
    row = _ROWS.get(tag)
    if row is None and not is_private(tag) and (mask := _mask_of(tag)):
        row = REPEATED[mask]
    return row


def _mask_of(tag: int) -> str | None:
    """Find what stands for a tag of a repeating group."""
    return next((mask for mask, bits, same in _MASKS if tag & bits == same), None)


def keyword_of(tag: int) -> str:
    """Give the keyword; empty for private and unknown tags."""
    row = _row(tag)
    return row[4] if row else ""


def is_private(tag: int) -> bool:
    """Tell private tags by their odd group (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


def is_private_creator(tag: int) -> bool:
    """Tell the elements that reserve a block (PS3.5 7.8.1)."""
    return bool(tag >> 16 & 1) and 0x10 <= tag & 0xFFFF <= 0xFF


def creator_tag(tag: int) -> int:
    """Give the tag of the private creator that reserves the block of private ``tag``."""
    return tag & 0xFFFF0000 | (tag & 0xFFFF) >> 8


def _private_row(tag: int, creator: str) -> tuple[str, ...] | None:
    known = PRIVATE.get(creator)
    if not known:
        return None
    group, element = tag >> 16, tag & 0xFFFF
    block = f"{element & 0xFF:02X}"
    keys = (f"{group:04X}{element:04X}", f"{group:04X}xx{block}", f"{group >> 8:02X}xxxx{block}")
    return next((known[key] for key in keys if key in known), None)


def name_of(tag: int, creator: str = "") -> str:
    """Give the name; empty where nobody knows one."""
    if is_private(tag):
        if is_private_creator(tag):
            return "Private Creator"
        row = _private_row(tag, creator)
        return row[2] if row else ""
    found = _row(tag)
    return found[2] if found else "Group Length" if not tag & 0xFFFF else ""


def dictionary_vr(tag: int, creator: str = "") -> str | None:
    """Give the VR as the dictionary has it (perhaps ``OB or OW``), or None where there is none."""
    vr = _VRS.get(tag)
    if vr is not None:
        return vr
    if not tag & 0xFFFF:
        return "UL"
    if is_private(tag):
        if is_private_creator(tag):
            return "LO"
        private = _private_row(tag, creator) if creator else None
        return private[0] if private else None
    row = _row(tag)
    return row[0] if row else None


def has_one_vr(tag: int) -> bool:
    """Tell a public tag whose VR does not hang on other elements."""
    return _VRS.get(tag) in _KNOWN_VRS


def plain_vr(tag: int, *, is_signed: bool = False, creator: str = "") -> str:
    """Give one VR for ``tag`` in an implicit data set; UN where nobody knows.

    Ambiguous ones are settled as PS3.5 A.1 has it for implicit VR: words for pixels, overlays,
    waveforms and tables; ``is_signed`` (Pixel Representation) decides between US and SS.
    """
    vr = dictionary_vr(tag, creator)
    if vr in _KNOWN_VRS:
        return str(vr)
    if vr is None or " or " not in vr:
        return "UN"
    if "OW" in vr:
        return "OW"
    return "SS" if is_signed else "US"


class ImplicitVRs:
    """Finds the VRs of one data set or item in implicit VR, element by element in their order.

    It remembers what later elements hang on: private creators, Pixel Representation.
    """

    def __init__(self, parent: "ImplicitVRs | None" = None) -> None:
        self._creators: dict[int, str] = {}
        self.is_signed: bool = parent is not None and parent.is_signed
        """By the Pixel Representation met so far, here or around."""
        self.bits_allocated: int = parent.bits_allocated if parent else 0
        """By the Bits Allocated met so far, here or around; 0 for none."""

    def notice(self, tag: int, value: Buffer) -> None:
        """Learn from an element that later ones may need."""
        if is_private_creator(tag):
            self._creators[tag] = bytes(value[:64]).decode("latin-1").strip(" \0")
        elif tag == PIXEL_REPRESENTATION:
            self.is_signed = any(value[:2])
        elif tag == BITS_ALLOCATED:
            self.bits_allocated = max(value[:2], default=0)  # whichever byte order

    def creator(self, tag: int) -> str:
        """Give the private creator that reserved the block of ``tag``; empty where none did."""
        return self._creators.get(creator_tag(tag), "") if is_private(tag) else ""

    def vr(self, tag: int) -> str:
        """Give the VR of ``tag`` here."""
        vr = _VRS.get(tag)
        if vr in _KNOWN_VRS:
            return str(vr)
        return plain_vr(tag, is_signed=self.is_signed, creator=self.creator(tag))

    def explicit_vr(self, tag: int) -> str:
        """Give the VR that ``tag`` takes in explicit VR: pixels of a byte are bytes (PS3.5 A.2)."""
        is_bytes = tag == PIXEL_DATA and 0 < self.bits_allocated <= 8
        return "OB" if is_bytes else self.vr(tag)
