"""Counts of what came and went are what counting the rows would give."""

import time
from pathlib import Path

import pytest
from alembic import command

from isocenter.address import Address
from isocenter.errors import OutOfTurn
from isocenter.storage import sqlite
from isocenter.storage.attributes import NON_PATIENT_STUDY
from isocenter.storage.carrying import carry_over
from isocenter.storage.engine import alembic_config, upgrade
from isocenter.storage.index import Index
from isocenter.storage.peers import KeptPeer, Report
from isocenter.storage.records import OnConflict, Selection
from isocenter.storage.tallies import DAY, KEPT_MINUTES, MINUTE, Span, Tally, tallies
from unit.storage.made import incoming


def today() -> int:
    return time.time_ns() // 1000 // DAY


def days(index: Index) -> list[Tally]:
    return tallies(index._run, Span.DAY, 0)


async def put(index: Index, number: int, study: str, modality: str, content: str) -> None:
    await index.store(
        incoming(
            content,
            StudyInstanceUID=study,
            SeriesInstanceUID=f"{study}.7",
            SOPInstanceUID=f"{study}.9.{number}",
            Modality=modality,
        ),
        OnConflict.REPLACE,
    )


async def fill(index: Index) -> None:
    await put(index, 1, "1.1", "CT", "")
    await put(index, 2, "1.1", "CT", "22")
    await put(index, 3, "1.2", "MR", "333")


async def test_what_comes_is_counted_by_day_and_modality(index: Index) -> None:
    await fill(index)

    assert days(index) == [
        Tally(today(), "CT", instances=2, bytes=2_002, studies=1),
        Tally(today(), "MR", instances=1, bytes=1_003, studies=1),
    ]
    minutes = tallies(index._run, Span.MINUTE, 0)
    assert {each.modality for each in minutes} == {""}
    assert sum(each.instances for each in minutes) == 3
    assert sum(each.bytes for each in minutes) == 3_005


async def test_what_comes_twice_is_counted_once(index: Index) -> None:
    await fill(index)
    before = days(index)

    await put(index, 1, "1.1", "CT", "")

    assert days(index) == before


async def test_what_is_of_no_patient_is_counted_as_an_instance_but_in_no_study(
    index: Index,
) -> None:
    nowhere = {"StudyInstanceUID": NON_PATIENT_STUDY, "SeriesInstanceUID": NON_PATIENT_STUDY}
    await index.store(incoming("", SOPInstanceUID="1.5", Modality="", **nowhere))

    assert [(each.kept_instances, each.kept_studies) for each in days(index)] == [(1, 0)]

    await index.remove(Selection(instances=("1.5",)))

    assert [(each.kept_instances, each.kept_studies) for each in days(index)] == [(0, 0)]


async def test_what_is_removed_is_counted_as_gone(index: Index) -> None:
    await fill(index)

    await index.remove(Selection(studies=("1.1",)))

    assert days(index)[0] == Tally(today(), "CT", 2, 2_002, 1, 2, 2_002, 1)
    assert days(index)[1].removed_instances == 0


async def test_what_is_replaced_went_and_came(index: Index) -> None:
    await put(index, 1, "1.1", "CT", "")

    await put(index, 1, "1.1", "CT", "other")

    (counted,) = days(index)
    assert (counted.instances, counted.removed_instances) == (2, 1)
    assert counted.bytes - counted.removed_bytes == 1_005


async def test_what_fails_is_not_counted(index: Index) -> None:
    await put(index, 1, "1.1", "CT", "")

    def broken(ledger: object) -> None:
        ledger.tallies.came("CT", instances=5)  # type: ignore[attr-defined]
        raise ZeroDivisionError

    with pytest.raises(OutOfTurn):
        await index._writer.write(broken)
    await put(index, 2, "1.1", "CT", "")

    assert days(index)[0].instances == 2


async def test_minutes_are_let_go_of_when_they_are_long_over(index: Index) -> None:
    old = time.time_ns() // 1000 // MINUTE - KEPT_MINUTES - 5
    with index._writing.connect() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO tally (span, number, modality) VALUES (0,{old},'')"
        )
        connection.exec_driver_sql("INSERT INTO tally (span, number, modality) VALUES (1, 1, 'CT')")

    await put(index, 1, "1.1", "CT", "")

    assert old not in {each.number for each in tallies(index._run, Span.MINUTE, 0)}
    assert days(index)[0].number == 1


async def test_the_migration_counts_what_is_there(index_path: Path) -> None:
    index = Index.open(index_path)
    await fill(index)
    counted = days(index)
    index.close()
    engine = sqlite.writing_engine(index_path)

    command.downgrade(alembic_config(engine), "0007")
    upgrade(engine)
    engine.dispose()

    index = Index.open(index_path)
    assert days(index) == counted
    await put(index, 4, "1.1", "CT", "")
    assert days(index)[0].instances == 3
    index.close()


async def test_an_index_made_anew_has_the_former_counts(tmp_path: Path, index_path: Path) -> None:
    former = Index.open(index_path)
    await fill(former)
    with former._writing.connect() as connection:
        connection.exec_driver_sql("UPDATE tally SET number = 20000 WHERE span = 1")
    counted = days(former)
    await former.peers.add(KeptPeer(Address("CT", "ct.example", 104), "the ward's"))
    await former.peers.note(Report("CT", "echo", "CT@ct.example:104", 7, b"{}"))
    former.close()
    made = Index.open(tmp_path / "made.sqlite")
    await put(made, 1, "1.1", "CT", "")
    await put(made, 3, "1.2", "MR", "333")
    await put(made, 5, "1.3", "US", "")
    made.close()

    assert carry_over(index_path, tmp_path / "made.sqlite")

    index = Index.open(tmp_path / "made.sqlite")
    assert days(index) == [
        *counted,
        Tally(today(), "CT", removed_instances=1, removed_bytes=1_002),
        Tally(today(), "US", instances=1, bytes=1_000, studies=1),
    ]
    await put(index, 6, "1.3", "US", "")
    assert days(index)[-1].instances == 2
    assert [each.address.host for each in await index.peers.all()] == ["ct.example"]
    assert (await index.peers.reports("echo"))["CT"].at == 7
    index.close()
