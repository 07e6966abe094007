"""The worklist as front doors call it: workitems, subscriptions, and the events on their way.

The rules are in ``workitems``; here they meet the store, and subscribers are woken.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from isocenter.archive import workitems
from isocenter.archive.bell import Bell
from isocenter.archive.workitems import Changed, Updated
from isocenter.config import ArchiveConfig
from isocenter.dicom.procedure_step import WORKLIST, StepState
from isocenter.errors import IsocenterError
from isocenter.storage.query import Key
from isocenter.storage.workitem_records import Dataset, Done, Event, Report
from isocenter.storage.workitem_search import WorkitemQuery
from isocenter.storage.worklist import WorklistStore

log = logging.getLogger(__name__)

MICROSECONDS: Final = 1_000_000
SHORTEST_REST: Final = 1.0
"""Seconds between two rounds of upkeep, at least."""
LONGEST_REST: Final = 3600.0
FAREWELL: Final = 2.0
"""Seconds that subscribers are given to be told that we go down."""


class Worklist:
    """Every method may raise Unavailable. What has returned is durable."""

    def __init__(self, store: WorklistStore, config: ArchiveConfig) -> None:
        self._store = store
        self._config = config
        self._bell = Bell()
        self._upkeep: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._is_closing = False

    # --- workitems

    async def create(self, uid: str, dataset: Dataset) -> bool:
        """Put a workitem on the list; whether it was modified.

        Raises: Malformed; Refused; Conflict, where the UID is taken.
        """
        created = workitems.create(uid, dataset, _now())
        self._ring(await self._store.create(created.workitem, created.reports))
        return created.is_modified

    async def retrieve(self, uid: str) -> Dataset:
        """A workitem without its Transaction UID. Raises: NotFound, Gone."""
        return (await self._store.retrieve(uid)).dataset

    async def update(self, uid: str, changes: Dataset, transaction_uid: str) -> Updated:
        """Set attributes; ``transaction_uid`` is empty where none was given.

        Raises: Malformed, Refused, NotFound, Gone.
        """
        done = await self._store.change(
            uid,
            lambda current, now: workitems.update(current, changes, transaction_uid, now),
            workitems.state_report,
        )
        self._ring(done)
        return done.answer

    async def change_state(self, uid: str, state: StepState, transaction_uid: str) -> Changed:
        """Claim, complete or cancel a workitem; of several at once, one claims it.

        Raises: Refused, NotFound, Gone.
        """
        done = await self._store.change(
            uid,
            lambda current, now: workitems.change_state(current, state, transaction_uid, now),
            workitems.state_report,
        )
        self._ring(done)
        self._news.set()
        return done.answer

    async def request_cancellation(
        self, uid: str, information: Dataset, requesting_ae: str
    ) -> Changed:
        """Ask for a workitem to be canceled. Raises: Refused, NotFound, Gone."""
        done = await self._store.change(
            uid,
            lambda current, now: workitems.request_cancellation(
                current, information, requesting_ae, now
            ),
            workitems.state_report,
        )
        self._ring(done)
        self._news.set()
        return done.answer

    def search(self, query: WorkitemQuery) -> AsyncIterator[list[Dataset]]:
        """Yield what matches, in pages, by scheduled start. Raises: Malformed, before the first."""
        return self._store.search(query)

    async def count(self, query: WorkitemQuery, most: int) -> int:
        """How many match, counted no further than ``most``. Raises: Malformed."""
        return await self._store.count(query, most)

    # --- subscriptions

    async def subscribe(self, uid: str, ae: str, *, is_locking: bool) -> None:
        """Subscribe ``ae`` to one workitem. Raises: NotFound, Gone."""
        self._ring(
            await self._store.subscribe(
                uid, ae, is_locking=is_locking, initial=workitems.state_report
            )
        )
        self._news.set()

    async def subscribe_to_all(
        self, ae: str, *, keys: Sequence[Key] | None, is_locking: bool
    ) -> None:
        """Subscribe ``ae`` to all workitems, or to those that match ``keys``, to come as well.

        Raises: Malformed, for a key that cannot be read.
        """
        self._ring(
            await self._store.subscribe_to_all(
                ae, keys=keys, is_locking=is_locking, initial=workitems.state_report
            )
        )

    async def unsubscribe(self, uid: str, ae: str) -> None:
        """Raises: NotFound, where there is no such subscription; Gone."""
        await self._store.unsubscribe(uid, ae)
        self._news.set()

    async def unsubscribe_from_all(self, ae: str, *, is_filtered: bool) -> None:
        """End every subscription of ``ae``, or with ``is_filtered`` those that its filter made.

        Raises: NotFound, where there is none.
        """
        await self._store.leave(ae, is_filtered=is_filtered)
        self._news.set()

    async def suspend(self, ae: str, *, is_filtered: bool) -> None:
        """Subscribe ``ae`` to nothing further. Raises: NotFound, where it would not be anyway."""
        await self._store.suspend(ae, is_filtered=is_filtered)

    # --- events

    async def events(self, ae: str) -> AsyncGenerator[list[Event], None]:
        """What ``ae`` is to be told, as it happens, beginning with what it has not been told yet.

        What was yielded counts as told when the next is asked for; after a crash it may come once
        more. Ends when the worklist is closed.
        """
        after = await self._store.cursor(ae)
        with self._bell.listening(ae) as rung:
            while True:
                rung.clear()
                page = await self._store.events(ae, after)
                if page:
                    yield page
                    after = page[-1].seq
                    await self._store.delivered(ae, after)
                elif self._is_closing:
                    return
                else:
                    await rung.wait()

    @property
    def listeners(self) -> int:
        """How many wait for events."""
        return self._bell.listeners

    def _ring(self, done: Done[Any]) -> None:
        self._bell.ring(done.receivers)

    # --- the life of the server

    async def start(self, fallback: Iterable[str] = ()) -> None:
        """Say that we are up, to all subscribers and to ``fallback``; begin upkeep.

        Source: PS3.4 CC.2.4.3.
        """
        await self._broadcast(workitems.status_report(is_going_down=False), fallback)
        self._upkeep = asyncio.create_task(self._keep_up())

    async def close(self) -> None:
        """Say that we go down, give those who listen a moment to hear it, and end `events`."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            with suppress(asyncio.CancelledError):
                await self._upkeep
            with suppress(IsocenterError):
                await self._broadcast(workitems.status_report(is_going_down=True), ())
        self._is_closing = True
        self._bell.ring_all()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await self._bell.silence()

    async def _broadcast(self, report: Report, also: Iterable[str]) -> None:
        self._ring(await self._store.broadcast(WORKLIST, report, frozenset(also)))

    async def _keep_up(self) -> None:
        while True:
            try:
                rest = await self._tidy()
            except IsocenterError as error:
                log.warning("worklist cannot be tidied", extra={"reason": str(error)})
                rest = LONGEST_REST
            await asyncio.sleep(SHORTEST_REST)
            with suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._news.wait()

    async def _tidy(self) -> float:
        """Remove what has had its time; return the seconds until there is more."""
        self._news.clear()
        finished = _now() - int(self._config.workitem_retention * MICROSECONDS)
        events = _now() - int(self._config.event_retention * MICROSECONDS)
        if removed := await self._store.retire(finished):
            log.info("removed finished workitems", extra={"workitems": removed})
        await self._store.expire(events)
        first_finished, first_event = await self._store.oldest()
        due = [LONGEST_REST]
        if first_finished is not None:
            due.append((first_finished - finished) / MICROSECONDS)
        if first_event is not None:
            due.append((first_event - events) / MICROSECONDS)
        return max(min(due), 0.0)


def _now() -> int:
    return time.time_ns() // 1000
