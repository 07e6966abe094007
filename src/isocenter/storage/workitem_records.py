"""What goes into the worklist and what comes out of it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Generic, TypeVar

from isocenter.dicom.procedure_step import StepState
from isocenter.errors import NotFound

Dataset = dict[str, dict[str, Any]]
"""In the DICOM JSON model."""
Answer = TypeVar("Answer")


class Gone(NotFound):
    """A workitem that was there once and has been removed since."""


class EventKind(IntEnum):
    """The events of a workitem, by Event Type ID (PS3.4 Table CC.2.4-1)."""

    STATE_REPORT = 1
    CANCEL_REQUESTED = 2
    PROGRESS_REPORT = 3
    SCP_STATUS_CHANGE = 4
    ASSIGNED = 5


class Origin(IntEnum):
    """What subscribed somebody to a workitem."""

    ITSELF = 0
    WORKLIST = 1
    FILTER = 2


@dataclass(frozen=True, slots=True)
class Workitem:
    """A procedure step as it stands."""

    uid: str
    state: StepState
    transaction_uid: str
    """Of whoever claimed it; empty before. Nobody else may learn it."""
    dataset: Dataset
    """Without the Transaction UID."""


@dataclass(frozen=True, slots=True)
class Report:
    """What subscribers are to be told."""

    kind: EventKind
    information: Dataset


@dataclass(frozen=True, slots=True)
class Event:
    """A report on its way to one subscriber."""

    seq: int
    """Grows from event to event."""
    kind: EventKind
    workitem_uid: str
    information: Dataset


@dataclass(frozen=True, slots=True)
class Decision(Generic[Answer]):
    """What becomes of a request."""

    answer: Answer
    workitem: Workitem | None = None
    """As it is to be kept from now on; None if it stays as it is."""
    reports: tuple[Report, ...] = ()


@dataclass(frozen=True, slots=True)
class Done(Generic[Answer]):
    """The answer to a request, committed; ``receivers`` have events waiting for them."""

    answer: Answer
    receivers: frozenset[str] = frozenset()


Decide = Callable[[Workitem, int], Decision[Answer]]
"""Decides by the workitem and the time, in microseconds since 1970. May be called twice."""
Initial = Callable[[Workitem], Report]
"""Gives what a new subscriber is told first."""
