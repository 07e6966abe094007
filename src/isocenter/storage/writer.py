"""The one thread that writes. It commits together what is ready together (group commit).

No window is waited for: the writer takes what is there, commits, and while that reaches the disk
the next batch gathers.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from isocenter.errors import IsocenterError, Malformed, OutOfTurn, Unavailable
from isocenter.storage.ledger import Ledger
from isocenter.storage.sqlite import BEGIN_WRITE
from isocenter.storage.statements import compile_statements

Result = TypeVar("Result")

MAX_BATCH: Final = 256
"""Writes committed together, at most: bounds how long the first of them waits."""

MAX_WAITING: Final = 20_000
"""Writes that may wait; more are refused."""


@dataclass(slots=True, eq=False)
class _Ticket:
    action: Callable[[Ledger], Any]
    future: "Future[Any] | asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop | None
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """Takes writes from any thread or event loop and answers once they are durable.

    There is one transaction at a time. Whoever brings a write while none is under way commits it,
    in its own thread, with all that came meanwhile: a lone write is handed to no other thread.
    """

    def __init__(self, engine: Engine) -> None:
        self.removals = 0
        """Transactions that took instances away, or put others in their place."""
        self.on_noted: list[Callable[[], None]] = []
        """Called, from any thread, when the change feed has grown."""
        self._engine = engine
        self._waiting: deque[_Ticket] = deque()
        self._turn = threading.Lock()  # held by whoever commits
        self._lock = threading.Lock()  # of what follows
        self._closed = False
        self._connection = engine.raw_connection()
        self._ledger = Ledger(self._connection.cursor(), compile_statements(engine.dialect))

    def submit(self, action: Callable[[Ledger], Result]) -> "Future[Result]":
        """Have ``action`` run in a transaction; the future is done when that is committed.

        May block until the write, and others', are committed.
        Raises: Unavailable, when too much waits or the writer is closed.
        """
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        self._put(_Ticket(action, future, None))
        self._work()
        return future

    async def write(self, action: Callable[[Ledger], Result]) -> Result:
        """`submit`, for an event loop. What is cancelled may still be written."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._put(_Ticket(action, future, loop))
        loop.run_in_executor(None, self._work)
        return await future

    def close(self) -> None:
        """Write what waits, then stop."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._work()
        with self._turn:
            self._connection.close()

    def _put(self, ticket: _Ticket) -> None:
        with self._lock:
            if self._closed:
                raise Unavailable("the index is closed")
            if len(self._waiting) >= MAX_WAITING:
                raise Unavailable("too many writes wait for the index")
            self._waiting.append(ticket)

    def _work(self) -> None:
        """Commit what waits, unless somebody is at it: whoever is looks again afterwards."""
        while self._waiting and self._turn.acquire(blocking=False):
            try:
                batch = self._take()
                if batch:
                    self._write(self._ledger, batch)
            finally:
                self._turn.release()
            _settle(batch)

    def _take(self) -> list[_Ticket]:
        with self._lock:
            count = min(len(self._waiting), MAX_BATCH)
            return [self._waiting.popleft() for _ in range(count)]

    def _write(self, ledger: Ledger, batch: list[_Ticket]) -> None:
        if len(batch) > 1 and self._transact(ledger, batch):
            return
        for ticket in batch:
            # Alone, so that one that cannot be written takes no other with it. The second time is
            # for what the writer remembered wrongly, if something else changed the database.
            if not self._transact(ledger, [ticket]):
                self._transact(ledger, [ticket])

    def _transact(self, ledger: Ledger, tickets: list[_Ticket]) -> bool:
        """Whether all was committed. If not, nothing was, and the tickets bear the error."""
        try:
            ledger.begin(BEGIN_WRITE)
            for ticket in tickets:
                _apply(ledger, ticket)
            self._commit(ledger)
        except Exception as error:
            self._roll_back(ledger)
            for ticket in tickets:
                ticket.result, ticket.error = None, self._translated(error)
            return False
        if ledger.has_noted:
            for told in tuple(self.on_noted):
                told()
        return True

    def _commit(self, ledger: Ledger) -> None:
        try:
            ledger.commit()
        finally:
            self.removals += ledger.has_detached

    def _roll_back(self, ledger: Ledger) -> None:
        ledger.forget()
        with contextlib.suppress(self._database_error):
            ledger.roll_back()

    @property
    def _database_error(self) -> type[Exception]:
        error: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return error

    def _translated(self, error: Exception) -> Exception:
        if isinstance(error, IsocenterError):
            return error
        if isinstance(error, self._database_error | SQLAlchemyError):
            return _caused(Unavailable(f"the index cannot be written: {error}"), error)
        if isinstance(error, TypeError | ValueError | OverflowError):
            return _caused(Malformed("a value cannot be kept in the index"), error)
        return _caused(OutOfTurn("the index writer failed"), error)


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def _apply(ledger: Ledger, ticket: _Ticket) -> None:
    before = ledger.writes
    ticket.result = ticket.error = None
    try:
        ticket.result = ticket.action(ledger)
    except IsocenterError as error:
        if ledger.writes != before:
            raise
        ticket.error = error


def _settle(batch: Iterable[_Ticket]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Ticket]] = {}
    for ticket in batch:
        if ticket.loop is None:
            ticket.settle()
        else:
            by_loop.setdefault(ticket.loop, []).append(ticket)
    for loop, tickets in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(_settle_here, tickets)


def _settle_here(tickets: list[_Ticket]) -> None:
    for ticket in tickets:
        ticket.settle()
