"""Asking a peer whether it is there, and which instances it takes."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from isocenter.address import Address
from isocenter.archive.peer_reports import Accepted, Echoed, Outcome
from isocenter.dicom.sop_classes import STORAGE
from isocenter.dimse.association import VERIFICATION, Association
from isocenter.dimse.client import associate
from isocenter.dimse.failures import Aborted, NoConnection, Rejected, TimedOut
from isocenter.dimse.negotiation import MOST_CONTEXTS, Proposal
from isocenter.dimse.settings import Limits, Timeouts
from isocenter.dimse.watching import Watch
from isocenter.errors import Unavailable, Unsupported
from isocenter.imaging import abilities

SYNTAXES: Final = tuple(abilities.transfer_syntaxes())
"""The transfer syntaxes that instances are kept in."""
AT_ONCE: Final = 40
"""Of one presentation context."""
# Peer quirk: DCMTK takes 50 of one context, and of more it says nothing at all.

PATIENCE: Final = 120.0
"""Seconds after which no more is asked."""

_OUTCOMES: Final = (
    (NoConnection, Outcome.UNREACHABLE),
    (Rejected, Outcome.REJECTED),
    (TimedOut, Outcome.SILENT),
    (Aborted, Outcome.ABORTED),
)


@dataclass(frozen=True, slots=True)
class PeerAsker:
    """Asks as ``aet``; the associations are shown to ``watch``."""

    aet: str
    limits: Limits
    timeouts: Timeouts
    watch: Watch | None = None

    async def echo(self, peer: Address) -> Echoed:
        """C-ECHO (PS3.4 A.4); what goes wrong is in the answer."""
        begun = time.perf_counter()
        try:
            async with self._associate(peer, [Proposal(abstract_syntax=VERIFICATION)]) as found:
                connected = time.perf_counter()
                response = await found.echo()
                answered = time.perf_counter()
                who = found.peer
        except Unsupported:
            return Echoed(outcome=Outcome.DECLINED, reason="it does not accept Verification")
        except Unavailable as error:
            return Echoed(outcome=_outcome(error), reason=str(error))
        is_success = response.is_success
        return Echoed(
            outcome=Outcome.ANSWERED if is_success else Outcome.DECLINED,
            reason="" if is_success else f"status {response.status:04X}",
            connected=connected - begun,
            answered=answered - connected,
            implementation_class=who.implementation_class,
            implementation_version=who.implementation_version,
            maximum_length=who.maximum_length,
        )

    async def accepted(self, peer: Address) -> Accepted:
        """Propose every storage SOP class in every transfer syntax, and tell what was accepted.

        Nothing is stored. An acceptor picks one transfer syntax of a presentation context (PS3.8
        7.1.1.14), so each pair needs one of its own; classes that it does not take at all are
        left out of that.
        """
        classes = sorted(STORAGE)
        syntaxes: dict[str, set[str]] = {}
        associations = 0
        reason, outcome = "", Outcome.ANSWERED
        try:
            async with asyncio.timeout(PATIENCE):
                for proposals in _batches(_whole(classes)):
                    await self._ask(peer, proposals, syntaxes)
                    associations += 1
                for proposals in _batches(_pairs(syntaxes)):
                    await self._ask(peer, proposals, syntaxes)
                    associations += 1
        except TimeoutError:
            outcome, reason = Outcome.SILENT, f"it took longer than {PATIENCE:.0f} s"
        except Unavailable as error:
            outcome, reason = _outcome(error), str(error)
        return Accepted(
            outcome=outcome,
            reason=reason,
            proposed=len(classes),
            associations=associations,
            syntaxes={name: tuple(sorted(found)) for name, found in sorted(syntaxes.items())},
        )

    async def _ask(
        self, peer: Address, proposals: list[Proposal], found: dict[str, set[str]]
    ) -> None:
        async with self._associate(peer, proposals) as association:
            for context in association.contexts.values():
                if context.as_user:
                    known = found.setdefault(context.abstract_syntax, set())
                    known.add(context.transfer_syntax)

    def _associate(
        self, peer: Address, proposals: list[Proposal]
    ) -> AbstractAsyncContextManager[Association]:
        return associate(
            peer,
            calling_ae_title=self.aet,
            proposals=proposals,
            limits=self.limits,
            timeouts=self.timeouts,
            watch=self.watch,
        )


def _outcome(error: Unavailable) -> Outcome:
    return next((each for kind, each in _OUTCOMES if isinstance(error, kind)), Outcome.ABORTED)


def _whole(classes: Iterable[str]) -> Iterator[Proposal]:
    for sop_class in classes:
        for start in range(0, len(SYNTAXES), AT_ONCE):
            several = SYNTAXES[start : start + AT_ONCE]
            yield Proposal(abstract_syntax=sop_class, transfer_syntaxes=several)


def _pairs(found: dict[str, set[str]]) -> Iterator[Proposal]:
    """Each accepted class in each transfer syntax that is not known to be accepted yet."""
    known = {sop_class: frozenset(syntaxes) for sop_class, syntaxes in sorted(found.items())}
    for sop_class, syntaxes in known.items():
        for syntax in SYNTAXES:
            if syntax not in syntaxes:
                yield Proposal(abstract_syntax=sop_class, transfer_syntaxes=(syntax,))


def _batches(proposals: Iterator[Proposal]) -> Iterator[list[Proposal]]:
    while batch := list(islice(proposals, MOST_CONTEXTS)):
        yield batch
