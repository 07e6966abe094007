"""Taking instances out: counters right, empty parents gone, blobs listed for deletion."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.engine import Dialect

from isocenter.errors import OutOfTurn
from isocenter.storage import schema
from isocenter.storage.gathering import regather, set_names
from isocenter.storage.ledger import Ledger
from isocenter.storage.records import ChangeKind, Removed, Selection
from isocenter.storage.selecting import chosen


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove up to ``limit`` of the selected instances."""

    selection: Selection
    limit: int
    dialect: Dialect

    def __call__(self, ledger: Ledger) -> Removed:
        """Empty when nothing (more) is selected."""
        statement = chosen(select(schema.instance.c.sop_instance_uid), self.selection)
        rows = _rows(ledger, statement.limit(self.limit), self.dialect)
        return detach(ledger, [row[0] for row in rows], keep_versions=False)


@dataclass(frozen=True, slots=True)
class Forget:
    """Strike blobs off the list of those to be deleted: their bytes are gone."""

    blob_keys: Sequence[str]

    def __call__(self, ledger: Ledger) -> None:
        """Keys that are not listed do no harm."""
        ledger.write_many(ledger.statements.delete_removed, [(key,) for key in self.blob_keys])
        ledger.removed_blobs().difference_update(self.blob_keys)


def _rows(ledger: Ledger, statement: Select[Any], dialect: Dialect) -> Iterable[tuple[Any, ...]]:
    compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    parameters = tuple(compiled.params[name] for name in compiled.positiontup or ())
    return ledger.rows(str(compiled), parameters)


@dataclass(frozen=True, slots=True)
class Above:
    """What an instance that goes belongs to."""

    keys: tuple[int, int, int]
    study_uid: str
    series_uid: str
    modality: str


def detach(ledger: Ledger, uids: Sequence[str], *, keep_versions: bool) -> Removed:
    """Take instances out of search.

    With ``keep_versions`` their bytes are kept, as replaced versions; else they and all earlier
    versions are listed for deletion.
    """
    ledger.flush()
    ledger.places.clear()
    ledger.has_detached = ledger.has_detached or bool(uids)
    above: dict[int, Above] = {}
    blob_keys: list[str] = []
    for uid in uids:
        found = ledger.one(ledger.statements.find_instance, uid)
        if found is None:
            raise OutOfTurn("an instance to be removed is not there")
        series_pk = found[2]
        if series_pk not in above:
            above[series_pk] = above_of(ledger, series_pk)
        blob_keys += _detach_one(ledger, above[series_pk], uid, found, keep_versions)
    ledger.flush()
    _prune(ledger, above.values())
    return Removed(len(uids), tuple(blob_keys))


def above_of(ledger: Ledger, series_pk: int) -> Above:
    """Give what a series belongs to. Raises: OutOfTurn."""
    series = ledger.one(ledger.statements.read_series, series_pk)
    study = ledger.one(ledger.statements.read_study, series[0]) if series else None
    if series is None or study is None:
        raise OutOfTurn("a row's parent is not there")
    return Above((study[3], series[0], series_pk), study[4], series[2], series[3])


def _detach_one(
    ledger: Ledger, above: Above, uid: str, found: tuple[Any, ...], keep_versions: bool
) -> list[str]:
    statements = ledger.statements
    pk, digest, _, sop_class_uid, transfer_syntax, blob_key, size, offset, stored_at, received = (
        found
    )
    uids = (above.study_uid, above.series_uid, uid)
    ledger.write(statements.delete_instance, pk)
    ledger.count_out(above.keys, blob_key, size)
    ledger.tallies.went(above.modality, instances=1, size=size)
    if keep_versions:
        ledger.write(
            statements.insert_version,
            ledger.key(),
            uid,
            *uids[:2],
            sop_class_uid,
            transfer_syntax,
            blob_key,
            size,
            digest,
            offset,
            stored_at,
            ledger.now,
            received,
        )
        return []
    versions = ledger.all(statements.versions, uid)
    if versions:
        ledger.write(statements.delete_versions, uid)
    ledger.note(ChangeKind.REMOVED, uids, blob_key, ())
    return list(list_for_deletion(ledger, uids, dict([*versions, (blob_key, size)])))


def list_for_deletion(
    ledger: Ledger, uids: tuple[str, str, str], blobs: dict[str, int], *, due_at: int = 0
) -> Iterator[str]:
    """List blobs, with their sizes, and give those that were not listed before.

    ``due_at``: microseconds since 1970 before which they stay.
    """
    listed = ledger.removed_blobs()
    for blob_key, size in blobs.items():
        if blob_key not in listed:
            row = (blob_key, *uids, size, ledger.now, due_at)
            ledger.write(ledger.statements.insert_removed, *row)
            listed.add(blob_key)
            yield blob_key


def _prune(ledger: Ledger, touched: Iterable[Above]) -> None:
    """Delete the parents that have become empty; gather anew what the others are made of."""
    statements = ledger.statements
    studies: dict[int, int] = {}
    modalities: dict[int, str] = {}
    for above in touched:
        patient_pk, study_pk, series_pk = above.keys
        studies[study_pk] = patient_pk
        modalities[study_pk] = above.modality
        series = ledger.one(statements.read_series, series_pk)
        if series is not None and series[1] == 0:
            ledger.write(statements.delete_series, series_pk)
            ledger.count_series(study_pk, patient_pk, -1)
    ledger.flush()
    for study_pk, patient_pk in studies.items():
        study = ledger.one(statements.read_study, study_pk)
        if study is not None and study[2] == 0:
            _delete_study(ledger, study_pk)
            ledger.count_studies(patient_pk, -1)
            ledger.tallies.went(modalities[study_pk], studies=1)
        else:
            regather(ledger, study_pk)
    ledger.flush()
    for patient_pk in set(studies.values()):
        patient = ledger.one(statements.read_patient, patient_pk)
        if patient is not None and patient[0] == 0:
            set_names(ledger, "patient", patient_pk, ())
            ledger.write(statements.delete_patient, patient_pk)


def _delete_study(ledger: Ledger, study_pk: int) -> None:
    set_names(ledger, "study", study_pk, ())
    ledger.write(ledger.statements.delete_modalities, study_pk)
    ledger.write(ledger.statements.delete_sop_classes, study_pk)
    ledger.write(ledger.statements.delete_study, study_pk)
