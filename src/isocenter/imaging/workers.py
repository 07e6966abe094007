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
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from queue import SimpleQueue
from typing import Any, Final, Protocol

from isocenter.errors import IsocenterError, Malformed, Unavailable
from isocenter.imaging import worksite
from isocenter.imaging.rooms import LARGEST_KEPT, MOST_KEPT, Rooms, leave, view_of

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

WORTH_LENDING: Final = 1 << 17
"""Bytes of an answer that are not copied for who can do with a loan."""
BACKGROUND: Final = 15
"""How nice those are whose work can wait."""
ENVIRONMENT: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Libraries are not to start threads of their own: codecs are told how many (``threads``)."""


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
        self._busy = 0
        self._lock = threading.Lock()
        self._is_closed = False

    async def run(self, job: Job, data: Sequence[Part], *arguments: object) -> bytes:
        """Have ``job`` done with the joined ``data``.

        ``job`` is a function of a module, arguments are small and can be pickled. A cancelled wait
        gives up a job that has not begun, or one that says ``alive`` from time to time. Raises:
        what the job raises; Malformed, if the worker died over it or took too long; Unavailable,
        when closed.
        """
        answer: bytes = await self._done_with(job, data, arguments, is_lent=False)
        return answer

    async def lend(self, job: Job, data: Sequence[Part], *arguments: object) -> Buffer:
        """As ``run``, but a large answer stays in the memory that is shared with the worker.

        It is to be let go of soon: until then, no other job can use that memory.
        """
        answer: Buffer = await self._done_with(job, data, arguments, is_lent=True)
        return answer

    async def _done_with(
        self, job: Job, data: Sequence[Part], arguments: tuple[object, ...], *, is_lent: bool
    ) -> Any:
        awaited = _Awaited()
        assignment = _Assignment(job, data, arguments, awaited, is_lent=is_lent)
        self._take(assignment)
        try:
            return await awaited.future
        except asyncio.CancelledError:
            assignment.is_given_up = True
            raise

    def submit(self, job: Job, data: Sequence[Part], *arguments: object) -> "Future[Buffer]":
        """As ``lend``, for callers that wait on their own."""
        answer: Future[Buffer] = Future()
        self._take(_Assignment(job, data, arguments, answer, is_lent=True))
        return answer

    def _take(self, assignment: "_Assignment") -> None:
        with self._lock:
            if self._is_closed:
                raise Unavailable("the workers have ended their day")
            self._jobs.put(assignment)
            if not self._idle and len(self._threads) < self.count:
                thread = threading.Thread(target=self._attend, name="imaging", daemon=True)
                self._threads.append(thread)
                thread.start()

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
                    if worker is not None and worker.has_ended():
                        log.error("an imaging worker ended while it rested")
                        worker.end()
                        worker = None
                    worker = worker or _Worker(self._memory, is_background=self._is_background)
                    allowed = self._begin()
                    try:
                        answer = worker.do(assignment, self._patience, allowed)
                    finally:
                        self._end()
                    assignment.answer.set_result(answer)
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

    def _begin(self) -> int:
        """Say how many threads the job may use: a lone one has all processors."""
        with self._lock:
            self._busy += 1
            is_alone = self._jobs.empty() and not self._is_background
            return self.count - self._busy + 1 if is_alone else 1

    def _end(self) -> None:
        with self._lock:
            self._busy -= 1

    def _next(self) -> "_Assignment | None":
        with self._lock:
            self._idle += 1
        try:
            return self._jobs.get()
        finally:
            with self._lock:
                self._idle -= 1


class _Assignment:
    __slots__ = ("answer", "arguments", "data", "is_given_up", "is_lent", "job")

    def __init__(
        self,
        job: Job,
        data: Sequence[Part],
        arguments: tuple[object, ...],
        answer: "Future[Any] | _Awaited",
        *,
        is_lent: bool,
    ) -> None:
        self.job = job
        self.data = data
        self.arguments = arguments
        self.answer = answer
        self.is_lent = is_lent
        self.is_given_up = False


class _Awaited:
    """An answer that an event loop waits for: as much of a ``Future`` as is needed of it."""

    __slots__ = ("_loop", "future")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def set_running_or_notify_cancel(self) -> bool:
        return not self.future.cancelled()

    def set_result(self, result: object) -> None:
        self._tell(self.future.set_result, result)

    def set_exception(self, error: BaseException) -> None:
        self._tell(self.future.set_exception, error)

    def _tell(self, tell: Callable[[Any], None], what: object) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, tell, what)

    def _settle(self, tell: Callable[[Any], None], what: object) -> None:
        if not self.future.done():
            tell(what)


def size_of(part: Part) -> int:
    """Give the bytes of a part."""
    return len(part) if isinstance(part, bytes | bytearray | memoryview) else part.size


def _fill(room: SharedMemory, parts: Sequence[Part]) -> None:
    at = 0
    for part in parts:
        with view_of(room)[at : at + size_of(part)] as view:
            if isinstance(part, bytes | bytearray | memoryview):
                view[:] = part
            else:
                part.read_into(view)
        at += size_of(part)


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
        # Who leaves without a word would wait for it: it heeds no signal but this.
        weakref.finalize(self, self._process.kill)
        theirs.close()
        self._rooms = Rooms()
        self._usual = 0  # bytes that answers were seen to take
        # ``Connection.poll`` makes and closes one of these each time; Windows has none for pipes.
        self._selector = None if sys.platform == "win32" else selectors.DefaultSelector()
        if self._selector is not None:
            self._selector.register(self._pipe, selectors.EVENT_READ)

    def _is_answered(self, patience: float) -> bool:
        if self._selector is None:
            return self._pipe.poll(patience)
        return bool(self._selector.select(patience))

    def do(self, assignment: _Assignment, patience: float, allowed: int) -> Buffer:
        """Raises: _Lost; what the job raised."""
        size = sum(map(size_of, assignment.data))
        room = self._rooms.take(_aligned(size) + self._usual)
        try:
            _fill(room, assignment.data)
            kind, answer = self._asked(assignment, patience, (room.name, size, allowed))
            if kind == "raised":
                raise answer
        except BaseException:
            self._rooms.give_back(room)
            raise
        if kind == "made":
            self._rooms.give_back(room)
            name, *answer = answer
            room = SharedMemory(name)
        start, length = answer
        # The next one is as large, likely: then there is room for it already.
        self._usual = max(self._usual, min(_aligned(length), LARGEST_KEPT // 2))
        if assignment.is_lent and length >= WORTH_LENDING:
            return self._rooms.lend(room, start, length)
        try:
            return bytes(view_of(room)[start : start + length])
        finally:
            self._rooms.give_back(room)

    def _asked(
        self, assignment: _Assignment, patience: float, where: tuple[str, int, int]
    ) -> tuple[str, Any]:
        try:
            self._pipe.send((assignment.job, assignment.arguments, *where))
            return self._answer(assignment, patience)
        except (EOFError, OSError) as error:
            self._process.join(1)
            self.end()
            raise _Lost(f"the worker ended with {self._process.exitcode}") from error
        except (_Lost, _GivenUp):
            self.end()
            raise

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

    def has_ended(self) -> bool:
        """Whether it has ended on its own: for want of memory, say."""
        return not self._process.is_alive()

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._selector is not None:
            self._selector.close()
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._rooms.close()


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
            job, arguments, name, size, allowed = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            os._exit(0)  # there is nothing to tidy up; what is left of a job may hold a room
        if name not in rooms:
            if len(rooms) > MOST_KEPT:
                leave(rooms.pop(next(iter(rooms))))
            rooms[name] = SharedMemory(name)
        worksite.prepare(allowed, view_of(rooms[name])[_aligned(size) :])
        answer = _done(job, arguments, rooms[name], size)
        worksite.prepare(1, None)
        pipe.send(answer)


def _done(
    job: Job, arguments: tuple[object, ...], room: SharedMemory, size: int
) -> tuple[str, Any]:
    try:
        with view_of(room)[:size].toreadonly() as given:
            answer = memoryview(job(given, *arguments)).cast("B")
    except IsocenterError as error:
        return "raised", error
    except MemoryError:
        return "raised", Malformed("pixel data asks for more memory than a worker has")
    except Exception as error:
        return "raised", Malformed(f"pixel data cannot be worked on: {error!r}")
    start = worksite.offset_in(view_of(room), answer)
    if start is not None:
        return "here", (start, len(answer))
    if len(answer) <= room.size:
        view_of(room)[: len(answer)] = answer
        return "here", (0, len(answer))
    made = SharedMemory(create=True, size=len(answer))
    view_of(made)[: len(answer)] = answer
    made.close()
    return "made", (made.name, 0, len(answer))


def _aligned(size: int) -> int:
    return -(-size // worksite.ALIGNED) * worksite.ALIGNED


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
