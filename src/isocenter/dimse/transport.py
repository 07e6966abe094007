"""One TCP connection under the upper layer's state machine. Bytes, clocks and buffers live here."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Protocol, cast

from isocenter.dimse import pdu
from isocenter.dimse.failures import Aborted, TimedOut
from isocenter.dimse.message import Buffer
from isocenter.dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.slabs import SMALLEST_TAIL, Fragment, Slab, SlabPool
from isocenter.dimse.stream import Splitter, UnknownUnit
from isocenter.dimse.upper_layer import Effect, Event, State, UpperLayer
from isocenter.errors import Malformed, OutOfTurn

log = logging.getLogger(__name__)

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
HAS_SENDMSG = hasattr(socket.socket, "sendmsg")
MOST_PARTS = 1024  # what one call takes everywhere (IOV_MAX)
LONGEST_TICK = 5.0  # seconds
READ_SIZE = 1 << 18  # bytes at a time: a worker writes one piece while the next is read
SHORTEST_TICK = 0.02
OVER = frozenset({State.IDLE, State.AWAITING_CLOSE})
UNBORN = frozenset(
    {
        State.AWAITING_REQUEST,
        State.AWAITING_OUR_ANSWER,
        State.AWAITING_TRANSPORT,
        State.AWAITING_ANSWER,
    }
)

RECEIVED = {
    pdu.ASSOCIATE_RQ: Event.REQUEST_RECEIVED,
    pdu.ASSOCIATE_AC: Event.ACCEPT_RECEIVED,
    pdu.ASSOCIATE_RJ: Event.REJECT_RECEIVED,
    pdu.RELEASE_RQ: Event.RELEASE_REQUEST_RECEIVED,
    pdu.RELEASE_RP: Event.RELEASE_RESPONSE_RECEIVED,
    pdu.ABORT: Event.ABORT_RECEIVED,
}


class User(Protocol):
    """The upper layer's user. No method may block."""

    def connected(self) -> None: ...
    def requested(self, request: AssociateRequest) -> None: ...
    def accepted(self, answer: AssociateAccept) -> None: ...
    def rejected(self, rejection: AssociateReject) -> None: ...
    def fragment(self, context_id: int, control: int, piece: memoryview, *, ends: bool) -> None:
        """Raises: Malformed, which aborts the association."""

    def release_requested(self) -> None: ...
    def released(self) -> None: ...
    def lost(self, failure: Aborted) -> None:
        """The association is over, not by release. May be told more than once."""

    def closed(self) -> None:
        """The transport connection is gone; the last that is told."""

    @property
    def is_amid(self) -> bool:
        """Whether the peer still owes the rest of a message."""

    def patience(self) -> float | None:
        """Seconds the peer may now be silent between PDUs; None, if it waits for us."""


class Connection(asyncio.BufferedProtocol):
    """Turns bytes into calls on its ``User``, and what the user wants into bytes."""

    def __init__(
        self,
        user: User,
        *,
        is_requestor: bool,
        limits: Limits,
        timeouts: Timeouts,
        pool: SlabPool,
    ) -> None:
        self._user = user
        self._is_requestor = is_requestor
        self._limits = limits
        self._timeouts = timeouts
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._machine = UpperLayer(is_requestor=is_requestor)
        self._splitter = Splitter(
            self,
            largest_data=limits.pdu_size,
            largest_associate=limits.association_pdu_size,
        )
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None
        self._slab: Slab | None = None
        self._is_feeding = False
        self._takes_data = False
        self._held = 0  # bytes of fragments not yet released
        self._holds: set[str] = set()  # why reading is paused
        self._writable: asyncio.Future[None] | None = None
        self._artim: asyncio.TimerHandle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._heard = self._loop.time()
        self._unwritten = 0  # bytes at the last tick
        self._progressed = self._heard
        self.bytes_in = self.bytes_out = 0
        self._at_once = 0  # bytes written past the event loop since others had their turn
        self._abort_reason = 0
        self.is_unwanted = False  # there are too many: closed unheard
        self._effects = {
            Effect.SEND_USER_ABORT: self._send_user_abort,
            Effect.SEND_PROVIDER_ABORT: self._send_provider_abort,
            Effect.START_ARTIM: self._start_artim,
            Effect.STOP_ARTIM: self._stop_artim,
            Effect.CLOSE: self._close,
            Effect.TELL_RELEASE_REQUEST: user.release_requested,
            Effect.TELL_RELEASE_RESPONSE: user.released,
            Effect.SEND_RELEASE_REQUEST: lambda: self._write(pdu.ReleaseRequest().encode()),
            Effect.SEND_RELEASE_RESPONSE: lambda: self._write(pdu.ReleaseResponse().encode()),
            Effect.TELL_LOSS: self._tell_loss,
        }
        if is_requestor:
            self._machine.handle(Event.WE_REQUEST)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        high = self._limits.write_ahead
        self._transport.set_write_buffer_limits(high=high, low=high // 4)
        given = transport.get_extra_info("socket")
        if given is not None:
            with contextlib.suppress(OSError):
                # uvloop's stand-in makes a socket for every call; this one is given back below.
                self._socket = socket.socket(fileno=given.fileno())
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.is_unwanted:
            self._transport.abort()
            return
        self._watch()
        if not self._is_requestor:
            self._perform(Event.TRANSPORT_INDICATED)
        self._user.connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        slab = self._slab
        if slab is None:
            slab = self._slab = self._pool.lend()
        return slab.view[slab.filled : slab.filled + READ_SIZE]

    def buffer_updated(self, nbytes: int) -> None:
        slab = self._slab
        if slab is None:
            return
        self._heard = self._loop.time()
        self.bytes_in += nbytes
        start = slab.filled
        slab.filled = stop = start + nbytes
        if not self._splitter.stopped:
            self._is_feeding = True
            try:
                self._splitter.feed(slab.view[start:stop])
            except Malformed as fault:
                self._refuse(fault)
            finally:
                self._is_feeding = False
        if self._splitter.is_amid or self._user.is_amid:
            self._ask_for_quick_acknowledgement()
        if slab.holders == 1 or self._pool.size - stop < SMALLEST_TAIL:
            self._let_slab_go()

    def eof_received(self) -> bool:
        return False  # a half-open association is of no use: close our side, too

    def connection_lost(self, exc: Exception | None) -> None:
        if self._socket is not None:
            self._socket.detach()
            self._socket = None
        self._takes_data = False
        self._splitter.stopped = True
        self._stop_artim()
        if self._tick:
            self._tick.cancel()
        self._let_slab_go()
        if self._machine.allows(Event.TRANSPORT_CLOSED):
            self._perform(Event.TRANSPORT_CLOSED)
        self._wake_writer()
        self._user.closed()

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        self._wake_writer()

    # What the splitter calls.

    def data_begins(self) -> bool:
        before = self._machine.state
        if before is State.IDLE:
            return False
        self._abort_reason = pdu.UNEXPECTED_PDU
        effects = self._machine.handle(Event.DATA_RECEIVED)
        self._takes_data = Effect.TELL_DATA in effects
        if not self._takes_data:
            self._carry_out(effects, before)
        return self._machine.state is not State.IDLE

    def fragment(self, context_id: int, control: int, piece: memoryview, *, ends: bool) -> None:
        if not self._takes_data:
            return
        try:
            self._user.fragment(context_id, control, piece, ends=ends)
        except Malformed as fault:
            self.abort(Aborted(f"peer broke the message protocol: {fault.reason}"))

    def unit(self, pdu_type: int, body: bytes) -> bool:
        self._abort_reason = pdu.UNEXPECTED_PDU
        unit = pdu.decode(pdu_type, body)
        match unit:
            case AssociateRequest():
                self._take_request(unit)
            case AssociateAccept():
                self._receive(pdu_type, lambda: self._user.accepted(unit))
            case AssociateReject():
                self._receive(pdu_type, lambda: self._user.rejected(unit))
            case pdu.Abort():
                self._receive(pdu_type, lambda: self._user.lost(Aborted(str(unit), unit)))
            case _:
                self._receive(pdu_type, None)
        return self._machine.state is not State.IDLE

    def _receive(self, pdu_type: int, tell: Callable[[], None] | None) -> None:
        event = RECEIVED[pdu_type]
        if self._machine.allows(event):
            self._perform(event, tell=tell)

    def _take_request(self, request: AssociateRequest) -> None:
        understood = bool(request.protocol_version & 1)
        if self._machine.allows(Event.REQUEST_RECEIVED):
            self._perform(
                Event.REQUEST_RECEIVED,
                tell=lambda: self._user.requested(request),
                unit=pdu.PROTOCOL_VERSION_NOT_SUPPORTED,
                is_acceptable=understood,
            )

    # What the user calls.

    @property
    def state(self) -> State:
        return self._machine.state

    @property
    def is_over(self) -> bool:
        return self._machine.state in OVER

    @property
    def peer_address(self) -> tuple[str, int]:
        """Host and port of the other end."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)

    def request(self, request: AssociateRequest) -> None:
        self._perform(Event.TRANSPORT_CONFIRMED, unit=request)

    def accept(self, answer: AssociateAccept) -> None:
        """Raises: OutOfTurn, if the association ended meanwhile."""
        self._perform(Event.WE_ACCEPT, unit=answer)

    def reject(self, rejection: AssociateReject) -> None:
        """Raises: OutOfTurn, if the association ended meanwhile."""
        self._perform(Event.WE_REJECT, unit=rejection)

    def release(self) -> None:
        """Raises: OutOfTurn, unless the association is established."""
        self._perform(Event.WE_RELEASE)

    def answer_release(self) -> None:
        if self._machine.allows(Event.WE_ANSWER_RELEASE):
            self._perform(Event.WE_ANSWER_RELEASE)

    def abort(self, failure: Aborted) -> None:
        """End the association now; the user is told of ``failure``."""
        self._takes_data = False
        if self._machine.allows(Event.WE_ABORT):
            self._note("association aborted", failure)
            self._perform(Event.WE_ABORT)
        elif self._transport and not self._transport.is_closing() and not self.is_over:
            self._transport.abort()
        self._user.lost(failure)

    @property
    def is_connected(self) -> bool:
        """Whether there ever was a transport connection."""
        return self._transport is not None

    def cut(self) -> None:
        """Close the transport connection without a word."""
        if self._transport:
            self._transport.abort()

    def send(self, parts: list[Buffer]) -> None:
        """Queue whole P-DATA-TF PDUs; wait for ``writable`` before the next ones.

        The buffers must stay as they are until they are written. Raises: Aborted, OutOfTurn.
        """
        if not self._machine.allows(Event.WE_SEND_DATA) or self._transport is None:
            if self._machine.state in UNBORN:
                raise OutOfTurn(f"nothing can be sent in {self._machine.state.name}")
            raise Aborted("the association is over")
        self._machine.handle(Event.WE_SEND_DATA)
        self._heard = self._loop.time()
        self._hand_over(self._transport, parts)

    async def writable(self) -> None:
        """Wait until little enough is queued. Raises: Aborted."""
        while self._writable is not None:
            await asyncio.shield(self._writable)
        if self._at_once > self._limits.write_ahead:
            self._at_once = 0
            await asyncio.sleep(0)  # a peer that takes everything is not the only one
        if self.is_over:
            raise Aborted("the association is over")

    def lend(self, piece: memoryview) -> Fragment:
        """Keep a piece of what ``fragment`` was just told, until it is released."""
        slab = self._slab
        if slab is None:
            raise OutOfTurn("there is no fragment to lend")
        self._held += len(piece)
        if self._held > self._limits.backlog:
            self.hold("backlog")
        return Fragment(piece, slab, self._released)

    def hold(self, reason: str) -> None:
        """Stop reading until ``reason`` is gone."""
        if not self._holds and self._transport and not self._transport.is_closing():
            self._transport.pause_reading()
        self._holds.add(reason)

    def go_on(self, reason: str) -> None:
        """Take back ``hold``."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        if not self._holds and self._transport and not self._transport.is_closing():
            self._heard = self._loop.time()
            self._transport.resume_reading()

    # Inside.

    def _hand_over(self, transport: asyncio.Transport, parts: list[Buffer]) -> None:
        """Write what the system takes at once, and queue the rest.

        The event loop would begin only after whatever else is due, while the peer waits.
        """
        self.bytes_out += sum(map(len, parts))
        if self._socket is not None and HAS_SENDMSG and not transport.get_write_buffer_size():
            with contextlib.suppress(OSError):  # no room, or gone: the transport finds out
                sent = self._socket.sendmsg(parts[:MOST_PARTS])
                self._at_once += sent
                parts = _behind(parts, sent)
        if parts:
            transport.writelines(cast("list[bytes]", parts))

    def _perform(
        self,
        event: Event,
        *,
        tell: Callable[[], None] | None = None,
        unit: AssociateRequest | AssociateAccept | AssociateReject | None = None,
        is_acceptable: bool = True,
    ) -> None:
        before = self._machine.state
        effects = self._machine.handle(event, is_acceptable=is_acceptable)
        self._carry_out(effects, before, tell, unit)

    def _carry_out(
        self,
        effects: tuple[Effect, ...],
        before: State,
        tell: Callable[[], None] | None = None,
        unit: AssociateRequest | AssociateAccept | AssociateReject | None = None,
    ) -> None:
        for effect in effects:
            if (act := self._effects.get(effect)) is not None:
                act()
            elif unit is not None and effect in SENDS_UNIT:
                self._write(unit.encode())
            elif tell is not None:
                tell()
        if effects and effects[0] is Effect.SEND_PROVIDER_ABORT:
            self._note("peer broke the upper layer protocol", before.name)

    def _write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def _send_user_abort(self) -> None:
        self._takes_data = False
        self._write(pdu.Abort(pdu.SERVICE_USER).encode())

    def _send_provider_abort(self) -> None:
        self._takes_data = False
        self._write(pdu.Abort(pdu.SERVICE_PROVIDER, self._abort_reason).encode())

    def _tell_loss(self) -> None:
        self._user.lost(Aborted("the connection was lost or its protocol broken"))

    def _refuse(self, fault: Malformed) -> None:
        unknown = isinstance(fault, UnknownUnit)
        self._abort_reason = pdu.UNRECOGNIZED_PDU if unknown else pdu.INVALID_PARAMETER
        self._splitter.stopped = True  # there is no finding the next PDU
        self._note("peer sent what is no PDU", fault.reason)
        if self._machine.allows(Event.INVALID_RECEIVED):
            self._perform(Event.INVALID_RECEIVED)

    def _start_artim(self) -> None:
        self._stop_artim()
        self._artim = self._loop.call_later(self._timeouts.artim, self._artim_expired)

    def _stop_artim(self) -> None:
        if self._artim:
            self._artim.cancel()
            self._artim = None

    def _artim_expired(self) -> None:
        if self._machine.allows(Event.ARTIM_EXPIRED):
            self._note("peer fell silent", self._machine.state.name)
            self._perform(Event.ARTIM_EXPIRED)

    def _close(self) -> None:
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # what still waits is of no use to a peer that is through
        else:
            self._transport.close()

    def _released(self, size: int) -> None:
        self._held -= size
        if self._held <= self._limits.backlog // 2:
            self.go_on("backlog")
        if not self._held and not self._is_feeding:
            self._let_slab_go()

    def _let_slab_go(self) -> None:
        slab, self._slab = self._slab, None
        if slab is not None:
            slab.let_go()

    def _wake_writer(self) -> None:
        waiter, self._writable = self._writable, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _ask_for_quick_acknowledgement(self) -> None:
        # A sender with Nagle's algorithm on keeps the rest of its message back until it hears that
        # the beginning arrived. The kernel forgets the option; a whole message our answer
        # acknowledges.
        if QUICKACK is not None and self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    def _watch(self) -> None:
        """Look now and then whether the peer does its part."""
        now = self._loop.time()
        pause = min(max(self._timeouts.shortest / 4, SHORTEST_TICK), LONGEST_TICK)
        self._tick = self._loop.call_later(pause, self._watch)
        if self._machine.state not in (State.ESTABLISHED, State.AWAITING_OUR_RELEASE):
            return
        unwritten = self._transport.get_write_buffer_size() if self._transport else 0
        if not unwritten or unwritten != self._unwritten:
            self._unwritten, self._progressed = unwritten, now
        elif now - self._progressed > self._timeouts.network:
            self.abort(TimedOut("the peer takes no bytes"))
            return
        amid = self._splitter.is_amid
        patience = self._timeouts.dimse if amid else self._user.patience()
        if patience is not None and not self._holds and now - self._heard > patience:
            self.abort(TimedOut("the peer fell silent"))

    def _note(self, what: str, detail: object) -> None:
        host, port = self.peer_address
        log.info("%s", what, extra={"detail": str(detail), "host": host, "port": port})


def _behind(parts: list[Buffer], sent: int) -> list[Buffer]:
    """What of ``parts`` remains when ``sent`` bytes are gone."""
    for number, part in enumerate(parts):
        size = len(part)
        if sent < size:
            return [memoryview(part)[sent:], *parts[number + 1 :]]
        sent -= size
    return []


SENDS_UNIT = frozenset({Effect.SEND_REQUEST, Effect.SEND_ACCEPT, Effect.SEND_REJECT})
