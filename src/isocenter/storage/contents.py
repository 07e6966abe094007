"""What series hold at one moment, and how one state of a series is told from every other."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from isocenter.storage.records import Selection
from isocenter.storage.schema import instance, series, study
from isocenter.storage.selecting import conditions

FINGERPRINT_MASK: Final = (1 << 62) - 1
"""Sums of two numbers up to this are exact in every database."""

ROWS_AT_A_TIME: Final = 2_000


def fingerprint_of(blob_key: str) -> int:
    """Give the number that a blob adds to its series' fingerprint.

    Blobs never change and keys are never used again, so the sum over a series, as far as the mask
    leaves it, tells what the series holds: no two states of it have the same.
    """
    digest = hashlib.blake2b(blob_key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") & FINGERPRINT_MASK


@dataclass(frozen=True, slots=True)
class SeriesState:
    """A series, as it was at one moment."""

    pk: int
    study_instance_uid: str
    series_instance_uid: str
    fingerprint: int
    instances: int
    revision: int
    """Changes whenever what is laid over instances does."""


@dataclass(frozen=True, slots=True)
class BlobRow:
    """An instance of a series, as little of it as may be."""

    pk: int
    blob_key: str
    stored_at: int
    """Microseconds since 1970, UTC."""


class Snapshot:
    """The index at one moment, whatever is committed meanwhile. Blocks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def series(self, selection: Selection) -> list[SeriesState]:
        """Give the selected series, oldest study first, by series number."""
        found = (
            select(
                series.c.pk,
                study.c.study_uid,
                series.c.series_uid,
                series.c.fingerprint,
                series.c.instances,
                series.c.revision,
            )
            .select_from(series.join(study, study.c.pk == series.c.study_fk))
            .where(*conditions(selection))
            .order_by(study.c.study_date, study.c.study_time, study.c.pk)
            .order_by(series.c.series_number, series.c.pk)
        )
        return [_state(*row) for row in self._connection.execute(found)]

    def blobs(self, series_pk: int) -> Iterator[BlobRow]:
        """Yield the instances of a series by instance number, however many."""
        found = (
            select(instance.c.pk, instance.c.blob_key, instance.c.stored_at)
            .where(instance.c.series_fk == series_pk)
            .order_by(instance.c.instance_number, instance.c.pk)
        )
        result = self._connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(found)
        for row in result:
            yield BlobRow(*row)


def _state(
    pk: int, study: str, series_uid: str, fingerprint: int, instances: int, revision: int
) -> SeriesState:
    """Give a state whose fingerprint tells corrections, too."""
    if revision:
        fingerprint = fingerprint + fingerprint_of(f"revision {revision}") & FINGERPRINT_MASK
    return SeriesState(pk, study, series_uid, fingerprint, instances, revision)
