"""How much may wait to be written: what bounds the memory that senders take.

A share is one sender's. It is always let hold ``GUARANTEED`` bytes, so that nobody waits for
somebody else's slow network; what is above comes out of the budget that all share.
"""

import asyncio
from collections import deque
from typing import Final, Protocol

GUARANTEED: Final = 1 << 20
"""Bytes of one sender that may wait whatever the others do; more than a reception keeps back."""
MOST: Final = 8 << 20
"""Bytes of one sender that may wait."""
TOTAL: Final = 64 << 20
"""Bytes beyond the guaranteed ones, of all senders."""


class Owner(Protocol):
    """Memory that is used again once everybody has let go of it."""

    def hold(self) -> None: ...
    def let_go(self) -> None: ...


class Budget:
    """The bytes of all senders. It belongs to one event loop."""

    def __init__(self, total: int = TOTAL) -> None:
        self._left = total
        self._waiting: deque[asyncio.Event] = deque()

    def share(self) -> "Share":
        """A new sender's."""
        return Share(self)

    @property
    def has_room(self) -> bool:
        return self._left > 0

    def take(self, size: int) -> None:
        """Count bytes in, or with a negative number out; wake who waits for room."""
        self._left -= size
        while self._waiting and self._left > 0:
            self._waiting.popleft().set()

    def wait(self, event: asyncio.Event) -> None:
        """Have ``event`` set when there is room."""
        self._waiting.append(event)

    def forget(self, event: asyncio.Event) -> None:
        """Do not set ``event`` any more."""
        if event in self._waiting:
            self._waiting.remove(event)


class Share:
    """What one sender has brought that is not written yet."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._changed = asyncio.Event()

    def lend(self, data: bytes | memoryview, owner: Owner | None = None) -> "Lent":
        """``data`` as a part that counts, and holds on to ``owner``, until it is released."""
        self._count(len(data))
        if owner is not None:
            owner.hold()
        return Lent(self, memoryview(data), owner)

    def give_back(self, size: int) -> None:
        """Bytes are written."""
        self._count(-size)
        self._changed.set()

    async def room(self) -> None:
        """Return when more may come."""
        while not self._has_room:
            self._changed.clear()
            self._budget.wait(self._changed)
            try:
                await self._changed.wait()
            finally:
                self._budget.forget(self._changed)

    @property
    def _has_room(self) -> bool:
        if self._held < GUARANTEED:
            return True
        return self._held < MOST and self._budget.has_room

    def _count(self, size: int) -> None:
        before = max(self._held - GUARANTEED, 0)
        self._held += size
        self._budget.take(max(self._held - GUARANTEED, 0) - before)


class Lent:
    """Some bytes of a data set that came by a stream."""

    __slots__ = ("_owner", "_share", "view")

    def __init__(self, share: Share, view: memoryview, owner: Owner | None) -> None:
        self._share = share
        self._owner = owner
        self.view = view

    def release(self) -> None:
        """The bytes are written."""
        self._share.give_back(len(self.view))
        if self._owner is not None:
            self._owner.let_go()
