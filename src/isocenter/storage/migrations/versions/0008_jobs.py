"""Jobs: work that outlasts the process which was asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        _text("kind"),
        _text("state"),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        _text("asked_by"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        _text("owner"),
        sa.Column("is_canceled", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        _count("total"),
        _count("done"),
        _count("warned"),
        _count("failed"),
        _count("bytes"),
        _text("error"),
        _count("finished_at"),
        sa.PrimaryKeyConstraint("pk", name=op.f("job_pkey")),
    )
    op.create_index("job_due_ix", "job", ["state", "due_at"])
    op.create_index("job_order_ix", "job", ["created_at", "pk"])
    op.create_index("job_state_ix", "job", ["state", "created_at", "pk"])
    op.create_index("job_finished_at_ix", "job", ["finished_at"])
    op.create_table(
        "job_outcome",
        sa.Column("job_fk", KEY, nullable=False),
        sa.Column("sop_instance_uid", sa.Text(), nullable=False),
        sa.Column("fate", sa.SmallInteger(), nullable=False),
        _text("reason"),
        sa.ForeignKeyConstraint(["job_fk"], ["job.pk"], name=op.f("job_outcome_job_fk_fkey")),
        sa.PrimaryKeyConstraint("job_fk", "sop_instance_uid", name=op.f("job_outcome_pkey")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("job_outcome")
    op.drop_table("job")
