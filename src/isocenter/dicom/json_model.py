"""The DICOM JSON model, drawn from elements as they were received (PS3.18 Annex F).

``encoding`` leads back. Text is Unicode on this side, so a Specific Character Set other than the
default becomes ``ISO_IR 192``, and those within items are left out.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from isocenter.dicom import charset as charsets
from isocenter.dicom.charset import Charset
from isocenter.dicom.decimals import number
from isocenter.dicom.elements import Element, items_of
from isocenter.dicom.layout import EXPLICIT_LITTLE, SPECIFIC_CHARACTER_SET, Buffer, Layout
from isocenter.dicom.scanner import RawValue
from isocenter.dicom.values import BYTES_VRS, WORD_SIZES, decode, swap, texts

Attribute = dict[str, Any]
"""``vr`` and one of ``Value``, ``InlineBinary`` and ``BulkDataURI``, or none of them."""
Dataset = dict[str, Attribute]
"""Attributes by tag, written as eight hexadecimal digits in capitals."""
Bulk = Callable[[Element], str]
"""Gives the URI under which a value can be fetched."""

INLINE_SIZE: Final = 1024
"""Bytes up to which binary values are written into the model where bulk data can be offered."""
LARGEST_EXACT: Final = 1 << 53
"""What a JSON number holds exactly in every reader."""

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def to_json(
    elements: Iterable[Element],
    charset: Charset | None = None,
    *,
    bulk: Bulk | None = None,
    inline_size: int = INLINE_SIZE,
) -> Dataset:
    """Give the model of a data set, or of an item in ``charset``.

    ``bulk`` is asked for a URI for binary values above ``inline_size`` and for encapsulated ones.
    Without it, the former are written inline and the latter left out. Raises: Malformed, if the
    data set is.
    """
    found: dict[int, Attribute] = {}
    current = charset or charsets.DEFAULT
    for element in elements:
        tag = element.tag
        if not tag & 0xFFFF:
            continue  # group lengths are not part of the model
        if tag == SPECIFIC_CHARACTER_SET:
            current = charsets.of_value(bytes(element.value))
            if charset is None:
                found[tag] = _specific_character_set(current)
        elif element.vr == "SQ":
            items = [
                to_json(item.elements(), current, bulk=bulk, inline_size=inline_size)
                for item in element.items()
            ]
            found[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif element.vr not in BYTES_VRS:
            layout = element.layout
            found[tag] = attribute(element.vr, element.value, current, layout)
        elif bulk and (element.is_encapsulated or len(element.value) > inline_size):
            found[tag] = {"vr": element.vr, "BulkDataURI": bulk(element)}
        elif not element.is_encapsulated:
            found[tag] = attribute(element.vr, element.value, current, element.layout)
    return {f"{tag:08X}": found[tag] for tag in sorted(found)}


def raw_to_json(
    values: Mapping[int, RawValue],
    tags: Iterable[int] | None = None,
    charset: Charset | None = None,
    layout: Layout = EXPLICIT_LITTLE,
) -> Dataset:
    """Give the model of what a scanner kept: of ``tags`` in their order, or of all of it.

    ``layout`` is the scanner's; ``charset`` is taken from the values where it is not given. Raises:
    Malformed, if a sequence is.
    """
    if charset is None:
        charset = charset_of(values)
    found: Dataset = {}
    for tag in sorted(values) if tags is None else tags:
        raw = values.get(tag)
        if raw is None:
            continue
        vr, value = raw
        if tag == SPECIFIC_CHARACTER_SET:
            found["00080005"] = _specific_character_set(charset)
        elif vr == "SQ":
            opened = items_of(memoryview(value), layout)
            items = [to_json(item.elements(), charset) for item in opened]
            found[f"{tag:08X}"] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        else:
            found[f"{tag:08X}"] = attribute(vr, value, charset, layout)
    return found


def charset_of(values: Mapping[int, RawValue]) -> Charset:
    """Give the character set by the Specific Character Set among ``values``."""
    raw = values.get(SPECIFIC_CHARACTER_SET)
    return charsets.of_value(raw.value) if raw else charsets.DEFAULT


def attribute(
    vr: str, value: Buffer, charset: Charset = charsets.DEFAULT, layout: Layout = EXPLICIT_LITTLE
) -> Attribute:
    """Give one attribute of the model; sequences excepted. Never raises."""
    if not value:
        return {"vr": vr}
    if vr in _TEXT:
        found: list[Any] = texts(vr, bytes(value), charset)
        convert = _TEXT[vr]
        if convert is not None:
            found = [convert(text) if text else None for text in found]
        elif "" in found:
            found = [text or None for text in found]
        return {"vr": vr, "Value": found} if found else {"vr": vr}
    if vr in WORD_SIZES and vr not in BYTES_VRS:
        found = decode(vr, value, is_little_endian=layout.is_little_endian)
        if not isinstance(found[0], bytes):
            return {"vr": vr, "Value": [json_number(vr, each) for each in found]}
        vr = "UN"  # too short for even one number: kept, not guessed at
    elif not layout.is_little_endian:
        value = swap(value, vr)
    return {"vr": vr, "InlineBinary": b64encode(value).decode("ascii")}


def _person_name(text: str) -> dict[str, str] | None:
    """Give the non-empty component groups (PS3.18 F.2.2). There are no more than three."""
    if "=" not in text:
        return {"Alphabetic": text}
    groups = zip(_GROUPS, text.split("=", 2), strict=False)
    return {name: group for name, group in groups if group} or None


def json_number(vr: str, value: Any) -> int | float | str:
    if vr == "AT":
        return f"{value:08X}"
    if isinstance(value, float):
        # JSON has no such numbers; the text is read by ``encoding`` and by Python, at least.
        return value if math.isfinite(value) else str(value)
    exact: int = value
    return exact if -LARGEST_EXACT <= exact <= LARGEST_EXACT else str(exact)


def _specific_character_set(charset: Charset) -> Attribute:
    if charset.terms in ((), ("ISO_IR 6",)):
        return {"vr": "CS"} if not charset.terms else {"vr": "CS", "Value": ["ISO_IR 6"]}
    return {"vr": "CS", "Value": [charsets.UTF_8]}


_TEXT: Final[dict[str, Callable[[str], Any] | None]] = {
    **dict.fromkeys(
        ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
    ),
    "DS": number,
    "IS": number,
    "PN": _person_name,
}
