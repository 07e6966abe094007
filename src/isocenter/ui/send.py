"""Sending a study, or series of it, to a peer: the form, and the job that it asks for."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.archive import send_requests
from isocenter.archive.send_requests import SendRequest
from isocenter.storage.records import Selection
from isocenter.ui import asking, forms
from isocenter.ui.page import render
from isocenter.ui.running import running_of
from isocenter.ui.study import series_rows
from isocenter.ui.worklist import row_of, rows_of


async def show(request: Request) -> Response:
    """GET /studies/{study}/send: where to, and what of it; ``series`` are chosen already."""
    archive = asking.archive_of(request)
    study = await asking.study(request)
    (row,) = await rows_of(archive, [study])
    # One may stand in the settings several times; instances go to the last.
    peers = {each.address.ae_title: each.address for each in await running_of(request).peers.all()}
    context = {
        "study": row,
        "series": await series_rows(archive, study),
        "chosen": request.query_params.getlist("series"),
        "peers": list(peers.values()),
    }
    return render(request, "send.html", context)


async def enqueue(request: Request) -> Response:
    """POST /studies/{study}/send: have it done, and go back to the study."""
    study = await asking.study(request)
    given = await forms.fields(request)
    peer = next((value for name, value in given if name == "peer"), "")
    if await running_of(request).peers.destination(peer) is None:
        raise HTTPException(400, "there is no such peer: choose one of the list")
    series = tuple(dict.fromkeys(value for name, value in given if name == "series"))
    archive = asking.archive_of(request)
    if series and not {each.uid for each in await series_rows(archive, study)}.issuperset(series):
        raise HTTPException(400, "the study has no such series")
    row = row_of(study.attributes, study.study)
    asked = SendRequest(peer, Selection(studies=(row.uid,), series=series, handles=(row.handle,)))
    job = await archive.jobs.enqueue(
        send_requests.KIND,
        asked.written(),
        asked_by=request.client.host if request.client else "",
    )
    return RedirectResponse(f"{row.address}?{row.of}&sent={job.number}", 303)


ROUTES = (
    Route("/studies/{study}/send", show, name="send"),
    Route("/studies/{study}/send", enqueue, methods=["POST"], name="send-study"),
)
