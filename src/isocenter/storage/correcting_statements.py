"""The statements that write what corrections need."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, Table, bindparam, literal_column, select, update

from isocenter.storage import schema
from isocenter.storage.clauses import Clause, deletion, insertion, selection, updating
from isocenter.storage.engine import Statement

IDENTITY: Final = ("patient_id", "issuer", "lone_study_uid", "study_uid")
"""What instances that have a correction in common have said of themselves."""
ORIGIN_COLUMNS: Final = ("study_fk", "home", "patient_document", "document", "overlay")


@dataclass(frozen=True, slots=True)
class CorrectingStatements:
    """One field per statement; its parameters are in ``Statement.names``."""

    find_origin: Statement
    origins_of_study: Statement
    insert_origin: Statement
    update_origin: Statement
    delete_origin: Statement
    origin_series: Statement
    insert_origin_series: Statement
    update_origin_series: Statement
    forget_origin_series: Statement
    delete_origin_series: Statement

    study_at: Statement
    study_named: Statement
    studies_of_patient: Statement
    series_of_study: Statement
    sop_classes_of_series: Statement
    revise_series: Statement
    instances_of_origin: Statement
    mark_instances: Statement
    move_instances: Statement

    active_corrections: Statement
    corrections_of_action: Statement
    corrected_identities: Statement
    insert_correction: Statement
    revoke_correction: Statement


def correcting_clauses() -> dict[str, Clause]:
    """Give them by the names of the fields."""
    return {**_origin_clauses(), **_row_clauses(), **_correction_clauses()}


def _origin_clauses() -> dict[str, Clause]:
    origin, series = schema.origin, schema.origin_series
    document = (series.c.origin_fk == bindparam("origin"), series.c.series_uid == bindparam("uid"))
    return {
        "find_origin": selection(origin, "pk", *IDENTITY, *ORIGIN_COLUMNS, by=IDENTITY),
        "origins_of_study": selection(origin, "pk", *IDENTITY, *ORIGIN_COLUMNS, by=("study_fk",)),
        "insert_origin": insertion(origin, "pk", *IDENTITY, *ORIGIN_COLUMNS),
        "update_origin": updating(origin, *ORIGIN_COLUMNS),
        "delete_origin": deletion(origin, "pk"),
        "origin_series": selection(series, "series_uid", "document", by=("origin_fk",)),
        "insert_origin_series": insertion(series, *series.columns.keys()),
        "update_origin_series": (
            update(series).where(*document).values(document=bindparam("document")),
            ("document", "origin", "uid"),
        ),
        "forget_origin_series": deletion(series, "origin_fk", "series_uid"),
        "delete_origin_series": deletion(series, "origin_fk"),
    }


def _row_clauses() -> dict[str, Clause]:
    study, series, instance = schema.study, schema.series, schema.instance
    of_series = (instance.c.series_fk == bindparam("series"),)
    of_origin = (*of_series, instance.c.origin_fk == bindparam("origin"))
    return {
        "study_at": (_study().where(study.c.pk == bindparam("pk")), ("pk",)),
        "study_named": (_study().where(study.c.handle == bindparam("handle")), ("handle",)),
        "studies_of_patient": _in_order(
            study, "pk", "patient_document", "handle", by=("patient_fk",)
        ),
        "series_of_study": _in_order(series, "pk", "series_uid", "document", by=("study_fk",)),
        "sop_classes_of_series": (
            select(instance.c.sop_class_uid).where(*of_series).distinct(),
            ("series",),
        ),
        "revise_series": (
            update(series)
            .where(series.c.pk == bindparam("key"))
            .values(revision=bindparam("revision")),
            ("revision", "key"),
        ),
        "instances_of_origin": (
            select(instance.c.blob_key, instance.c.size).where(*of_origin),
            ("series", "origin"),
        ),
        "mark_instances": (
            update(instance).where(*of_origin).values(origin_fk=bindparam("marked")),
            ("marked", "series", "origin"),
        ),
        "move_instances": (
            update(instance).where(*of_origin).values(series_fk=bindparam("target")),
            ("target", "series", "origin"),
        ),
    }


def _study() -> Select[Any]:
    study, patient = schema.study, schema.patient
    keys = (patient.c.patient_id, patient.c.issuer, patient.c.lone_study_uid, study.c.study_uid)
    columns = (study.c.pk, study.c.patient_fk, *keys, study.c.patient_document, study.c.document)
    return select(*columns).select_from(study.join(patient, patient.c.pk == study.c.patient_fk))


def _in_order(table: Table, *columns: str, by: tuple[str, ...]) -> Clause:
    clause = select(*(table.c[each] for each in columns))
    return clause.where(*(table.c[each] == bindparam(each) for each in by)).order_by(table.c.pk), by


def _correction_clauses() -> dict[str, Clause]:
    correction = schema.correction
    identity = [correction.c[each] == bindparam(each) for each in IDENTITY]
    in_force = correction.c.revoked_at == literal_column("0")
    order = (correction.c.corrected_at, correction.c.pk)
    active = select(correction.c.corrected_at, correction.c.changes).where(*identity, in_force)
    of_action = select(correction.c.pk, *(correction.c[each] for each in IDENTITY))
    return {
        "active_corrections": (active.order_by(*order), IDENTITY),
        "corrections_of_action": (
            of_action.where(correction.c.action == bindparam("action"), in_force),
            ("action",),
        ),
        "corrected_identities": (
            select(*(correction.c[each] for each in IDENTITY)).where(in_force).distinct(),
            (),
        ),
        "insert_correction": insertion(correction, *correction.columns.keys()),
        "revoke_correction": updating(correction, "revoked_by", "revoked_at"),
    }
