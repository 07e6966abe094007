"""The few hands that take instances in."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from isocenter.archive import crew
from isocenter.archive.crew import Crew, Outbox


class Work:
    """Ready at once; can be made to wait."""

    def __init__(self, name: int = 0, until: threading.Event | None = None) -> None:
        self.name = name
        self._until = until

    def work(self) -> int | None:
        if self._until is not None:
            assert self._until.wait(10)
        return self.name


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class Published:
    """What was published, a list for each round."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self._changed = threading.Condition()

    def __call__(self, ready: list[int]) -> None:
        with self._changed:
            self.rounds.append(ready)
            self._changed.notify_all()

    def wait_for(self, count: int) -> list[int]:
        with self._changed:
            assert self._changed.wait_for(lambda: sum(map(len, self.rounds)) >= count, 10)
        return [each for ready in self.rounds for each in ready]


def test_what_waits_is_published_together(workers: ThreadPoolExecutor) -> None:
    published, go_on = Published(), threading.Event()
    hands: Crew[int] = Crew(workers, published)
    for number in range(crew.HANDS):
        hands.call(Work(-number, go_on))

    for number in range(1, crew.ROUND + 2):
        hands.call(Work(number))
    go_on.set()

    assert set(published.wait_for(crew.HANDS + crew.ROUND + 1)) >= set(range(1, crew.ROUND + 2))
    assert max(map(len, published.rounds)) == crew.ROUND


def test_a_slow_disk_gets_more_hands(
    workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "SLOW", 0.0)
    published, go_on = Published(), threading.Event()
    hands: Crew[int] = Crew(workers, published)
    for number in range(crew.HANDS):
        hands.call(Work(-number, go_on))

    hands.call(Work(7))

    assert published.wait_for(1) == [7]
    go_on.set()


def test_it_is_idle_again_when_all_is_done(workers: ThreadPoolExecutor) -> None:
    published = Published()
    hands: Crew[int] = Crew(workers, published)
    assert hands.is_idle

    hands.call(Work(1))
    published.wait_for(1)

    workers.shutdown(wait=True)
    assert hands.is_idle


def test_nobody_works_once_the_workers_are_gone(workers: ThreadPoolExecutor) -> None:
    hands: Crew[int] = Crew(workers, Published())
    workers.shutdown()

    with pytest.raises(RuntimeError):
        hands.call(Work())

    assert hands.is_idle


async def test_an_event_loop_is_woken_once_for_all_that_gathers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, woken, told = asyncio.get_running_loop(), [0], list[int]()
    call_soon = loop.call_soon_threadsafe

    def counted(*arguments: object) -> object:
        woken[0] += 1
        return call_soon(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    outbox = Outbox(loop)

    for number in range(5):
        outbox.post(told.append, number)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert told == [0, 1, 2, 3, 4]
    assert woken == [1]


def test_what_is_said_to_a_loop_that_is_gone_is_not_heard() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    Outbox(loop).post(print, "nobody")
