"""Files to be sent, in their order, examined and opened while others are on their way."""

import asyncio
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from isocenter.archive.media import Found, Unreadable
from isocenter.archive.retrieve import Opened
from isocenter.errors import IsocenterError
from isocenter.services.files import Outgoing, examine
from isocenter.services.sending import Kind

SCOUTED: Final = 256
"""Files that are examined before the first is sent, so that one association serves them all."""
SCOUTING_TIME: Final = 0.25
"""Seconds after which that is enough."""
BATCH: Final = 16
"""Files that a worker prepares in one go."""
BATCH_SIZE: Final = 8 << 20
"""Bytes of them after which it leaves off."""
BATCHES_AHEAD: Final = 3

Entry = Found | Unreadable


@dataclass(frozen=True, slots=True)
class Ready:
    """A file that can be sent. Close ``opened`` when done."""

    outgoing: Outgoing
    opened: Opened

    @property
    def kind(self) -> Kind:
        """What a context must have been proposed for."""
        instance = self.outgoing.instance
        return instance.sop_class_uid, instance.transfer_syntax


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that cannot be sent, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that need not be sent."""

    found: Found


Prepared = Ready | Refused | Skipped


class Feed:
    """Gives out files one by one; whoever takes them closes them."""

    def __init__(
        self,
        entries: Iterator[Entry],
        workers: Executor,
        is_skipped: Callable[[Found], bool] = lambda _: False,
    ) -> None:
        self.kinds: dict[Kind, None] = {}
        """Kinds met so far, the latest last."""
        self._entries = entries
        self._workers = workers
        self._is_skipped = is_skipped
        self._walking = threading.Lock()
        self._scouted: deque[Outgoing | Refused | Skipped] = deque()
        self._ahead: deque[asyncio.Future[list[Prepared]]] = deque()
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
            self._read_ahead()
            if not self._ahead:
                return None
            batch = self._ahead[0]
            await asyncio.wait((batch,))
            if self._ahead and self._ahead[0] is batch:  # nobody else took it meanwhile
                self._ahead.popleft()
                self._ready.extend(batch.result())
                self._is_through = self._is_through or not batch.result()
                self._read_ahead()
        return self._ready.popleft()

    def give_up(self, reason: str) -> None:
        """From now on, refuse what is not opened yet; it is still given out, to be reported."""
        self._given_up = reason

    async def close(self) -> None:
        """Let go of what was opened and not given out."""
        self._is_through = True
        if self._ahead:
            await asyncio.wait(self._ahead)
        for batch in self._ahead:
            self._ready.extend(batch.result())
        self._ahead.clear()
        for entry in self._ready:
            if isinstance(entry, Ready):
                entry.opened.close()
        self._ready.clear()

    def _read_ahead(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_through and len(self._ahead) < BATCHES_AHEAD:
            self._ahead.append(loop.run_in_executor(self._workers, self._prepare))

    # In a worker.

    def _scout(self) -> None:
        end = time.monotonic() + SCOUTING_TIME
        with self._walking:
            for entry in itertools.islice(self._entries, SCOUTED):
                self._scouted.append(self._examine(entry))
                if time.monotonic() > end:
                    return

    def _prepare(self) -> list[Prepared]:
        with self._walking:
            batch = list(self._pull())
        return [self._open(entry) for entry in batch]

    def _pull(self) -> Iterator[Outgoing | Refused | Skipped]:
        """Take the next files, as many as make a batch."""
        size = 0
        for _ in range(BATCH):
            if self._scouted:
                entry = self._scouted.popleft()
            elif (found := next(self._entries, None)) is not None:
                entry = self._examine(found)
            else:
                return
            yield entry
            if isinstance(entry, Outgoing):
                size += entry.found.size
                if size >= BATCH_SIZE:
                    return

    def _examine(self, entry: Entry) -> Outgoing | Refused | Skipped:
        if isinstance(entry, Unreadable):
            return Refused(entry.name, entry.reason)
        if self._is_skipped(entry):
            return Skipped(entry)
        if self._given_up:
            return Refused(entry.name, self._given_up)
        try:
            outgoing = examine(entry)
        except IsocenterError as error:
            return Refused(entry.name, str(error))
        instance = outgoing.instance
        kind = (instance.sop_class_uid, instance.transfer_syntax)
        self.kinds.pop(kind, None)
        self.kinds[kind] = None
        return outgoing

    def _open(self, entry: Outgoing | Refused | Skipped) -> Prepared:
        if not isinstance(entry, Outgoing):
            return entry
        if self._given_up:
            return Refused(entry.found.name, self._given_up)
        try:
            return Ready(entry, entry.open(self._workers))
        except IsocenterError as error:
            return Refused(entry.found.name, str(error))
