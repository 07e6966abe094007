"""Storage commitment: what was asked for, and what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "commitment",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("transaction_uid", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("commitment_pkey")),
        sa.UniqueConstraint("transaction_uid", name=op.f("commitment_transaction_uid_key")),
    )
    op.create_index("commitment_requested_at_ix", "commitment", ["requested_at"])


def downgrade() -> None:
    op.drop_table("commitment")
