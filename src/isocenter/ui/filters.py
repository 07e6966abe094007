"""The filters of the worklist: what a reader types, as keys of a query."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Final
from urllib.parse import urlencode

from isocenter.storage.query import Key, Order

PERIODS: Final[Mapping[str, str]] = {
    "": "Any date",
    "today": "Today",
    "yesterday": "Yesterday",
    "week": "Last 7 days",
    "month": "Last 30 days",
    "year": "Last 12 months",
}
"""Presets of dates and what they are called."""
ORDERS: Final[Mapping[str, str]] = {
    "": "Newest first",
    Order.OLDEST.value: "Oldest first",
    Order.NAME.value: "Patient, A to Z",
    Order.NAME_BACKWARDS.value: "Patient, Z to A",
    Order.ARRIVED_LAST.value: "Latest arrival first",
    Order.ARRIVED_FIRST.value: "First arrival first",
}
"""What the list may be sorted by."""
_DAYS: Final = {"today": (0, 0), "yesterday": (1, 1), "week": (6, 0), "month": (29, 0),
                "year": (364, 0)}  # fmt: skip
LONGEST: Final = 64
"""Characters of a filter: no attribute that is searched has more."""

_NAME, _ID, _ACCESSION, _DATE = 0x00100010, 0x00100020, 0x00080050, 0x00080020
_MODALITY, _DESCRIPTION, _INSTITUTION = 0x00080061, 0x00081030, 0x00080080
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What was typed or chosen; empty for no demand."""

    name: str = ""
    id: str = ""
    accession: str = ""
    period: str = ""
    since: str = ""
    until: str = ""
    modality: str = ""
    description: str = ""
    institution: str = ""
    order: str = ""

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "Filters":
        """Read the parameters of a URL; what is no filter is nothing."""
        given = {each.name: _cleaned(parameters.get(each.name, "")) for each in fields(cls)}
        if given["period"] not in PERIODS:
            given["period"] = ""
        if given["order"] not in ORDERS:
            given["order"] = ""
        for name in ("since", "until"):
            if not _is_day(given[name]):
                given[name] = ""
        return cls(**given)

    @property
    def is_any(self) -> bool:
        """Whether something is demanded."""
        return bool(self.in_any_order.parameters)

    @property
    def in_any_order(self) -> "Filters":
        """The same demands."""
        return replace(self, order="")

    @property
    def has_more(self) -> bool:
        """Whether one of those is used that are not shown at first."""
        return any((self.since, self.until, self.description, self.institution))

    @property
    def parameters(self) -> str:
        """As the query of a URL."""
        pairs = [(each.name, getattr(self, each.name)) for each in fields(self)]
        return urlencode([(name, value) for name, value in pairs if value])

    def by(self, order: Order) -> str:
        """The query of a URL of the same list in another order."""
        return replace(self, order="" if order is Order.NEWEST else order.value).parameters

    @property
    def sorted_by(self) -> Order:
        """The order of the list."""
        return Order(self.order) if self.order else Order.NEWEST

    @property
    def by_words(self) -> bool:
        """Whether a name is given as words in any order."""
        return len(self.name.split()) > 1 and "," not in self.name

    def keys(self, today: date) -> tuple[Key, ...]:
        """What to match."""
        found = {
            _NAME: self._name(),
            _ID: _beginning(self.id),
            _ACCESSION: _beginning(self.accession),
            _DATE: self._dates(today),
            _MODALITY: self.modality.upper(),
            _DESCRIPTION: _containing(self.description),
            _INSTITUTION: _containing(self.institution),
        }
        return tuple(Key(tag, value) for tag, value in found.items() if value)

    def _name(self) -> str:
        """Typed as people do: ``Doe``, ``doe, ja``, ``jane doe``."""
        if "," in self.name:
            family, _, given = self.name.partition(",")
            return f"{family.strip()}^{given.strip()}*"
        if self.by_words:
            return self.name
        return _containing(self.name)

    def _dates(self, today: date) -> str:
        if self.period:
            first, last = (today - timedelta(days) for days in _DAYS[self.period])
            return f"{first:%Y%m%d}-{last:%Y%m%d}"
        since, until = (each.replace("-", "") for each in (self.since, self.until))
        return f"{since}-{until}" if since or until else ""


def _cleaned(text: str) -> str:
    # A backslash would separate alternatives, and what cannot be seen is not meant.
    printable = "".join(each if each.isprintable() and each != "\\" else " " for each in text)
    return printable.strip()[:LONGEST]


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _beginning(text: str) -> str:
    """At its beginning, as typed or in capitals: so an index finds it."""
    text = text.rstrip("*")
    return "\\".join(f"{each}*" for each in dict.fromkeys((text, text.upper())) if each)


def _containing(text: str) -> str:
    """Anywhere in it; of one or two letters at its beginning, which an index can find."""
    text = text.strip("*")
    if not text:
        return ""
    return f"*{text}*" if len(text) > 2 else f"{text}*"
