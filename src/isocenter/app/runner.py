"""Runs jobs: claims them, keeps their leases, and settles how they end."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from isocenter.archive.job_rules import LeaseLost, Patience
from isocenter.archive.jobs import Jobs
from isocenter.config import JobsConfig
from isocenter.errors import IsocenterError, NotFound, Unavailable
from isocenter.storage.job_records import Job, Settled

log = logging.getLogger(__name__)

GATHERING: Final = 0.5
"""Seconds for which what is done is gathered before it is written; after a crash, so much of it
may be done again."""
SETBACK: Final = 5.0
"""Seconds before the index is asked again, where it could not answer."""


class RunningJob:
    """A job while it is run: what becomes of its instances is reported here."""

    def __init__(self, jobs: Jobs, job: Job, patience: Patience) -> None:
        self.job = job
        self._jobs = jobs
        self._patience = patience
        self._settled: list[Settled] = []
        self._news = asyncio.Event()

    async def tell_total(self, total: int) -> None:
        """Say how many instances it is about. Raises: LeaseLost, NotFound, Unavailable."""
        self.job = await self._jobs.tell_total(self.job, total)

    async def done_of(self, sop_instances: Sequence[str]) -> set[str]:
        """Which of some instances need not be done again."""
        return await self._jobs.done_of(self.job, sop_instances)

    def report(self, settled: Settled) -> None:
        """Say what became of an instance; it is written before long."""
        self._settled.append(settled)
        self._news.set()

    async def keep(self) -> None:
        """Write what is reported, and keep the lease; return when the job is to be stopped.

        Raises: LeaseLost, NotFound, Unavailable.
        """
        with self._jobs.heeding(self.job) as stopping:
            while True:
                stopping.clear()
                self.job = await self._jobs.renew(self.job, self.take(), self._patience)
                if self.job.is_canceled:
                    return
                await self._wait(stopping)

    async def _wait(self, stopping: asyncio.Event) -> None:
        """Wait until there is something to write, or the lease is to be renewed."""
        waiting = [asyncio.create_task(each.wait()) for each in (self._news, stopping)]
        try:
            await asyncio.wait(
                waiting,
                timeout=self._patience.lease / 3,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not stopping.is_set() and self._news.is_set():
                await asyncio.wait(waiting[1:], timeout=GATHERING)
        finally:
            for each in waiting:
                each.cancel()

    def take(self) -> list[Settled]:
        """What was reported and is not written yet."""
        self._news.clear()
        settled, self._settled = self._settled, []
        return settled


Work = Callable[[RunningJob], Awaitable[None]]
"""Does a job. Raises: Unavailable, where it may be done another time; other errors, where not."""


class Runner:
    """Runs jobs while the server runs; belongs to one event loop."""

    def __init__(
        self,
        jobs: Jobs,
        kinds: Mapping[str, Work],
        config: JobsConfig,
        patience: Patience | None = None,
    ) -> None:
        self._jobs = jobs
        self._kinds = kinds
        self._config = config
        self._patience = patience or patience_of(config)
        self._owner = secrets.token_hex(8)
        self._running: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._is_closing = False

    async def start(self) -> None:
        """Begin to claim."""
        self._claiming = asyncio.create_task(self._claim_all())

    async def close(self) -> None:
        """Leave what runs to whoever comes next."""
        self._is_closing = True
        if self._claiming is not None:
            # Not canceled: it may just have been given a job, and must hand it back.
            self._jobs.has_room()
            await self._claiming
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim_all(self) -> None:
        with self._jobs.awaiting_work() as rung:
            while not self._is_closing:
                rung.clear()
                try:
                    rest = await self._claim_some()
                except Unavailable as error:
                    log.warning("jobs wait", extra={"why": str(error)})
                    rest = SETBACK
                with suppress(TimeoutError):
                    async with asyncio.timeout(rest):
                        await rung.wait()

    async def _claim_some(self) -> float | None:
        """Run what is due; return the seconds until there is something more to do."""
        while len(self._running) < self._config.workers:
            job = await self._jobs.claim(self._owner, self._patience)
            if job is None:
                break
            if self._is_closing:
                await self._jobs.release(job, [])
                return 0
            task = asyncio.create_task(self._run(job))
            self._running.add(task)
            task.add_done_callback(self._ended)
        is_full = len(self._running) >= self._config.workers
        rests = [
            await self._jobs.tidy(self._config.retention),
            None if is_full else await self._jobs.seconds_to_next(self._owner),
        ]
        known = [max(each, 0.0) for each in rests if each is not None]
        return min(known) if known else None

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job could not be settled", exc_info=error)
        self._jobs.has_room()

    async def _run(self, job: Job) -> None:
        running = RunningJob(self._jobs, job, self._patience)
        log.info("job begun", extra={"job": job.number, "kind": job.kind, "attempt": job.attempts})
        try:
            await self._settle(running, await self._attempt(running))
        except asyncio.CancelledError:
            with suppress(IsocenterError):
                await self._jobs.release(running.job, running.take())
            raise
        except (LeaseLost, NotFound):
            log.warning("job lost to somebody else", extra={"job": job.number})
        except Unavailable as error:
            # Its lease runs out, and then it is run again.
            log.warning("job cannot be settled", extra={"job": job.number, "why": str(error)})

    async def _attempt(self, running: RunningJob) -> BaseException | None:
        """Do the work while its lease is kept; return how that went wrong.

        Raises: LeaseLost, NotFound, Unavailable, where the lease could not be kept.
        """
        working = asyncio.create_task(self._work(running))
        keeping = asyncio.create_task(running.keep())
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, keeping):
                task.cancel()
            await asyncio.gather(working, keeping, return_exceptions=True)
        if not keeping.cancelled() and (lost := keeping.exception()) is not None:
            raise lost
        return Unavailable("canceled") if working.cancelled() else working.exception()

    async def _work(self, running: RunningJob) -> None:
        work = self._kinds.get(running.job.kind)
        if work is None:
            raise NotFound(f"nobody here knows how to {running.job.kind}")
        await work(running)

    async def _settle(self, running: RunningJob, error: BaseException | None) -> None:
        job, settled = running.job, running.take()
        if error is None:
            job = await self._jobs.finish(job, settled)
        elif isinstance(error, Unavailable):
            job = await self._jobs.postpone(job, settled, str(error), self._patience)
        elif isinstance(error, IsocenterError):
            job = await self._jobs.finish(job, settled, str(error) or "it cannot be done")
        else:
            log.error("a job failed unforeseen", exc_info=error)
            job = await self._jobs.postpone(job, settled, "internal error", self._patience)
        told = {"job": job.number, "state": str(job.state), "done": job.done, "failed": job.failed}
        log.info("job ended", extra=told)


def patience_of(config: JobsConfig) -> Patience:
    """What the settings say of trying again."""
    return Patience(
        attempts=config.attempts, pause=config.pause, longest_pause=config.longest_pause
    )
