from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from isocenter.errors import Unavailable, Unsupported
from isocenter.storage import schema, sqlite
from isocenter.storage.contents import Snapshot
from isocenter.storage.engine import alembic_config, current, upgrade
from isocenter.storage.index import Index
from isocenter.storage.records import Selection
from unit.storage.made import incoming


def test_the_newest_migration_is_the_one_the_code_asks_for(index_path: Path) -> None:
    scripts = ScriptDirectory.from_config(alembic_config(sqlite.writing_engine(index_path)))

    assert scripts.get_heads() == [schema.HEAD]


def test_the_migrations_make_the_schema_of_the_code(index_path: Path) -> None:
    engine = sqlite.writing_engine(index_path)

    command.check(alembic_config(engine))

    engine.dispose()


def test_tables_and_indexes_are_declared_alike(index_path: Path, tmp_path: Path) -> None:
    migrated, declared = (
        sqlite.writing_engine(index_path),
        sqlite.writing_engine(tmp_path / "declared"),
    )
    schema.metadata.create_all(declared)
    statement = "SELECT name, tbl_name, type FROM sqlite_schema WHERE sql IS NOT NULL"

    def made(engine: object, more: str = "") -> set[tuple[str, ...]]:
        with engine.connect() as connection:  # type: ignore[attr-defined]
            return {tuple(row) for row in connection.exec_driver_sql(statement + more)}

    without = " AND tbl_name NOT LIKE 'person_name_gram%' AND name NOT LIKE 'alembic%'"
    assert made(migrated, without + " AND type <> 'trigger'") == made(declared)
    with migrated.connect() as connection:
        tables = connection.exec_driver_sql("PRAGMA table_list").all()
    compact = {row.name for row in tables if row.wr}
    assert {"study_modality", "study_name", "patient_name", "name_word"} <= compact
    migrated.dispose()
    declared.dispose()


def test_the_schema_can_be_taken_down_and_made_again(index_path: Path) -> None:
    engine = sqlite.writing_engine(index_path)

    command.downgrade(alembic_config(engine), "base")
    assert current(engine) is None
    upgrade(engine)

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
