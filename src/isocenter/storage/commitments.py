"""Requests of storage commitment in the index, with their results: durable, for a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select

from isocenter.errors import Conflict, NotFound
from isocenter.storage import schema
from isocenter.storage.ledger import Ledger
from isocenter.storage.search import Run
from isocenter.storage.writer import Writer

Result = TypeVar("Result")

KEPT_IN_MIND = 2
"""So many retention times a Transaction UID is known: after the first without its result."""


class Expired(NotFound):
    """There was a result, and its time is over."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of one request; both are JSON."""

    request: bytes
    result: bytes
    """Empty where there is none yet."""


class CommitmentStore:
    """Every method may raise Unavailable. What has returned is committed."""

    def __init__(self, writer: Writer, readers: Executor, run: Run) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run

    async def enter(self, transaction_uid: str, request: bytes, retention: float) -> None:
        """Note a request; let go of those older than ``retention`` in seconds.

        Raises: Conflict, where the Transaction UID is taken.
        """
        await self._writer.write(_Enter(transaction_uid, request, int(retention * 1_000_000)))

    async def finish(self, transaction_uid: str, result: bytes) -> None:
        """Note a result. Where the request is gone, nothing happens."""
        await self._writer.write(_Finish(transaction_uid, result))

    async def find(self, transaction_uid: str) -> Held:
        """Raises: NotFound, Expired."""
        return await self._read(lambda: self._find(transaction_uid))

    def _find(self, transaction_uid: str) -> Held:
        table = schema.commitment
        statement = select(table.c.request, table.c.result)
        rows = self._run(statement.where(table.c.transaction_uid == transaction_uid))
        if not rows:
            raise NotFound("no commitment was asked for with this Transaction UID")
        held = Held(*rows[0])
        if not held.request and not held.result:
            raise Expired("the result of this request is no longer kept")
        return held

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


@dataclass(frozen=True, slots=True)
class _Enter:
    transaction_uid: str
    request: bytes
    retention: int

    def __call__(self, ledger: Ledger) -> None:
        statements = ledger.statements
        if ledger.one(statements.find_commitment, self.transaction_uid) is not None:
            raise Conflict("this Transaction UID was used before")
        ledger.write(statements.delete_commitments, ledger.now - KEPT_IN_MIND * self.retention)
        ledger.write(statements.expire_commitments, b"", b"", ledger.now - self.retention)
        row: tuple[Any, ...] = (self.transaction_uid, ledger.now, self.request, b"")
        ledger.write(statements.insert_commitment, ledger.key(), *row)


@dataclass(frozen=True, slots=True)
class _Finish:
    transaction_uid: str
    result: bytes

    def __call__(self, ledger: Ledger) -> None:
        found = ledger.one(ledger.statements.find_commitment, self.transaction_uid)
        if found is not None and not found[1]:
            ledger.write(ledger.statements.finish_commitment, b"", self.result, found[0])
