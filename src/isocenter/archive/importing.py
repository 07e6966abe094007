"""Taking instances out of files, folders, zip archives and file-sets."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from isocenter.archive.backpressure import Budget
from isocenter.archive.ingest import Ingest
from isocenter.archive.media import Found, Unreadable, walk
from isocenter.archive.upload import Expected, Upload
from isocenter.dicom.identity import MEDIA_STORAGE_DIRECTORY
from isocenter.errors import IsocenterError, Unavailable
from isocenter.storage.records import Outcome

T = TypeVar("T")

CHUNK: Final = 1 << 20
AT_ONCE: Final = 8
"""Files taken in at the same time: they share commits."""


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
    study: str = ""
    """The study of what is kept."""
    is_dicom: bool = True
    """Whether it begins as a DICOM file does."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who brings files, and as whom we take them: both are noted with what is kept."""

    sent_by: str = ""
    received_by: str = ""


_FATES: Final = {
    Outcome.STORED: Fate.STORED,
    Outcome.DUPLICATE: Fate.ALREADY_THERE,
    Outcome.REPLACED: Fate.REPLACED,
}


def import_files(
    ingest: Ingest, paths: Iterable[Path], received_by: str
) -> AsyncGenerator[Imported]:
    """Take in what lies below ``paths``; yields the outcome of each file as it is known.

    What cannot be taken is told and stops nothing.
    """
    return import_found(ingest, walk(paths), Sender(received_by=received_by))


async def import_found(
    ingest: Ingest,
    found: Iterator[Found | Unreadable],
    sender: Sender,
    budget: Budget | None = None,
) -> AsyncGenerator[Imported]:
    """Take in files one by one, as ``import_files``; what waits counts in ``budget``."""
    importer = _Importer(ingest, sender, budget or Budget())
    running: set[asyncio.Task[Imported]] = set()
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


async def conclude(upload: Upload, name: str, size: int) -> Imported:
    """Say what became of a file that is complete. Raises: Unavailable, as it is not its fault."""
    try:
        stored = await upload.finish()
    except Unavailable:
        raise
    except IsocenterError as error:
        if upload.sop_class == MEDIA_STORAGE_DIRECTORY:
            return Imported(name, size, Fate.PASSED_OVER, "a DICOMDIR")
        return Imported(name, size, Fate.REFUSED, str(error), is_dicom=upload.is_dicom)
    study = upload.identity.study if upload.identity else ""
    if stored.outcome is Outcome.KEPT:
        reason = "another instance of the same SOP Instance UID is kept"
        return Imported(name, size, Fate.REFUSED, reason, study)
    return Imported(name, size, _FATES[stored.outcome], study=study)


async def _stop(running: set[asyncio.Task[Imported]]) -> None:
    """See to it that what was begun leaves nothing half done."""
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


class _Importer:
    def __init__(self, ingest: Ingest, sender: Sender, budget: Budget) -> None:
        self._ingest = ingest
        self._workers: Executor = ingest.workers
        self._sender = sender
        self._budget = budget

    async def in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)

    async def take(self, found: Found) -> Imported:
        """Take in one file."""
        try:
            return await self._take(found)
        except (IsocenterError, OSError) as error:
            return Imported(found.name, found.size, Fate.REFUSED, str(error))

    async def _take(self, found: Found) -> Imported:
        share = self._budget.share()
        upload = Upload(
            self._ingest,
            share,
            Expected(),
            sent_by=self._sender.sent_by,
            received_by=self._sender.received_by,
        )
        try:
            file = await self._open(found)
            try:
                while not upload.has_failed and (
                    data := await self.in_worker(lambda: file.read(CHUNK))
                ):
                    upload.write(data)
                    await share.room()
            finally:
                file.close()  # here: what a worker is asked for may be cancelled
            return await conclude(upload, found.name, found.size)
        except BaseException:
            upload.abandon()
            raise

    async def _open(self, found: Found) -> BinaryIO:
        """Open a file; one that is open when nobody waits for it any more is closed again."""
        opening = asyncio.get_running_loop().run_in_executor(self._workers, found.open)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise


def _close_unused(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
