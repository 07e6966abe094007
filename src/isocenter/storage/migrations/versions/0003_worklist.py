"""The worklist: workitems, subscriptions, events."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _workitem()
    _workitem_value()
    _workitem_gone()
    _subscriptions()
    _events()


def _workitem() -> None:
    op.create_table(
        "workitem",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("workitem_uid", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default=""),
        sa.Column("transaction_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("start_at", sa.Text(), nullable=False, server_default=""),
        sa.Column("finished_at", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("compared", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("workitem_pkey")),
        sa.UniqueConstraint("workitem_uid", name=op.f("workitem_workitem_uid_key")),
    )
    op.create_index("workitem_order_ix", "workitem", ["start_at", "pk"])
    op.create_index("workitem_state_ix", "workitem", ["state", "start_at", "pk"])
    op.create_index("workitem_finished_at_ix", "workitem", ["finished_at"])


def _workitem_value() -> None:
    op.create_table(
        "workitem_value",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("workitem_fk", KEY, nullable=False),
        sa.PrimaryKeyConstraint("path", "value", "workitem_fk", name=op.f("workitem_value_pkey")),
        sa.ForeignKeyConstraint(
            ["workitem_fk"], ["workitem.pk"], name=op.f("workitem_value_workitem_fk_fkey")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("workitem_value_workitem_ix", "workitem_value", ["workitem_fk"])


def _workitem_gone() -> None:
    op.create_table(
        "workitem_gone",
        sa.Column("workitem_uid", sa.Text(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workitem_uid", name=op.f("workitem_gone_pkey")),
        sqlite_with_rowid=False,
    )


def _subscriptions() -> None:
    op.create_table(
        "worklist_subscription",
        sa.Column("ae", sa.Text(), nullable=False),
        sa.Column("is_filtered", sa.SmallInteger(), nullable=False),
        sa.Column("is_locking", sa.SmallInteger(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False, server_default=""),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ae", "is_filtered", name=op.f("worklist_subscription_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "workitem_subscription",
        sa.Column("workitem_fk", KEY, nullable=False),
        sa.Column("ae", sa.Text(), nullable=False),
        sa.Column("is_locking", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workitem_fk", "ae", name=op.f("workitem_subscription_pkey")),
        sa.ForeignKeyConstraint(
            ["workitem_fk"], ["workitem.pk"], name=op.f("workitem_subscription_workitem_fk_fkey")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("workitem_subscription_ae_ix", "workitem_subscription", ["ae", "workitem_fk"])


def _events() -> None:
    op.create_table(
        "workitem_event",
        sa.Column("seq", KEY, autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("workitem_uid", sa.Text(), nullable=False, server_default=""),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("workitem_event_pkey")),
    )
    op.create_index("workitem_event_at_ix", "workitem_event", ["at"])
    op.create_table(
        "workitem_delivery",
        sa.Column("ae", sa.Text(), nullable=False),
        sa.Column("seq", KEY, nullable=False),
        sa.PrimaryKeyConstraint("ae", "seq", name=op.f("workitem_delivery_pkey")),
        sa.ForeignKeyConstraint(
            ["seq"], ["workitem_event.seq"], name=op.f("workitem_delivery_seq_fkey")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("workitem_delivery_seq_ix", "workitem_delivery", ["seq"])
    op.create_table(
        "event_cursor",
        sa.Column("ae", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ae", name=op.f("event_cursor_pkey")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in (
        "event_cursor",
        "workitem_delivery",
        "workitem_event",
        "workitem_subscription",
        "worklist_subscription",
        "workitem_gone",
        "workitem_value",
        "workitem",
    ):
        op.drop_table(table)
