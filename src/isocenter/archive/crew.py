"""The few hands that take instances in, and what they say to the event loop.

Threads that work for a moment and then wait for the disk hand the interpreter over at every system
call, and each time the kernel has to wake somebody: with a thread for every instance that took more
processor than the work itself (measured: 70 to 100 futex calls an instance, 1.5 ms). So there are
few, and they work in rounds: each takes all that waits, writes and reads it, and has it made
durable together.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final, Generic, Protocol, TypeVar

HANDS: Final = 2
"""Threads, while the disk is quick: one works while the other waits for it."""
ROUND: Final = 8
"""Receptions in one round, at most: the first of them waits for the others."""
SLOW: Final = 0.005
"""Seconds without a new round after which the disk is called slow, and one more hand helps."""

Ready_co = TypeVar("Ready_co", covariant=True)
Ready = TypeVar("Ready")


class Task(Protocol[Ready_co]):
    """What is worked at."""

    def work(self) -> Ready_co | None:
        """Do what there is to do; give what is to be published, once all is there."""


class Crew(Generic[Ready]):
    """Works at tasks in rounds, and publishes what is ready after each."""

    def __init__(self, workers: Executor, publish: Callable[[list[Ready]], None]) -> None:
        self._workers = workers
        self._publish = publish
        self._lock = threading.Lock()
        self._waiting: deque[Task[Ready]] = deque()
        self._at_work = 0
        self._round_began = 0.0

    @property
    def is_idle(self) -> bool:
        """Nobody works: what is brought now is begun at once."""
        return not self._at_work

    def call(self, task: Task[Ready]) -> None:
        """Have ``task`` worked at; never blocks. Raises: RuntimeError, if the workers are gone."""
        with self._lock:
            self._waiting.append(task)
            if self._at_work >= HANDS and time.monotonic() - self._round_began < SLOW:
                return
            self._at_work += 1
        try:
            self._workers.submit(self._work)
        except RuntimeError:
            with self._lock:
                self._at_work -= 1
                if task not in self._waiting:  # somebody who is still at work has it
                    return
                self._waiting.remove(task)
            raise

    def _work(self) -> None:
        while tasks := self._next():
            ready = [each for task in tasks if (each := task.work()) is not None]
            if ready:
                self._publish(ready)

    def _next(self) -> list[Task[Ready]]:
        with self._lock:
            count = min(len(self._waiting), ROUND)
            if not count:
                self._at_work -= 1
            self._round_began = time.monotonic()
            return [self._waiting.popleft() for _ in range(count)]


class Outbox:
    """Calls to be made on an event loop: it is woken once for all that gather meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._is_woken = False

    def post(self, call: Callable[[Any], None], argument: Any) -> None:
        """Have ``call`` made with ``argument``; from any thread. Nothing, if the loop is gone."""
        self._calls.append((call, argument))
        if not self._is_woken:
            self._is_woken = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._empty)

    def _empty(self) -> None:
        self._is_woken = False  # before the calls: what is posted now is made or wakes again
        while self._calls:
            call, argument = self._calls.popleft()
            call(argument)
