"""Jobs in the index: durable, claimed by lease, with what became of each instance.

Several processes may claim from one index: of two, one gets a job. The rules are the caller's
(``archive.job_rules``); here they are applied to the row as it stands within the transaction.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Select, func, or_, select, tuple_

from isocenter.errors import NotFound
from isocenter.storage import schema
from isocenter.storage.job_records import Fate, Job, JobState, Settled
from isocenter.storage.ledger import Ledger
from isocenter.storage.search import Run
from isocenter.storage.writer import Writer

Decide = Callable[[Job], Job]
Position = tuple[int, int]
"""Of a job in the list: when it was asked for, and its number."""


class JobStore:
    """Every method may raise Unavailable. What has returned is committed."""

    def __init__(self, writer: Writer, readers: Executor, run: Run) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run

    # --- writing

    async def enter(self, job: Job) -> Job:
        """Keep a new job; its number and times are given here."""
        return await self._writer.write(Enter(job))

    async def claim(self, now: int, decide: Decide) -> tuple[Job | None, bool]:
        """Give the longest due job that ``decide`` has run, and whether anything was changed."""
        return await self._writer.write(_Claim(now, decide))

    async def change(self, number: int, decide: Decide, settled: Sequence[Settled] = ()) -> Job:
        """Put in the job's place what ``decide`` makes of it, and count ``settled`` instances.

        Raises: NotFound; whatever ``decide`` does, and then nothing is changed.
        """
        return await self._writer.write(_Change(number, decide, tuple(settled)))

    async def void_leases(self, now: int) -> None:
        """Have nobody run anything any more."""
        await self._writer.write(_VoidLeases(now))

    async def retire(self, until: int) -> int:
        """Remove jobs that were finished by a time; return how many."""
        removed = 0
        while some := await self._writer.write(_Retire(until)):
            removed += some
        return removed

    # --- reading

    async def find(self, number: int) -> Job:
        """Raises: NotFound."""
        rows = await self._rows(select(schema.job).where(schema.job.c.pk == number))
        if not rows:
            raise NotFound("there is no such job")
        return job_of(rows[0])

    async def page(
        self, limit: int, states: Collection[JobState], after: Position | None
    ) -> list[Job]:
        """The newest jobs, or those behind ``after``; ``states``: none for all."""
        table = schema.job
        statement = select(table).order_by(table.c.created_at.desc(), table.c.pk.desc())
        if states:
            statement = statement.where(table.c.state.in_([str(each) for each in states]))
        if after is not None:
            statement = statement.where(tuple_(table.c.created_at, table.c.pk) < tuple_(*after))
        return [job_of(row) for row in await self._rows(statement.limit(limit))]

    async def counts(self) -> dict[JobState, int]:
        """How many jobs there are in each state."""
        state = schema.job.c.state
        rows = await self._rows(select(state, func.count()).group_by(state))
        return {JobState(row[0]): row[1] for row in rows}

    async def next_due(self, owner: str) -> int | None:
        """When there will be something to claim for ``owner``; None for never."""
        table = schema.job
        waits = table.c.state == str(JobState.WAITING)
        runs = (table.c.state == str(JobState.RUNNING)) & (table.c.owner != owner)
        rows = await self._rows(select(func.min(table.c.due_at)).where(or_(waits, runs)))
        return None if rows[0][0] is None else int(rows[0][0])

    async def first_finished(self) -> int | None:
        """When the oldest finished job was finished."""
        finished = schema.job.c.finished_at
        rows = await self._rows(select(func.min(finished)).where(finished > 0))
        return None if rows[0][0] is None else int(rows[0][0])

    async def done_of(self, number: int, sop_instances: Sequence[str]) -> set[str]:
        """Which of some instances are done already."""
        table = schema.job_outcome
        statement = select(table.c.sop_instance_uid).where(
            table.c.job_fk == number,
            table.c.sop_instance_uid.in_(sop_instances),
            table.c.fate != int(Fate.FAILED),
        )
        return {row[0] for row in await self._rows(statement)}

    async def troubles(self, number: int, limit: int) -> list[Settled]:
        """Instances that failed, or that were done with a warning."""
        table = schema.job_outcome
        statement = select(table.c.sop_instance_uid, table.c.fate, table.c.reason).where(
            table.c.job_fk == number, table.c.fate != int(Fate.DONE)
        )
        rows = await self._rows(statement.order_by(table.c.sop_instance_uid).limit(limit))
        return [Settled(row[0], Fate(row[1]), reason=row[2]) for row in rows]

    async def _rows(self, statement: Select[Any]) -> Sequence[Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, lambda: self._run(statement))


def job_of(row: Sequence[Any]) -> Job:
    """Read a row of the table, its columns in their order."""
    number, kind, state, request, asked_by, created_at, due_at, owner, is_canceled, *rest = row
    attempts, total, done, warned, failed, size, error, finished_at = rest
    return Job(
        number=number,
        kind=kind,
        state=JobState(state),
        request=orjson.loads(request),
        asked_by=asked_by,
        created_at=created_at,
        due_at=due_at,
        owner=owner,
        is_canceled=bool(is_canceled),
        attempts=attempts,
        total=total,
        done=done,
        warned=warned,
        failed=failed,
        bytes=size,
        error=error,
        finished_at=finished_at,
    )


def _changing(job: Job) -> tuple[Any, ...]:
    """The columns that change, in their order."""
    return (
        str(job.state),
        job.due_at,
        job.owner,
        int(job.is_canceled),
        job.attempts,
        job.total,
        job.done,
        job.warned,
        job.failed,
        job.bytes,
        job.error,
        job.finished_at,
    )


@dataclass(frozen=True, slots=True)
class Enter:
    """Keeps a new job; to be called within the transaction that causes it."""

    job: Job

    def __call__(self, ledger: Ledger) -> Job:
        """Return it with its number."""
        job = replace(self.job, number=ledger.key())
        state, due_at, owner, is_canceled, *counters = _changing(job)
        given = (job.number, job.kind, state, orjson.dumps(job.request), job.asked_by)
        row = (*given, job.created_at, due_at, owner, is_canceled, *counters)
        ledger.write(ledger.statements.insert_job, *row)
        return job


@dataclass(frozen=True, slots=True)
class _Claim:
    now: int
    decide: Decide

    def __call__(self, ledger: Ledger) -> tuple[Job | None, bool]:
        has_changed = False
        while (row := ledger.one(ledger.statements.claimable_job, self.now)) is not None:
            job = self.decide(job_of(row))
            _put(ledger, job)
            has_changed = True
            if job.state is JobState.RUNNING:
                # What failed is attempted again.
                ledger.write(ledger.statements.delete_fates, job.number, int(Fate.FAILED))
                return job, True
        return None, has_changed


@dataclass(frozen=True, slots=True)
class _Change:
    number: int
    decide: Decide
    settled: tuple[Settled, ...]

    def __call__(self, ledger: Ledger) -> Job:
        row = ledger.one(ledger.statements.find_job, self.number)
        if row is None:
            raise NotFound("there is no such job")
        job = self.decide(_counted(ledger, job_of(row), self.settled))
        _put(ledger, job)
        return job


def _counted(ledger: Ledger, job: Job, settled: tuple[Settled, ...]) -> Job:
    statements = ledger.statements
    new = [
        each
        for each in {each.sop_instance: each for each in settled}.values()
        if ledger.one(statements.find_outcome, job.number, each.sop_instance) is None
    ]
    if not new:
        return job
    rows = ((job.number, each.sop_instance, int(each.fate), each.reason) for each in new)
    ledger.write_many(statements.insert_outcome, rows)
    done = [each for each in new if each.fate is not Fate.FAILED]
    return replace(
        job,
        done=job.done + len(done),
        warned=job.warned + sum(each.fate is Fate.WARNED for each in done),
        failed=job.failed + len(new) - len(done),
        bytes=job.bytes + sum(each.size for each in done),
    )


def _put(ledger: Ledger, job: Job) -> None:
    ledger.write(ledger.statements.update_job, *_changing(job), job.number)
    if job.state is JobState.DONE:
        # Of a job that may be tried again, what is done must stay known.
        ledger.write(ledger.statements.delete_fates, job.number, int(Fate.DONE))


@dataclass(frozen=True, slots=True)
class _VoidLeases:
    now: int

    def __call__(self, ledger: Ledger) -> None:
        ledger.write(ledger.statements.void_leases, self.now)


@dataclass(frozen=True, slots=True)
class _Retire:
    until: int

    def __call__(self, ledger: Ledger) -> int:
        keys = [row[0] for row in ledger.all(ledger.statements.finished_jobs, self.until)]
        for key in keys:
            ledger.write(ledger.statements.delete_outcomes, key)
            ledger.write(ledger.statements.delete_job, key)
        return len(keys)
