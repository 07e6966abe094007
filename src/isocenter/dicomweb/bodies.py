"""What a user agent sends, piece by piece: unpacked, bounded, and not waited for without end."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

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
CLOSING: Final = {"Connection": "close"}
"""What is left of the body is not read, so that the connection is of no more use."""


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
    patience = request.app.state.config.http.network_timeout * PART_OF_TIMEOUT
    while True:
        try:
            async with asyncio.timeout(patience):
                piece = await anext(stream, None)
        except TimeoutError:
            told = f"nothing came for {patience:g} seconds, though the body is not complete"
            raise HTTPException(408, told, CLOSING) from None
        if piece is None:
            return
        if piece:
            yield piece


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
