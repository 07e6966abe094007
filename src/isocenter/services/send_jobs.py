"""Jobs of kind ``send``: instances of the archive to a peer, by C-STORE (PS3.4 annex B)."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol

from isocenter.address import Address
from isocenter.archive.archive import Archive
from isocenter.archive.peers import Peers
from isocenter.archive.send_requests import SendRequest
from isocenter.dimse.association import Association
from isocenter.dimse.client import connect
from isocenter.dimse.negotiation import Proposal
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.status import OUT_OF_RESOURCES, RESOURCE_LIMITATION
from isocenter.dimse.status_meanings import ANY, STORAGE, meanings_of
from isocenter.dimse.watching import Watch
from isocenter.errors import NotFound, Unavailable, Unsupported
from isocenter.services import delivery
from isocenter.services.delivery import Delivery, Outcome
from isocenter.services.selection_feed import SelectionFeed
from isocenter.services.status import response_of
from isocenter.storage.job_records import Fate, Job, Settled

FATES: Final = {
    delivery.Fate.SENT: Fate.DONE,
    delivery.Fate.WARNED: Fate.WARNED,
    delivery.Fate.FAILED: Fate.FAILED,
}
GONE: Final = "what is to be sent was removed, or moved to another patient: send it from there"


class Running(Protocol):
    """A job while it is run."""

    @property
    def job(self) -> Job: ...
    async def tell_total(self, total: int) -> None: ...
    async def done_of(self, sop_instances: Sequence[str]) -> set[str]: ...
    def report(self, settled: Settled) -> None: ...


class SendJobs:
    """Runs them; one association at a time for each."""

    def __init__(
        self,
        archive: Archive,
        peers: Peers,
        aet: str,
        limits: Limits,
        timeouts: Timeouts,
        watch: Watch | None = None,
    ) -> None:
        """``watch``: is shown the associations."""
        self._archive = archive
        self._peers = peers
        self._aet = aet
        self._limits = limits
        self._timeouts = timeouts
        self._watch = watch

    async def __call__(self, running: Running) -> None:
        """Send what the peer has not acknowledged yet.

        Raises: Unavailable, where it may be done another time; any other error, where not.
        """
        request = SendRequest.read(running.job.request)
        peer = await self._peer(request.peer)
        total = await self._archive.index.count_instances(request.selection)
        if not total:
            raise NotFound(GONE)
        await running.tell_total(max(total, running.job.done))
        feed = SelectionFeed(self._archive, request.selection, running.done_of)
        account = _Account(running.report)
        connecting = partial(
            connect,
            peer,
            calling_ae_title=self._aet,
            status_of=response_of,
            limits=self._limits,
            timeouts=self._timeouts,
            watch=self._watch,
        )

        def connected(proposals: list[Proposal]) -> Awaitable[Association]:
            return connecting(proposals=proposals)

        await Delivery(feed, connected, account.note).run()
        if feed.gone:
            await running.tell_total(max(total - feed.gone, 0))
        account.settle(is_whole=feed.is_through)
        if feed.met < total:
            raise Unavailable(f"not all was met: {GONE}")

    async def _peer(self, title: str) -> Address:
        known = await self._peers.destination(title)
        if known is None:
            raise NotFound(f"no peer {title} is known here any more")
        return known


class _Account:
    """Tells what became of each instance, and in the end what became of the job."""

    def __init__(self, report: Callable[[Settled], None]) -> None:
        self._report = report
        self._failed = self._passing = 0
        self._reason = ""

    def note(self, outcome: Outcome) -> None:
        """Take what became of one instance."""
        fate = FATES[outcome.fate]
        reason = _reason(outcome)
        if fate is Fate.FAILED:
            self._failed += 1
            self._passing += _is_passing(outcome)
            self._reason = reason
        self._report(Settled(outcome.name, fate, outcome.size, reason))

    def settle(self, *, is_whole: bool) -> None:
        """Return if all is done. Raises: Unavailable, Unsupported."""
        if not is_whole:
            raise Unavailable(self._reason or "the association was lost")
        if self._failed:
            told = f"{self._failed} could not be sent: {self._reason}"
            raise (Unavailable if self._passing else Unsupported)(told)


def _is_passing(outcome: Outcome) -> bool:
    """Whether it may go better another time."""
    if outcome.status is not None:
        return outcome.status >> 8 == OUT_OF_RESOURCES >> 8 or outcome.status == RESOURCE_LIMITATION
    return isinstance(outcome.error, Unavailable)


def _reason(outcome: Outcome) -> str:
    """Why it failed, or what the warning was.

    What the peer said in its own words is left out: it may name the patient.
    """
    if outcome.fate is delivery.Fate.SENT:
        return ""
    if outcome.status is not None:
        meanings = [each for each in meanings_of(outcome.status) if each.service in (STORAGE, ANY)]
        told = f"status {outcome.status:04X}"
        return f"{told}: {meanings[0].text}" if meanings else told
    if isinstance(outcome.error, Unavailable | Unsupported):
        return str(outcome.error)
    return "it cannot be read: isocenter verify tells more"
