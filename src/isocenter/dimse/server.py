"""Listens for associations and answers them."""

import asyncio
import logging
import ssl as tls
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass

from isocenter.dicom.implementation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from isocenter.dimse import pdu
from isocenter.dimse.association import Association, Peer, processing_failure
from isocenter.dimse.negotiation import Context, Offer, negotiate
from isocenter.dimse.operation import Service, StatusOf
from isocenter.dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.slabs import SlabPool
from isocenter.dimse.user_information import CommonExtended, UserInformation
from isocenter.dimse.watching import Watch
from isocenter.errors import Denied, OutOfTurn, Unavailable

log = logging.getLogger(__name__)

QUIET = 0.5  # seconds without an operation after which a draining server lets an association go
BACKLOG = 512


@dataclass(frozen=True, slots=True)
class Admission:
    """Lets a caller in; ``server_response`` answers its user identity, if it asked for that."""

    server_response: bytes = b""


Admit = Callable[[Peer], Awaitable[Admission | AssociateReject]]
Unknown = Callable[[str, CommonExtended | None], Service | None]


async def admit_anyone(peer: Peer) -> Admission:
    return Admission()


class DimseServer:
    """Takes associations for the AE titles given, and has services perform what is asked."""

    def __init__(
        self,
        services: Iterable[Service],
        *,
        ae_titles: Collection[str] = (),
        admit: Admit = admit_anyone,
        unknown: Unknown | None = None,
        status_of: StatusOf = processing_failure,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        implementation: tuple[str, str] = (IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME),
        watch: Watch | None = None,
    ) -> None:
        """Without ``ae_titles`` any called AE title will do.

        ``admit`` decides about each caller, by AE title, address and user identity. ``unknown``
        may give a service for an abstract syntax that is not among ``services``.
        """
        self._services = {service.offer.abstract_syntax: service for service in services}
        self._ae_titles = frozenset(ae_titles)
        self._admit = admit
        self._unknown = unknown
        self._status_of = status_of
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._implementation = implementation
        self._watch = watch or Watch()
        self._pool = SlabPool()
        self._servers: list[asyncio.Server] = []
        self._connections: set[Association] = set()
        self._associated: dict[Association, str] = {}  # with their peers' addresses
        self._per_address: Counter[str] = Counter()
        self._performing: set[asyncio.Task[None]] = set()
        self._deciding: set[asyncio.Task[None]] = set()
        self._is_draining = False

    async def start(
        self, host: str = "127.0.0.1", port: int = 0, *, ssl: tls.SSLContext | None = None
    ) -> None:
        """Listen; port 0 takes a free one. Raises: Unavailable, if the port is taken."""
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                self._answer_connection, host, port, ssl=ssl, backlog=BACKLOG
            )
        except OSError as error:
            raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._servers.append(server)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, as (host, port)."""
        sockets = [one for server in self._servers for one in server.sockets]
        return [tuple(one.getsockname()[:2]) for one in sockets]

    @property
    def port(self) -> int:
        """The first port it listens on."""
        return self.addresses[0][1]

    @property
    def associations(self) -> int:
        """How many are established now."""
        return len(self._associated)

    async def drain(self, deadline: float) -> None:
        """Take no more associations; let go of those that are quiet, wait for the others.

        After ``deadline`` seconds what is left is aborted.
        """
        self._is_draining = True
        self._stop_listening()
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline
        quiet: dict[Association, float] = {}
        while self._connections and loop.time() < end:
            self._let_go_of_quiet(quiet, loop.time())
            waits = [one.ended for one in self._connections]
            left = max(min(QUIET / 4, end - loop.time()), 0)
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if self._performing and (left := end - loop.time()) > 0:
            await asyncio.wait(self._performing, timeout=left)
        await self.close()

    async def close(self) -> None:
        """Abort everything and wait until it is gone."""
        self._is_draining = True
        self._stop_listening()
        connections, tasks = list(self._connections), list(self._performing | self._deciding)
        for association in connections:
            association.abort("this side shuts down")
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)  # lets the aborts reach the sockets
        for association in connections:
            association.cancel_everything()
        waits = [*tasks, *(one.ended for one in connections)]
        if waits:
            await asyncio.wait(waits, timeout=1)

    def _stop_listening(self) -> None:
        for server in self._servers:
            server.close()

    def _let_go_of_quiet(self, quiet: dict[Association, float], now: float) -> None:
        for association in list(self._connections):
            if association.is_busy or association.is_over:
                quiet.pop(association, None)
            elif now - quiet.setdefault(association, now) >= QUIET:
                association.abort("this side shuts down")

    def _answer_connection(self) -> asyncio.BufferedProtocol:
        association = Association(
            is_requestor=False,
            find_service=self._find,
            requested=self._requested,
            ended=self._ended,
            status_of=self._status_of,
            limits=self._limits,
            timeouts=self._timeouts,
            pool=self._pool,
        )
        self._connections.add(association)
        if len(self._connections) > self._limits.connections:
            log.warning("too many connections", extra={"most": self._limits.connections})
            association.connection.is_unwanted = True
        return association.connection

    def _ended(self, association: Association) -> None:
        self._connections.discard(association)
        self._watch.ended(association)
        for task in association.performing:  # what is being finished yet
            self._performing.add(task)
            task.add_done_callback(self._performing.discard)
        address = self._associated.pop(association, None)
        if address is not None:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    def _find(self, context: Context) -> Service | None:
        return self._look_up(context.abstract_syntax, None)

    def _look_up(self, syntax: str, common: CommonExtended | None) -> Service | None:
        service = self._services.get(syntax)
        if service is None and self._unknown is not None:
            service = self._unknown(syntax, common)
            if service is not None and len(self._services) < MOST_SERVICES:
                self._services[syntax] = service
        return service

    def _offer(self, syntax: str, common: CommonExtended | None) -> Offer | None:
        service = self._look_up(syntax, common)
        return service.offer if service else None

    def _requested(self, association: Association, request: AssociateRequest) -> None:
        host, port = association.connection.peer_address
        peer = Peer(
            ae_title=request.calling_ae_title.strip(),
            called_ae_title=request.called_ae_title.strip(),
            host=host,
            port=port,
            maximum_length=request.information.maximum_length,
            implementation_class=request.information.implementation_class,
            implementation_version=request.information.implementation_version,
            identity=request.information.identity,
        )
        refusal = self._refusal(request, peer)
        if refusal is not None:
            self._reject(association, refusal, peer)
            return
        self._associated[association] = host
        self._per_address[host] += 1
        task = asyncio.get_running_loop().create_task(self._decide(association, request, peer))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)

    def _refusal(self, request: AssociateRequest, peer: Peer) -> AssociateReject | None:
        limits = self._limits
        if request.application_context != pdu.APPLICATION_CONTEXT:
            return pdu.APPLICATION_CONTEXT_NOT_SUPPORTED
        if self._ae_titles and peer.called_ae_title not in self._ae_titles:
            return pdu.CALLED_AE_TITLE_NOT_RECOGNIZED
        if self._is_draining:
            return pdu.TEMPORARY_CONGESTION
        if limits.associations and len(self._associated) >= limits.associations:
            return pdu.LOCAL_LIMIT_EXCEEDED
        most = limits.associations_per_address
        if most and self._per_address[peer.host] >= most:
            return pdu.LOCAL_LIMIT_EXCEEDED
        return None

    async def _decide(
        self, association: Association, request: AssociateRequest, peer: Peer
    ) -> None:
        try:
            verdict = await self._admit(peer)
        except Denied:
            verdict = pdu.USER_NOT_AUTHENTICATED
        except Exception as error:
            log.error("deciding about a caller failed", exc_info=error)
            verdict = pdu.TEMPORARY_CONGESTION
        try:
            if isinstance(verdict, AssociateReject):
                self._reject(association, verdict, peer)
            else:
                self._accept(association, request, peer, verdict)
        except OutOfTurn:
            log.info("caller left before the answer", extra={"peer": peer.ae_title})

    def _reject(self, association: Association, rejection: AssociateReject, peer: Peer) -> None:
        log.warning("association %s", rejection, extra={"peer": peer.ae_title, "host": peer.host})
        self._watch.refused(
            calling=peer.ae_title,
            called=peer.called_ae_title,
            host=peer.host,
            reason=str(rejection),
            is_ours=False,
        )
        association.connection.reject(rejection)

    def _accept(
        self, association: Association, request: AssociateRequest, peer: Peer, verdict: Admission
    ) -> None:
        negotiated = negotiate(
            request,
            self._offer,
            most_contexts=self._limits.contexts,
            most_operations=self._limits.operations,
        )
        identity = request.information.identity
        wants_response = identity is not None and identity.wants_response
        answer = AssociateAccept(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            contexts=negotiated.contexts,
            information=UserInformation(
                maximum_length=self._limits.pdu_size,
                implementation_class=self._implementation[0],
                implementation_version=self._implementation[1],
                window=negotiated.window,
                roles=negotiated.roles,
                extended=negotiated.extended,
                identity_response=verdict.server_response if wants_response else None,
            ),
        )
        window = negotiated.agreement.window
        association.establish(negotiated.agreement, peer, invoked=window.performed)
        association.connection.accept(answer)
        self._watch.began(association, calling=peer.ae_title, is_ours=False)


MOST_SERVICES = 4096  # abstract syntaxes remembered; what is made up beyond them is asked anew
