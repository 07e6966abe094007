"""The writer: committed together, failing alone, never wrong after a rollback."""

import asyncio
import threading
from pathlib import Path

import pytest

from isocenter.errors import Conflict, Malformed, OutOfTurn, Unavailable
from isocenter.storage.attributes import Level
from isocenter.storage.index import Index
from isocenter.storage.ledger import Ledger
from isocenter.storage.records import OnConflict, Outcome
from unit.storage.made import incoming, query, values


class Gate:
    """Holds the writer up, so that what is submitted meanwhile makes one batch."""

    def __init__(self, index: Index) -> None:
        self._open = threading.Event()
        self._reached = threading.Event()
        self._thread = threading.Thread(target=index._writer.submit, args=(self._wait,))
        self._thread.start()
        assert self._reached.wait(5)

    def _wait(self, _ledger: Ledger) -> None:
        self._reached.set()
        self._open.wait(5)

    def open(self) -> None:
        self._open.set()
        self._thread.join(5)


async def test_threads_that_bring_the_same_new_study_make_one(index: Index) -> None:
    def send(thread: int) -> None:
        for number in range(20):
            index.submit(incoming(SOPInstanceUID=f"2.{thread}.{number}")).result(10)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for level in (Level.PATIENT, Level.STUDY, Level.SERIES):
        assert await index.count(query(level)) == 1
    assert await values(index, query(), "NumberOfStudyRelatedInstances") == [160]


async def test_tasks_of_one_loop_are_all_answered(index: Index) -> None:
    many = [index.store(incoming(SOPInstanceUID=f"2.{number}")) for number in range(300)]

    outcomes = await asyncio.gather(*many)

    assert {each.outcome for each in outcomes} == {Outcome.STORED}
    assert await index.count(query(Level.IMAGE)) == 300


async def test_a_cancelled_task_leaves_the_others_alone(index: Index) -> None:
    gate = Gate(index)
    first = asyncio.create_task(index.store(incoming(SOPInstanceUID="2.1")))
    second = asyncio.create_task(index.store(incoming(SOPInstanceUID="2.2")))
    await asyncio.sleep(0)
    first.cancel()
    gate.open()

    assert (await second).outcome is Outcome.STORED


async def test_one_that_fails_does_not_take_its_neighbours_along(index: Index) -> None:
    gate = Gate(index)
    good = [index.submit(incoming(SOPInstanceUID=f"2.{number}")) for number in range(3)]
    bad = index.submit(incoming(SOPInstanceUID="2.9", StudyInstanceUID="1.9", PatientID="\udc00"))
    late = index.submit(incoming(SOPInstanceUID="2.3", SeriesInstanceUID="3.3"))
    gate.open()

    assert all(each.result(5).outcome is Outcome.STORED for each in (*good, late))
    with pytest.raises(Malformed):
        bad.result(5)
    assert await index.count(query(Level.IMAGE)) == 4
    assert await index.count(query(Level.PATIENT)) == 1


async def test_a_refusal_does_not_undo_its_neighbours(index: Index) -> None:
    index.submit(incoming("first")).result(5)
    gate = Gate(index)
    refused = index.submit(incoming("second"), OnConflict.REJECT)
    taken = index.submit(incoming(SOPInstanceUID="2.1"))
    gate.open()

    with pytest.raises(Conflict):
        refused.result(5)
    assert taken.result(5).outcome is Outcome.STORED


async def test_what_was_rolled_back_is_not_remembered(index: Index) -> None:
    def fail(_ledger: Ledger) -> None:
        raise KeyError("a bug")

    gate = Gate(index)
    first = index.submit(incoming(SOPInstanceUID="2.1"))
    bug = index._writer.submit(fail)
    second = index.submit(incoming(SOPInstanceUID="2.2"))
    gate.open()

    with pytest.raises(OutOfTurn):
        bug.result(5)
    assert first.result(5).outcome is second.result(5).outcome is Outcome.STORED
    assert await values(index, query(), "NumberOfStudyRelatedInstances") == [2]
    seqs = [change.seq for change in await index.changes()]
    assert seqs == sorted(set(seqs))
    assert len(seqs) == 2


async def test_what_another_process_removed_is_made_again(index: Index, index_path: Path) -> None:
    index.submit(incoming(SOPInstanceUID="2.1")).result(5)
    with index._writing.connect() as other:
        for table in (
            "instance", "series", "study_modality", "study_sop_class", "study_name",
            "patient_name", "study", "patient", "name_word", "person_name",
        ):  # fmt: skip
            other.exec_driver_sql(f"DELETE FROM {table}")

    index.submit(incoming(SOPInstanceUID="2.2")).result(5)

    assert await values(index, query(), "NumberOfStudyRelatedInstances") == [1]


async def test_a_full_disk_is_unavailable_and_reading_goes_on(index: Index) -> None:
    index.submit(incoming(SOPInstanceUID="2.1")).result(5)
    index._writer.submit(lambda ledger: list(ledger.rows("PRAGMA max_page_count=1", ()))).result(5)

    with pytest.raises(Unavailable):
        await index.store(incoming(SOPInstanceUID="2.2", ImageComments="x" * 1_000_000))

    assert await index.count(query(PatientID="P1")) == 1
    index._writer.submit(
        lambda ledger: list(ledger.rows("PRAGMA max_page_count=100000", ()))
    ).result(5)
    assert (await index.store(incoming(SOPInstanceUID="3"))).outcome is Outcome.STORED


async def test_what_was_submitted_before_closing_is_written(index_path: Path) -> None:
    index = Index.open(index_path)
    futures = [index.submit(incoming(SOPInstanceUID=f"2.{number}")) for number in range(50)]
    index.close()

    assert all(future.result(0).outcome is Outcome.STORED for future in futures)
    with pytest.raises(Unavailable):
        index.submit(incoming())


async def test_a_search_holds_no_transaction_between_pages(index: Index) -> None:
    for number in range(150):
        index.submit(incoming(StudyInstanceUID=f"1.{number}", SOPInstanceUID=f"2.{number}"))
    index.submit(incoming(SOPInstanceUID="3")).result(5)

    pages = index.search(query())
    first = await anext(pages)
    with index._writing.connect() as connection:
        busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    rest = [page async for page in pages]

    assert busy == 0
    assert len(first) + sum(len(page) for page in rest) == 151
