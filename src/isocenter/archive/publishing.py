"""Making instances durable: their files, the names of these, their rows. Several at a time."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial

from isocenter.archive.catalogue import Identity
from isocenter.errors import IsocenterError
from isocenter.storage.blobs import BlobStore, Draft
from isocenter.storage.index import Index
from isocenter.storage.records import Incoming, OnConflict, Outcome, Stored

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """An instance of which everything is written, and nothing durable yet."""

    draft: Draft
    incoming: Incoming
    identity: Identity
    on_conflict: OnConflict
    sent_by: str
    answer: Callable[[Stored | BaseException], None]
    """Told once what became of it, in any thread; after a failure nothing of it is left."""

    @property
    def key(self) -> str:
        """Of the blob."""
        return self.incoming.blob_key


class Publisher:
    """Takes what is ready to ``store`` and to ``index``."""

    def __init__(self, store: BlobStore, index: Index, workers: Executor) -> None:
        self._store = store
        self._index = index
        self._workers = workers
        self.on_stored: Callable[[], None] = lambda: None
        """Called, from any thread, when something new is kept."""

    def publish(self, ready: list[Ready]) -> None:
        """Make instances durable, and answer for each. Blocks; never raises.

        They share what can be shared: while the first file is synced the others are on their way
        to the disk, and there is one sync of a folder and one commit for all.
        """
        if len(ready) > 1:
            for each in ready:
                each.draft.hasten()
        published = [each for each in ready if self._has_published(each)]
        self._enter(self._named(published))

    def _has_published(self, one: Ready) -> bool:
        try:
            one.draft.publish(one.key, one.identity.instance)
        except Exception as error:  # translated where the sender is answered
            one.draft.discard()
            _fail(one, error)
            return False
        return True

    def _named(self, published: list[Ready]) -> list[Ready]:
        """Sync the names; give those of which that is done."""
        try:
            self._store.sync([each.key for each in published])
        except Exception as error:  # translated where the sender is answered
            if len(published) > 1:  # another's folder may be to blame
                return [each for one in published for each in self._named([one])]
            for one in published:
                self._drop(one.key)
                _fail(one, error)
            return []
        return published

    def _enter(self, named: list[Ready]) -> None:
        """Have rows made, and wait for nobody: the index may be at others' rows."""
        try:
            entered = self._index.submit_all([(each.incoming, each.on_conflict) for each in named])
        except Exception as error:  # translated where the sender is answered
            for one in named:
                self._drop(one.key)
                _fail(one, error)
            return
        for one, future in zip(named, entered, strict=True):
            future.add_done_callback(partial(self._entered, one))

    def _entered(self, one: Ready, future: "Future[Stored]") -> None:
        """The index has answered; called in its thread."""
        error = future.exception()
        if error is not None:
            self._drop_later(one.key)
            _fail(one, error)
            return
        stored = future.result()
        if stored.outcome in (Outcome.DUPLICATE, Outcome.KEPT):
            self._drop_later(one.key)
        else:
            self._store.settle([one.key])
            self.on_stored()
        if stored.warnings:
            log.warning(
                "instance needs a look",
                extra={
                    "outcome": stored.outcome.value,
                    "warnings": "; ".join(warning.value for warning in stored.warnings),
                    "study": one.identity.study,
                    "sop_instance": one.identity.instance,
                    "sent_by": one.sent_by,
                },
            )
        one.answer(stored)

    def _drop_later(self, key: str) -> None:
        try:
            self._workers.submit(self._drop, key)
        except RuntimeError:  # the workers have ended their day: what was in flight ends here
            self._drop(key)

    def _drop(self, key: str) -> None:
        """Delete a blob that the index did not take."""
        try:
            self._store.delete(key)
            self._store.settle([key])
        except IsocenterError:  # it stays on the journal: the next start removes it
            log.warning("blob could not be removed", extra={"blob": key})


def _fail(one: Ready, error: BaseException) -> None:
    if not isinstance(error, IsocenterError):
        log.error("instance could not be stored", exc_info=error)
    one.answer(error)
