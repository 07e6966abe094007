"""The C-STORE sub-operations of C-MOVE and C-GET: sent, counted, reported (PS3.4 C.4.2, C.4.3)."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import Current, Opened, Prepare, opened
from isocenter.dicom import encoding
from isocenter.dicom.syntax import lookup
from isocenter.dimse.command import Value
from isocenter.dimse.failures import Aborted
from isocenter.dimse.operation import Operation
from isocenter.dimse.status import CANCEL, PENDING, SUCCESS, Category, Response
from isocenter.errors import IsocenterError, Mismatch
from isocenter.services.identifier import Identifier
from isocenter.services.models import UNIQUE_KEYS
from isocenter.services.status import comment
from isocenter.storage.attributes import Level
from isocenter.storage.records import InstanceRef, Selection

log = logging.getLogger(__name__)

COMPLETE_WITH_FAILURES = 0xB000
CANNOT_PERFORM = 0xA702
HIGHEST_COUNT = 0xFFFF
"""The counts have 16 bits; of more sub-operations, this many are reported."""
MOST_FAILED_UIDS = 1000
"""As many UIDs as an explicit VR length can hold."""

FAILED_LIST = "00080058"
ISSUER = 0x00100021

Send = Callable[[Opened], Awaitable[Response]]


def selection_of(asked: Identifier) -> Selection:
    """Return the instances that an identifier names by its unique keys.

    Of patients only one, if need be told apart by its issuer. Raises: Mismatch.
    """
    patients = asked.values(UNIQUE_KEYS[Level.PATIENT])
    if len(patients) > 1:
        raise Mismatch("more than one PatientID was given")
    return Selection(
        patient_id=next(iter(patients), None),
        issuer=next(iter(asked.values(ISSUER)), None),
        studies=asked.values(UNIQUE_KEYS[Level.STUDY]),
        series=asked.values(UNIQUE_KEYS[Level.SERIES]),
        instances=asked.values(UNIQUE_KEYS[Level.IMAGE]),
    )


@dataclass(slots=True)
class Tally:
    """How the sub-operations stand."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)

    def count(self, instance: InstanceRef, category: Category) -> None:
        """Note how one of them ended."""
        self.remaining = max(0, self.remaining - 1)
        if category is Category.SUCCESS:
            self.completed += 1
        elif category is Category.WARNING:
            self.warning += 1
        else:
            self.failed += 1
            if len(self.failed_uids) < MOST_FAILED_UIDS:
                self.failed_uids.append(instance.sop_instance_uid)

    def fail_missing(self) -> None:
        """Count what was selected at first and has left the selection: nobody got it."""
        self.failed += self.remaining
        self.remaining = 0

    def elements(self, *, with_remaining: bool) -> dict[str, Value]:
        """The counts as command elements."""
        counts: dict[str, Value] = {
            "NumberOfCompletedSuboperations": min(self.completed, HIGHEST_COUNT),
            "NumberOfFailedSuboperations": min(self.failed, HIGHEST_COUNT),
            "NumberOfWarningSuboperations": min(self.warning, HIGHEST_COUNT),
        }
        if with_remaining:
            counts["NumberOfRemainingSuboperations"] = min(self.remaining, HIGHEST_COUNT)
        return counts

    @property
    def status(self) -> int:
        """The final status (PS3.4 C.4.2.3.1, C.4.3.3.1)."""
        if self.failed and not self.completed and not self.warning:
            return CANNOT_PERFORM
        return COMPLETE_WITH_FAILURES if self.failed or self.warning else SUCCESS


def _close(found: Opened | IsocenterError) -> None:
    if isinstance(found, Opened):
        found.close()


class SubOperations:
    """Runs the sub-operations of one request, and keeps its peer told."""

    def __init__(self, archive: Archive, operation: Operation, *, pending_interval: float) -> None:
        self._archive = archive
        self._operation = operation
        self._interval = pending_interval
        self._tally = Tally(0)
        self._is_lost = False

    async def run(
        self, selection: Selection, at_once: int, send_one: Send, prepare: Prepare | None = None
    ) -> Response:
        """Send what is selected, ``at_once`` at a time, and return the final response.

        ``prepare`` is done for the next ones while others are sent.

        One that cannot be read or sent is counted as failed; the others go on. When the association
        they go by is lost, the rest has failed.
        """
        self._tally.remaining = await self._archive.index.count_instances(selection)
        reporting = asyncio.create_task(self._report())
        try:
            await self._send_all(selection, at_once, send_one, prepare)
        finally:
            reporting.cancel()
        return self._final()

    async def fail(self, selection: Selection, error: IsocenterError) -> Response:
        """Return the answer when not one sub-operation can be begun."""
        await self._fail_rest(selection, 0)
        response = self._final()
        return Response(
            response.status,
            response.dataset,
            {**response.elements, "ErrorComment": comment(str(error))},
        )

    async def _send_all(
        self, selection: Selection, at_once: int, send_one: Send, prepare: Prepare | None
    ) -> None:
        running: set[asyncio.Task[None]] = set()
        begun = 0
        try:
            async with aclosing(self._to_send(selection, prepare)) as instances:
                async for instance, found in instances:
                    begun += 1
                    if at_once == 1:
                        await self._send_one(instance, found, send_one)
                        continue
                    sending = asyncio.create_task(self._send_one(instance, found, send_one))
                    running.add(sending)
                    sending.add_done_callback(running.discard)
                    if len(running) >= at_once:
                        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if running:
                await asyncio.wait(running)
        finally:
            for sending in running:
                sending.cancel()
        if self._is_lost:
            await self._fail_rest(selection, begun)
        elif not self._operation.is_cancelled:
            self._tally.fail_missing()

    async def _to_send(
        self, selection: Selection, prepare: Prepare | None
    ) -> AsyncGenerator[tuple[InstanceRef, Opened | IsocenterError], None]:
        """What is selected, opened, until the request is cancelled or the peer lost."""
        current, selected = Current(self._archive), self._archive.instances(selection)
        async with aclosing(opened(current, selected, prepare)) as instances:
            async for instance, found in instances:
                if self._operation.is_cancelled or self._is_lost:
                    _close(found)
                    return
                yield instance, found

    async def _send_one(
        self, instance: InstanceRef, found: Opened | IsocenterError, send_one: Send
    ) -> None:
        category, reason = Category.FAILURE, str(found)
        if isinstance(found, Opened):
            try:
                response = await send_one(found)
                category, reason = response.category, f"status {response.status:04X}"
            except IsocenterError as error:
                self._is_lost = self._is_lost or isinstance(error, Aborted)
                reason = str(error)
            except Exception as error:  # of this one only: the others go on
                log.error("sub-operation failed unforeseen", exc_info=error)
                reason = "internal error"
            finally:
                found.close()
        if category is Category.FAILURE:
            log.warning(
                "sub-operation failed",
                extra={"sop_instance": instance.sop_instance_uid, "reason": reason},
            )
        self._tally.count(instance, category)

    async def _fail_rest(self, selection: Selection, begun: int) -> None:
        """Count what was not begun when the association was lost."""
        async for page in self._archive.instances(selection):
            for instance in page[begun:]:
                self._tally.count(instance, Category.FAILURE)
            begun = max(0, begun - len(page))

    async def _report(self) -> None:
        """Tell how far it is, once an interval."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self._operation.send(
                    Response(PENDING, None, self._tally.elements(with_remaining=True))
                )
            except Aborted:
                return

    def _final(self) -> Response:
        tally = self._tally
        is_cancelled = self._operation.is_cancelled and tally.remaining > 0
        status = CANCEL if is_cancelled else tally.status
        dataset = self._failed_list() if tally.failed_uids else None
        return Response(status, dataset, tally.elements(with_remaining=is_cancelled))

    def _failed_list(self) -> bytes:
        failed: dict[str, Any] = {"vr": "UI", "Value": self._tally.failed_uids}
        syntax = lookup(self._operation.context.transfer_syntax)
        return encoding.encode({FAILED_LIST: failed}, syntax, "")
