"""A data set as lines to read. They show patient data: for the one who asked, never for a log."""

from collections.abc import Iterable, Iterator
from typing import Final

from isocenter.dicom import charset as charsets
from isocenter.dicom.charset import Charset
from isocenter.dicom.dictionary import keyword_of, name_of
from isocenter.dicom.elements import Element
from isocenter.dicom.layout import SPECIFIC_CHARACTER_SET
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.dicom.syntax import TRANSFER_SYNTAXES
from isocenter.dicom.values import BYTES_VRS, decode

WIDTH: Final = 64
"""Characters of a value that are shown."""
BYTES_SHOWN: Final = 16
DECODED: Final = 4096
"""Bytes of a value that are looked at."""
_NAMES: Final = {uid: known.name for uid, known in (SOP_CLASSES | TRANSFER_SYNTAXES).items()}


def lines(
    elements: Iterable[Element], charset: Charset = charsets.DEFAULT, *, indent: int = 0
) -> Iterator[str]:
    """Give a line for each element, item and fragment. Raises: Malformed, when it gets there."""
    margin = "  " * indent
    for element in elements:
        if element.tag == SPECIFIC_CHARACTER_SET:
            charset = charsets.of_value(bytes(element.value))
        length = "undefined" if element.is_undefined_length else str(len(element.value))
        multiplicity, shown = _value(element, charset)
        tag = f"({element.tag >> 16:04X},{element.tag & 0xFFFF:04X})"
        yield f"{margin}{tag} {element.vr} {shown}  # {length}, {multiplicity} {_name(element)}"
        if element.vr == "SQ":
            for number, item in enumerate(element.items(), 1):
                yield f"{margin}  item {number}"
                yield from lines(item.elements(), charset, indent=indent + 2)
        elif element.is_encapsulated:
            for number, fragment in enumerate(element.fragments()):
                yield f"{margin}  fragment {number}: {_bytes(fragment)}  # {len(fragment)}"


def _name(element: Element) -> str:
    name = keyword_of(element.tag) or name_of(element.tag, element.creator)
    return f"{name or 'unknown'} [{element.creator}]" if element.creator else name or "unknown"


def _value(element: Element, charset: Charset) -> tuple[int, str]:
    """Give the value multiplicity and the value as it is shown."""
    if element.vr == "SQ":
        count = sum(1 for _ in element.items())
        return 1, f"{count} item{'' if count == 1 else 's'}"
    if element.is_encapsulated:
        return 1, "encapsulated"
    if element.vr in BYTES_VRS:
        return min(1, len(element.value)), _bytes(element.value)
    head = element.value[:DECODED]
    found = decode(element.vr, head, charset, is_little_endian=element.layout.is_little_endian)
    shown = "\\".join(_one(element.vr, value) for value in found)
    if len(shown) > WIDTH or len(head) < len(element.value):
        shown = f"{shown[: WIDTH - 1]}…"
    if element.vr == "UI" and shown in _NAMES:
        shown = f"{shown} ={_NAMES[shown]}"
    return len(found), f"[{shown}]" if found else "(empty)"


def _one(vr: str, value: object) -> str:
    if vr == "AT" and isinstance(value, int):
        return f"({value >> 16:04X},{value & 0xFFFF:04X})"
    if isinstance(value, bytes):
        return value.hex()
    text = "" if value is None else str(value)
    return "".join(each if each.isprintable() else "." for each in text)


def _bytes(value: memoryview) -> str:
    more = "…" if len(value) > BYTES_SHOWN else ""
    return bytes(value[:BYTES_SHOWN]).hex(" ") + more if value else "(empty)"
