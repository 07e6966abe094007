"""One transaction of the writer: statements, keys, sums of counters, notes of changes."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.engine.interfaces import DBAPICursor

from isocenter.storage.contents import FINGERPRINT_MASK, fingerprint_of
from isocenter.storage.engine import Statement
from isocenter.storage.records import ChangeKind, Warned
from isocenter.storage.statements import Statements
from isocenter.storage.tallies import Tallies

KEY_BLOCK: Final = 4096
"""How many keys are taken from the database at a time."""

_NEXT_KEY: Final = "next_key"


@dataclass(slots=True)
class Place:
    """A series and what is above it, as rows."""

    keys: tuple[int, int, int]
    """Of the patient, the study and the series."""
    held_tags: set[str]
    """Attributes that are filled wherever they are kept: a further instance adds nothing."""
    sop_classes: set[str]
    demographics: tuple[str, str, str]
    shared_study: bool
    """Whether another patient has a study of the same Study Instance UID."""
    modality: str = ""


class Ledger:
    """The writer's hand in the database.

    One transaction at a time; forgets all it knew on a rollback.
    """

    def __init__(self, cursor: DBAPICursor, statements: Statements) -> None:
        self.statements = statements
        self.places: dict[tuple[str, ...], Place] = {}
        self.now = 0
        self.writes = 0
        self.has_detached = False
        """Whether this transaction takes away an instance, or its place in search."""
        self.tallies = Tallies()
        self.has_noted = False
        """Whether this transaction adds to the change feed."""
        self._cursor = cursor
        self._next_key = self._end_of_keys = 0
        self._last_change = 0
        self._patients: dict[int, list[int]] = {}
        self._studies: dict[int, list[int]] = {}
        self._series: dict[int, list[int]] = {}
        self._removed: set[str] | None = None

    def begin(self, statement: str) -> None:
        """Begin a transaction."""
        self.has_detached = self.has_noted = False
        self._cursor.execute(statement)
        row = self.one(self.statements.last_change)
        self._last_change = (row and row[0]) or 0
        self.now = time.time_ns() // 1000

    def commit(self) -> None:
        """Write the counters and commit."""
        self.flush()
        self.tallies.flush(self)
        self._cursor.execute("COMMIT")

    def roll_back(self) -> None:
        """Undo what was written since `begin`."""
        self._cursor.execute("ROLLBACK")

    def forget(self) -> None:
        """Drop what may not hold any more, after a rollback."""
        self.places.clear()
        self._next_key = self._end_of_keys = 0
        self._removed = None
        self.tallies.forget()
        for counters in (self._patients, self._studies, self._series):
            counters.clear()

    def one(self, statement: Statement, *parameters: Any) -> tuple[Any, ...] | None:
        """The first row of a SELECT, None where there is none."""
        self._cursor.execute(statement.sql, parameters)
        row: tuple[Any, ...] | None = self._cursor.fetchone()
        return row

    def all(self, statement: Statement, *parameters: Any) -> list[tuple[Any, ...]]:
        """All rows of a SELECT."""
        self._cursor.execute(statement.sql, parameters)
        return list(self._cursor.fetchall())

    def rows(self, sql: str, parameters: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """The rows of a SELECT that was compiled for this occasion."""
        self._cursor.execute(sql, parameters)
        yield from self._cursor.fetchall()

    def write(self, statement: Statement, *parameters: Any) -> None:
        """Run a statement that changes something."""
        self.writes += 1
        self._cursor.execute(statement.sql, parameters)

    def write_many(self, statement: Statement, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement that changes something once for each row of parameters."""
        self.writes += 1
        self._cursor.executemany(statement.sql, list(rows))

    def key(self) -> int:
        """A key for a new row; unique over all tables."""
        if self._next_key == self._end_of_keys:
            self._take_keys()
        key = self._next_key
        self._next_key += 1
        return key

    def _take_keys(self) -> None:
        row = self.one(self.statements.read_meta, _NEXT_KEY)
        self._next_key = int(row[0]) if row else 1
        self._end_of_keys = self._next_key + KEY_BLOCK
        if row:
            self.write(self.statements.update_meta, str(self._end_of_keys), _NEXT_KEY)
        else:
            self.write(self.statements.insert_meta, _NEXT_KEY, str(self._end_of_keys))

    def note(
        self,
        kind: ChangeKind,
        uids: tuple[str, str, str],
        blob_key: str,
        warnings: Iterable[Warned],
    ) -> None:
        """Add a row to the change feed; ``uids`` of the study, the series and the instance."""
        self._last_change += 1
        self.has_noted = True
        self.write(
            self.statements.insert_change,
            self._last_change,
            int(kind),
            *uids,
            blob_key,
            self.now,
            ",".join(each.name for each in warnings),
        )

    def removed_blobs(self) -> set[str]:
        """Keys of the blobs whose bytes are to be deleted."""
        if self._removed is None:
            self._removed = {row[0] for row in self.all(self.statements.pending)}
        return self._removed

    def count_in(self, keys: tuple[int, int, int], blob_key: str, size: int) -> None:
        """Add an instance in the counters of all levels.

        ``keys`` of the patient, the study and the series; ``size`` in bytes.
        """
        self._count(keys, 1, size, fingerprint_of(blob_key))

    def count_out(self, keys: tuple[int, int, int], blob_key: str, size: int) -> None:
        """Take an instance away, as `count_in` adds one."""
        self._count(keys, -1, -size, -fingerprint_of(blob_key))

    def _count(
        self, keys: tuple[int, int, int], instances: int, size: int, fingerprint: int
    ) -> None:
        patient_pk, study_pk, series_pk = keys
        for counters, key, width in (
            (self._series, series_pk, 3),
            (self._studies, study_pk, 3),
            (self._patients, patient_pk, 4),
        ):
            sums = counters.get(key)
            if sums is None:
                sums = counters[key] = [0] * width
            sums[-2] += instances
            sums[-1] += size
        series = self._series[series_pk]
        series[0] = series[0] + fingerprint & FINGERPRINT_MASK

    def count_series(self, study_pk: int, patient_pk: int, series: int) -> None:
        """Add or remove series."""
        self._studies.setdefault(study_pk, [0, 0, 0])[0] += series
        self._patients.setdefault(patient_pk, [0, 0, 0, 0])[1] += series

    def count_studies(self, patient_pk: int, studies: int) -> None:
        """Add or remove studies."""
        self._patients.setdefault(patient_pk, [0, 0, 0, 0])[0] += studies

    def flush(self) -> None:
        """Write the sums of the counters."""
        for counters, statement in (
            (self._series, self.statements.count_series),
            (self._studies, self.statements.count_study),
            (self._patients, self.statements.count_patient),
        ):
            if counters:
                self.write_many(statement, [(*sums, pk) for pk, sums in counters.items()])
                counters.clear()
