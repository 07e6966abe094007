"""Files to be sent, in their order, examined and opened while others are on their way."""

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from isocenter.archive.media import Found, Unreadable
from isocenter.archive.retrieve import Opened
from isocenter.errors import IsocenterError
from isocenter.services.files import Outgoing, examine, examine_and_open, warm
from isocenter.services.sending import Kind

if TYPE_CHECKING:
    from isocenter.imaging.workers import Workers

SCOUTED: Final = 256
"""Files that are examined before the first is sent, so that one association serves them all."""
ALIKE: Final = 32
"""Files in a row without a new kind after which that is enough."""
SCOUTING_TIME: Final = 0.25
"""Seconds after which that is enough."""
BATCH: Final = 64
"""Files that a worker finds in one go, and has the system read ahead."""
BATCH_SIZE: Final = 32 << 20
"""Bytes of them after which it leaves off."""
BATCHES_AHEAD: Final = 2

Entry = Found | Unreadable


@dataclass(frozen=True, slots=True)
class Ready:
    """What can be sent. Close ``opened`` when done."""

    name: str
    opened: Opened
    found: Found | None = None
    """The file, if it is one."""

    @property
    def kind(self) -> Kind:
        """What a context must have been proposed for."""
        instance = self.opened.instance
        return instance.sop_class_uid, instance.transfer_syntax


@dataclass(frozen=True, slots=True)
class Refused:
    """What cannot be sent, and why."""

    name: str
    reason: str
    error: IsocenterError | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that need not be sent."""

    found: Found


Prepared = Ready | Refused | Skipped


class Supply(Protocol):
    """Gives out what is to be sent one by one; whoever takes it closes it."""

    @property
    def kinds(self) -> dict[Kind, None]:
        """Kinds that are known of so far, the latest last."""

    async def scout(self) -> None:
        """Get to know kinds."""

    async def next(self) -> Prepared | None:
        """Return the next, or None after the last."""

    def prepare(self) -> None:
        """Have one ready for the next who asks."""

    def give_up(self, reason: str) -> None:
        """From now on, nothing can be sent any more."""

    async def close(self) -> None:
        """Let go of what was opened and not given out."""


Pulled = Entry | Outgoing | Prepared


class Feed:
    """Gives out files one by one; whoever takes them closes them.

    Workers find the files and warm them up. They are opened on the event loop: from memory this
    takes less time than handing them from thread to thread, and ``prepare`` is for the time in
    which the loop waits for a peer. Only what has to be inflated is opened by a worker.
    """

    def __init__(
        self,
        entries: Iterator[Entry],
        workers: Executor,
        is_skipped: Callable[[Found], bool] = lambda _: False,
        codecs: "Workers | None" = None,
    ) -> None:
        self.kinds: dict[Kind, None] = {}
        """Kinds met so far, the latest last."""
        self._entries = entries
        self._workers = workers
        self._is_skipped = is_skipped
        self._codecs = codecs
        self._walking = threading.Lock()
        self._scouted: deque[Outgoing | Refused | Skipped] = deque()
        self._ahead: deque[asyncio.Future[list[Pulled]]] = deque()
        self._pulled: deque[Pulled] = deque()
        self._ready: deque[Prepared] = deque()
        self._is_through = False
        self._given_up = ""

    async def scout(self) -> None:
        """Examine the first files, to know their kinds."""
        await asyncio.get_running_loop().run_in_executor(self._workers, self._scout)
        self._read_ahead()

    async def next(self) -> Prepared | None:
        """Return the next file, or None after the last."""
        while not self._ready:
            self.prepare()
            if not self._ready:
                self._read_ahead()
                if not self._ahead:
                    return None
                await self._take_batch()
        return self._ready.popleft()

    def prepare(self) -> None:
        """Have a file ready for the next who asks."""
        if not self._ready and self._pulled:
            self._ready.append(self._open(self._pulled.popleft()))
        if len(self._pulled) < BATCH:
            self._read_ahead()

    def give_up(self, reason: str) -> None:
        """From now on, refuse what is not opened yet; it is still given out, to be reported."""
        self._given_up = reason

    async def close(self) -> None:
        """Let go of what was opened and not given out."""
        self._is_through = True
        while self._ahead:
            await self._take_batch()
        for entry in (*self._ready, *self._pulled):
            if isinstance(entry, Ready):
                entry.opened.close()
        self._ready.clear()
        self._pulled.clear()

    def _read_ahead(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_through and len(self._ahead) < BATCHES_AHEAD:
            self._ahead.append(loop.run_in_executor(self._workers, self._pull))

    async def _take_batch(self) -> None:
        batch = self._ahead[0]
        await asyncio.wait((batch,))
        if self._ahead and self._ahead[0] is batch:  # nobody else took it meanwhile
            self._ahead.popleft()
            self._pulled.extend(batch.result())
            self._is_through = self._is_through or not batch.result()

    def _open(self, entry: Pulled) -> Prepared:
        """Examine and open a file, as far as that is not done."""
        if isinstance(entry, Ready | Refused | Skipped):
            return entry
        outgoing = entry if isinstance(entry, Outgoing) else None
        found = entry.found if isinstance(entry, Outgoing) else entry
        if (excused := self._excused(found)) is not None:
            return excused
        assert isinstance(found, Found)
        try:
            if outgoing is not None:
                return Ready(found.name, outgoing.open(self._workers, self._codecs), found)
            outgoing, opened = examine_and_open(found, self._workers, self._codecs)
        except IsocenterError as error:
            return Refused(found.name, str(error))
        self._note(outgoing)
        return Ready(found.name, opened, found)

    def _excused(self, entry: Entry) -> Refused | Skipped | None:
        """What will not be sent, whatever is in it."""
        if isinstance(entry, Unreadable):
            return Refused(entry.name, entry.reason)
        if self._is_skipped(entry):
            return Skipped(entry)
        return Refused(entry.name, self._given_up) if self._given_up else None

    def _note(self, outgoing: Outgoing) -> None:
        instance = outgoing.instance
        kind = (instance.sop_class_uid, instance.transfer_syntax)
        self.kinds.pop(kind, None)
        self.kinds[kind] = None

    # In a worker.

    def _scout(self) -> None:
        end = time.monotonic() + SCOUTING_TIME
        alike = 0
        with self._walking:
            for entry in itertools.islice(self._entries, SCOUTED):
                kinds = len(self.kinds)
                self._scouted.append(self._look_at(entry))
                alike = alike + 1 if len(self.kinds) == kinds else 0
                if alike == ALIKE or time.monotonic() > end:
                    return

    def _look_at(self, entry: Entry) -> Outgoing | Refused | Skipped:
        if (excused := self._excused(entry)) is not None:
            return excused
        assert isinstance(entry, Found)
        try:
            outgoing = examine(entry)
        except IsocenterError as error:
            return Refused(entry.name, str(error))
        self._note(outgoing)
        return outgoing

    def _pull(self) -> list[Pulled]:
        """Find the next files, as many as make a batch."""
        batch: list[Pulled] = []
        size = 0
        with self._walking:
            while len(batch) < BATCH and size < BATCH_SIZE:
                entry: Pulled | None
                entry = self._scouted.popleft() if self._scouted else next(self._entries, None)
                if entry is None:
                    break
                found = entry.found if isinstance(entry, Outgoing) else entry
                if isinstance(found, Found):
                    size += found.size
                    warm(found)
                    if found.path is None:
                        entry = self._open(entry)
                batch.append(entry)
        return batch
