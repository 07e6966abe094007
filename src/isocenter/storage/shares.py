"""Links that share a study, in the index: of the token only its digest."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import Select, select

from isocenter.errors import NotFound
from isocenter.storage import schema
from isocenter.storage.ledger import Ledger
from isocenter.storage.search import Run
from isocenter.storage.writer import Writer

Result = TypeVar("Result")

MOST: Final = 500
"""Shares that are listed, the newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShare:
    """A share to be entered."""

    token_digest: str
    study_uid: str
    study_handle: str
    """Of the very study (`handles`): another patient's of the same UID is not shared with it."""
    series_uid: str = ""
    """Only that series; empty for all."""
    label: str = ""
    created_by: str = ""
    may_download: bool = False
    lifetime: float
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share; times are in microseconds since 1970, UTC, and 0 for never."""

    number: int
    study_uid: str
    study_handle: str
    series_uid: str
    label: str
    created_by: str
    may_download: bool
    created_at: int
    expires_at: int
    revoked_at: int
    used_at: int
    uses: int


class ShareStore:
    """Every method may raise Unavailable. What has returned is committed."""

    def __init__(self, writer: Writer, readers: Executor, run: Run) -> None:
        self._writer = writer
        self._readers = readers
        self._run = run

    async def enter(self, share: NewShare, retention: float) -> None:
        """Note a share; forget those that ended longer than ``retention`` seconds ago."""
        await self._writer.write(_Enter(share, int(retention * 1_000_000)))

    async def find(self, token_digest: str) -> Share:
        """The share of a token, used up or not. Raises: NotFound."""
        table = schema.share
        found = await self._listed(select(table).where(table.c.token_digest == token_digest))
        if not found:
            raise NotFound("there is no such share")
        return found[0]

    async def listed(self, study_uid: str = "") -> list[Share]:
        """All shares, or those of a study: the newest first."""
        table = schema.share
        statement = select(table).order_by(table.c.created_at.desc(), table.c.pk.desc()).limit(MOST)
        if study_uid:
            statement = statement.where(table.c.study_uid == study_uid)
        return await self._listed(statement)

    async def note_use(self, number: int) -> None:
        """Count a use. Of a share that is gone, nothing happens."""
        await self._writer.write(_Use(number))

    async def revoke(self, number: int) -> None:
        """Let a share end now. Raises: NotFound."""
        await self._writer.write(_Revoke(number))

    async def _listed(self, statement: Select[Any]) -> list[Share]:
        rows = await self._read(lambda: self._run(statement))
        return [_share_of(row) for row in rows]

    async def _read(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)


def _share_of(row: Sequence[Any]) -> Share:
    values = dict(zip(schema.share.columns.keys(), row, strict=True))
    values["number"] = values.pop("pk")
    values["may_download"] = bool(values["may_download"])
    del values["token_digest"]
    return Share(**values)


@dataclass(frozen=True, slots=True)
class _Enter:
    share: NewShare
    retention: int

    def __call__(self, ledger: Ledger) -> None:
        share, now = self.share, ledger.now
        ledger.write(ledger.statements.delete_shares, now - self.retention)
        ledger.write(
            ledger.statements.insert_share,
            ledger.key(),
            share.token_digest,
            share.study_uid,
            share.study_handle,
            share.series_uid,
            share.label,
            share.created_by,
            int(share.may_download),
            now,
            now + int(share.lifetime * 1_000_000),
            0,
            0,
            0,
        )


@dataclass(frozen=True, slots=True)
class _Use:
    number: int

    def __call__(self, ledger: Ledger) -> None:
        found = ledger.one(ledger.statements.find_share, self.number)
        if found is not None:
            ledger.write(ledger.statements.use_share, ledger.now, found[0] + 1, self.number)


@dataclass(frozen=True, slots=True)
class _Revoke:
    number: int

    def __call__(self, ledger: Ledger) -> None:
        found = ledger.one(ledger.statements.find_share, self.number)
        if found is None:
            raise NotFound("there is no such share")
        if not found[1]:
            ledger.write(ledger.statements.revoke_share, ledger.now, self.number)
