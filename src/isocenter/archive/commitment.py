"""Storage commitment: what we answer for (PS3.4 annex J, PS3.18 13).

Committed is what the index holds and whose bytes are on stable storage, as many as there were. It
stays until somebody removes it. The bytes are not read again for this: ``isocenter verify`` does.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol

import orjson

from isocenter.archive.admission import Admission
from isocenter.config import ArchiveConfig
from isocenter.storage.commitments import CommitmentStore
from isocenter.storage.records import InstanceRef, Selection

log = logging.getLogger(__name__)

AT_A_TIME: Final = 500
"""References that are looked up together."""
AT_ONCE: Final = 4
"""Requests that are worked on at the same time."""


class Reason(IntEnum):
    """Why there is no commitment: Failure Reason (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    """The instance is in the index, and its bytes are not there, or not all."""
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    """It is not in the archive, or not in the study and series that were named."""
    CLASS_INSTANCE_CONFLICT = 0x0119
    """It is of another SOP class."""
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    """It is not in the archive, where instances of this SOP class are not stored at all."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that commitment is asked for."""

    sop_class: str
    sop_instance: str
    study: str = ""
    """Empty, if it was not named; then neither was the series."""
    series: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered of an instance; committed, where ``reason`` is None."""

    reference: Reference
    reason: Reason | None = None


class Holdings(Protocol):
    """What of the archive is looked at."""

    def instances(self, selection: Selection) -> AsyncIterator[list[InstanceRef]]: ...
    async def lost(self, instances: Sequence[InstanceRef]) -> set[str]: ...


class Commitments:
    """Takes requests and keeps their results. Every method may raise Unavailable.

    A request is durable before it is worked on; one that a crash interrupted is taken up again when
    its result is asked for.
    """

    def __init__(
        self,
        store: CommitmentStore,
        holdings: Holdings,
        admission: Admission,
        config: ArchiveConfig,
    ) -> None:
        self._store = store
        self._holdings = holdings
        self._admission = admission
        self._retention = config.commitment_retention
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def request(
        self, transaction_uid: str, references: Sequence[Reference], patience: float
    ) -> list[Verdict] | None:
        """Ask for commitment; give what was found, or None if that takes longer than ``patience``.

        Raises: Conflict, where the Transaction UID was used before.
        """
        await self._store.enter(transaction_uid, _written(references), self._retention)
        return await self._outcome(transaction_uid, patience)

    async def result(self, transaction_uid: str, patience: float) -> list[Verdict] | None:
        """Give the result of a request, or None as long as there is none.

        Raises: NotFound; Expired, where there was one.
        """
        return await self._outcome(transaction_uid, patience)

    async def close(self) -> None:
        """Stop working; what is not finished is taken up again later."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def judge(self, references: Sequence[Reference]) -> AsyncIterator[list[Verdict]]:
        """Look at every instance; yield verdicts some at a time, in the order of the references."""
        for start in range(0, len(references), AT_A_TIME):
            some = references[start : start + AT_A_TIME]
            uids = tuple(dict.fromkeys(each.sop_instance for each in some))
            held: dict[str, InstanceRef] = {}
            async for page in self._holdings.instances(Selection(instances=uids)):
                held |= {each.sop_instance_uid: each for each in page}
            lost = await self._holdings.lost(list(held.values()))
            yield [Verdict(each, self._reason(each, held, lost)) for each in some]

    def _reason(
        self, reference: Reference, held: dict[str, InstanceRef], lost: set[str]
    ) -> Reason | None:
        found = held.get(reference.sop_instance)
        if found is None:
            if not self._admission.takes(reference.sop_class):
                return Reason.REFERENCED_SOP_CLASS_NOT_SUPPORTED
            return Reason.NO_SUCH_OBJECT_INSTANCE
        if found.sop_class_uid != reference.sop_class:
            return Reason.CLASS_INSTANCE_CONFLICT
        named = (reference.study, reference.series)
        if named != ("", "") and named != (found.study_instance_uid, found.series_instance_uid):
            return Reason.NO_SUCH_OBJECT_INSTANCE
        return Reason.PROCESSING_FAILURE if reference.sop_instance in lost else None

    async def _outcome(self, transaction_uid: str, patience: float) -> list[Verdict] | None:
        held = await self._store.find(transaction_uid)
        if not held.result:
            await self._work(transaction_uid, held.request, patience)
            held = await self._store.find(transaction_uid)
        return list(_read(held.result)) if held.result else None

    async def _work(self, transaction_uid: str, request: bytes, patience: float) -> None:
        """Work on a request, unless somebody is at it, and wait for a while."""
        task = self._running.get(transaction_uid)
        if task is None:
            task = asyncio.create_task(self._finish(transaction_uid, request))
            self._running[transaction_uid] = task
            task.add_done_callback(lambda _: self._ended(transaction_uid))
        await asyncio.wait({task}, timeout=patience)
        if task.done() and not task.cancelled():
            task.result()

    def _ended(self, transaction_uid: str) -> None:
        """What failed is taken up again when somebody asks."""
        task = self._running.pop(transaction_uid)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("commitment failed", exc_info=error)

    async def _finish(self, transaction_uid: str, request: bytes) -> None:
        async with self._turns:
            references = [verdict.reference for verdict in _read(request)]
            verdicts: list[Verdict] = []
            async for some in self.judge(references):
                verdicts += some
            await self._store.finish(transaction_uid, _result(verdicts))
        failed = sum(verdict.reason is not None for verdict in verdicts)
        log.info("commitment", extra={"instances": len(verdicts), "failed": failed})


def _written(references: Iterable[Reference]) -> bytes:
    return _result(Verdict(each) for each in references)


def _result(verdicts: Iterable[Verdict]) -> bytes:
    rows = []
    for verdict in verdicts:
        each = verdict.reference
        rows.append([each.sop_class, each.sop_instance, each.study, each.series, verdict.reason])
    return orjson.dumps(rows)


def _read(written: bytes) -> Iterable[Verdict]:
    rows: list[Any] = orjson.loads(written)
    for *uids, reason in rows:
        yield Verdict(Reference(*uids), None if reason is None else Reason(reason))
