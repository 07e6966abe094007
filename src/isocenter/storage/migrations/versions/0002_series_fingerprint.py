"""What tells one state of a series from every other."""

import sqlalchemy as sa
from alembic import op

from isocenter.storage.contents import FINGERPRINT_MASK, fingerprint_of

revision = "0002"
down_revision = "0001"

ROWS_AT_A_TIME = 10_000


def upgrade() -> None:
    column = sa.Column("fingerprint", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("series", column)
    instance = sa.table("instance", sa.column("series_fk"), sa.column("blob_key"))
    series = sa.table("series", sa.column("pk"), sa.column("fingerprint"))
    sums: dict[int, int] = {}
    found = sa.select(instance.c.series_fk, instance.c.blob_key)
    rows = op.get_bind().execution_options(yield_per=ROWS_AT_A_TIME).execute(found)
    for series_pk, blob_key in rows:
        sums[series_pk] = sums.get(series_pk, 0) + fingerprint_of(blob_key) & FINGERPRINT_MASK
    if not sums:
        return
    key: sa.BindParameter[int] = sa.bindparam("key")
    value: sa.BindParameter[int] = sa.bindparam("value")
    statement = sa.update(series).where(series.c.pk == key).values(fingerprint=value)
    op.get_bind().execute(statement, [{"key": pk, "value": total} for pk, total in sums.items()])


def downgrade() -> None:
    op.drop_column("series", "fingerprint")
