"""Encoded values to Python's: text, numbers, tags (PS3.5 6.2)."""

import sys
from array import array
from struct import Struct, iter_unpack
from typing import Final

from isocenter.dicom.charset import DEFAULT, Charset
from isocenter.dicom.decimals import number
from isocenter.dicom.layout import PIXEL_DATA, Buffer

Value = str | int | float | bytes | None

TEXT_VRS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Specific Character Set applies to these (PS3.5 6.1.2.3)."""
PLAIN_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
"""Text of the default repertoire."""
SINGLE_VRS: Final = frozenset({"LT", "ST", "UR", "UT"})
"""Text that a backslash does not divide (PS3.5 6.4)."""
LEADING_SPACE_VRS: Final = frozenset({"LT", "ST", "UC", "UT"})
"""Text in which leading spaces mean something (PS3.5 Table 6.2-1)."""
BYTES_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

NUMBERS: Final = dict(
    zip(("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"), "dfihqIHQ", strict=True)
)
"""Binary numbers: the type code of ``array`` and ``struct``."""
WORD_SIZES: Final = (
    dict.fromkeys(("AT", "OW", "SS", "US"), 2)
    | dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4)
    | dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8)
)
"""Bytes that swap places between little and big endian, by VR (PS3.5 7.3)."""
_WIDE: Final = {32: "OL", 64: "OV"}
"""The VR of words as wide as a pixel."""
_ONE: Final = {vr: Struct(f"<{code}") for vr, code in NUMBERS.items()}
_IS_LITTLE_HOST: Final = sys.byteorder == "little"


def ordered_as(tag: int, vr: str, bits_allocated: int) -> str:
    """Give the VR by whose words the value of ``tag`` is turned from one byte order to the other.

    By the letter, OW is turned in words of two bytes, whatever the size of a pixel (PS3.5 6.2, D),
    and so do DCMTK and GDCM. But pixels of 32 and 64 bits are found in big endian as whole words,
    and pydicom reads them so; by the letter they would be noise. (0028,0100) decides.
    """
    is_wide = tag == PIXEL_DATA and vr == "OW"
    return _WIDE.get(bits_allocated, vr) if is_wide else vr


def swap(value: Buffer, vr: str) -> bytes:
    """Reverse the byte order of a value. A broken word at the end stays as it is."""
    size = WORD_SIZES.get(vr, 1)
    if size == 1:
        return bytes(value)
    whole = len(value) - len(value) % size
    words = array({2: "H", 4: "I", 8: "Q"}[size], bytes(value[:whole]))
    words.byteswap()
    return words.tobytes() + bytes(value[whole:])


def decode(
    vr: str, value: Buffer, charset: Charset = DEFAULT, *, is_little_endian: bool = True
) -> list[Value]:
    """Give the values of an element, sequences excepted; an empty element has none.

    Numbers written as text (DS, IS) become numbers, or stay text where they are none. An empty
    value among others is None. Never raises: bytes that do not fit the VR are given as ``bytes``.
    """
    if not value:
        return []
    if vr in NUMBERS:
        return _numbers(vr, value, is_little_endian) or [bytes(value)]
    if vr == "AT":
        return list(_tags(value, is_little_endian)) or [bytes(value)]
    if vr in TEXT_VRS or vr in PLAIN_VRS:
        found = texts(vr, bytes(value), charset)
        if vr in ("DS", "IS"):
            return [number(text) if text else None for text in found]
        return [text or None for text in found]
    return [bytes(value)]


def texts(vr: str, value: bytes, charset: Charset = DEFAULT) -> list[str]:
    """Give the text values without their padding; none for what is nothing but padding."""
    text = charset.decode(value) if vr in TEXT_VRS else value.decode("latin-1")
    text = text.rstrip(" \0")
    if not text:
        return []
    if "\\" not in text or vr in SINGLE_VRS:
        return [text if vr in LEADING_SPACE_VRS else text.lstrip(" \0")]
    strip = str.rstrip if vr in LEADING_SPACE_VRS else str.strip
    return [strip(part, " \0") for part in text.split("\\")]


def _numbers(vr: str, value: Buffer, is_little_endian: bool) -> list[Value]:
    one = _ONE[vr]
    if is_little_endian and len(value) == one.size:
        return list(one.unpack(value))
    found: array[int] | array[float] = array(NUMBERS[vr])
    found.frombytes(value[: len(value) - len(value) % one.size])
    if is_little_endian != _IS_LITTLE_HOST:
        found.byteswap()
    return [*found]


def _tags(value: Buffer, is_little_endian: bool) -> list[int]:
    order = "<" if is_little_endian else ">"
    halves = iter_unpack(f"{order}HH", value[: len(value) - len(value) % 4])
    return [group << 16 | element for group, element in halves]
