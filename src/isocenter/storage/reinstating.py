"""Having patients, studies and series say again what they said before a removal."""

from dataclasses import dataclass

import orjson

from isocenter.storage import entry as entries
from isocenter.storage.entry import Document
from isocenter.storage.gathering import regather, set_names
from isocenter.storage.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Former:
    """A series as it was, with what was above it; columns of ``removed_parent``."""

    patient_id: str
    issuer: str
    lone_study_uid: str
    study_uid: str
    series_uid: str
    patient: bytes
    study_patient: bytes
    study: bytes
    series: bytes


def reinstate(ledger: Ledger, former: Former) -> None:
    """Let what was said before hold against what was said since; what is new stays.

    So it would be, had nothing been removed: of two values the first one stays.
    """
    ledger.flush()
    ledger.places.clear()
    key = (former.patient_id, former.issuer, former.lone_study_uid)
    patient = ledger.one(ledger.statements.find_patient, *key)
    if patient is None or _is_corrected(ledger, patient[0]):
        return
    if document := _again(former.patient, patient[1]):
        ledger.write(
            ledger.statements.update_patient, *entries.patient_columns(document), patient[0]
        )
        set_names(ledger, "patient", patient[0], entries.name_parts(document, {}))
    study = ledger.one(ledger.statements.find_study, patient[0], former.study_uid)
    if study is None:
        return
    _reinstate_study(ledger, former, study[0], (study[1], study[2]))
    series = ledger.one(ledger.statements.find_series, study[0], former.series_uid)
    if series is not None and (document := _again(former.series, series[1])):
        columns = entries.series_columns(document)
        ledger.write(ledger.statements.update_series, *columns, series[0])
    regather(ledger, study[0])


def _is_corrected(ledger: Ledger, patient_pk: int) -> bool:
    """Whether a person has corrected something of the patient: that holds against all of this."""
    statements = ledger.statements
    studies = ledger.all(statements.studies_of_patient, patient_pk)
    return any(ledger.all(statements.origins_of_study, study[0]) for study in studies)


def _reinstate_study(
    ledger: Ledger, former: Former, study_pk: int, held: tuple[bytes, bytes]
) -> None:
    patient, study = _again(former.study_patient, held[0]), _again(former.study, held[1])
    if patient is None and study is None:
        return
    patient = orjson.loads(held[0]) if patient is None else patient
    study = orjson.loads(held[1]) if study is None else study
    columns = entries.study_columns(patient, study)
    ledger.write(ledger.statements.update_study, *columns, study_pk)
    set_names(ledger, "study", study_pk, entries.name_parts(patient, study))


def _again(former: bytes, held: bytes) -> Document | None:
    """What was said, with what else is held now; None where that is what is held."""
    if former == held:
        return None
    said: Document = orjson.loads(former)
    now: Document = orjson.loads(held)
    return said | {tag8: element for tag8, element in now.items() if tag8 not in said}
