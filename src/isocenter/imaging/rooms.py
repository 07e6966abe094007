"""Memory that a worker process shares: what it is given, and where it puts its answers.

Making such memory and touching it for the first time takes longer than decoding some frames does,
so it is used again. An answer may be lent out as it lies there; its room comes back when the last
view of it is gone.
"""

import os
import threading
import weakref
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from typing import Final

from isocenter.errors import Unavailable

SMALLEST: Final = 1 << 20
LARGEST_KEPT: Final = 64 << 20
"""Bytes of a room that is kept for another job."""
MOST_KEPT: Final = 2
"""Rooms that wait for another job."""
MOST_LENT: Final = 2
"""Rooms that somebody else may hold; containers often have little memory of this kind."""


def view_of(room: SharedMemory) -> memoryview:
    """Give all of a room."""
    assert room.buf is not None  # it is, until the room is closed
    return room.buf


_LEAVING: Final[list[SharedMemory]] = []
"""Rooms to be closed: not at once, where the last view of one is just going."""


def leave(room: SharedMemory) -> None:
    """Close a room, once nobody has a view of it any more."""
    _LEAVING.append(room)
    _clear()


class Rooms:
    """The rooms of one worker. One thread takes them; they are given back from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[SharedMemory] = []
        self._lent: list[SharedMemory] = []
        self._is_closed = False

    def take(self, size: int) -> SharedMemory:
        """Give a room of at least ``size`` bytes."""
        _clear()
        with self._lock:
            fitting = [room for room in self._free if room.size >= size]
            if fitting:
                room = min(fitting, key=_size)
                self._free.remove(room)
                return room
        return _made(max(size, SMALLEST))

    def give_back(self, room: SharedMemory) -> None:
        """Say that a room from ``take`` is not needed any more."""
        leaving = room
        with self._lock:
            if not self._is_closed and room.size <= LARGEST_KEPT:
                self._free.append(room)
                if len(self._free) <= MOST_KEPT:
                    return
                leaving = min(self._free, key=_size)
                self._free.remove(leaving)
        _leave(leaving)

    def lend(self, room: SharedMemory, start: int, size: int) -> memoryview | bytes:
        """Give some bytes of a room, which comes back when nobody has them any more.

        A copy, if too much is lent already.
        """
        import numpy as np

        with self._lock:
            is_lent = len(self._lent) < MOST_LENT
            if is_lent:
                self._lent.append(room)
        if not is_lent:
            copied = bytes(view_of(room)[start : start + size])
            self.give_back(room)
            return copied
        held = np.frombuffer(view_of(room), np.uint8, size, start)
        weakref.finalize(held, self._returned, room).atexit = False
        return held.data

    def _returned(self, room: SharedMemory) -> None:
        """The last view of it is just going."""
        with self._lock:
            self._lent.remove(room)
        self.give_back(room)

    def close(self) -> None:
        """Let go of all; what is lent has no name any more, and goes with its last view."""
        with self._lock:
            self._is_closed = True
            leaving, self._free = self._free, []
            for room in self._lent:
                _forget(room)
        for room in leaving:
            _leave(room)
        _clear()


def _made(size: int) -> SharedMemory:
    """Make a room. Raises: Unavailable, where to touch it would end this process."""
    room = SharedMemory(create=True, size=size)
    descriptor = getattr(room, "_fd", -1)
    if descriptor >= 0 and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            room.close()
            room.unlink()
            raise Unavailable("there is too little shared memory (/dev/shm)") from error
    return room


def _size(room: SharedMemory) -> int:
    return room.size


def _leave(room: SharedMemory) -> None:
    _forget(room)
    _LEAVING.append(room)


def _forget(room: SharedMemory) -> None:
    """Take its name away: nobody else finds it any more, and nothing is left of it in the end."""
    with suppress(FileNotFoundError):
        room.unlink()


def _clear() -> None:
    for _ in range(len(_LEAVING)):
        try:
            room = _LEAVING.pop(0)
        except IndexError:  # somebody else is at it
            return
        try:
            room.close()
        except BufferError:  # the last view is just going
            _LEAVING.append(room)
