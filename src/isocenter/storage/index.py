"""The index: what the archive holds, durable, searchable, one writer and a few readers.

Methods may be called from any event loop; `submit` from any thread.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, Select
from sqlalchemy.exc import SQLAlchemyError

from isocenter.errors import NotFound, Unavailable
from isocenter.storage import changes as feed, outlines, retrieving, search as searching, sqlite
from isocenter.storage.attributes import Level
from isocenter.storage.commitments import CommitmentStore
from isocenter.storage.contents import Snapshot
from isocenter.storage.corrections import CorrectionStore
from isocenter.storage.engine import open_schema
from isocenter.storage.entry import entry_of
from isocenter.storage.jobs import JobStore
from isocenter.storage.outlines import Part
from isocenter.storage.peers import PeerStore
from isocenter.storage.query import Query
from isocenter.storage.recoding import Recode, Remember
from isocenter.storage.records import (
    Answer,
    Change,
    ChangeKind,
    Incoming,
    InstanceRef,
    Match,
    OnConflict,
    Removed,
    Selection,
    SeriesOutline,
    Stored,
)
from isocenter.storage.removal_records import Order
from isocenter.storage.removals import RemovalStore
from isocenter.storage.removing import Forget, Remove
from isocenter.storage.shares import ShareStore
from isocenter.storage.sqlite import BEGIN_READ
from isocenter.storage.storing import Store
from isocenter.storage.tallies import Span, Tally, tallies, total
from isocenter.storage.workitems import Place
from isocenter.storage.worklist import WorklistStore
from isocenter.storage.writer import Writer

Page = TypeVar("Page")
Result = TypeVar("Result")

SIZES_HOLD: Final = 60.0
"""Seconds for which an estimate of the index's size is good enough."""

READERS: Final = 4
"""Threads that read, each with a connection of its own."""

MOST_KNOWN: Final = 20_000
"""Instances whose place is remembered, at half a kilobyte each."""

NO_ORDER: Final = Order()
REMOVED_AT_A_TIME: Final = 1_000
"""Instances removed in one transaction: others do not wait long for theirs."""


class Index:
    """Patients, studies, series and instances. Open it with `Index.open`."""

    def __init__(self, writing: Engine, reading: Engine, readers: int, offset: int) -> None:
        self._writing = writing
        self._reading = reading
        self._reader = searching.Reader(self._run, self._size, offset)
        self._known: dict[str, tuple[int, InstanceRef]] = {}
        self._sizes: dict[Level, tuple[float, int]] = {}
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="index-reader")
        self._writer = Writer(writing)
        self.on_change = self._writer.on_noted
        """Called, from any thread, when the change feed has grown."""
        self.removals = RemovalStore(self._writer, self._readers, self._run)
        self.commitments = CommitmentStore(self._writer, self._readers, self._run)
        self.corrections = CorrectionStore(self._writer, self._readers, self._run)
        self.jobs = JobStore(self._writer, self._readers, self._run)
        self.peers = PeerStore(self._writer, self._readers, self._run)
        self.shares = ShareStore(self._writer, self._readers, self._run)
        self.worklist = WorklistStore(
            self._writer, self._readers, self._run, Place(writing.dialect, offset)
        )

    @classmethod
    def open(cls, path: Path, *, readers: int = READERS, offset: int = 0) -> "Index":
        """Open or make the index at ``path``; brings an older schema up to date.

        ``offset``: minutes east of UTC in which dates and times of the archive's data sets are,
        where they do not say. Raises: Unsupported, for an index of a newer Isocenter; Unavailable.
        """
        writing = sqlite.writing_engine(path)
        try:
            open_schema(writing)
        except SQLAlchemyError as error:
            writing.dispose()
            raise Unavailable(f"the index cannot be opened: {error}") from error
        except BaseException:
            writing.dispose()
            raise
        return cls(writing, sqlite.reading_engine(path, readers), readers, offset)

    def close(self) -> None:
        """Finish what was submitted, then close."""
        self._writer.close()
        self._readers.shutdown(wait=True)
        self._reading.dispose()
        self._writing.dispose()

    # --- writing

    async def store(self, incoming: Incoming, on_conflict: OnConflict = OnConflict.KEEP) -> Stored:
        """Enter an instance; durable on return.

        Raises: Malformed, where a UID is missing; Conflict, by policy; Unavailable. Then nothing
        of it is in the index.
        """
        store = Store(entry_of(incoming), on_conflict)
        return await self._writer.write(store)

    def submit(
        self, incoming: Incoming, on_conflict: OnConflict = OnConflict.KEEP
    ) -> "Future[Stored]":
        """`store`, for callers that are threads.

        Raises: Malformed, Unavailable; more in the future.
        """
        store = Store(entry_of(incoming), on_conflict)
        return self._writer.submit(store)

    async def remove(self, selection: Selection, order: Order = NO_ORDER) -> Removed:
        """Remove instances with their replaced versions; parents that become empty vanish.

        A thousand at a time: if it fails midway, those before are removed, and in ``removals``.
        Raises: OutOfTurn, for a selection of everything; Conflict, where the selection does not
        tell several patients apart.
        """
        await self._read(lambda: retrieving.refuse_strangers(self._run, selection, by_study=True))
        total = number = 0
        while True:
            remove = Remove(selection, REMOVED_AT_A_TIME, self._writing.dialect, order, number)
            removed = await self._writer.write(remove)
            total, number = total + removed.instances, removed.removal
            if removed.instances < REMOVED_AT_A_TIME:
                return Removed(total, number)

    async def recode(self, incoming: Incoming, former: str, grace: float) -> bool:
        """Have an instance kept as ``incoming`` instead of under the blob key ``former``.

        Durable on return. False, if it is kept otherwise or not at all by now; then nothing is
        changed. ``grace``: seconds for which the former blob is to stay. Raises: Malformed,
        Unavailable.
        """
        return await self._writer.write(Recode(entry_of(incoming), former, grace))

    def submit_again(self, incoming: Incoming, former: str) -> "Future[bool]":
        """Have an instance kept as ``incoming``, as the bytes under ``former`` are lost.

        For callers that are threads. False, if it is kept otherwise or not at all by now. Raises:
        Malformed, Unavailable; more in the future.
        """
        again = Recode(entry_of(incoming), former, 0.0, ChangeKind.REPLACED)
        return self._writer.submit(again)

    async def blobs_to_delete(self, limit: int = 1_000, *, also_later: bool = False) -> list[str]:
        """Keys of blobs whose bytes are to be deleted; ask again after `forget_blobs`.

        ``also_later``: those too that may still be read by somebody.
        """
        now = retrieving.ALWAYS if also_later else time.time_ns() // 1000
        return await self._read(lambda: retrieving.blobs_to_delete(self._run, limit, now))

    async def forget_blobs(self, blob_keys: Sequence[str]) -> None:
        """Strike blobs off `blobs_to_delete`: their bytes are gone."""
        await self._writer.write(Forget(tuple(blob_keys)))

    # --- reading

    async def search(self, query: Query) -> AsyncIterator[list[Match]]:
        """Pages of matches, in a stable order.

        No transaction is held between pages. Raises: Malformed, for a key that cannot be read.
        """
        pages = await self._read(lambda: searching.search(self._reader, query))
        async for page in self._each(pages):
            yield page

    async def answer(self, query: Query) -> Answer:
        """The first page of matches, and how many there are behind it.

        Raises: Malformed, for a key that cannot be read.
        """
        begun = await self._read(lambda: searching.begin(self._reader, query))
        return Answer(begun.first, self._each(begun.pages), begun.behind, begun.is_counted)

    async def count(self, query: Query) -> int:
        """How many match. Raises: Malformed, for a key that cannot be read."""
        return await self._read(lambda: searching.count(self._reader, query))

    async def place(self, level: Level, pk: int) -> tuple[Any, ...] | None:
        """The position of the match with this key, to continue behind it; None if it has gone."""
        return await self._read(lambda: searching.place_of(self._run, level, pk))

    async def outline(
        self, study_pks: Sequence[int], *, with_instances: bool
    ) -> AsyncIterator[list[Part]]:
        """The series of studies that matched (their position ends with the key), and instances."""
        found = outlines.parts(self._run, study_pks, with_instances=with_instances)
        async for page in self._each(found):
            yield page

    async def lookup(self, sop_instance_uid: str) -> InstanceRef:
        """Where an instance is. Raises: NotFound."""
        if (known := self.known(sop_instance_uid)) is not None:
            return known
        removals = self._writer.removals
        found = await self._read(lambda: self._one(sop_instance_uid))
        if found is None:
            raise NotFound("no such instance")
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[sop_instance_uid] = removals, found
        return found

    @property
    def upheavals(self) -> int:
        """Another number, once instances were taken away, replaced, moved or corrected."""
        return self._writer.removals

    def known(self, sop_instance_uid: str) -> InstanceRef | None:
        """Where an instance is, if that was looked up before and still holds; never waits."""
        # Only this process writes (`FolderLock`), so nothing else can take an instance away.
        removals, found = self._known.get(sop_instance_uid, (-1, None))
        return found if removals == self._writer.removals else None

    async def instances(self, selection: Selection) -> AsyncIterator[list[InstanceRef]]:
        """The selected instances by study, series number and instance number, in batches.

        Raises: Conflict, for a Patient ID alone that several issuers gave to several patients.
        """
        async for page in self._each(retrieving.selected(self._run, selection)):
            yield page

    async def count_instances(self, selection: Selection) -> int:
        """How many instances are selected. Raises: Conflict, as `instances` does."""
        return await self._read(lambda: retrieving.count_selected(self._run, selection))

    async def outlines(self, selection: Selection) -> list[SeriesOutline]:
        """The selected series, by series number."""
        return await self._read(lambda: retrieving.outlines(self._run, selection))

    async def nth(self, series: SeriesOutline, number: int) -> InstanceRef | None:
        """The instance of a series that has so many before it, by instance number."""
        return await self._read(lambda: retrieving.nth(self._run, series.pk, number))

    async def kinds(self, selection: Selection) -> list[tuple[str, str]]:
        """SOP class and transfer syntax of the selected instances, each pair once."""
        return await self._read(lambda: retrieving.kinds(self._run, selection))

    async def of_several_patients(self, study_uids: Sequence[str]) -> set[str]:
        """Those of some Study Instance UIDs that several patients have."""
        return await self._read(lambda: retrieving.of_several_patients(self._run, study_uids))

    async def has_blob(self, sop_instance_uid: str, blob_key: str) -> bool:
        """Whether an instance, or a replaced version of it, is kept under ``blob_key``."""
        return await self._read(lambda: retrieving.has_blob(self._run, sop_instance_uid, blob_key))

    async def is_to_go(self, blob_key: str) -> bool:
        """Whether a blob is of something removed, or listed for deletion, due or not."""
        return await self._read(lambda: retrieving.is_to_go(self._run, blob_key))

    async def last_change(self) -> int:
        """The number of the newest change in the feed."""
        return await self._read(lambda: feed.last_change(self._run))

    async def newest(self) -> tuple[int, int]:
        """The number of the newest change in the feed; the key of the study that arrived last."""
        last_change, last_study = feed.last_change, retrieving.last_study
        return await self._read(lambda: (last_change(self._run), last_study(self._run)))

    async def recall(self, name: str) -> str | None:
        """What was kept by `remember`."""
        return await self._read(lambda: retrieving.remembered(self._run, name))

    async def remember(self, name: str, value: str) -> None:
        """Keep a short text under a name of its own; durable on return."""
        await self._writer.write(Remember(name, value))

    async def all_instances(self) -> AsyncIterator[list[InstanceRef]]:
        """Every instance, in batches."""
        async for page in self._each(retrieving.everything(self._run)):
            yield page

    async def replaced_versions(self) -> AsyncIterator[list[InstanceRef]]:
        """Every replaced version of an instance, in batches."""
        async for page in self._each(retrieving.replaced(self._run)):
            yield page

    async def changes(self, since: int = 0, limit: int = 1_000) -> list[Change]:
        """The change feed behind the change numbered ``since``, oldest first."""
        return await self._read(lambda: feed.changes(self._run, since, limit))

    async def changes_before(
        self, before: int | None, limit: int, wanted: feed.ChangeFilter
    ) -> list[Change]:
        """The change feed, newest first: what is ``wanted`` and has a number below ``before``."""
        return await self._read(lambda: feed.changes_before(self._run, before, limit, wanted))

    async def first_change(self) -> Change | None:
        """The oldest change in the feed."""
        return await self._read(lambda: feed.first_change(self._run))

    async def study_dates(self) -> tuple[str, str]:
        """The oldest and the newest date of a study; empty, where none has one."""
        return await self._read(lambda: retrieving.study_dates(self._run))

    async def tallies(self, span: Span, since: int) -> list[Tally]:
        """What came and went in the spans numbered ``since`` and after, oldest first."""
        return await self._read(lambda: tallies(self._run, span, since))

    async def total(self, before: int | None = None) -> Tally:
        """The sums of all days; ``before``: only of those numbered below."""
        return await self._read(lambda: total(self._run, before))

    async def within_snapshot(self, work: Callable[[Snapshot], Result]) -> Result:
        """Have a reader thread do ``work`` on the index as it is at one moment.

        It holds up the cleaning of the write-ahead log: do not wait in it. Raises: Unavailable.
        """
        return await self._read(lambda: self._in_snapshot(work))

    async def references(self, pks: Sequence[int]) -> list[InstanceRef]:
        """The instances of rows found in a snapshot, in their order; less those gone meanwhile."""
        return await self._read(lambda: retrieving.references(self._run, pks))

    def _one(self, sop_instance_uid: str) -> InstanceRef | None:
        try:
            with self._reading.connect() as connection:
                return retrieving.one(connection, sop_instance_uid)
        except SQLAlchemyError as error:
            raise Unavailable(f"the index cannot be read: {error}") from error

    def _in_snapshot(self, work: Callable[[Snapshot], Result]) -> Result:
        try:
            with self._reading.connect() as connection:
                connection.exec_driver_sql(BEGIN_READ)
                return work(Snapshot(connection))
        except SQLAlchemyError as error:
            raise Unavailable(f"the index cannot be read: {error}") from error

    def _run(self, statement: Select[Any]) -> Sequence[Any]:
        try:
            with self._reading.connect() as connection:
                return connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise Unavailable(f"the index cannot be read: {error}") from error

    def _size(self, level: Level) -> int:
        """Roughly how many rows a level has: counted at most once a minute."""
        counted_at, size = self._sizes.get(level, (-SIZES_HOLD, 0))
        if time.monotonic() - counted_at >= SIZES_HOLD:
            size = searching.count(self._reader, Query(level=level))
            self._sizes[level] = time.monotonic(), size
        return size

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def _each(self, pages: Iterator[Page]) -> AsyncIterator[Page]:
        """What a generator yields, made by the reader threads."""
        while (page := await self._read(lambda: next(pages, None))) is not None:
            yield page
