"""Waking those who wait for something with a name, within one process and event loop."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Bell:
    """Whoever listens for a name has an event, which ringing that name sets."""

    def __init__(self) -> None:
        self._listening: dict[str, set[asyncio.Event]] = {}
        self._silent = asyncio.Event()
        self._silent.set()

    @contextmanager
    def listening(self, name: str) -> Iterator[asyncio.Event]:
        """The event of one listener; it is set at first, to look once."""
        event = asyncio.Event()
        event.set()
        self._silent.clear()
        self._listening.setdefault(name, set()).add(event)
        try:
            yield event
        finally:
            listeners = self._listening[name]
            listeners.discard(event)
            if not listeners:
                del self._listening[name]
            if not self._listening:
                self._silent.set()

    def ring(self, names: Iterable[str]) -> None:
        """Wake the listeners of ``names``."""
        for name in names:
            for event in self._listening.get(name, ()):
                event.set()

    def ring_all(self) -> None:
        """Wake everybody."""
        self.ring(self._listening)

    async def silence(self) -> None:
        """Return when nobody listens."""
        await self._silent.wait()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return sum(map(len, self._listening.values()))
