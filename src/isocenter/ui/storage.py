"""Storage: what takes how much room, how long that lasts, and how fast it comes in."""

import time
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.archive.capacity import LOOKED_BACK, days_left
from isocenter.storage.tallies import DAY, Span
from isocenter.ui import asking, language, plots
from isocenter.ui.formats import Formats
from isocenter.ui.page import is_partial, render
from isocenter.ui.spans import Window

PATH: Final = "/administration/storage"

RATES: Final[Mapping[str, tuple[str, Window]]] = {
    "minute": ("Per minute", Window(Span.MINUTE, 120)),
    "hour": ("Per hour", Window(Span.MINUTE, 48 * 60, 60)),
    "day": ("Per day", Window(Span.DAY, 90)),
}
"""English texts; the catalogs have the others."""


async def show(request: Request) -> Response:
    """GET /administration/storage: with ``per``, rates per minute, hour or day."""
    archive = asking.archive_of(request)
    per = request.query_params.get("per", "hour")
    if per not in RATES:
        raise HTTPException(400, "rates are per minute, hour or day")
    context = {
        **await room(archive),
        "per": per,
        "rates": [(name, words) for name, (words, _) in RATES.items()],
        "plots": await _plots(request, archive, RATES[per][1]),
    }
    template = "_storage.html" if is_partial(request) else "storage.html"
    return render(request, template, context)


async def room(archive: Archive) -> dict[str, Any]:
    """What there is, and how long it lasts."""
    today = time.time_ns() // 1000 // DAY
    capacity = await archive.capacity()
    recent = await archive.index.tallies(Span.DAY, today - LOOKED_BACK)
    return {
        "total": await archive.index.total(),
        "capacity": capacity,
        "days_left": days_left(capacity.free, recent, today),
    }


async def _plots(request: Request, archive: Archive, window: Window) -> list[plots.Plot]:
    tongue = language.of(request)
    formats = Formats(tongue)
    found = await archive.index.tallies(window.span, window.since)
    labels = window.labels(formats)
    shown = (
        ("instances", tongue.say("Instances received"), lambda value: formats.number(round(value))),
        ("bytes", tongue.say("Bytes received"), formats.size),
    )
    return [
        plots.stacked(title, labels, {"": window.sums(found, measure)}, say, "")
        for measure, title, say in shown
    ]


ROUTES = (Route(PATH, show, name="storage"),)
