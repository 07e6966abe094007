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
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

HEAD: Final = "0009"
"""The newest migration in ``migrations/versions``."""

UNNUMBERED: Final = 2**31 - 1
"""A Series or Instance Number that is missing; it sorts last."""

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_ix",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

# SQLite makes an INTEGER (not BIGINT) primary key the row's own address.
_KEY: Final = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _key() -> Column[int]:
    return Column("pk", _KEY, primary_key=True, autoincrement=False)


def _parent(table: str) -> Column[int]:
    return Column(f"{table}_fk", _KEY, ForeignKey(f"{table}.pk"), nullable=False)


def _documents() -> tuple[Column[bytes], Column[str]]:
    return (
        # DICOM JSON, ready to be sent.
        Column("document", LargeBinary, nullable=False),
        # The same values as they are compared (`values.compared`), as JSON.
        Column("compared", Text, nullable=False),
    )


meta = Table("meta", metadata, Column("name", Text, primary_key=True), _text("value"))

patient = Table(
    "patient",
    metadata,
    _key(),
    _text("patient_id"),
    _text("issuer"),
    # Only where there is no Patient ID: such a patient is told apart by the study.
    _text("lone_study_uid"),
    # What others may call it for ever: `handles`.
    _text("handle"),
    _text("sort_name"),
    _text("birth_date"),
    _text("sex"),
    *_documents(),
    _count("studies"),
    _count("series"),
    _count("instances"),
    _count("bytes"),
    UniqueConstraint("patient_id", "issuer", "lone_study_uid"),
    Index("patient_handle_ix", "handle"),
    Index("patient_birth_date_ix", "birth_date"),
    Index("patient_order_ix", "sort_name", "pk"),
)

study = Table(
    "study",
    metadata,
    _key(),
    _parent("patient"),
    _text("study_uid"),
    _text("handle"),
    _text("study_date"),
    _text("study_time"),
    _text("accession_number"),
    _text("study_id"),
    # The patient's attributes as this study has them, so that a search of studies reads one table.
    _text("patient_id"),
    _text("issuer"),
    _text("birth_date"),
    _text("sex"),
    Column("patient_document", LargeBinary, nullable=False),
    *_documents(),
    # Backslash-separated, sorted.
    _text("modalities"),
    _text("sop_classes"),
    _count("series"),
    _count("instances"),
    _count("bytes"),
    UniqueConstraint("patient_fk", "study_uid"),
    Index("study_study_uid_ix", "study_uid"),
    Index("study_handle_ix", "handle"),
    Index("study_order_ix", "study_date", "study_time", "pk"),
    # The same by key: rows are large, and gathered ones are only to be sorted.
    Index("study_when_ix", "pk", "study_date", "study_time"),
    Index("study_accession_number_ix", "accession_number"),
    Index("study_study_id_ix", "study_id"),
    Index("study_patient_id_ix", "patient_id"),
    Index("study_birth_date_ix", "birth_date"),
)

series = Table(
    "series",
    metadata,
    _key(),
    _parent("study"),
    _text("series_uid"),
    _text("modality"),
    Column("series_number", Integer, nullable=False),
    *_documents(),
    # The sum of `contents.fingerprint_of` over its blobs: tells one state from every other.
    _count("fingerprint"),
    _count("instances"),
    _count("bytes"),
    UniqueConstraint("study_fk", "series_uid"),
    Index("series_series_uid_ix", "series_uid"),
    Index("series_order_ix", "study_fk", "series_number", "pk"),
    Index("series_modality_ix", "modality", "study_fk", "series_number", "pk"),
)

instance = Table(
    "instance",
    metadata,
    _key(),
    _parent("series"),
    Column("sop_instance_uid", Text, nullable=False),
    _text("sop_class_uid"),
    Column("instance_number", Integer, nullable=False),
    _text("transfer_syntax"),
    _text("blob_key"),
    Column("size", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("dataset_offset", BigInteger, nullable=False),
    *_documents(),
    Column("stored_at", BigInteger, nullable=False),
    # Of the data set as it came, where it is kept in another encoding; else empty.
    Column("received_digest", LargeBinary, nullable=False, server_default=""),
    UniqueConstraint("sop_instance_uid"),
    Index("instance_order_ix", "series_fk", "instance_number", "pk"),
    Index("instance_sop_class_uid_ix", "sop_class_uid", "series_fk", "instance_number", "pk"),
)

instance_version = Table(
    "instance_version",
    metadata,
    _key(),
    _text("sop_instance_uid"),
    _text("study_uid"),
    _text("series_uid"),
    _text("sop_class_uid"),
    _text("transfer_syntax"),
    _text("blob_key"),
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
    Column("study_fk", _KEY, ForeignKey("study.pk"), primary_key=True),
    Index("study_modality_study_ix", "study_fk"),
    sqlite_with_rowid=False,
)

study_sop_class = Table(
    "study_sop_class",
    metadata,
    Column("sop_class_uid", Text, primary_key=True),
    Column("study_fk", _KEY, ForeignKey("study.pk"), primary_key=True),
    Index("study_sop_class_study_ix", "study_fk"),
    sqlite_with_rowid=False,
)

# Every folded component group of a searchable name, once, whoever bears it.
person_name = Table(
    "person_name",
    metadata,
    _key(),
    Column("folded", Text, nullable=False),
    UniqueConstraint("folded"),
)

name_word = Table(
    "name_word",
    metadata,
    Column("word", Text, primary_key=True),
    Column("name_fk", _KEY, ForeignKey("person_name.pk"), primary_key=True),
    _text("sound"),
    Index("name_word_sound_ix", "sound"),
    Index("name_word_name_ix", "name_fk"),
    sqlite_with_rowid=False,
)

patient_name = Table(
    "patient_name",
    metadata,
    Column("name_fk", _KEY, ForeignKey("person_name.pk"), primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("patient_fk", _KEY, ForeignKey("patient.pk"), primary_key=True),
    Index("patient_name_patient_ix", "patient_fk"),
    sqlite_with_rowid=False,
)

study_name = Table(
    "study_name",
    metadata,
    Column("name_fk", _KEY, ForeignKey("person_name.pk"), primary_key=True),
    Column("part", SmallInteger, primary_key=True),
    Column("study_fk", _KEY, ForeignKey("study.pk"), primary_key=True),
    Index("study_name_study_ix", "study_fk"),
    sqlite_with_rowid=False,
)

PATIENT_PART: Final = 0
REFERRING_PART: Final = 3
"""Added to a component group's number (1 to 3): whose name a row of ``study_name`` holds."""

change = Table(
    "change",
    metadata,
    Column("seq", _KEY, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, nullable=False),
    _text("study_uid"),
    _text("series_uid"),
    _text("sop_instance_uid"),
    _text("blob_key"),
    Column("at", BigInteger, nullable=False),
    _text("warnings"),
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
    _count("instances"),
    _count("bytes"),
    _count("studies"),
    _count("removed_instances"),
    _count("removed_bytes"),
    _count("removed_studies"),
    sqlite_with_rowid=False,
)

# Blobs nothing refers to any more, until their bytes are deleted.
removed = Table(
    "removed",
    metadata,
    Column("blob_key", Text, primary_key=True),
    _text("study_uid"),
    _text("series_uid"),
    _text("sop_instance_uid"),
    Column("size", BigInteger, nullable=False),
    Column("removed_at", BigInteger, nullable=False),
    # Not before: somebody may be reading them.
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)

# What was asked to be committed to, and what became of it (PS3.4 J).
commitment = Table(
    "commitment",
    metadata,
    _key(),
    Column("transaction_uid", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    # JSON; empty when it is not needed any more.
    Column("request", LargeBinary, nullable=False),
    # JSON; empty until there is one, and again after its time.
    Column("result", LargeBinary, nullable=False),
    UniqueConstraint("transaction_uid"),
    Index("commitment_requested_at_ix", "requested_at"),
)

# --- the worklist (PS3.4 CC)

workitem = Table(
    "workitem",
    metadata,
    _key(),
    Column("workitem_uid", Text, nullable=False),
    _text("state"),
    # What whoever claimed it has to show; never told to anybody.
    _text("transaction_uid"),
    _text("start_at"),
    # 0 until it is completed or canceled.
    Column("finished_at", BigInteger, nullable=False, server_default="0"),
    *_documents(),
    UniqueConstraint("workitem_uid"),
    Index("workitem_order_ix", "start_at", "pk"),
    Index("workitem_state_ix", "state", "start_at", "pk"),
    Index("workitem_finished_at_ix", "finished_at"),
)

# Every value of a workitem that can be searched for, by the path of its attribute.
workitem_value = Table(
    "workitem_value",
    metadata,
    Column("path", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("workitem_fk", _KEY, ForeignKey("workitem.pk"), primary_key=True),
    Index("workitem_value_workitem_ix", "workitem_fk"),
    sqlite_with_rowid=False,
)

# Workitems that were: nobody may use their UIDs again.
workitem_gone = Table(
    "workitem_gone",
    metadata,
    Column("workitem_uid", Text, primary_key=True),
    Column("removed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Who is to be subscribed to workitems to come.
worklist_subscription = Table(
    "worklist_subscription",
    metadata,
    Column("ae", Text, primary_key=True),
    Column("is_filtered", SmallInteger, primary_key=True),
    Column("is_locking", SmallInteger, nullable=False),
    # The keys to match, as JSON.
    _text("filter"),
    # Another one whenever the subscription is made anew.
    Column("token", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

workitem_subscription = Table(
    "workitem_subscription",
    metadata,
    Column("workitem_fk", _KEY, ForeignKey("workitem.pk"), primary_key=True),
    Column("ae", Text, primary_key=True),
    Column("is_locking", SmallInteger, nullable=False),
    Column("origin", SmallInteger, nullable=False),
    Index("workitem_subscription_ae_ix", "ae", "workitem_fk"),
    sqlite_with_rowid=False,
)

workitem_event = Table(
    "workitem_event",
    metadata,
    Column("seq", _KEY, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, nullable=False),
    _text("workitem_uid"),
    Column("document", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("workitem_event_at_ix", "at"),
)

# Whom an event is to be told.
workitem_delivery = Table(
    "workitem_delivery",
    metadata,
    Column("ae", Text, primary_key=True),
    Column("seq", _KEY, ForeignKey("workitem_event.seq"), primary_key=True),
    Index("workitem_delivery_seq_ix", "seq"),
    sqlite_with_rowid=False,
)

# The last event that each subscriber was told.
event_cursor = Table(
    "event_cursor",
    metadata,
    Column("ae", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# --- jobs

job = Table(
    "job",
    metadata,
    _key(),
    _text("kind"),
    _text("state"),
    # JSON.
    Column("request", LargeBinary, nullable=False),
    _text("asked_by"),
    Column("created_at", BigInteger, nullable=False),
    # When a waiting one may be run; when the lease of a running one ends.
    Column("due_at", BigInteger, nullable=False),
    _text("owner"),
    Column("is_canceled", SmallInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    _count("total"),
    _count("done"),
    _count("warned"),
    _count("failed"),
    _count("bytes"),
    _text("error"),
    # 0 until it is done, failed or canceled.
    _count("finished_at"),
    Index("job_due_ix", "state", "due_at"),
    Index("job_order_ix", "created_at", "pk"),
    Index("job_state_ix", "state", "created_at", "pk"),
    Index("job_finished_at_ix", "finished_at"),
)

# What became of the instances of a job.
job_outcome = Table(
    "job_outcome",
    metadata,
    Column("job_fk", _KEY, ForeignKey("job.pk"), primary_key=True),
    Column("sop_instance_uid", Text, primary_key=True),
    Column("fate", SmallInteger, nullable=False),
    _text("reason"),
    sqlite_with_rowid=False,
)

# --- the applications we know, beside those of the settings

peer = Table(
    "peer",
    metadata,
    Column("ae_title", Text, primary_key=True),
    _text("host"),
    Column("port", Integer, nullable=False),
    _text("note"),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What an application answered when it was last asked something.
peer_report = Table(
    "peer_report",
    metadata,
    Column("ae_title", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    _text("address"),
    Column("at", BigInteger, nullable=False),
    # JSON.
    Column("document", LargeBinary, nullable=False),
)
