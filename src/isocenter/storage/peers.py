"""The applications that are kept in the archive, and what they last answered."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Select, select

from isocenter.address import Address
from isocenter.errors import Conflict, NotFound
from isocenter.storage import schema
from isocenter.storage.ledger import Ledger
from isocenter.storage.search import Run
from isocenter.storage.writer import Writer

Result = TypeVar("Result")

MOST: Final = 10_000
"""Applications that are kept; more are refused."""


@dataclass(frozen=True, slots=True)
class KeptPeer:
    """An application, as it is kept."""

    address: Address
    note: str = ""
    """What people say of it."""
    changed_at: int = 0
    """Microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an application answered when it was asked something."""

    ae_title: str
    kind: str
    address: str
    """Where it was then."""
    at: int
    """Microseconds since 1970, UTC."""
    document: bytes
    """JSON."""


class PeerStore:
    """Every method may raise Unavailable. What has returned is committed.

    Nothing is kept in memory: what another process wrote counts at once.
    """

    def __init__(self, writer: Writer, readers: Executor, run: Run) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run

    async def add(self, peer: KeptPeer) -> None:
        """Keep another. Raises: Conflict, where there is one of that AE title, or too many."""
        await self._writer.write(_Put(peer, former=""))

    async def change(self, former: str, peer: KeptPeer) -> None:
        """Keep ``peer`` in the place of the one titled ``former``. Raises: NotFound, Conflict."""
        await self._writer.write(_Put(peer, former))

    async def remove(self, ae_title: str) -> None:
        """Forget one, and what it answered. Raises: NotFound."""
        await self._writer.write(_Remove(ae_title))

    async def note(self, report: Report) -> None:
        """Keep what one answered, instead of what it did before."""
        await self._writer.write(_Note(report))

    async def all(self) -> list[KeptPeer]:
        """All that are kept, by AE title."""
        return await self._find(select(schema.peer).order_by(schema.peer.c.ae_title))

    async def of(self, ae_title: str) -> KeptPeer | None:
        """The one with that AE title, if there is one."""
        table = schema.peer
        found = await self._find(select(table).where(table.c.ae_title == ae_title))
        return found[0] if found else None

    async def report(self, ae_title: str, kind: str) -> Report | None:
        """What one answered when it was asked last."""
        table = schema.peer_report
        statement = select(table).where(table.c.ae_title == ae_title, table.c.kind == kind)
        rows = await self._read(lambda: self._run(statement))
        return Report(*rows[0]) if rows else None

    async def reports(self, kind: str) -> dict[str, Report]:
        """What each answered when it was asked last, by AE title."""
        table = schema.peer_report
        rows = await self._read(lambda: self._run(select(table).where(table.c.kind == kind)))
        return {row.ae_title: Report(*row) for row in rows}

    async def _find(self, statement: Select[Any]) -> list[KeptPeer]:
        rows: Sequence[Any] = await self._read(lambda: self._run(statement))
        return [
            KeptPeer(Address(row.ae_title, row.host, row.port), row.note, row.changed_at)
            for row in rows
        ]

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


@dataclass(frozen=True, slots=True)
class _Put:
    peer: KeptPeer
    former: str
    """The AE title it had; empty for another one."""

    def __call__(self, ledger: Ledger) -> None:
        statements, address = ledger.statements, self.peer.address
        if self.former and ledger.one(statements.find_peer, self.former) is None:
            raise NotFound(f"no peer {self.former} is kept")
        is_taken = ledger.one(statements.find_peer, address.ae_title) is not None
        if is_taken and address.ae_title != self.former:
            raise Conflict(f"there is a peer {address.ae_title} already")
        if not self.former and (ledger.one(statements.count_peers) or (0,))[0] >= MOST:
            raise Conflict(f"no more than {MOST} peers can be kept")
        if self.former:
            ledger.write(statements.delete_peer, self.former)
        if self.former not in ("", address.ae_title):
            ledger.write(statements.delete_peer_reports, self.former)
        row = (address.ae_title, address.host, address.port, self.peer.note, ledger.now)
        ledger.write(statements.insert_peer, *row)


@dataclass(frozen=True, slots=True)
class _Remove:
    ae_title: str

    def __call__(self, ledger: Ledger) -> None:
        if ledger.one(ledger.statements.find_peer, self.ae_title) is None:
            raise NotFound(f"no peer {self.ae_title} is kept")
        ledger.write(ledger.statements.delete_peer, self.ae_title)
        ledger.write(ledger.statements.delete_peer_reports, self.ae_title)


@dataclass(frozen=True, slots=True)
class _Note:
    report: Report

    def __call__(self, ledger: Ledger) -> None:
        report = self.report
        ledger.write(ledger.statements.delete_peer_report, report.ae_title, report.kind)
        row = (report.ae_title, report.kind, report.address, report.at, report.document)
        ledger.write(ledger.statements.insert_peer_report, *row)
