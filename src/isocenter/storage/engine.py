"""Opening the database: its schema, and statements compiled once for the driver."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    Column,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    inspect,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from isocenter.errors import Unavailable, Unsupported
from isocenter.storage import schema, sqlite

MIGRATIONS: Final = Path(__file__).with_name("migrations")

VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where Alembic keeps the schema's revision, as it makes it itself."""


class Statement:
    """A statement's text for the driver, to be run with a tuple in the order of ``names``."""

    __slots__ = ("names", "sql")

    def __init__(self, clause: ClauseElement, dialect: Dialect, *names: str) -> None:
        compiled: Any = clause.compile(dialect=dialect)
        found = tuple(compiled.positiontup or ())
        if found != names:
            raise ValueError(f"the parameters are {found}, not {names}")
        self.sql = str(compiled)
        self.names = names


def open_schema(engine: Engine) -> None:
    """Make the schema in an empty database, or bring it up to date in an older one.

    Raises: Unsupported, where the database is newer than we are; Unavailable.
    """
    if current(engine) is None:
        _create(engine)
    upgrade(engine)


def _create(engine: Engine) -> None:
    """Make all tables of a database that has none, in one transaction.

    It takes a fraction of the time that the migrations take, one after the other.
    """
    with engine.connect() as connection:
        connection.exec_driver_sql(sqlite.BEGIN_WRITE)
        # Another process may have been quicker.
        if not inspect(connection).get_table_names():
            schema.metadata.create_all(connection, checkfirst=False)
            for statement in sqlite.NAME_SEARCH:
                connection.exec_driver_sql(statement)
            VERSION.create(connection)
            connection.execute(VERSION.insert().values(version_num=schema.HEAD))
        connection.commit()


def upgrade(engine: Engine, revision: str = schema.HEAD) -> None:
    """Bring the schema to ``revision`` by the migrations.

    Raises: Unsupported, where the database is newer than we are.
    """
    found = current(engine)
    if found == revision:
        return
    # Imported only when there is something to do: it takes longer than opening the index.
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(engine)
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Unsupported(
            f"the index has schema {found}, made by a newer Isocenter; this one knows {revision}"
        )
    command.upgrade(config, revision)


def alembic_config(engine: Engine) -> Any:
    """How Alembic finds the migrations and the database."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


def current(engine: Engine) -> str | None:
    """The schema's revision, None in an empty database. Raises: Unavailable."""
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(VERSION.name):
                return None
            found = connection.execute(select(VERSION.c.version_num)).scalar()
    except SQLAlchemyError as error:
        raise Unavailable(f"the index cannot be opened: {error}") from error
    return None if found is None else str(found)
