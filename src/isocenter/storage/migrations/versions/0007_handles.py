"""Names of patients and studies that outlast the rows."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from isocenter.storage.handles import patient_handle, study_handle

revision = "0007"
down_revision = "0006"

AT_A_TIME = 1_000

_PATIENTS = (
    "SELECT pk, patient_id, issuer, lone_study_uid FROM patient"
    " WHERE pk > :after ORDER BY pk LIMIT :size"
)
_STUDIES = (
    "SELECT study.pk, patient.patient_id, patient.issuer, patient.lone_study_uid, study.study_uid"
    " FROM study JOIN patient ON patient.pk = study.patient_fk"
    " WHERE study.pk > :after ORDER BY study.pk LIMIT :size"
)


def upgrade() -> None:
    for table, select in (("patient", _PATIENTS), ("study", _STUDIES)):
        column = sa.Column("handle", sa.Text(), nullable=False, server_default="")
        op.add_column(table, column)
        _fill(table, select)
        op.create_index(f"{table}_handle_ix", table, ["handle"])


def _fill(table: str, select: str) -> None:
    connection = op.get_bind()
    rows = sa.table(table, sa.column("pk"), sa.column("handle"))
    named = sa.update(rows).where(rows.c.pk == sa.bindparam("key"))
    after = -(1 << 63)
    while found := connection.execute(sa.text(select), {"after": after, "size": AT_A_TIME}).all():
        connection.execute(
            named.values(handle=sa.bindparam("name")),
            [{"key": row[0], "name": _handle(row)} for row in found],
        )
        after = found[-1][0]


def _handle(row: Any) -> str:
    unique = (row[1], row[2], row[3])
    return patient_handle(*unique) if len(row) == 4 else study_handle(unique, row[4])


def downgrade() -> None:
    for table in ("study", "patient"):
        op.drop_index(f"{table}_handle_ix", table)
        op.drop_column(table, "handle")  # others refer to the table: it cannot be made anew
