"""The statements that write removals, and read what is written."""

from sqlalchemy import bindparam, literal_column, select, update

from isocenter.storage import schema
from isocenter.storage.clauses import Clause, deletion, insertion, selection, updating


def removal_clauses() -> dict[str, Clause]:
    """Give them by name."""
    removal, blob, study = schema.removal, schema.removed_blob, schema.study
    counted = update(removal).where(removal.c.pk == bindparam("key"))
    return {
        "insert_removal": insertion(removal, *removal.columns.keys()),
        "find_removal": selection(removal, *removal.columns.keys(), by=("pk",)),
        "add_to_removal": (
            counted.values(
                instances=removal.c.instances + bindparam("d_instances"),
                bytes=removal.c.bytes + bindparam("d_bytes"),
                document=bindparam("document"),
            ),
            ("d_instances", "d_bytes", "document", "key"),
        ),
        "settle_removal": updating(removal, "restored_at", "purged_at", "document"),
        "insert_removed_blob": insertion(blob, *blob.columns.keys()),
        "find_removed_blob": selection(blob, *blob.columns.keys(), by=("blob_key",)),
        "removed_blobs": (
            select(blob)
            .where(blob.c.removal_fk == bindparam("removal_fk"))
            .limit(literal_column("500"))
            .offset(literal_column("0")),
            ("removal_fk",),
        ),
        "delete_removed_blob": deletion(blob, "blob_key"),
        "study_summary": selection(study, "patient_document", "document", "modalities", by=("pk",)),
        **_removed_parent_clauses(),
    }


def _removed_parent_clauses() -> dict[str, Clause]:
    parent = schema.removed_parent
    patient, study, series = schema.patient, schema.study, schema.series
    above = (
        select(
            patient.c.patient_id,
            patient.c.issuer,
            patient.c.lone_study_uid,
            study.c.study_uid,
            series.c.series_uid,
            patient.c.document,
            study.c.patient_document,
            study.c.document,
            series.c.document,
        )
        .select_from(series.join(study).join(patient))
        .where(series.c.pk == bindparam("pk"))
    )
    some = select(parent).where(parent.c.removal_fk == bindparam("removal_fk"))
    both = ("removal_fk", "series_key")
    return {
        "series_above": (above, ("pk",)),
        "insert_removed_parent": insertion(parent, *parent.columns.keys()),
        "find_removed_parent": selection(parent, "series_key", by=both),
        "removed_parents": (
            some.limit(literal_column("100")).offset(literal_column("0")),
            ("removal_fk",),
        ),
        "delete_removed_parent": deletion(parent, *both),
        "delete_removed_parents": deletion(parent, "removal_fk"),
    }
