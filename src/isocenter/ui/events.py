"""What happens while a page is open, told as it happens: server-sent events.

``EVENTS?topic=worklist&topic=jobs`` tells of both. A page asks for itself what it wants to know
more of. Who comes back says up to where it knew (``Last-Event-ID``), and misses nothing.

Source: HTML Living Standard, 9.2 (server-sent events).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.live import Listener, Told
from isocenter.ui import asking, language
from isocenter.ui.arrivals import (
    AGAIN,
    CHANGES,
    STUDY,
    WORKLIST,
    Arrivals,
    study_topic,
    worklist_topic,
)
from isocenter.ui.filters import Filters
from isocenter.web.delivery import Stream

EVENTS: Final = "/events"
JOBS, ASSOCIATIONS = "jobs", "associations"
TOPICS: Final = (WORKLIST, STUDY, CHANGES, JOBS, ASSOCIATIONS)
"""What can be listened to. Of those that are not of studies, the archive's ``live`` is told by
whoever knows; the first event of each is ``AGAIN``, as nobody knows what was missed."""
OF_FEED: Final = (WORKLIST, STUDY, CHANGES)
MOST_LISTENERS: Final = 500
"""Pages that listen at once: no more than leave connections for everything else."""
SILENCE: Final = 20.0
"""Seconds after which it is said that there is nothing to say: proxies cut what is silent."""
RETRY: Final = 3_000
"""Milliseconds before a browser comes back."""


async def tell(request: Request) -> Response:
    """GET /events: what happens, until the page goes. Raises: HTTPException 400, 503."""
    live = asking.archive_of(request).live
    topics = _topics(request)
    since = _since(request)
    if live.listeners >= MOST_LISTENERS:
        raise HTTPException(503, "too many pages are open", {"Retry-After": "60"})
    stream = _stream(request.app.state.arrivals, topics, since)
    return Stream(stream, headers={"cache-control": "no-store"}, media_type="text/event-stream")


def _topics(request: Request) -> list[str]:
    found = []
    for name in dict.fromkeys(request.query_params.getlist("topic")):
        if name not in TOPICS:
            raise HTTPException(400, f"the topics are {', '.join(TOPICS)}")
        if name == WORKLIST:
            name = worklist_topic(Filters.read(request.query_params), language.of(request))
        elif name == STUDY:
            uid = request.query_params.get("study", "")
            if not asking.is_uid(uid):
                raise HTTPException(400, "which study, a UID has to say")
            name = study_topic(uid)
        found.append(name)
    if not found:
        raise HTTPException(400, "say a topic")
    return found


def _since(request: Request) -> int | None:
    """Up to which change the page knows, if it says so; what is no number says nothing."""
    given = request.headers.get("last-event-id") or request.query_params.get("seq", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else None


async def _stream(
    arrivals: Arrivals, topics: Sequence[str], since: int | None
) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY
    async with arrivals.listening(topics) as (listener, known):
        for topic in topics:
            content = await _first(arrivals, topic, since, known)
            if content is not None:
                yield _written(Told(topic, orjson.dumps(content)))
        yield _seen(known)
        async for piece in _heard(listener, arrivals):
            yield piece


async def _first(arrivals: Arrivals, topic: str, since: int | None, known: int) -> Any:
    if topic.partition(":")[0] not in OF_FEED:
        return AGAIN
    return None if since is None else await arrivals.missed(topic, since, known)


async def _heard(listener: Listener, arrivals: Arrivals) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                told = await listener.next()
        except TimeoutError:
            # Nothing waits: so all that was seen was told. Who comes back need not go further.
            yield _seen(arrivals.seen)
            continue
        if told is None:
            return
        yield _written(told)


def _seen(seq: int) -> bytes:
    """That all is told up to a change; with data, for else scripts would not hear of it."""
    return b"event: seen\nid: %d\ndata: {}\n\n" % seq


def _written(told: Told) -> bytes:
    number = b"" if told.seq is None else b"id: %d\n" % told.seq
    kind = told.topic.partition(":")[0].encode()
    return b"event: " + kind + b"\n" + number + b"data: " + told.content + b"\n\n"


ROUTES = (Route(EVENTS, tell, name="events"),)
