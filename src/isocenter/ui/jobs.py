"""Jobs: what is done in the background, how far it is, and what became of it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.archive import send_requests
from isocenter.archive.send_requests import SendRequest
from isocenter.errors import IsocenterError, NotFound
from isocenter.storage.job_records import Job, JobState
from isocenter.ui import asking, forms
from isocenter.ui.page import is_partial, render

PATH: Final = "/administration/jobs"
PAGE: Final = 50
MOST_TROUBLES: Final = 200
"""Instances that one page tells of."""

STATES: Final[Mapping[str, str]] = {
    "waiting": "Waiting",
    "running": "Running",
    "done": "Done",
    "failed": "Failed",
    "canceled": "Canceled",
}
"""English texts; the catalogs have the others."""
TABS: Final[Mapping[str, str]] = {"": "All", **STATES}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as the pages show it."""

    job: Job
    peer: str
    """Where it sends to; empty if it is of another kind."""
    study: str
    """The study it is about, if it is about one."""
    series: int
    """How many series of that study; 0 for all."""

    @property
    def state(self) -> str:
        """The state's text."""
        return STATES[self.job.state]

    @property
    def can_cancel(self) -> bool:
        """Whether somebody may have it stopped."""
        return not self.job.state.is_final and not self.job.is_canceled

    @property
    def can_retry(self) -> bool:
        """Whether somebody may have it run again, or without further waiting."""
        is_backing_off = self.job.state is JobState.WAITING and self.job.attempts > 0
        return is_backing_off or self.job.state in (JobState.FAILED, JobState.CANCELED)


def row_of(job: Job) -> JobRow:
    """Say of a job what is shown."""
    if job.kind != send_requests.KIND:
        return JobRow(job, "", "", 0)
    try:
        request = SendRequest.read(job.request)
    except IsocenterError:
        return JobRow(job, "", "", 0)
    studies = request.selection.studies
    study = studies[0] if len(studies) == 1 else ""
    return JobRow(job, request.peer, study, len(request.selection.series))


async def show(request: Request) -> Response:
    """GET /administration/jobs: the newest, or those behind ``after``; all, or of one ``state``."""
    jobs = asking.archive_of(request).jobs
    state = request.query_params.get("state", "")
    if state and state not in STATES:
        raise HTTPException(400, "there is no such state")
    found = await jobs.page(PAGE + 1, (JobState(state),) if state else (), asking.place(request))
    counts = await jobs.counts()
    context = {
        "rows": [row_of(each) for each in found[:PAGE]],
        "tabs": _tabs(state, counts),
        "older": _older(state, found) if len(found) > PAGE else "",
        "is_first": "after" not in request.query_params,
        "state": state,
        "now": jobs.now,
    }
    return render(request, "_jobs.html" if is_partial(request) else "jobs.html", context)


def _tabs(chosen: str, counts: Mapping[JobState, int]) -> list[tuple[str, str, int, bool]]:
    """Address, text, number of jobs, whether it is shown; of all jobs and of those in a state."""
    numbers = {"": sum(counts.values()), **{str(each): count for each, count in counts.items()}}
    return [
        (f"{PATH}?state={state}" if state else PATH, text, numbers.get(state, 0), state == chosen)
        for state, text in TABS.items()
    ]


def _older(state: str, found: list[Job]) -> str:
    last = found[PAGE - 1]
    parameters = {"after": f"{last.created_at}-{last.number}"}
    return f"{PATH}?{urlencode({'state': state, **parameters} if state else parameters)}"


async def one(request: Request) -> Response:
    """GET /administration/jobs/{job}: one of them, and the instances that gave trouble."""
    jobs = asking.archive_of(request).jobs
    job = await jobs.find(_number(request))
    troubles = await jobs.troubles(job.number, MOST_TROUBLES + 1)
    context = {
        "row": row_of(job),
        "troubles": troubles[:MOST_TROUBLES],
        "has_more": len(troubles) > MOST_TROUBLES,
        "now": jobs.now,
    }
    return render(request, "_job_told.html" if is_partial(request) else "job.html", context)


def _number(request: Request) -> int:
    text = str(request.path_params["job"])
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise NotFound("there is no such job")
    return int(text)


async def cancel(request: Request) -> Response:
    """POST /administration/jobs/{job}/cancel."""
    given = dict(await forms.fields(request))
    job = await asking.archive_of(request).jobs.cancel(_number(request))
    return _back(given, job)


async def retry(request: Request) -> Response:
    """POST /administration/jobs/{job}/retry."""
    given = dict(await forms.fields(request))
    job = await asking.archive_of(request).jobs.retry(_number(request))
    return _back(given, job)


def _back(given: Mapping[str, str], job: Job) -> Response:
    """To the page that the form was on."""
    if given.get("from") == "job":
        return RedirectResponse(f"{PATH}/{job.number}", 303)
    state = given.get("state", "")
    return RedirectResponse(f"{PATH}?state={state}" if state in STATES else PATH, 303)


async def sent(request: Request) -> JobRow | None:
    """The job that a page's ``sent`` names, to be told of; None, where there is none."""
    given: Any = request.query_params.get("sent", "")
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):
        return None
    with suppress(NotFound):
        return row_of(await asking.archive_of(request).jobs.find(int(given)))
    return None


ROUTES = (
    Route(PATH, show, name="jobs"),
    Route(f"{PATH}/{{job}}", one, name="job"),
    Route(f"{PATH}/{{job}}/cancel", cancel, methods=["POST"], name="cancel-job"),
    Route(f"{PATH}/{{job}}/retry", retry, methods=["POST"], name="retry-job"),
)
