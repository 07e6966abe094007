"""A connection of the HTTP listener, with limits and deadlines that the server's own lacks.

A client may be slow, but not for ever: each wait on it ends (PS3.18 8.5 says nothing of it; RFC
9110 15.5.9, RFC 6585 5). What is refused here never reaches an application.
"""

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from isocenter.app.long_bodies import LongBody
from isocenter.dicomweb.problems import RETRY_AFTER, problem
from isocenter.dimse.slabs import SlabPool
from isocenter.web import bodies

log = logging.getLogger(__name__)

LEFTOVER: Final = 4 << 20
"""Bytes that are still taken after an answer, so that the client gets to read it."""

LONG: Final = 1 << 18
"""Bytes still to come of a body that are worth taking past the parser."""

POOL: Final = SlabPool(kept=8)
"""Memory for long bodies."""

FAREWELL: Final = 5.0
"""Seconds in which a refusal must have been taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may use up. Durations in seconds, sizes in bytes."""

    connections: int
    header_size: int
    header_timeout: float
    network_timeout: float


class Waiting(Enum):
    """What we wait for."""

    HEADERS = auto()
    BODY = auto()
    """The client is to send more of it."""
    TAKING = auto()
    """The client is to take more of the answer."""
    OURSELVES = auto()
    """Or for nobody, between requests, which the server has a deadline of its own for."""


class Connection(HttpToolsProtocol):
    """One connection."""

    limits: Limits

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watch: asyncio.TimerHandle | None = None
        self._header_bytes: int | None = 0
        """Bytes of the request line and header fields so far; None behind them."""
        self._leftover = 0
        self._body_left = 0
        """Bytes of the body that are still to come, where Content-Length says how many."""
        self._long_body: LongBody | None = None
        self._is_refused = False
        self._state = Waiting.HEADERS
        self._since = self._moved = self.loop.time()
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            log.warning("too many connections", extra={"limit": self.limits.connections})
            self.connections.discard(self)  # one that is being refused keeps nobody else out
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._is_refused:
            self._discard(len(data))
            return
        self._moved = self.loop.time()
        if self._header_bytes is not None:
            if self._header_bytes == 0:
                self._since = self._moved
            self._header_bytes += len(data)
        elif self.cycle is not None and self.cycle.response_complete and self._is_body_due:
            self._discard(len(data))
            if self.transport.is_closing():
                return
        super().data_received(data)
        # What came with the end of the header fields was body, or the next request.
        is_long = self._header_bytes is not None and self._header_bytes > self.limits.header_size
        if is_long and not self._is_refused:
            self.refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the header fields are too long"
            )

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._header_bytes = self._header_bytes or 1

    def on_url(self, url: bytes) -> None:
        """Some of the request's target."""
        super().on_url(url)
        if len(self.url) > self.limits.header_size // 2:
            self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG, "the URL is too long")

    def on_headers_complete(self) -> None:
        """The header fields are there."""
        self._header_bytes = None
        self._leftover = 0
        if not self._is_refused:
            super().on_headers_complete()
            self._body_left = _content_length(self.headers)
            begin = partial(self.begin_long_body, self.cycle)
            extensions: dict[str, Any] = {bodies.LONG_BODY: begin}
            self.scope["extensions"] = extensions

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._body_left -= len(body)
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self._is_refused:
            super().on_message_complete()
        self._header_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self.refuse(HTTPStatus.BAD_REQUEST, "this is not well-formed HTTP")

    def handle_websocket_upgrade(self) -> None:
        """Hand over to the one who speaks WebSocket, and who has deadlines of its own."""
        self._stop_watching()
        super().handle_websocket_upgrade()

    def resume_writing(self) -> None:
        """The client has taken what there was."""
        self._moved = self.loop.time()
        super().resume_writing()

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer instead of an application, if none has begun to, and close.

        What the client still sends is taken and thrown away for a while: closing over bytes nobody
        read resets the connection, and the answer would be lost with it (RFC 9112 9.6).
        """
        if self._is_refused:
            return
        self._is_refused = True
        cycle = self.cycle
        is_under_way = cycle is not None and not cycle.response_complete
        if is_under_way:
            cycle.disconnected = True
            cycle.message_event.set()
            if self._long_body is not None:
                self._long_body.lose()
        if not (is_under_way and cycle.response_started):
            self.transport.write(_written(status, detail))
        self._leftover = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()
        self._stop_watching()
        self._watch = self.loop.call_later(FAREWELL, self.transport.abort)

    def _discard(self, size: int) -> None:
        self._leftover += size
        if self._leftover > LEFTOVER:
            self.transport.abort()

    # --- long bodies

    def begin_long_body(self, cycle: RequestResponseCycle) -> LongBody | None:
        """Give what is left of the body of ``cycle``, if that is long; it comes nowhere else."""
        is_at_hand = cycle is self.cycle and self._long_body is None and self.wants_body
        if not is_at_hand or self._body_left < LONG:
            return None
        if cycle.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        begun, cycle.body = bytes(cycle.body), bytearray()
        self._long_body = LongBody(self, begun, self._body_left, POOL)
        self._hand_over(self._long_body)
        return self._long_body

    @property
    def wants_body(self) -> bool:
        """Nobody has answered yet."""
        return not (self._is_refused or self.cycle.disconnected or self.cycle.response_complete)

    def body_moves(self, size: int) -> None:
        """Bytes of a long body came."""
        self._moved = self.loop.time()
        if not self.wants_body:
            self._discard(size)

    def body_ends(self) -> None:
        """The next that comes is another request."""
        self._body_left, self._long_body = 0, None
        self.on_message_complete()
        self.parser = httptools.HttpRequestParser(self)  # the old one waits for the body
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self._hand_over(self)

    def hold_body(self) -> None:
        """Read no more for now."""
        self.flow.pause_reading()

    def resume_body(self) -> None:
        """Go on reading."""
        self.flow.resume_reading()

    def _hand_over(self, protocol: asyncio.BaseProtocol) -> None:
        """Have ``protocol`` told what comes; event loops look at its kind when reading begins."""
        self.flow.pause_reading()
        self.transport.set_protocol(protocol)
        self.flow.resume_reading()

    # --- deadlines

    @property
    def _is_body_due(self) -> bool:
        return self._header_bytes is None

    def _waiting(self) -> Waiting:
        if self.transport.get_write_buffer_size():
            return Waiting.TAKING
        if self._is_body_due:
            return Waiting.OURSELVES if self.flow.read_paused else Waiting.BODY
        is_under_way = self.cycle is not None and not self.cycle.response_complete
        is_between = self.cycle is not None and self._header_bytes == 0
        return Waiting.OURSELVES if is_under_way or is_between else Waiting.HEADERS

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _look(self) -> None:
        """See what we wait for and for how long; look again when that may be too long."""
        now = self.loop.time()
        if (state := self._waiting()) is not self._state:
            if state is Waiting.HEADERS:
                self._since = now  # it came while an answer was still under way
            self._state, self._moved = state, now
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._moved = now
        self._unsent = unsent
        if state is Waiting.HEADERS:
            left = self._since + self.limits.header_timeout - now
        elif state is Waiting.OURSELVES:
            left = self.limits.network_timeout
        else:
            left = self._moved + self.limits.network_timeout - now
        if left <= 0:
            self._give_up(state)
        else:
            step = min(self.limits.header_timeout, self.limits.network_timeout) / 4
            self._watch = self.loop.call_later(min(left, step), self._look)

    def _give_up(self, state: Waiting) -> None:
        log.info("client fell silent", extra={"awaited": state.name.lower()})
        if state is Waiting.TAKING:
            self.transport.abort()  # closing would wait for the client to take the rest
        elif self._header_bytes == 0 and self.cycle is None:
            self.transport.close()  # it said nothing, so it asked nothing
        else:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not come to an end in time")


def _content_length(headers: list[tuple[bytes, bytes]]) -> int:
    """As the parser has checked it; 0, where there is none."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


def limited(limits: Limits) -> type[Connection]:
    """Return connections with such limits: the server makes them itself, of a class."""

    class Limited(Connection):
        pass

    Limited.limits = limits
    return Limited


def _written(status: HTTPStatus, detail: str) -> bytes:
    headers = {"connection": "close"}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = RETRY_AFTER
    answer = problem(status, detail, headers=headers)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])
