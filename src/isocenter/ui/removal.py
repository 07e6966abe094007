"""Removing a study or series of it, what was removed, and putting it back."""

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.archive.removals import CODES, may_remove, refuse_if_forbidden
from isocenter.errors import Conflict
from isocenter.storage.records import Match, Selection
from isocenter.ui import asking, forms
from isocenter.ui.page import render
from isocenter.ui.removed import PATH, removal_row, shown
from isocenter.ui.study import series_rows
from isocenter.ui.worklist import rows_of

PAGE: Final = 50
NO_CHOICE: Final = "Say what is to go."
NO_SERIES: Final = "Choose the series that are to go."
NO_REASON: Final = "Say why."
NOT_SURE: Final = "Say that you are sure."
FAULTS: Final = (NO_CHOICE, NO_SERIES, NO_REASON, NOT_SURE)
"""What a form is given back with: English texts, the catalogs have the others."""


async def ask(request: Request) -> Response:
    """GET /studies/{study}/remove: what is to go and why; ``series`` are chosen already."""
    refuse_if_forbidden(request.app.state.config)
    study = await asking.study(request)
    return await _form(request, study, request.query_params.getlist("series"))


async def remove(request: Request) -> Response:
    """POST /studies/{study}/remove: take it out, and tell how to put it back."""
    refuse_if_forbidden(request.app.state.config)
    study = await asking.study(request)
    given = await forms.fields(request)
    sent = dict(given)
    series = tuple(dict.fromkeys(value for name, value in given if name == "series"))
    if sent.get("what") not in ("study", "series"):
        return await _form(request, study, series, wrong=NO_CHOICE)
    if sent["what"] == "series" and not series:
        return await _form(request, study, series, wrong=NO_SERIES)
    code = sent.get("code", "")
    reason = sent.get("reason", "").strip()
    if not code and not reason:
        return await _form(request, study, series, wrong=NO_REASON)
    if code and code not in CODES:
        raise HTTPException(400, "there is no such reason: choose one of the list")
    chosen = Selection(
        studies=(asking.uid_of(request, "study"),),
        series=series if sent["what"] == "series" else (),
        handles=(study.study,),
    )
    removals = asking.archive_of(request).removals
    removed = await removals.remove(chosen, who=_who(request), code=code, reason=reason)
    if not removed.instances:
        raise HTTPException(404, "it is not in the archive any more")
    return RedirectResponse(f"{PATH}/{removed.removal}", 303)


async def _form(request: Request, study: Match, chosen: Any, *, wrong: str = "") -> Response:
    archive = asking.archive_of(request)
    (row,) = await rows_of(archive, [study])
    context = {
        "study": row,
        "series": await series_rows(archive, study),
        "chosen": chosen,
        "codes": CODES,
        "retention": request.app.state.config.archive.removal_retention,
        "wrong": wrong,
    }
    return render(request, "remove.html", context, status=400 if wrong else 200)


async def listed(request: Request) -> Response:
    """GET /administration/removed: what was removed lately, or what lies behind ``after``."""
    removals = asking.archive_of(request).removals
    found = await removals.page(PAGE + 1, asking.place(request))
    last = found[PAGE - 1] if len(found) > PAGE else None
    context = {
        "rows": [removal_row(each) for each in found[:PAGE]],
        "older": f"{PATH}?after={last.removed_at}-{last.number}" if last else "",
        "is_first": "after" not in request.query_params,
        "may": may_remove(request.app.state.config),
    }
    return render(request, "removed.html", context)


async def one(request: Request) -> Response:
    """GET /administration/removed/{removal}: what it took, and how long it can be undone."""
    removal = await asking.archive_of(request).removals.find(_number(request))
    return shown(request, removal)


async def restore(request: Request) -> Response:
    """POST /administration/removed/{removal}/restore: put all of it back, and go there."""
    refuse_if_forbidden(request.app.state.config)
    removals, number = asking.archive_of(request).removals, _number(request)
    try:
        await removals.restore(number)
    except Conflict as conflict:
        return shown(request, await removals.find(number), status=409, wrong=str(conflict))
    return RedirectResponse(f"{PATH}/{number}", 303)


async def purge(request: Request) -> Response:
    """POST /administration/removed/{removal}/purge: delete it for good, if that was said twice."""
    refuse_if_forbidden(request.app.state.config)
    sent = dict(await forms.fields(request))
    removals, number = asking.archive_of(request).removals, _number(request)
    removal = await removals.find(number)
    if sent.get("sure") != "yes":
        return shown(request, removal, status=400, wrong=NOT_SURE)
    await removals.purge(number)
    return RedirectResponse(f"{PATH}/{number}", 303)


def _number(request: Request) -> int:
    given = str(request.path_params["removal"])
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise HTTPException(404, "there is no such removal")
    return int(given)


def _who(request: Request) -> str:
    return f"page {request.client.host if request.client else ''}".rstrip()


ROUTES = (
    Route("/studies/{study}/remove", ask, name="remove"),
    Route("/studies/{study}/remove", remove, methods=["POST"], name="remove-study"),
    Route(PATH, listed, name="removed"),
    Route(f"{PATH}/{{removal}}", one, name="removal"),
    Route(f"{PATH}/{{removal}}/restore", restore, methods=["POST"], name="restore"),
    Route(f"{PATH}/{{removal}}/purge", purge, methods=["POST"], name="purge"),
)
