"""Entering instances: the rows they make, and what is done when they are there already."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from isocenter.errors import Conflict, Unavailable
from isocenter.storage import entry as entries, origins
from isocenter.storage.attributes import LEVELS, NON_PATIENT_STUDY, Level
from isocenter.storage.entry import Document, Entry, Upper
from isocenter.storage.gathering import add_modality, add_sop_class, set_names
from isocenter.storage.handles import patient_handle, study_handle
from isocenter.storage.ledger import Ledger, Place
from isocenter.storage.records import (
    ChangeKind,
    Incoming,
    Kept,
    OnConflict,
    Outcome,
    Stored,
    Warned,
)
from isocenter.storage.removing import above_of, detach

MAX_PLACES = 20_000
"""Series remembered by the writer."""

ELSEWHERE: Final = (
    "an instance with this SOP Instance UID is there, of another patient, study or series"
)


@dataclass(frozen=True, slots=True)
class Store:
    """Enter one instance."""

    entry: Entry
    on_conflict: OnConflict
    kind: ChangeKind = ChangeKind.STORED
    """What the change feed says of one that was not there."""
    stored_at: int = 0
    """When it came, if not now."""

    def __call__(self, ledger: Ledger) -> Stored:
        """Raises: Conflict, Unavailable; both before anything is written."""
        entry = self.entry
        if entry.incoming.blob_key in ledger.removed_blobs():
            raise Unavailable("the same bytes were removed and are about to be deleted; try again")
        found = ledger.one(ledger.statements.find_instance, entry.sop_instance_uid)
        if found is not None:
            return self._again(ledger, found)
        warnings = _attach(ledger, entry, self.kind, self.stored_at)
        return Stored(Outcome.STORED, warnings)

    def _again(self, ledger: Ledger, found: tuple[Any, ...]) -> Stored:
        entry = self.entry
        if _is_same(found, entry.incoming):
            kept = Kept(found[5], found[6], found[7], found[1])
            return Stored(Outcome.DUPLICATE, there=kept)
        if self.on_conflict is OnConflict.REJECT:
            raise Conflict("an instance with this SOP Instance UID and other content is there")
        if self.on_conflict is OnConflict.KEEP:
            if _is_elsewhere(ledger, found, entry.upper):
                raise Conflict(ELSEWHERE)
            uids = (entry.upper.study_uid, entry.upper.series_uid, entry.sop_instance_uid)
            warnings = (Warned.OTHER_BYTES,)
            ledger.note(ChangeKind.CONFLICT, uids, found[5], warnings)
            return Stored(Outcome.KEPT, warnings)
        detach(ledger, [entry.sop_instance_uid])
        return Stored(Outcome.REPLACED, _attach(ledger, entry, ChangeKind.REPLACED))


def _is_same(found: tuple[Any, ...], incoming: Incoming) -> bool:
    """Whether it came with the same bytes, or comes as it is kept now."""
    kept, received = found[1], found[9] or found[1]
    if incoming.digest == kept:
        return bool(incoming.transfer_syntax == found[4])  # in another they say something else
    return received in (incoming.digest, incoming.received_digest)


def _is_elsewhere(ledger: Ledger, found: tuple[Any, ...], upper: Upper) -> bool:
    """Whether what is there is no older form of what comes: then keeping that would lose this."""
    origin = origins.find(ledger, upper)
    shown = upper if origin is None else origin.shown(upper)
    above = above_of(ledger, found[2])
    study = ledger.one(ledger.statements.study_at, above.keys[1])
    assert study is not None
    ours = (*study[2:6], above.series_uid)
    return (*shown.patient_key, shown.study_uid, shown.series_uid) != ours


def _attach(
    ledger: Ledger, entry: Entry, kind: ChangeKind, stored_at: int = 0
) -> tuple[Warned, ...]:
    place = ledger.places.get(entry.upper.series_key)
    if place is None:
        if len(ledger.places) >= MAX_PLACES:
            ledger.places.clear()
        place = ledger.places[entry.upper.series_key] = _place(ledger, entry)
    if not entry.upper.tags <= place.held_tags:
        _fill(ledger, place, entry)
    if entry.sop_class_uid not in place.sop_classes:
        place.sop_classes = add_sop_class(ledger, place.keys[1], entry.sop_class_uid)
    _insert_instance(ledger, place, entry, stored_at or ledger.now)
    warnings = _warnings(place, entry)
    uids = (entry.upper.study_uid, entry.upper.series_uid, entry.sop_instance_uid)
    ledger.note(kind, uids, entry.incoming.blob_key, warnings)
    ledger.count_in(place.keys, entry.incoming.blob_key, entry.incoming.size)
    ledger.tallies.came(place.modality, instances=1, size=entry.incoming.size)
    return warnings


def _warnings(place: Place, entry: Entry) -> tuple[Warned, ...]:
    found: list[Warned] = []
    if place.shared_study:
        found.append(Warned.STUDY_OF_TWO_PATIENTS)
    if not entry.upper.patient_id:
        found.append(Warned.NO_PATIENT_ID)
    given = entries.demographics(origins.corrected(entry.upper, place.overlay).patient)
    if any(
        ours and theirs and ours != theirs
        for ours, theirs in zip(place.demographics, given, strict=True)
    ):
        found.append(Warned.PATIENT_DIFFERS)
    return tuple(found)


def _insert_instance(ledger: Ledger, place: Place, entry: Entry, stored_at: int) -> None:
    incoming = entry.incoming
    ledger.write(
        ledger.statements.insert_instance,
        ledger.key(),
        place.keys[2],
        entry.sop_instance_uid,
        entry.sop_class_uid,
        entry.instance_number,
        incoming.transfer_syntax,
        incoming.blob_key,
        incoming.size,
        incoming.digest,
        incoming.dataset_offset,
        entry.document,
        entry.compared,
        stored_at,
        incoming.received_digest,
        place.origin,
    )


def _place(ledger: Ledger, entry: Entry) -> Place:
    """Find or make the patient, the study and the series of an instance."""
    origin = origins.arrive(ledger, entry.upper)
    upper = entry.upper if origin is None else origin.shown(entry.upper)
    place = _place_of(ledger, upper)
    if origin is not None:
        origins.settle(ledger, origin, place.keys[1])
        place.held_tags = set(entry.upper.tags)  # further ones are to be learnt of
        kept = origins.find(ledger, entry.upper)
        place.origin, place.overlay = (kept.pk, kept.overlay) if kept else (0, None)
    return place


def _place_of(ledger: Ledger, upper: Upper) -> Place:
    series = upper.series
    patient_pk, held_patient = _patient(ledger, upper)
    study_pk, study_patient, held_study = _study(ledger, upper, patient_pk)
    row = ledger.one(ledger.statements.find_series, study_pk, upper.series_uid)
    if row is not None:
        series_pk, held_series = row[0], orjson.loads(row[1])
    else:
        series_pk, held_series = ledger.key(), series
        columns = entries.series_columns(series)
        ledger.write(
            ledger.statements.insert_series, series_pk, study_pk, upper.series_uid, *columns
        )
        ledger.count_series(study_pk, patient_pk, 1)
        add_modality(ledger, study_pk, columns[0], entries.when(held_study))
    elsewhere = ledger.one(ledger.statements.find_study_elsewhere, upper.study_uid, patient_pk)
    return Place(
        (patient_pk, study_pk, series_pk),
        _held(held_patient, study_patient, held_study, held_series),
        {row[0] for row in ledger.all(ledger.statements.sop_classes, study_pk)},
        entries.demographics(study_patient),
        elsewhere is not None,
        entries.modality_of(held_series),
    )


def _patient(ledger: Ledger, upper: Upper) -> tuple[int, Document]:
    row = ledger.one(ledger.statements.find_patient, *upper.patient_key)
    if row is not None:
        return row[0], orjson.loads(row[1])
    pk, patient = ledger.key(), upper.patient
    columns = entries.patient_columns(patient)
    key = upper.patient_key
    ledger.write(ledger.statements.insert_patient, pk, *key, patient_handle(*key), *columns)
    set_names(ledger, "patient", pk, entries.name_parts(patient, {}))
    return pk, patient


def _study(ledger: Ledger, upper: Upper, patient_pk: int) -> tuple[int, Document, Document]:
    row = ledger.one(ledger.statements.find_study, patient_pk, upper.study_uid)
    if row is not None:
        return row[0], orjson.loads(row[1]), orjson.loads(row[2])
    pk, patient, study = ledger.key(), upper.patient, upper.study
    columns = entries.study_columns(patient, study)
    study_uid = upper.study_uid
    handle = study_handle(upper.patient_key, study_uid)
    ledger.write(ledger.statements.insert_study, pk, patient_pk, study_uid, handle, *columns)
    ledger.count_studies(patient_pk, 1)
    if study_uid != NON_PATIENT_STUDY:  # that is a place to keep things, and no study
        ledger.tallies.came(entries.modality_of(upper.series), studies=1)
    set_names(ledger, "study", pk, entries.name_parts(patient, study))
    return pk, patient, study


def _held(
    patient: Document, study_patient: Document, study: Document, series: Document
) -> set[str]:
    by_level = {
        Level.PATIENT: patient.keys() & study_patient.keys(),
        Level.STUDY: study.keys(),
        Level.SERIES: series.keys(),
    }
    return {
        tag8
        for held in by_level.values()
        for tag8 in held
        if all(tag8 in by_level[level] for level in LEVELS.get(tag8, ()) if level in by_level)
    }


def _fill(ledger: Ledger, place: Place, entry: Entry) -> None:
    """Add what the rows above lack and this instance knows. What is there stays."""
    upper = entry.upper
    if place.origin:
        ledger.places[upper.series_key] = place_again = _place(ledger, entry)
        place.held_tags = place_again.held_tags | place.held_tags | upper.tags
        return
    patient, study, series = upper.patient, upper.study, upper.series
    statements = ledger.statements
    patient_pk, study_pk, series_pk = place.keys
    row = ledger.one(statements.find_patient, *entry.upper.patient_key)
    if row is not None and (filled := _filled(row[1], patient)):
        ledger.write(statements.update_patient, *entries.patient_columns(filled), patient_pk)
        set_names(ledger, "patient", patient_pk, entries.name_parts(filled, {}))
    row = ledger.one(statements.find_study, patient_pk, entry.upper.study_uid)
    if row is not None:
        _fill_study(ledger, place, (orjson.loads(row[1]), orjson.loads(row[2])), (patient, study))
    row = ledger.one(statements.find_series, study_pk, entry.upper.series_uid)
    if row is not None and (filled := _filled(row[1], series)):
        columns = entries.series_columns(filled)
        ledger.write(statements.update_series, *columns, series_pk)
        add_modality(ledger, study_pk, columns[0], None)
    place.held_tags |= entry.upper.tags


def _filled(held: bytes, further: Document) -> Document | None:
    """``held`` with what it lacks, None where it lacks nothing."""
    document: Document = orjson.loads(held)
    return further | document if further.keys() - document.keys() else None


def _fill_study(
    ledger: Ledger,
    place: Place,
    held: tuple[Document, Document],
    further: tuple[Document, Document],
) -> None:
    patient, study = further[0] | held[0], further[1] | held[1]
    if len(patient) == len(held[0]) and len(study) == len(held[1]):
        return
    columns = entries.study_columns(patient, study)
    ledger.write(ledger.statements.update_study, *columns, place.keys[1])
    set_names(ledger, "study", place.keys[1], entries.name_parts(patient, study))
    if entries.when(study) != entries.when(held[1]):
        add_modality(ledger, place.keys[1], "", entries.when(study))
    place.demographics = entries.demographics(patient)
