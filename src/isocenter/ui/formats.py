"""Values of attributes as people read them.

Source: PS3.5 6.2 (DA, TM, PN).
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from isocenter.ui.language import Language

# Years before 1000 are written with four digits too: strftime leaves that to the system.
_DATES: Final = {"en": "{0.year:04}-{0:%m-%d}", "de": "{0:%d.%m}.{0.year:04}"}
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME: Final = re.compile(r"(\d{2}):?(\d{2})")
EPOCH: Final = date(1970, 1, 1).toordinal()
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

    def name(self, value: str) -> str:
        """A person's name (PN): of its three forms the first that is there."""
        group = next((each for each in value.split("=") if each.strip("^ ")), "")
        family, given, middle, prefix, suffix = (*group.split("^"), *[""] * 5)[:5]
        first = " ".join(filter(None, (each.strip() for each in (given, middle))))
        titled = ", ".join(filter(None, (family.strip(), first)))
        added = ", ".join(filter(None, (prefix.strip(), suffix.strip())))
        return f"{titled} ({added})" if added else titled

    def moment(self, at: int) -> str:
        """A moment of our own, in microseconds since 1970: the day and the time, in UTC."""
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
        return f"{_DATES[self.language.code].format(moment)} {moment:%H:%M:%S}"

    def iso(self, at: int) -> str:
        """The same as machines read it (RFC 3339)."""
        return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat(timespec="seconds")

    def day(self, number: int) -> str:
        """A day, numbered from 1970."""
        return _DATES[self.language.code].format(date.fromordinal(EPOCH + number))

    def milliseconds(self, seconds: float) -> str:
        """A short time."""
        return f"{self.decimal(seconds * 1000)} ms"

    def duration(self, seconds: float) -> str:
        """How long something took."""
        if seconds < 60:
            return f"{self.decimal(seconds)} s"
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"

    def days(self, seconds: float) -> str:
        """How many days a time is."""
        return re.sub(r"[.,]0$", "", self.decimal(seconds / 86_400))

    def decimal(self, value: float) -> str:
        """A number with one decimal place, where it is small."""
        text = f"{value:.0f}" if value >= 100 else f"{value:.1f}"
        return text.replace(".", ",") if self.language.code == "de" else text

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
