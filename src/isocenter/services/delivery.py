"""Sending files or instances to a peer: over one association or several, again if one is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final

from isocenter.archive.media import Found
from isocenter.dimse.association import Association
from isocenter.dimse.failures import Aborted, NoConnection, Rejected
from isocenter.dimse.negotiation import MOST_CONTEXTS, Proposal
from isocenter.dimse.status import Category, Response
from isocenter.errors import IsocenterError, Unavailable
from isocenter.services.feed import Prepared, Ready, Refused, Skipped, Supply
from isocenter.services.sending import Kind, proposals_of, send

LONGEST_PAUSE: Final = 30.0  # seconds
ATTEMPTS: Final = 3
"""Associations that one instance may cost before it is left out."""
CLOSE_GRACE: Final = 1.0  # seconds

Connect = Callable[[list[Proposal]], Awaitable[Association]]


class Fate(Enum):
    """What became of a file."""

    SENT = "sent"
    WARNED = "sent, with a warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file and its fate."""

    fate: Fate
    name: str
    reason: str = ""
    """Empty, unless it failed or the peer warned."""
    found: Found | None = None
    sop_instance: str = ""
    status: int | None = None
    """What the peer answered, if it did."""
    error: IsocenterError | None = None
    """Why it was not sent, if it was not."""
    size: int = 0
    """Bytes of the data set as it is kept."""

    @property
    def is_acknowledged(self) -> bool:
        """Whether the peer has it."""
        return self.fate in (Fate.SENT, Fate.WARNED)


Report = Callable[[Outcome], None]


class Delivery:
    """Sends what a feed gives. Every file is reported once, whatever happens."""

    def __init__(
        self,
        feed: Supply,
        connect: Connect,
        report: Report,
        *,
        jobs: int = 1,
        retries: int = 3,
        pause: float = 1.0,
    ) -> None:
        """``retries`` bounds how often in a row an association is opened anew.

        The first time after ``pause`` seconds, each further time after twice as many.
        """
        self._feed = feed
        self._connect = connect
        self._report = report
        self._jobs = jobs
        self._retries = retries
        self._pause = pause
        self.has_begun = False
        """Whether the peer let us in."""

    async def run(self) -> None:
        """Send everything.

        Raises: NoConnection, Rejected, Aborted, if not even the first association can be had; then
        nothing was reported.
        """
        try:
            await self._feed.scout()
            first = self._lane()
            if self._feed.kinds:
                await first.open()
            self.has_begun = True
            await self._run_lanes(first)
            await self._report_rest()
        finally:
            await self._feed.close()

    def _lane(self) -> "_Lane":
        return _Lane(self._feed, self._connect, self._report, self._retries, self._pause)

    async def _run_lanes(self, first: "_Lane") -> None:
        lanes = [first, *(self._lane() for _ in range(self._jobs - 1))]
        tasks = {asyncio.create_task(lane.run()): lane for lane in lanes}
        try:
            waiting = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if any(tasks[task].is_through for task in done):
                    # Nothing is left: whoever is still being let in need not come.
                    for task in waiting:
                        if not tasks[task].has_opened:
                            task.cancel()
                            waiting = waiting - {task}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _report_rest(self) -> None:
        """Report what no lane could take any more."""
        self._feed.give_up("not sent: the association was lost")
        while (entry := await self._feed.next()) is not None:
            if isinstance(entry, Ready):
                entry.opened.close()
                entry = Refused(entry.name, "not sent: the association was lost")
            self._report(_unsent(entry))


def _unsent(entry: Refused | Skipped) -> Outcome:
    if isinstance(entry, Skipped):
        return Outcome(Fate.SKIPPED, entry.found.name, found=entry.found)
    return Outcome(Fate.FAILED, entry.name, entry.reason, error=entry.error)


class _Lane:
    """One association after the other, and the files that go by them."""

    def __init__(
        self, feed: Supply, connect: Connect, report: Report, retries: int, pause: float
    ) -> None:
        self.has_opened = False
        self.is_through = False
        """The feed had no more to give."""
        self._feed = feed
        self._connect = connect
        self._report = report
        self._retries = retries
        self._pause = pause
        self._association: Association | None = None
        self._proposed: frozenset[Kind] = frozenset()
        self._losses = 0  # associations in a row on which nothing was sent
        self._dealt_with: list[tuple[Prepared, Outcome]] = []
        self._fault: Exception | None = None

    async def open(self) -> None:
        """Have an association for the kinds known so far."""
        await self._open(reversed(list(self._feed.kinds)))

    async def run(self) -> None:
        """Send files until there are no more, or until the peer will not have them."""
        loop = asyncio.get_running_loop()
        try:
            if not self.has_opened and self._feed.kinds:
                try:
                    await self.open()
                except Unavailable:
                    return  # the first lane goes on
            while self._losses <= self._retries and self._fault is None:
                entry = await self._feed.next()
                if entry is None:
                    self.is_through = True
                    break
                # Runs while the peer is busy with this one: until then it waits for us.
                loop.call_soon(self._catch_up)
                outcome = await self._deal_with(entry)
                self._dealt_with.append((entry, outcome))
                del entry  # unmapping it takes its time, too
            await self._leave()
        finally:
            self._catch_up()
            if self._association is not None:
                self._association.abort()
        if self._fault is not None:
            raise self._fault

    def _catch_up(self) -> None:
        """Report what is done, and have the next file ready."""
        done, self._dealt_with = self._dealt_with, []
        for entry, outcome in done:
            if isinstance(entry, Ready):
                entry.opened.close()
            try:
                self._report(outcome)
            except Exception as fault:  # raised where the lane is waited for
                self._fault = fault
        self._feed.prepare()

    async def _deal_with(self, entry: Prepared) -> Outcome:
        if not isinstance(entry, Ready):
            return _unsent(entry)
        opened = entry.opened
        uid = opened.instance.sop_instance_uid
        try:
            response = await self._deliver(entry)
        except IsocenterError as error:
            reason = str(error)
            return Outcome(Fate.FAILED, entry.name, reason, entry.found, uid, error=error)
        fate, reason = _fate(response)
        status, size = response.status, opened.size
        return Outcome(fate, entry.name, reason, entry.found, uid, status, size=size)

    async def _deliver(self, ready: Ready) -> Response:
        """Send a file, on another association where one is lost over it.

        Raises: Unsupported, Malformed, Unavailable.
        """
        attempts = 0
        while True:
            try:
                association = await self._association_for(ready.kind)
                attempts += 1
                response = await send(association, ready.opened)
            except (Aborted, NoConnection, Rejected) as error:
                self._losses += 1
                if not self._is_worth_another(error) or attempts >= ATTEMPTS:
                    raise
                await asyncio.sleep(min(self._pause * 2 ** (self._losses - 1), LONGEST_PAUSE))
            else:
                self._losses = 0
                return response

    def _is_worth_another(self, error: Unavailable) -> bool:
        if isinstance(error, Rejected) and error.is_permanent:
            self._losses = self._retries + 1
        return self._losses <= self._retries

    async def _association_for(self, kind: Kind) -> Association:
        association = self._association
        if association is not None and association.is_established and kind in self._proposed:
            return association
        await self._leave()
        latest = reversed(list(self._feed.kinds))
        return await self._open([kind, *(other for other in latest if other != kind)])

    async def _open(self, kinds: Iterable[Kind]) -> Association:
        proposals, proposed = _proposals(kinds)
        self._association = await self._connect(proposals)
        self._proposed = frozenset(proposed)
        self.has_opened = True
        return self._association

    async def _leave(self) -> None:
        association, self._association = self._association, None
        if association is None:
            return
        with suppress(Unavailable):
            if association.is_established:
                await association.release()
        association.abort()
        await association.wait_closed(CLOSE_GRACE)


def _proposals(kinds: Iterable[Kind]) -> tuple[list[Proposal], list[Kind]]:
    """Return as many contexts as an association has room for, and the kinds they are for."""
    by_class: dict[str, list[str]] = {}
    count = 0
    proposed = []
    for kind in kinds:
        sop_class, syntax = kind
        syntaxes = [*by_class.get(sop_class, ()), syntax]
        more = len(list(proposals_of(sop_class, syntaxes)))
        less = len(list(proposals_of(sop_class, syntaxes[:-1])))
        if count + more - less > MOST_CONTEXTS:
            continue
        count += more - less
        by_class[sop_class] = syntaxes
        proposed.append(kind)
    return [*_all_proposals(by_class)], proposed


def _all_proposals(by_class: dict[str, list[str]]) -> Iterator[Proposal]:
    for sop_class, syntaxes in sorted(by_class.items()):
        yield from proposals_of(sop_class, syntaxes)


def _fate(response: Response) -> tuple[Fate, str]:
    if response.category is Category.SUCCESS:
        return Fate.SENT, ""
    comment = response.elements.get("ErrorComment", "")
    reason = f"status {response.status:04X}{f': {comment}' if comment else ''}"
    return (Fate.WARNED if response.category is Category.WARNING else Fate.FAILED), reason
