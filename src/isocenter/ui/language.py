"""The reader's language: every text of a page goes through ``say``.

A catalog is a JSON object from the English text to the other; a test finds every text that is used
and demands it in each catalog.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request

LOCALES: Final = Path(__file__).parent / "locales"


@dataclass(frozen=True, slots=True)
class Language:
    """One language."""

    code: str
    """As in BCP 47."""
    name: str
    """What its speakers call it."""
    texts: Mapping[str, str]

    def say(self, text: str, **values: object) -> str:
        """Return ``text`` in this language, with ``{name}`` filled in."""
        found = self.texts.get(text, text)
        return found.format(**values) if values else found


def _catalog(code: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((LOCALES / f"{code}.json").read_text("utf-8"))
    return found


LANGUAGES: Final = {
    each.code: each
    for each in (Language("en", "English", {}), Language("de", "Deutsch", _catalog("de")))
}
"""Those there are; the first is spoken with who speaks none of them."""


def of(request: Request) -> Language:
    """The language the reader chose, or that the browser prefers (RFC 9110 12.5.4)."""
    chosen = LANGUAGES.get(request.cookies.get("language", ""))
    return chosen or _preferred(request.headers.get("accept-language", ""))


def _preferred(accepted: str) -> Language:
    ranked: list[tuple[float, int, str]] = []
    for position, part in enumerate(accepted.split(",")):
        name, _, quality = part.partition(";q=")
        try:
            ranked.append((-float(quality or 1), position, name.strip().lower().split("-")[0]))
        except ValueError:
            continue
    spoken = (LANGUAGES[code] for rank, _, code in sorted(ranked) if rank < 0 and code in LANGUAGES)
    return next(spoken, LANGUAGES["en"])
