"""Jobs: enqueued, claimed by lease, tried again, and never by two at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy.dialects.postgresql.asyncpg import dialect as postgresql

from isocenter.archive import job_rules
from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.job_rules import LeaseLost, Patience
from isocenter.archive.jobs import TOPIC, Jobs
from isocenter.archive.live import Live
from isocenter.archive.upkeep import put_in_place, reindex
from isocenter.config import ArchiveConfig
from isocenter.errors import Conflict, NotFound
from isocenter.storage.index import Index
from isocenter.storage.job_records import Fate, Job, JobState, Settled
from isocenter.storage.jobs import Enter
from isocenter.storage.statements import compile_statements
from made_instances import Kept, image

PATIENCE = Patience(lease=30, attempts=3, pause=10, longest_pause=15)
WAITING, RUNNING, DONE, FAILED, CANCELED = JobState
SECOND = 1_000_000


class Clock:
    now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def jobs(tmp_path: Path, clock: Clock) -> AsyncIterator[Jobs]:
    index = Index.open(tmp_path / "index.sqlite")
    yield Jobs(index.jobs, Live(), clock)
    index.close()


async def enqueue(jobs: Jobs, **request: Any) -> Job:
    return await jobs.enqueue("send", request, asked_by="somebody")


async def claim(jobs: Jobs, owner: str = "a", patience: Patience = PATIENCE) -> Job:
    job = await jobs.claim(owner, patience)
    assert job is not None
    return job


def done(uid: str, size: int = 10) -> Settled:
    return Settled(uid, Fate.DONE, size)


def failed(uid: str) -> Settled:
    return Settled(uid, Fate.FAILED, reason="status C000")


async def test_what_was_enqueued_is_claimed_once_and_in_its_turn(jobs: Jobs, clock: Clock) -> None:
    first = await enqueue(jobs, peer="A")
    clock.pass_by(1)
    second = await enqueue(jobs, peer="B")

    found = [await jobs.claim(owner, PATIENCE) for owner in "abc"]

    assert [each and (each.number, each.request) for each in found] == [
        (first.number, {"peer": "A"}),
        (second.number, {"peer": "B"}),
        None,
    ]


async def test_of_many_who_claim_at_once_each_gets_another_job(jobs: Jobs) -> None:
    for _ in range(10):
        await enqueue(jobs)

    found = await asyncio.gather(*(jobs.claim(str(each), PATIENCE) for each in range(20)))

    numbers = [each.number for each in found if each is not None]
    assert len(numbers) == len(set(numbers)) == 10


async def test_two_indexes_on_one_file_do_not_run_the_same_job(tmp_path: Path) -> None:
    one, two = (Index.open(tmp_path / "index.sqlite") for _ in range(2))
    jobs = [Jobs(each.jobs, Live()) for each in (one, two)]
    for _ in range(10):
        await enqueue(jobs[0])

    found = await asyncio.gather(*(jobs[n % 2].claim(str(n), PATIENCE) for n in range(10)))

    assert len({each.number for each in found if each is not None}) == 10
    one.close()
    two.close()


async def test_a_job_is_entered_with_what_causes_it_or_not_at_all(jobs: Jobs) -> None:
    job = Job(number=0, kind="send", request={}, asked_by="", created_at=1)

    def cause(ledger: Any) -> None:
        Enter(job)(ledger)
        raise Conflict("the cause did not come to pass")

    with pytest.raises(Conflict):
        await jobs._store._writer.write(cause)

    assert await jobs.page(10) == []


async def test_a_lease_that_is_not_renewed_is_given_to_another(jobs: Jobs, clock: Clock) -> None:
    job = await enqueue(jobs)
    crashed = await claim(jobs, "crashed")
    clock.pass_by(29)
    assert await jobs.claim("b", PATIENCE) is None

    clock.pass_by(2)
    taken = await claim(jobs, "b")

    assert (taken.number, taken.owner, taken.attempts) == (job.number, "b", 2)
    for late in (jobs.renew(crashed, [done("1.1")], PATIENCE), jobs.finish(crashed, [])):
        with pytest.raises(LeaseLost):
            await late
    assert (await jobs.find(job.number)).done == 0


async def test_a_lease_that_is_renewed_is_kept(jobs: Jobs, clock: Clock) -> None:
    await enqueue(jobs)
    job = await claim(jobs)
    for _ in range(5):
        clock.pass_by(20)
        job = await jobs.renew(job, [], PATIENCE)

    assert await jobs.claim("b", PATIENCE) is None


async def test_a_job_that_ends_its_server_each_time_fails_in_the_end(
    jobs: Jobs, clock: Clock
) -> None:
    job = await enqueue(jobs)
    for _ in range(PATIENCE.attempts):
        await claim(jobs)
        clock.pass_by(31)

    assert await jobs.claim("a", PATIENCE) is None

    ended = await jobs.find(job.number)
    assert (ended.state, ended.error) == (FAILED, job_rules.INTERRUPTED)


async def test_pauses_double_up_to_the_longest_and_attempts_end(jobs: Jobs, clock: Clock) -> None:
    await enqueue(jobs)
    pauses = []
    for _ in range(PATIENCE.attempts):
        job = await claim(jobs)
        job = await jobs.postpone(job, [], "no route", PATIENCE)
        pauses.append((job.due_at - clock.now) / SECOND)
        if job.state is WAITING:
            assert await jobs.seconds_to_next("a") == pauses[-1]
            assert await jobs.claim("a", PATIENCE) is None
            clock.pass_by(pauses[-1])

    assert pauses[:-1] == [10, 15]
    assert (job.state, job.error, job.finished_at) == (FAILED, "no route", clock.now)


@pytest.mark.parametrize("attempts", [1, 70, 10_000])
def test_a_pause_is_a_number_after_however_many_attempts(attempts: int) -> None:
    assert 0 < Patience().before_next(attempts) <= 1800 * SECOND


async def test_an_attempt_that_got_somewhere_begins_the_count_anew(
    jobs: Jobs, clock: Clock
) -> None:
    await enqueue(jobs)
    for number in range(10):
        job = await claim(jobs)
        some = [done(f"1.{number}")]
        # Written while it runs, or only at its end.
        before, after = (some, []) if number % 2 else ([], some)
        await jobs.renew(job, before, PATIENCE)
        job = await jobs.postpone(job, after, "lost", PATIENCE)
        assert job.state is WAITING
        clock.pass_by(15)

    assert (job.attempts, job.done, job.bytes) == (1, 10, 100)


async def test_what_is_done_stays_known_and_what_failed_is_attempted_again(
    jobs: Jobs, clock: Clock
) -> None:
    await enqueue(jobs)
    job = await claim(jobs)
    warned = Settled("1.2", Fate.WARNED, 5, "status B000")
    await jobs.renew(job, [done("1.1"), warned, failed("1.3")], PATIENCE)
    # The same instance again, as where it moved while the list was read.
    job = await jobs.postpone(job, [done("1.1"), failed("1.3")], "x", PATIENCE)
    assert (job.done, job.warned, job.failed, job.bytes) == (2, 1, 1, 15)

    clock.pass_by(15)
    job = await claim(jobs, "b")

    assert (job.done, job.warned, job.failed) == (2, 1, 0)
    assert await jobs.done_of(job, ["1.1", "1.2", "1.3", "1.4"]) == {"1.1", "1.2"}
    job = await jobs.finish(job, [done("1.3")])
    assert (job.state, job.done, job.failed) == (DONE, 3, 0)
    assert [each.sop_instance for each in await jobs.troubles(job.number, 10)] == ["1.2"]


async def test_a_waiting_job_is_canceled_at_once_and_a_running_one_by_who_runs_it(
    jobs: Jobs,
) -> None:
    waiting = await enqueue(jobs)
    assert (await jobs.cancel(waiting.number)).state is CANCELED
    running = await enqueue(jobs)
    job = await claim(jobs)

    assert (await jobs.cancel(running.number)).state is RUNNING

    job = await jobs.renew(job, [], PATIENCE)
    assert job.is_canceled
    assert (await jobs.release(job, [])).state is CANCELED
    with pytest.raises(Conflict):
        await jobs.cancel(running.number)


async def test_a_canceled_job_whose_server_died_is_not_run_again(jobs: Jobs, clock: Clock) -> None:
    job = await enqueue(jobs)
    await claim(jobs)
    await jobs.cancel(job.number)
    clock.pass_by(31)

    assert await jobs.claim("b", PATIENCE) is None
    assert (await jobs.find(job.number)).state is CANCELED


async def test_a_release_costs_no_attempt(jobs: Jobs) -> None:
    await enqueue(jobs)
    for _ in range(3 * PATIENCE.attempts):
        released = await jobs.release(await claim(jobs), [])

    assert (released.state, released.attempts) == (WAITING, 0)


async def test_who_knows_to_be_alone_need_not_wait_for_leases(jobs: Jobs) -> None:
    job = await enqueue(jobs)
    await claim(jobs, "killed")

    await jobs.take_back()

    assert (await claim(jobs, "b")).number == job.number


async def test_a_failed_job_is_tried_again_from_where_it_got_to(jobs: Jobs) -> None:
    await enqueue(jobs)
    job = await jobs.finish(await claim(jobs), [done("1.1"), failed("1.2")], "refused")
    assert job.state is FAILED

    again = await jobs.retry(job.number)

    assert (again.state, again.attempts, again.finished_at) == (WAITING, 0, 0)
    job = await claim(jobs)
    assert await jobs.done_of(job, ["1.1", "1.2"]) == {"1.1"}
    for refused in (jobs.retry(job.number), jobs.retry(9_999_999)):
        with pytest.raises((Conflict, NotFound)):
            await refused


async def test_finished_jobs_go_after_their_time(jobs: Jobs, clock: Clock) -> None:
    old = await enqueue(jobs)
    await jobs.finish(await claim(jobs), [failed("1.1")])
    clock.pass_by(50)
    young, waiting = await enqueue(jobs), await enqueue(jobs)
    await jobs.cancel(young.number)

    assert await jobs.tidy(60) == 10
    clock.pass_by(10)
    assert await jobs.tidy(60) == 50

    assert {each.number for each in await jobs.page(10)} == {young.number, waiting.number}
    with pytest.raises(NotFound):
        await jobs.find(old.number)


async def test_nothing_is_waited_for_where_there_is_nothing(jobs: Jobs) -> None:
    assert await jobs.seconds_to_next("a") is None
    assert await jobs.tidy(60) is None
    job = await enqueue(jobs)
    await claim(jobs)

    assert await jobs.seconds_to_next("a") is None
    assert await jobs.seconds_to_next("b") == 30
    await jobs.cancel(job.number)


async def test_pages_are_stable_while_jobs_come(jobs: Jobs, clock: Clock) -> None:
    for _ in range(10):
        await enqueue(jobs)
        clock.pass_by(1)
    first = await jobs.page(4)
    await enqueue(jobs)
    last = first[-1]
    rest = await jobs.page(10, after=(last.created_at, last.number))

    numbers = [each.number for each in (*first, *rest)]
    assert numbers == sorted(set(numbers), reverse=True)
    assert len(numbers) == 10
    assert len(await jobs.page(20, (WAITING,))) == 11
    assert await jobs.page(20, (DONE, FAILED)) == []
    assert await jobs.counts() == {WAITING: 11}


async def test_who_runs_jobs_is_woken_by_work_alone(jobs: Jobs) -> None:
    with jobs.awaiting_work() as work:
        work.clear()
        job = await enqueue(jobs)
        assert work.is_set()

        with jobs.heeding(job) as stopping:
            running = await claim(jobs)
            work.clear()
            stopping.clear()
            await jobs.renew(running, [], PATIENCE)
            assert not work.is_set()
            assert not stopping.is_set()
            await jobs.cancel(job.number)
            assert stopping.is_set()


async def test_who_looks_on_is_told_of_every_change(tmp_path: Path) -> None:
    index, live = Index.open(tmp_path / "index.sqlite"), Live()
    jobs = Jobs(index.jobs, live)
    with live.listening([TOPIC]) as listener:
        job = await enqueue(jobs)
        await claim(jobs)
        await jobs.finish(await jobs.find(job.number), [])

        told = [json.loads((await listener.next()).content) for _ in range(3)]  # type: ignore[union-attr]

    assert [each.get("job") for each in told] == [job.number] * 3
    assert told[-1]["state"] == "done"
    index.close()


async def test_a_new_index_takes_jobs_over(archive: Archive, tmp_path: Path, kept: Kept) -> None:
    await kept.store(image("1.1"))
    job = await enqueue(archive.jobs, peer="A")
    running = await claim(archive.jobs)
    await archive.jobs.postpone(running, [done("1.1"), failed("1.2")], "lost", Patience())
    folder = tmp_path / "data"
    await archive.close()

    made = folder / f"{INDEX_NAME}.new"
    assert [each.fault for each in reindex(folder, made)] == [None]
    assert put_in_place(made, folder / INDEX_NAME)

    again = await Archive.open(folder, ArchiveConfig(file_threads=4))
    held = await again.jobs.find(job.number)
    assert (held.state, held.done, held.failed, held.request) == (WAITING, 1, 1, {"peer": "A"})
    assert await again.jobs.done_of(held, ["1.1", "1.2"]) == {"1.1"}
    assert (await enqueue(again.jobs)).number > job.number
    await again.close()


def test_postgresql_has_the_statements_as_well() -> None:
    statements = compile_statements(postgresql())

    assert "FOR UPDATE SKIP LOCKED" in statements.claimable_job.sql
    assert statements.claimable_job.names == ("now",)


ACTS = ("renew", "finish", "fail", "later", "free")


class Life(RuleBasedStateMachine):
    """Any order of what may be done to a job keeps the promises."""

    def __init__(self) -> None:
        super().__init__()
        self.now = SECOND
        self.job = Job(number=1, kind="send", request={}, asked_by="", created_at=0)
        self.owner = ""
        self.is_final = False

    @property
    def holds(self) -> bool:
        return self.job.state is RUNNING and self.job.owner == self.owner

    @rule(seconds=st.integers(0, 60))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(owner=st.sampled_from("ab"))
    @precondition(lambda self: not self.job.state.is_final and self.job.due_at <= self.now)
    def claims(self, owner: str) -> None:
        before = self.job
        self.job = job_rules.claimed(self.job, owner, self.now, PATIENCE)
        assert (self.job.state is RUNNING) == (
            not before.is_canceled and before.attempts < PATIENCE.attempts
        )
        if self.job.state is RUNNING:
            self.owner = owner
            assert self.job.due_at > self.now

    @rule(
        owner=st.sampled_from("ab"),
        how=st.sampled_from(ACTS),
    )
    def whoever_runs_it_acts(self, owner: str, how: str) -> None:
        before = self.job
        acts = {
            "renew": lambda: job_rules.renewed(
                before, owner, self.now, PATIENCE, has_progress=False
            ),
            "finish": lambda: job_rules.finished(before, owner, self.now, ""),
            "fail": lambda: job_rules.finished(before, owner, self.now, "no"),
            "later": lambda: job_rules.postponed(
                before, owner, self.now, "no", PATIENCE, has_progress=False
            ),
            "free": lambda: job_rules.released(before, owner, self.now),
        }
        if before.state is RUNNING and before.owner == owner:
            self.job = acts[how]()
        else:
            with pytest.raises(LeaseLost):
                acts[how]()

    @rule()
    def somebody_cancels(self) -> None:
        if self.job.state.is_final:
            with pytest.raises(Conflict):
                job_rules.canceled(self.job, self.now)
        else:
            self.job = job_rules.canceled(self.job, self.now)
            assert self.job.is_canceled or self.job.state is CANCELED

    @rule()
    def somebody_retries(self) -> None:
        if self.job.state in (RUNNING, DONE):
            with pytest.raises(Conflict):
                job_rules.retried(self.job, self.now)
        else:
            self.job = job_rules.retried(self.job, self.now)
            assert self.job.due_at <= self.now

    @invariant()
    def it_is_whole(self) -> None:
        job = self.job
        assert (job.finished_at > 0) == job.state.is_final
        assert bool(job.owner) == (job.state is RUNNING)
        assert 0 <= job.attempts <= PATIENCE.attempts
        assert not (job.is_canceled and job.state is WAITING)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
