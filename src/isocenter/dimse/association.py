"""An association, from either side: invoke operations on it, and perform what the peer asks."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from isocenter.dimse.command import (
    ASKS_BY_REQUESTED,
    Command,
    Value,
    Verb,
)
from isocenter.dimse.failures import Aborted
from isocenter.dimse.invocation import Invocation, Outstanding, Responses
from isocenter.dimse.message import Assembler
from isocenter.dimse.negotiation import Agreement, Context
from isocenter.dimse.operation import Collecting, DataSink, FindService, Performer, StatusOf
from isocenter.dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest
from isocenter.dimse.sending import Pieces, Sender
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.slabs import SlabPool
from isocenter.dimse.status import PROCESSING_FAILURE, Response
from isocenter.dimse.transport import Connection
from isocenter.dimse.upper_layer import State
from isocenter.dimse.user_information import UserIdentity, Window
from isocenter.errors import Malformed, Unsupported

log = logging.getLogger(__name__)

VERIFICATION = "1.2.840.10008.1.1"
MOST_UNREAD = 256  # responses nobody has taken at which reading pauses
MOST_INVOKED = 64  # operations at once where the window is unlimited


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end, as far as it says so."""

    ae_title: str
    called_ae_title: str  # whom the requestor asked for
    host: str
    port: int
    maximum_length: int  # bytes of a P-DATA-TF body it takes; 0 is no maximum
    implementation_class: str = ""
    implementation_version: str = ""
    identity: UserIdentity | None = None
    identity_response: bytes | None = None


def processing_failure(error: Exception) -> Response:
    """The answer to anything a provider raises, where nobody knows better."""
    return Response(PROCESSING_FAILURE)


def _nothing() -> None:
    """Nobody looks."""


class Association:
    """Made by ``server`` and ``client``; ends by release, abort or loss, and then for good."""

    def __init__(
        self,
        *,
        is_requestor: bool,
        find_service: FindService,
        requested: Callable[["Association", AssociateRequest], None] | None = None,
        request: AssociateRequest | None = None,
        accepted: Callable[["Association", AssociateAccept], None] | None = None,
        ended: Callable[["Association"], None] | None = None,
        status_of: StatusOf = processing_failure,
        limits: Limits,
        timeouts: Timeouts,
        pool: SlabPool,
    ) -> None:
        self._limits = limits
        self._timeouts = timeouts
        self._requested = requested
        self._request = request
        self._accepted = accepted
        self._tell_ended = ended
        self.connection = Connection(
            self, is_requestor=is_requestor, limits=limits, timeouts=timeouts, pool=pool
        )
        self.peer = Peer(ae_title="", called_ae_title="", host="", port=0, maximum_length=0)
        self.contexts: Mapping[int, Context] = {}
        self.extended: Mapping[str, bytes] = {}
        self.window = Window()
        self.failure: Aborted | None = None
        self.messages_in = self.messages_out = 0
        self.on_message: Callable[[], None] = _nothing
        """Called when a message begins."""
        self._latest = ""
        self._performer = Performer(
            self,
            find_service,
            most=limits.operations,
            largest=limits.identifier_size,
            status_of=status_of,
        )
        self._assembler = Assembler(self, largest_command=limits.command_size)
        self._sink: DataSink | None = None
        self._outstanding = Outstanding()
        self._sender = Sender(self.connection)
        self._slots = asyncio.Semaphore(1)
        self._wants_release = False
        self._is_established = False
        loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[AssociateAccept | AssociateReject | Aborted]
        self.answered = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    @property
    def is_over(self) -> bool:
        return self.connection.is_over

    @property
    def is_established(self) -> bool:
        return self.connection.state is State.ESTABLISHED

    @property
    def is_busy(self) -> bool:
        """Whether a message or an operation is under way, in either direction."""
        return self._performer.is_busy or self._assembler.is_amid or bool(self._outstanding)

    @property
    def doing(self) -> str:
        """The operation that was begun last, as the standard calls it, while any is under way."""
        return self._latest if self.is_busy else ""

    @property
    def performing(self) -> tuple[asyncio.Task[None], ...]:
        """The tasks that perform the peer's operations."""
        return self._performer.tasks

    def establish(self, agreement: Agreement, peer: Peer, *, invoked: int) -> None:
        """Take what was negotiated; ``invoked`` operations may be outstanding, 0 is any number."""
        self.contexts = agreement.contexts
        self.extended = agreement.extended
        self.window = agreement.window
        self.peer = peer
        self._sender.fit(peer.maximum_length)
        self._slots = asyncio.Semaphore(invoked or MOST_INVOKED)
        self._is_established = True

    def context_for(self, abstract_syntax: str, *transfer_syntaxes: str) -> Context:
        """The accepted context on which we may invoke operations of ``abstract_syntax``.

        Among ``transfer_syntaxes`` the first that was accepted counts; none named, any.
        Raises: Unsupported.
        """
        usable = [
            context
            for context in self.contexts.values()
            if context.abstract_syntax == abstract_syntax and context.as_user
        ]
        if not transfer_syntaxes and usable:
            return usable[0]
        for syntax in transfer_syntaxes:
            for context in usable:
                if context.transfer_syntax == syntax:
                    return context
        raise Unsupported(f"the peer accepted no presentation context for {abstract_syntax}")

    # Operations we invoke.

    async def echo(self) -> Response:
        """C-ECHO. Raises: Unsupported, Aborted."""
        context = self.context_for(VERIFICATION)
        return await self.request(context, Verb.C_ECHO, VERIFICATION)

    async def store(
        self,
        sop_class: str,
        sop_instance: str,
        pieces: Pieces,
        *,
        context: Context | None = None,
        priority: int = 0,
        move_originator: tuple[str, int] | None = None,
    ) -> Response:
        """C-STORE of a data set given piece by piece, in the context's transfer syntax.

        The pieces are sent from where they lie: they must not change before this returns.
        ``move_originator``: AE title and Message ID of the C-MOVE that this is part of.
        What ``pieces`` raises is raised here; the association is aborted, if part was sent.
        Raises: Unsupported, Aborted.
        """
        context = context or self.context_for(sop_class)
        elements: dict[str, Value] = {"Priority": priority, "AffectedSOPInstanceUID": sop_instance}
        if move_originator:
            elements["MoveOriginatorApplicationEntityTitle"] = move_originator[0]
            elements["MoveOriginatorMessageID"] = move_originator[1]
        invocation = await self._begin(context, Verb.C_STORE, sop_class, pieces, elements)
        return await self._take(invocation)

    def find(
        self,
        sop_class: str,
        identifier: bytes,
        *,
        context: Context | None = None,
        priority: int = 0,
    ) -> Responses:
        """C-FIND: one pending response with a data set for each match, then the final one."""
        return self._stream(Verb.C_FIND, sop_class, identifier, context, {"Priority": priority})

    def move(
        self,
        sop_class: str,
        identifier: bytes,
        destination: str,
        *,
        context: Context | None = None,
        priority: int = 0,
    ) -> Responses:
        """C-MOVE to the AE titled ``destination``."""
        elements: dict[str, Value] = {"Priority": priority, "MoveDestination": destination}
        return self._stream(Verb.C_MOVE, sop_class, identifier, context, elements)

    def get(
        self,
        sop_class: str,
        identifier: bytes,
        *,
        context: Context | None = None,
        priority: int = 0,
    ) -> Responses:
        """C-GET; the instances go to the receivers given when the association was made."""
        return self._stream(Verb.C_GET, sop_class, identifier, context, {"Priority": priority})

    async def request(
        self,
        context: Context,
        verb: Verb,
        sop_class: str,
        sop_instance: str = "",
        dataset: bytes | None = None,
        **elements: Value,
    ) -> Response:
        """Any operation or notification with one response; the N services below use it.

        Raises: Aborted.
        """
        kind = "Requested" if verb in ASKS_BY_REQUESTED else "Affected"
        if sop_instance:
            elements[f"{kind}SOPInstanceUID"] = sop_instance
        pieces = None if dataset is None else (dataset,)
        invocation = await self._begin(context, verb, sop_class, pieces, elements)
        return await self._take(invocation)

    async def n_event_report(
        self,
        context: Context,
        sop_class: str,
        sop_instance: str,
        event_type: int,
        information: bytes | None = None,
    ) -> Response:
        """Source: PS3.7 §10.1.1."""
        return await self.request(
            context,
            Verb.N_EVENT_REPORT,
            sop_class,
            sop_instance,
            information,
            EventTypeID=event_type,
        )

    async def n_get(
        self, context: Context, sop_class: str, sop_instance: str, tags: tuple[int, ...] = ()
    ) -> Response:
        """Without ``tags``, all attributes. Source: PS3.7 §10.1.2."""
        elements: dict[str, Value] = {"AttributeIdentifierList": tags} if tags else {}
        return await self.request(context, Verb.N_GET, sop_class, sop_instance, None, **elements)

    async def n_set(
        self, context: Context, sop_class: str, sop_instance: str, modifications: bytes
    ) -> Response:
        """Source: PS3.7 §10.1.3."""
        return await self.request(context, Verb.N_SET, sop_class, sop_instance, modifications)

    async def n_action(
        self,
        context: Context,
        sop_class: str,
        sop_instance: str,
        action_type: int,
        information: bytes | None = None,
    ) -> Response:
        """Source: PS3.7 §10.1.4."""
        return await self.request(
            context, Verb.N_ACTION, sop_class, sop_instance, information, ActionTypeID=action_type
        )

    async def n_create(
        self,
        context: Context,
        sop_class: str,
        sop_instance: str = "",
        attributes: bytes | None = None,
    ) -> Response:
        """Without ``sop_instance`` the peer makes one up. Source: PS3.7 §10.1.5."""
        return await self.request(context, Verb.N_CREATE, sop_class, sop_instance, attributes)

    async def n_delete(self, context: Context, sop_class: str, sop_instance: str) -> Response:
        """Source: PS3.7 §10.1.6."""
        return await self.request(context, Verb.N_DELETE, sop_class, sop_instance)

    async def release(self) -> None:
        """End in peace, once no operation of ours is outstanding. Raises: Aborted."""
        if not self.is_established:
            raise self._over()
        self.connection.release()
        try:
            async with asyncio.timeout(self._timeouts.establishment):
                await asyncio.shield(self.ended)
        except TimeoutError:
            self.abort("the peer did not answer the release")
        if self.failure:
            raise self._over()

    def abort(self, reason: str = "aborted by this side") -> None:
        """End at once. Nothing happens, if it is over already."""
        if not self.is_over:
            self.connection.abort(Aborted(reason))

    async def wait_closed(self, grace: float) -> None:
        """Give the peer ``grace`` seconds to close the connection; then close it."""
        if self.connection.is_connected and not self.ended.done():
            await asyncio.wait((self.ended,), timeout=grace)
        self.connection.cut()

    # Sending messages.

    async def send_messages(
        self, context_id: int, command: Command, datasets: Iterable[bytes]
    ) -> None:
        """Send one command set with each of some small data sets. Raises: Aborted."""
        datasets = list(datasets)
        self.messages_out += len(datasets)
        await self._sender.send_all(context_id, command, datasets)

    async def send_message(
        self, context_id: int, command: Command, dataset: bytes | None = None
    ) -> None:
        """Send a command set, and a data set that is in memory. Raises: Aborted."""
        self.messages_out += 1
        await self._sender.send(context_id, command, None if dataset is None else (dataset,))

    # Invoking.

    async def _begin(
        self,
        context: Context,
        verb: Verb,
        sop_class: str,
        pieces: Pieces | None,
        elements: Mapping[str, Value],
    ) -> Invocation:
        """Send a request, once the window has room for it."""
        if not context.as_user:
            raise Unsupported(f"our role for {context.abstract_syntax} allows no request")
        await self._slots.acquire()
        invocation = self._outstanding.begin(context.context_id)
        kind = "Requested" if verb in ASKS_BY_REQUESTED else "Affected"
        command = Command(
            {
                **elements,
                "CommandField": int(verb),
                "MessageID": invocation.message_id,
                f"{kind}SOPClassUID": sop_class,
            }
        )
        try:
            if self.failure:
                raise self._over()
            self.messages_out += 1
            self._note(verb)
            await self._sender.send(context.context_id, command, pieces)
        except BaseException:
            self._end(invocation)
            raise
        return invocation

    async def _take(self, invocation: Invocation) -> Response:
        response = await invocation.next()
        if invocation.backlog < MOST_UNREAD // 2:
            self.connection.go_on(f"responses {invocation.message_id}")
        return response

    def _end(self, invocation: Invocation) -> None:
        invocation.has_ended = True
        self._outstanding.end(invocation)
        self._slots.release()

    def _stream(
        self,
        verb: Verb,
        sop_class: str,
        identifier: bytes,
        context: Context | None,
        elements: Mapping[str, Value],
    ) -> Responses:
        async def invoke() -> Invocation:
            where = context or self.context_for(sop_class)
            return await self._begin(where, verb, sop_class, (identifier,), elements)

        return Responses(invoke, self._take, self._cancel)

    async def _cancel(self, invocation: Invocation) -> None:
        if invocation.has_ended:
            return
        elements: dict[str, Value] = {
            "CommandField": int(Verb.C_CANCEL),
            "MessageIDBeingRespondedTo": invocation.message_id,
        }
        await self._sender.send(invocation.context_id, Command(elements), None)

    def _respond(self, command: Command, dataset: bytes | None) -> None:
        """A response has come, for a request that may be given up by now."""
        invocation = self._outstanding.find(command)
        if invocation is None:
            log.info("response to no request", extra={"message_id": command.answers})
            return
        invocation.deliver(Response(command.status, dataset, command.elements))
        if invocation.has_ended:
            self._outstanding.end(invocation)
            self._slots.release()
        elif invocation.backlog > MOST_UNREAD:
            self.connection.hold(f"responses {invocation.message_id}")

    def _over(self) -> Aborted:
        failure = self.failure or Aborted("the association is over")
        return type(failure)(str(failure), failure.abort)

    def _note(self, verb: Verb | None) -> None:
        if verb is not None:
            self._latest = verb.name.replace("_", "-")
        self.on_message()

    # What the assembler calls.

    def command(self, context_id: int, command: Command) -> None:
        self.messages_in += 1
        self._note(None if command.is_response else command.verb)
        context = self.contexts.get(context_id)
        if context is None:
            raise Malformed(f"presentation context {context_id} was not accepted")
        if command.is_response:
            self._take_response(command)
        elif command.verb is Verb.C_CANCEL:
            self._performer.cancel(command.answers)
        else:
            command.number("MessageID")
            self._sink = self._performer.begin(context, command)

    def _take_response(self, command: Command) -> None:
        command.number("MessageIDBeingRespondedTo")
        command.number("Status")
        if not command.has_data_set:
            self._respond(command, None)
            return

        def collected(dataset: bytes | None) -> None:
            if dataset is None:
                raise Malformed("a response has too large a data set")
            self._respond(command, dataset)

        self._sink = Collecting(self._limits.identifier_size, collected)

    def data(self, piece: memoryview) -> None:
        if self._sink is not None:
            self._sink.write(piece)

    def data_ends(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.end()

    def became_idle(self) -> None:
        """No operation of the peer's is under way any more."""
        if self._wants_release:
            self.connection.answer_release()

    # What the connection calls.

    def connected(self) -> None:
        if self._request is not None:
            self.connection.request(self._request)

    def requested(self, request: AssociateRequest) -> None:
        if self._requested is not None:
            self._requested(self, request)

    def accepted(self, answer: AssociateAccept) -> None:
        # At once: what the peer sends next may have come along with its answer.
        if self._accepted is not None:
            self._accepted(self, answer)
        if not self.answered.done():
            self.answered.set_result(answer)

    def rejected(self, rejection: AssociateReject) -> None:
        if not self.answered.done():
            self.answered.set_result(rejection)

    def fragment(self, context_id: int, control: int, piece: memoryview, *, ends: bool) -> None:
        self._assembler.fragment(context_id, control, piece, ends=ends)

    def release_requested(self) -> None:
        self._wants_release = True
        self._performer.cancel_all()
        if self._assembler.is_amid:
            self.abort("the peer releases amid a message")
        elif not self._performer.is_busy:
            self.connection.answer_release()

    def released(self) -> None:
        # In a collision the acceptor has still to answer (PS3.8 Sta12).
        self.connection.answer_release()

    def lost(self, failure: Aborted) -> None:
        if self.failure is None:
            self.failure = failure
        self._stop(failure)

    def closed(self) -> None:
        self._stop(Aborted("the association is over"))
        if not self.ended.done():
            self.ended.set_result(None)
        if self._tell_ended is not None:
            self._tell_ended(self)

    @property
    def is_amid(self) -> bool:
        return self._assembler.is_amid

    def patience(self) -> float | None:
        if self._assembler.is_amid or self._outstanding:
            return self._timeouts.dimse
        return None if self._performer.is_busy else self._timeouts.idle

    def _stop(self, failure: Aborted) -> None:
        """Leave nothing behind that waits for the peer."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.abort()
        for _ in range(len(self._outstanding)):
            self._slots.release()
        self._outstanding.fail_all(failure)
        self._performer.stop()
        if not self.answered.done():
            self.answered.set_result(failure)

    def cancel_everything(self) -> None:
        """Give up, also on data sets that are being finished."""
        self._performer.stop_hard()
        self.connection.cut()
