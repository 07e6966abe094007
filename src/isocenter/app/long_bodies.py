"""A long request body, read into memory that is used again and again.

The server underneath copies a body four times on its way, into fresh memory each time, and stops
and starts reading for each 64 KB: that took longer than storing what was in it. So who takes bodies
by the gigabyte asks the connection for the rest of one (`bodies.LONG_BODY`); then neither the HTTP
parser nor the server sees any of it.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

from starlette.requests import ClientDisconnect

from isocenter.dimse.slabs import SMALLEST_TAIL, Slab, SlabPool
from isocenter.web.bodies import Piece

READ_SIZE: Final = 1 << 18
"""Bytes read at a time: more would leave the cache before they are looked at."""
AHEAD: Final = 1 << 20
"""Bytes that may wait for the application before the client is held up."""


class Reader(Protocol):
    """The connection that the body comes by."""

    @property
    def wants_body(self) -> bool:
        """Nobody has answered yet."""

    def body_moves(self, size: int) -> None:
        """Bytes came."""

    def body_ends(self) -> None:
        """All of it came: what follows is the next request."""

    def hold_body(self) -> None:
        """Read no more for now."""

    def resume_body(self) -> None:
        """Go on reading."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""

    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class LongBody(asyncio.BufferedProtocol):
    """The rest of a body, of known length; the protocol of its connection until it is whole."""

    def __init__(self, reader: Reader, begun: bytes, left: int, pool: SlabPool) -> None:
        self._reader = reader
        self._left = left
        self._pool = pool
        self._slab: Slab | None = None
        self._pieces: deque[Piece] = deque([Piece(begun, 0, len(begun))] if begun else [])
        self._waiting = len(begun)
        self._is_lost = False
        self._awaited: asyncio.Future[None] | None = None

    async def next(self, patience: float) -> Piece | None:
        """The next bytes; None after the last. Let go of each.

        Raises: ClientDisconnect; TimeoutError, if nothing comes for ``patience`` seconds.
        """
        while not self._pieces:
            if self._is_lost:
                raise ClientDisconnect
            if not self._left:
                return None
            self._reader.resume_body()
            self._awaited = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(patience):
                await self._awaited
        piece = self._pieces.popleft()
        self._waiting -= piece.stop - piece.start
        return piece

    def lose(self) -> None:
        """Nothing more will come."""
        self._is_lost = True
        self._wake()

    # What asyncio calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: never beyond the body."""
        slab = self._slab
        if slab is None:
            slab = self._slab = self._pool.lend()
        return slab.view[slab.filled : slab.filled + min(READ_SIZE, self._left)]

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        slab = self._slab
        assert slab is not None
        start, slab.filled = slab.filled, slab.filled + nbytes
        self._left -= nbytes
        if self._reader.wants_body and not self._is_lost:
            self._keep(slab, start, slab.filled)
        else:
            slab.filled = start  # it was answered already: nobody looks at it
        if not self._left or self._pool.size - slab.filled < SMALLEST_TAIL:
            self._slab = None
            slab.let_go()
        self._reader.body_moves(nbytes)
        if not self._left:
            self._reader.body_ends()
        elif self._waiting > AHEAD:
            self._reader.hold_body()
        self._wake()

    def eof_received(self) -> None:
        """Close: the rest will not come."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.lose()
        self._reader.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take what is answered."""
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        """It takes it again."""
        self._reader.resume_writing()

    def _keep(self, slab: Slab, start: int, stop: int) -> None:
        self._waiting += stop - start
        if self._pieces and self._pieces[-1].goes_on(slab, start):
            self._pieces[-1].stop = stop
        else:
            slab.hold()
            self._pieces.append(Piece(slab.memory, start, stop, slab))

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
