"""Jobs as front doors and runners call them.

A job is a row: it outlasts the process that enqueued it and the one that runs it. Nothing looks
for work at intervals: who enqueues rings a bell, and for what is due later there is a timer. The
bell is heard in this process alone, and so is what is told of jobs.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from isocenter.archive import job_rules
from isocenter.archive.bell import Bell
from isocenter.archive.job_rules import Patience
from isocenter.archive.live import Live
from isocenter.storage.job_records import Fate, Job, JobState, Settled
from isocenter.storage.jobs import JobStore, Position

TOPIC: Final = "jobs"
"""Of what is told of jobs: the number and the state of one that has changed."""
WORK: Final = "work"
"""Rung when there may be something to claim."""


def _now() -> int:
    return time.time_ns() // 1000


class Jobs:
    """Every method may raise Unavailable. What has returned is durable."""

    def __init__(self, store: JobStore, live: Live, clock: Callable[[], int] = _now) -> None:
        self._store = store
        self._live = live
        self._clock = clock
        self._bell = Bell()

    @property
    def now(self) -> int:
        """Microseconds since 1970, as the jobs have it."""
        return self._clock()

    # --- for front doors

    async def enqueue(self, kind: str, request: dict[str, Any], *, asked_by: str) -> Job:
        """Ask for something to be done."""
        now = self._clock()
        job = Job(
            number=0, kind=kind, request=request, asked_by=asked_by, created_at=now, due_at=now
        )
        return self._told(await self._store.enter(job), has_work=True)

    async def cancel(self, number: int) -> Job:
        """Have a job stopped. Raises: NotFound; Conflict, where it has ended."""
        decide = partial(job_rules.canceled, now=self._clock())
        job = self._told(await self._store.change(number, decide))
        self._bell.ring((_name_of(number),))
        return job

    async def retry(self, number: int) -> Job:
        """Have a job run again now. Raises: NotFound; Conflict, where it runs or is done."""
        decide = partial(job_rules.retried, now=self._clock())
        return self._told(await self._store.change(number, decide), has_work=True)

    async def find(self, number: int) -> Job:
        """Raises: NotFound."""
        return await self._store.find(number)

    async def page(
        self, limit: int, states: Collection[JobState] = (), after: Position | None = None
    ) -> list[Job]:
        """The newest jobs, or those behind ``after``; ``states``: none for all."""
        return await self._store.page(limit, states, after)

    async def counts(self) -> dict[JobState, int]:
        """How many jobs there are in each state."""
        return await self._store.counts()

    async def troubles(self, number: int, limit: int) -> list[Settled]:
        """Instances that failed in the last attempt, or that were done with a warning."""
        return await self._store.troubles(number, limit)

    # --- for whoever runs them

    async def claim(self, owner: str, patience: Patience) -> Job | None:
        """Give the job that has been due longest to ``owner``; None, where none is due."""
        now = self._clock()
        decide = partial(job_rules.claimed, owner=owner, now=now, patience=patience)
        job, has_changed = await self._store.claim(now, decide)
        if has_changed:
            self._live.tell(TOPIC, {"job": job and job.number})
        return job

    async def renew(self, job: Job, settled: Sequence[Settled], patience: Patience) -> Job:
        """Say that it still runs, and what was done meanwhile. Raises: LeaseLost, NotFound."""
        decide = partial(
            job_rules.renewed,
            owner=job.owner,
            now=self._clock(),
            patience=patience,
            has_progress=_has_progress(settled),
        )
        return self._told(await self._store.change(job.number, decide, settled))

    async def tell_total(self, job: Job, total: int) -> Job:
        """Say how many instances it is about. Raises: LeaseLost, NotFound."""
        decide = partial(job_rules.told, owner=job.owner, total=total)
        return self._told(await self._store.change(job.number, decide))

    async def finish(self, job: Job, settled: Sequence[Settled], error: str = "") -> Job:
        """End it: done, or failed where there is an error. Raises: LeaseLost, NotFound."""
        decide = partial(job_rules.finished, owner=job.owner, now=self._clock(), error=error)
        return self._told(await self._store.change(job.number, decide, settled))

    async def postpone(
        self, job: Job, settled: Sequence[Settled], error: str, patience: Patience
    ) -> Job:
        """Have it tried again later, if it may be. Raises: LeaseLost, NotFound."""
        decide = partial(
            job_rules.postponed,
            owner=job.owner,
            now=self._clock(),
            error=error,
            patience=patience,
            has_progress=_has_progress(settled),
        )
        return self._told(await self._store.change(job.number, decide, settled))

    async def release(self, job: Job, settled: Sequence[Settled]) -> Job:
        """Leave it to whoever comes next. Raises: LeaseLost, NotFound."""
        decide = partial(job_rules.released, owner=job.owner, now=self._clock())
        return self._told(await self._store.change(job.number, decide, settled))

    async def take_back(self) -> None:
        """Have nobody run anything: only for who knows that no other process is at the index."""
        await self._store.void_leases(self._clock())

    async def done_of(self, job: Job, sop_instances: Sequence[str]) -> set[str]:
        """Which of some instances need not be done again."""
        return await self._store.done_of(job.number, sop_instances)

    async def seconds_to_next(self, owner: str) -> float | None:
        """How long until there is something to claim; None, if nothing is waited for."""
        due = await self._store.next_due(owner)
        return None if due is None else (due - self._clock()) / job_rules.MICROSECONDS

    async def tidy(self, retention: float) -> float | None:
        """Remove what was finished long ago; return the seconds until there is more."""
        age = int(retention * job_rules.MICROSECONDS)
        while (first := await self._store.first_finished()) is not None:
            rest = (first + age - self._clock()) / job_rules.MICROSECONDS
            if rest > 0:
                return rest
            await self._store.retire(self._clock() - age)
            self._live.tell(TOPIC, {"job": None})
        return None

    # --- bells

    @contextmanager
    def awaiting_work(self) -> Iterator[asyncio.Event]:
        """An event that is set when there may be something to claim, and at first."""
        with self._bell.listening(WORK) as event:
            yield event

    @contextmanager
    def heeding(self, job: Job) -> Iterator[asyncio.Event]:
        """An event that is set when the job is to be stopped, and at first."""
        with self._bell.listening(_name_of(job.number)) as event:
            yield event

    def has_room(self) -> None:
        """Say that something more can be run."""
        self._bell.ring((WORK,))

    def _told(self, job: Job, *, has_work: bool = False) -> Job:
        self._live.tell(TOPIC, {"job": job.number, "state": str(job.state)})
        if has_work:
            self.has_room()
        return job


def _has_progress(settled: Sequence[Settled]) -> bool:
    return any(each.fate is not Fate.FAILED for each in settled)


def _name_of(number: int) -> str:
    return f"job {number}"
