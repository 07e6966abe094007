"""The archive as a whole: what every front door calls."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from isocenter.archive import corrected
from isocenter.archive.anonymize import Anonymizer
from isocenter.archive.backpressure import Budget, Share
from isocenter.archive.candidates import sender
from isocenter.archive.capacity import Capacity, measure
from isocenter.archive.commitment import Commitments
from isocenter.archive.compression import GRACE, Compression
from isocenter.archive.correction import Corrections
from isocenter.archive.films import Films, group_of
from isocenter.archive.frame_conversion import FrameConversions
from isocenter.archive.frames import OpenInstances
from isocenter.archive.ingest import Announced, Ingest, Reception
from isocenter.archive.jobs import Jobs
from isocenter.archive.live import Live
from isocenter.archive.metadata import Metadata
from isocenter.archive.removals import Removals
from isocenter.archive.rendering import Renderings
from isocenter.archive.retrieve import Opened, close_unused
from isocenter.archive.shares import Shares
from isocenter.archive.upload import Expected, Upload
from isocenter.archive.worklist import Worklist
from isocenter.config import ArchiveConfig, ImagingConfig
from isocenter.errors import IsocenterError, NotFound, Unavailable
from isocenter.imaging.workers import Workers
from isocenter.storage.copies import CopyStore
from isocenter.storage.files import FileStore
from isocenter.storage.index import Index
from isocenter.storage.made_files import MadeFiles
from isocenter.storage.query import Query
from isocenter.storage.records import Answer, InstanceRef, Match, Selection

log = logging.getLogger(__name__)

T = TypeVar("T")
INDEX_NAME = "index.sqlite"
COPIES_NAME = "copies"
VIDEOS_NAME = "videos"
DEFAULT_IMAGING = ImagingConfig()
MEASURED_AT_A_TIME = 100
"""Instances: other work is to have its turn."""


class Archive:
    """Blobs and index together. Open it with ``Archive.open``, within a running event loop."""

    def __init__(
        self,
        store: FileStore,
        index: Index,
        copies: CopyStore,
        workers: ThreadPoolExecutor,
        config: ArchiveConfig,
        imaging: ImagingConfig,
        folder: Path,
    ) -> None:
        self.store = store
        self.index = index
        self.metadata = Metadata(store, index, copies, workers)
        self._workers = workers
        self._folder = folder
        self.ingest = Ingest(store, index, copies, workers, config)
        self.worklist = Worklist(index.worklist, config)
        self.admission = self.ingest.admission
        self.corrections = Corrections(index)
        self.budget = Budget()
        self.commitments = Commitments(index.commitments, self, self.admission, config)
        self.opened = OpenInstances(store, copies, workers)
        self.imaging = Workers(imaging.workers, memory=imaging.memory, patience=imaging.patience)
        self.conversions = FrameConversions(self.imaging)
        self.renderings = Renderings(index, self.opened, self.imaging)
        self.anonymizer = Anonymizer(folder, self.opened, workers)
        self.removals = Removals(self, config.removal_retention, self.ingest.limits)
        self.live = Live()
        self.jobs = Jobs(index.jobs, self.live)
        self.shares = Shares(index)
        self._filming = Workers(
            max(1, self.imaging.count // 2), memory=imaging.memory, patience=imaging.patience
        )
        self._videos = MadeFiles(folder / VIDEOS_NAME, config.videos_size)
        self.films = Films(self.renderings, store, self._videos, self._filming, workers)

    @classmethod
    async def open(
        cls,
        folder: Path,
        config: ArchiveConfig,
        imaging: ImagingConfig = DEFAULT_IMAGING,
        *,
        is_shared: bool = False,
    ) -> Self:
        """Open or make the archive in ``folder``, and clear up what a crash left.

        ``is_shared``: only to read, beside a server that may be running; nothing is made. Raises:
        Unavailable; Unsupported; NotFound, where there is no archive to share.
        """
        if is_shared and not (folder / INDEX_NAME).exists():
            raise NotFound(f"there is no archive in {folder}")
        archive = await asyncio.to_thread(cls._open, folder, config, imaging)
        try:
            if not is_shared:
                await _refuse_index_without_blobs(archive, folder)
                await archive.clear_up()
        except BaseException:
            await archive.close()
            raise
        return archive

    @classmethod
    def _open(cls, folder: Path, config: ArchiveConfig, imaging: ImagingConfig) -> Self:
        store = FileStore(folder)
        try:
            _refuse_blobs_without_index(store, folder)
            index = Index.open(folder / INDEX_NAME)
        except BaseException:
            store.close()
            raise
        workers = ThreadPoolExecutor(config.file_threads, thread_name_prefix="files")
        copies = CopyStore(folder / COPIES_NAME, config.copies_size)
        return cls(store, index, copies, workers, config, imaging, folder)

    def compression(
        self, codecs: Workers, *, grace: float = GRACE, is_trial: bool = False
    ) -> Compression:
        """What compresses instances that are kept; arguments are those of ``Compression``."""
        return Compression(
            self.store,
            self.index,
            self.ingest.copies,
            files=self._workers,
            codecs=codecs,
            limits=self.ingest.limits,
            grace=grace,
            is_trial=is_trial,
        )

    async def close(self) -> None:
        """Finish what was begun, then close."""
        self.live.close()
        await self.removals.close()
        await self.commitments.close()
        await self.films.close()
        self.opened.close()
        await self.metadata.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.imaging.close()
        self._filming.close()
        self._workers.shutdown(wait=True)
        self.index.close()
        self.store.close()

    def receive(self, announced: Announced) -> Reception:
        """Begin to take in one instance."""
        return self.ingest.receive(announced)

    def upload(
        self, share: Share, expected: Expected, *, sent_by: str = "", received_by: str = ""
    ) -> Upload:
        """Begin to take in a DICOM file; its bytes count in ``share``, one of ``budget``."""
        return Upload(self.ingest, share, expected, sent_by=sent_by, received_by=received_by)

    def search(self, query: Query) -> AsyncIterator[list[Match]]:
        """Yield what matches, in pages. Raises: Malformed, Unavailable."""
        return self.index.search(query)

    async def answer(self, query: Query) -> Answer:
        """Find the first page of what matches, and how much more there is.

        Raises: Malformed, Unavailable.
        """
        return await self.index.answer(query)

    def instances(self, selection: Selection) -> AsyncIterator[list[InstanceRef]]:
        """Yield the selected instances, in pages. Raises: Unavailable."""
        return self.index.instances(selection)

    async def read(self, instance: InstanceRef) -> Opened:
        """Open the data set of ``instance``. Raises: NotFound, Unavailable."""
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(
            self._workers, partial(Opened, self.store, self._workers, instance, self.imaging)
        )
        try:
            return await asyncio.shield(opening)
        except NotFound as error:
            await self._refuse_former(instance)
            raise error
        except asyncio.CancelledError:
            opening.add_done_callback(close_unused)
            raise

    async def _refuse_former(self, instance: InstanceRef) -> None:
        """Raises: Unavailable, if ``instance`` is where it was long ago; nothing else is wrong."""
        if not await self.index.has_blob(instance.sop_instance_uid, instance.blob_key):
            async for page in self.index.instances(
                Selection(instances=(instance.sop_instance_uid,))
            ):
                if page:
                    raise Unavailable("the instance was put elsewhere meanwhile: ask again")

    async def lost(self, instances: Sequence[InstanceRef]) -> set[str]:
        """SOP Instance UIDs of those whose bytes are not there, or not all of them."""
        return await self.in_worker(partial(_lost, self.store, instances))

    async def measured(self, instances: Sequence[InstanceRef]) -> list[InstanceRef]:
        """Find out how large the files of corrected instances are; leave out what cannot be read.

        Others are as large as they are kept.
        """
        if all(each.overlay is None for each in instances):
            return list(instances)
        found: list[InstanceRef] = []
        for start in range(0, len(instances), MEASURED_AT_A_TIME):
            some = instances[start : start + MEASURED_AT_A_TIME]
            found += await self.in_worker(partial(_measured, self.store, some))
        return found

    async def clear_up(self) -> None:
        """Remove what a crash left: drafts, blobs without rows, bytes of removed instances."""
        removed = 0
        for key, instance in (await self.in_worker(self.store.unsettled)).items():
            is_known = await self.index.has_blob(instance, key)
            if not is_known and not await self.index.is_to_go(key):
                await self.in_worker(partial(self.store.delete, key))
                removed += 1
        removed += await self.in_worker(self.store.recover)
        if removed:
            log.warning("cleared up after a crash", extra={"blobs": removed})
        await self.delete_blobs(also_later=True)

    async def delete_blobs(self, *, also_later: bool = False) -> None:
        """Delete the bytes that nothing refers to any more, and which are due.

        ``also_later``: those too that somebody may be about to read. Raises: Unavailable.
        """
        while keys := await self.index.blobs_to_delete(also_later=also_later):
            self.opened.drop(keys)
            for group in {group_of(key) for key in keys}:
                await self.in_worker(partial(self._videos.forget, group))
            await self.in_worker(partial(self.store.expunge, keys))
            await self.index.forget_blobs(keys)

    async def senders(self, blob_keys: Sequence[str]) -> dict[str, str]:
        """Who sent what these blobs hold; empty, where they are gone or do not say."""
        return await self.in_worker(lambda: {each: sender(self.store, each) for each in blob_keys})

    async def capacity(self) -> Capacity:
        """How much room it takes, and how much is left. Raises: Unavailable."""
        index = self._folder / INDEX_NAME
        return await self.in_worker(partial(measure, index, self.ingest.copies, self._videos))

    async def in_worker(self, work: Callable[[], T]) -> T:
        """Have one of the threads that handle files do ``work``."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)


def _lost(store: FileStore, instances: Sequence[InstanceRef]) -> set[str]:
    lost = set()
    for instance in instances:
        try:
            if store.size(instance.blob_key) == instance.size:
                continue
        except IsocenterError:
            pass
        lost.add(instance.sop_instance_uid)
    return lost


def _measured(store: FileStore, instances: Sequence[InstanceRef]) -> list[InstanceRef]:
    found = []
    for instance in instances:
        if instance.overlay is None or instance.given_size is not None:
            found.append(instance)
            continue
        try:
            blob = corrected.opened(store, instance)
        except IsocenterError as error:
            log.warning(
                "instance cannot be read",
                extra={"sop_instance": instance.sop_instance_uid, "reason": str(error)},
            )
            continue
        found.append(replace(instance, given_size=blob.size))
        blob.close()
    return found


def _refuse_blobs_without_index(store: FileStore, folder: Path) -> None:
    """Raises: Unavailable, rather than to show an empty archive where there are instances."""
    if not (folder / INDEX_NAME).exists() and next(store.all_keys(), None) is not None:
        raise Unavailable(f"{folder} has instances but no index: run isocenter reindex")


async def _refuse_index_without_blobs(archive: Archive, folder: Path) -> None:
    """Raises: Unavailable, rather than to receive beside a disk that somebody forgot."""
    if await archive.in_worker(lambda: next(archive.store.all_keys(), None)) is not None:
        return
    async for page in archive.index.all_instances():
        if page:
            raise Unavailable(
                f"{folder} has an index of instances, and none of their blobs: is the disk there? "
                "If they are lost, run isocenter reindex"
            )
