"""Memory shared with workers: used again, lent out, and let go of."""

import gc
from multiprocessing.shared_memory import SharedMemory

import pytest

from isocenter.imaging import rooms
from isocenter.imaging.rooms import MOST_KEPT, MOST_LENT, SMALLEST, Rooms, view_of


def is_there(name: str) -> bool:
    try:
        SharedMemory(name).close()
    except FileNotFoundError:
        return False
    return True


def test_a_room_is_used_again() -> None:
    some = Rooms()
    first = some.take(10)
    some.give_back(first)

    assert some.take(SMALLEST) is first
    some.give_back(first)
    some.close()
    assert not is_there(first.name)


def test_what_is_lent_stays_as_it_is_until_it_is_let_go_of() -> None:
    some = Rooms()
    room = some.take(10)
    view_of(room)[:3] = b"abc"
    lent = some.lend(room, 0, 3)
    part = lent[1:]
    del lent

    other = some.take(10)
    assert other is not room
    assert bytes(part) == b"bc"
    del part
    gc.collect()
    assert some.take(10) is room


def test_more_than_a_few_are_not_lent_but_copied() -> None:
    some = Rooms()
    lent = [some.lend(some.take(10), 0, 3) for _ in range(MOST_LENT + 1)]

    assert isinstance(lent[-1], bytes)
    assert all(isinstance(each, memoryview) for each in lent[:-1])
    some.close()


def test_only_a_few_are_kept_and_large_ones_never() -> None:
    some = Rooms()
    taken = [some.take((each + 1) * SMALLEST) for each in range(MOST_KEPT + 1)]
    for room in taken:
        some.give_back(room)
    large = some.take(rooms.LARGEST_KEPT + 1)
    some.give_back(large)

    assert [is_there(room.name) for room in taken] == [False, *[True] * MOST_KEPT]
    assert not is_there(large.name)
    some.close()


def test_what_is_lent_outlives_its_worker() -> None:
    some = Rooms()
    room = some.take(10)
    view_of(room)[:3] = b"abc"
    lent = some.lend(room, 0, 3)
    some.close()

    assert not is_there(room.name)
    assert bytes(lent) == b"abc"
    del lent
    gc.collect()


def test_too_little_shared_memory_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)

    with pytest.raises(rooms.Unavailable, match="shared memory"):
        Rooms().take(10)
