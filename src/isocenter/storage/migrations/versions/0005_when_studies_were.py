"""What puts studies in order, by their keys, so that gathering some reads no rows."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("study_when_ix", "study", ["pk", "study_date", "study_time"])


def downgrade() -> None:
    op.drop_index("study_when_ix", "study")
