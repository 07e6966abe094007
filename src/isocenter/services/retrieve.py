"""Retrieval: C-MOVE to peers we know, C-GET on the same association (PS3.4 C.4.2, C.4.3)."""

import logging
from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

from isocenter.address import Address
from isocenter.archive.archive import Archive
from isocenter.archive.peers import Peers
from isocenter.archive.retrieve import Opened
from isocenter.config import DimseConfig
from isocenter.dicom.syntax import lookup
from isocenter.dimse.association import Association
from isocenter.dimse.client import associate
from isocenter.dimse.command import Verb
from isocenter.dimse.failures import Aborted
from isocenter.dimse.negotiation import Offer, Proposal
from isocenter.dimse.operation import Operation, Service
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.status import UNRECOGNIZED_OPERATION, Response
from isocenter.dimse.watching import Watch
from isocenter.errors import Conflict, IsocenterError, Mismatch, Unavailable
from isocenter.services import identifier as identifiers
from isocenter.services.models import (
    BY_GET,
    BY_MOVE,
    UNIQUE_KEYS,
    Model,
    Negotiated,
    answer_retrieve,
)
from isocenter.services.sending import Sending, prepare, send
from isocenter.services.status import CANNOT_UNDERSTAND, comment
from isocenter.services.store import ORDINARY
from isocenter.services.suboperations import SubOperations, selection_of
from isocenter.storage.records import Selection

log = logging.getLogger(__name__)

UNKNOWN_DESTINATION = 0xA801
CANNOT_CALCULATE = 0xA701


class RetrieveProvider:
    """Retrieve SCP for the three information models."""

    def __init__(
        self,
        archive: Archive,
        aet: str,
        peers: Peers,
        config: DimseConfig,
        limits: Limits,
        timeouts: Timeouts,
        watch: Watch | None = None,
    ) -> None:
        self._watch = watch
        self._archive = archive
        self._aet = aet
        self._peers = peers
        self._config = config
        self._limits = limits
        self._timeouts = timeouts

    def services(self) -> list[Service]:
        """A service for each information model, by C-MOVE and by C-GET."""
        return [
            Service(
                offer=Offer(
                    abstract_syntax=sop_class,
                    transfer_syntaxes=ORDINARY,
                    extended=answer_retrieve,
                ),
                perform=perform,
            )
            for sop_classes, perform in ((BY_MOVE, self.move), (BY_GET, self.get))
            for sop_class in sop_classes
        ]

    async def move(self, operation: Operation) -> Response:
        """Send what is asked for to a third party. Raises: Malformed, Mismatch, Unavailable."""
        return await _told(self._move(operation))

    async def _move(self, operation: Operation) -> Response:
        command = operation.command
        if command.verb is not Verb.C_MOVE:
            return Response(UNRECOGNIZED_OPERATION)
        selection = self._selection(operation, BY_MOVE)
        title = command.text("MoveDestination")
        destination = await self._peers.destination(title)
        if destination is None:
            reason = comment(f"move destination {title} is not known here")
            return Response(UNKNOWN_DESTINATION, elements={"ErrorComment": reason})
        work = self._sub_operations(operation)
        originator = (operation.association.peer.ae_title, operation.message_id)
        priority = _priority(operation)
        kinds = await self._archive.index.kinds(selection)
        async with Sending(partial(self._associate, destination), kinds) as sending:
            try:
                first = await sending.to(kinds[0][0]) if kinds else None
            except Unavailable as error:
                log.warning("move destination", extra={"peer": title, "reason": str(error)})
                return await work.fail(selection, error)

            async def send_one(instance: Opened) -> Response:
                association = await sending.to(instance.instance.sop_class_uid)
                try:
                    return await send(
                        association, instance, priority=priority, move_originator=originator
                    )
                except IsocenterError as error:
                    # What could not be read to its end cost its association, not the others.
                    if association.is_over and not isinstance(error, Aborted):
                        sending.renew(association)
                    raise

            async def prepare_one(instance: Opened) -> None:
                if first is not None:
                    await prepare(first, instance)

            at_once = first.window.invoked if first else 1
            return await work.run(selection, at_once, send_one, prepare_one)

    async def get(self, operation: Operation) -> Response:
        """Send what is asked for back. Raises: Malformed, Mismatch, Unavailable."""
        return await _told(self._get(operation))

    async def _get(self, operation: Operation) -> Response:
        if operation.command.verb is not Verb.C_GET:
            return Response(UNRECOGNIZED_OPERATION)
        selection = self._selection(operation, BY_GET)
        association, priority = operation.association, _priority(operation)

        async def send_one(instance: Opened) -> Response:
            return await send(association, instance, priority=priority)

        work = self._sub_operations(operation)
        at_once = association.window.performed
        return await work.run(selection, at_once, send_one, partial(prepare, association))

    def _associate(
        self, destination: Address, proposals: list[Proposal]
    ) -> AbstractAsyncContextManager[Association]:
        return associate(
            destination,
            calling_ae_title=self._aet,
            proposals=proposals,
            limits=self._limits,
            timeouts=self._timeouts,
            watch=self._watch,
        )

    def _selection(self, operation: Operation, models: Mapping[str, Model]) -> Selection:
        context = operation.context
        model = models[context.abstract_syntax]
        asked = identifiers.read(operation.dataset, lookup(context.transfer_syntax), model)
        information = operation.association.extended.get(context.abstract_syntax)
        if not self._config.relational_always:
            identifiers.check_hierarchy(asked, model, Negotiated.of(information))
        if not asked.values(UNIQUE_KEYS[asked.level]):
            raise Mismatch(f"no unique key of level {asked.level.name} was given")
        return selection_of(asked)

    def _sub_operations(self, operation: Operation) -> SubOperations:
        interval = self._config.pending_interval
        return SubOperations(self._archive, operation, pending_interval=interval)


async def _told(work: Awaitable[Response]) -> Response:
    """What ``work`` answers; for two errors, retrieval has statuses of its own.

    Source: PS3.4 Tables C.4-2 and C.4-3.
    """
    try:
        return await work
    except Unavailable as error:
        return Response(CANNOT_CALCULATE, elements={"ErrorComment": comment(str(error))})
    except Conflict as error:
        return Response(CANNOT_UNDERSTAND, elements={"ErrorComment": comment(str(error))})


def _priority(operation: Operation) -> int:
    priority = operation.command.elements.get("Priority", 0)
    return priority if isinstance(priority, int) else 0
