"""Ingest: how an instance gets into the archive.

It streams and has two phases. Fragments go to a draft on the volume of the blobs while the header
is scanned and the digest made, all in a worker thread. At the last fragment the draft is synced and
published, its rows are committed together with those of whoever else is ready, and only then is
the sender told that it arrived. Whatever goes wrong before leaves nothing.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from blake3 import blake3

from isocenter.archive import frames
from isocenter.archive.admission import Admission
from isocenter.archive.catalogue import Catalogue, Drawn, Identity
from isocenter.archive.provenance import Provenance
from isocenter.archive.retrieve import digest_of
from isocenter.config import ArchiveConfig
from isocenter.dicom import part10
from isocenter.dicom.layout import Limits
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import lookup
from isocenter.errors import IsocenterError, Malformed, NotFound, Unavailable
from isocenter.storage.attributes import WANTED
from isocenter.storage.blobs import BlobStore, Draft, new_key
from isocenter.storage.copies import CopyStore
from isocenter.storage.index import Index
from isocenter.storage.records import Incoming, Kept, OnConflict, Outcome, Stored

T = TypeVar("T")

log = logging.getLogger(__name__)

WRITE_STEP: Final = 1 << 17
"""Bytes that are worth waking a worker for."""

RELEASE_STEP: Final = 1 << 20
"""Bytes that are worth waking the event loop for, to give them back."""


MOST_REFUSALS: Final = 1_000
"""Refusals that are remembered."""


class Part(Protocol):
    """Bytes of a data set, in a buffer that somebody wants back."""

    @property
    def view(self) -> memoryview:
        """The bytes; they must not change before ``release``."""

    def release(self) -> None:
        """Called on the event loop when the bytes are no longer needed."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What the sender says of an instance before its data set comes."""

    transfer_syntax: str
    sop_class: str = ""
    """Empty if not announced: the data set says."""
    sop_instance: str = ""
    study: str = ""
    """The study it must belong to, if the sender said that."""
    sent_by: str = ""
    """The sender, as its wire knows it: a calling AE title, or a network address."""
    received_by: str = ""
    """Our AE title, as it was called."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An instance that was not taken in."""

    at: int
    """Microseconds since 1970, UTC."""
    sent_by: str
    reason: str


class Ingest:
    """Takes instances in: into ``store``, then into ``index``."""

    def __init__(
        self,
        store: BlobStore,
        index: Index,
        copies: CopyStore,
        workers: Executor,
        config: ArchiveConfig,
    ) -> None:
        self.copies = copies
        self.store = store
        self.index = index
        self.workers = workers
        self.limits = Limits(nesting=config.max_nesting)
        self.on_conflict = OnConflict(config.on_conflict)
        self.catalogue = Catalogue()
        self.admission = Admission(config.unknown_sop_classes)
        self.refusals: deque[Refusal] = deque(maxlen=MOST_REFUSALS)
        """The last ones, since we were started."""

    def receive(self, announced: Announced, *, hold: int = RELEASE_STEP) -> "Reception":
        """Begin to take in one instance; up to ``hold`` bytes are released together."""
        return Reception(self, announced, hold)


class Reception:
    """One instance on its way in. Its methods are called on one event loop and never block."""

    def __init__(self, ingest: Ingest, announced: Announced, hold: int) -> None:
        self._ingest = ingest
        self._hold = hold
        self._announced = announced
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[Stored] = self._loop.create_future()
        self._lock = threading.Lock()
        self._parts: list[Part] = []
        self._waiting = 0
        self._is_running = False
        self._is_complete = False
        self._is_abandoned = False
        # What follows is touched by one worker at a time.
        self._draft: Draft | None = None
        self._failure: Exception | None = None
        self._digest = blake3()
        self._scanner = Scanner(lookup(announced.transfer_syntax), WANTED, limits=ingest.limits)
        self._written: list[Part] = []
        self._held = 0  # bytes of what is written and not yet released
        self._offset = 0
        self._size = 0
        self._drawn: Drawn | None = None

    @property
    def has_failed(self) -> bool:
        """It will be refused, whatever else comes: the rest need not be read."""
        return self._failure is not None

    @property
    def identity(self) -> Identity | None:
        """Who it is, once the header was read; of what was stored it is known."""
        return self._drawn.identity if self._drawn else None

    def write(self, part: Part) -> None:
        """Take the next bytes of the data set; they are released when they are written."""
        with self._lock:
            self._parts.append(part)
            self._waiting += len(part.view)
            if self._is_running or self._waiting < WRITE_STEP:
                return
            self._is_running = True
        self._wake()

    async def finish(self) -> Stored:
        """Say that the data set is complete, and wait until the instance is kept for good.

        Raises: Malformed, Mismatch, Conflict, Unavailable; then nothing of it is left.
        """
        self._end(is_complete=True)
        return await asyncio.shield(self._done)

    def abandon(self) -> None:
        """Leave nothing of what came so far: there will be no more."""
        if not self._is_complete:
            self._done.cancel()
            self._end(is_complete=False)

    def _end(self, *, is_complete: bool) -> None:
        with self._lock:
            self._is_complete = is_complete
            self._is_abandoned = not is_complete
            if self._is_running:
                return
            self._is_running = True
        self._wake()

    def _wake(self) -> None:
        """Have a worker drain. Once they are gone nothing more is taken in."""
        try:
            self._ingest.workers.submit(self._drain)
        except RuntimeError:
            self._failure = self._failure or Unavailable("the archive is closing")
            self._discard()
            self._drain()

    def _drain(self) -> None:
        """Work off what waits; in a worker, never two at once for one instance."""
        while True:
            with self._lock:
                parts, self._parts = self._parts, []
                self._waiting = 0
                if not parts and not (self._is_complete or self._is_abandoned):
                    self._is_running = False
                    return
            if parts:
                self._take(parts)
            elif self._is_abandoned:
                self._discard()
                self._release()
                return
            else:
                self._complete()
                return

    def _take(self, parts: list[Part]) -> None:
        try:
            if self._failure is None and not self._is_abandoned:
                self._keep([part.view for part in parts])
        except Exception as error:  # translated where the sender is answered
            self._fail(error)
        finally:
            self._written += parts
            self._held += sum(len(part.view) for part in parts)
            if self._held >= self._hold:
                self._release()

    def _release(self) -> None:
        """Give back what is written; a small instance's parts all at once, with its answer."""
        written, self._written, self._held = self._written, [], 0
        self._on_loop(_release, written)

    def _keep(self, parts: list[memoryview]) -> None:
        if self._draft is None:
            # These are all of the data set, or more than strays may take.
            parts = part10.behind_strays(parts, lookup(self._announced.transfer_syntax))
            self._draft = self._ingest.store.begin()
            header = self._header()
            self._offset = len(header)
            self._draft.write([header, *parts])
        else:
            self._draft.write(parts)
        if not self._is_complete:
            self._draft.hasten()
        for part in parts:
            self._digest.update(part)
            self._scanner.feed(part)
            self._size += len(part)
        if self._drawn is None and self._scanner.pixel_data is not None:
            # What the index wants lies before: the rest may still be on its way.
            self._drawn = self._ingest.catalogue.draw(self._scanner, self._announced)

    def _header(self) -> bytes:
        return part10.header(
            self._announced.sop_class,
            self._announced.sop_instance,
            self._announced.transfer_syntax,
            source_ae=self._announced.sent_by,
            receiving_ae=self._announced.received_by,
            private=Provenance.now().private(),
        )

    def _complete(self) -> None:
        """Publish the blob and enter it into the index."""
        if self._failure is not None:
            self._answer(self._failure)
            return
        published = ""
        try:
            self._scanner.finish()
            drawn = self._drawn or self._ingest.catalogue.draw(self._scanner, self._announced)
            self._drawn = drawn
            identity = drawn.identity
            digest = self._digest.digest()
            key = new_key(identity.study, identity.series, identity.instance, digest)
            if self._draft is None:
                raise Malformed("data set is empty")
            self._draft.publish(key, identity.instance)
            published = key
            self._ingest.store.sync([key])
            syntax = lookup(self._announced.transfer_syntax)
            frames.note(self._ingest.copies, key, self._scanner, syntax)
            incoming = Incoming(
                attributes=drawn.attributes,
                upper=drawn.upper,
                transfer_syntax=self._announced.transfer_syntax,
                blob_key=key,
                size=self._offset + self._size,
                digest=digest,
                dataset_offset=self._offset,
            )
            entered = self._ingest.index.submit(incoming, self._ingest.on_conflict)
        except Exception as error:  # translated where the sender is answered
            self._fail(error)
            if published:
                drop(self._ingest.store, published)
            self._answer(error)
            return
        entered.add_done_callback(lambda future: self._entered(incoming, identity, future))

    def _entered(self, incoming: Incoming, identity: Identity, future: "Future[Stored]") -> None:
        """The index has answered; called in its thread."""
        key, error = incoming.blob_key, future.exception()
        if error is not None:
            self._drop_later(key)
            self._answer(error)
            return
        stored = future.result()
        if stored.there is not None:
            self._later(partial(self._arrived_again, incoming, stored, stored.there))
            return
        if stored.outcome is Outcome.KEPT:
            self._drop_later(key)
        else:
            self._ingest.store.settle([key])
        if stored.warnings:
            log.warning(
                "instance needs a look",
                extra={
                    "outcome": stored.outcome.value,
                    "warnings": "; ".join(warning.value for warning in stored.warnings),
                    "study": identity.study,
                    "sop_instance": identity.instance,
                    "sent_by": self._announced.sent_by,
                },
            )
        self._answer(stored)

    def _arrived_again(self, incoming: Incoming, stored: Stored, there: Kept) -> None:
        """Of two blobs of the same bytes keep the older one, if it is sound; in a worker."""
        former = there.blob_key
        try:
            if self._is_sound(there):
                drop(self._ingest.store, incoming.blob_key)
                self._answer(stored)
                return
            log.warning("bytes that were lost came again", extra={"blob": former})
            entered = self._ingest.index.submit_again(incoming, former)
        except Exception as error:  # translated where the sender is answered
            drop(self._ingest.store, incoming.blob_key)
            self._answer(error)
            return
        entered.add_done_callback(lambda future: self._mended(incoming.blob_key, stored, future))

    def _is_sound(self, kept: Kept) -> bool:
        """Whether what is kept is what came. Raises: Unavailable, where that cannot be told."""
        store = self._ingest.store
        try:
            if store.size(kept.blob_key) != kept.size:
                return False
            blob = store.open(kept.blob_key)
        except NotFound:
            return False
        try:
            return digest_of(blob, kept.dataset_offset) == kept.digest
        except Unavailable as error:
            log.warning("blob cannot be read", extra={"blob": kept.blob_key, "reason": str(error)})
            return False
        finally:
            blob.close()

    def _mended(self, key: str, stored: Stored, future: "Future[bool]") -> None:
        """The index has answered; called in its thread."""
        if (error := future.exception()) is None and future.result():
            self._ingest.store.settle([key])
            self._answer(stored)
            return
        self._drop_later(key)
        self._answer(error or Unavailable("the instance changed while it came; try again"))

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._discard()
        if not isinstance(error, IsocenterError):
            log.error("reception failed", exc_info=error)

    def _discard(self) -> None:
        if self._draft is not None:
            self._draft.discard()

    def _drop_later(self, key: str) -> None:
        self._later(partial(drop, self._ingest.store, key))

    def _later(self, work: Callable[[], None]) -> None:
        try:
            self._ingest.workers.submit(work)
        except RuntimeError:  # the workers have ended their day: what was in flight ends here
            work()

    def _answer(self, answer: Stored | BaseException) -> None:
        self._on_loop(self._set, answer)

    def _on_loop(self, call: Callable[[T], None], argument: T) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(call, argument)

    def _set(self, answer: Stored | BaseException) -> None:
        _release(self._written)
        if self._done.done():
            return
        if isinstance(answer, Stored):
            self._done.set_result(answer)
        else:
            refusal = Refusal(time.time_ns() // 1000, self._announced.sent_by, str(answer))
            self._ingest.refusals.append(refusal)
            self._done.set_exception(answer)


def drop(store: BlobStore, key: str) -> None:
    """Delete a blob that the index did not take. Blocks; never raises."""
    try:
        store.delete(key)
        store.settle([key])
    except IsocenterError:  # it stays on the journal: the next start removes it
        log.warning("blob could not be removed", extra={"blob": key})


def _release(parts: list[Part]) -> None:
    for part in parts:
        part.release()
