"""The dashboard: what came by day and modality, how it grows, and what needs a hand."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.archive.upkeep import VERIFIED
from isocenter.storage.tallies import Span, Tally
from isocenter.ui import asking, language, plots, spans
from isocenter.ui.formats import Formats
from isocenter.ui.language import Language
from isocenter.ui.page import is_partial, render
from isocenter.ui.spans import MEASURES, Window
from isocenter.ui.storage import room
from isocenter.ui.troubles import refusals, troubles

PATH: Final = "/dashboard"
PERIODS: Final = (30, 90, 365)
"""Days."""
MOST_REFUSALS: Final = 20


async def show(request: Request) -> Response:
    """GET /dashboard: with ``of``, what is counted; with ``days``, for how long."""
    archive = asking.archive_of(request)
    measure, days = _asked(request)
    space = await room(archive)
    context = {
        **space,
        "measure": measure,
        "measures": list(MEASURES.items()),
        "days": days,
        "periods": PERIODS,
        "plots": await _plots(archive, language.of(request), measure, spans.days(days)),
        "troubles": await troubles(request, space["capacity"], space["days_left"]),
        "refusals": refusals(request)[:MOST_REFUSALS],
        **await _extremes(archive),
    }
    template = "_dashboard.html" if is_partial(request) else "dashboard.html"
    return render(request, template, context)


def _asked(request: Request) -> tuple[str, int]:
    measure = request.query_params.get("of", "instances")
    days = request.query_params.get("days", "30")
    if measure not in MEASURES or days not in map(str, PERIODS):
        raise HTTPException(400, "there is no such plot")
    return measure, int(days)


async def _plots(
    archive: Archive, tongue: Language, measure: str, window: Window
) -> list[plots.Plot]:
    formats = Formats(tongue)
    found = await archive.index.tallies(Span.DAY, window.since)
    before = await archive.index.total(window.since)
    labels, say = window.labels(formats), _say(formats, measure)
    parts = {
        name or tongue.say("Unknown"): sums
        for name, sums in window.by_modality(found, measure).items()
    }
    what = "Received by week and modality" if window.step > 1 else "Received by day and modality"
    grown = _grown(before, found, window, measure)
    return [
        plots.stacked(tongue.say(what), labels, parts, say, tongue.say("Others")),
        plots.growing(tongue.say("In the archive"), labels, grown, say),
    ]


def _grown(before: Tally, found: Sequence[Tally], window: Window, measure: str) -> list[int]:
    kept = f"kept_{measure}"
    return list(accumulate(window.sums(found, kept), initial=getattr(before, kept)))[1:]


def _say(formats: Formats, measure: str) -> Callable[[float], str]:
    if measure == "bytes":
        return formats.size
    return lambda value: formats.number(round(value))


async def _extremes(archive: Archive) -> dict[str, Any]:
    oldest, newest = await archive.index.study_dates()
    first = await archive.index.first_change()
    last = await archive.index.changes(await archive.index.last_change() - 1, 1)
    noted = await archive.index.recall(VERIFIED)
    return {
        "oldest": oldest,
        "newest": newest,
        "first": first.at if first else 0,
        "last": last[0].at if last else 0,
        "checked": orjson.loads(noted) if noted else None,
    }


ROUTES = (Route(PATH, show, name="dashboard"),)
