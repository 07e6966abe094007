"""Receive buffers that are filled once and read in place.

A slab goes back to its pool when whoever reads into it and whoever reads from it have let go. One
that is forgotten is simply garbage: the pool keeps no hold on what it has lent.
"""

from collections.abc import Callable

SLAB_SIZE = 1 << 20
SLABS_KEPT = 32
SMALLEST_TAIL = 1 << 16  # below this a slab counts as full


class Slab:
    """A piece of memory and how many hold on to it."""

    __slots__ = ("_pool", "filled", "holders", "memory", "view")

    def __init__(self, pool: "SlabPool", size: int) -> None:
        self._pool = pool
        self.memory = bytearray(size)
        self.view = memoryview(self.memory)
        self.holders = 0
        self.filled = 0  # bytes handed out or about to be

    def hold(self) -> None:
        self.holders += 1

    def let_go(self) -> None:
        self.holders -= 1
        if not self.holders:
            self._pool.take_back(self)


class SlabPool:
    """Lends slabs and keeps a few that came back, the last used first."""

    __slots__ = ("_free", "_kept", "size")

    def __init__(self, size: int = SLAB_SIZE, kept: int = SLABS_KEPT) -> None:
        self.size = size
        self._kept = kept
        self._free: list[Slab] = []

    def lend(self) -> Slab:
        """A slab with one holder."""
        slab = self._free.pop() if self._free else Slab(self, self.size)
        slab.holders = 1
        slab.filled = 0
        return slab

    def take_back(self, slab: Slab) -> None:
        if len(self._free) < self._kept:
            self._free.append(slab)

    @property
    def free(self) -> int:
        """How many slabs wait to be lent."""
        return len(self._free)


class Fragment:
    """Bytes of a data set as they came, in the buffer they were received into.

    Whoever is given one may keep it, must not change it, and calls ``release`` on the event loop
    when done with ``view``. Until then the bytes count as backlog, and a large backlog stops the
    sender.
    """

    __slots__ = ("_released", "_slab", "view")

    def __init__(self, view: memoryview, slab: Slab, released: Callable[[int], None]) -> None:
        self.view = view
        self._slab: Slab | None = slab
        self._released = released
        slab.hold()

    def __len__(self) -> int:
        return len(self.view)

    def release(self) -> None:
        """Let go of the bytes; a second call does nothing."""
        slab, self._slab = self._slab, None
        if slab is not None:
            slab.let_go()
            self._released(len(self.view))
