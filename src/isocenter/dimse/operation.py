"""Performing what a peer asks for: C-STORE into receivers, everything else by one coroutine."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from isocenter.dimse import status
from isocenter.dimse.command import RESPONSE_BIT, Command, Value, Verb
from isocenter.dimse.failures import Aborted
from isocenter.dimse.negotiation import Context, Offer
from isocenter.dimse.slabs import Fragment
from isocenter.dimse.status import Response
from isocenter.errors import IsocenterError, OutOfTurn

if TYPE_CHECKING:
    from isocenter.dimse.association import Association

log = logging.getLogger(__name__)

StatusOf = Callable[[Exception], Response]

# What a response repeats of its request besides the SOP class. Source: PS3.7 §9.3, §10.3.
REPEATED = ("EventTypeID", "ActionTypeID")
NAMES_INSTANCE = frozenset(
    {
        Verb.C_STORE,
        Verb.N_EVENT_REPORT,
        Verb.N_GET,
        Verb.N_SET,
        Verb.N_ACTION,
        Verb.N_CREATE,
        Verb.N_DELETE,
    }
)


class Receiver(Protocol):
    """Takes one data set as it arrives."""

    def write(self, fragment: Fragment) -> None:
        """More bytes. Must not block; keeps the fragment until it calls its ``release``."""

    async def finish(self) -> Response:
        """After the last fragment: what to answer. Anything raised becomes a status."""

    def abort(self) -> None:
        """The rest will never come, or ``write`` raised: leave nothing. No ``finish`` follows."""


class Operation:
    """One request that a peer made, and the way to answer it."""

    __slots__ = ("_cancelled", "association", "command", "context", "dataset", "has_ended")

    def __init__(self, association: "Association", context: Context, command: Command) -> None:
        self.association = association
        self.context = context
        self.command = command
        self.dataset = b""
        """The whole identifier or attribute list; empty for C-STORE, which has a receiver."""
        self.has_ended = False
        """Whether the final response was sent."""
        self._cancelled: asyncio.Event | None = None

    @property
    def message_id(self) -> int:
        return self.command.message_id

    @property
    def is_cancelled(self) -> bool:
        """Whether C-CANCEL was heard, or the peer wants to release the association."""
        return self._cancelled is not None and self._cancelled.is_set()

    async def cancelled(self) -> None:
        """Wait for C-CANCEL."""
        if self._cancelled is None:
            self._cancelled = asyncio.Event()
        await self._cancelled.wait()

    def cancel(self) -> None:
        """Called for C-CANCEL."""
        if self._cancelled is None:
            self._cancelled = asyncio.Event()
        self._cancelled.set()

    async def respond(self, status: int, dataset: bytes | None = None, **elements: Value) -> None:
        """Send one response; any number of pending ones, then one that is not.

        ``elements`` are command elements by keyword. Waits while the peer takes nothing.
        Raises: Aborted, if the association is over; OutOfTurn, after the final response.
        """
        await self.send(Response(status, dataset, elements))

    async def respond_all(self, status: int, datasets: Iterable[bytes]) -> None:
        """Send a pending response for each of ``datasets``, all at once. As ``respond``."""
        if self.has_ended:
            raise OutOfTurn("the final response was sent already")
        command = self._response_command(Response(status))
        await self.association.send_messages(self.context.context_id, command, datasets)

    async def send(self, response: Response) -> None:
        """As ``respond``, for a response that is made already."""
        if self.has_ended:
            raise OutOfTurn("the final response was sent already")
        self.has_ended = not response.is_pending
        await self.association.send_message(
            self.context.context_id, self._response_command(response), response.dataset
        )

    def _response_command(self, response: Response) -> Command:
        request = self.command
        elements: dict[str, Value] = {
            "CommandField": request.command_field | RESPONSE_BIT,
            "MessageIDBeingRespondedTo": request.message_id,
            "Status": response.status,
        }
        if sop_class := request.sop_class:
            elements["AffectedSOPClassUID"] = sop_class
        if request.verb in NAMES_INSTANCE and (instance := request.sop_instance):
            elements["AffectedSOPInstanceUID"] = instance
        for keyword in REPEATED:
            if keyword in request.elements:
                elements[keyword] = request.elements[keyword]
        elements.update(response.elements)
        return Command(elements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What we do for one abstract syntax, and who does it."""

    offer: Offer
    receive: Callable[[Operation], Receiver] | None = None
    """Opens a receiver for a C-STORE; what it raises becomes the answer."""
    perform: Callable[[Operation], Awaitable[Response | None]] | None = None
    """Performs any other request. Returns the final response, or None if it was sent already.
    Cancelled when the association is lost."""


FindService = Callable[[Context], Service | None]


class DataSink(Protocol):
    """Whoever takes the data set of the message that is arriving."""

    def write(self, piece: memoryview) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...


class Collecting:
    """Puts a small data set together; one that grows too large is dropped."""

    def __init__(self, largest: int, done: Callable[[bytes | None], None]) -> None:
        self._largest = largest
        self._done = done
        self._data = bytearray()
        self._is_too_large = False

    def write(self, piece: memoryview) -> None:
        if self._is_too_large or len(self._data) + len(piece) > self._largest:
            self._is_too_large = True
            self._data.clear()
        else:
            self._data += piece

    def end(self) -> None:
        self._done(None if self._is_too_large else bytes(self._data))

    def abort(self) -> None:
        self._data.clear()


class Receiving:
    """Hands a data set to its receiver. After a failure the rest is only read over."""

    def __init__(self, performer: "Performer", operation: Operation, receiver: Receiver) -> None:
        self._performer = performer
        self._operation = operation
        self._lend = operation.association.connection.lend
        self._receiver = receiver
        self._failure: Response | None = None

    def write(self, piece: memoryview) -> None:
        if self._failure is not None:
            return
        try:
            self._receiver.write(self._lend(piece))
        except Exception as error:
            self._failure = self._performer.status_of(error)
            self._receiver.abort()

    def end(self) -> None:
        if self._failure is not None:
            self._performer.answer(self._operation, self._failure)
        else:
            self._performer.finish(self._operation, self._receiver)

    def abort(self) -> None:
        if self._failure is None:
            self._receiver.abort()


class Performer:
    """Runs the operations that one peer asks for, a bounded number at once."""

    def __init__(
        self,
        association: "Association",
        find: FindService,
        *,
        most: int,
        largest: int,
        status_of: StatusOf,
    ) -> None:
        self._association = association
        self._find = find
        self._most = most
        self._largest = largest
        self._translate = status_of
        self._running: dict[asyncio.Task[None], Operation] = {}
        self._waiting: deque[tuple[Operation, Service]] = deque()

    @property
    def is_busy(self) -> bool:
        return bool(self._running or self._waiting)

    def begin(self, context: Context, command: Command) -> DataSink | None:
        """A request arrived; returns who takes its data set, if there is to be one."""
        operation = Operation(self._association, context, command)
        service = self._find(context)
        refusal = self._refusal(operation, service)
        if refusal is None and service is not None:
            if command.verb is Verb.C_STORE:
                return self._receive(operation, service)
            return self._collect(operation, service)
        return self._refuse(operation, refusal or Response(status.SOP_CLASS_NOT_SUPPORTED))

    def cancel(self, message_id: int) -> None:
        """C-CANCEL arrived; it may well be too late."""
        for operation in self._operations():
            if operation.message_id == message_id:
                operation.cancel()

    def cancel_all(self) -> None:
        """The peer wants to leave."""
        for operation in self._operations():
            operation.cancel()

    def stop(self) -> None:
        """The association is over: end what only serves the peer.

        A data set that is complete is still finished: whoever sent it will ask for it.
        """
        self._waiting.clear()
        for task, operation in self._running.items():
            operation.cancel()
            if operation.command.verb is not Verb.C_STORE:
                task.cancel()

    def stop_hard(self) -> None:
        """End everything."""
        for task in self._running:
            task.cancel()

    @property
    def tasks(self) -> tuple[asyncio.Task[None], ...]:
        return tuple(self._running)

    def status_of(self, error: Exception) -> Response:
        """Turn what a provider raised into an answer, and note what was not foreseen."""
        if not isinstance(error, IsocenterError):
            log.error("a provider failed", exc_info=error)
        return self._translate(error)

    def finish(self, operation: Operation, receiver: Receiver) -> None:
        self._run(operation, receiver.finish())

    def answer(self, operation: Operation, response: Response) -> None:
        self._run(operation, _at_once(response))

    def _operations(self) -> list[Operation]:
        return [*self._running.values(), *(operation for operation, _ in self._waiting)]

    def _refusal(self, operation: Operation, service: Service | None) -> Response | None:
        command = operation.command
        if command.verb is None or command.verb is Verb.C_CANCEL:
            return Response(status.UNRECOGNIZED_OPERATION)
        if service is None or not operation.context.as_provider:
            return Response(status.SOP_CLASS_NOT_SUPPORTED)
        if any(other.message_id == command.message_id for other in self._operations()):
            return Response(status.DUPLICATE_INVOCATION)
        if command.verb is Verb.C_STORE:
            if not command.has_data_set:
                return Response(status.MISTYPED_ARGUMENT)
            handler: object = service.receive
        else:
            handler = service.perform
        return None if handler else Response(status.UNRECOGNIZED_OPERATION)

    def _refuse(self, operation: Operation, refusal: Response) -> DataSink | None:
        if operation.command.has_data_set:
            return Collecting(0, lambda _: self.answer(operation, refusal))
        self.answer(operation, refusal)
        return None

    def _receive(self, operation: Operation, service: Service) -> DataSink | None:
        try:
            assert service.receive is not None
            return Receiving(self, operation, service.receive(operation))
        except Exception as error:
            return self._refuse(operation, self.status_of(error))

    def _collect(self, operation: Operation, service: Service) -> DataSink | None:
        def collected(dataset: bytes | None) -> None:
            if dataset is None:
                refusal = {"ErrorComment": "identifier is too large"}
                self.answer(operation, Response(status.RESOURCE_LIMITATION, None, refusal))
                return
            operation.dataset = dataset
            self._start(operation, service)

        if operation.command.has_data_set:
            return Collecting(self._largest, collected)
        self._start(operation, service)
        return None

    def _start(self, operation: Operation, service: Service) -> None:
        assert service.perform is not None
        if len(self._running) < self._most:
            self._run(operation, service.perform(operation))
        elif self._must_read(operation):
            told = {"ErrorComment": f"more than {self._most} operations at once"}
            self.answer(operation, Response(status.RESOURCE_LIMITATION, None, told))
        else:
            self._waiting.append((operation, service))
            self._association.connection.hold("operations")

    def _must_read(self, operation: Operation) -> bool:
        """Whether one of the operations waits for what the peer says: then nothing may wait."""
        everything = (operation, *self._running.values())
        return any(each.command.verb is Verb.C_GET for each in everything)

    def _run(self, operation: Operation, work: Awaitable[Response | None]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._carry_through(operation, work))
        self._running[task] = operation
        task.add_done_callback(self._ended)
        if len(self._running) > self._most:
            self._association.connection.hold("operations")

    async def _carry_through(self, operation: Operation, work: Awaitable[Response | None]) -> None:
        try:
            response = await work
            if response is None and not operation.has_ended:
                raise OutOfTurn("a provider gave no final response")
        except Exception as error:
            if self._association.is_over:
                return
            response = self.status_of(error)
        if response is None or operation.has_ended:
            return
        try:
            await operation.send(response)
        except Aborted:
            log.info("peer left before its answer")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("answering a peer failed", exc_info=error)
        while self._waiting and len(self._running) < self._most:
            operation, service = self._waiting.popleft()
            self._start(operation, service)
        if not self._waiting and len(self._running) <= self._most:
            self._association.connection.go_on("operations")
        if not self.is_busy:
            self._association.became_idle()


async def _at_once(response: Response) -> Response:
    return response
