"""Texts of instances, gathered by series: while they are made, and ready to be sent."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Protocol, TypeVar

from isocenter.archive.deflated import GZIP_HEADER, Sum, stored
from isocenter.archive.readymade import SEPARATOR, STORED_SEPARATOR, Ready, Segment
from isocenter.errors import IsocenterError, Unavailable

T = TypeVar("T")
_Block = tuple[bytes, Sum, int]
"""What is deflated, the sum of it (though perhaps later), and how many instances it lacks."""

PIECE: Final = 1 << 18
"""Bytes that are inflated or read at a time."""
AHEAD: Final = 1
"""Series that are made while another one is."""
_OPEN: Final = b"["
_CLOSE: Final = b"]"


class InWorker(Protocol):
    """Does what blocks where it may."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


class Making:
    """A series that is being made, for all who ask for it."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.ready: Ready | None = None
        self.error: IsocenterError | None = None
        self._news = asyncio.Event()

    def add(self, segment: Segment) -> None:
        """Go on."""
        self.segments.append(segment)
        self._tell()

    def end(self, outcome: Ready | IsocenterError) -> None:
        """Say that all is made, or why it cannot be."""
        if isinstance(outcome, Ready):
            self.ready = outcome
        else:
            self.error = outcome
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def each(self) -> AsyncIterator[Segment]:
        """Yield segments as they are made. Raises: what it failed by."""
        at = 0
        while True:
            while at < len(self.segments):
                yield self.segments[at]
                at += 1
            if self.error is not None:
                raise self.error
            if self.ready is not None:
                return
            await self._news.wait()

    async def over(self) -> Ready:
        """Wait for the end. Raises: what it failed by."""
        while self.ready is None:
            if self.error is not None:
                raise self.error
            await self._news.wait()
        return self.ready


class Gathered:
    """An array in JSON's notation, an instance on each line, series after series.

    ``parts`` begin to make what is not ready. Close it.
    """

    def __init__(
        self, etag: str, parts: Sequence[Ready | Callable[[], Making]], in_worker: InWorker
    ) -> None:
        self.etag = etag
        """What tells this state of it from all others; without quotes."""
        self.left_out = 0
        """Instances that could not be read, as far as `settle` found."""
        self._in_worker = in_worker
        self._parts: list[Ready | asyncio.Future[Making]] = []
        awaited: list[tuple[Callable[[], Making], asyncio.Future[Making]]] = []
        for part in parts:
            if isinstance(part, Ready):
                self._parts.append(part)
            else:
                future = asyncio.get_running_loop().create_future()
                self._parts.append(future)
                awaited.append((part, future))
        self._conducting = asyncio.create_task(_conduct(awaited)) if awaited else None

    async def close(self) -> None:
        """Begin to make no more of it."""
        if self._conducting is not None:
            self._conducting.cancel()
            with suppress(asyncio.CancelledError):
                await self._conducting

    async def over(self) -> None:
        """Wait until all is made. Raises: what that failed by."""
        for number, part in enumerate(self._parts):
            if not isinstance(part, Ready):
                self._parts[number] = await (await asyncio.shield(part)).over()

    def settle(self) -> None:
        """Count what is left out by now. If it becomes more, giving breaks off."""
        self.left_out = 0
        for part in self._parts:
            if isinstance(part, Ready):
                self.left_out += part.left_out
            elif part.done():
                self.left_out += sum(segment.left_out for segment in part.result().segments)

    @property
    def sizes(self) -> tuple[int, int] | None:
        """Bytes as text and as gzip, if all is made."""
        ready = [part for part in self._parts if isinstance(part, Ready)]
        if len(ready) < len(self._parts):
            return None
        gaps = max(0, sum(1 for part in ready if part.size) - 1)
        text = sum(part.sum.size for part in ready) + gaps * len(SEPARATOR)
        deflated = sum(part.size for part in ready) + gaps * len(STORED_SEPARATOR)
        around = len(GZIP_HEADER) + len(stored(_OPEN)) + len(stored(_CLOSE))
        return text + 2, deflated + around + len(Sum().gzip_trailer())

    async def gzip(self) -> AsyncIterator[bytes]:
        """Yield all of it, compressed as it is kept. Raises: IsocenterError."""
        whole = Sum.of(_OPEN)
        yield GZIP_HEADER + stored(_OPEN)
        async for block, sum in self._blocks():
            if block:
                yield block
            whole += sum
        whole += Sum.of(_CLOSE)
        yield stored(_CLOSE, is_last=True) + whole.gzip_trailer()

    async def text(self) -> AsyncIterator[bytes]:
        """Yield all of it. Raises: IsocenterError."""
        yield _OPEN
        async for piece in self._inflated():
            yield piece
        yield _CLOSE

    async def each(self, convert: Callable[[bytes], bytes]) -> AsyncIterator[bytes]:
        """Yield what ``convert``, called in a worker, makes of each text. Raises: IsocenterError,
        and what it raises."""

        def convert_all(lines: list[bytes]) -> list[bytes]:
            return [convert(line.removesuffix(b",")) for line in lines]

        held = b""
        async for piece in self._inflated():
            *lines, held = (held + piece).split(b"\n")
            for converted in await self._in_worker(partial(convert_all, lines)):
                yield converted
        if held:
            for converted in await self._in_worker(partial(convert_all, [held])):
                yield converted

    async def _inflated(self) -> AsyncIterator[bytes]:
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        async for block, _ in self._blocks():
            while block:
                piece = await self._in_worker(partial(stream.decompress, block, PIECE))
                block = stream.unconsumed_tail
                if piece:
                    yield piece
        if rest := stream.flush():
            yield rest

    async def _blocks(self) -> AsyncIterator[tuple[bytes, Sum]]:
        """Yield what is deflated, and the sums of it. Raises: IsocenterError."""
        is_first, left_out = True, 0
        for part in self._parts:
            has_begun = False
            async for block, sum, missing in self._of(part):
                left_out += missing
                if left_out > self.left_out:
                    raise Unavailable("an instance cannot be read")
                if block and not has_begun:
                    if not is_first:
                        yield STORED_SEPARATOR, Sum.of(SEPARATOR)
                    is_first, has_begun = False, True
                yield block, sum

    async def _of(self, part: "Ready | asyncio.Future[Making]") -> AsyncIterator[_Block]:
        if not isinstance(part, Ready):
            making = await asyncio.shield(part)
            if making.ready is None:
                async for each in _segments(making):
                    yield each
                return
            part = making.ready
        for start in range(0, part.size, PIECE):
            end = min(start + PIECE, part.size)
            yield await self._in_worker(partial(part.read, start, end)), Sum(), 0
        yield b"", part.sum, part.left_out


async def _conduct(
    awaited: Sequence[tuple[Callable[[], Making], "asyncio.Future[Making]"]],
) -> None:
    """Have series made one after the other, a few at a time."""
    begun: list[Making] = []
    for begin, future in awaited:
        making = begin()
        future.set_result(making)
        begun.append(making)
        if len(begun) > AHEAD:
            with suppress(IsocenterError):
                await begun.pop(0).over()


async def _segments(making: Making) -> AsyncIterator[_Block]:
    is_first = True
    async for segment in making.each():
        if segment.data and not is_first:
            yield STORED_SEPARATOR, Sum.of(SEPARATOR), 0
        yield segment.data, segment.sum, segment.left_out
        is_first = is_first and not segment.data
