"""Study Description and Institution Name as columns: any part of them is searched for."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_TEXTS = (("study", "description", "00081030"), ("series", "institution", "00080080"))

# One value as it is; of several, or one with a backslash in it, each behind a backslash.
_FILL = """
UPDATE {table} SET {column} = (
    SELECT CASE
        WHEN count(*) = 1 AND instr(min(value), char(92)) = 0 THEN min(value)
        ELSE char(92) || group_concat(value, char(92))
    END
    FROM json_each(compared, '$."{tag}"')
) WHERE json_extract(compared, '$."{tag}"') IS NOT NULL
"""


def upgrade() -> None:
    for table, column, tag in _TEXTS:
        op.add_column(table, sa.Column(column, sa.Text(), nullable=False, server_default=""))
        op.execute(_FILL.format(table=table, column=column, tag=tag))
        op.create_index(f"{table}_{column}_ix", table, [column])
    op.create_index("series_of_ix", "series", ["pk", "study_fk"])


def downgrade() -> None:
    op.drop_index("series_of_ix", "series")
    for table, column, _ in reversed(_TEXTS):
        op.drop_index(f"{table}_{column}_ix", table)
        op.drop_column(table, column)  # others refer to the table: it cannot be made anew
