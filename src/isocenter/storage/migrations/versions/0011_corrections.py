"""What persons corrected, and where what came is kept apart for it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IDENTITY = ("patient_id", "issuer", "lone_study_uid", "study_uid")


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False, server_default="") for name in names]


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _bytes(*names: str) -> list[sa.Column[bytes]]:
    return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "correction",
        sa.Column("pk", KEY, nullable=False, autoincrement=False),
        *_texts("action", *IDENTITY),
        *_bytes("changes", "before"),
        *_texts("reason", "corrected_by"),
        sa.Column("corrected_at", sa.BigInteger(), nullable=False),
        *_texts("revoked_by"),
        _count("revoked_at"),
        sa.PrimaryKeyConstraint("pk", name="correction_pkey"),
    )
    op.create_index("correction_study_uid_ix", "correction", ["study_uid"])
    op.create_index("correction_action_ix", "correction", ["action"])
    op.create_table(
        "origin",
        sa.Column("pk", KEY, nullable=False, autoincrement=False),
        *_texts(*IDENTITY),
        _count("study_fk"),
        _count("home"),
        *_bytes("patient_document", "document"),
        sa.Column("overlay", sa.LargeBinary(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("pk", name="origin_pkey"),
        sa.UniqueConstraint(
            "study_uid",
            "patient_id",
            "issuer",
            "lone_study_uid",
            name="origin_study_uid_patient_id_issuer_lone_study_uid_key",
        ),
    )
    op.create_index("origin_study_ix", "origin", ["study_fk"])
    op.create_table(
        "origin_series",
        sa.Column("origin_fk", KEY, nullable=False),
        sa.Column("series_uid", sa.Text(), nullable=False),
        *_bytes("document"),
        sa.PrimaryKeyConstraint("origin_fk", "series_uid", name="origin_series_pkey"),
        sa.ForeignKeyConstraint(["origin_fk"], ["origin.pk"], name="origin_series_origin_fk_fkey"),
        sqlite_with_rowid=False,
    )
    op.add_column("series", _count("revision"))
    op.add_column("instance", _count("origin_fk"))


def downgrade() -> None:
    op.drop_column("instance", "origin_fk")
    op.drop_column("series", "revision")
    op.drop_table("origin_series")
    op.drop_table("origin")
    op.drop_table("correction")
