"""What pages ask of the process that shows them, and of the network: handed in by who starts it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from isocenter.address import Address
from isocenter.archive.archive import Archive
from isocenter.archive.peer_reports import Accepted, Echoed, Outcome
from isocenter.archive.peers import Peers
from isocenter.config import Config
from isocenter.dimse.watching import Watch


@dataclass(frozen=True, slots=True)
class Running:
    """One process."""

    peers: Peers
    watch: Watch
    """Its associations."""
    echo: Callable[[Address], Awaitable[Echoed]]
    accepted: Callable[[Address], Awaitable[Accepted]]
    places: Mapping[str, str]
    """Where settings were set, as ``config.Loaded`` has it."""
    asked: set[str] = field(default_factory=set)
    """AE titles of the peers that are being asked something now."""


def alone(archive: Archive, config: Config) -> Running:
    """Pages of an archive that talks to nobody."""

    async def echo(_: Address) -> Echoed:
        return Echoed(outcome=Outcome.UNREACHABLE)

    async def accepted(_: Address) -> Accepted:
        return Accepted(outcome=Outcome.UNREACHABLE)

    return Running(Peers(archive.index.peers, config.peer), Watch(), echo, accepted, {})


def running_of(request: Request) -> Running:
    """The process that shows this page."""
    running: Running = request.app.state.running
    return running
