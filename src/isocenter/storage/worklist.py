"""The worklist in the index: workitems, subscriptions and events, durable and searchable."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import exists, func, select

from isocenter.errors import NotFound
from isocenter.storage import schema, workitem_search, workitems
from isocenter.storage.query import Key
from isocenter.storage.workitem_records import (
    Answer,
    Dataset,
    Decide,
    Done,
    Event,
    EventKind,
    Gone,
    Initial,
    Origin,
    Report,
    Workitem,
)
from isocenter.storage.workitem_search import Run, WorkitemQuery
from isocenter.storage.workitems import AT_A_TIME, Place, SubscribeToComing
from isocenter.storage.writer import Writer

Result = TypeVar("Result")

EVENTS_AT_A_TIME: Final = 100


class WorklistStore:
    """Every method may raise Unavailable. What is returned is committed."""

    def __init__(self, writer: Writer, readers: Executor, run: Run, place: Place) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run
        self._place = place

    # --- workitems

    async def create(self, workitem: Workitem, reports: tuple[Report, ...]) -> Done[None]:
        """Raises: Conflict, where the UID is taken."""
        return await self._writer.write(workitems.Create(workitem, reports, self._place))

    async def change(self, uid: str, decide: Decide[Answer], initial: Initial) -> Done[Answer]:
        """Do what ``decide`` says, on the workitem as it stands then.

        Raises: NotFound, Gone; whatever ``decide`` does.
        """
        return await self._writer.write(workitems.Change(uid, decide, initial, self._place))

    async def retrieve(self, uid: str) -> Workitem:
        """Raises: NotFound, Gone."""
        return await self._read(lambda: self._retrieve(uid))

    def _retrieve(self, uid: str) -> Workitem:
        table, gone = schema.workitem, schema.workitem_gone
        names = ("pk", "workitem_uid", "state", "transaction_uid", "document")
        columns = [table.c[name] for name in names]
        if rows := self._run(select(*columns).where(table.c.workitem_uid == uid)):
            return workitems.workitem_of(rows[0])
        if self._run(select(gone.c.workitem_uid).where(gone.c.workitem_uid == uid)):
            raise Gone("the workitem has been removed")
        raise NotFound("there is no such workitem")

    async def search(self, query: WorkitemQuery) -> AsyncIterator[list[Dataset]]:
        """What matches, in pages, by scheduled start.

        Raises: Malformed, before the first page.
        """
        pages = workitem_search.search(self._run, query, self._place.offset)
        while (page := await self._read(lambda: next(pages, None))) is not None:
            yield page

    async def count(self, query: WorkitemQuery, most: int) -> int:
        """How many match, counted no further than ``most``. Raises: Malformed."""
        return await self._read(
            lambda: workitem_search.count(self._run, query, self._place.offset, most)
        )

    # --- subscriptions

    async def subscribe(
        self, uid: str, ae: str, *, is_locking: bool, initial: Initial
    ) -> Done[None]:
        """Subscribe to one workitem. Raises: NotFound, Gone."""
        return await self._writer.write(workitems.Subscribe(uid, ae, is_locking, initial))

    async def unsubscribe(self, uid: str, ae: str) -> None:
        """Raises: NotFound, where there is no such subscription; Gone."""
        await self._writer.write(workitems.Unsubscribe(uid, ae))

    async def subscribe_to_all(
        self, ae: str, *, keys: Sequence[Key] | None, is_locking: bool, initial: Initial
    ) -> Done[None]:
        """Subscribe to workitems that are there and to come: all, or what matches ``keys``.

        Some at a time, so that others can write meanwhile. Raises: Malformed, for a key that
        cannot be read.
        """
        query = WorkitemQuery(keys=tuple(keys or ()))
        workitem_search.conditions(query, self._place.offset)
        text = workitem_search.filter_text(keys or ())
        coming = SubscribeToComing(ae, keys is not None, is_locking, text)
        token = await self._writer.write(coming)
        after = 0
        while found := await self._matching_keys(query, after):
            held = workitems.SubscribeToHeld(coming, token, tuple(found), initial)
            if not (await self._writer.write(held)).answer:
                break
            after = found[-1]
        return Done(None, frozenset({ae}))

    async def _matching_keys(self, query: WorkitemQuery, after: int) -> list[int]:
        return await self._read(
            lambda: workitem_search.matching_keys(
                self._run, query, self._place.offset, after, AT_A_TIME
            )
        )

    async def suspend(self, ae: str, *, is_filtered: bool) -> None:
        """Be subscribed to nothing further. Raises: NotFound, where there is no subscription."""
        await self._writer.write(workitems.Suspend(ae, is_filtered))

    async def leave(self, ae: str, *, is_filtered: bool) -> None:
        """End all subscriptions, or with ``is_filtered`` those by filter.

        Raises: NotFound, where there is none.
        """
        had_any = await self._writer.write(workitems.LeaveComing(ae, is_filtered))
        while found := await self._held(ae, is_filtered=is_filtered):
            await self._writer.write(workitems.LeaveHeld(ae, tuple(found)))
            had_any = True
        if not had_any:
            raise NotFound("there is no such subscription")

    async def _held(self, ae: str, *, is_filtered: bool) -> list[int]:
        """Keys of some of the workitems that ``ae`` is subscribed to."""
        table = schema.workitem_subscription
        statement = select(table.c.workitem_fk).where(table.c.ae == ae).limit(AT_A_TIME)
        if is_filtered:
            statement = statement.where(table.c.origin == int(Origin.FILTER))
        rows = await self._read(lambda: self._run(statement))
        return [row[0] for row in rows]

    # --- events

    async def broadcast(
        self, uid: str, report: Report, also: frozenset[str] = frozenset()
    ) -> Done[None]:
        """Tell everybody who has a subscription, and ``also``."""
        return await self._writer.write(workitems.Broadcast(uid, report, also))

    async def events(self, ae: str, after: int) -> list[Event]:
        """Some of what a subscriber is to be told behind event ``after``, oldest first."""
        event, delivery = schema.workitem_event, schema.workitem_delivery
        statement = (
            select(event.c.seq, event.c.kind, event.c.workitem_uid, event.c.document)
            .select_from(delivery.join(event, event.c.seq == delivery.c.seq))
            .where(delivery.c.ae == ae, delivery.c.seq > after)
            .order_by(delivery.c.seq)
            .limit(EVENTS_AT_A_TIME)
        )
        rows = await self._read(lambda: self._run(statement))
        return [
            Event(seq, EventKind(kind), uid, orjson.loads(document))
            for seq, kind, uid, document in rows
        ]

    async def cursor(self, ae: str) -> int:
        """The last event that a subscriber was told; 0 for none."""
        table = schema.event_cursor
        statement = select(table.c.seq).where(table.c.ae == ae)
        rows = await self._read(lambda: self._run(statement))
        return int(rows[0][0]) if rows else 0

    async def delivered(self, ae: str, seq: int) -> None:
        """Note that a subscriber has been told up to event ``seq``."""
        await self._writer.write(workitems.Delivered(ae, seq))

    # --- upkeep

    async def retire(self, before: int) -> int:
        """Remove workitems that were finished ``before`` and that nobody locks; return how many.

        Times are microseconds since 1970.
        """
        removed = after = 0
        while found := await self._retirable(before, after):
            removed += await self._writer.write(workitems.Retire(tuple(found)))
            after = found[-1]
        return removed

    async def _retirable(self, before: int, after: int) -> list[int]:
        table = schema.workitem
        statement = (
            select(table.c.pk)
            .where(table.c.finished_at > 0, table.c.finished_at < before, _is_unlocked())
            .where(table.c.pk > after)
            .order_by(table.c.pk)
            .limit(AT_A_TIME)
        )
        rows = await self._read(lambda: self._run(statement))
        return [row[0] for row in rows]

    async def expire(self, before: int) -> int:
        """Drop the events from ``before``, told or not; return how many."""
        table, total = schema.workitem_event, 0
        statement = select(table.c.seq).where(table.c.at < before).limit(AT_A_TIME)
        while rows := await self._read(lambda: self._run(statement)):
            await self._writer.write(workitems.Expire(tuple(row[0] for row in rows)))
            total += len(rows)
        return total

    async def oldest(self) -> tuple[int | None, int | None]:
        """When the first of the finished and unlocked workitems was finished, and when the first
        event was."""
        table, event = schema.workitem, schema.workitem_event
        finished = (
            select(table.c.finished_at)
            .where(table.c.finished_at > 0, _is_unlocked())
            .order_by(table.c.finished_at)
            .limit(1)
        )
        rows = await self._read(lambda: self._run(finished))
        events = await self._read(lambda: self._run(select(func.min(event.c.at))))
        return (rows[0][0] if rows else None), events[0][0]

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


def _is_unlocked() -> Any:
    held = schema.workitem_subscription
    lock = select(held.c.ae).where(
        held.c.workitem_fk == schema.workitem.c.pk, held.c.is_locking == 1
    )
    return ~exists(lock)
