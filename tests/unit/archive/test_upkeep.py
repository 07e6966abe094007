"""Verifying, and making the index anew from the blobs."""

# Nobody else is on these loops, and what is waited for sets no event.

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from isocenter.archive import upkeep
from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.upkeep import Checked, Fault, put_in_place, reindex, verify
from isocenter.config import ArchiveConfig
from isocenter.dicom.layout import Limits
from isocenter.dicom.procedure_step import StepState
from isocenter.errors import NotFound, Unavailable
from isocenter.storage.attributes import Level
from isocenter.storage.files import FileStore
from isocenter.storage.index import Index
from isocenter.storage.query import Query
from isocenter.storage.records import Selection
from made_instances import Kept, image
from made_workitems import TRANSACTION, UID, workitem

SOMEWHERE = f"ab/{'0' * 28}/{'1' * 40}"


async def faults(archive: Archive) -> dict[str, Fault | None]:
    """What is wrong, by SOP Instance UID."""
    return {each.sop_instance: each.fault async for each in verify(archive)}


async def blobs(kept: Kept) -> dict[str, Path]:
    return {
        ref.sop_instance_uid: Path(kept.archive.store.path(ref.blob_key))
        for ref in await kept.refs()
    }


async def test_each_fault_is_told_and_the_sound_are_not(archive: Archive, kept: Kept) -> None:
    await kept.store_all(["1.1", "1.2", "1.3", "1.4", "1.5"])
    files = await blobs(kept)
    files["1.2"].unlink()
    data = bytearray(files["1.3"].read_bytes())
    data[-1] ^= 1
    files["1.3"].write_bytes(data)
    os.truncate(files["1.4"], 10)
    files["1.5"].with_name("f" * 40).write_bytes(b"nobody knows me")

    assert await faults(archive) == {
        "1.1": None,
        "1.2": Fault.MISSING,
        "1.3": Fault.DAMAGED,
        "1.4": Fault.DAMAGED,
        "1.5": None,
        "": Fault.UNKNOWN,
    }


async def test_a_damaged_header_is_damage(archive: Archive, kept: Kept) -> None:
    await kept.store(image("1.1"))
    (path,) = (await blobs(kept)).values()
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1))

    assert await faults(archive) == {"1.1": Fault.DAMAGED}


async def test_what_a_server_is_busy_with_is_no_fault(archive: Archive, kept: Kept) -> None:
    draft = archive.store.begin()
    draft.publish(SOMEWHERE, "1.9")

    assert await faults(archive) == {}


async def test_damage_to_a_replaced_version_is_told(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(on_conflict="replace"))
    kept = Kept(archive)
    await kept.store(image(PatientName="First"))
    (first,) = (await blobs(kept)).values()
    await kept.store(image(PatientName="Second"))
    os.truncate(first, first.stat().st_size - 1)

    told = [each.fault async for each in verify(archive)]

    assert told == [None, Fault.DAMAGED]
    await archive.close()


async def test_a_replaced_version_is_known(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(on_conflict="replace"))
    kept = Kept(archive)
    await kept.store(image(PatientName="First"))
    await kept.store(image(PatientName="Second"))

    assert await faults(archive) == {"1.2.3.4": None}
    await archive.close()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A closed archive of three instances, one of which replaced another."""
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(on_conflict="replace"))
    kept = Kept(archive)
    await kept.store_all(["1.1", "1.2"])
    await kept.store(image("1.3", PatientName="First"))
    await kept.store(image("1.3", PatientName="Second"))
    await archive.close()
    return tmp_path / "data"


def run(folder: Path, limits: Limits | None = None) -> list[Checked]:
    made = folder / "index.sqlite.new"
    with closing(reindex(folder, made, limits or Limits())) as read:
        found = list(read)
    put_in_place(made, folder / INDEX_NAME)
    return found


async def everything(folder: Path) -> set[tuple[str, str, bytes]]:
    index = Index.open(folder / INDEX_NAME)
    found = {
        (ref.sop_instance_uid, ref.blob_key, ref.digest)
        async for page in index.all_instances()
        for ref in page
    }
    index.close()
    return found


async def test_what_came_after_the_copy_of_an_index_that_is_put_back_is_not_deleted(
    folder: Path,
) -> None:
    copied = (folder / INDEX_NAME).read_bytes()
    archive = await Archive.open(folder, ArchiveConfig())
    await Kept(archive).store(image("1.9"))
    left = archive.store.begin()  # as a crash leaves what was not acknowledged
    left.publish(SOMEWHERE, "1.8")
    await archive.close()
    (folder / INDEX_NAME).write_bytes(copied)

    again = await Archive.open(folder, ArchiveConfig())
    found = await faults(again)
    await again.close()

    assert found == {"1.1": None, "1.2": None, "1.3": None, "1.9": Fault.UNKNOWN}


async def test_an_archive_whose_blobs_are_not_mounted_is_not_opened(folder: Path) -> None:
    (folder / "blobs").rename(folder / "elsewhere")
    (folder / "blobs").mkdir()  # where they are to be mounted

    with pytest.raises(Unavailable, match="is the disk there"):
        await Archive.open(folder, ArchiveConfig())
    told = await Archive.open(folder, ArchiveConfig(), is_shared=True)
    assert await faults(told) == dict.fromkeys(("1.1", "1.2", "1.3"), Fault.MISSING)
    await told.close()

    (folder / "blobs").rmdir()
    (folder / "elsewhere").rename(folder / "blobs")
    again = await Archive.open(folder, ArchiveConfig())
    assert await faults(again) == dict.fromkeys(("1.1", "1.2", "1.3"))
    await again.close()


async def test_an_index_made_anew_is_the_one_that_was_lost(folder: Path) -> None:
    before = await everything(folder)
    for path in folder.glob("index.sqlite*"):
        path.unlink()

    checked = run(folder)

    assert [each.fault for each in checked] == [None] * 4
    assert await everything(folder) == before
    assert sorted(path.name for path in folder.glob("index*") if "before" not in path.name) == [
        INDEX_NAME
    ]


async def test_links_that_share_a_study_are_taken_over(folder: Path) -> None:
    archive = await Archive.open(folder, ArchiveConfig())
    (study, *_) = (await archive.answer(Query(level=Level.STUDY))).first
    uid = study.attributes["0020000D"]["Value"][0]
    token = await archive.shares.create(uid, lifetime=60, label="for a friend")
    ended = await archive.shares.create(uid, lifetime=60)
    (last, _) = await archive.shares.listed()
    await archive.shares.revoke(last.number)
    await archive.close()

    run(folder)

    archive = await Archive.open(folder, ArchiveConfig())
    opened = await archive.shares.open(token)
    with pytest.raises(NotFound):
        await archive.shares.open(ended)
    await archive.close()
    assert opened.study.attributes["0020000D"]["Value"] == [uid]
    assert opened.share.label == "for a friend"


async def test_a_corrupt_index_is_no_hindrance(folder: Path) -> None:
    before = await everything(folder)
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{INDEX_NAME}{suffix}").write_bytes(b"garbage" * 1000)
    with pytest.raises(Unavailable):
        await Archive.open(folder, ArchiveConfig())

    run(folder)

    assert await everything(folder) == before
    assert (folder / f"{INDEX_NAME}.before").read_bytes().startswith(b"garbage")
    archive = await Archive.open(folder, ArchiveConfig())
    await archive.close()


async def test_an_interrupted_reindexing_leaves_the_index_as_it_was(folder: Path) -> None:
    before = await everything(folder)
    read = reindex(folder, folder / "index.sqlite.new")
    next(read)

    read.close()

    assert await everything(folder) == before
    assert not list(folder.glob("*.order"))
    run(folder)
    assert await everything(folder) == before


@pytest.mark.parametrize("after", range(3))
async def test_an_interrupted_exchange_never_shows_an_empty_archive(
    folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    before = await everything(folder)
    made = folder / "index.sqlite.new"
    list(reindex(folder, made))
    real, calls = os.replace, iter(range(after))

    def crashing(*arguments: str) -> None:
        if next(calls, None) is None:
            raise OSError(5, "power cut")
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(upkeep.os, "replace", crashing)
        with suppress(Unavailable):
            put_in_place(made, folder / INDEX_NAME)

    if (folder / INDEX_NAME).exists():
        assert await everything(folder) == before
    else:
        with pytest.raises(Unavailable, match="reindex"):
            await Archive.open(folder, ArchiveConfig())
        run(folder)
        assert await everything(folder) == before


async def test_a_damaged_blob_is_told_and_left_out(folder: Path) -> None:
    store = FileStore(folder)
    key = next(iter(store.all_keys()))
    Path(store.path(key)).write_bytes(b"garbage")
    store.close()

    checked = run(folder)

    assert [each.key for each in checked if each.fault is Fault.UNREADABLE] == [key]
    assert len(checked) == 4
    assert key not in {found[1] for found in await everything(folder)}


async def test_what_was_taken_in_under_wider_limits_is_taken_again(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(max_nesting=200))
    deep = image("1.1")
    deep.ContentSequence = [image("9")]
    inner = deep
    for _ in range(100):
        inner.ContentSequence = [image("9", PixelData=b"")]
        inner = inner.ContentSequence[0]
    await Kept(archive).store(deep)
    await archive.close()

    checked = run(tmp_path / "data", Limits(nesting=200))

    assert [each.fault for each in checked] == [None]


def test_where_there_is_no_archive_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(reindex(tmp_path / "mistyped", tmp_path / "mistyped" / "index.sqlite.new"))

    assert not (tmp_path / "mistyped").exists()


async def test_what_was_removed_stays_removed(folder: Path) -> None:
    archive = await Archive.open(folder, ArchiveConfig())
    await archive.removals.remove(Selection(instances=("1.3",)))
    await archive.close()

    run(folder)

    assert {uid for uid, _, _ in await everything(folder)} == {"1.1", "1.2"}


async def test_the_former_index_is_kept_with_what_it_had_not_written_yet(folder: Path) -> None:
    index = folder / INDEX_NAME
    with closing(sqlite3.connect(index)) as reader:
        reader.execute("BEGIN").execute("SELECT * FROM instance").fetchall()
        archive = await Archive.open(folder, ArchiveConfig())
        await Kept(archive).store(image("1.4"))
        await archive.close()
        assert (folder / f"{INDEX_NAME}-wal").stat().st_size

        run(folder)

    assert len(await everything(folder)) == 4
    before = folder / f"{INDEX_NAME}.before"
    with closing(sqlite3.connect(before)) as connection:
        assert connection.execute("SELECT count(*) FROM instance").fetchone() == (4,)


def test_an_order_that_cannot_be_kept_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> Iterator[str]:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("isocenter.storage.ordering.sqlite3.connect", failing)

    with pytest.raises(Unavailable, match="full"):
        list(reindex(folder, folder / "index.sqlite.new"))


async def _worklist(folder: Path) -> tuple[str, list[int]]:
    archive = await Archive.open(folder, ArchiveConfig())
    dataset = await archive.worklist.retrieve(UID)
    events = await archive.index.worklist.events("WATCHER", 0)
    await archive.close()
    return str(dataset["00741000"]["Value"][0]), [event.seq for event in events]


async def test_the_worklist_outlives_the_index(folder: Path) -> None:
    archive = await Archive.open(folder, ArchiveConfig())
    await archive.worklist.subscribe_to_all("WATCHER", keys=None, is_locking=True)
    await archive.worklist.create(UID, workitem())
    await archive.worklist.change_state(UID, StepState.IN_PROGRESS, TRANSACTION)
    await archive.close()
    before = await _worklist(folder)

    run(folder)

    assert await _worklist(folder) == before == ("IN PROGRESS", [1, 2])
    archive = await Archive.open(folder, ArchiveConfig())
    await archive.worklist.create("1.2.3", workitem())
    assert [event.seq for event in await archive.index.worklist.events("WATCHER", 2)] == [3]
    await archive.close()


async def test_a_worklist_that_cannot_be_read_is_told_of(folder: Path) -> None:
    made = folder / "index.sqlite.new"
    list(reindex(folder, made))
    for suffix in ("", "-wal", "-shm"):
        (folder / f"{INDEX_NAME}{suffix}").write_bytes(b"garbage" * 1000)

    assert not put_in_place(made, folder / INDEX_NAME)

    await everything(folder)
