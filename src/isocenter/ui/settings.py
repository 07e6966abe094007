"""The settings in force: each with its value, where that was set, and what it means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter import config as settings
from isocenter import setting
from isocenter.config import Config
from isocenter.ui.page import render
from isocenter.ui.running import running_of

PATH: Final = "/administration/settings"
SECRET: Final = re.compile(r"password|secret|token|passphrase|(^|_)key$")
"""Names of what is not shown."""
SOURCES: Final = {
    "default": "Default",
    "file": "File",
    "environment": "Environment",
    "option": "Option",
}
"""English texts; the catalogs have the others."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    name: str
    value: str
    source: str
    """One of ``SOURCES``."""
    place: str
    """Where it was set; empty for a default."""
    meaning: str
    kind: str

    @property
    def source_words(self) -> str:
        """What kind of place set it."""
        return SOURCES[self.source]


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that belong together."""

    name: str
    """Empty for those that stand alone."""
    meaning: str
    settings: tuple[Setting, ...]


async def show(request: Request) -> Response:
    """GET /administration/settings."""
    config: Config = request.app.state.config
    sections = list(in_force(config, running_of(request).places))
    return render(request, "settings.html", {"sections": sections})


def in_force(config: Config, places: Any) -> Iterator[Section]:
    """Every setting, by section."""
    documented = list(settings.documented())
    for name in ("", *settings.SECTIONS):
        prefix = f"{name}." if name else ""
        kind = settings.SECTIONS.get(name, Config)
        holder = getattr(config, name) if name else config
        meanings = _meanings(kind)
        found = []
        for path, words, _ in documented:
            own = path.removeprefix(prefix)
            if path == prefix + own and own in meanings and "." not in own:
                place = places.get(path, "")
                value = _shown(own, getattr(holder, own))
                found.append(Setting(path, value, _source(place), place, meanings[own], words))
        about = (kind.__doc__ or "").strip() if name else ""
        yield Section(name, about, tuple(found))


@cache
def _meanings(section: type) -> Any:
    return setting.meanings(section)


def _source(place: str) -> str:
    if not place:
        return "default"
    if place.startswith("--"):
        return "option"
    return "environment" if place.startswith(settings.ENVIRONMENT_PREFIX) else "file"


def _shown(name: str, value: Any) -> str:
    if SECRET.search(name) and value:
        return "••••••"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(_entry, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _entry(value: Any) -> str:
    if isinstance(value, settings.CompressionRule):
        return f"{value.to} {value.when}"
    return str(value)


ROUTES = (Route(PATH, show, name="settings"),)
