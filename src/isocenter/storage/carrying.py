"""What no blob tells, taken from an index into one that was made anew from the blobs."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from isocenter.storage import schema

log = logging.getLogger(__name__)

TABLES: Final = (
    schema.commitment,
    schema.workitem,
    schema.workitem_value,
    schema.workitem_gone,
    schema.worklist_subscription,
    schema.workitem_subscription,
    schema.workitem_event,
    schema.workitem_delivery,
    schema.event_cursor,
    schema.share,
)
"""What cannot be made anew, those first that others refer to."""
_COUNTERS: Final = ("next_key", "next_event")


def carry_over(former: Path, made: Path) -> bool:
    """Copy the worklist from the index ``former`` into ``made``; nobody has either open.

    False, where that cannot be read; then nothing is copied.
    """
    if not former.exists():
        return True
    try:
        # The connection's own context manager commits, or undoes all of it.
        with closing(sqlite3.connect(made)) as connection:
            connection.execute("ATTACH ? AS former", (str(former),))
            with connection:
                _copy(connection)
    except sqlite3.Error as error:
        log.warning("worklist not taken over", extra={"reason": str(error)})
        return False
    return True


def _copy(connection: sqlite3.Connection) -> None:
    for table in TABLES:
        # An older index may lack some of it.
        held = connection.execute(f"PRAGMA former.table_info({table.name})").fetchall()
        columns = ", ".join(f'"{row[1]}"' for row in held if row[1] in table.columns)
        if columns:
            connection.execute(
                f"INSERT INTO main.{table.name} ({columns})"  # noqa: S608 - names of our own
                f" SELECT {columns} FROM former.{table.name}"
            )
    for name in _COUNTERS:
        connection.execute(
            "INSERT INTO main.meta (name, value)"
            " SELECT name, value FROM former.meta WHERE name = ?"
            " ON CONFLICT (name) DO UPDATE SET value ="
            " max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
            (name,),
        )
