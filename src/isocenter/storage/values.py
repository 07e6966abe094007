"""Attribute values in the one form they are compared in, whether stored or asked for.

Text loses its padding, dates and times become strings of one length that sort as time does, names
are folded per component group, numbers are numbers.

Source: PS3.5 6.2 (value representations); PS3.18 Annex F (the DICOM JSON model).
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from isocenter.storage.attributes import Attribute
from isocenter.storage.names import GROUPS, fold_group

Element = Mapping[str, Any]
"""One attribute in the DICOM JSON model: ``vr`` and mostly ``Value``."""

Attributes = Mapping[str, Element]
"""A data set in the DICOM JSON model: elements by tag, eight upper-case hexadecimal digits."""

Comparable = str | int | float | dict[str, Any]

DATE_LENGTH: Final = 8
TIME_LENGTH: Final = 13
"""Of ``HHMMSS.FFFFFF``."""

WHOLE_NUMBERS: Final = frozenset({"IS", "US", "SS", "UL", "SL", "UV", "SV"})
NUMBERS: Final = WHOLE_NUMBERS | {"DS", "FL", "FD"}
_KEEPS_LEADING_SPACES: Final = frozenset({"LT", "ST", "UT", "UC", "UR"})

_DATE: Final = re.compile(r"(\d{4})(\.?)(\d\d)\2(\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"([+-])(\d\d)(\d\d)", re.ASCII)


def date(text: str) -> str | None:
    """``YYYYMMDD``; also from the form with dots of ACR-NEMA (PS3.5 6.2).

    None where it is no date.
    """
    if len(text) == DATE_LENGTH and text.isascii() and text.isdigit():
        return text
    found = _DATE.fullmatch(text)
    return None if found is None else found[1] + found[3] + found[4]


def time(text: str, *, latest: bool = False) -> str | None:
    """``HHMMSS.FFFFFF``; None where it is no time.

    What is left out is zero, or with ``latest`` as late as it can be: 23 is then 23:59:59.999999.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second, fraction = found.groups()
    filler = "59" if latest else "00"
    fraction = (fraction or "").ljust(6, "9" if latest else "0")
    return f"{hour}{minute or filler}{second or filler}.{fraction}"


def offset_minutes(text: str) -> int | None:
    """Minutes east of UTC of an offset such as ``-0330``; None where it is none (PS3.5 6.2, DT)."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    return -minutes if found[1] == "-" else minutes


def date_time(text: str, *, latest: bool = False, default_offset: int = 0) -> str | None:
    """``YYYYMMDDHHMMSS.FFFFFF`` in UTC; None where it is no date and time.

    ``default_offset``: minutes east of UTC for a value that does not say.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    minutes = default_offset if offset is None else offset_minutes(offset)
    if minutes is None or not -1440 < minutes < 1440:
        return None
    try:
        if latest and (month is None or day is None):
            moment = _end_of(int(year), int(month or 12))
        else:
            moment = datetime(
                int(year),
                int(month or 1),
                int(day or 1),
                int(hour or (23 if latest else 0)),
                int(minute or (59 if latest else 0)),
                min(int(second or (59 if latest else 0)), 59),
                int((fraction or "").ljust(6, "9" if latest else "0")),
                tzinfo=UTC,
            )
        moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return f"{moment.year:04d}{moment:%m%d%H%M%S.%f}"


def _end_of(year: int, month: int) -> datetime:
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return following - timedelta(microseconds=1)


def text(vr: str, value: object) -> str:
    """A string value without the padding that does not count (PS3.5 6.2)."""
    whole = str(value).rstrip(" \0")
    return whole if vr in _KEEPS_LEADING_SPACES else whole.lstrip(" ")


def number(value: object) -> int | float | None:
    """A number from what JSON holds, itself a number or a string; None where it is none."""
    try:
        found = float(str(value).strip(" \0"))
    except ValueError:
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def name_groups(value: object) -> list[str]:
    """The folded component groups of a name behind their numbers, ``1`` alphabetic to ``3``."""
    if not isinstance(value, Mapping):
        return []
    folded = (
        (place, fold_group(str(value.get(group) or ""))) for place, group in enumerate(GROUPS, 1)
    )
    return [f"{place}{group}" for place, group in folded if group]


def _comparable(attribute: Attribute, value: Any, offset: int) -> Iterable[Comparable | None]:
    vr = attribute.vr
    if vr == "SQ":
        nested = compared(attribute.items, value, offset) if isinstance(value, Mapping) else {}
        return (nested,)
    if vr == "PN":
        return name_groups(value)
    if vr in NUMBERS:
        return (number(value),)
    if vr == "DA":
        return (date(text(vr, value)),)
    if vr == "TM":
        return (time(text(vr, value)),)
    if vr == "DT":
        return (date_time(text(vr, value), default_offset=offset),)
    return (text(vr, value) or None,)


def compared(
    known: Mapping[int, Attribute], attributes: Attributes, offset: int = 0
) -> dict[str, list[Comparable]]:
    """What of ``attributes`` is in ``known``, as lists of comparable values by tag.

    ``offset``: minutes east of UTC that hold for the data set (PS3.3 C.12.1.1.8).
    """
    found: dict[str, list[Comparable]] = {}
    for tag8, element in attributes.items():
        attribute = known.get(_tag(tag8))
        values = element.get("Value") if isinstance(element, Mapping) else None
        if attribute is None or not isinstance(values, list):
            continue
        if kept := [
            each
            for value in values
            if value is not None
            for each in _comparable(attribute, value, offset)
            if each is not None
        ]:
            found[tag8] = kept
    return found


def _tag(tag8: str) -> int:
    try:
        return int(tag8, 16)
    except ValueError:
        return -1


def first(attributes: Attributes, tag8: str) -> Any:
    """The first value of an attribute, None where there is none."""
    element = attributes.get(tag8)
    values = element.get("Value") if element else None
    return values[0] if isinstance(values, list) and values else None


def first_text(attributes: Attributes, tag8: str) -> str:
    """The first value as text without padding, ``""`` where there is none."""
    value = first(attributes, tag8)
    return "" if value is None else text("LO", value)


def whole_text(attributes: Attributes, tag8: str) -> str:
    """All values as one text, with the backslashes that part them; ``""`` where there is none.

    Of an identifier, which may have one value only: who writes a backslash in one means all of it.
    """
    element = attributes.get(tag8)
    found = element.get("Value") if isinstance(element, Mapping) else None
    texts = ["" if each is None else text("LO", each) for each in found or ()]
    return "\\".join(texts) if any(texts) else ""


def first_integer(attributes: Attributes, tag8: str, missing: int) -> int:
    """The first value as an integer of 32 bits, ``missing`` where there is none."""
    found = number(first(attributes, tag8))
    return found if isinstance(found, int) and -(2**31) <= found < 2**31 else missing


def is_filled(element: Element) -> bool:
    """Whether an element says anything."""
    values = element.get("Value")
    return isinstance(values, list) and any(value not in (None, "", {}) for value in values)
