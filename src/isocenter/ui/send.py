"""Sending a study, or series of it, to a peer: the form, and the job that it asks for."""

from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.archive import send_requests
from isocenter.archive.send_requests import SendRequest
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key
from isocenter.storage.records import Selection
from isocenter.ui import asking, forms
from isocenter.ui.formats import text_of
from isocenter.ui.page import render
from isocenter.ui.running import running_of
from isocenter.ui.study import series_of
from isocenter.ui.worklist import row_of


async def show(request: Request) -> Response:
    """GET /studies/{study}/send: where to, and what of it; ``series`` are chosen already."""
    archive = asking.archive_of(request)
    of_study = Key(asking.STUDY_UID, asking.uid_of(request, "study"))
    study = await asking.one(archive, Level.STUDY, of_study)
    series = [series_of(each) async for each in asking.every(archive, Level.SERIES, of_study)]
    # One may stand in the settings several times; instances go to the last.
    peers = {each.address.ae_title: each.address for each in await running_of(request).peers.all()}
    context = {
        "study": row_of(study),
        "series": series,
        "chosen": request.query_params.getlist("series"),
        "peers": list(peers.values()),
    }
    return render(request, "send.html", context)


async def enqueue(request: Request) -> Response:
    """POST /studies/{study}/send: have it done, and go back to the study."""
    study = asking.uid_of(request, "study")
    given = await forms.fields(request)
    peer = next((value for name, value in given if name == "peer"), "")
    if await running_of(request).peers.destination(peer) is None:
        raise HTTPException(400, "there is no such peer: choose one of the list")
    series = tuple(dict.fromkeys(value for name, value in given if name == "series"))
    await _refuse_strangers(request, study, series)
    asked = SendRequest(peer, Selection(studies=(study,), series=series))
    job = await asking.archive_of(request).jobs.enqueue(
        send_requests.KIND,
        asked.written(),
        asked_by=request.client.host if request.client else "",
    )
    return RedirectResponse(f"/studies/{study}?sent={job.number}", 303)


async def _refuse_strangers(request: Request, study: str, series: Sequence[str]) -> None:
    """Raises: NotFound, where the study is not here; HTTPException 400, for others' series."""
    archive, of_study = asking.archive_of(request), Key(asking.STUDY_UID, study)
    await asking.one(archive, Level.STUDY, of_study)
    if not series:
        return
    known = {
        text_of(each, asking.SERIES_UID)
        async for each in asking.every(archive, Level.SERIES, of_study)
    }
    if not known.issuperset(series):
        raise HTTPException(400, "the study has no such series")


ROUTES = (
    Route("/studies/{study}/send", show, name="send"),
    Route("/studies/{study}/send", enqueue, methods=["POST"], name="send-study"),
)
