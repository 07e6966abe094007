"""Sending files, folders and zip archives from a browser, and the report of what became of them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, nullcontext
from email.message import Message
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.arriving import Arriving, arriving
from isocenter.archive.importing import Fate, Imported, Sender
from isocenter.archive.zips import Limits
from isocenter.config import Config
from isocenter.errors import Unavailable
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.ui import asking
from isocenter.ui.page import render
from isocenter.ui.report import Report, line
from isocenter.ui.worklist import StudyRow, rows_found
from isocenter.web import bodies, multipart
from isocenter.web.addresses import sender
from isocenter.web.delivery import Stream
from isocenter.web.media_types import MediaType

UPLOAD: Final = "/upload"
LINES: Final = "application/x-ndjson"
FORM: Final = "multipart/form-data"
AT_ONCE: Final = 64
"""Files that all browsers together may be sending; more come later."""
UNPACKED_AT_ONCE: Final = 2
"""Zip archives that are looked into: the lists of their members are held meanwhile."""
BUSY: Final = {"Retry-After": "2", "Connection": "close"}
LONGEST_NAME: Final = 1024
"""Characters of a file's name with its folders."""
MOST_SHOWN: Final = 200
"""Studies that are shown as rows."""


class Doorway:
    """Counts the uploads that are under way. Belongs to one event loop."""

    def __init__(self) -> None:
        self._under_way = 0
        self.unpacking = asyncio.Semaphore(UNPACKED_AT_ONCE)

    def enter(self) -> None:
        """One more. Raises: HTTPException 503, if there are enough."""
        if self._under_way >= AT_ONCE:
            raise HTTPException(503, "too many files are being sent: try again soon", BUSY)
        self._under_way += 1

    def leave(self) -> None:
        """One less."""
        self._under_way -= 1


async def show(request: Request) -> Response:
    """GET /upload: the page."""
    return render(request, "upload.html", {"report": None, "studies": []})


async def take_form(request: Request) -> Response:
    """POST /upload: files of a form, as browsers without script send them."""
    given = MediaType.parse(request.headers.get("content-type", "") or "text/plain")
    if given.type != FORM:
        raise HTTPException(415, "a form with files is expected", bodies.CLOSING)
    report = Report()
    parser = multipart.Parser(multipart.boundary_of(given))
    doorway: Doorway = request.app.state.doorway
    doorway.enter()
    try:
        await _take_parts(request, parser, report)
    except ClientDisconnect:
        return Response(status_code=400)
    finally:
        doorway.leave()
    studies = await _rows(request, tuple(report.studies)[:MOST_SHOWN])
    return render(request, "upload.html", {"report": report, "studies": studies})


async def take(request: Request) -> Response:
    """POST /upload/file?name=: one file, as it is. Answers a line of JSON for all that is in it."""
    name = _cleaned(request.query_params.get("name", ""))
    if not name:
        raise HTTPException(400, "say the name of the file", bodies.CLOSING)
    doorway: Doorway = request.app.state.doorway
    doorway.enter()
    async with AsyncExitStack() as leaving:
        leaving.callback(doorway.leave)
        coming = _begin(request, name)
        leaving.push_async_callback(coming.close)
        try:
            async for piece in bodies.long_pieces(request, _limits(request).size):
                await coming.write(piece.view, piece.owner)
                piece.let_go()
        except ClientDisconnect:
            return Response(status_code=400)
        release = leaving.pop_all().aclose
    return Stream(_told(coming, doorway), media_type=LINES, release=release)


async def _told(coming: Arriving, doorway: Doorway) -> AsyncGenerator[bytes]:
    async with aclosing(_outcomes(coming, doorway)) as outcomes:
        async for each in outcomes:
            yield line(each)


async def _outcomes(coming: Arriving, doorway: Doorway) -> AsyncGenerator[Imported]:
    """What became of a file; of what is unpacked, a few at a time."""
    turn = doorway.unpacking if coming.is_unpacked else nullcontext()
    async with turn, aclosing(coming.finish()) as outcomes:
        async for each in outcomes:
            yield each


async def studies(request: Request) -> Response:
    """GET /upload/studies?study=: the rows of studies that came."""
    named = request.query_params.getlist("study")[:MOST_SHOWN]
    rows = await _rows(request, tuple(filter(asking.is_uid, named)))
    return render(request, "_uploaded.html", {"studies": rows})


async def _rows(request: Request, uids: tuple[str, ...]) -> list[StudyRow]:
    if not uids:
        return []
    query = Query(level=Level.STUDY, keys=(Key(asking.STUDY_UID, any_of=uids),))
    return await rows_found(asking.archive_of(request), query)


async def _take_parts(request: Request, parser: multipart.Parser, report: Report) -> None:
    """Take the files of a form, one after the other. Raises: Malformed, HTTPException."""
    coming: Arriving | None = None
    limits = _limits(request)
    try:
        async for piece in bodies.long_pieces(request, limits.size):
            for event in parser.feed(piece.memory, piece.start, piece.stop):
                if isinstance(event, multipart.PartBegin):
                    name = _file_name(event.headers.get("content-disposition", ""))
                    report.count(limits.members)
                    coming = _begin(request, name) if name else None
                elif coming is None:
                    continue
                elif isinstance(event, multipart.PartData):
                    await coming.write(event.data, piece.owner if event.is_fed else None)
                else:
                    await _finish(coming, report, request.app.state.doorway)
                    coming = None
            piece.let_go()
        parser.finish()
    finally:
        if coming is not None:
            await coming.close()


async def _finish(coming: Arriving, report: Report, doorway: Doorway) -> None:
    try:
        async with aclosing(_outcomes(coming, doorway)) as outcomes:
            async for each in outcomes:
                report.add(each)
    except Unavailable as error:  # the others may have come in, or may yet
        report.add(Imported(coming.name, 0, Fate.REFUSED, str(error)))
    finally:
        await coming.close()


def _begin(request: Request, name: str) -> Arriving:
    config: Config = request.app.state.config
    who = Sender(sent_by=sender(request), received_by=config.aet)
    return arriving(asking.archive_of(request), name, who, _limits(request))


def _limits(request: Request) -> Limits:
    config: Config = request.app.state.config
    return Limits(size=config.dicomweb.max_store_size, members=config.dicomweb.max_store_parts)


def _file_name(disposition: str) -> str:
    """The name that a part of a form has as a file (RFC 7578 4.2); empty, if it is none."""
    message = Message()
    message["content-disposition"] = disposition.encode("utf-8", "replace").decode("utf-8")
    return _cleaned(message.get_filename() or "")


def _cleaned(name: str) -> str:
    """A name as it can be shown; it is never a path to us."""
    told = name.encode("utf-8", "replace").decode("utf-8")
    return "".join(each if each.isprintable() else "_" for each in told)[-LONGEST_NAME:]


ROUTES = (
    Route(UPLOAD, show, name="upload"),
    Route(UPLOAD, take_form, methods=["POST"]),
    Route(f"{UPLOAD}/file", take, methods=["POST"]),
    Route(f"{UPLOAD}/studies", studies),
)
