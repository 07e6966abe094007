"""Instances kept in another encoding than they came in: what came, and when its bytes may go."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for table in ("instance", "instance_version"):
        digest = sa.Column("received_digest", sa.LargeBinary(), nullable=False, server_default="")
        op.add_column(table, digest)
    due = sa.Column("due_at", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("removed", due)


def downgrade() -> None:
    with op.batch_alter_table("removed") as batch:
        batch.drop_column("due_at")
    for table in ("instance_version", "instance"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("received_digest")
