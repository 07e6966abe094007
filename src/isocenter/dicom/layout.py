"""How an element's header is laid out, and what to make of one that is not as it should be.

The rules stand here once; ``scanner``, ``elements`` and ``reencode`` walk by them. Odd headers are
read as pydicom and the devices' other receivers read them, where that can be told.

Source: PS3.5 7.1 to 7.5.
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple

from isocenter.dicom.syntax import TransferSyntax

Buffer = bytes | memoryview

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
DELIMITERS: Final = 0xFFFE

SPECIFIC_CHARACTER_SET: Final = 0x00080005
BITS_ALLOCATED: Final = 0x00280100
PIXEL_REPRESENTATION: Final = 0x00280103
PIXEL_DATA: Final = 0x7FE00010
PIXEL_DATA_TAGS: Final = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})

# By the length field of explicit VR encoding: two bytes, or two reserved and four (PS3.5 7.1.2).
SHORT_VRS: Final = {
    vr.encode(): vr
    for vr in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT"),
        *("PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
}
LONG_VRS: Final = {
    vr.encode(): vr
    for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
}

LONGEST_SHORT: Final = 0xFFFE
"""Bytes of an even value that a two-byte length field can tell."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stranger's data set may cost. Sizes in bytes."""

    nesting: int = 64
    """Sequences within sequences."""
    value_size: int = 1 << 20
    """A wanted value that is larger is named in ``too_long`` instead of being kept."""
    inflated_size: int = 4 << 30
    """What a deflated data set may unfold to."""
    inflated_ratio: int = 500
    """Times its own size, asked once more than ``inflated_grace`` came out."""
    inflated_grace: int = 256 << 20
    fragments: int = 1 << 20
    """Fragment offsets that are remembered, of encapsulated pixel data."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Layout:
    """The encoding of element headers, one of four."""

    is_implicit: bool
    is_little_endian: bool
    explicit: Struct = field(init=False, repr=False, compare=False)
    """Raw tag (see ``tag``), VR, short length."""
    implicit: Struct = field(init=False, repr=False, compare=False)
    """Raw tag, length."""
    long: Struct = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        order = "<" if self.is_little_endian else ">"
        object.__setattr__(self, "explicit", Struct(f"{order}I2sH"))
        object.__setattr__(self, "implicit", Struct(f"{order}II"))
        object.__setattr__(self, "long", Struct(f"{order}I"))

    def tag(self, raw: int) -> int:
        """Turn four bytes read as one number into a tag: in little endian, swap the halves."""
        return (raw & 0xFFFF) << 16 | raw >> 16 if self.is_little_endian else raw

    raw = tag  # the same swap leads back


EXPLICIT_LITTLE: Final = Layout(is_implicit=False, is_little_endian=True)
EXPLICIT_BIG: Final = Layout(is_implicit=False, is_little_endian=False)
IMPLICIT_LITTLE: Final = Layout(is_implicit=True, is_little_endian=True)
IMPLICIT_BIG: Final = Layout(is_implicit=True, is_little_endian=False)


def layout_of(syntax: TransferSyntax) -> Layout:
    """Give the layout of a transfer syntax, deflation undone."""
    if syntax.is_implicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if syntax.is_little_endian else EXPLICIT_BIG


class Header(NamedTuple):
    """An element's header, an item's or a delimiter's."""

    tag: int
    vr: str | None
    """None where the encoding does not say: look it up."""
    length: int
    """In bytes; ``UNDEFINED`` where a delimiter ends the value."""
    size: int
    """Of the header itself, in bytes."""


def read_header(data: Buffer, at: int, end: int, layout: Layout) -> Header | None:
    """Read the header at ``at``, or give None where ``end`` comes before it is whole."""
    if end - at < 8:
        return None
    raw, vr, length = layout.explicit.unpack_from(data, at)
    tag = layout.tag(raw)
    if layout.is_implicit or tag >> 16 == DELIMITERS:
        return Header(tag, None, layout.long.unpack_from(data, at + 4)[0], 8)
    if name := SHORT_VRS.get(vr):
        return Header(tag, name, length, 8)
    if not (name := LONG_VRS.get(vr)):
        if not _is_reserved_for_long(vr, length):
            return _odd_header(tag, vr, length, layout.long.unpack_from(data, at + 4)[0])
        name = "UN"
    if end - at < 12:
        return None
    return Header(tag, name, layout.long.unpack_from(data, at + 8)[0], 12)


def looks_explicit(vr: Buffer) -> bool:
    """Tell whether two bytes can be a VR at all: two capital letters."""
    return len(vr) == 2 and 0x41 <= vr[0] <= 0x5A and 0x41 <= vr[1] <= 0x5A


def settle(layout: Layout, data: Buffer, at: int, *, is_item: bool) -> Layout:
    """Give the layout a data set or an item really has, by its first eight bytes, at ``at``.

    What claims to be explicit may be implicit: whole files of careless writers, and by right the
    items of a sequence that became UN on its way (PS3.5 6.2.2). The other way round is seen in
    files only, never in items.
    """
    found = looks_explicit(data[at + 4 : at + 6])
    if found == (not layout.is_implicit) or is_delimiter(data, at, layout):
        return layout
    if layout.is_implicit:
        return layout if is_item else EXPLICIT_LITTLE
    return IMPLICIT_LITTLE if layout.is_little_endian else IMPLICIT_BIG


def is_delimiter(data: Buffer, at: int, layout: Layout) -> bool:
    """Tell whether an item or a delimiter stands at ``at``."""
    return layout.tag(layout.long.unpack_from(data, at)[0]) >> 16 == DELIMITERS


def settle_items(layout: Layout, data: Buffer, at: int) -> Layout:
    """Give the layout of a sequence's items, by the first item tag (four bytes at ``at``).

    In a big endian data set, what became UN on its way stays little endian (PS3.5 6.2.2).
    """
    if not layout.is_little_endian and bytes(data[at : at + 4]) == b"\xfe\xff\x00\xe0":
        return IMPLICIT_LITTLE
    return layout


def is_replaceable(vr: str, length: int, layout: Layout) -> bool:
    """Tell whether an element of VR UN may be read by the dictionary's VR.

    Not where UN was needed because a short length field could not hold the length; nor in big
    endian, as nobody knows the byte order of what was little endian once (PS3.5 6.2.2).
    """
    return vr == "UN" and length < 0xFFFF and layout.is_little_endian


def _is_reserved_for_long(vr: bytes, short: int) -> bool:
    """A VR newer than we are: all those have a long length behind two zero bytes (PS3.5 6.2)."""
    return looks_explicit(vr) and short == 0


def _odd_header(tag: int, vr: bytes, short: int, long: int) -> Header:
    if looks_explicit(vr) or vr in (b"  ", b"??"):
        # Peer quirk: a VR out of thin air, blanks or question marks, before a short length.
        return Header(tag, "UN", short, 8)
    # Peer quirk: single elements in implicit VR amid an explicit data set.
    return Header(tag, None, long, 8)
