"""Opening the database: migrations, and statements compiled once for the driver."""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import ClauseElement, Engine, inspect, select, table, text
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from isocenter.errors import Unavailable, Unsupported
from isocenter.storage import schema

MIGRATIONS: Final = Path(__file__).with_name("migrations")


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


def upgrade(engine: Engine, revision: str = schema.HEAD) -> None:
    """Bring the schema to ``revision``.

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
    version = table("alembic_version")
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            statement = select(text("version_num")).select_from(version)
            found = connection.execute(statement).scalar()
    except SQLAlchemyError as error:
        raise Unavailable(f"the index cannot be opened: {error}") from error
    return None if found is None else str(found)
