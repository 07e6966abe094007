"""Taking away what has become empty."""

from collections.abc import Iterable

from isocenter.storage.gathering import regather, set_names
from isocenter.storage.ledger import Ledger


def prune(ledger: Ledger, touched: Iterable[tuple[int, int, int]]) -> list[int]:
    """Delete the parents that have become empty; gather anew what the others are made of.

    Return the keys of the studies that have gone.
    """
    gone = []
    statements = ledger.statements
    studies: dict[int, int] = {}
    for patient_pk, study_pk, series_pk in touched:
        studies[study_pk] = patient_pk
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
            gone.append(study_pk)
        else:
            regather(ledger, study_pk)
    ledger.flush()
    for patient_pk in set(studies.values()):
        patient = ledger.one(statements.read_patient, patient_pk)
        if patient is not None and patient[0] == 0:
            set_names(ledger, "patient", patient_pk, ())
            ledger.write(statements.delete_patient, patient_pk)
    return gone


def _delete_study(ledger: Ledger, study_pk: int) -> None:
    set_names(ledger, "study", study_pk, ())
    ledger.write(ledger.statements.delete_modalities, study_pk)
    ledger.write(ledger.statements.delete_sop_classes, study_pk)
    ledger.write(ledger.statements.delete_study, study_pk)
