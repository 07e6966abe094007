"""The applications we know; counts of what came and went; finding changes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

COUNTS = (
    "instances",
    "bytes",
    "studies",
    "removed_instances",
    "removed_bytes",
    "removed_studies",
)

# What was removed before nobody counted: those days show what is left of them.
_FILL = """
INSERT INTO tally (span, number, modality, instances, bytes, studies)
SELECT 1, number, modality, sum(instances), sum(bytes), sum(studies) FROM (
    SELECT instance.stored_at / 86400000000 AS number, series.modality AS modality,
        count(*) AS instances, sum(instance.size) AS bytes, 0 AS studies
    FROM instance JOIN series ON series.pk = instance.series_fk
    GROUP BY instance.stored_at / 86400000000, series.modality
    UNION ALL
    SELECT number, modality, 0, 0, count(*) FROM (
        SELECT min(instance.stored_at) / 86400000000 AS number,
            min(series.modality) AS modality
        FROM instance JOIN series ON series.pk = instance.series_fk
        GROUP BY series.study_fk
    ) AS begun GROUP BY number, modality
) AS counted GROUP BY number, modality
"""


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("span", sa.SmallInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("modality", sa.Text(), nullable=False),
        *(sa.Column(each, sa.BigInteger(), server_default="0", nullable=False) for each in COUNTS),
        sa.PrimaryKeyConstraint("span", "number", "modality", name=op.f("tally_pkey")),
        sqlite_with_rowid=False,
    )
    op.execute(sa.text(_FILL))
    op.create_index("change_study_uid_ix", "change", ["study_uid", "seq"])
    op.create_index(
        "change_kind_ix",
        "change",
        ["kind", "seq"],
        sqlite_where=sa.text("kind <> 1"),
        postgresql_where=sa.text("kind <> 1"),
    )
    op.create_table(
        "peer",
        sa.Column("ae_title", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), server_default="", nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ae_title", name=op.f("peer_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "peer_report",
        sa.Column("ae_title", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ae_title", "kind", name=op.f("peer_report_pkey")),
    )


def downgrade() -> None:
    op.drop_table("peer_report")
    op.drop_table("peer")
    op.drop_index("change_kind_ix", "change")
    op.drop_index("change_study_uid_ix", "change")
    op.drop_table("tally")
