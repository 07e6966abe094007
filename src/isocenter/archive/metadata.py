"""Metadata: a text for each instance, kept ready-made for each series.

A ready-made series counts only as long as the index gives it the same fingerprint, so none is ever
stale, whoever changes the archive. What is kept is made when it is first asked for; who asks for
the same meanwhile waits for the same.
"""

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from isocenter.archive import corrected, readymade
from isocenter.archive.deflated import Deflater
from isocenter.archive.gathered import Gathered, Making
from isocenter.archive.headers import reader_of
from isocenter.archive.readymade import SEPARATOR, Plan, Ready, Segment
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Reader
from isocenter.errors import IsocenterError, NotFound, OutOfTurn, Unavailable
from isocenter.storage.blobs import BlobStore
from isocenter.storage.contents import BlobRow, SeriesState, Snapshot
from isocenter.storage.copies import CopyStore
from isocenter.storage.index import Index
from isocenter.storage.records import InstanceRef, Selection

log = logging.getLogger(__name__)

T = TypeVar("T")

THREADS: Final = 1
"""That make texts: they take the interpreter from everybody else."""
AHEAD: Final = 2
"""Segments of a series that are made at a time."""
AT_REST: Final = 5.0
"""Seconds after which no more instances of a series are expected."""
WORTH_KEEPING: Final = 0.1
"""The part of a series still arriving that must be new for it to be written again."""
PATIENCE: Final = 2.0
"""Seconds within which all is made before an answer begins, or else it begins without."""
ATTEMPTS: Final = 5
"""Times that an answer is begun anew, because instances vanished while it was made."""


class Writer(Protocol):
    """Writes texts, one after the other, in one thread."""

    def __call__(self, instance: InstanceRef, data_set: Reader, syntax: TransferSyntax) -> bytes:
        """Give the text of an instance, on one line. Raises: Malformed, Unavailable."""


class Form(Protocol):
    """What texts look like."""

    @property
    def name(self) -> str:
        """Tells this form from others: texts of the same name are alike."""

    def writer(self) -> Writer:
        """Begin to write."""


class Vanished(Unavailable):
    """Instances were removed while their texts were made."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A series as it was found, and what there is of it or would have to be made."""

    name: str
    state: SeriesState
    ready: Ready | None = None
    plans: tuple[Plan, ...] = ()
    newest: int = 0
    """When the newest instance was stored: microseconds since 1970."""
    former: Ready | None = None
    """What was kept of another state."""


@dataclass(frozen=True, slots=True)
class Look:
    """The selected series as they were found. Nothing is made yet."""

    selection: Selection
    form: Form
    etag: str
    """What tells this state of the texts from all others."""
    wanted: tuple[_Wanted, ...]


class Metadata:
    """Gives texts of instances."""

    def __init__(
        self, store: BlobStore, index: Index, copies: CopyStore, workers: Executor
    ) -> None:
        self._store = store
        self._index = index
        self._copies = copies
        self._workers = workers
        self._makers = ThreadPoolExecutor(THREADS, thread_name_prefix="metadata")
        self._making: dict[tuple[str, int], Making] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def close(self) -> None:
        """Stop making."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._makers.shutdown)

    async def look(self, selection: Selection, form: Form) -> Look | None:
        """See what there is; None, if there is nothing. Raises: Unavailable."""
        wanted = await self._index.within_snapshot(partial(self._look, selection, form))
        if not wanted:
            return None
        tag = hashlib.blake2b(form.name.encode(), digest_size=12)
        for each in wanted:
            state = each.state
            tag.update(f"\0{state.series_instance_uid}\0{state.fingerprint}".encode())
        return Look(selection, form, tag.hexdigest(), tuple(wanted))

    async def gather(self, look: Look) -> Gathered:
        """Give the texts of what was found, or of what is there instead now.

        If they can be had soon, all of them are made on return, and are of one moment. Close them.
        Raises: NotFound, Unavailable.
        """
        for attempt in range(ATTEMPTS):
            gathered = self._gather(look)
            try:
                async with asyncio.timeout(PATIENCE):
                    await gathered.over()
            except TimeoutError:
                gathered.settle()
                return gathered
            except Vanished:
                await gathered.close()
                if attempt == ATTEMPTS - 1:
                    raise
                again = await self.look(look.selection, look.form)
                if again is None:
                    raise NotFound("all of it was removed just now") from None
                look = again
            except BaseException:
                await gathered.close()
                raise
            else:
                gathered.settle()
                return gathered
        raise Vanished("instances are being removed; try again")

    async def of_instance(self, instance: InstanceRef, form: Form) -> Gathered:
        """Give the text of one instance, which is not kept. Raises: NotFound, Unavailable."""
        loop = asyncio.get_running_loop()
        try:
            ready = await loop.run_in_executor(
                self._makers, partial(self._write_one, form.writer(), instance)
            )
        except IsocenterError as error:
            if isinstance(error, NotFound) and not await self._is_held(instance):
                raise NotFound("no such instance") from error
            log.error("instance cannot be described", extra=_told(instance, error))
            raise Unavailable("the instance cannot be read") from error
        return Gathered(etag_of(instance, form), (ready,), self._in_worker)

    async def _is_held(self, instance: InstanceRef) -> bool:
        return await self._index.has_blob(instance.sop_instance_uid, instance.blob_key)

    # --- looking, in a thread that reads the index

    def _look(self, selection: Selection, form: Form, snapshot: Snapshot) -> list[_Wanted]:
        return [self._look_at(state, form, snapshot) for state in snapshot.series(selection)]

    def _look_at(self, state: SeriesState, form: Form, snapshot: Snapshot) -> _Wanted:
        name = _name(form, state)
        kept = self._kept(name)
        if kept is not None and kept.fingerprint == state.fingerprint and not kept.left_out:
            return _Wanted(name, state, ready=kept)
        if (name, state.fingerprint) in self._making:
            return _Wanted(name, state)
        newest = 0

        def rows() -> Iterator[BlobRow]:
            nonlocal newest
            for row in snapshot.blobs(state.pk):
                newest = max(newest, row.stored_at)
                yield row

        plans = tuple(readymade.plan(rows(), state.revision))
        return _Wanted(name, state, None, plans, newest, kept)

    def _kept(self, name: str) -> Ready | None:
        copy = self._copies.open(name)
        try:
            return None if copy is None else readymade.decoded(copy)
        except IsocenterError:
            return None

    # --- making

    def _gather(self, look: Look) -> Gathered:
        parts = [each.ready or partial(self._begin, each, look.form) for each in look.wanted]
        return Gathered(look.etag, parts, self._in_worker)

    def _begin(self, wanted: _Wanted, form: Form) -> Making:
        """Have a series made, unless it is being made already."""
        key = wanted.name, wanted.state.fingerprint
        if (making := self._making.get(key)) is not None:
            return making
        making = Making()
        if self._is_closing:
            making.end(_closing())
            return making
        if not wanted.plans:  # somebody was at it, but is no more
            making.end(Vanished("what was being made is over"))
            return making
        self._making[key] = making
        task = asyncio.create_task(self._make(wanted, form, making))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return making

    async def _make(self, wanted: _Wanted, form: Form, making: Making) -> None:
        try:
            made = await self._make_segments(wanted, form, making)
            fingerprint = wanted.state.fingerprint
            ready = await self._in_worker(
                partial(readymade.join, fingerprint, tuple(making.segments))
            )
            making.end(ready)
            if _is_worth_keeping(wanted, made):
                await self._in_worker(partial(self._keep, wanted.name, ready))
        except IsocenterError as error:
            making.end(error)
        except asyncio.CancelledError:
            making.end(_closing())
            raise
        except Exception as error:
            log.error("metadata cannot be made", exc_info=error)
            making.end(OutOfTurn("metadata cannot be made"))
        finally:
            del self._making[wanted.name, wanted.state.fingerprint]

    async def _make_segments(self, wanted: _Wanted, form: Form, making: Making) -> int:
        """Return how many instances had to be looked at."""
        made = 0
        ahead: deque[asyncio.Task[tuple[Segment, int]]] = deque()
        try:
            for plan in wanted.plans:
                ahead.append(asyncio.create_task(self._segment(plan, wanted.former, form)))
                if len(ahead) >= AHEAD:
                    made += _add(making, await ahead.popleft())
            while ahead:
                made += _add(making, await ahead.popleft())
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)
        return made

    async def _segment(self, plan: Plan, former: Ready | None, form: Form) -> tuple[Segment, int]:
        """Make a segment, or take it from what was made before. Raises: Vanished, Unavailable."""
        if former is not None and plan.id in former.places:
            again = await self._in_worker(partial(_again, former, plan))
            if again is not None:
                return again, 0
        instances = await self._references(plan)
        segment, failures = await asyncio.get_running_loop().run_in_executor(
            self._makers, partial(self._write, plan.id, instances, form)
        )
        if failures:
            await self._references(plan)  # that cannot be read which is not there
        for instance, error in failures:
            log.error("instance cannot be described", extra=_told(instance, error))
        return segment, len(instances)

    async def _references(self, plan: Plan) -> list[InstanceRef]:
        instances = await self._index.references(plan.pks)
        if len(instances) < len(plan.pks):
            raise Vanished("instances were removed meanwhile; try again")
        return instances

    # --- in threads

    def _write(
        self, id: bytes, instances: list[InstanceRef], form: Form
    ) -> tuple[Segment, list[tuple[InstanceRef, IsocenterError]]]:
        """Return the segment, and what could not be read for it."""
        writer, deflater = form.writer(), Deflater()
        written = 0
        failures: list[tuple[InstanceRef, IsocenterError]] = []
        for instance in instances:
            try:
                text = self._text(writer, instance)
            except IsocenterError as error:
                failures.append((instance, error))
                continue
            deflater.add(SEPARATOR + text if written else text)
            written += 1
        data, sum = deflater.finish()
        return Segment(id, written, len(failures), sum, data), failures

    def _write_one(self, writer: Writer, instance: InstanceRef) -> Ready:
        deflater = Deflater()
        deflater.add(self._text(writer, instance))
        data, sum = deflater.finish()
        return readymade.join(0, (Segment(b"", 1, 0, sum, data),))

    def _text(self, writer: Writer, instance: InstanceRef) -> bytes:
        blob = corrected.opened(self._store, instance)
        try:
            return writer(instance, *reader_of(blob, instance))
        finally:
            blob.close()

    def _keep(self, name: str, ready: Ready) -> None:
        self._copies.write(name, readymade.encoded(ready))

    async def _in_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, work)


def etag_of(instance: InstanceRef, form: Form) -> str:
    """Give what tells the text of an instance from what it may be later."""
    together = f"{form.name}\0{instance.state}".encode()
    return hashlib.blake2b(together, digest_size=12).hexdigest()


def _closing() -> Unavailable:
    return Unavailable("the archive is closing")


def _again(former: Ready, plan: Plan) -> Segment | None:
    try:
        return readymade.again(former, plan)
    except IsocenterError:
        return None


def _add(making: Making, made: tuple[Segment, int]) -> int:
    making.add(made[0])
    return made[1]


def _name(form: Form, state: SeriesState) -> str:
    """Name the copy of a series: a later state of it takes its place."""
    parts = (form.name, state.study_instance_uid, state.series_instance_uid)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=32).hexdigest()


def _is_worth_keeping(wanted: _Wanted, made: int) -> bool:
    """Whether to write a copy: not again and again of a series that is still arriving."""
    if made >= WORTH_KEEPING * wanted.state.instances:
        return True
    return time.time() - wanted.newest / 1e6 > AT_REST


def _told(instance: InstanceRef, error: IsocenterError) -> dict[str, str]:
    return {"sop_instance": instance.sop_instance_uid, "reason": str(error)}
