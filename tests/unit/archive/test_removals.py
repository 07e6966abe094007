"""Removing, putting back, and letting go for good."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.removals import may_remove
from isocenter.archive.upkeep import put_in_place, reindex, verify
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.errors import Conflict, Malformed, NotFound
from isocenter.storage.attributes import Level
from isocenter.storage.query import Query
from isocenter.storage.records import ChangeKind, Outcome, Selection
from isocenter.storage.removal_records import RemovedBlob
from isocenter.storage.removals import _Purge
from made_instances import Kept, image

STUDY = Selection(studies=("1.2",))
TABLES = ("patient", "study", "series", "instance", "instance_version", "study_modality",
          "study_sop_class", "patient_name", "study_name", "person_name", "name_word")  # fmt: skip
KEYS = ("pk", "_fk")


def rows_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that the index holds of instances, but for the keys that rows have."""
    found = {}
    with closing(sqlite3.connect(folder / INDEX_NAME)) as connection:
        for table in TABLES:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(name for name in names if not name.endswith(KEYS))
            found[table] = sorted(connection.execute(f"SELECT {columns} FROM {table}"), key=repr)
    return found


async def found(archive: Archive) -> set[str]:
    pages = archive.search(Query(level=Level.IMAGE))
    return {each.attributes["00080018"]["Value"][0] async for page in pages for each in page}


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    opened = await Archive.open(tmp_path, ArchiveConfig(on_conflict="replace"))
    yield opened
    await opened.close()


@pytest.fixture
async def kept(archive: Archive) -> Kept:
    return Kept(archive)


async def fill(kept: Kept) -> None:
    """Two studies of a patient, with several series, a replaced version, and a second patient."""
    await kept.store(image("1.1", PatientName="First^Name", StudyDescription="Knee"))
    await kept.store(image("1.2", PatientName="Later^Name", Modality="MR", SeriesInstanceUID="1.9"))
    await kept.store(image("1.3", StudyInstanceUID="1.4", SeriesInstanceUID="1.4.1"))
    await kept.store(image("1.3", StudyInstanceUID="1.4", SeriesInstanceUID="1.4.1", Modality="PT"))
    await kept.store(image("1.5", PatientID="P9", StudyInstanceUID="1.6", SeriesInstanceUID="1.7"))


@pytest.mark.parametrize(
    "selection",
    [
        STUDY,
        Selection(studies=("1.4",)),
        Selection(series=("1.9",)),
        Selection(instances=("1.1",)),
        Selection(patient_id="P9"),
    ],
    ids=str,
)
async def test_what_is_put_back_is_as_it_was(
    archive: Archive, kept: Kept, tmp_path: Path, selection: Selection
) -> None:
    await fill(kept)
    before, uids = rows_of(tmp_path), await found(archive)
    data_sets = {ref.sop_instance_uid: ref.digest for ref in await kept.refs()}

    removed = await archive.removals.remove(selection, who="test", code="113001", reason="blurred")
    assert await found(archive) < uids
    restored = await archive.removals.restore(removed.removal)

    assert restored.instances == removed.instances > 0
    assert rows_of(tmp_path) == before
    assert {ref.sop_instance_uid: ref.digest for ref in await kept.refs()} == data_sets
    assert [each.fault async for each in verify(archive) if each.fault] == []
    with pytest.raises(Conflict, match="put back"):
        await archive.removals.purge(removed.removal)
    assert rows_of(tmp_path) == before
    removal = await archive.removals.find(removed.removal)
    assert (removal.who, removal.code, removal.reason) == ("test", "113001", "blurred")
    assert removal.restored_at
    kinds = [change.kind for change in await archive.index.changes()][-removed.instances :]
    assert set(kinds) == {ChangeKind.RESTORED}


async def test_what_a_replaced_version_told_is_told_again(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    await kept.store(image("1.1"))
    await kept.store(image("1.2", StudyDescription="Told by the first version", Modality="MR"))
    await kept.store(image("1.2", Rows=3))
    before = rows_of(tmp_path)

    removed = await archive.removals.remove(STUDY)
    await archive.removals.restore(removed.removal)

    assert rows_of(tmp_path) == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_parts_removed_one_by_one_come_back_in_any_order(
    archive: Archive, kept: Kept, tmp_path: Path, order: tuple[int, int]
) -> None:
    first = image("1.1", StudyDescription="A", PatientName="A^A", SeriesInstanceUID="1.2.1")
    await kept.store(first)
    await kept.store(image("1.2", StudyDescription="B", PatientName="B^B", Modality="MR"))
    before = rows_of(tmp_path)
    removed = [
        await archive.removals.remove(selection)
        for selection in (Selection(series=("1.2.1",)), STUDY)
    ]

    for each in order:
        await archive.removals.restore(removed[each].removal)

    assert rows_of(tmp_path) == before


async def test_what_is_removed_is_nowhere_and_its_bytes_stay(archive: Archive, kept: Kept) -> None:
    await fill(kept)
    keys = set(archive.store.all_keys())

    removed = await archive.removals.remove(STUDY)

    assert await found(archive) == {"1.3", "1.5"}
    assert set(archive.store.all_keys()) == keys
    await archive.clear_up()
    assert set(archive.store.all_keys()) == keys
    with pytest.raises(NotFound):
        await archive.index.lookup("1.1")
    (removal,) = await archive.removals.page(10)
    assert removal.number == removed.removal
    assert (removal.instances, removal.can_be_undone) == (2, True)
    assert removal.studies[0]["00100010"]["Value"] == [{"Alphabetic": "First^Name"}]
    assert removal.studies[0]["00081030"]["Value"] == ["Knee"]
    of_study = await archive.removals.of_study("1.2")
    assert of_study is not None
    assert of_study.number == removed.removal
    assert await archive.removals.of_study("1.4") is None


async def test_what_is_let_go_of_cannot_be_put_back_and_names_no_patient(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    await fill(kept)
    removed = await archive.removals.remove(Selection(studies=("1.4",)))

    await archive.removals.purge(removed.removal)

    held = {ref.blob_key for study in ("1.2", "1.6") for ref in await kept.refs(study)}
    assert set(archive.store.all_keys()) == held  # the replaced version went as well
    with closing(sqlite3.connect(tmp_path / INDEX_NAME)) as connection:
        for table in ("removed_parent", "removed_blob", "removed"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    removal = await archive.removals.find(removed.removal)
    assert removal.purged_at
    assert {*removal.studies[0]} == {"0020000D", "00080061"}
    with pytest.raises(Conflict):
        await archive.removals.restore(removed.removal)
    changes = await archive.index.changes()
    assert changes[-1].kind is ChangeKind.PURGED


async def test_what_is_just_let_go_of_is_not_told_to_be_put_back(
    archive: Archive, kept: Kept
) -> None:
    await fill(kept)
    removed = await archive.removals.remove(STUDY)

    gone, back = await asyncio.gather(
        archive.removals.purge(removed.removal),
        archive.removals.restore(removed.removal),
        return_exceptions=True,
    )

    assert gone is None
    assert isinstance(back, Conflict)
    removal = await archive.removals.find(removed.removal)
    assert (bool(removal.purged_at), bool(removal.restored_at)) == (True, False)


async def test_what_is_put_back_while_it_is_still_being_removed_is_put_back_whole(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.storage.index.REMOVED_AT_A_TIME", 1)
    await fill(kept)
    before = await found(archive)
    removing = asyncio.create_task(archive.removals.remove(STUDY))
    page = await archive.removals.page(1)
    while not page:
        page = await archive.removals.page(1)

    await archive.removals.restore(page[0].number)

    await removing
    assert await found(archive) == before


async def test_something_else_is_removed_while_much_is_put_back(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(kept)
    number = (await archive.removals.remove(STUDY)).removal
    has_begun, may_go_on, read = asyncio.Event(), asyncio.Event(), archive.removals._entry

    async def slowly(blob: RemovedBlob) -> Any:
        has_begun.set()
        await may_go_on.wait()
        return await read(blob)

    monkeypatch.setattr(archive.removals, "_entry", slowly)
    restoring = asyncio.create_task(archive.removals.restore(number))
    await has_begun.wait()

    async with asyncio.timeout(20):
        removed = await archive.removals.remove(Selection(instances=("1.5",)))

    assert removed.instances == 1
    may_go_on.set()
    await restoring


async def test_what_was_stored_again_meanwhile_stays_as_it_is(archive: Archive, kept: Kept) -> None:
    await fill(kept)
    removed = await archive.removals.remove(STUDY)
    again = await kept.store(image("1.1", PatientName="First^Name", StudyDescription="Knee"))
    assert again.outcome is Outcome.STORED
    (there,) = await kept.refs()

    restored = await archive.removals.restore(removed.removal)

    assert (restored.instances, restored.there) == (1, 1)
    assert restored.removal.restored_at
    assert there in await kept.refs()
    assert len(await kept.refs()) == 2
    assert len(list(archive.store.all_keys())) == 5  # one copy of each, and a replaced version


@pytest.mark.parametrize("changes", [{}, {"PatientID": "P9"}], ids=["same place", "elsewhere"])
async def test_another_instance_in_the_way_is_told_and_neither_is_lost(
    archive: Archive, kept: Kept, changes: dict[str, str]
) -> None:
    await fill(kept)
    removed = await archive.removals.remove(STUDY)
    await kept.store(image("1.1", PatientName="Somebody^Else", **changes))

    with pytest.raises(Conflict, match="1 instances are back, 1 are not"):
        await archive.removals.restore(removed.removal)

    assert await found(archive) == {"1.1", "1.2", "1.3", "1.5"}
    assert (await archive.removals.find(removed.removal)).can_be_undone
    await archive.removals.remove(Selection(instances=("1.1",)))
    restored = await archive.removals.restore(removed.removal)
    assert restored.instances == 1
    assert restored.removal.restored_at


async def test_what_is_due_goes_by_itself(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path, ArchiveConfig(removal_retention=0.5))
    try:
        archive.removals.start()
        await Kept(archive).store(image("1.1"))
        await archive.removals.remove(STUDY)
        assert list(archive.store.all_keys())
        async with asyncio.timeout(20):
            while list(archive.store.all_keys()):  # noqa: ASYNC110 - a folder tells nobody
                await asyncio.sleep(0.05)
        (removal,) = await archive.removals.page(1)
        assert removal.purged_at
    finally:
        await archive.close()


async def test_what_was_cut_short_while_it_went_goes_at_the_next_start(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path, ArchiveConfig())
    await Kept(archive).store_all(f"1.{number}" for number in range(501))
    removed = await archive.removals.remove(STUDY)
    assert await archive.index._writer.write(_Purge(removed.removal))  # and no more of it
    with pytest.raises(Conflict, match="deleted"):
        await archive.removals.restore(removed.removal)
    await archive.close()

    archive = await Archive.open(tmp_path, ArchiveConfig())
    try:
        archive.removals.start()
        async with asyncio.timeout(20):
            while list(archive.store.all_keys()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
    finally:
        await archive.close()


async def test_what_is_back_is_not_called_deleted_where_noting_it_was_cut_short(
    archive: Archive, kept: Kept
) -> None:
    await fill(kept)
    removed = await archive.removals.remove(STUDY)
    async for page in archive.removals._pages(removed.removal):
        await archive.removals._put_back(page)  # and no more of it

    await archive.removals.purge(removed.removal)  # at its deadline

    removal = await archive.removals.find(removed.removal)
    assert (bool(removal.restored_at), removal.purged_at) == (True, 0)
    assert [each.fault async for each in verify(archive) if each.fault] == []
    assert len(await found(archive)) == 4


async def test_without_retention_there_is_no_way_back(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path, ArchiveConfig(removal_retention=0))
    try:
        await Kept(archive).store(image("1.1"))
        await archive.removals.remove(STUDY)
        assert list(archive.store.all_keys()) == []
    finally:
        await archive.close()


async def test_an_index_made_anew_keeps_what_was_removed_out_and_can_put_it_back(
    tmp_path: Path,
) -> None:
    archive = await Archive.open(tmp_path, ArchiveConfig(on_conflict="replace"))
    await fill(Kept(archive))
    before = rows_of(tmp_path)
    removed = await archive.removals.remove(Selection(studies=("1.4",)))
    await archive.close()

    made = tmp_path / f"{INDEX_NAME}.new"
    assert all(each.fault is None for each in reindex(tmp_path, made))
    assert put_in_place(made, tmp_path / INDEX_NAME)

    archive = await Archive.open(tmp_path, ArchiveConfig(on_conflict="replace"))
    try:
        assert await found(archive) == {"1.1", "1.2", "1.5"}
        assert [each.fault async for each in verify(archive) if each.fault] == []
        restored = await archive.removals.restore(removed.removal)
        assert restored.instances == 1
        assert await found(archive) == {"1.1", "1.2", "1.3", "1.5"}
        assert rows_of(tmp_path)["instance_version"][0][:5] == before["instance_version"][0][:5]
    finally:
        await archive.close()


async def test_a_reason_that_is_coded_is_one_of_the_standard(archive: Archive, kept: Kept) -> None:
    await fill(kept)
    with pytest.raises(Malformed):
        await archive.removals.remove(STUDY, code="1")
    assert len(await found(archive)) == 4
    assert (await archive.removals.remove(Selection(studies=("9.9",)))).removal == 0


@pytest.mark.parametrize(
    ("policy", "host", "may"),
    [
        ("local", "127.0.0.1", True),
        ("local", "0.0.0.0", False),
        ("always", "0.0.0.0", True),
        ("never", "127.0.0.1", False),
    ],
)
def test_who_may_remove_is_one_rule(policy: Any, host: str, may: bool) -> None:
    assert may_remove(Config(host=host, dicomweb=DicomwebConfig(removal=policy))) is may


class Removing(RuleBasedStateMachine):
    """Any order of storing, removing, putting back and letting go, beside a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    @initialize(folder=st.builds(lambda: None))
    def open(self, folder: None) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.archive = self.run(Archive.open(Path(self.folder.name), ArchiveConfig()))
        self.there: dict[str, str] = {}  # SOP Instance UID, Study Instance UID
        self.removals: dict[int, dict[str, str]] = {}

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(number=st.integers(1, 4), study=st.integers(1, 2))
    def put(self, number: int, study: int) -> None:
        uid, of = f"1.{study}.{number}", f"1.{study}"
        made = image(uid, StudyInstanceUID=of, SeriesInstanceUID=f"{of}.0")
        self.run(Kept(self.archive).store(made))
        self.there[uid] = of

    @rule(study=st.integers(1, 2))
    def remove(self, study: int) -> None:
        of = f"1.{study}"
        removed = self.run(self.archive.removals.remove(Selection(studies=(of,))))
        gone = {uid: each for uid, each in self.there.items() if each == of}
        assert removed.instances == len(gone)
        if gone:
            self.removals[removed.removal] = gone
            self.there = {uid: each for uid, each in self.there.items() if each != of}

    @precondition(lambda self: self.removals)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.removals)))
        self.run(self.archive.removals.restore(number))
        self.there |= self.removals.pop(number)

    @precondition(lambda self: self.removals)
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.removals)))
        self.run(self.archive.removals.purge(number))
        del self.removals[number]

    @invariant()
    def what_is_there_is_what_should_be(self) -> None:
        if hasattr(self, "there"):
            assert self.run(found(self.archive)) == set(self.there)
            held = len(self.there) + sum(map(len, self.removals.values()))
            # What was stored twice is deleted by a thread, once the sender has its answer.
            until = time.monotonic() + 10
            while len(list(self.archive.store.all_keys())) != held:
                assert time.monotonic() < until
                time.sleep(0.005)

    def teardown(self) -> None:
        if hasattr(self, "archive"):
            self.run(self.archive.close())
            self.folder.cleanup()
        self.loop.close()


TestRemoving = Removing.TestCase
TestRemoving.settings = settings(
    max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=[*HealthCheck]
)
