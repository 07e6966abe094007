"""The DICOM JSON model, drawn from elements as they were received (PS3.18 Annex F).

``encoding`` leads back. Text is Unicode on this side, so a Specific Character Set other than the
default becomes ``ISO_IR 192``, and those within items are left out.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from isocenter.dicom import charset as charsets
from isocenter.dicom.charset import Charset
from isocenter.dicom.decimals import number
from isocenter.dicom.elements import Element, items_of
from isocenter.dicom.layout import (
    EXPLICIT_LITTLE,
    PIXEL_DATA,
    SPECIFIC_CHARACTER_SET,
    Buffer,
    Layout,
)
from isocenter.dicom.scanner import RawValue
from isocenter.dicom.values import BYTES_VRS, NUMBERS, TEXT_VRS, decode, ordered_as, swap, texts

Attribute = dict[str, Any]
"""``vr`` and one of ``Value``, ``InlineBinary`` and ``BulkDataURI``, or none of them."""
Dataset = dict[str, Attribute]
"""Attributes by tag, written as eight hexadecimal digits in capitals."""
Bulk = Callable[[Element], str]
"""Gives the URI under which a value can be fetched."""

INLINE_SIZE: Final = 1024
"""Bytes up to which binary values are written into the model where bulk data can be offered."""
VALUE_SIZE: Final = 1 << 16
"""Bytes up to which texts and numbers are."""
LARGEST_EXACT: Final = 1 << 53
"""What a JSON number holds exactly in every reader."""

_BULK_VRS: Final = frozenset(
    ("DS", "FD", "FL", "IS", "LT", "SL", "SS", "ST", "SV", "UC", "UL", "US", "UT", "UV")
)
"""Besides binary ones, those whose values may be elsewhere (PS3.18 F.2.2)."""
GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
"""The component groups of a name."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What is left out of a model, because it can be fetched."""

    bulk: Bulk
    inline_size: int = INLINE_SIZE
    value_size: int = VALUE_SIZE

    def takes(self, element: Element, charset: Charset) -> bool:
        """Tell whether the value is to be fetched; sequences aside."""
        size = len(element.value)
        if element.vr in BYTES_VRS:
            return size > self.inline_size or (element.is_undefined_length and size > 0)
        if size <= self.value_size or element.vr not in _BULK_VRS:
            return False
        # The model says that text is in UTF-8: what is not so as it stands cannot be elsewhere.
        value = element.value
        return element.vr not in TEXT_VRS or all(
            charset.is_utf_8(bytes(value[at : at + VALUE_SIZE]))
            for at in range(0, size, VALUE_SIZE)
        )


def to_json(
    elements: Iterable[Element],
    charset: Charset | None = None,
    *,
    bulk: Bulk | None = None,
    inline_size: int = INLINE_SIZE,
    value_size: int = VALUE_SIZE,
) -> Dataset:
    """Give the model of a data set, or of an item in ``charset``.

    ``bulk`` is asked for a URI for binary values above ``inline_size``, for texts and numbers
    above ``value_size`` and for encapsulated values. Without it, all are written inline. Raises:
    Malformed, if the data set is.
    """
    return _model(elements, charset, Offer(bulk, inline_size, value_size) if bulk else None)


def _model(elements: Iterable[Element], charset: Charset | None, offer: Offer | None) -> Dataset:
    found: dict[int, Attribute] = {}
    current = charset or charsets.DEFAULT
    small = min(offer.inline_size, offer.value_size) if offer else 0
    last = -1
    is_sorted = True
    for element in elements:
        # By number, as this is done for every element of every instance.
        tag, vr, value = element[0], element[1], element[2]
        if not tag & 0xFFFF:
            continue  # group lengths are not part of the model
        is_sorted = is_sorted and tag > last
        last = tag
        if vr == "SQ":
            items = [_model(item.elements(), current, offer) for item in element.items()]
            found[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        elif tag == SPECIFIC_CHARACTER_SET:
            current = charsets.of_value(bytes(value))
            if charset is None:
                found[tag] = _specific_character_set(current)
        elif (
            offer is not None
            and (len(value) > small or element.is_undefined_length)
            and offer.takes(element, current)
        ):
            found[tag] = {"vr": vr, "BulkDataURI": offer.bulk(element)}
        elif tag == PIXEL_DATA and value and not element.layout.is_little_endian:
            turned = swap(value, ordered_as(tag, vr, element.vrs.bits_allocated))
            found[tag] = {"vr": vr, "InlineBinary": b64encode(turned).decode("ascii")}
        else:
            found[tag] = attribute(vr, value, current, element.layout)
    ordered = found.items() if is_sorted else sorted(found.items())
    return {f"{tag:08X}": each for tag, each in ordered}


def unfolding(
    elements: Iterable[Element],
    charset: Charset | None = None,
    *,
    offer: Offer | None = None,
    is_exact: bool = False,
) -> Iterator[tuple[str, Attribute]]:
    """Give the model of a data set attribute by attribute, so that little of it is ever there.

    Items are iterators like this one, and InlineBinary is bytes or a view. ``is_exact`` leaves DS
    and IS the text they are. Raises: Malformed, when it gets there.
    """
    current = charset or charsets.DEFAULT
    latest = {element.tag: element for element in elements if element.tag & 0xFFFF}
    if SPECIFIC_CHARACTER_SET in latest:
        current = charsets.of_value(bytes(latest[SPECIFIC_CHARACTER_SET].value))
    for tag, element in sorted(latest.items()):
        vr, key = element.vr, f"{tag:08X}"
        if tag == SPECIFIC_CHARACTER_SET:
            if charset is None:
                yield key, _specific_character_set(current)
        elif vr == "SQ":
            if next(element.items(), None) is None:
                yield key, {"vr": vr}
            else:
                items = _unfolding_items(element, current, offer, is_exact)
                yield key, {"vr": vr, "Value": items}
        elif offer and offer.takes(element, current):
            yield key, {"vr": vr, "BulkDataURI": offer.bulk(element)}
        else:
            yield key, _unencoded(element, current, is_exact=is_exact)


def _unfolding_items(
    element: Element, charset: Charset, offer: Offer | None, is_exact: bool
) -> Iterator[Iterator[tuple[str, Attribute]]]:
    for item in element.items():
        yield unfolding(item.elements(), charset, offer=offer, is_exact=is_exact)


def _unencoded(element: Element, charset: Charset, *, is_exact: bool) -> Attribute:
    vr, value = element.vr, element.value
    if vr in BYTES_VRS:
        if not value:
            return {"vr": vr}
        is_turned = not element.layout.is_little_endian and not element.is_encapsulated
        ordered = ordered_as(element.tag, vr, element.vrs.bits_allocated)
        return {"vr": vr, "InlineBinary": swap(value, ordered) if is_turned else value}
    if is_exact and vr in ("DS", "IS"):
        found = [text or None for text in texts(vr, bytes(value), charset)]
        return {"vr": vr, "Value": found} if found else {"vr": vr}
    return attribute(vr, value, charset, element.layout)


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
    convert = _TEXT.get(vr)
    if convert is not None:
        found: list[Any] = convert(texts(vr, bytes(value), charset))
        return {"vr": vr, "Value": found} if found else {"vr": vr}
    if vr in NUMBERS or vr == "AT":
        numbers = decode(vr, value, is_little_endian=layout.is_little_endian)
        if not isinstance(numbers[0], bytes):
            return {"vr": vr, "Value": numbers if vr in _PLAIN else _json_numbers(vr, numbers)}
        vr = "UN"  # too short for even one number: kept, not guessed at
    elif not layout.is_little_endian:
        value = swap(value, vr)
    return {"vr": vr, "InlineBinary": b64encode(value).decode("ascii")}


def _texts(values: list[str]) -> list[Any]:
    return [value or None for value in values] if "" in values else values


def _decimals(values: list[str]) -> list[Any]:
    """Give DS as numbers where these are exact for every reader (PS3.18 F.2.3), else as text."""
    found: list[Any] = []
    for value in values:
        given = number(value) if value else None
        is_large = type(given) is int and not -LARGEST_EXACT <= given <= LARGEST_EXACT
        found.append(value if is_large else given)
    return found


def _integers(values: list[str]) -> list[Any]:
    """Give IS likewise. What is no integer stays text: it could not be an IS again."""
    found = _decimals(values)
    if float in map(type, found):
        return [
            value if isinstance(given, float) else given
            for value, given in zip(values, found, strict=True)
        ]
    return found


def _names(values: list[str]) -> list[Any]:
    return [person_name(value) if value else None for value in values]


def person_name(text: str) -> dict[str, str] | None:
    """Give the non-empty component groups (PS3.18 F.2.2). There are no more than three."""
    if "=" not in text:
        return {"Alphabetic": text} if text else None
    groups = zip(GROUPS, text.split("=", 2), strict=False)
    return {name: group for name, group in groups if group} or None


def joined_name(groups: Mapping[str, str]) -> str:
    """Give a name as it is encoded (PS3.5 6.2.1)."""
    last = max((n for n, group in enumerate(GROUPS, 1) if groups.get(group)), default=0)
    return "=".join(groups.get(group) or "" for group in GROUPS[:last])


def _json_numbers(vr: str, values: list[Any]) -> list[Any]:
    return [json_number(vr, each) for each in values]


def json_number(vr: str, value: Any) -> int | float | str:
    """Give a binary number as JSON can have it."""
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


_PLAIN: Final = frozenset(("SL", "SS", "UL", "US"))
"""Numbers that JSON can have as they are."""
_TEXT: Final[dict[str, Callable[[list[str]], list[Any]]]] = {
    **dict.fromkeys(
        ("AE", "AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"), _texts
    ),
    "DS": _decimals,
    "IS": _integers,
    "PN": _names,
}
