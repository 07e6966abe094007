"""Corrected studies in the index: what came, apart from where it is shown.

Instances that name the same patient and study have one origin. A row of ``origin`` is there where
that has to be known: for what is corrected, and for what else is in a study with it. So every row
can be made of the origins that are in it, and a correction that is revoked leaves nothing behind.

A study with an origin has no instance without one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from isocenter.dicom import overlay as overlays
from isocenter.dicom.overlay import Overlay
from isocenter.storage import entry as entries, values
from isocenter.storage.attributes import Level
from isocenter.storage.entry import KEPT, Document, Upper, issuer_of
from isocenter.storage.gathering import add_modality, add_sop_class, regather, set_names
from isocenter.storage.handles import patient_handle, study_handle
from isocenter.storage.ledger import Ledger
from isocenter.storage.pruning import prune


@dataclass(frozen=True, slots=True)
class Origin:
    """What instances say of the patient and the study that they are of."""

    pk: int
    patient_key: tuple[str, str, str]
    study_uid: str
    study_pk: int
    """Where its instances are; 0, if there are none."""
    home: int
    """The key of the study that they came into; 0, if there was none."""
    patient: Document
    study: Document
    overlay: Overlay | None

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells it from others."""
        return (*self.patient_key, self.study_uid)

    def shown(self, upper: Upper) -> Upper:
        """Give what is above an instance as it is to be seen."""
        return corrected(upper, self.overlay)


def corrected(upper: Upper, overlay: Overlay | None) -> Upper:
    """Give what is above an instance with ``overlay`` laid over it."""
    if overlay is None:
        return upper
    patient, study, series = (
        overlay.laid_over(held, KEPT[level])
        for held, level in (
            (upper.patient, Level.PATIENT),
            (upper.study, Level.STUDY),
            (upper.series, Level.SERIES),
        )
    )
    return replace(
        upper,
        patient_id=values.whole_text(patient, "00100020"),
        issuer=issuer_of(patient),
        patient=patient,
        study=study,
        series=series,
        tags=frozenset().union(patient, study, series),
    )


def find(ledger: Ledger, upper: Upper) -> Origin | None:
    """Find the origin of what is in ``upper``, if that has to be known."""
    row = ledger.one(ledger.statements.find_origin, *upper.patient_key, upper.study_uid)
    return None if row is None else _origin(row)


def known(ledger: Ledger, identity: tuple[str, str, str, str]) -> Origin | None:
    """Find an origin, or make that known of instances which nothing was laid over yet."""
    row = ledger.one(ledger.statements.find_origin, *identity)
    if row is None and (patient := ledger.one(ledger.statements.find_patient, *identity[:3])):
        study = ledger.one(ledger.statements.find_study, patient[0], identity[3])
        if study is not None:
            adopt(ledger, study[0])
            row = ledger.one(ledger.statements.find_origin, *identity)
    return None if row is None else _origin(row)


def told(ledger: Ledger, identity: tuple[str, str, str, str]) -> Document:
    """Give what an origin's instances are shown with: of patient, study and a series."""
    row = ledger.one(ledger.statements.find_origin, *identity)
    if row is None:
        return {}
    origin = _origin(row)
    series = _joined(_series_documents(ledger, origin).values())
    shown = origin.shown(_upper_of(origin, series))
    return shown.series | shown.study | shown.patient


def of_study(ledger: Ledger, study_pk: int) -> list[Origin]:
    """Give the origins that are in a study, those that nobody corrected first."""
    rows = ledger.all(ledger.statements.origins_of_study, study_pk)
    return sorted(map(_origin, rows), key=lambda each: (each.overlay is not None, each.pk))


def _origin(row: tuple[Any, ...]) -> Origin:
    pk, patient_id, issuer, lone, study_uid, study_pk, home, patient, study, overlay = row
    return Origin(
        pk,
        (patient_id, issuer, lone),
        study_uid,
        study_pk,
        home,
        orjson.loads(patient),
        orjson.loads(study),
        overlays.read(bytes(overlay or b"")),
    )


def adopt(ledger: Ledger, study_pk: int) -> None:
    """Make the origin of a study's instances known, which are of one as long as none is."""
    row = ledger.one(ledger.statements.study_at, study_pk)
    held = ledger.all(ledger.statements.series_of_study, study_pk)
    if row is None or not held or ledger.all(ledger.statements.origins_of_study, study_pk):
        return
    _, _, *identity, patient, study = row
    pk = ledger.key()
    ledger.places.clear()
    ledger.write(
        ledger.statements.insert_origin, pk, *identity, study_pk, study_pk, patient, study, b""
    )
    for series_pk, uid, document in held:
        ledger.write(ledger.statements.insert_origin_series, pk, uid, document)
        ledger.write(ledger.statements.mark_instances, pk, series_pk, 0)


def arrive(ledger: Ledger, upper: Upper) -> Origin | None:
    """Learn of an instance that comes; give its origin, if that has to be known.

    Before it is put where it is to be seen.
    """
    origin = find(ledger, upper)
    if origin is None:
        patient = ledger.one(ledger.statements.find_patient, *upper.patient_key)
        row = patient and ledger.one(ledger.statements.find_study, patient[0], upper.study_uid)
        if not row or ledger.one(ledger.statements.origins_of_study, row[0]) is None:
            return None
        origin = expect(ledger, (*upper.patient_key, upper.study_uid), b"", row[0])
    _learn(ledger, origin, upper)
    shown = origin.shown(upper)
    patient = ledger.one(ledger.statements.find_patient, *shown.patient_key)
    row = patient and ledger.one(ledger.statements.find_study, patient[0], shown.study_uid)
    if row:
        adopt(ledger, row[0])
    return find(ledger, upper)


def expect(
    ledger: Ledger, identity: tuple[str, str, str, str], overlay: bytes, home: int = 0
) -> Origin:
    """Enter an origin that has no instances yet."""
    row = (ledger.key(), *identity, 0, home, b"{}", b"{}", overlay)
    ledger.write(ledger.statements.insert_origin, *row)
    return _origin(row)


def _learn(ledger: Ledger, origin: Origin, upper: Upper) -> None:
    """Add what the origin lacks and an instance knows."""
    patient, study = upper.patient | origin.patient, upper.study | origin.study
    if len(patient) > len(origin.patient) or len(study) > len(origin.study):
        _write(ledger, replace(origin, patient=patient, study=study))
    held = _series_documents(ledger, origin)
    before = held.get(upper.series_uid)
    statements = ledger.statements
    if before is None:
        document = entries.to_json(upper.series)
        ledger.write(statements.insert_origin_series, origin.pk, upper.series_uid, document)
    elif upper.series.keys() - before.keys():
        document = entries.to_json(upper.series | before)
        ledger.write(statements.update_origin_series, document, origin.pk, upper.series_uid)


def settle(ledger: Ledger, origin: Origin, study_pk: int) -> None:
    """After an instance was put into a study: make the rows above it of what is there."""
    if origin.study_pk != study_pk:
        _write(ledger, replace(origin, study_pk=study_pk, home=origin.home or study_pk))
    redraw(ledger, study_pk)


def lay(ledger: Ledger, origin: Origin, overlay: bytes) -> None:
    """Have ``overlay`` laid over what came, instead of what was."""
    origin = replace(origin, overlay=overlays.read(overlay))
    _write(ledger, origin, overlay)
    if not origin.study_pk:
        if origin.overlay is None:
            _drop(ledger, origin)
        return
    _move(ledger, origin)


def _move(ledger: Ledger, origin: Origin) -> None:
    """Put an origin's instances into the study they are to be seen in; others stay."""
    before = origin.study_pk
    patient_pk, study_pk, shown = _target(ledger, origin)
    if study_pk != before:
        is_new = not ledger.all(ledger.statements.series_of_study, study_pk)
        adopt(ledger, study_pk)
        _write(ledger, replace(origin, study_pk=study_pk))
        touched = _move_series(ledger, origin, shown, (patient_pk, study_pk))
        ledger.flush()
        former = ledger.one(ledger.statements.study_at, before)
        _tally(ledger, origin, is_new=is_new, is_gone=bool(prune(ledger, touched)))
        if former is not None and ledger.one(ledger.statements.study_at, before) is not None:
            redraw(ledger, before)
        elif former is not None:
            _redraw_patient(ledger, former[1])
    redraw(ledger, study_pk)


def _tally(ledger: Ledger, origin: Origin, *, is_new: bool, is_gone: bool) -> None:
    """Count a study that parted from another, or was joined to one; a moved one is the same."""
    modality = min(map(entries.modality_of, _series_documents(ledger, origin).values()), default="")
    if is_new and not is_gone:
        ledger.tallies.came(modality, studies=1)
    elif is_gone and not is_new:
        ledger.tallies.went(modality, studies=1)


def tidy(ledger: Ledger, study_pk: int) -> None:
    """After instances were taken out of a study: forget the origins that have none left in it.

    Those that are corrected are still known, without what their instances said.
    """
    origins = of_study(ledger, study_pk)
    if not origins:
        return
    series = ledger.all(ledger.statements.series_of_study, study_pk)
    for origin in origins:
        statement = ledger.statements.instances_of_origin
        left = {uid for pk, uid, _ in series if ledger.one(statement, pk, origin.pk)}
        for uid in _series_documents(ledger, origin).keys() - left:
            ledger.write(ledger.statements.forget_origin_series, origin.pk, uid)
        if left:
            continue
        if origin.overlay is None:
            _drop(ledger, origin)
        else:
            _write(ledger, replace(origin, study_pk=0, patient={}, study={}))
    redraw(ledger, study_pk)


def _target(ledger: Ledger, origin: Origin) -> tuple[int, int, Upper]:
    """Find or make the patient and the study that an origin is to be seen in."""
    shown = origin.shown(_upper_of(origin, {}))
    statements, key = ledger.statements, shown.patient_key
    row = ledger.one(statements.find_patient, *key)
    if row is None:
        patient_pk, columns = ledger.key(), entries.patient_columns(shown.patient)
        ledger.write(statements.insert_patient, patient_pk, *key, patient_handle(*key), *columns)
    else:
        patient_pk = row[0]
    row = ledger.one(statements.find_study, patient_pk, origin.study_uid)
    if row is not None:
        return patient_pk, row[0], shown
    study_pk = ledger.key()
    is_home = key == origin.patient_key and origin.home
    if is_home and ledger.one(statements.study_at, origin.home) is None:
        study_pk = origin.home
    columns = entries.study_columns(shown.patient, shown.study)
    handle = study_handle(key, origin.study_uid)
    ledger.write(statements.insert_study, study_pk, patient_pk, origin.study_uid, handle, *columns)
    ledger.count_studies(patient_pk, 1)
    return patient_pk, study_pk, shown


def _move_series(
    ledger: Ledger, origin: Origin, shown: Upper, target: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """Move all series of an origin; give the keys of those that it was in."""
    statements = ledger.statements
    former = ledger.one(statements.study_at, origin.study_pk)
    assert former is not None
    held = _series_documents(ledger, origin)
    touched = []
    for series_pk, uid, _ in ledger.all(statements.series_of_study, origin.study_pk):
        if ledger.one(statements.instances_of_origin, series_pk, origin.pk) is None:
            continue
        series = corrected(_upper_of(origin, held.get(uid, {})), origin.overlay).series
        target_pk = _series(ledger, uid, series, shown, target)
        above, below = (former[1], origin.study_pk, series_pk), (*target, target_pk)
        _count_over(ledger, origin, above, below)
        ledger.write(statements.move_instances, target_pk, series_pk, origin.pk)
        for (sop_class,) in ledger.all(statements.sop_classes_of_series, target_pk):
            add_sop_class(ledger, target[1], sop_class)
        ledger.write(statements.revise_series, ledger.key(), series_pk)
        touched.append(above)
    return touched


def _series(
    ledger: Ledger, uid: str, series: Document, shown: Upper, target: tuple[int, int]
) -> int:
    patient_pk, study_pk = target
    row = ledger.one(ledger.statements.find_series, study_pk, uid)
    if row is not None:
        return int(row[0])
    pk, columns = ledger.key(), entries.series_columns(series)
    ledger.write(ledger.statements.insert_series, pk, study_pk, uid, *columns)
    ledger.count_series(study_pk, patient_pk, 1)
    add_modality(ledger, study_pk, columns[0], entries.when(shown.study))
    return pk


def _count_over(
    ledger: Ledger, origin: Origin, above: tuple[int, int, int], below: tuple[int, int, int]
) -> None:
    statement = ledger.statements.instances_of_origin
    for blob_key, size in ledger.each(statement, above[2], origin.pk):
        ledger.count_out(above, blob_key, size)
        ledger.count_in(below, blob_key, size)


def redraw(ledger: Ledger, study_pk: int) -> None:
    """Make a study, its series and its patient of the origins that are in it."""
    origins = of_study(ledger, study_pk)
    row = ledger.one(ledger.statements.study_at, study_pk)
    if row is None or not origins:
        return
    seen = [each.shown(_upper_of(each, {})) for each in origins]
    patient, study = _joined(each.patient for each in seen), _joined(each.study for each in seen)
    columns = entries.study_columns(patient, study)
    ledger.write(ledger.statements.update_study, *columns, study_pk)
    set_names(ledger, "study", study_pk, entries.name_parts(patient, study))
    _redraw_series(ledger, study_pk, origins)
    regather(ledger, study_pk)
    _redraw_patient(ledger, row[1])
    if len(origins) == 1 and _is_at_home(origins[0], row):
        _release(ledger, origins[0])


def _redraw_series(ledger: Ledger, study_pk: int, origins: Iterable[Origin]) -> None:
    drawn: dict[str, Document] = {}
    for origin in origins:
        for uid, document in _series_documents(ledger, origin).items():
            shown = corrected(_upper_of(origin, document), origin.overlay).series
            drawn[uid] = shown | drawn.get(uid, {})
    for series_pk, uid, _ in ledger.all(ledger.statements.series_of_study, study_pk):
        columns = entries.series_columns(drawn.get(uid, {}))
        ledger.write(ledger.statements.update_series, *columns, series_pk)
        ledger.write(ledger.statements.revise_series, ledger.key(), series_pk)


def _redraw_patient(ledger: Ledger, patient_pk: int) -> None:
    """Make a patient of the studies, those first that have not been corrected."""
    rows = ledger.all(ledger.statements.studies_of_patient, patient_pk)
    corrected_ones = {
        row[0]: any(each.overlay is not None for each in of_study(ledger, row[0])) for row in rows
    }
    rows.sort(key=lambda row: corrected_ones[row[0]])  # stable: the older first
    if rows:
        patient = _joined(orjson.loads(row[1]) for row in rows)
        columns = entries.patient_columns(patient)
        ledger.write(ledger.statements.update_patient, *columns, patient_pk)
        set_names(ledger, "patient", patient_pk, entries.name_parts(patient, {}))


def _joined(documents: Iterable[Document]) -> Document:
    """Of each attribute, the first value there is."""
    found: Document = {}
    for each in documents:
        found = each | found
    return found


def _is_at_home(origin: Origin, row: tuple[Any, ...]) -> bool:
    return origin.overlay is None and origin.identity == tuple(row[2:6])


def _release(ledger: Ledger, origin: Origin) -> None:
    """Forget an origin: its instances are where they say, and nothing else is."""
    for series_pk, _, _ in ledger.all(ledger.statements.series_of_study, origin.study_pk):
        ledger.write(ledger.statements.mark_instances, 0, series_pk, origin.pk)
    _drop(ledger, origin)


def _drop(ledger: Ledger, origin: Origin) -> None:
    ledger.write(ledger.statements.delete_origin_series, origin.pk)
    ledger.write(ledger.statements.delete_origin, origin.pk)


def _write(ledger: Ledger, origin: Origin, overlay: bytes | None = None) -> None:
    if overlay is None:
        overlay = b"" if origin.overlay is None else written(origin.overlay)
    row = (
        origin.study_pk,
        origin.home,
        entries.to_json(origin.patient),
        entries.to_json(origin.study),
        overlay,
    )
    ledger.write(ledger.statements.update_origin, *row, origin.pk)


def written(overlay: Overlay) -> bytes:
    """Write an overlay as it was read."""
    return overlays.written([(step.at, step.changes) for step in overlay.steps])


def _series_documents(ledger: Ledger, origin: Origin) -> dict[str, Document]:
    rows = ledger.all(ledger.statements.origin_series, origin.pk)
    return {uid: orjson.loads(document) for uid, document in rows}


def _upper_of(origin: Origin, series: Mapping[str, Any]) -> Upper:
    """What an origin knows, as what is above an instance."""
    return Upper(
        origin.study_uid,
        "",
        origin.patient_key[0],
        origin.patient_key[1],
        origin.patient,
        origin.study,
        dict(series),
        frozenset(),
    )
