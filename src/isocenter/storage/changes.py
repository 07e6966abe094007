"""The change feed, read forward by those who follow it and backward by those who look back."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, literal_column, select

from isocenter.storage.records import Change, ChangeKind, Warned
from isocenter.storage.schema import change
from isocenter.storage.search import Run


def changes(run: Run, since: int, limit: int) -> list[Change]:
    """Up to ``limit`` changes with a number above ``since``, oldest first."""
    statement = select(change).where(change.c.seq > since).order_by(change.c.seq).limit(limit)
    return [_change(row) for row in run(statement)]


def _change(row: Row[Any]) -> Change:
    return Change(
        row.seq,
        ChangeKind(row.kind),
        row.study_uid,
        row.series_uid,
        row.sop_instance_uid,
        row.blob_key,
        row.at,
        tuple(Warned[name] for name in row.warnings.split(",") if name),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeFilter:
    """Which changes are meant; what is empty narrows nothing."""

    kinds: tuple[ChangeKind, ...] = ()
    study: str = ""


def changes_before(run: Run, before: int | None, limit: int, wanted: ChangeFilter) -> list[Change]:
    """Up to ``limit`` changes with a number below ``before``, newest first."""
    statement = select(change).order_by(change.c.seq.desc()).limit(limit)
    if before is not None:
        statement = statement.where(change.c.seq < before)
    if wanted.study:
        statement = statement.where(change.c.study_uid == wanted.study)
    if wanted.kinds:
        statement = statement.where(change.c.kind.in_([int(each) for each in wanted.kinds]))
        if ChangeKind.STORED not in wanted.kinds and not wanted.study:
            # In so many words: only then is the index of the rare kinds thought of.
            statement = statement.where(
                change.c.kind != literal_column(str(int(ChangeKind.STORED)))
            )
    return [_change(row) for row in run(statement)]


def first_change(run: Run) -> Change | None:
    """The oldest change there is."""
    rows = run(select(change).order_by(change.c.seq).limit(1))
    return _change(rows[0]) if rows else None


def last_change(run: Run) -> int:
    """The number of the newest change, 0 if there was none."""
    return run(select(func.max(change.c.seq)))[0][0] or 0
