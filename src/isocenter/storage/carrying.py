"""What no blob tells, taken from an index into one that was made anew from the blobs."""

import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from isocenter.storage import schema
from isocenter.storage.tallies import COLUMNS, DAY, Span

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
    schema.job,
    schema.job_outcome,
    schema.peer,
    schema.peer_report,
)
"""What cannot be made anew, those first that others refer to."""
_COUNTERS: Final = ("next_key", "next_event")
NOTHING: Final = (0, 0, 0)
_ADD_TALLY: Final = (
    "UPDATE main.tally SET "  # noqa: S608 - names of our own
    + ", ".join(f"{each} = {each} + ?" for each in COLUMNS)
    + " WHERE span = ? AND number = ? AND modality = ?"
)


def carry_over(former: Path, made: Path) -> bool:
    """Copy worklist, commitments and jobs from the index ``former`` into ``made``.

    Nobody has either open.

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
    _keep_tallies(connection)
    for name in _COUNTERS:
        connection.execute(
            "INSERT INTO main.meta (name, value)"
            " SELECT name, value FROM former.meta WHERE name = ?"
            " ON CONFLICT (name) DO UPDATE SET value ="
            " max(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER))",
            (name,),
        )


def _keep_tallies(connection: sqlite3.Connection) -> None:
    """Have the former counts: when things came and went, the new index cannot know.

    What it holds more or less than the former one did, counts for today.
    """
    if not connection.execute("PRAGMA former.table_info(tally)").fetchall():
        return
    made = _held(connection, "main")
    before = _held(connection, "former")
    connection.execute("DELETE FROM main.tally")
    connection.execute("INSERT INTO main.tally SELECT * FROM former.tally")
    today = (int(Span.DAY), time.time_ns() // 1000 // DAY)
    for modality in made.keys() | before.keys():
        gained = [
            now - then
            for now, then in zip(
                made.get(modality, NOTHING), before.get(modality, NOTHING), strict=True
            )
        ]
        if any(gained):
            key = (*today, modality)
            counts = [*(max(0, each) for each in gained), *(max(0, -each) for each in gained)]
            connection.execute(
                "INSERT OR IGNORE INTO main.tally (span, number, modality) VALUES (?, ?, ?)", key
            )
            connection.execute(_ADD_TALLY, (*counts, *key))


def _held(connection: sqlite3.Connection, name: str) -> dict[str, tuple[int, ...]]:
    """Instances, bytes and studies by modality, as an index has counted them."""
    rows = connection.execute(
        "SELECT modality, sum(instances - removed_instances), sum(bytes - removed_bytes),"  # noqa: S608 - a name of our own
        f" sum(studies - removed_studies) FROM {name}.tally WHERE span = ? GROUP BY modality",
        (int(Span.DAY),),
    )
    return {row[0]: tuple(row[1:]) for row in rows}
