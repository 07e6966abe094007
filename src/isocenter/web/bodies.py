"""What a client sends, piece by piece: unpacked, bounded, and not waited for without end."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.archive.backpressure import Owner
from isocenter.dicom.layout import DEFAULT_LIMITS
from isocenter.errors import Malformed

PART_OF_TIMEOUT: Final = 0.9
"""How long to wait for more of a body: so much shorter than the listener that we can still say what
became of what came."""
STEP: Final = 1 << 18
"""Bytes that are inflated at a time."""
DETECT: Final = zlib.MAX_WBITS | 32
"""Tells zlib's format from gzip's by itself: clients mean either by ``deflate``."""
CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
LONG_BODY: Final = "isocenter.long_body"
"""The extension of ASGI by which a connection gives what is left of a body, if that is long."""
CLOSING: Final = {"Connection": "close"}
"""What is left of the body is not read, so that the connection is of no more use."""


class Piece:
    """Some bytes of a body: those from ``start`` to ``stop`` in ``memory``."""

    __slots__ = ("memory", "owner", "start", "stop")

    def __init__(
        self, memory: bytes | bytearray, start: int, stop: int, owner: Owner | None = None
    ) -> None:
        self.memory = memory
        self.start = start
        self.stop = stop
        self.owner = owner
        """Who uses ``memory`` again, once nobody holds on to it; None, if nobody does."""

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def view(self) -> memoryview:
        return memoryview(self.memory)[self.start : self.stop]

    def goes_on(self, owner: Owner, start: int) -> bool:
        """Whether what begins at ``start`` of an owner's memory follows at once."""
        return self.owner is owner and self.stop == start

    def let_go(self) -> None:
        """The bytes were looked at; what was made of them holds on to them by itself."""
        if self.owner is not None:
            self.owner.let_go()


class LongBody(Protocol):
    """What is left of a body."""

    async def next(self, patience: float) -> Piece | None:
        """The next bytes; None after the last. Let go of each.

        Raises: ClientDisconnect; TimeoutError, if nothing comes for ``patience`` seconds.
        """


async def long_pieces(request: Request, limit: int) -> AsyncIterator[Piece]:
    """Yield the body as ``pieces`` does, but as it lies in memory. Let go of each.

    Raises: as ``pieces``.
    """
    begin: Callable[[], LongBody | None] | None
    begin = request.scope.get("extensions", {}).get(LONG_BODY)
    is_plain = request.headers.get("content-encoding", "identity").strip().lower() == "identity"
    if begin is None or not is_plain or (body := begin()) is None:
        async for received in pieces(request, limit):
            yield Piece(received, 0, len(received))
        return
    if _length(request) > limit:
        raise too_large(limit)
    patience = _patience(request)
    while True:
        with _in_time(patience):
            piece = await body.next(patience)
        if piece is None:
            return
        yield piece


async def pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the body, without its content coding, up to ``limit`` bytes of it.

    Raises: HTTPException 408, 413, 415; Malformed; ClientDisconnect.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in CODINGS and coding not in ("", "identity"):
        headers = {"Accept-Encoding": "gzip, deflate", **CLOSING}
        raise HTTPException(415, f"cannot read the content coding {coding[:40]!r}", headers)
    if coding not in CODINGS and _length(request) > limit:
        raise too_large(limit)
    received = _received(request)
    came = 0
    async for piece in _inflated(received) if coding in CODINGS else received:
        came += len(piece)
        if came > limit:
            raise too_large(limit)
        yield piece


async def whole(request: Request, limit: int) -> bytes:
    """Return the body at once. Raises: as ``pieces``."""
    return b"".join([piece async for piece in pieces(request, limit)])


def too_large(limit: int) -> HTTPException:
    """The refusal of a body beyond ``limit`` bytes."""
    return HTTPException(413, f"the body has more than {limit} bytes: send less at once", CLOSING)


def _length(request: Request) -> int:
    """What Content-Length says; 0, where there is none that can be read."""
    try:
        return int(request.headers.get("content-length", "0"))
    except ValueError:
        return 0


async def _received(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    patience = _patience(request)
    while True:
        with _in_time(patience):
            async with asyncio.timeout(patience):
                piece = await anext(stream, None)
        if piece is None:
            return
        if piece:
            yield piece


def _patience(request: Request) -> float:
    """Seconds to wait for more."""
    timeout: float = request.app.state.config.http.network_timeout
    return timeout * PART_OF_TIMEOUT


@contextmanager
def _in_time(patience: float) -> Iterator[None]:
    """Raises: HTTPException 408, where within it a wait of so many seconds was too long."""
    try:
        yield
    except TimeoutError:
        told = f"nothing came for {patience:g} seconds, though the body is not complete"
        raise HTTPException(408, told, CLOSING) from None


async def _inflated(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Undo gzip. Raises: Malformed, also for what unfolds to absurdly much."""
    unpacking = _Unpacking()
    async for piece in stream:
        unpacked = unpacking.feed(piece)
        while step := await asyncio.to_thread(next, unpacked, None):
            yield step
    unpacking.finish()


class _Unpacking:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(DETECT)
        self._received = self._unpacked = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._received += len(piece)
        waiting = piece
        while waiting:
            if self._stream.eof:  # RFC 1952 2.2: members may follow one another
                self._stream = zlib.decompressobj(DETECT)
            try:
                step = self._stream.decompress(waiting, STEP)
            except zlib.error:
                told = "the body is not what its Content-Encoding says"
                raise Malformed(told, offset=self._received) from None
            self._count(len(step))
            if step:
                yield step
            waiting = self._stream.unconsumed_tail or self._stream.unused_data

    def finish(self) -> None:
        if not self._stream.eof:
            raise Malformed("the compressed body is cut short", offset=self._received)

    def _count(self, size: int) -> None:
        self._unpacked += size
        limits = DEFAULT_LIMITS
        if self._unpacked > max(limits.inflated_grace, self._received * limits.inflated_ratio):
            raise Malformed("the compressed body unfolds to too much", offset=self._received)
