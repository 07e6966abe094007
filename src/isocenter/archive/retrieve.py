"""Giving instances back: their data sets, window by window, in the encoding that is wanted."""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from zlib import crc32

from blake3 import blake3

from isocenter.archive import corrected
from isocenter.archive.corrected import Source as Source
from isocenter.dicom import part10
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import UNCOMPRESSED, TransferSyntax, lookup
from isocenter.errors import IsocenterError, Unsupported
from isocenter.storage.blobs import Blob
from isocenter.storage.records import InstanceRef

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive
    from isocenter.archive.transcode import Transcoding
    from isocenter.imaging.workers import Workers

WINDOW: Final = 8 << 20
"""Bytes of a data set that are in memory at a time."""

READ_AHEAD: Final = 3
"""Instances that are opened while another is being sent."""

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview
Pieces = Iterable[Buffer] | AsyncIterator[Buffer]
"""At once, where it is all in memory."""


class Opened:
    """An instance whose data set is at hand; its first window is in memory."""

    def __init__(
        self,
        source: Source[Blob],
        workers: Executor,
        instance: InstanceRef,
        codecs: "Workers | None" = None,
    ) -> None:
        """``codecs``: without them, pixel data stays as it is. Blocks.

        Raises: NotFound, Unavailable.
        """
        self.instance = instance
        self.syntax = lookup(instance.transfer_syntax)
        self._source = source
        self._workers = workers
        self._codecs = codecs
        self._prepared: tuple[TransferSyntax, Pieces] | None = None
        self._blob: Blob = corrected.opened(source, instance)
        try:
            self._start = self._blob.window(0, instance.dataset_offset + WINDOW)
            self._first = self._start[instance.dataset_offset :]
        except BaseException:
            self._blob.close()
            raise

    @property
    def size(self) -> int:
        """Bytes of the data set, unless it is re-encoded."""
        return self._blob.size - self.instance.dataset_offset

    @property
    def file_size(self) -> int:
        """Bytes of the file."""
        return self._blob.size

    def close(self) -> None:
        """Let go of the blob; what was handed out stays valid."""
        self._blob.close()

    def file(self, start: int = 0, end: int | None = None) -> Pieces:
        """Give bytes ``start`` to ``end`` (exclusive) of the DICOM file, in no other encoding."""
        end = self.file_size if end is None else min(end, self.file_size)
        if end <= len(self._start):
            return (self._start[start:end],)
        return self._kept(start, end)

    async def file_in(self, target: TransferSyntax) -> AsyncIterator[Buffer]:
        """Give a DICOM file of it in ``target``. Raises: Unsupported, Malformed."""
        instance = self.instance
        yield part10.header(instance.sop_class_uid, instance.sop_instance_uid, target.uid)
        async for piece in each(self.pieces(target)):
            yield piece

    async def checksum(self) -> int:
        """Give the CRC-32 of the file, in no other encoding."""
        summed = 0
        async for piece in each(self.file()):
            summed = await self._in_worker(partial(crc32, piece, summed))
        return summed

    def pieces(self, target: TransferSyntax | None = None) -> Pieces:
        """Give the data set, as it is kept or re-encoded to ``target``; each time from its start.

        Raises: Unsupported, if that cannot be done without a loss; the pieces may raise that too,
        and Malformed.
        """
        if target is None or target == self.syntax:
            return (self._first,) if len(self._first) == self.size else self._windows()
        if can_reencode(self.syntax, target):
            return self._reencoded(Reencoder(self.syntax, target))
        if self._prepared is not None and self._prepared[0] == target:
            return self._prepared[1]
        return self.transcoding(target).pieces()

    async def prepare(self, target: TransferSyntax | None) -> None:
        """Do ahead what it takes to give it in ``target``, if that is much work on few bytes.

        Others can be prepared meanwhile. What is wrong is told when it is given.
        """
        if target is None or target == self.syntax or can_reencode(self.syntax, target):
            return
        try:
            work = self.transcoding(target)
            await work.begin()
            if work.size <= WINDOW:
                self._prepared = target, [bytes(piece) async for piece in work.pieces()]
            else:
                work.close()
        except IsocenterError:
            return

    def transcoding(
        self, target: TransferSyntax, *, is_loss_allowed: bool = False
    ) -> "Transcoding":
        """Begin to turn its pixel data into ``target``. Raises: Unsupported."""
        # Only who needs it waits for the codecs to be loaded.
        from isocenter.archive.transcode import Transcoding

        if self._codecs is None:
            raise Unsupported(f"{self.syntax.name} is not turned into {target.name}")
        return Transcoding(
            _DataSet(self._blob, self.instance.dataset_offset),
            self.syntax,
            target,
            codecs=self._codecs,
            files=self._workers,
            scratch=self._source.scratch,
            is_loss_allowed=is_loss_allowed,
        )

    def _windows(self) -> AsyncIterator[memoryview]:
        return self._kept(self.instance.dataset_offset, self.file_size)

    async def _kept(self, start: int, end: int) -> AsyncIterator[memoryview]:
        """Bytes ``start`` to ``end`` of the blob."""
        if start < len(self._start):
            yield self._start[start:end]
            start = len(self._start)
        for at in range(start, end, WINDOW):
            yield await self._in_worker(partial(self._blob.window, at, min(at + WINDOW, end)))

    async def _reencoded(self, encoder: Reencoder) -> AsyncIterator[Buffer]:
        async for window in self._windows():
            yield await self._in_worker(partial(encoder.feed, window))
        yield await self._in_worker(encoder.finish)

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)


class _DataSet:
    """The bytes of a data set within its blob."""

    def __init__(self, blob: Blob, offset: int) -> None:
        self._blob = blob
        self._offset = offset
        self.size = blob.size - offset

    def window(self, start: int, end: int) -> memoryview:
        end = min(end, self.size)
        if start >= end:
            return memoryview(b"")
        return self._blob.window(self._offset + start, self._offset + end)


def windows(blob: Blob, start: int) -> Iterator[memoryview]:
    """Yield a blob from ``start`` on."""
    for at in range(start, blob.size, WINDOW):
        yield blob.window(at, at + WINDOW)


def digest_of(blob: Blob, start: int) -> bytes:
    """The digest of a blob from ``start`` on. Raises: Unavailable, where it cannot be read."""
    digest = blake3()
    for window in windows(blob, start):
        digest.update(window)
    return digest.digest()


async def each(pieces: Pieces) -> AsyncIterator[Buffer]:
    """Yield ``pieces``, wherever they come from."""
    if isinstance(pieces, AsyncIterator):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece


def can_reencode(source: TransferSyntax, target: TransferSyntax) -> bool:
    """Say whether a data set can go from ``source`` to ``target`` without touching a pixel."""
    return source in UNCOMPRESSED and target in UNCOMPRESSED


def can_convert(source: TransferSyntax, target: TransferSyntax) -> bool:
    """Say whether a data set can go from ``source`` to ``target`` without a loss.

    It may yet turn out not to: for what its pixels are.
    """
    if can_reencode(source, target):
        return True
    from isocenter.imaging import transcoding

    return transcoding.can_convert(source.uid, target.uid) and transcoding.is_lossless(
        source.uid, target.uid
    )


class _Opener(Protocol):
    async def read(self, instance: InstanceRef) -> Opened: ...


class Current:
    """Reads instances as they are when their turn comes, and not as they were when selected.

    For what takes long: a correction meanwhile holds for all that is still to go, and what was
    removed goes nowhere any more.
    """

    def __init__(self, archive: "Archive") -> None:
        """Before anything is selected."""
        self._archive = archive
        self._began = archive.index.upheavals

    async def read(self, instance: InstanceRef) -> Opened:
        """Open the data set of ``instance``. Raises: NotFound, Unavailable."""
        index = self._archive.index
        if index.upheavals != self._began:
            now = await index.lookup(instance.sop_instance_uid)
            # Kept in another way by now, it is read where it was: its kind was agreed on.
            instance = replace(instance, overlay=now.overlay)
        return await self._archive.read(instance)


Prepare = Callable[[Opened], Awaitable[None]]


async def opened(
    archive: _Opener,
    instances: AsyncIterator[Sequence[InstanceRef]],
    prepare: Prepare | None = None,
) -> AsyncGenerator[tuple[InstanceRef, Opened | IsocenterError], None]:
    """Yield ``instances`` in their order, each opened, the next ones being opened meanwhile.

    And, if ``prepare`` is given, prepared. One that cannot be read comes as its error: it is no
    reason to stop. Close what you are given.
    """
    read = partial(_read, archive, prepare)
    ahead: deque[tuple[InstanceRef, asyncio.Task[Opened]]] = deque()
    try:
        async for page in instances:
            for instance in page:
                ahead.append((instance, asyncio.create_task(read(instance))))
                if len(ahead) > READ_AHEAD:
                    yield await _arrived(*ahead.popleft())
        while ahead:
            yield await _arrived(*ahead.popleft())
    finally:
        for _, task in ahead:
            task.add_done_callback(close_unused)
            task.cancel()


async def _read(archive: _Opener, prepare: Prepare | None, instance: InstanceRef) -> Opened:
    found = await archive.read(instance)
    if prepare is not None:
        try:
            await prepare(found)
        except BaseException:
            found.close()
            raise
    return found


async def _arrived(
    instance: InstanceRef, task: asyncio.Task[Opened]
) -> tuple[InstanceRef, Opened | IsocenterError]:
    try:
        return instance, await task
    except IsocenterError as error:
        return instance, error


def close_unused(task: asyncio.Future[Opened]) -> None:
    """Close what was opened for somebody who no longer waits."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()
