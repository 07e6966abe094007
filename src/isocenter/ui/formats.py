"""Values of attributes as people read them.

Source: PS3.5 6.2 (DA, TM, PN).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from isocenter.ui.language import Language

_DATES: Final = {"en": "{0:%Y-%m-%d}", "de": "{0:%d.%m.%Y}"}
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME: Final = re.compile(r"(\d{2}):?(\d{2})")
_UNITS: Final = ("bytes", "KB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class Formats:
    """How one language writes values; what cannot be read is given as it is."""

    language: Language

    def date(self, value: str) -> str:
        """A date (DA)."""
        found = _DATE.fullmatch(value)
        if found is None:
            return value
        try:
            return _DATES[self.language.code].format(date(*map(int, found.groups())))
        except ValueError:
            return value

    def time(self, value: str) -> str:
        """A time (TM), to the minute."""
        found = _TIME.match(value)
        return f"{found[1]}:{found[2]}" if found else value

    def moment(self, at: int) -> str:
        """A time of our own, in microseconds since 1970, to the minute, as it is here."""
        here = datetime.fromtimestamp(at / 1e6).astimezone()
        return f"{_DATES[self.language.code].format(here)} {here:%H:%M}"

    def instant(self, at: int) -> str:
        """The same for programs (HTML ``time``)."""
        return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds")

    def name(self, value: str) -> str:
        """A person's name (PN): of its three forms the first that is there."""
        group = next((each for each in value.split("=") if each.strip("^ ")), "")
        family, given, middle, prefix, suffix = (*group.split("^"), *[""] * 5)[:5]
        first = " ".join(filter(None, (each.strip() for each in (given, middle))))
        titled = ", ".join(filter(None, (family.strip(), first)))
        added = ", ".join(filter(None, (prefix.strip(), suffix.strip())))
        return f"{titled} ({added})" if added else titled

    def number(self, value: int) -> str:
        """A count, its thousands apart."""
        return f"{value:,}".replace(",", "." if self.language.code == "de" else ",")

    def size(self, value: float) -> str:
        """A size in bytes."""
        unit = 0
        while value >= 1000 and unit < len(_UNITS) - 1:
            value, unit = value / 1000, unit + 1
        text = f"{value:.0f}" if unit == 0 or value >= 100 else f"{value:.1f}"
        return f"{text.replace('.', ',' if self.language.code == 'de' else '.')} {_UNITS[unit]}"


def text_of(attributes: dict[str, Any], tag: int) -> str:
    """An attribute's values in the JSON model (PS3.18 F.2) as text; several with commas between."""
    found = []
    for value in attributes.get(f"{tag:08X}", {}).get("Value", ()):
        if isinstance(value, dict):
            groups = ("Alphabetic", "Ideographic", "Phonetic")
            value = "=".join(value.get(group, "") for group in groups).rstrip("=")
        if value is not None:
            found.append(str(value))
    return ", ".join(found)
