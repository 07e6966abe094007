"""What may become of a job: one state to the next. Nothing here waits, reads or writes.

Times are microseconds since 1970, UTC; durations in seconds.
"""

from dataclasses import dataclass, replace
from typing import Final

from isocenter.errors import Conflict
from isocenter.storage.job_records import Job, JobState

MICROSECONDS: Final = 1_000_000
INTERRUPTED: Final = "the server ended while it ran, again and again"


class LeaseLost(Conflict):
    """Somebody else has the job by now, or nobody: whoever ran it is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things take that are tried again."""

    lease: float = 30.0
    """Whoever runs a job and is not heard of for so long does not run it any more."""
    attempts: int = 20
    """So many in a row may get nowhere."""
    pause: float = 10.0
    """Before the second attempt; twice as long before each further one."""
    longest_pause: float = 1800.0

    def before_next(self, attempts: int) -> int:
        """Microseconds to wait after so many attempts."""
        # The exponent is bounded: so many attempts may be allowed that no number could hold it.
        pause = self.pause * 2.0 ** min(attempts - 1, 64)
        return int(min(pause, self.longest_pause) * MICROSECONDS)


def claimed(job: Job, owner: str, now: int, patience: Patience) -> Job:
    """Have ``owner`` run a job that is due; one that cannot be run any more is ended instead."""
    if job.is_canceled:
        return ended(job, JobState.CANCELED, now, job.error)
    if job.attempts >= patience.attempts:
        return ended(job, JobState.FAILED, now, INTERRUPTED)
    return replace(
        job,
        state=JobState.RUNNING,
        owner=owner,
        due_at=now + int(patience.lease * MICROSECONDS),
        attempts=job.attempts + 1,
        failed=0,
    )


def renewed(job: Job, owner: str, now: int, patience: Patience, *, has_progress: bool) -> Job:
    """Go on. Raises: LeaseLost."""
    _refuse_others(job, owner)
    due_at = now + int(patience.lease * MICROSECONDS)
    return replace(job, due_at=due_at, attempts=1 if has_progress else job.attempts)


def told(job: Job, owner: str, total: int) -> Job:
    """Note how many instances it is about. Raises: LeaseLost."""
    _refuse_others(job, owner)
    return replace(job, total=total)


def finished(job: Job, owner: str, now: int, error: str) -> Job:
    """End it: done, or failed where there is an error. Raises: LeaseLost."""
    _refuse_others(job, owner)
    return ended(job, JobState.FAILED if error else JobState.DONE, now, error)


def postponed(
    job: Job, owner: str, now: int, error: str, patience: Patience, *, has_progress: bool
) -> Job:
    """Try again later, unless that was tried often enough. Raises: LeaseLost."""
    _refuse_others(job, owner)
    if has_progress:
        job = replace(job, attempts=1)
    if job.is_canceled:
        return ended(job, JobState.CANCELED, now, job.error)
    if job.attempts >= patience.attempts:
        return ended(job, JobState.FAILED, now, error)
    due_at = now + patience.before_next(job.attempts)
    return replace(job, state=JobState.WAITING, owner="", due_at=due_at, error=error)


def released(job: Job, owner: str, now: int) -> Job:
    """Leave it to whoever comes next; this attempt does not count. Raises: LeaseLost."""
    _refuse_others(job, owner)
    if job.is_canceled:
        return ended(job, JobState.CANCELED, now, job.error)
    attempts = max(0, job.attempts - 1)
    return replace(job, state=JobState.WAITING, owner="", due_at=now, attempts=attempts)


def canceled(job: Job, now: int) -> Job:
    """Have it stopped: at once, or by whoever runs it. Raises: Conflict, where it has ended."""
    if job.state.is_final:
        raise Conflict(f"the job is {job.state} already")
    if job.state is JobState.RUNNING:
        return replace(job, is_canceled=True)
    return ended(job, JobState.CANCELED, now, job.error)


def retried(job: Job, now: int) -> Job:
    """Have it run again, from where it got to. Raises: Conflict, if it runs or is done."""
    if job.state in (JobState.RUNNING, JobState.DONE):
        raise Conflict(f"the job is {job.state}: there is nothing to try again")
    return replace(
        job, state=JobState.WAITING, due_at=now, attempts=0, is_canceled=False, finished_at=0
    )


def ended(job: Job, state: JobState, now: int, error: str) -> Job:
    """Put it into a final state."""
    return replace(job, state=state, owner="", finished_at=now, error=error)


def _refuse_others(job: Job, owner: str) -> None:
    if job.state is not JobState.RUNNING or job.owner != owner:
        raise LeaseLost("somebody else runs the job, or nobody")
