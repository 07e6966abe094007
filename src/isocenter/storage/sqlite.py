"""All that is SQLite's own: connections, full-text search of names, JSON and wildcards in SQL.

PostgreSQL will have a module of the same functions (pg_trgm, jsonb).
"""

import re
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    ColumnElement,
    Engine,
    FromClause,
    Select,
    column,
    create_engine,
    event,
    func,
    select,
    table,
)
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.selectable import TableValuedAlias

BUSY_TIMEOUT: Final = 30_000
"""Milliseconds to wait for another process that writes."""

_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={BUSY_TIMEOUT}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
    "PRAGMA journal_size_limit=67108864",
    # An error of the disk under mapped memory is a signal that ends the process.
    "PRAGMA mmap_size=0",
)

NAME_SEARCH: Final = (
    """
    CREATE VIRTUAL TABLE person_name_gram USING fts5(
        folded, content='person_name', content_rowid='pk', tokenize='trigram'
    )
    """,
    """
    CREATE TRIGGER person_name_gram_insert AFTER INSERT ON person_name BEGIN
        INSERT INTO person_name_gram(rowid, folded) VALUES (new.pk, new.folded);
    END
    """,
    """
    CREATE TRIGGER person_name_gram_delete AFTER DELETE ON person_name BEGIN
        INSERT INTO person_name_gram(person_name_gram, rowid, folded)
        VALUES ('delete', old.pk, old.folded);
    END
    """,
)
"""What finds names by what is inside them: trigrams, kept by triggers.

Needs ``GRAM`` characters.
"""

NAME_SEARCH_DROP: Final = (
    "DROP TRIGGER person_name_gram_delete",
    "DROP TRIGGER person_name_gram_insert",
    "DROP TABLE person_name_gram",
)

GRAM: Final = 3
"""Fewer characters than this cannot be looked up in ``person_name_gram``."""


def writing_engine(path: Path) -> Engine:
    """Connections that write."""
    return _engine(path, size=1)


def reading_engine(path: Path, size: int) -> Engine:
    """Up to ``size`` connections that cannot write."""
    return _engine(path, size, "PRAGMA query_only=ON")


class _Compiler(SQLiteCompiler):
    """Writes the hints that go with a table (``INDEXED BY``), which SQLAlchemy leaves out."""

    def get_from_hint_text(self, table: FromClause, text: str | None) -> str | None:
        return text


def _engine(path: Path, size: int, *pragmas: str) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        pool_size=size,
        max_overflow=2,
        hide_parameters=True,
    )
    engine.dialect.statement_compiler = _Compiler

    def configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # No transaction but those begun in so many words.
        connection.isolation_level = None
        cursor = connection.cursor()
        _log_ahead(cursor)
        for pragma in (*_PRAGMAS, *pragmas):
            cursor.execute(pragma)
        cursor.close()

    event.listen(engine, "connect", configure)
    return engine


def _log_ahead(cursor: Any) -> None:
    """Have writers not wait for readers. In a new database, SQLite itself waits for nobody here."""
    until = time.monotonic() + BUSY_TIMEOUT / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)


BEGIN_WRITE: Final = "BEGIN IMMEDIATE"
BEGIN_READ: Final = "BEGIN"
"""What is read until the end of the transaction is of one moment."""


def glob(value: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    """Whether ``value`` matches a pattern made of the three below, in case too."""
    return value.op("GLOB", is_comparison=True)(pattern)


GLOB_ANY: Final = "*"
GLOB_ONE: Final = "?"


def glob_literal(text: str, *, any_case: bool = False) -> str:
    """``text`` as the part of a pattern that stands for itself."""
    return "".join(_glob_letter(each, any_case=any_case) for each in text)


def _glob_letter(letter: str, *, any_case: bool) -> str:
    # Some letters have several in the other case: those stay as they are.
    cases = {each for each in (letter.lower(), letter.upper()) if len(each) == 1}
    if any_case and len(cases) > 1:
        return f"[{''.join(sorted({letter, *cases}))}]"
    return f"[{letter}]" if letter in "*?[" else letter


def resembles(value: ColumnElement[Any], parts: Sequence[str | None]) -> ColumnElement[bool]:
    """Whether ``value`` may match in any case: quicker than a pattern that says it in full.

    ``parts``: text that stands for itself, ``GLOB_ANY`` as None. Letters other than those of ASCII
    match any.
    """
    spelled = ("%" if each is None else _LIKE_ANY.sub("_", each) for each in parts)
    return value.like("".join(spelled))


_LIKE_ANY: Final = re.compile(r"[%_]|[^\x01-\x7f]")


def name_holds(literals: tuple[str, ...]) -> Select[tuple[int]]:
    """Keys of the names that hold all of ``literals``, each of at least ``GRAM`` characters."""
    gram = table("person_name_gram", column("rowid"), column("person_name_gram"))
    phrases = " AND ".join('"' + each.replace('"', '""') + '"' for each in literals)
    return select(gram.c.rowid).where(gram.c.person_name_gram.op("MATCH")(phrases))


def each_value(document: ColumnElement[Any], tag8: str) -> TableValuedAlias:
    """The values of an attribute in a ``compared`` column, as a table with a column ``value``."""
    return func.json_each(document, f'$."{tag8}"').table_valued("value", joins_implicitly=True)


def value_at(document: ColumnElement[Any], tag8: str) -> ColumnElement[Any]:
    """The first value of an attribute in a ``compared`` column; NULL where there is none."""
    return func.json_extract(document, f'$."{tag8}"[0]')


def moved(
    date: ColumnElement[Any], time: ColumnElement[Any], zone: ColumnElement[Any], offset: int
) -> ColumnElement[Any]:
    """A date and time of the timezone ``zone`` (``+0100``) as they are ``offset`` minutes east.

    One behind the other, as they sort. NULL, where there is no zone, or one of the others is none.
    """
    spans = ((date, 1, 4), (date, 5, 2), (date, 7, 2), (time, 1, 2), (time, 3, 2), (time, 5, 2))
    told = _joined(func.substr(*span) for span in spans)
    said = func.substr(zone, 1, 3).concat(":").concat(func.substr(zone, 4))
    return func.strftime("%Y%m%d%H%M%S", told.concat(said), f"{offset} minutes").concat(
        func.substr(time, 7)
    )


def _joined(parts: Iterable[ColumnElement[Any]]) -> ColumnElement[Any]:
    year, month, day, hour, minute, second = parts
    date = year.concat("-").concat(month).concat("-").concat(day)
    return date.concat("T").concat(hour).concat(":").concat(minute).concat(":").concat(second)
