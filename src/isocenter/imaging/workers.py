"""Worker processes for codecs and rendering.

Codec libraries crash and hang on hostile streams, and hold the interpreter: so they run in other
processes, with a bound on memory and on time. Pixels go there and back in shared memory. A worker
that dies or takes too long costs its own job only, and is replaced.
"""

import asyncio
import logging
import multiprocessing
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from queue import SimpleQueue
from typing import Any, Final, Protocol

from isocenter.errors import IsocenterError, Malformed, Unavailable

log = logging.getLogger(__name__)

Buffer = bytes | bytearray | memoryview
Job = Callable[..., "Buffer"]
"""Called in a worker with a view of the bytes it is given and its arguments; gives bytes."""


class Source(Protocol):
    """Bytes that are yet to be read: straight into the memory that a worker shares."""

    size: int

    def read_into(self, view: memoryview) -> None:
        """Fill ``view``, of ``size``; in a thread. What it raises is raised for the job."""


Part = Buffer | Source

SMALLEST_ROOM: Final = 1 << 20
BACKGROUND: Final = 15
"""How nice those are whose work can wait."""
ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""One worker is one core: libraries are not to start threads of their own."""


class Workers:
    """A few processes that do jobs; as many at once as there are processes, the rest wait."""

    def __init__(
        self,
        count: int = 0,
        *,
        memory: int = 4 << 30,
        patience: float = 60.0,
        is_background: bool = False,
    ) -> None:
        """``count`` 0 is one for each processor; ``memory`` in bytes, ``patience`` in seconds.

        ``is_background``: they get what the system has left over (not on Windows).
        """
        self.count = count or os.cpu_count() or 1
        self._is_background = is_background
        self._memory = memory
        self._patience = patience
        self._jobs: SimpleQueue[_Assignment | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._is_closed = False

    async def run(self, job: Job, data: Sequence[Part], *arguments: object) -> bytes:
        """Have ``job`` done with the joined ``data``.

        ``job`` is a function of a module, arguments are small and can be pickled. A cancelled wait
        gives up a job that has not begun, or one that says ``alive`` from time to time. Raises:
        what the job raises; Malformed, if the worker died over it or took too long; Unavailable,
        when closed.
        """
        assignment = _Assignment(job, data, arguments)
        try:
            return await asyncio.wrap_future(self._take(assignment))
        except asyncio.CancelledError:
            assignment.is_given_up = True
            raise

    def submit(self, job: Job, data: Sequence[Part], *arguments: object) -> "Future[bytes]":
        """As ``run``, for callers that are threads."""
        return self._take(_Assignment(job, data, arguments))

    def _take(self, assignment: "_Assignment") -> "Future[bytes]":
        with self._lock:
            if self._is_closed:
                raise Unavailable("the workers have ended their day")
            self._jobs.put(assignment)
            if not self._idle and len(self._threads) < self.count:
                thread = threading.Thread(target=self._attend, name="imaging", daemon=True)
                self._threads.append(thread)
                thread.start()
        return assignment.answer

    def close(self) -> None:
        """Finish what was submitted, then end the processes."""
        with self._lock:
            self._is_closed = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _attend(self) -> None:
        """Hand jobs to one process; in a thread of its own."""
        worker: _Worker | None = None
        try:
            while (assignment := self._next()) is not None:
                if not assignment.answer.set_running_or_notify_cancel():
                    continue
                try:
                    worker = worker or _Worker(self._memory, is_background=self._is_background)
                    assignment.answer.set_result(worker.do(assignment, self._patience))
                except _GivenUp as error:
                    worker = None
                    assignment.answer.set_exception(error)
                except _Lost as loss:
                    worker = None
                    log.error("an imaging worker was lost", extra={"why": str(loss)})
                    assignment.answer.set_exception(
                        Malformed(f"pixel data cannot be worked on: {loss}")
                    )
                except BaseException as error:
                    assignment.answer.set_exception(error)
        finally:
            if worker is not None:
                worker.end()

    def _next(self) -> "_Assignment | None":
        with self._lock:
            self._idle += 1
        try:
            return self._jobs.get()
        finally:
            with self._lock:
                self._idle -= 1


class _Assignment:
    __slots__ = ("answer", "arguments", "data", "is_given_up", "job")

    def __init__(self, job: Job, data: Sequence[Part], arguments: tuple[object, ...]) -> None:
        self.job = job
        self.data = data
        self.arguments = arguments
        self.answer: Future[bytes] = Future()
        self.is_given_up = False


def _view(room: SharedMemory) -> memoryview:
    assert room.buf is not None  # it is, until the room is closed
    return room.buf


def _size(part: Part) -> int:
    return len(part) if isinstance(part, bytes | bytearray | memoryview) else part.size


class _Lost(Exception):
    """The process died, or had to be ended."""


class _GivenUp(Unavailable):
    """Nobody waits for it any more."""


class _Worker:
    """One process, with the memory that it shares."""

    def __init__(self, memory: int, *, is_background: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, memory, is_background), daemon=True
        )
        self._process.start()
        theirs.close()
        self._room: SharedMemory | None = None
        # ``Connection.poll`` makes and closes one of these each time; Windows has none for pipes.
        self._selector = None if sys.platform == "win32" else selectors.DefaultSelector()
        if self._selector is not None:
            self._selector.register(self._pipe, selectors.EVENT_READ)

    def _is_answered(self, patience: float) -> bool:
        if self._selector is None:
            return self._pipe.poll(patience)
        return bool(self._selector.select(patience))

    def do(self, assignment: _Assignment, patience: float) -> bytes:
        """Raises: _Lost; what the job raised."""
        size = sum(map(_size, assignment.data))
        room = self._room_for(size)
        at = 0
        for part in assignment.data:
            view = _view(room)[at : at + _size(part)]
            if isinstance(part, bytes | bytearray | memoryview):
                view[:] = part
            else:
                part.read_into(view)
            view.release()
            at += _size(part)
        try:
            self._pipe.send((assignment.job, assignment.arguments, room.name, size))
            kind, answer = self._answer(assignment, patience)
        except (EOFError, OSError) as error:
            self._process.join(1)
            self.end()
            raise _Lost(f"the worker ended with {self._process.exitcode}") from error
        except (_Lost, _GivenUp):
            self.end()
            raise
        if kind == "raised":
            raise answer
        return self._taken(kind, answer)

    def _answer(self, assignment: _Assignment, patience: float) -> tuple[str, Any]:
        """Wait for the end of the job; who says to be alive is given more time."""
        allowance = patience
        while self._is_answered(allowance):
            kind, answer = self._pipe.recv()
            if kind != "alive":
                return kind, answer
            if assignment.is_given_up:
                raise _GivenUp("nobody waits for it any more")
            allowance = patience + answer
        raise _Lost(f"it took more than {allowance:g} s")

    def _taken(self, kind: str, answer: Any) -> bytes:
        """The answer: in the room that was given, or in one that the worker made."""
        if kind == "here":
            assert self._room is not None
            return bytes(_view(self._room)[:answer])
        name, size = answer
        made = SharedMemory(name)
        try:
            return bytes(_view(made)[:size])
        finally:
            made.close()
            made.unlink()

    def _room_for(self, size: int) -> SharedMemory:
        if self._room is None or self._room.size < size:
            self._forget_room()
            self._room = SharedMemory(create=True, size=max(size, SMALLEST_ROOM))
        return self._room

    def _forget_room(self) -> None:
        if self._room is not None:
            self._room.close()
            self._room.unlink()
            self._room = None

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._selector is not None:
            self._selector.close()
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._forget_room()


# In the worker.

PULSE: Final = 0.25
"""Seconds from one sign of life to the next, at least."""


class _Pulse:
    """Signs of life that a long job gives; none where nobody listens."""

    pipe: Connection | None = None
    last = 0.0


def alive(allowance: float = 0.0) -> None:
    """Say, in a job, that it goes on: so it may take longer than workers are given otherwise.

    ``allowance``: seconds that the next step may take beyond that. A job that nobody waits for any
    more is ended when it says this.
    """
    now = time.monotonic()
    if _Pulse.pipe is not None and (allowance or now - _Pulse.last >= PULSE):
        _Pulse.last = now
        _Pulse.pipe.send(("alive", allowance))


def _serve(pipe: Connection, memory: int, is_background: bool) -> None:
    _limit(memory)
    if is_background and hasattr(os, "nice"):
        os.nice(BACKGROUND)
    os.environ.update(ENVIRONMENT)
    _Pulse.pipe = pipe
    rooms: dict[str, SharedMemory] = {}
    while True:
        try:
            job, arguments, name, size = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        if name not in rooms:
            for old in rooms.values():
                old.close()
            rooms = {name: SharedMemory(name)}
        pipe.send(_done(job, arguments, rooms[name], size))


def _done(
    job: Job, arguments: tuple[object, ...], room: SharedMemory, size: int
) -> tuple[str, Any]:
    try:
        with _view(room)[:size].toreadonly() as given:
            answer = memoryview(job(given, *arguments)).cast("B")
    except IsocenterError as error:
        return "raised", error
    except MemoryError:
        return "raised", Malformed("pixel data asks for more memory than a worker has")
    except Exception as error:
        return "raised", Malformed(f"pixel data cannot be worked on: {error!r}")
    if len(answer) <= room.size:
        _view(room)[: len(answer)] = answer
        return "here", len(answer)
    made = SharedMemory(create=True, size=len(answer))
    _view(made)[: len(answer)] = answer
    made.close()
    return "made", (made.name, len(answer))


def _limit(memory: int) -> None:
    if sys.platform == "win32":
        return
    import resource
    import signal

    for number in (signal.SIGINT, signal.SIGTERM):  # the parent says when to end
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, ValueError):  # macOS does not bound address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
