"""Links that share a study."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "share",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Text(), nullable=False, server_default="")
            for name in ("study_uid", "study_handle", "series_uid", "label", "created_by")
        ),
        sa.Column("may_download", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
            for name in ("revoked_at", "used_at", "uses")
        ),
        sa.PrimaryKeyConstraint("pk", name=op.f("share_pkey")),
        sa.UniqueConstraint("token_digest", name=op.f("share_token_digest_key")),
    )
    op.create_index("share_study_uid_ix", "share", ["study_uid", "created_at"])
    op.create_index("share_created_at_ix", "share", ["created_at"])


def downgrade() -> None:
    op.drop_table("share")
