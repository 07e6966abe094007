"""What is kept of a job: work that outlasts the process which was asked for it."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any


class JobState(StrEnum):
    """How a job stands."""

    WAITING = "waiting"
    """For its turn, or for the time at which it is tried again."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Nothing more happens, unless somebody asks."""
        return self not in (JobState.WAITING, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. Times are microseconds since 1970, UTC."""

    number: int
    kind: str
    request: dict[str, Any]
    """What is to be done; its kind says how it is read."""
    asked_by: str
    created_at: int
    state: JobState = JobState.WAITING
    due_at: int = 0
    """When a waiting one may be run, and when nobody runs a running one any more."""
    owner: str = ""
    """Who runs it."""
    is_canceled: bool = False
    """Whoever runs it is to stop."""
    attempts: int = 0
    """How often in a row it was begun without getting anywhere."""
    total: int = 0
    """Instances that it is about, as far as is known."""
    done: int = 0
    warned: int = 0
    """Of those done, how many with a warning."""
    failed: int = 0
    """In the last attempt."""
    bytes: int = 0
    """Of the data sets that are done."""
    error: str = ""
    """Why it failed, or is to be tried again; no patient data."""
    finished_at: int = 0
    """0 until it is final."""


class Fate(IntEnum):
    """What became of an instance."""

    DONE = 0
    WARNED = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class Settled:
    """An instance of a job, and what became of it."""

    sop_instance: str
    fate: Fate
    size: int = 0
    """Bytes of its data set."""
    reason: str = ""
    """Why it failed, or what the warning was; no patient data."""
