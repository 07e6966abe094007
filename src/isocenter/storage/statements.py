"""The statements that write, compiled once per dialect for the driver."""

from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import (
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import Dialect

from isocenter.storage import schema
from isocenter.storage.clauses import (
    Clause as _Clause,
    counting as _count,
    deletion as _delete,
    insertion as _insert,
    selection as _select,
    updating as _update,
)
from isocenter.storage.contents import FINGERPRINT_MASK
from isocenter.storage.correcting_statements import CorrectingStatements, correcting_clauses
from isocenter.storage.engine import Statement
from isocenter.storage.job_clauses import job_clauses
from isocenter.storage.removal_clauses import removal_clauses
from isocenter.storage.tallies import COLUMNS as TALLY_COLUMNS

STUDY_COLUMNS: Final = (
    "study_date",
    "study_time",
    "accession_number",
    "study_id",
    "description",
    "patient_id",
    "issuer",
    "birth_date",
    "sex",
    "patient_document",
    "document",
    "compared",
)
PATIENT_COLUMNS: Final = ("sort_name", "birth_date", "sex", "document", "compared")
SERIES_COLUMNS: Final = ("modality", "series_number", "institution", "document", "compared")
INSTANCE_COLUMNS: Final = (
    "pk",
    "series_fk",
    "sop_instance_uid",
    "sop_class_uid",
    "instance_number",
    "transfer_syntax",
    "blob_key",
    "size",
    "digest",
    "dataset_offset",
    "document",
    "compared",
    "stored_at",
    "received_digest",
    "origin_fk",
)
REMOVED_COLUMNS: Final = (
    "blob_key",
    "study_uid",
    "series_uid",
    "sop_instance_uid",
    "size",
    "removed_at",
    "due_at",
)
RECODED_COLUMNS: Final = (
    "transfer_syntax",
    "blob_key",
    "size",
    "digest",
    "dataset_offset",
    "document",
    "compared",
    "received_digest",
)
WORKITEM_COLUMNS: Final = (
    "state",
    "transaction_uid",
    "start_at",
    "finished_at",
    "document",
    "compared",
)


@dataclass(frozen=True, slots=True)
class Statements(CorrectingStatements):
    """One field per statement; its parameters are in ``Statement.names``."""

    last_change: Statement
    read_meta: Statement
    insert_meta: Statement
    update_meta: Statement
    insert_change: Statement
    find_tally: Statement
    insert_tally: Statement
    count_tally: Statement
    delete_tallies: Statement
    pending: Statement
    insert_removed: Statement
    delete_removed: Statement

    insert_removal: Statement
    find_removal: Statement
    add_to_removal: Statement
    settle_removal: Statement
    insert_removed_blob: Statement
    find_removed_blob: Statement
    removed_blobs: Statement
    delete_removed_blob: Statement
    study_summary: Statement
    series_above: Statement
    insert_removed_parent: Statement
    find_removed_parent: Statement
    removed_parents: Statement
    delete_removed_parent: Statement
    delete_removed_parents: Statement

    find_patient: Statement
    insert_patient: Statement
    update_patient: Statement
    count_patient: Statement
    read_patient: Statement
    delete_patient: Statement

    find_study: Statement
    find_study_elsewhere: Statement
    insert_study: Statement
    read_study: Statement
    update_study: Statement
    gather_study: Statement
    count_study: Statement
    delete_study: Statement

    find_series: Statement
    insert_series: Statement
    read_series: Statement
    update_series: Statement
    count_series: Statement
    delete_series: Statement

    find_instance: Statement
    insert_instance: Statement
    recode_instance: Statement
    delete_instance: Statement
    insert_version: Statement
    versions: Statement
    delete_versions: Statement

    modalities: Statement
    modalities_of_series: Statement
    insert_modality: Statement
    delete_modalities: Statement
    sop_classes: Statement
    unused_sop_classes: Statement
    insert_sop_class: Statement
    delete_sop_class: Statement
    delete_sop_classes: Statement

    find_name: Statement
    insert_name: Statement
    insert_word: Statement
    study_names: Statement
    insert_study_name: Statement
    delete_study_names: Statement
    patient_names: Statement
    insert_patient_name: Statement
    delete_patient_names: Statement
    is_named: Statement
    delete_words: Statement
    delete_name: Statement

    find_commitment: Statement
    insert_commitment: Statement
    finish_commitment: Statement
    expire_commitments: Statement
    delete_commitments: Statement

    find_share: Statement
    insert_share: Statement
    use_share: Statement
    revoke_share: Statement
    delete_shares: Statement

    find_workitem: Statement
    find_gone: Statement
    workitem_at: Statement
    insert_workitem: Statement
    update_workitem: Statement
    delete_workitem: Statement
    insert_value: Statement
    delete_values: Statement
    insert_gone: Statement

    worklist_subscriptions: Statement
    worklist_subscribers: Statement
    find_worklist_subscription: Statement
    insert_worklist_subscription: Statement
    delete_worklist_subscription: Statement
    subscribers: Statement
    all_subscribers: Statement
    find_subscription: Statement
    insert_subscription: Statement
    update_subscription: Statement
    delete_subscription: Statement
    delete_subscriptions: Statement
    locks: Statement

    insert_event: Statement
    insert_delivery: Statement
    delete_event: Statement
    delete_deliveries: Statement
    find_cursor: Statement
    insert_cursor: Statement
    update_cursor: Statement

    insert_job: Statement
    find_job: Statement
    claimable_job: Statement
    update_job: Statement
    void_leases: Statement
    finished_jobs: Statement
    delete_job: Statement
    find_outcome: Statement
    insert_outcome: Statement
    delete_fates: Statement
    delete_outcomes: Statement

    find_peer: Statement
    count_peers: Statement
    insert_peer: Statement
    delete_peer: Statement
    insert_peer_report: Statement
    delete_peer_report: Statement
    delete_peer_reports: Statement


def _count_series() -> _Clause:
    series = schema.series
    total = series.c.fingerprint + bindparam("d_fingerprint")
    clause = update(series).where(series.c.pk == bindparam("key"))
    changed = clause.values(
        fingerprint=total.bitwise_and(literal_column(str(FINGERPRINT_MASK))),
        instances=series.c.instances + bindparam("d_instances"),
        bytes=series.c.bytes + bindparam("d_bytes"),
    )
    return changed, ("d_fingerprint", "d_instances", "d_bytes", "key")


def _ledger_clauses() -> dict[str, _Clause]:
    meta, change, removed = schema.meta, schema.change, schema.removed
    return {
        "last_change": (select(func.max(change.c.seq)), ()),
        "read_meta": _select(meta, "value", by=("name",)),
        "insert_meta": _insert(meta, "name", "value"),
        "update_meta": (
            update(meta).where(meta.c.name == bindparam("key")).values(value=bindparam("value")),
            ("value", "key"),
        ),
        "insert_change": _insert(change, *change.columns.keys()),
        "pending": (select(removed.c.blob_key), ()),
        "insert_removed": _insert(removed, *REMOVED_COLUMNS),
        "delete_removed": _delete(removed, "blob_key"),
    }


def _tally_clauses() -> dict[str, _Clause]:
    tally = schema.tally
    key = ("span", "number", "modality")
    same = [tally.c[each] == bindparam(f"of_{each}") for each in key]
    counted = {each: tally.c[each] + bindparam(f"d_{each}") for each in TALLY_COLUMNS}
    names = (*(f"d_{each}" for each in TALLY_COLUMNS), *(f"of_{each}" for each in key))
    of_span = tally.c.span == bindparam("span")
    return {
        "find_tally": _select(tally, "number", by=key),
        "insert_tally": _insert(tally, *key),
        "count_tally": (update(tally).where(*same).values(counted), names),
        "delete_tallies": (
            delete(tally).where(of_span, tally.c.number < bindparam("before")),
            ("span", "before"),
        ),
    }


def _peer_clauses() -> dict[str, _Clause]:
    peer, report = schema.peer, schema.peer_report
    return {
        "find_peer": _select(peer, "ae_title", by=("ae_title",)),
        "count_peers": (select(func.count()).select_from(peer), ()),
        "insert_peer": _insert(peer, *peer.columns.keys()),
        "delete_peer": _delete(peer, "ae_title"),
        "insert_peer_report": _insert(report, *report.columns.keys()),
        "delete_peer_report": _delete(report, "ae_title", "kind"),
        "delete_peer_reports": _delete(report, "ae_title"),
    }


def _patient_clauses() -> dict[str, _Clause]:
    patient = schema.patient
    key = ("patient_id", "issuer", "lone_study_uid")
    return {
        "find_patient": _select(patient, "pk", "document", by=key),
        "insert_patient": _insert(patient, "pk", *key, "handle", *PATIENT_COLUMNS),
        "update_patient": _update(patient, *PATIENT_COLUMNS),
        "count_patient": _count(patient, "studies", "series", "instances", "bytes"),
        "read_patient": _select(patient, "studies", by=("pk",)),
        "delete_patient": _delete(patient, "pk"),
    }


def _study_clauses() -> dict[str, _Clause]:
    study = schema.study
    elsewhere = (
        select(study.c.pk)
        .where(study.c.study_uid == bindparam("study_uid"))
        .where(study.c.patient_fk != bindparam("patient_fk"))
    )
    return {
        "find_study": _select(
            study, "pk", "patient_document", "document", by=("patient_fk", "study_uid")
        ),
        "find_study_elsewhere": (elsewhere, ("study_uid", "patient_fk")),
        "insert_study": _insert(study, "pk", "patient_fk", "study_uid", "handle", *STUDY_COLUMNS),
        "read_study": _select(
            study, "study_date", "study_time", "series", "patient_fk", "study_uid", by=("pk",)
        ),
        "update_study": _update(study, *STUDY_COLUMNS),
        "gather_study": _update(study, "modalities", "sop_classes"),
        "count_study": _count(study, "series", "instances", "bytes"),
        "delete_study": _delete(study, "pk"),
    }


def _series_clauses() -> dict[str, _Clause]:
    series = schema.series
    return {
        "find_series": _select(series, "pk", "document", by=("study_fk", "series_uid")),
        "insert_series": _insert(series, "pk", "study_fk", "series_uid", *SERIES_COLUMNS),
        "read_series": _select(
            series, "study_fk", "instances", "series_uid", "modality", by=("pk",)
        ),
        "update_series": _update(series, *SERIES_COLUMNS),
        "count_series": _count_series(),
        "delete_series": _delete(series, "pk"),
    }


def _instance_clauses() -> dict[str, _Clause]:
    instance, version = schema.instance, schema.instance_version
    return {
        "find_instance": _select(
            instance,
            "pk",
            "digest",
            "series_fk",
            "sop_class_uid",
            "transfer_syntax",
            "blob_key",
            "size",
            "dataset_offset",
            "stored_at",
            "received_digest",
            by=("sop_instance_uid",),
        ),
        "insert_instance": _insert(instance, *INSTANCE_COLUMNS),
        "recode_instance": _update(instance, *RECODED_COLUMNS),
        "delete_instance": _delete(instance, "pk"),
        "insert_version": _insert(version, *version.columns.keys()),
        "versions": _select(version, *version.columns.keys(), by=("sop_instance_uid",)),
        "delete_versions": _delete(version, "sop_instance_uid"),
    }


def _gathered_clauses() -> dict[str, _Clause]:
    series, instance = schema.series, schema.instance
    modality, sop_class = schema.study_modality, schema.study_sop_class
    used = (
        select(instance.c.pk)
        .join(series, series.c.pk == instance.c.series_fk)
        .where(series.c.study_fk == sop_class.c.study_fk)
        .where(instance.c.sop_class_uid == sop_class.c.sop_class_uid)
    )
    of_study = sop_class.c.study_fk == bindparam("study_fk")
    series_of_study = select(series.c.modality).where(series.c.study_fk == bindparam("study_fk"))
    return {
        "modalities": _select(modality, "modality", by=("study_fk",)),
        "modalities_of_series": (
            series_of_study.distinct(),
            ("study_fk",),
        ),
        "insert_modality": _insert(modality, *modality.columns.keys()),
        "delete_modalities": _delete(modality, "study_fk"),
        "sop_classes": _select(sop_class, "sop_class_uid", by=("study_fk",)),
        "unused_sop_classes": (
            select(sop_class.c.sop_class_uid).where(of_study, ~exists(used)),
            ("study_fk",),
        ),
        "insert_sop_class": _insert(sop_class, "sop_class_uid", "study_fk"),
        "delete_sop_class": _delete(sop_class, "sop_class_uid", "study_fk"),
        "delete_sop_classes": _delete(sop_class, "study_fk"),
    }


def _name_clauses() -> dict[str, _Clause]:
    name, word = schema.person_name, schema.name_word
    by_study, by_patient = schema.study_name, schema.patient_name
    named = select(by_study.c.part).where(by_study.c.name_fk == bindparam("study_name"))
    also_named = select(by_patient.c.part).where(by_patient.c.name_fk == bindparam("patient_name"))
    return {
        "find_name": _select(name, "pk", by=("folded",)),
        "insert_name": _insert(name, "pk", "folded"),
        "insert_word": _insert(word, "word", "name_fk", "sound"),
        "study_names": _select(by_study, "name_fk", by=("study_fk",)),
        "insert_study_name": _insert(by_study, "name_fk", "part", "study_fk"),
        "delete_study_names": _delete(by_study, "study_fk"),
        "patient_names": _select(by_patient, "name_fk", by=("patient_fk",)),
        "insert_patient_name": _insert(by_patient, "name_fk", "part", "patient_fk"),
        "delete_patient_names": _delete(by_patient, "patient_fk"),
        "is_named": (
            select(exists(named) | exists(also_named)),
            ("study_name", "patient_name"),
        ),
        "delete_words": _delete(word, "name_fk"),
        "delete_name": _delete(name, "pk"),
    }


def _commitment_clauses() -> dict[str, _Clause]:
    commitment = schema.commitment
    requested_at = commitment.c.requested_at
    size = func.length(commitment.c.request) + func.length(commitment.c.result)
    return {
        "find_commitment": _select(commitment, "pk", "result", by=("transaction_uid",)),
        "insert_commitment": _insert(commitment, *commitment.columns.keys()),
        "finish_commitment": _update(commitment, "request", "result"),
        "expire_commitments": (
            update(commitment)
            .values(request=bindparam("empty"), result=bindparam("none"))
            .where(requested_at < bindparam("before"), size > literal_column("0")),
            ("empty", "none", "before"),
        ),
        "delete_commitments": (
            delete(commitment).where(requested_at < bindparam("before")),
            ("before",),
        ),
    }


def _share_clauses() -> dict[str, _Clause]:
    share = schema.share
    return {
        "find_share": _select(share, "uses", "revoked_at", by=("pk",)),
        "insert_share": _insert(share, *share.columns.keys()),
        "use_share": _update(share, "used_at", "uses"),
        "revoke_share": _update(share, "revoked_at"),
        "delete_shares": (
            delete(share).where(share.c.expires_at < bindparam("before")),
            ("before",),
        ),
    }


def _workitem_clauses() -> dict[str, _Clause]:
    workitem, value, gone = schema.workitem, schema.workitem_value, schema.workitem_gone
    read = ("pk", "workitem_uid", "state", "transaction_uid", "document")
    return {
        "find_workitem": _select(workitem, *read, by=("workitem_uid",)),
        "find_gone": _select(gone, "workitem_uid", by=("workitem_uid",)),
        "workitem_at": _select(workitem, *read, by=("pk",)),
        "insert_workitem": _insert(workitem, *workitem.columns.keys()),
        "update_workitem": _update(workitem, *WORKITEM_COLUMNS),
        "delete_workitem": _delete(workitem, "pk"),
        "insert_value": _insert(value, *value.columns.keys()),
        "delete_values": _delete(value, "workitem_fk"),
        "insert_gone": _insert(gone, *gone.columns.keys()),
    }


def _subscription_clauses() -> dict[str, _Clause]:
    coming, held = schema.worklist_subscription, schema.workitem_subscription
    same = (held.c.workitem_fk == bindparam("workitem"), held.c.ae == bindparam("title"))
    to_all = select(coming.c.ae).union(select(held.c.ae))
    return {
        "worklist_subscriptions": (select(coming), ()),
        "worklist_subscribers": _select(coming, "is_filtered", by=("ae",)),
        "find_worklist_subscription": _select(coming, "token", by=("ae", "is_filtered")),
        "insert_worklist_subscription": _insert(coming, *coming.columns.keys()),
        "delete_worklist_subscription": _delete(coming, "ae", "is_filtered"),
        "subscribers": _select(held, "ae", by=("workitem_fk",)),
        "all_subscribers": (to_all, ()),
        "find_subscription": _select(held, "is_locking", by=("workitem_fk", "ae")),
        "insert_subscription": _insert(held, *held.columns.keys()),
        "update_subscription": (
            update(held)
            .where(*same)
            .values(is_locking=bindparam("is_locking"), origin=bindparam("origin")),
            ("is_locking", "origin", "workitem", "title"),
        ),
        "delete_subscription": _delete(held, "workitem_fk", "ae"),
        "delete_subscriptions": _delete(held, "workitem_fk"),
        "locks": _select(held, "ae", by=("workitem_fk", "is_locking")),
    }


def _event_clauses() -> dict[str, _Clause]:
    event, delivery = schema.workitem_event, schema.workitem_delivery
    cursor = schema.event_cursor
    return {
        "insert_event": _insert(event, *event.columns.keys()),
        "insert_delivery": _insert(delivery, *delivery.columns.keys()),
        "delete_event": _delete(event, "seq"),
        "delete_deliveries": _delete(delivery, "seq"),
        "find_cursor": _select(cursor, "seq", by=("ae",)),
        "insert_cursor": _insert(cursor, *cursor.columns.keys()),
        "update_cursor": (
            update(cursor).where(cursor.c.ae == bindparam("title")).values(seq=bindparam("seq")),
            ("seq", "title"),
        ),
    }


def compile_statements(dialect: Dialect) -> Statements:
    """Compile everything for a dialect whose parameters are positional."""
    clauses = {
        **_ledger_clauses(),
        **removal_clauses(),
        **_tally_clauses(),
        **_peer_clauses(),
        **_patient_clauses(),
        **_study_clauses(),
        **_series_clauses(),
        **_instance_clauses(),
        **_gathered_clauses(),
        **_name_clauses(),
        **_commitment_clauses(),
        **_share_clauses(),
        **_workitem_clauses(),
        **_subscription_clauses(),
        **_event_clauses(),
        **correcting_clauses(),
        **job_clauses(),
    }
    return Statements(
        **{
            each.name: Statement(clauses[each.name][0], dialect, *clauses[each.name][1])
            for each in fields(Statements)
        }
    )
