"""Answers that are MP4 files: videos, and images that move (PS3.18 8.7.4, 10.4.1.1.3).

Any part of them can be had, so that a player can seek.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from isocenter import __version__
from isocenter.archive.archive import Archive
from isocenter.archive.films import Film, Kept
from isocenter.archive.not_rendered import NotRendered
from isocenter.dicomweb import addresses
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.files import Body
from isocenter.dicomweb.negotiation import Chosen, Offer
from isocenter.dicomweb.pieces import Pieces
from isocenter.imaging.frames import is_video
from isocenter.imaging.looks import Look
from isocenter.imaging.pictures import WRITERS
from isocenter.imaging.video import MP4
from isocenter.storage.made_files import MadeFile
from isocenter.storage.records import InstanceRef
from isocenter.web import conditional, multipart
from isocenter.web.conditional import Validator, etag
from isocenter.web.delivery import Buffer, Stream

T = TypeVar("T")

OFFER: Final = Offer(MP4)
IN_PARTS: Final = Offer(MP4, is_multipart=True)
OF_VIDEO: Final = (OFFER, *(Offer(each) for each in WRITERS if each != "image/gif"))
"""What a video is rendered as: who takes anything takes it as it is. As GIF it would be huge."""
STEP: Final = 1 << 20
"""Bytes that are in memory at a time."""
HARMLESS: Final = {"x-content-type-options": "nosniff"}

__all__ = [
    "IN_PARTS",
    "MP4",
    "OFFER",
    "OF_VIDEO",
    "in_parts",
    "is_of_video",
    "of_instance",
    "of_several",
]


def is_of_video(instance: InstanceRef) -> bool:
    """Whether an instance is a video."""
    return is_video(instance.transfer_syntax)


async def of_instance(
    request: Request, instance: InstanceRef, chosen: Chosen, look: Look, frames: Sequence[int]
) -> Response:
    """Answer with a video, or with frames of an image as one.

    Raises: NotRendered; NotFound, Malformed, Unavailable; HTTPException 412, 416;
    ClientDisconnect.
    """
    films = _archive(request).films
    make = partial(films.of_instance, instance, look, frames)
    return await _given(request, chosen, look, (instance.blob_key, *frames), make)


async def of_several(
    request: Request,
    instances: Sequence[InstanceRef],
    representative: InstanceRef,
    chosen: Chosen,
    look: Look,
) -> Response:
    """Answer with what moves in a series or a study: what stands for it, if that does by itself;
    else the images of its series, one after another. Raises: as ``of_instance``."""
    archive = _archive(request)
    subject = await archive.renderings.subject(representative)
    if subject.video is not None or subject.count > 1:
        return await of_instance(request, representative, chosen, look, ())
    series = representative.series_instance_uid
    shown = [each for each in instances if each.series_instance_uid == series]
    make = partial(archive.films.of_series, shown, look)
    return await _given(request, chosen, look, [each.blob_key for each in shown], make)


async def in_parts(
    request: Request, instances: Sequence[InstanceRef], chosen: Chosen, look: Look
) -> Response:
    """Answer with each video and each image that moves, in parts. Raises: HTTPException 412."""
    tag = etag(__version__, chosen.called, True, look, *(each.blob_key for each in instances))
    if (settled := conditional.check(request, Validator(tag))) is not None:
        return settled
    boundary = tag.strip('"')
    headers = {"vary": "accept", "etag": tag}
    headers["content-type"] = multipart.content_type(boundary, chosen.called)
    return Stream(_parts(request, instances, chosen, look, boundary), 200, headers)


async def _parts(
    request: Request, instances: Sequence[InstanceRef], chosen: Chosen, look: Look, boundary: str
) -> AsyncGenerator[Buffer]:
    """Raises: NotRendered, if nothing moves; Unavailable."""
    archive = _archive(request)
    is_first = True
    for instance in instances:
        try:
            film = await archive.films.of_instance(instance, look)
        except NotRendered:
            continue
        body = _body(archive, film)
        headers = {
            "Content-Type": chosen.called,
            "Content-Location": f"{addresses.of(request, instance)}/rendered",
            "Content-Length": str(body.size),
        }
        yield multipart.part_head(boundary, headers, first=is_first)
        is_first = False
        async with aclosing(body.content()) as content:
            async for piece in content:
                yield piece
    if is_first:
        raise NotRendered("nothing of it moves")
    yield multipart.end(boundary)


async def _given(
    request: Request,
    chosen: Chosen,
    look: Look,
    of: Sequence[object],
    make: Callable[[], Coroutine[Any, Any, Film]],
) -> Response:
    tag = etag(__version__, chosen.called, look, *of)
    if (settled := conditional.check(request, Validator(tag))) is not None:
        return settled
    film = await _while_there(request, make())
    return answer(request, _body(_archive(request), film), tag, chosen.called, HARMLESS)


def _body(archive: Archive, film: Film) -> Body:
    if isinstance(film, Kept):
        return Pieces(archive, film.instance, [film.frame])
    return _Made(archive, film)


class _Made:
    """A file that was made."""

    def __init__(self, archive: Archive, file: MadeFile) -> None:
        self.size: int | None = file.size
        self._file = file
        self._threads = archive.ingest.workers

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give bytes ``start`` to ``end`` (exclusive). Raises: Unavailable."""
        loop = asyncio.get_running_loop()
        stop = self._file.size if end is None else min(end, self._file.size)
        for at in range(start, stop, STEP):
            window = self._file.window
            yield await loop.run_in_executor(self._threads, window, at, min(at + STEP, stop))


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do what may take long, unless the client leaves. Raises: ClientDisconnect."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive
