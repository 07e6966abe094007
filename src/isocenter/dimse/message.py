"""DIMSE messages out of fragments, and into them (PS3.8 annex E)."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from isocenter.dimse.command import Command
from isocenter.dimse.pdu import P_DATA_TF, PDU_HEADER, VALUE_HEADER
from isocenter.errors import Malformed

Buffer = bytes | bytearray | memoryview

COMMAND_BIT = 1
LAST_BIT = 2
OVERHEAD = VALUE_HEADER.size  # of one value in a PDU
UNLIMITED = 1 << 20  # the body size we use where the peer has no maximum
SMALLEST = 64  # a peer that announces less than this makes no sense; it gets this


class Sink(Protocol):
    """Whoever takes what an ``Assembler`` puts together."""

    def command(self, context_id: int, command: Command) -> None:
        """A command set is complete; its data set follows if it ``has_data_set``."""

    def data(self, piece: memoryview) -> None:
        """More of the data set. Valid for this call."""

    def data_ends(self) -> None:
        """The data set is complete."""


class Assembler:
    """Follows the fragments of one message after the other, which may not interleave."""

    __slots__ = ("_command", "_context_id", "_expects_data", "_largest", "_sink")

    def __init__(self, sink: Sink, *, largest_command: int) -> None:
        self._sink = sink
        self._largest = largest_command
        self._command = bytearray()
        self._context_id = 0  # of the message under way, if any
        self._expects_data = False

    @property
    def is_amid(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context_id != 0

    def fragment(self, context_id: int, control: int, piece: memoryview, *, ends: bool) -> None:
        """Raises: Malformed, when fragments come out of order or a command set is none."""
        if self._context_id and context_id != self._context_id:
            raise Malformed("fragments of two messages interleave")
        is_last = ends and control & LAST_BIT
        if control & COMMAND_BIT:
            self._take_command(context_id, piece)
            if is_last:
                self._end_command(context_id)
        elif self._expects_data:
            if len(piece):
                self._sink.data(piece)
            if is_last:
                self._expects_data = False
                self._context_id = 0
                self._sink.data_ends()
        else:
            raise Malformed("data set fragment without a command set")

    def _take_command(self, context_id: int, piece: memoryview) -> None:
        if self._expects_data:
            raise Malformed("command fragment amid a data set")
        if len(self._command) + len(piece) > self._largest:
            raise Malformed(f"command set of more than {self._largest} bytes")
        self._context_id = context_id
        self._command += piece

    def _end_command(self, context_id: int) -> None:
        command = Command.decode(self._command)
        self._command.clear()
        self._expects_data = command.has_data_set
        if not self._expects_data:
            self._context_id = 0
        self._sink.command(context_id, command)


def fragment_size(peer_maximum: int) -> int:
    """Bytes of a message that fit one PDU, even; ``peer_maximum`` as announced, 0 for none."""
    body = min(max(peer_maximum or UNLIMITED, SMALLEST), UNLIMITED)
    return (body - OVERHEAD) & ~1


def frame_header(context_id: int, control: int, size: int) -> bytes:
    """The headers of a P-DATA-TF with one value holding a fragment of ``size`` bytes."""
    return PDU_HEADER.pack(P_DATA_TF, 0, size + OVERHEAD) + VALUE_HEADER.pack(
        size + 2, context_id, control
    )


def frame_whole(context_id: int, data: bytes, *, is_command: bool, size: int) -> Iterator[Buffer]:
    """Headers and slices for a command set or small data set; ``size`` as ``fragment_size``."""
    framer = Framer(context_id, size, is_command=is_command)
    yield from framer.frame(data)
    yield from framer.finish()


class Framer:
    """Puts headers before slices of what it is given, copying nothing.

    What does not fill a PDU waits for more, so that only the last PDU is short.
    """

    __slots__ = ("_context_id", "_full", "_kind", "_size", "_waiting", "_waits")

    def __init__(self, context_id: int, size: int, *, is_command: bool = False) -> None:
        self._context_id = context_id
        self._size = size
        self._kind = COMMAND_BIT if is_command else 0
        self._full = frame_header(context_id, self._kind, size)
        self._waiting: list[memoryview] = []
        self._waits = 0  # bytes

    def frame(self, piece: Buffer) -> Iterator[Buffer]:
        """Yield what can be sent: at least one byte always waits for ``finish``."""
        view = memoryview(piece).cast("B")
        start, end = 0, len(view)
        while self._waits + end - start > self._size:
            stop = start + self._size - self._waits
            yield self._full
            yield from self._waiting
            if stop > start:
                yield view[start:stop]
            self._waiting.clear()
            self._waits = 0
            start = stop
        if start < end:
            self._waiting.append(view[start:])
            self._waits += end - start

    def finish(self) -> Iterable[Buffer]:
        """What waited, marked as the last; an odd length gets its padding (PS3.8 §E.1)."""
        parts: list[Buffer] = list(self._waiting)
        if self._waits & 1:
            parts.append(b"\0")
        header = frame_header(
            self._context_id, self._kind | LAST_BIT, self._waits + (self._waits & 1)
        )
        self._waiting.clear()
        self._waits = 0
        return [header, *parts]
