"""Sends messages, one after the other, from where their data sets lie."""

import asyncio
from collections.abc import AsyncIterable, Iterable

from isocenter.dimse.command import NO_DATA_SET, WITH_DATA_SET, Command
from isocenter.dimse.failures import Aborted
from isocenter.dimse.message import Buffer, Framer, fragment_size, frame_whole
from isocenter.dimse.transport import Connection

WRITE_CHUNK = 1 << 20  # bytes of a data set handed to the transport at once

Pieces = Iterable[Buffer] | AsyncIterable[Buffer]


class Sender:
    """Keeps the messages of one association apart: their fragments may not interleave."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._size = fragment_size(0)

    def fit(self, peer_maximum: int) -> None:
        """Send PDUs of no more than the peer takes, as it announced; 0 is no maximum."""
        self._size = fragment_size(peer_maximum)

    async def send(self, context_id: int, command: Command, pieces: Pieces | None) -> None:
        """Send a command set and, unless ``pieces`` is None, its data set.

        What ``pieces`` raises is raised here; the association is aborted, if part was sent.
        Raises: Aborted.
        """
        parts = self._framed(context_id, command, NO_DATA_SET if pieces is None else WITH_DATA_SET)
        async with self._turn:
            await self._connection.writable()
            if pieces is None:
                self._connection.send(parts)
            else:
                framer = Framer(context_id, self._size)
                await self._send_pieces(_Outgoing(self._connection, framer, parts), pieces)

    async def send_all(self, context_id: int, command: Command, datasets: Iterable[bytes]) -> None:
        """Send a message with the same command set for each of some small data sets, in one go.

        Raises: Aborted.
        """
        head = self._framed(context_id, command, WITH_DATA_SET)
        parts: list[Buffer] = []
        for dataset in datasets:
            parts += head
            parts += frame_whole(context_id, dataset, is_command=False, size=self._size)
        async with self._turn:
            await self._connection.writable()
            if parts:
                self._connection.send(parts)

    def _framed(self, context_id: int, command: Command, kind: int) -> list[Buffer]:
        encoded = Command({**command.elements, "CommandDataSetType": kind}).encode()
        return list(frame_whole(context_id, encoded, is_command=True, size=self._size))

    async def _send_pieces(self, outgoing: "_Outgoing", pieces: Pieces) -> None:
        try:
            if isinstance(pieces, AsyncIterable):
                async for piece in pieces:
                    await self._send_piece(outgoing, piece)
            else:
                for piece in pieces:
                    await self._send_piece(outgoing, piece)
            outgoing.finish()
        except BaseException:
            if outgoing.has_begun:
                self._connection.abort(Aborted("a data set could not be sent to its end"))
            raise

    async def _send_piece(self, outgoing: "_Outgoing", piece: Buffer) -> None:
        for view in _chunks(piece):
            if outgoing.add(view):
                await self._connection.writable()


class _Outgoing:
    """A message on its way: what is framed and not yet handed to the transport."""

    def __init__(self, connection: Connection, framer: Framer, parts: list[Buffer]) -> None:
        self.has_begun = False
        self._connection = connection
        self._framer = framer
        self._parts = parts
        self._size = 0

    def add(self, view: memoryview) -> bool:
        """Whether something was sent, so that the caller should look whether there is room."""
        self._parts.extend(self._framer.frame(view))
        self._size += len(view)
        if self._size < WRITE_CHUNK:
            return False
        self.has_begun = True
        self._connection.send(self._parts)
        self._parts, self._size = [], 0
        return True

    def finish(self) -> None:
        self._parts.extend(self._framer.finish())
        self._connection.send(self._parts)


def _chunks(piece: Buffer) -> Iterable[memoryview]:
    view = memoryview(piece).cast("B")
    if len(view) <= 2 * WRITE_CHUNK:
        return (view,)
    return (view[at : at + WRITE_CHUNK] for at in range(0, len(view), WRITE_CHUNK))
