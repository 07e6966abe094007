"""The tables of the index, once for SQLite and PostgreSQL.

Keys are made by the application and never change while the row lives. What is sorted or matched by
index is never NULL: unknown text is ``""``, an unknown number ``UNNUMBERED``. Times of our own are
microseconds since 1970, UTC.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from isocenter.storage.columns import (
    KEY,
    count_column,
    document_columns,
    key_column,
    metadata as metadata,
    parent_column,
    text_column,
)
from isocenter.storage.service_tables import (
    commitment as commitment,
    event_cursor as event_cursor,
    job as job,
    job_outcome as job_outcome,
    peer as peer,
    peer_report as peer_report,
    share as share,
    workitem as workitem,
    workitem_delivery as workitem_delivery,
    workitem_event as workitem_event,
    workitem_gone as workitem_gone,
    workitem_subscription as workitem_subscription,
    workitem_value as workitem_value,
    worklist_subscription as worklist_subscription,
)

HEAD: Final = "0013"
"""The newest migration in ``migrations/versions``."""

UNNUMBERED: Final = 2**31 - 1
"""A Series or Instance Number that is missing; it sorts last."""

SEVERAL: Final = "\\"
"""What a ``description`` or ``institution`` begins with that has several values."""

meta = Table("meta", metadata, Column("name", Text, primary_key=True), text_column("value"))

patient = Table(
    "patient",
    metadata,
    key_column(),
    text_column("patient_id"),
    text_column("issuer"),
    # Only where there is no Patient ID: such a patient is told apart by the study.
    text_column("lone_study_uid"),
    # What others may call it for ever: `handles`.
    text_column("handle"),
    text_column("sort_name"),
    text_column("birth_date"),
    text_column("sex"),
    *document_columns(),
    count_column("studies"),
    count_column("series"),
    count_column("instances"),
    count_column("bytes"),
    UniqueConstraint("patient_id", "issuer", "lone_study_uid"),
    Index("patient_handle_ix", "handle"),
    Index("patient_birth_date_ix", "birth_date"),
    Index("patient_order_ix", "sort_name", "pk"),
)

study = Table(
    "study",
    metadata,
    key_column(),
    parent_column("patient"),
    text_column("study_uid"),
    text_column("handle"),
    text_column("study_date"),
    text_column("study_time"),
    text_column("accession_number"),
    text_column("study_id"),
    text_column("description"),
    # The patient's attributes as this study has them, so that a search of studies reads one table.
    text_column("patient_id"),
    text_column("issuer"),
    text_column("birth_date"),
    text_column("sex"),
    Column("patient_document", LargeBinary, nullable=False),
    *document_columns(),
    # Backslash-separated, sorted.
    text_column("modalities"),
    text_column("sop_classes"),
    count_column("series"),
    count_column("instances"),
    count_column("bytes"),
    UniqueConstraint("patient_fk", "study_uid"),
    Index("study_study_uid_ix", "study_uid"),
    Index("study_handle_ix", "handle"),
    Index("study_order_ix", "study_date", "study_time", "pk"),
    # The same by key: rows are large, and gathered ones are only to be sorted.
    Index("study_when_ix", "pk", "study_date", "study_time"),
    Index("study_accession_number_ix", "accession_number"),
    Index("study_study_id_ix", "study_id"),
    Index("study_description_ix", "description"),
    Index("study_patient_id_ix", "patient_id"),
    Index("study_birth_date_ix", "birth_date"),
)

series = Table(
    "series",
    metadata,
    key_column(),
    parent_column("study"),
    text_column("series_uid"),
    text_column("modality"),
    Column("series_number", Integer, nullable=False),
    text_column("institution"),
    *document_columns(),
    # The sum of `contents.fingerprint_of` over its blobs: tells one state from every other.
    count_column("fingerprint"),
    count_column("instances"),
    count_column("bytes"),
    # Another one whenever corrections of its instances change; 0 until there are any.
    count_column("revision"),
    UniqueConstraint("study_fk", "series_uid"),
    Index("series_series_uid_ix", "series_uid"),
    Index("series_institution_ix", "institution"),
    # What they belong to by key: rows are large, and of gathered ones only that is wanted.
    Index("series_of_ix", "pk", "study_fk"),
    Index("series_order_ix", "study_fk", "series_number", "pk"),
    Index("series_modality_ix", "modality", "study_fk", "series_number", "pk"),
)

instance = Table(
    "instance",
    metadata,
    key_column(),
    parent_column("series"),
    Column("sop_instance_uid", Text, nullable=False),
    text_column("sop_class_uid"),
    Column("instance_number", Integer, nullable=False),
    text_column("transfer_syntax"),
    text_column("blob_key"),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("dataset_offset", BigInteger, nullable=False),
    *document_columns(),
    Column("stored_at", BigInteger, nullable=False),
    # Of the data set as it came, where it is kept in another encoding; else empty.
    Column("received_digest", LargeBinary, nullable=False, server_default=""),
    # Whose and of which study it said it was, if that has to be known: `origin`; else 0.
    count_column("origin_fk"),
    UniqueConstraint("sop_instance_uid"),
    Index("instance_order_ix", "series_fk", "instance_number", "pk"),
    Index("instance_sop_class_uid_ix", "sop_class_uid", "series_fk", "instance_number", "pk"),
)

instance_version = Table(
    "instance_version",
    metadata,
    key_column(),
    text_column("sop_instance_uid"),
    text_column("study_uid"),
    text_column("series_uid"),
    text_column("sop_class_uid"),
    text_column("transfer_syntax"),
    text_column("blob_key"),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("dataset_offset", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("replaced_at", BigInteger, nullable=False),
    Column("received_digest", LargeBinary, nullable=False, server_default=""),
    Index("instance_version_sop_instance_uid_ix", "sop_instance_uid"),
)

# Which studies have a modality, newest first: what answers "MR, this month" and a modality that
# is rare.
study_modality = Table(
    "study_modality",
    metadata,
    Column("modality", Text, primary_key=True),
    Column("study_date", Text, primary_key=True),
    Column("study_time", Text, primary_key=True),
    Column("study_fk", KEY, ForeignKey("study.pk"), primary_key=True),
    Index("study_modality_study_ix", "study_fk"),
    sqlite_with_rowid=False,
)

study_sop_class = Table(
    "study_sop_class",
    metadata,
    Column("sop_class_uid", Text, primary_key=True),
    Column("study_fk", KEY, ForeignKey("study.pk"), primary_key=True),
    Index("study_sop_class_study_ix", "study_fk"),
    sqlite_with_rowid=False,
)

# Every folded component group of a searchable name, once, whoever bears it.
person_name = Table(
    "person_name",
    metadata,
    key_column(),
    Column("folded", Text, nullable=False),
    UniqueConstraint("folded"),
)

name_word = Table(
    "name_word",
    metadata,
    Column("word", Text, primary_key=True),
    Column("name_fk", KEY, ForeignKey("person_name.pk"), primary_key=True),
    text_column("sound"),
    Index("name_word_sound_ix", "sound"),
    Index("name_word_name_ix", "name_fk"),
    sqlite_with_rowid=False,
)

patient_name = Table(
    "patient_name",
    metadata,
    Column("name_fk", KEY, ForeignKey("person_name.pk"), primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("patient_fk", KEY, ForeignKey("patient.pk"), primary_key=True),
    Index("patient_name_patient_ix", "patient_fk"),
    sqlite_with_rowid=False,
)

study_name = Table(
    "study_name",
    metadata,
    Column("name_fk", KEY, ForeignKey("person_name.pk"), primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("study_fk", KEY, ForeignKey("study.pk"), primary_key=True),
    Index("study_name_study_ix", "study_fk"),
    sqlite_with_rowid=False,
)

PATIENT_PART: Final = 0
REFERRING_PART: Final = 3
"""Added to a component group's number (1 to 3): whose name a row of ``study_name`` holds."""

change = Table(
    "change",
    metadata,
    Column("seq", KEY, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, nullable=False),
    text_column("study_uid"),
    text_column("series_uid"),
    text_column("sop_instance_uid"),
    text_column("blob_key"),
    Column("at", BigInteger, nullable=False),
    text_column("warnings"),
    Index("change_study_uid_ix", "study_uid", "seq"),
    # Of nearly all rows the kind is 1 (stored): they need no index to be found.
    Index(
        "change_kind_ix",
        "kind",
        "seq",
        sqlite_where=text("kind <> 1"),
        postgresql_where=text("kind <> 1"),
    ),
)

# What came and what went, by day and modality and by minute: `tallies`.
tally = Table(
    "tally",
    metadata,
    Column("span", SmallInteger, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("modality", Text, primary_key=True),
    count_column("instances"),
    count_column("bytes"),
    count_column("studies"),
    count_column("removed_instances"),
    count_column("removed_bytes"),
    count_column("removed_studies"),
    sqlite_with_rowid=False,
)

# Blobs nothing refers to any more, until their bytes are deleted.
removed = Table(
    "removed",
    metadata,
    Column("blob_key", Text, primary_key=True),
    text_column("study_uid"),
    text_column("series_uid"),
    text_column("sop_instance_uid"),
    Column("size", BigInteger, nullable=False),
    Column("removed_at", BigInteger, nullable=False),
    # Not before: somebody may be reading them.
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

# What was removed, by whom and why; kept as a record when the bytes are gone.
removal = Table(
    "removal",
    metadata,
    key_column(),
    Column("removed_at", BigInteger, nullable=False),
    # When the bytes go.
    Column("due_at", BigInteger, nullable=False),
    # 0 until it was undone, or its bytes went.
    Column("restored_at", BigInteger, nullable=False, server_default="0"),
    Column("purged_at", BigInteger, nullable=False, server_default="0"),
    text_column("who"),
    # Of CID 7011 (PS3.16), and in words.
    text_column("code"),
    text_column("reason"),
    count_column("instances"),
    count_column("bytes"),
    # What to know it by, as JSON: some of the studies it took from.
    Column("document", LargeBinary, nullable=False),
    Index("removal_order_ix", "removed_at", "pk"),
    Index("removal_due_ix", "purged_at", "restored_at", "due_at"),
)

# What the index told of the series it took from and of what is above them: of the instances put
# back alone, some of it could not be made anew.
removed_parent = Table(
    "removed_parent",
    metadata,
    Column("removal_fk", KEY, ForeignKey("removal.pk"), primary_key=True),
    # What the row of the series was called.
    Column("series_key", BigInteger, primary_key=True),
    text_column("patient_id"),
    text_column("issuer"),
    text_column("lone_study_uid"),
    text_column("study_uid"),
    text_column("series_uid"),
    Column("patient_document", LargeBinary, nullable=False),
    Column("study_patient_document", LargeBinary, nullable=False),
    Column("study_document", LargeBinary, nullable=False),
    Column("series_document", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Blobs of removed instances, and of their replaced versions, that can be put back.
removed_blob = Table(
    "removed_blob",
    metadata,
    Column("blob_key", Text, primary_key=True),
    parent_column("removal"),
    text_column("study_uid"),
    text_column("series_uid"),
    text_column("sop_instance_uid"),
    text_column("sop_class_uid"),
    text_column("transfer_syntax"),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("dataset_offset", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    # 0 for what was current.
    Column("replaced_at", BigInteger, nullable=False, server_default="0"),
    Column("received_digest", LargeBinary, nullable=False, server_default=""),
    Index("removed_blob_removal_ix", "removal_fk", "stored_at", "blob_key"),
    Index("removed_blob_study_ix", "study_uid", "removal_fk"),
    sqlite_with_rowid=False,
)

# What a person corrected, for instances that came as of a patient and a study; never deleted.
correction = Table(
    "correction",
    metadata,
    key_column(),
    # Rows that were entered together have the same.
    text_column("action"),
    text_column("patient_id"),
    text_column("issuer"),
    text_column("lone_study_uid"),
    text_column("study_uid"),
    # DICOM JSON: new values; None, where an attribute is taken out.
    Column("changes", LargeBinary, nullable=False),
    # The same attributes as they were; those that were not there are missing.
    Column("before", LargeBinary, nullable=False),
    text_column("reason"),
    text_column("corrected_by"),
    Column("corrected_at", BigInteger, nullable=False),
    text_column("revoked_by"),
    count_column("revoked_at"),
    Index("correction_study_uid_ix", "study_uid"),
    Index("correction_action_ix", "action"),
)

# A patient and a study as instances name them, where corrections make it necessary to know.
origin = Table(
    "origin",
    metadata,
    key_column(),
    text_column("patient_id"),
    text_column("issuer"),
    text_column("lone_study_uid"),
    text_column("study_uid"),
    # The study that its instances are in now, 0 where there are none; and the one they came into.
    count_column("study_fk"),
    count_column("home"),
    # As received, DICOM JSON.
    Column("patient_document", LargeBinary, nullable=False),
    Column("document", LargeBinary, nullable=False),
    # What is laid over its instances (`overlay`); empty for nothing.
    Column("overlay", LargeBinary, nullable=False, server_default=""),
    UniqueConstraint("study_uid", "patient_id", "issuer", "lone_study_uid"),
    Index("origin_study_ix", "study_fk"),
)

origin_series = Table(
    "origin_series",
    metadata,
    Column("origin_fk", KEY, ForeignKey("origin.pk"), primary_key=True),
    Column("series_uid", Text, primary_key=True),
    Column("document", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
