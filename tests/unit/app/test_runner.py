"""Whoever runs jobs: so many at once, none twice, stopped when told, left to others at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from isocenter.app.runner import Runner, RunningJob
from isocenter.archive.job_rules import Patience
from isocenter.archive.jobs import TOPIC, Jobs
from isocenter.archive.live import Live
from isocenter.config import JobsConfig
from isocenter.errors import Unavailable, Unsupported
from isocenter.storage.index import Index
from isocenter.storage.job_records import Fate, Job, JobState, Settled

LIMIT = 20.0
PATIENCE = Patience(lease=0.6, attempts=3, pause=0.02, longest_pause=0.05)
Work = Callable[[RunningJob], Awaitable[None]]


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    index = Index.open(tmp_path / "index.sqlite")
    yield Jobs(index.jobs, Live())
    index.close()


@asynccontextmanager
async def running(
    jobs: Jobs, work: Work, config: JobsConfig | None = None, patience: Patience = PATIENCE
) -> AsyncIterator[Runner]:
    runner = Runner(jobs, {"test": work}, config or JobsConfig(), patience)
    await runner.start()
    try:
        yield runner
    finally:
        await runner.close()


async def enqueue(jobs: Jobs, kind: str = "test") -> Job:
    return await jobs.enqueue(kind, {}, asked_by="")


async def until(jobs: Jobs, number: int, is_so: Callable[[Job], bool]) -> Job:
    """The job, when it is as it should be."""
    async with asyncio.timeout(LIMIT):
        with jobs._live.listening([TOPIC]) as news:
            while not is_so(job := await jobs.find(number)):
                await news.next()
            return job


async def eventually(jobs: Jobs, number: int, state: JobState) -> None:
    """Wait for what may happen at another index, whose bells are not heard here."""
    async with asyncio.timeout(LIMIT):
        while (await jobs.find(number)).state is not state:  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


def in_state(state: JobState) -> Callable[[Job], bool]:
    return lambda job: job.state is state


class Worker:
    """Works until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = 0
        self.now = 0
        self.most = 0
        self.seen: set[int] = set()
        self.two = asyncio.Event()
        self.idle = asyncio.Event()

    async def __call__(self, running: RunningJob) -> None:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        self.seen.add(running.job.number)
        self.idle.clear()
        if self.now == 2:
            self.two.set()
        try:
            await self.go.wait()
        finally:
            self.now -= 1
            if not self.now:
                self.idle.set()


async def test_what_is_enqueued_while_it_runs_is_run(jobs: Jobs) -> None:
    async def work(running: RunningJob) -> None:
        await running.tell_total(2)
        running.report(Settled("1.1", Fate.DONE, 7))
        running.report(Settled("1.2", Fate.WARNED, 7))

    async with running(jobs, work):
        job = await until(jobs, (await enqueue(jobs)).number, in_state(JobState.DONE))

    assert (job.total, job.done, job.warned, job.bytes, job.error) == (2, 2, 1, 14, "")


async def test_no_more_run_at_once_than_the_setting_says(jobs: Jobs) -> None:
    work = Worker()
    numbers = [(await enqueue(jobs)).number for _ in range(6)]

    async with running(jobs, work, JobsConfig(workers=2)):
        async with asyncio.timeout(LIMIT):
            await work.two.wait()
        work.go.set()
        for number in numbers:
            await until(jobs, number, in_state(JobState.DONE))

    assert (work.begun, work.most) == (6, 2)


async def test_two_runners_share_the_work(tmp_path: Path) -> None:
    one, two = (Index.open(tmp_path / "shared.sqlite") for _ in range(2))
    jobs, others = Jobs(one.jobs, Live()), Jobs(two.jobs, Live())
    works = Worker(), Worker()
    for each in works:
        each.go.set()
    numbers = [(await enqueue(jobs)).number for _ in range(12)]

    async with running(jobs, works[0]), running(others, works[1]):
        for number in numbers:
            await eventually(jobs, number, JobState.DONE)

    assert works[0].begun + works[1].begun == len(numbers)
    assert works[0].seen | works[1].seen == set(numbers)
    one.close()
    two.close()


async def test_a_lease_is_kept_for_as_long_as_the_work_takes(jobs: Jobs) -> None:
    work = Worker()
    job = await enqueue(jobs)

    async with running(jobs, work):
        begun = await until(jobs, job.number, in_state(JobState.RUNNING))
        await until(jobs, job.number, lambda now: now.due_at > begun.due_at + 1_000_000)
        assert await jobs.claim("another", PATIENCE) is None
        work.go.set()
        await until(jobs, job.number, in_state(JobState.DONE))

    assert work.begun == 1


async def test_what_a_crash_left_is_run_when_its_lease_is_over(jobs: Jobs) -> None:
    job = await enqueue(jobs)
    assert await jobs.claim("crashed", Patience(lease=0.2)) is not None
    work = Worker()
    work.go.set()

    async with running(jobs, work):
        ended = await until(jobs, job.number, in_state(JobState.DONE))

    assert (work.begun, ended.attempts) == (1, 2)


async def test_what_may_pass_is_tried_again_and_in_the_end_fails(jobs: Jobs) -> None:
    begun = 0

    async def work(running: RunningJob) -> None:
        nonlocal begun
        begun += 1
        raise Unavailable("no route")

    async with running(jobs, work):
        job = await until(jobs, (await enqueue(jobs)).number, in_state(JobState.FAILED))

    assert (begun, job.error) == (PATIENCE.attempts, "no route")


async def test_what_will_not_pass_fails_at_once(jobs: Jobs) -> None:
    async def work(running: RunningJob) -> None:
        raise Unsupported("the peer takes no such thing")

    async with running(jobs, work):
        job = await until(jobs, (await enqueue(jobs)).number, in_state(JobState.FAILED))

    assert (job.attempts, job.error) == (1, "the peer takes no such thing")


async def test_a_bug_ends_one_attempt_and_tells_no_details(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(running: RunningJob) -> None:
        raise ZeroDivisionError("of Jane Doe")

    async with running(jobs, work):
        job = await until(jobs, (await enqueue(jobs)).number, in_state(JobState.FAILED))

    assert job.error == "internal error"
    assert "unforeseen" in caplog.text


async def test_a_kind_that_nobody_knows_fails(jobs: Jobs) -> None:
    async with running(jobs, Worker()):
        job = await enqueue(jobs, "nonsense")
        ended = await until(jobs, job.number, in_state(JobState.FAILED))

    assert "nonsense" in ended.error


async def test_a_running_job_is_stopped_when_it_is_canceled(jobs: Jobs) -> None:
    work = Worker()
    job = await enqueue(jobs)

    async with running(jobs, work, patience=Patience()):
        await until(jobs, job.number, lambda now: now.due_at > job.due_at)
        await jobs.cancel(job.number)
        ended = await until(jobs, job.number, in_state(JobState.CANCELED))

    assert work.now == 0
    assert ended.owner == ""


async def test_whoever_lost_the_lease_stops(jobs: Jobs) -> None:
    work = Worker()
    job = await enqueue(jobs)

    async with running(jobs, work):
        await until(jobs, job.number, in_state(JobState.RUNNING))
        async with asyncio.timeout(LIMIT):
            # As after a long sleep of the machine: the time is over, and another was quicker.
            await jobs.take_back()
            while await jobs.claim("another", Patience()) is None:
                await jobs.take_back()  # it was not
            await work.idle.wait()

    held = await jobs.find(job.number)
    assert (held.state, held.owner) == (JobState.RUNNING, "another")


async def test_at_the_end_a_job_is_left_to_the_next_with_what_is_done(jobs: Jobs) -> None:
    is_at_it = asyncio.Event()

    async def work(running: RunningJob) -> None:
        running.report(Settled("1.1", Fate.DONE, 1))
        is_at_it.set()
        await asyncio.Event().wait()

    job = await enqueue(jobs)
    async with running(jobs, work, patience=Patience()):
        await is_at_it.wait()

    left = await jobs.find(job.number)
    assert (left.state, left.done, left.attempts, left.owner) == (JobState.WAITING, 1, 0, "")


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_whenever_the_end_comes_nobody_is_left_with_a_job(jobs: Jobs, turns: int) -> None:
    numbers = [(await enqueue(jobs)).number for _ in range(3)]

    async with running(jobs, Worker(), patience=Patience()):
        for _ in range(turns):
            await asyncio.sleep(turns * 1e-4)

    left = [await jobs.find(each) for each in numbers]
    assert [(each.state, each.owner) for each in left] == [(JobState.WAITING, "")] * 3
