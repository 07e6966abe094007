"""Opens associations."""

import asyncio
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from isocenter.address import Address
from isocenter.dicom.implementation import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
)
from isocenter.dimse import pdu
from isocenter.dimse.association import Association, Peer, processing_failure
from isocenter.dimse.failures import Aborted, NoConnection, Rejected, TimedOut
from isocenter.dimse.negotiation import (
    Context,
    Offer,
    Proposal,
    conclude,
    propose,
    propose_roles,
)
from isocenter.dimse.operation import Operation, Receiver, Service, StatusOf
from isocenter.dimse.pdu import AssociateAccept, AssociateReject, AssociateRequest
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.slabs import SlabPool
from isocenter.dimse.status import Response
from isocenter.dimse.user_information import Extended, UserIdentity, UserInformation, Window
from isocenter.dimse.watching import Watch
from isocenter.errors import Unavailable

CLOSE_GRACE = 1.0  # seconds

Receive = Callable[[Operation], Receiver]
Perform = Callable[[Operation], Awaitable[Response | None]]


@asynccontextmanager
async def associate(
    address: Address,
    *,
    calling_ae_title: str,
    proposals: Sequence[Proposal],
    receive: Receive | None = None,
    perform: Perform | None = None,
    window: Window | None = None,
    identity: UserIdentity | None = None,
    status_of: StatusOf = processing_failure,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    ssl: tls.SSLContext | None = None,
    watch: Watch | None = None,
) -> AsyncIterator[Association]:
    """An association with ``address``, released at the end, aborted if an error ends it.

    ``receive`` opens receivers for the C-STOREs, ``perform`` performs whatever else the peer asks
    for on contexts that were proposed ``as_provider``. Raises: NoConnection, Rejected, Aborted,
    TimedOut, Unsupported.
    """
    association = await connect(
        address,
        calling_ae_title=calling_ae_title,
        proposals=proposals,
        receive=receive,
        perform=perform,
        window=window,
        identity=identity,
        status_of=status_of,
        limits=limits,
        timeouts=timeouts,
        ssl=ssl,
        watch=watch,
    )
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    else:
        if association.is_busy:
            association.abort("left with an operation under way")
        elif association.is_established:
            await association.release()
    finally:
        await association.wait_closed(CLOSE_GRACE)


async def connect(
    address: Address,
    *,
    calling_ae_title: str,
    proposals: Sequence[Proposal],
    receive: Receive | None = None,
    perform: Perform | None = None,
    window: Window | None = None,
    identity: UserIdentity | None = None,
    status_of: StatusOf = processing_failure,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    ssl: tls.SSLContext | None = None,
    watch: Watch | None = None,
) -> Association:
    """As ``associate``; whoever calls it releases or aborts."""
    limits, timeouts = limits or Limits(), timeouts or Timeouts()
    request = _request(address, calling_ae_title, proposals, window, identity, limits)

    def accepted(association: Association, answer: AssociateAccept) -> None:
        agreement = conclude(request, answer)
        peer = _peer(address, answer)
        association.establish(agreement, peer, invoked=agreement.window.invoked)
        if watch is not None:
            watch.began(association, calling=calling_ae_title, is_ours=True)

    association = Association(
        is_requestor=True,
        find_service=_serve_with(receive, perform),
        request=request,
        accepted=accepted,
        ended=watch.ended if watch is not None else None,
        status_of=status_of,
        limits=limits,
        timeouts=timeouts,
        pool=SlabPool(kept=4),
    )
    try:
        async with asyncio.timeout(timeouts.establishment):
            await _open(association, address, ssl)
    except BaseException as error:
        association.abort()
        await association.wait_closed(CLOSE_GRACE)
        failure = error
        if isinstance(error, TimeoutError):
            failure = TimedOut(f"{address} does not answer")
        if watch is not None and isinstance(failure, Unavailable):
            watch.refused(
                calling=calling_ae_title,
                called=address.ae_title,
                host=address.host,
                reason=str(failure),
                is_ours=True,
            )
        if failure is error:
            raise
        raise failure from None
    return association


def _peer(address: Address, answer: AssociateAccept) -> Peer:
    said = answer.information
    return Peer(
        ae_title=address.ae_title,
        called_ae_title=address.ae_title,
        host=address.host,
        port=address.port,
        maximum_length=said.maximum_length,
        implementation_class=said.implementation_class,
        implementation_version=said.implementation_version,
        identity_response=said.identity_response,
    )


def _request(
    address: Address,
    calling_ae_title: str,
    proposals: Sequence[Proposal],
    window: Window | None,
    identity: UserIdentity | None,
    limits: Limits,
) -> AssociateRequest:
    extended = {
        one.abstract_syntax: Extended(one.abstract_syntax, one.extended)
        for one in proposals
        if one.extended is not None
    }
    common = {one.abstract_syntax: one.common_extended for one in proposals if one.common_extended}
    return AssociateRequest(
        called_ae_title=address.ae_title,
        calling_ae_title=calling_ae_title,
        contexts=propose(proposals),
        information=UserInformation(
            maximum_length=limits.pdu_size,
            implementation_class=IMPLEMENTATION_CLASS_UID,
            implementation_version=IMPLEMENTATION_VERSION_NAME,
            window=window,
            roles=propose_roles(proposals),
            extended=tuple(extended.values()),
            common_extended=tuple(common.values()),
            identity=identity,
        ),
    )


def _serve_with(
    receive: Receive | None, perform: Perform | None
) -> Callable[[Context], Service | None]:
    def find(context: Context) -> Service:
        offer = Offer(
            abstract_syntax=context.abstract_syntax, transfer_syntaxes=(context.transfer_syntax,)
        )
        return Service(offer=offer, receive=receive, perform=perform)

    return find


async def _open(association: Association, address: Address, ssl: tls.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(
            lambda: association.connection, address.host, address.port, ssl=ssl
        )
    except OSError as error:
        raise NoConnection(f"cannot connect to {address}: {error.strerror or error}") from error
    answer = await asyncio.shield(association.answered)
    if isinstance(answer, AssociateReject):
        raise Rejected(answer)
    if isinstance(answer, Aborted):
        raise answer
    if answer.application_context not in ("", pdu.APPLICATION_CONTEXT):
        raise Aborted("the peer wants an application context that DICOM has not")
