"""Tables for what is no patient's: commitments, the worklist, jobs, peers."""

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
)

from isocenter.storage.columns import (
    KEY,
    count_column,
    document_columns,
    key_column,
    metadata,
    text_column,
)

# What was asked to be committed to, and what became of it (PS3.4 J).
commitment = Table(
    "commitment",
    metadata,
    key_column(),
    Column("transaction_uid", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    # JSON; empty when it is not needed any more.
    Column("request", LargeBinary, nullable=False),
    # JSON; empty until there is one, and again after its time.
    Column("result", LargeBinary, nullable=False),
    UniqueConstraint("transaction_uid"),
    Index("commitment_requested_at_ix", "requested_at"),
)

# Links that share a study; whoever has the token whose digest this is may see it.
share = Table(
    "share",
    metadata,
    key_column(),
    Column("token_digest", Text, nullable=False),
    text_column("study_uid"),
    text_column("study_handle"),
    # Empty: the whole study.
    text_column("series_uid"),
    text_column("label"),
    text_column("created_by"),
    Column("may_download", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False, server_default="0"),
    Column("used_at", BigInteger, nullable=False, server_default="0"),
    Column("uses", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("token_digest"),
    Index("share_study_uid_ix", "study_uid", "created_at"),
    Index("share_created_at_ix", "created_at"),
)

# --- the worklist (PS3.4 CC)

workitem = Table(
    "workitem",
    metadata,
    key_column(),
    Column("workitem_uid", Text, nullable=False),
    text_column("state"),
    # What whoever claimed it has to show; never told to anybody.
    text_column("transaction_uid"),
    text_column("start_at"),
    # 0 until it is completed or canceled.
    Column("finished_at", BigInteger, nullable=False, server_default="0"),
    *document_columns(),
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
    Column("workitem_fk", KEY, ForeignKey("workitem.pk"), primary_key=True),
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
    text_column("filter"),
    # Another one whenever the subscription is made anew.
    Column("token", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

workitem_subscription = Table(
    "workitem_subscription",
    metadata,
    Column("workitem_fk", KEY, ForeignKey("workitem.pk"), primary_key=True),
    Column("ae", Text, primary_key=True),
    Column("is_locking", SmallInteger, nullable=False),
    Column("origin", SmallInteger, nullable=False),
    Index("workitem_subscription_ae_ix", "ae", "workitem_fk"),
    sqlite_with_rowid=False,
)

workitem_event = Table(
    "workitem_event",
    metadata,
    Column("seq", KEY, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, nullable=False),
    text_column("workitem_uid"),
    Column("document", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("workitem_event_at_ix", "at"),
)

# Whom an event is to be told.
workitem_delivery = Table(
    "workitem_delivery",
    metadata,
    Column("ae", Text, primary_key=True),
    Column("seq", KEY, ForeignKey("workitem_event.seq"), primary_key=True),
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
    key_column(),
    text_column("kind"),
    text_column("state"),
    # JSON.
    Column("request", LargeBinary, nullable=False),
    text_column("asked_by"),
    Column("created_at", BigInteger, nullable=False),
    # When a waiting one may be run; when the lease of a running one ends.
    Column("due_at", BigInteger, nullable=False),
    text_column("owner"),
    Column("is_canceled", SmallInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    count_column("total"),
    count_column("done"),
    count_column("warned"),
    count_column("failed"),
    count_column("bytes"),
    text_column("error"),
    # 0 until it is done, failed or canceled.
    count_column("finished_at"),
    Index("job_due_ix", "state", "due_at"),
    Index("job_order_ix", "created_at", "pk"),
    Index("job_state_ix", "state", "created_at", "pk"),
    Index("job_finished_at_ix", "finished_at"),
)

# What became of the instances of a job.
job_outcome = Table(
    "job_outcome",
    metadata,
    Column("job_fk", KEY, ForeignKey("job.pk"), primary_key=True),
    Column("sop_instance_uid", Text, primary_key=True),
    Column("fate", SmallInteger, nullable=False),
    text_column("reason"),
    sqlite_with_rowid=False,
)

# --- the applications we know, beside those of the settings

peer = Table(
    "peer",
    metadata,
    Column("ae_title", Text, primary_key=True),
    text_column("host"),
    Column("port", Integer, nullable=False),
    text_column("note"),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What an application answered when it was last asked something.
peer_report = Table(
    "peer_report",
    metadata,
    Column("ae_title", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    text_column("address"),
    Column("at", BigInteger, nullable=False),
    # JSON.
    Column("document", LargeBinary, nullable=False),
)
