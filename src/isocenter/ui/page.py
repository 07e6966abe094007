"""Making a page: templates, the reader's language and theme."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from isocenter import __version__
from isocenter.config import Config
from isocenter.ui import formats, language
from isocenter.ui.language import Language

TEMPLATES: Final = Path(__file__).parent / "templates"
THEMES: Final = ("dark", "light")
"""The first is the default: reading rooms are dark."""

NAVIGATION: Final = (
    ("/", "Studies"),
    ("/upload", "Upload"),
    ("/dashboard", "Dashboard"),
    ("/administration", "Administration"),
)
"""The pages that every page links to, and what they are called."""

ADMINISTRATION: Final = (
    ("/administration/peers", "Peers", "Who we talk to, whether they are there, what they take"),
    ("/administration/associations", "Associations", "Who is connected now, and who was lately"),
    ("/administration/removed", "Removed", "What was removed, why, and putting it back"),
    ("/administration/jobs", "Jobs", "What is done in the background, and how far it is"),
    ("/administration/storage", "Storage", "What takes how much room, and how fast it comes in"),
    ("/administration/changes", "Changes", "What came, and what was replaced or removed"),
    ("/administration/settings", "Settings", "What is in force, and where it was set"),
    ("/shares", "Shared links", "Who may see which study by a link, and until when"),
)
"""The pages below ``/administration``: where, what they are called, what they show."""

_DIRECTIONS: Final = dict.fromkeys((0x202D, 0x202E), "\ufffd") | dict.fromkeys(
    (0x202A, 0x202B, 0x202C, *range(0x2066, 0x206A))
)
"""What turns text about: overrides, which show an ID backwards, are shown as what they are not; of
embeddings and isolates, which reach beyond the value, nothing is seen."""


def _straight(value: Any) -> Any:
    """A value as a page may show it, in the order of its characters; ``| e`` keeps it as it is."""
    if type(value) is str and not value.isascii():
        return value.translate(_DIRECTIONS)
    return value


_environment = Environment(
    loader=FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_straight,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.globals["version"] = __version__
_environment.globals["navigation"] = NAVIGATION
_environment.globals["administration"] = ADMINISTRATION


def theme_of(request: Request) -> str:
    """The theme the reader chose."""
    chosen = request.cookies.get("theme")
    return chosen if chosen in THEMES else THEMES[0]


def render(
    request: Request, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HTMLResponse:
    """Return a page, or a part of one, made from ``template``."""
    tongue = language.of(request)
    text = made(template, tongue, {**_of(request), **(context or {})})
    headers = {"vary": "HX-Request, Accept-Language, Cookie", "content-language": tongue.code}
    return HTMLResponse(text, status, headers)


def _of(request: Request) -> dict[str, Any]:
    """What every page may ask for."""
    config: Config = request.app.state.config
    return {
        "request": request,
        "theme": theme_of(request),
        **viewers_of(config, request.app.state.has_ohif),
        "may_administer": config.permits(config.http.administration),
    }


def viewers_of(config: Config, has_ohif: Callable[[], bool]) -> dict[str, bool]:
    """Which viewers the row of a study leads to."""
    viewers = config.ui.viewers
    return {"has_ohif": "ohif" in viewers and has_ohif(), "has_weasis": "weasis" in viewers}


def made(template: str, tongue: Language, context: Mapping[str, Any]) -> str:
    """Return ``template`` filled in."""
    return _environment.get_template(template).render(
        {
            "_": tongue.say,
            "language": tongue,
            "languages": language.LANGUAGES.values(),
            "formats": formats.Formats(tongue),
            "themes": THEMES,
            "today": date.today(),
            **context,
        }
    )


def is_partial(request: Request) -> bool:
    """Whether a part of a page is asked for, to be put into one that is there."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers
