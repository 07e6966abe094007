"""Removals in the index: what was taken out, and putting it back or letting it go for good.

What was removed is in no search; its blobs are listed in ``removed_blob`` until it is undone, or
purged: then they are listed for deletion, as everything is whose bytes are to go.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

import orjson
from sqlalchemy import exists, select, tuple_

from isocenter.errors import Conflict, NotFound
from isocenter.storage import schema
from isocenter.storage.entry import Entry
from isocenter.storage.ledger import Ledger
from isocenter.storage.records import ChangeKind, OnConflict, Outcome
from isocenter.storage.reinstating import Former, reinstate
from isocenter.storage.removal_records import Removal, RemovedBlob
from isocenter.storage.removing import list_for_deletion
from isocenter.storage.search import Run
from isocenter.storage.storing import Store
from isocenter.storage.writer import Writer

Result = TypeVar("Result")
Position = tuple[int, int]
"""Of a removal in the list: when it was made, and its number."""

_KNOWN_BY: Final = frozenset(("0020000D", "00080061"))
"""What is still told of a study once it is gone for good: nothing of the patient."""


class Return(Enum):
    """What became of a blob that was to be put back."""

    BACK = "back"
    THERE = "the same was stored again meanwhile"
    IN_THE_WAY = "an instance with this SOP Instance UID and other content is there"
    GONE = "it was put back or deleted meanwhile"


class RemovalStore:
    """Every method may raise Unavailable. What has returned is committed."""

    def __init__(self, writer: Writer, readers: Executor, run: Run) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run

    # --- reading

    async def find(self, number: int) -> Removal:
        """Raises: NotFound."""
        table = schema.removal
        rows = await self._read(lambda: self._run(select(table).where(table.c.pk == number)))
        if not rows:
            raise NotFound("there is no such removal")
        return _removal_of(rows[0])

    async def page(self, limit: int, after: Position | None = None) -> list[Removal]:
        """The newest removals, or those behind ``after``."""
        table = schema.removal
        statement = select(table).order_by(table.c.removed_at.desc(), table.c.pk.desc())
        if after is not None:
            statement = statement.where(tuple_(table.c.removed_at, table.c.pk) < tuple_(*after))
        rows = await self._read(lambda: self._run(statement.limit(limit)))
        return [_removal_of(row) for row in rows]

    async def of_study(self, study_uid: str) -> Removal | None:
        """The newest removal that can be undone and took from a study."""
        blob = schema.removed_blob
        statement = (
            select(schema.removal)
            .join(blob, blob.c.removal_fk == schema.removal.c.pk)
            .where(blob.c.study_uid == study_uid)
            .order_by(schema.removal.c.pk.desc())
        )
        rows = await self._read(lambda: self._run(statement.limit(1)))
        return _removal_of(rows[0]) if rows else None

    async def of_blobs(self, blob_keys: Sequence[str]) -> dict[str, int]:
        """The numbers of the removals that took blobs which can be put back, by their keys."""
        blob = schema.removed_blob
        statement = select(blob.c.blob_key, blob.c.removal_fk).where(blob.c.blob_key.in_(blob_keys))
        return {row[0]: row[1] for row in await self._read(lambda: self._run(statement))}

    async def next_due(self) -> Removal | None:
        """The removal whose bytes go next: first of all one whose going was cut short."""
        table = schema.removal
        is_left = exists().where(schema.removed_blob.c.removal_fk == table.c.pk)
        begun = table.c.purged_at != 0, is_left
        held = table.c.purged_at == 0, table.c.restored_at == 0
        statement = select(table).where(*begun).order_by(table.c.purged_at)
        if rows := await self._read(lambda: self._run(statement.limit(1))):
            return _removal_of(rows[0])
        statement = select(table).where(*held).order_by(table.c.due_at)
        rows = await self._read(lambda: self._run(statement.limit(1)))
        return _removal_of(rows[0]) if rows else None

    async def blobs(
        self, number: int, limit: int, after: tuple[int, str] = (-1, "")
    ) -> list[RemovedBlob]:
        """What can be put back, in the order in which it came."""
        table = schema.removed_blob
        statement = (
            select(table)
            .where(table.c.removal_fk == number)
            .where(tuple_(table.c.stored_at, table.c.blob_key) > tuple_(*after))
            .order_by(table.c.stored_at, table.c.blob_key)
            .limit(limit)
        )
        return [
            RemovedBlob(**_named(row)) for row in await self._read(lambda: self._run(statement))
        ]

    # --- writing

    async def put_back(self, blob: RemovedBlob, entry: Entry | None) -> Return:
        """Enter an instance again; ``entry`` is None for a replaced version."""
        return await self._writer.write(_PutBack(blob, entry))

    async def settle(self, number: int) -> Removal:
        """Note that it was undone, if all of it is back. Raises: NotFound."""
        while await self._writer.write(_Reinstate(number)):
            pass
        return await self._writer.write(_Settle(number))

    async def purge(self, number: int) -> None:
        """List all of its blobs for deletion. Raises: NotFound."""
        while await self._writer.write(_Purge(number)):
            pass

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


def _named(row: Any) -> dict[str, Any]:
    values = dict(zip(schema.removed_blob.columns.keys(), row, strict=True))
    return {"removal": values.pop("removal_fk"), **values}


def _removal_of(row: Sequence[Any]) -> Removal:
    values = dict(zip(schema.removal.columns.keys(), row, strict=True))
    studies = tuple(orjson.loads(values.pop("document")))
    return Removal(number=values.pop("pk"), studies=studies, **values)


@dataclass(frozen=True, slots=True)
class _PutBack:
    blob: RemovedBlob
    entry: Entry | None

    def __call__(self, ledger: Ledger) -> Return:
        blob, statements = self.blob, ledger.statements
        if ledger.one(statements.find_removed_blob, blob.blob_key) is None:
            return Return.GONE
        if self.entry is None:
            ledger.write(statements.delete_removed_blob, blob.blob_key)
            self._put_version_back(ledger, blob)
            return Return.BACK
        store = Store(self.entry, OnConflict.KEEP, ChangeKind.RESTORED, blob.stored_at)
        try:
            outcome = store(ledger).outcome
        except Conflict:
            return Return.IN_THE_WAY
        if outcome is Outcome.KEPT:
            return Return.IN_THE_WAY
        ledger.write(statements.delete_removed_blob, blob.blob_key)
        if outcome is Outcome.STORED:
            return Return.BACK
        _let_go(ledger, blob)
        return Return.THERE

    def _put_version_back(self, ledger: Ledger, blob: RemovedBlob) -> None:
        what = (blob.sop_instance_uid, blob.study_uid, blob.series_uid, blob.sop_class_uid)
        where = (blob.transfer_syntax, blob.blob_key, blob.size, blob.digest, blob.dataset_offset)
        when = (blob.stored_at, blob.replaced_at)
        row = (ledger.key(), *what, *where, *when, blob.received_digest)
        ledger.write(ledger.statements.insert_version, *row)


@dataclass(frozen=True, slots=True)
class _Reinstate:
    """Have what is above instances put back say what it said, once all of them are back."""

    number: int

    def __call__(self, ledger: Ledger) -> bool:
        """Whether there is more."""
        statements = ledger.statements
        if ledger.all(statements.removed_blobs, self.number):
            return False
        rows = ledger.all(statements.removed_parents, self.number)
        for removal, series_key, *row in rows:
            reinstate(ledger, Former(*row))
            ledger.write(statements.delete_removed_parent, removal, series_key)
        return bool(rows)


@dataclass(frozen=True, slots=True)
class _Settle:
    number: int

    def __call__(self, ledger: Ledger) -> Removal:
        removal = _found(ledger, self.number)
        if removal.can_be_undone and not ledger.all(ledger.statements.removed_blobs, self.number):
            _settle(ledger, removal, restored_at=ledger.now)
        return _found(ledger, self.number)


@dataclass(frozen=True, slots=True)
class _Purge:
    number: int

    def __call__(self, ledger: Ledger) -> bool:
        """Whether there is more."""
        removal = _found(ledger, self.number)
        rows = ledger.all(ledger.statements.removed_blobs, self.number)
        if removal.can_be_undone:
            # First of all: cut short, it cannot be undone any more, as if all were still there.
            # Where nothing is left, all of it is back, and only that it is was never noted.
            which = "purged_at" if rows else "restored_at"
            _settle(ledger, removal, **{which: ledger.now})
            ledger.write(ledger.statements.delete_removed_parents, self.number)
        for row in rows:
            blob = RemovedBlob(**_named(row))
            ledger.write(ledger.statements.delete_removed_blob, blob.blob_key)
            _let_go(ledger, blob)
        return bool(rows)


def _let_go(ledger: Ledger, blob: RemovedBlob) -> None:
    uids = (blob.study_uid, blob.series_uid, blob.sop_instance_uid)
    list(list_for_deletion(ledger, uids, {blob.blob_key: blob.size}))
    if not blob.replaced_at:
        ledger.note(ChangeKind.PURGED, uids, blob.blob_key, ())


def _found(ledger: Ledger, number: int) -> Removal:
    row = ledger.one(ledger.statements.find_removal, number)
    if row is None:
        raise NotFound("there is no such removal")
    return _removal_of(row)


def _settle(ledger: Ledger, removal: Removal, *, restored_at: int = 0, purged_at: int = 0) -> None:
    studies = removal.studies
    if purged_at:
        studies = tuple({tag8: each[tag8] for tag8 in each.keys() & _KNOWN_BY} for each in studies)
    values = (restored_at, purged_at, orjson.dumps(studies), removal.number)
    ledger.write(ledger.statements.settle_removal, *values)
