"""``isocenter jobs``: what is done in the background, with and without a server."""

import http.client
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from isocenter.cli.holdings import archive_in
from isocenter.cli.network import run
from isocenter.cli.output import printable, say
from isocenter.cli.serve import ConfigOption, DataOption, load_settings
from isocenter.config import Config
from isocenter.errors import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from isocenter.archive.jobs import Jobs
    from isocenter.storage.job_records import Job

Action = Literal["list", "show", "cancel", "retry"]
State = Literal["waiting", "running", "done", "failed", "canceled"]

AT_A_TIME: Final = 200
MOST_TROUBLES: Final = 10_000
PATIENCE: Final = 30.0
"""Seconds that the server is given to answer."""
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be called, not bound


def jobs(
    action: Annotated[
        Action, typer.Argument(metavar="ACTION", help="`list`, `show`, `cancel` or `retry`.")
    ] = "list",
    number: Annotated[
        int | None, typer.Argument(metavar="NUMBER", help="Which job.", min=0)
    ] = None,
    state: Annotated[State | None, typer.Option(help="List only those in this state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    data: DataOption = None,
    config: ConfigOption = None,
    http_port: Annotated[
        int | None, typer.Option(help="Where a server that uses the folder listens. [8080]")
    ] = None,
) -> None:
    """List jobs, show one, cancel it or have it tried again, also while a server runs."""
    loaded = load_settings(config, data=data, http_port=http_port)
    if action == "list":
        run(_list(loaded, state, as_json=as_json))
        return
    if number is None:
        raise typer.BadParameter(f"say which job to {action}")
    run(_one(loaded, action, number, as_json=as_json))


async def _list(config: Config, state: State | None, *, as_json: bool) -> None:
    from isocenter.cli.table import Table

    headings = ["JOB", "STATE", "WHAT", "DONE", "OF", "FAILED", "ASKED FOR", "ERROR"]
    table = Table(headings, say)
    async with archive_in(config, alone=False) as archive:
        async for job in _every(archive.jobs, state):
            if as_json:
                _say_json(job)
            else:
                table.add(_cells(job))
    table.flush()


async def _every(held: "Jobs", state: State | None) -> "AsyncIterator[Job]":
    from isocenter.storage.job_records import JobState

    states = (JobState(state),) if state else ()
    after = None
    while page := await held.page(AT_A_TIME, states, after):
        for job in page:
            yield job
        after = page[-1].created_at, page[-1].number


def _cells(job: "Job") -> list[str]:
    counts = [str(each) for each in (job.done, job.total, job.failed)]
    cells = [str(job.number), str(job.state), _what(job), *counts, _when(job.created_at), job.error]
    return [printable(each) for each in cells]


def _what(job: "Job") -> str:
    peer = job.request.get("peer")
    return f"{job.kind} to {peer}" if peer else job.kind


def _when(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6).astimezone():%Y-%m-%d %H:%M:%S}"


async def _one(config: Config, action: Action, number: int, *, as_json: bool) -> None:
    async with archive_in(config, alone=False) as archive:
        if action != "show":
            await _act(config, archive.jobs, action, number)
        job = await archive.jobs.find(number)
        troubles = await archive.jobs.troubles(number, MOST_TROUBLES)
    if as_json:
        _say_json(job)
        return
    for name, value in _told(job):
        say(f"{name:<10} {printable(value)}")
    for each in troubles:
        say(printable(f"{each.sop_instance} {each.fate.name.lower()}: {each.reason}"))


def _told(job: "Job") -> list[tuple[str, str]]:
    told = [
        ("job", str(job.number)),
        ("state", "running, is being stopped" if job.is_canceled else str(job.state)),
        ("what", _what(job)),
        ("asked for", f"{_when(job.created_at)} {job.asked_by}".rstrip()),
        ("done", f"{job.done} of {job.total}, {job.bytes / 1e6:.1f} MB"),
        ("warned", str(job.warned)),
        ("failed", str(job.failed)),
        ("error", job.error),
        ("due", _when(job.due_at) if job.state == "waiting" else ""),
        ("ended", _when(job.finished_at) if job.finished_at else ""),
    ]
    return [(name, value) for name, value in told if value]


def _say_json(job: "Job") -> None:
    import orjson

    kept: dict[str, Any] = {name: getattr(job, name) for name in job.__slots__}
    sys.stdout.write(orjson.dumps(kept).decode() + "\n")


async def _act(config: Config, held: "Jobs", action: Action, number: int) -> None:
    """Do it here if no server uses the folder; else ask the server, who has to know of it.

    Raises: NotFound, Conflict, Unavailable.
    """
    from isocenter.storage.lock import FolderLock

    try:
        lock = FolderLock(config.data)
    except Unavailable:
        _ask_server(config, action, number)
        return
    with lock:
        await (held.cancel(number) if action == "cancel" else held.retry(number))


def _ask_server(config: Config, action: Action, number: int) -> None:
    host = _EVERYWHERE.get(config.host, config.host)
    asking = http.client.HTTPConnection(host, config.http_port, timeout=PATIENCE)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        asking.request("POST", f"/administration/jobs/{number}/{action}", b"from=job", form)
        status = asking.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            f"a server uses {config.data}, but does not answer at {host}:{config.http_port}:"
            " say --http-port, or --config as it was started with"
        ) from error
    finally:
        asking.close()
    if status == HTTPStatus.NOT_FOUND:
        raise NotFound("there is no such job")
    if status == HTTPStatus.CONFLICT:
        raise Conflict(f"the job cannot be told to {action}: it has ended, or it runs")
    if status != HTTPStatus.SEE_OTHER:
        raise Unavailable(f"the server at {host}:{config.http_port} answered with status {status}")
