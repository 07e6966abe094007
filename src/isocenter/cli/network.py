"""What the commands that talk to a peer have in common, and ``isocenter echo``."""

import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from isocenter.address import Address, ae_title
from isocenter.errors import Malformed, Unavailable

if TYPE_CHECKING:
    from isocenter.dimse.association import Association
    from isocenter.dimse.client import Receive
    from isocenter.dimse.negotiation import Proposal
    from isocenter.dimse.settings import Timeouts

T = TypeVar("T")

FAILED = 1
NO_ASSOCIATION = 3


class NoAssociation(Unavailable):
    """The peer could not be reached, or would not talk to us."""

    @classmethod
    def because(cls, error: Unavailable, peer: Address) -> "NoAssociation":
        """Say why, and with whom."""
        reason = str(error)
        return cls(reason if str(peer) in reason else f"{peer}: {reason}")


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except Malformed as error:
        raise typer.BadParameter(str(error)) from error


def _title(text: str) -> str:
    try:
        return ae_title(text)
    except Malformed as error:
        raise typer.BadParameter(str(error)) from error


PeerArgument = Annotated[
    Address, typer.Argument(metavar="AET@HOST:PORT", parser=_address, help="The peer.")
]
CallingOption = Annotated[
    str, typer.Option("--aet", parser=_title, metavar="AET", help="Our AE title.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(min=0.1, help="Seconds to wait for the peer. [30 to connect, 120 to answer]"),
]
DestinationOption = Annotated[
    str,
    typer.Option("--dest", parser=_title, metavar="AET", help="Where to, as the peer knows it."),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", "-v", help="Log what happens to standard error.")
]


def run(work: Coroutine[Any, Any, T], *, is_verbose: bool = False) -> T:
    """Run ``work`` on an event loop of its own."""
    import logging

    if is_verbose:
        from isocenter.app import log

        log.configure("info")
    else:
        logging.getLogger().addHandler(logging.NullHandler())
    try:
        import uvloop
    except ImportError:
        import asyncio

        return asyncio.run(work)
    return uvloop.run(work)


def timeouts_of(seconds: float | None, *, dimse: float = 120.0) -> "Timeouts":
    """How long to wait; ``dimse`` for an answer, unless the user said."""
    from isocenter.dimse.settings import Timeouts

    if seconds is None:
        return Timeouts(dimse=dimse)
    return Timeouts(artim=seconds, establishment=seconds, dimse=seconds, network=seconds)


async def connect(
    peer: Address,
    calling: str,
    proposals: "Sequence[Proposal]",
    timeouts: "Timeouts",
    *,
    receive: "Receive | None" = None,
) -> "Association":
    """Open an association. Raises: NoConnection, Rejected, Aborted."""
    from isocenter.dimse import client
    from isocenter.services.status import response_of

    return await client.connect(
        peer,
        calling_ae_title=calling,
        proposals=proposals,
        receive=receive,
        status_of=response_of,
        timeouts=timeouts,
    )


@asynccontextmanager
async def associated(
    peer: Address,
    calling: str,
    proposals: "Sequence[Proposal]",
    timeouts: "Timeouts",
    *,
    receive: "Receive | None" = None,
) -> "AsyncIterator[Association]":
    """An association for a command. Raises: NoAssociation, if none can be had."""
    from isocenter.dimse import client

    try:
        association = await connect(peer, calling, proposals, timeouts, receive=receive)
    except Unavailable as error:
        raise NoAssociation.because(error, peer) from error
    try:
        yield association
        if association.is_established and not association.is_busy:
            await association.release()
    finally:
        association.abort()
        await association.wait_closed(client.CLOSE_GRACE)


def echo(
    peer: PeerArgument,
    aet: CallingOption = "ISOCENTER",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Ask whether a peer is there and talks to us (C-ECHO)."""
    run(_echo(peer, aet, timeouts_of(timeout)), is_verbose=verbose)


async def _echo(peer: Address, calling: str, timeouts: "Timeouts") -> None:
    from isocenter.dimse.association import VERIFICATION
    from isocenter.dimse.negotiation import Proposal

    begun = time.perf_counter()
    proposals = [Proposal(abstract_syntax=VERIFICATION)]
    async with associated(peer, calling, proposals, timeouts) as association:
        connected = time.perf_counter()
        response = await association.echo()
        answered = time.perf_counter()
        who = association.peer.implementation_version
    if not response.is_success:
        raise Unavailable(f"{peer} answered with status {response.status:04X}")
    took = f"connected in {(connected - begun) * 1000:.0f} ms"
    typer.echo(
        f"{peer} answers: {took}, echo in {(answered - connected) * 1000:.1f} ms"
        f"{f' ({who})' if who.isprintable() and who else ''}"
    )
