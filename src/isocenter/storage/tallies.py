"""Counts of what came and what went, by day and modality and by minute.

They are kept in the transaction of each change, so that whoever wants to know need not count
instances. Days and minutes are of UTC, numbered from 1970.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from isocenter.storage import schema

if TYPE_CHECKING:
    from isocenter.storage.ledger import Ledger
    from isocenter.storage.search import Run

MINUTE: Final = 60_000_000
DAY: Final = 1440 * MINUTE
"""Microseconds."""

KEPT_MINUTES: Final = 48 * 60
"""For so many minutes their counts are kept; those of days are kept for good."""


class Span(IntEnum):
    """What a row counts."""

    MINUTE = 0
    DAY = 1


Counts = list[int]
"""In the order of ``COLUMNS``."""
COLUMNS: Final = (
    "instances",
    "bytes",
    "studies",
    "removed_instances",
    "removed_bytes",
    "removed_studies",
)
Key = tuple[int, int, str]
"""Span, its number, modality."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What came and went in one span of time."""

    number: int
    """Of the day or minute, from 1970."""
    modality: str
    """Empty for minutes, and where the series does not say."""
    instances: int = 0
    bytes: int = 0
    studies: int = 0
    removed_instances: int = 0
    removed_bytes: int = 0
    removed_studies: int = 0

    @property
    def kept_instances(self) -> int:
        """Came and did not go."""
        return self.instances - self.removed_instances

    @property
    def kept_bytes(self) -> int:
        """Came and did not go."""
        return self.bytes - self.removed_bytes

    @property
    def kept_studies(self) -> int:
        """Came and did not go."""
        return self.studies - self.removed_studies


class Tallies:
    """The counts of a transaction that is under way, and which rows there are."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._rows: set[Key] = set()
        self._minute = 0

    def came(self, modality: str, *, instances: int = 0, size: int = 0, studies: int = 0) -> None:
        """Count what is new; ``size`` in bytes."""
        counts = self._of(modality)
        counts[0] += instances
        counts[1] += size
        counts[2] += studies

    def went(self, modality: str, *, instances: int = 0, size: int = 0, studies: int = 0) -> None:
        """Count what is no more."""
        counts = self._of(modality)
        counts[3] += instances
        counts[4] += size
        counts[5] += studies

    def forget(self) -> None:
        """After a rollback."""
        self._counts.clear()
        self._rows.clear()

    def flush(self, ledger: "Ledger") -> None:
        """Write what was counted: a row for each modality of the day, and one for the minute."""
        if not self._counts:
            return
        day, minute = ledger.now // DAY, ledger.now // MINUTE
        sums = [sum(column) for column in zip(*self._counts.values(), strict=True)]
        rows: dict[Key, Sequence[int]] = {(Span.MINUTE, minute, ""): sums}
        rows |= {(Span.DAY, day, each): counts for each, counts in self._counts.items()}
        for key in rows.keys() - self._rows:
            self._make(ledger, key)
        ledger.write_many(
            ledger.statements.count_tally, [(*counts, *key) for key, counts in rows.items()]
        )
        self._counts.clear()

    def _make(self, ledger: "Ledger", key: Key) -> None:
        """Have a row for ``key``; let go of minutes that are long over."""
        if key[0] == Span.MINUTE:
            self._rows = {each for each in self._rows if each[0] != Span.MINUTE}
            before = key[1] - KEPT_MINUTES
            ledger.write(ledger.statements.delete_tallies, int(Span.MINUTE), before)
        elif key[1] not in {each[1] for each in self._rows if each[0] == Span.DAY}:
            self._rows = {each for each in self._rows if each[0] != Span.DAY}
        if ledger.one(ledger.statements.find_tally, *key) is None:
            ledger.write(ledger.statements.insert_tally, *key)
        self._rows.add(key)

    def _of(self, modality: str) -> Counts:
        counts = self._counts.get(modality)
        if counts is None:
            counts = self._counts[modality] = [0] * len(COLUMNS)
        return counts


def tallies(run: "Run", span: Span, since: int) -> list[Tally]:
    """The counts of the spans numbered ``since`` and after, oldest first."""
    table = schema.tally
    columns = (table.c.number, table.c.modality, *(table.c[each] for each in COLUMNS))
    statement = select(*columns).where(table.c.span == int(span), table.c.number >= since)
    return [Tally(*row) for row in run(statement.order_by(table.c.number, table.c.modality))]


def total(run: "Run", before: int | None) -> Tally:
    """The sums of all days, or of those numbered below ``before``."""
    table = schema.tally
    sums = select(*(func.coalesce(func.sum(table.c[each]), 0) for each in COLUMNS))
    sums = sums.where(table.c.span == int(Span.DAY))
    if before is not None:
        sums = sums.where(table.c.number < before)
    return Tally(0, "", *run(sums)[0])
