"""Telling those who look on what happens, while it happens.

Who tells does not know who listens, and waits for nobody: a listener who does not keep up is let
go of, and finds out by itself what it missed. What is told is JSON, made once for all listeners.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

MOST_WAITING: Final = 64
"""Events that may wait for one listener."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a topic."""

    topic: str
    content: bytes
    """As JSON."""
    seq: int | None = None
    """The change of the feed up to which it tells; None for what is not of the feed."""


class Listener:
    """One who looks on: waits for what it is told."""

    def __init__(self) -> None:
        self._waiting: deque[Told] = deque()
        self._woken = asyncio.Event()
        self.is_over = False
        """Nothing more will come: too much waited, or all is closing."""

    async def next(self) -> Told | None:
        """The next event; None when nothing more will come."""
        while not self._waiting:
            if self.is_over:
                return None
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.popleft()

    def tell(self, told: Told) -> None:
        """Have it told, if it keeps up."""
        if len(self._waiting) >= MOST_WAITING:
            self.end()
        elif not self.is_over:
            self._waiting.append(told)
            self._woken.set()

    def end(self) -> None:
        """Tell it nothing more, not even what waits."""
        self.is_over = True
        self._waiting.clear()
        self._woken.set()


class Live:
    """Topics, and who listens to each. Belongs to one event loop."""

    def __init__(self) -> None:
        self._topics: dict[str, set[Listener]] = {}
        self._is_closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len({each for listeners in self._topics.values() for each in listeners})

    @property
    def topics(self) -> tuple[str, ...]:
        """Those that somebody listens to."""
        return tuple(self._topics)

    @contextmanager
    def listening(self, topics: Iterable[str]) -> Iterator[Listener]:
        """One more who listens; for whom it is over at once, after ``close``."""
        listener = Listener()
        wanted = tuple(dict.fromkeys(topics))
        if self._is_closed:
            listener.end()
        for topic in wanted:
            self._topics.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            for topic in wanted:
                self._topics[topic].discard(listener)
                if not self._topics[topic]:
                    del self._topics[topic]

    def tell(self, topic: str, content: Any, seq: int | None = None) -> None:
        """Tell all who listen to ``topic``; ``content`` is what JSON can hold."""
        if listeners := self._topics.get(topic):
            told = Told(topic, orjson.dumps(content), seq)
            for listener in listeners:
                listener.tell(told)

    def close(self) -> None:
        """Let go of everybody, and of who comes."""
        self._is_closed = True
        for listeners in self._topics.values():
            for listener in listeners:
                listener.end()
