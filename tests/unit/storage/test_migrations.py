import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from isocenter.errors import Unavailable, Unsupported
from isocenter.storage import schema, sqlite
from isocenter.storage.contents import Snapshot
from isocenter.storage.engine import alembic_config, current, open_schema, upgrade
from isocenter.storage.index import Index
from isocenter.storage.records import Selection
from unit.storage.made import incoming, query, values


def test_the_newest_migration_is_the_one_the_code_asks_for(index_path: Path) -> None:
    scripts = ScriptDirectory.from_config(alembic_config(sqlite.writing_engine(index_path)))

    assert scripts.get_heads() == [schema.HEAD]


def test_the_migrations_make_the_schema_of_the_code(index_path: Path) -> None:
    engine = sqlite.writing_engine(index_path)

    command.check(alembic_config(engine))

    engine.dispose()


def _made(engine: Engine) -> dict[tuple[str, str], tuple[str, ...]]:
    """Say of each table, index and trigger what it is made of; columns in any order."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_schema").all()
    texts = {(each.type, each.name): " ".join((each.sql or "").split()) for each in found}
    clauses = re.compile(r" \( |, (?![^(]*\))| \)(?= |$)")
    return {key: tuple(sorted(map(str.strip, clauses.split(text)))) for key, text in texts.items()}


def test_a_new_index_has_the_schema_that_the_migrations_make(tmp_path: Path) -> None:
    migrated, new = (sqlite.writing_engine(tmp_path / name) for name in ("migrated", "new"))

    upgrade(migrated)
    open_schema(new)

    assert _made(new) == _made(migrated)
    assert current(new) == current(migrated) == schema.HEAD
    made = _made(new)
    assert ("trigger", "person_name_gram_insert") in made
    assert "study_uid TEXT DEFAULT '' NOT NULL" in made["table", "study"]
    assert "WITHOUT ROWID" in made["table", "name_word"]
    migrated.dispose()
    new.dispose()


def test_many_may_make_a_new_index_at_once(tmp_path: Path) -> None:
    engines = [sqlite.writing_engine(tmp_path / "index.sqlite") for _ in range(8)]

    with ThreadPoolExecutor(len(engines)) as threads:
        list(threads.map(open_schema, engines))

    assert [current(each) for each in engines] == [schema.HEAD] * len(engines)
    for each in engines:
        each.dispose()


def test_who_comes_while_another_makes_the_index_waits(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")  # before it is in the mode in which readers do not wait
        threading.Timer(0.3, other.execute, ["COMMIT"]).start()
        engine = sqlite.writing_engine(path)

        open_schema(engine)

        assert current(engine) == schema.HEAD
        engine.dispose()


def test_a_new_index_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    engine = sqlite.writing_engine(tmp_path / "index.sqlite")

    with (
        pytest.raises(OperationalError),
        patch.object(sqlite, "NAME_SEARCH", (*sqlite.NAME_SEARCH, "CREATE NONSENSE")),
    ):
        open_schema(engine)

    assert _made(engine) == {}
    engine.dispose()


def test_the_schema_can_be_taken_down_and_made_again(index_path: Path) -> None:
    engine = sqlite.writing_engine(index_path)

    command.downgrade(alembic_config(engine), "base")
    assert current(engine) is None
    open_schema(engine)

    assert current(engine) == schema.HEAD
    engine.dispose()


def test_an_index_of_a_newer_isocenter_is_refused(index_path: Path) -> None:
    engine = sqlite.writing_engine(index_path)
    with engine.connect() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()

    with pytest.raises(Unsupported, match=r"9999.*newer"):
        Index.open(index_path)


def test_what_is_no_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(Unavailable):
        Index.open(path)
    with pytest.raises(Unavailable):
        Index.open(tmp_path / "nowhere" / "index.sqlite")


def test_commits_are_durable_and_readers_cannot_write(index: Index) -> None:
    with index._writing.connect() as writing, index._reading.connect() as reading:
        for pragma, expected in (("synchronous", 2), ("journal_mode", "wal"), ("foreign_keys", 1)):
            assert writing.exec_driver_sql(f"PRAGMA {pragma}").scalar() == expected
        assert reading.exec_driver_sql("PRAGMA query_only").scalar() == 1


async def test_texts_of_an_older_index_are_found_by_their_parts(index_path: Path) -> None:
    index = Index.open(index_path)
    for number, text in enumerate((["Thorax a.p."], ["Knee", "Thorax"], None, ["Ä"])):
        await index.store(
            incoming(
                StudyInstanceUID=f"1.{number}",
                SeriesInstanceUID=f"1.{number}.1",
                SOPInstanceUID=f"1.{number}.1.1",
                StudyDescription=text,
                InstitutionName=text,
            )
        )
    index.close()
    engine = sqlite.writing_engine(index_path)
    columns = "SELECT description, '' FROM study UNION ALL SELECT '', institution FROM series"
    with engine.connect() as connection:
        expected = sorted(map(tuple, connection.exec_driver_sql(columns)))
    command.downgrade(alembic_config(engine), "0012")

    open_schema(engine)

    with engine.connect() as connection:
        assert sorted(map(tuple, connection.exec_driver_sql(columns))) == expected
    engine.dispose()
    index = Index.open(index_path)
    for keyword in ("StudyDescription", "InstitutionName"):
        wanted = query(any_case=True, **{keyword: "*thorax*"})
        assert await values(index, wanted, "StudyInstanceUID") == ["1.0", "1.1"]
    index.close()


async def test_an_index_from_before_fingerprints_is_given_them(index_path: Path) -> None:
    index = Index.open(index_path)
    for number in range(5):
        await index.store(incoming(SOPInstanceUID=f"2.{number}"))
        await index.store(incoming(SOPInstanceUID=f"3.{number}", SeriesInstanceUID="1.9"))

    def fingerprints(snapshot: Snapshot) -> list[int]:
        return [each.fingerprint for each in snapshot.series(Selection(studies=("1.2.3.1",)))]

    expected = await index.within_snapshot(fingerprints)
    index.close()
    engine = sqlite.writing_engine(index_path)
    command.downgrade(alembic_config(engine), "0001")
    engine.dispose()

    index = Index.open(index_path)

    assert len(set(expected)) == 2
    assert await index.within_snapshot(fingerprints) == expected
    index.close()
