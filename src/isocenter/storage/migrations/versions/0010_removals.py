"""What was removed, by whom and why, and what of it can be put back."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _number(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=default)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default="")


def upgrade() -> None:
    op.create_table(
        "removal",
        sa.Column("pk", _KEY, autoincrement=False, nullable=False),
        _number("removed_at"),
        _number("due_at"),
        _number("restored_at", "0"),
        _number("purged_at", "0"),
        _text("who"),
        _text("code"),
        _text("reason"),
        _number("instances", "0"),
        _number("bytes", "0"),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name="removal_pkey"),
    )
    op.create_index("removal_order_ix", "removal", ["removed_at", "pk"])
    op.create_index("removal_due_ix", "removal", ["purged_at", "restored_at", "due_at"])
    op.create_table(
        "removed_parent",
        sa.Column("removal_fk", _KEY, nullable=False),
        sa.Column("series_key", sa.BigInteger(), nullable=False),
        _text("patient_id"),
        _text("issuer"),
        _text("lone_study_uid"),
        _text("study_uid"),
        _text("series_uid"),
        sa.Column("patient_document", sa.LargeBinary(), nullable=False),
        sa.Column("study_patient_document", sa.LargeBinary(), nullable=False),
        sa.Column("study_document", sa.LargeBinary(), nullable=False),
        sa.Column("series_document", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["removal_fk"], ["removal.pk"], name="removed_parent_removal_fk_fkey"
        ),
        sa.PrimaryKeyConstraint("removal_fk", "series_key", name="removed_parent_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "removed_blob",
        sa.Column("blob_key", sa.Text(), nullable=False),
        sa.Column("removal_fk", _KEY, nullable=False),
        _text("study_uid"),
        _text("series_uid"),
        _text("sop_instance_uid"),
        _text("sop_class_uid"),
        _text("transfer_syntax"),
        _number("size"),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        _number("dataset_offset"),
        _number("stored_at"),
        _number("replaced_at", "0"),
        sa.Column("received_digest", sa.LargeBinary(), nullable=False, server_default=""),
        sa.ForeignKeyConstraint(
            ["removal_fk"], ["removal.pk"], name="removed_blob_removal_fk_fkey"
        ),
        sa.PrimaryKeyConstraint("blob_key", name="removed_blob_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "removed_blob_removal_ix", "removed_blob", ["removal_fk", "stored_at", "blob_key"]
    )
    op.create_index("removed_blob_study_ix", "removed_blob", ["study_uid", "removal_fk"])


def downgrade() -> None:
    op.drop_table("removed_blob")
    op.drop_table("removed_parent")
    op.drop_table("removal")
