"""Compressing what comes in, and what has been kept for a while, as the settings say.

Each rule's time has a reader of its own of the change feed, and how far it read is kept in the
index. So nothing that is kept is forgotten over a restart, and what cannot be compressed is told
once and passed by.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from isocenter.archive.candidates import Rule, Rules
from isocenter.archive.compression import (
    GRACE,
    Compression,
    Fate,
    Outcome,
    Plan,
    compress_each,
)
from isocenter.config import CompressionRule
from isocenter.dicom.syntax import TransferSyntax
from isocenter.errors import IsocenterError, Unavailable
from isocenter.storage.records import Change, ChangeKind, InstanceRef, Selection

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive

log = logging.getLogger(__name__)

PAGE: Final = 500
"""Changes that are worked off together."""
PAUSE: Final = 60.0
"""Seconds before what could not be done now is tried again."""
ATTEMPTS: Final = 3
_ARRIVALS: Final = frozenset({ChangeKind.STORED, ChangeKind.REPLACED})


class CompressionPolicy:
    """Follows the rules while the server runs. Belongs to one event loop."""

    def __init__(
        self,
        archive: "Archive",
        compression: Compression,
        rules: Sequence[CompressionRule],
        *,
        grace: float = GRACE,
    ) -> None:
        self._archive = archive
        self._compression = compression
        self._rules = Rules(rules)
        self._grace = grace
        self._arrived: dict[float | None, asyncio.Event] = {}
        self._recoded = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._told: Callable[[], None] | None = None

    async def start(self) -> None:
        """Begin to follow the feed, from where it was left. Raises: Unavailable."""
        delays = {rule.delay for rule in self._rules.all}
        if not delays:
            return
        cursors = {delay: await self._cursor(delay) for delay in delays}
        self._arrived = {delay: asyncio.Event() for delay in delays}
        loop = asyncio.get_running_loop()
        self._told = partial(_tell, loop, tuple(self._arrived.values()))
        self._archive.index.on_change.append(self._told)
        for delay, cursor in cursors.items():
            self._tasks.append(asyncio.create_task(self._follow(delay, cursor)))
        self._tasks.append(asyncio.create_task(self._sweep()))

    async def close(self) -> None:
        """Give up what is being compressed: it stays as it came, and its turn comes again."""
        if self._told is not None:
            self._archive.index.on_change.remove(self._told)
            self._told = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _cursor(self, delay: float | None) -> int:
        """How far the feed was read. What was there before a rule is not compressed on ingest."""
        index = self._archive.index
        known = await index.recall(_name(delay))
        if known is not None:
            return int(known)
        start = await index.last_change() if delay is None else 0
        await index.remember(_name(delay), str(start))
        return start

    async def _follow(self, delay: float | None, cursor: int) -> None:
        arrived = self._arrived[delay]
        while True:
            arrived.clear()
            try:
                changes = await self._archive.index.changes(cursor, PAGE)
                now = time.time()
                due = [each for each in changes if each.at / 1e6 + (delay or 0) <= now]
                if due:
                    await self._work_off(due, delay)
                    cursor = due[-1].seq
                    await self._archive.index.remember(_name(delay), str(cursor))
                    continue
                wait = changes[0].at / 1e6 + (delay or 0) - now if changes else None
            except Unavailable as error:
                log.warning("compression waits", extra={"why": str(error)})
                wait = PAUSE
            with suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), wait)

    async def _work_off(self, changes: Sequence[Change], delay: float | None) -> None:
        plans = self._plans(changes, delay)
        outcomes = compress_each(plans, self._attempt, self._compression.at_once)
        async with aclosing(outcomes), aclosing(plans):
            async for outcome in outcomes:
                self._tell(outcome)

    async def _plans(self, changes: Sequence[Change], delay: float | None) -> AsyncGenerator[Plan]:
        """Those that are kept as they came, and whose rule is one of this time."""
        came = {each.sop_instance_uid: each.blob_key for each in changes if each.kind in _ARRIVALS}
        if not came:
            return
        async for page in self._archive.index.instances(Selection(instances=tuple(came))):
            for instance in page:
                if came[instance.sop_instance_uid] != instance.blob_key:
                    continue
                rule = await self._rule_for(instance)
                if rule is not None and rule.delay == delay:
                    yield instance, rule.target

    async def _rule_for(self, instance: InstanceRef) -> Rule | None:
        if not self._rules.may_apply(instance):
            return None
        try:
            return await self._archive.in_worker(
                partial(self._rules.rule_for, self._archive.store, instance)
            )
        except IsocenterError as error:
            self._tell(Outcome(instance, Fate.FAILED, reason=str(error)))
            return None

    async def _attempt(self, instance: InstanceRef, target: TransferSyntax) -> Outcome:
        """Compress; what cannot be had now is tried again, but not for ever."""
        for attempt in range(ATTEMPTS):
            try:
                return await self._compression.compress(instance, target)
            except Unavailable as error:
                reason = str(error)
            if attempt + 1 < ATTEMPTS:
                await asyncio.sleep(PAUSE)
        return Outcome(instance, Fate.FAILED, reason=reason)

    def _tell(self, outcome: Outcome) -> None:
        told: dict[str, object] = {
            "sop_instance": outcome.instance.sop_instance_uid,
            "study": outcome.instance.study_instance_uid,
        }
        match outcome.fate:
            case Fate.COMPRESSED:
                self._recoded.set()
                sizes = {"before": outcome.instance.size, "after": outcome.made}
                log.debug("compressed", extra=told | sizes)
            case Fate.FAILED:
                log.warning("kept as it came", extra=told | {"why": outcome.reason})
            case fate:
                log.debug("kept as it came", extra=told | {"why": outcome.reason or fate.value})

    async def _sweep(self) -> None:
        """Delete originals when their time of grace is over."""
        while True:
            await self._recoded.wait()
            self._recoded.clear()
            await asyncio.sleep(self._grace)
            try:
                await self._archive.delete_blobs()
            except Unavailable as error:
                log.warning("originals are not deleted", extra={"why": str(error)})
                self._recoded.set()


def _name(delay: float | None) -> str:
    """Under which the index keeps how far the feed was read."""
    return "compression on ingest" if delay is None else f"compression after {delay:g}"


def _tell(loop: asyncio.AbstractEventLoop, events: Sequence[asyncio.Event]) -> None:
    """Say that something may have arrived; from any thread."""
    with suppress(RuntimeError):  # the loop is gone
        for event in events:
            loop.call_soon_threadsafe(event.set)
