"""Dates and times of FHIR searches as intervals, and those of DICOM as FHIR writes them.

Source: https://hl7.org/fhir/R4/search.html#date, https://hl7.org/fhir/R4/datatypes.html#dateTime
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from isocenter.errors import Malformed, Unsupported
from isocenter.storage import values

PREFIXES: Final = ("eq", "ge", "le", "gt", "lt", "sa", "eb")
_UNSUPPORTED: Final = ("ne", "ap")
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)"
    # A plus sign in a URL stands for a space.
    r"(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?(Z|[ +-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_LEAST: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low`` to ``high``, both included; None is open."""

    low: datetime | None
    high: datetime | None

    def within(self, other: "Interval") -> "Interval":
        """What both have in common; perhaps nothing, so ``high`` before ``low``."""
        lows = [each for each in (self.low, other.low) if each is not None]
        highs = [each for each in (self.high, other.high) if each is not None]
        return Interval(max(lows, default=None), min(highs, default=None))

    @property
    def is_empty(self) -> bool:
        """Nothing is in it."""
        return self.low is not None and self.high is not None and self.high < self.low

    @property
    def is_of_days(self) -> bool:
        """It begins and ends with days."""
        begins = self.low is None or self.low.time() == datetime.min.time()
        return begins and (self.high is None or (self.high + _LEAST).time() == datetime.min.time())


def interval(text: str, zone: tzinfo | None) -> Interval:
    """Read a date with its prefix: what a value may be that meets it.

    Times are of ``zone``. Where that is not known, a day is as exact as it gets. Raises: Malformed,
    Unsupported.
    """
    prefix = text[:2]
    if prefix in _UNSUPPORTED:
        raise Unsupported(f"the prefix {prefix} of a date")
    try:
        if prefix in PREFIXES:
            return _by_prefix(prefix, text[2:], zone)
        return _by_prefix("eq", text, zone)
    except OverflowError as error:
        raise Malformed("there is nothing before or after that date") from error


def _by_prefix(prefix: str, text: str, zone: tzinfo | None) -> Interval:
    start, end, has_time = _span(text, zone)
    if has_time and zone is None:
        # What is only known by its day overlaps with what is before and after the time given, and
        # lies within no moment of it.
        if prefix in ("eq", "sa", "eb"):
            raise Unsupported("a time: studies are known by their day (see the setting timezone)")
        prefix = {"gt": "ge", "lt": "le"}.get(prefix, prefix)
    match prefix:
        case "ge":
            return Interval(start, None)
        case "le":
            return Interval(None, end - _LEAST)
        case "gt" | "sa":
            return Interval(end, None)
        case "lt" | "eb":
            return Interval(None, start - _LEAST)
    return Interval(start, end - _LEAST)


def _span(text: str, zone: tzinfo | None) -> tuple[datetime, datetime, bool]:
    """What a date of any precision covers: from, to (exclusive), and if it has a time."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise Malformed("that is no date: it is written as in 2024-02-29 or 2024-02-29T10:00:00Z")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        start = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            min(int(second or 0), 59), int((fraction or "").ljust(6, "0")),
        )  # fmt: skip
        if hour is None:
            return start, _following(start, month, day), False
        if zone is None:
            start = start.replace(hour=0, minute=0, second=0, microsecond=0)
            return start, start + timedelta(days=1), True
        length = timedelta(minutes=1) if second is None else timedelta(seconds=1)
        if fraction is not None:
            length = timedelta(seconds=10 ** -min(len(fraction), 6))
        start = _local(start, offset, zone)
        return start, start + length, True
    except (ValueError, OverflowError) as error:
        raise Malformed("there is no such date") from error


def _following(start: datetime, month: str | None, day: str | None) -> datetime:
    if day is not None:
        return start + timedelta(days=1)
    if month is not None and start.month < 12:
        return start.replace(month=start.month + 1)
    return start.replace(year=start.year + 1, month=1)


def _local(moment: datetime, offset: str | None, zone: tzinfo) -> datetime:
    """As clocks of ``zone`` show it."""
    if offset is None:
        return moment
    written = "+00:00" if offset == "Z" else offset.replace(" ", "+")
    aware = datetime.fromisoformat(moment.isoformat() + written)
    return aware.astimezone(zone).replace(tzinfo=None)


# --- what DICOM has


def day(text: str) -> str | None:
    """A DA as a FHIR date; None, if there is no such day."""
    digits = values.date(text.strip())
    if digits is None:
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).isoformat()
    except ValueError:
        return None


def moment(date_text: str, time_text: str, offset: str, zone: tzinfo | None) -> str | None:
    """A DA with its TM as a FHIR dateTime; only the day, where no timezone is known.

    ``offset``: Timezone Offset From UTC, as DICOM writes it.
    """
    on = day(date_text)
    at = values.time(time_text.strip())
    if on is None or at is None:
        return on
    minutes = values.offset_minutes(offset.strip())
    try:
        naive = datetime.fromisoformat(f"{on}T{at[:2]}:{at[2:4]}:{at[4:]}")
        if minutes is not None:
            return _written(naive.replace(tzinfo=UTC), minutes)
        if zone is not None:
            return _exact(naive.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        return on
    return on


def _written(moment: datetime, minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    hours, rest = divmod(abs(minutes), 60)
    if abs(minutes) > 14 * 60 or rest > 59:  # FHIR has no zone further east or west
        return moment.date().isoformat()
    return f"{_exact(moment)[:-6]}{sign}{hours:02d}:{rest:02d}"


def _exact(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
