"""Import: instances out of files, folders, zip archives and file-sets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from isocenter.archive.ingest import Announced, Ingest
from isocenter.archive.media import Found, Unreadable, walk
from isocenter.dicom import part10
from isocenter.dicom.identity import MEDIA_STORAGE_DIRECTORY, SOP_CLASS, SOP_INSTANCE
from isocenter.dicom.scanner import Scanner
from isocenter.errors import Conflict, IsocenterError, Malformed
from isocenter.storage.records import Outcome

T = TypeVar("T")

CHUNK: Final = 1 << 20
AT_ONCE: Final = 8
"""Files taken in at the same time: they share commits."""

_UIDS: Final = frozenset({SOP_CLASS, SOP_INSTANCE})


class Fate(Enum):
    """What became of a file."""

    STORED = "stored"
    ALREADY_THERE = "already there"
    REPLACED = "replaced the one that was there"
    REFUSED = "refused"
    PASSED_OVER = "passed over"


@dataclass(frozen=True, slots=True)
class Imported:
    """One file's outcome; ``reason`` says why it was not taken."""

    name: str
    size: int
    fate: Fate
    reason: str = ""


_FATES: Final = {
    Outcome.STORED: Fate.STORED,
    Outcome.DUPLICATE: Fate.ALREADY_THERE,
    Outcome.REPLACED: Fate.REPLACED,
}


async def import_files(
    ingest: Ingest, paths: Iterable[Path], received_by: str
) -> AsyncIterator[Imported]:
    """Take in what lies below ``paths``; yields the outcome of each file as it is known.

    What cannot be taken is told and stops nothing.
    """
    importer = _Importer(ingest, received_by)
    running: set[asyncio.Task[Imported]] = set()
    found = walk(paths)
    try:
        while (each := await importer.in_worker(lambda: next(found, None))) is not None:
            if isinstance(each, Unreadable):
                yield Imported(each.name, 0, Fate.REFUSED, each.reason)
                continue
            running.add(asyncio.create_task(importer.take(each)))
            if len(running) >= AT_ONCE:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        for rest in asyncio.as_completed(running):
            yield await rest
    finally:
        await _stop(running)


async def _stop(running: set[asyncio.Task[Imported]]) -> None:
    """See to it that what was begun leaves nothing half done."""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


class _Chunk:
    """Some bytes of a file, and whether they are written."""

    def __init__(self, data: bytes) -> None:
        self.view = memoryview(data)
        self.released = asyncio.Event()

    def release(self) -> None:
        self.released.set()


class _Importer:
    def __init__(self, ingest: Ingest, received_by: str) -> None:
        self._ingest = ingest
        self._workers: Executor = ingest.workers
        self._received_by = received_by

    async def in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    async def take(self, found: Found) -> Imported:
        """Take in one file."""
        try:
            fate, reason = await self._take(found)
        except (IsocenterError, OSError) as error:
            fate, reason = Fate.REFUSED, str(error)
        return Imported(found.name, found.size, fate, reason)

    async def _take(self, found: Found) -> tuple[Fate, str]:
        announced, offset = await self.in_worker(lambda: self._announcement(found))
        if announced.sop_class == MEDIA_STORAGE_DIRECTORY:
            return Fate.PASSED_OVER, "a DICOMDIR"
        self._ingest.admission.check(announced.sop_class, announced.transfer_syntax)
        reception = self._ingest.receive(announced)
        try:
            file = await self._open(found)
            try:
                await self.in_worker(lambda: _skip(file, offset))
                while not reception.has_failed and (
                    data := await self.in_worker(lambda: file.read(CHUNK))
                ):
                    chunk = _Chunk(data)
                    reception.write(chunk)
                    if len(data) == CHUNK:  # bounds what waits to be written
                        await chunk.released.wait()
            finally:
                file.close()  # here: what a worker is asked for may be cancelled
            stored = await reception.finish()
        except BaseException:
            reception.abandon()
            raise
        if stored.outcome is Outcome.KEPT:
            raise Conflict("another instance of the same SOP Instance UID is kept")
        return _FATES[stored.outcome], ""

    async def _open(self, found: Found) -> BinaryIO:
        """Open a file; one that is open when nobody waits for it any more is closed again."""
        opening = asyncio.get_running_loop().run_in_executor(self._workers, found.open)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise

    def _announcement(self, found: Found) -> tuple[Announced, int]:
        with found.open() as file:
            header = part10.read(file)
        if header.sop_class == MEDIA_STORAGE_DIRECTORY:
            sop_class, sop_instance = MEDIA_STORAGE_DIRECTORY, header.sop_instance
        else:
            sop_class, sop_instance = _uids(found, header)
        announced = Announced(
            transfer_syntax=header.syntax.uid,
            sop_class=sop_class,
            sop_instance=sop_instance,
            received_by=self._received_by,
        )
        return announced, header.dataset_offset


def _uids(found: Found, header: part10.FileHeader) -> tuple[str, str]:
    """Read the UIDs out of the data set: meta information is too often missing or another's."""
    scanner = Scanner(header.syntax, _UIDS)
    with found.open() as file:
        _skip(file, header.dataset_offset)
        for data in _chunks(file):
            scanner.feed(data)
            if scanner.values.keys() == _UIDS:
                break
    missing = _UIDS - scanner.values.keys()
    if missing:
        raise Malformed("data set does not say which SOP instance it is")
    sop_class, sop_instance = (
        scanner.values[tag].value.decode("latin-1").strip("\0 ") for tag in sorted(_UIDS)
    )
    return sop_class, sop_instance


def _close_unused(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _skip(file: BinaryIO, size: int) -> None:
    """Step over the first bytes; of a zip archive's member too."""
    file.seek(size)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        yield data
