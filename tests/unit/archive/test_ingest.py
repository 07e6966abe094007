"""An instance on its way in: kept whole and answered, or gone without a trace."""

# Nobody else is on these loops, and what is waited for sets no event.
# ruff: noqa: ASYNC110

import asyncio
import contextlib
import errno
import gc
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from struct import pack
from typing import Any

import pydicom
import pytest

from isocenter.archive.archive import Archive
from isocenter.archive.ingest import Announced
from isocenter.archive.retrieve import each as each_of
from isocenter.archive.upkeep import verify
from isocenter.config import ArchiveConfig
from isocenter.errors import Conflict, Malformed, Mismatch, NotFound, Unavailable
from isocenter.storage.attributes import Level
from isocenter.storage.blobs import StorageFull
from isocenter.storage.files import FileBlob, FileDraft, FileStore
from isocenter.storage.index import Index
from isocenter.storage.query import Query
from isocenter.storage.records import Outcome, Selection, Warned
from made_instances import CT, EXPLICIT, JPEG, Kept, Slab, element, encoded, image


def traces(folder: Path) -> list[str]:
    """Blobs and drafts there are."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in found if "blobs" in path.parts or path.suffix == ".part"]


async def settled(archive: Archive) -> None:
    """Wait until the workers have done what they were given."""
    loop = asyncio.get_running_loop()
    everyone = threading.Barrier(4)
    await asyncio.gather(*(loop.run_in_executor(archive._workers, everyone.wait) for _ in "1234"))


async def test_what_was_kept_is_there_bit_by_bit(archive: Archive, kept: Kept) -> None:
    data = encoded(image(PixelData=os.urandom(300_000)))

    stored = await kept.begin(data, size=7777).finish()

    (ref,) = await kept.refs()
    opened = await archive.read(ref)
    assert stored.outcome is Outcome.STORED
    pieces = opened.pieces()
    assert not isinstance(pieces, AsyncIterator), "what is in memory is given at once"
    assert b"".join(map(bytes, pieces)) == data
    assert opened.size == len(data)
    opened.close()


META = element(0x00020010, "UI", JPEG.encode())  # says what its data set is not
COMMAND = pack("<HHIH", 0, 0x0110, 2, 7)


@pytest.mark.parametrize("stray", [META, COMMAND, META + COMMAND, COMMAND + META])
@pytest.mark.parametrize("size", [50, 1 << 16])
async def test_what_has_no_place_before_a_data_set_is_left_out(
    archive: Archive, kept: Kept, stray: bytes, size: int
) -> None:
    # PS3.5 7.1: groups 0000 and 0002 have none. In a file they would pass for its meta information.
    data = encoded(image(PixelData=os.urandom(300_000)))

    await kept.begin(stray + data, size=size).finish()

    (ref,) = await kept.refs()
    assert [each.fault async for each in verify(archive)] == [None]
    read = pydicom.dcmread(archive.store.path(ref.blob_key))
    assert (read.file_meta.TransferSyntaxUID, read.PatientID) == (EXPLICIT, "P1")
    opened = await archive.read(ref)
    assert b"".join([bytes(piece) async for piece in each_of(opened.pieces())]) == data
    opened.close()


async def test_an_abandoned_reception_leaves_nothing(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    reception = kept.begin(encoded(image(PixelData=bytes(3_000_000))))

    reception.abandon()

    await settled(archive)
    assert traces(tmp_path) == []


async def test_a_reception_abandoned_at_once_leaves_nothing(
    archive: Archive, tmp_path: Path
) -> None:
    archive.receive(Announced(EXPLICIT)).abandon()

    await settled(archive)
    assert traces(tmp_path) == []


async def test_abandoning_while_a_worker_writes_leaves_nothing(
    archive: Archive, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, goes_on = threading.Event(), threading.Event()
    real = FileDraft.write

    def slowly(draft: FileDraft, parts: Any) -> None:
        writes.set()
        goes_on.wait(10)
        real(draft, parts)

    monkeypatch.setattr(FileDraft, "write", slowly)
    reception = kept.begin(encoded(image(PixelData=bytes(1_000_000))))
    await asyncio.to_thread(writes.wait, 10)

    reception.abandon()
    goes_on.set()

    await settled(archive)
    assert traces(tmp_path) == []


async def test_abandoning_after_the_end_changes_nothing(archive: Archive, kept: Kept) -> None:
    reception = kept.begin(encoded(image()))
    finishing = asyncio.create_task(reception.finish())
    await asyncio.sleep(0)

    reception.abandon()

    assert (await finishing).outcome is Outcome.STORED
    assert len(await kept.refs()) == 1


async def test_a_sender_that_does_not_wait_for_its_answer_loses_nothing(
    archive: Archive, kept: Kept
) -> None:
    finishing = asyncio.create_task(kept.begin(encoded(image())).finish())
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.gather(finishing, return_exceptions=True)

    await archive.close()

    again = await Archive.open(archive.store._blobs.parent, ArchiveConfig())
    assert await again.index.count_instances(Selection(studies=("1.2",))) == 1
    await again.close()


@pytest.mark.parametrize(
    ("step", "attribute"), [(FileStore, "begin"), (FileDraft, "write"), (FileDraft, "publish")]
)
@pytest.mark.parametrize("error", [StorageFull("no room"), RuntimeError("a bug"), OSError(5, "x")])
async def test_a_step_that_fails_is_answered_and_leaves_nothing(
    archive: Archive,
    kept: Kept,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: type,
    attribute: str,
    error: Exception,
) -> None:
    def failing(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(step, attribute, failing)
        with pytest.raises(type(error)):
            await kept.begin(encoded(image(PixelData=bytes(2_500_000)))).finish()

    await settled(archive)
    assert traces(tmp_path) == []
    assert (await kept.store(image())).outcome is Outcome.STORED


async def test_an_index_that_fails_is_answered_and_leaves_nothing(
    archive: Archive, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise Unavailable("no index")

    with monkeypatch.context() as patch:
        patch.setattr(Index, "submit", failing)
        with pytest.raises(Unavailable):
            await kept.store(image())

    await settled(archive)
    assert traces(tmp_path) == []
    assert archive.store._unsettled == {}


async def test_a_folder_that_cannot_be_synced_is_answered_and_leaves_nothing(
    archive: Archive, kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise Unavailable("bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(FileStore, "sync", failing)
        with pytest.raises(Unavailable):
            await kept.store(image())

    await settled(archive)
    assert traces(tmp_path) == []
    assert await kept.refs() == []


async def test_a_sender_is_answered_even_if_the_second_copy_cannot_be_dropped(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(image())

    def failing(*_: object) -> None:
        raise Unavailable("bad disk")

    monkeypatch.setattr(FileStore, "delete", failing)

    assert (await kept.store(image())).outcome is Outcome.DUPLICATE


def damaged(path: Path, damage: str) -> None:
    """Do to a blob what disks do."""
    data = path.read_bytes()
    match damage:
        case "gone":
            path.unlink()
        case "cut short":
            path.write_bytes(data[:-10])
        case "altered":
            path.write_bytes(data[:-10] + bytes([data[-10] ^ 1]) + data[-9:])


@pytest.mark.parametrize("damage", ["gone", "cut short", "altered"])
async def test_bytes_that_were_lost_are_kept_when_they_come_again(
    archive: Archive, kept: Kept, tmp_path: Path, damage: str
) -> None:
    await kept.store(image())
    (lost,) = await kept.refs()
    damaged(Path(archive.store.path(lost.blob_key)), damage)

    again = await kept.store(image())

    assert again.outcome is Outcome.DUPLICATE
    (there,) = await kept.refs()
    assert there.blob_key != lost.blob_key
    assert await archive.lost([there]) == set()
    blob = archive.store.open(there.blob_key)
    assert bytes(blob.window(there.dataset_offset, there.size)) == encoded(image())
    blob.close()
    (study,) = [each async for page in archive.search(Query(level=Level.STUDY)) for each in page]
    assert study.attributes["00201208"]["Value"] == [1]


async def test_bytes_that_cannot_be_read_are_kept_when_they_come_again(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(image())
    (bad,) = await kept.refs()

    def failing(*_: object) -> memoryview:
        raise Unavailable("bad sector")

    with monkeypatch.context() as patch:
        patch.setattr(FileBlob, "window", failing)
        again = await kept.store(image())

    (there,) = await kept.refs()
    assert (again.outcome, there.blob_key != bad.blob_key) == (Outcome.DUPLICATE, True)


async def test_bytes_that_come_again_while_the_disk_cannot_tell_are_no_success(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(image())

    def failing(*_: object) -> int:
        raise Unavailable("bad disk")

    monkeypatch.setattr(FileStore, "size", failing)

    with pytest.raises(Unavailable):
        await kept.store(image())


async def test_what_is_in_flight_when_the_archive_closes_is_answered(
    archive: Archive, kept: Kept
) -> None:
    await kept.store(image())
    receptions = [kept.begin(encoded(image())) for _ in range(20)]
    finishing = [asyncio.create_task(reception.finish()) for reception in receptions]
    await asyncio.sleep(0)

    await archive.close()

    answers = await asyncio.wait_for(asyncio.gather(*finishing), 10)
    assert {answer.outcome for answer in answers} == {Outcome.DUPLICATE}


async def test_what_comes_after_the_archive_closed_is_refused_and_leaves_nothing(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    begun = kept.begin(encoded(image(PixelData=bytes(1_000_000))))
    dropped = kept.begin(encoded(image(PixelData=bytes(1_000_000))))
    await archive.close()

    late = kept.begin(encoded(image(PixelData=bytes(1_000_000))))
    dropped.abandon()
    for reception in (begun, late):
        with pytest.raises(Unavailable):
            await reception.finish()

    assert traces(tmp_path) == []


async def test_parts_come_back_while_a_large_instance_arrives(kept: Kept) -> None:
    reception = kept.begin(encoded(image(PixelData=bytes(8 << 20))))

    async with asyncio.timeout(10):
        while Slab.lent * (1 << 16) > 2 << 20:
            await asyncio.sleep(0)

    await reception.finish()


async def test_parts_come_back_while_the_rest_of_a_failed_one_is_read_over(kept: Kept) -> None:
    reception = kept.begin(b"\xff" * (8 << 20))

    async with asyncio.timeout(10):
        while Slab.lent * (1 << 16) > 2 << 20:
            await asyncio.sleep(0)

    with pytest.raises(Malformed):
        await reception.finish()


@pytest.mark.parametrize(
    "missing", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
async def test_a_data_set_without_a_uid_is_a_mismatch(kept: Kept, missing: str) -> None:
    with pytest.raises(Mismatch, match=missing):
        await kept.begin(encoded(image(**{missing: None}))).finish()


@pytest.mark.parametrize(
    "announced", [{"sop_instance": "1.2.3.4.5"}, {"sop_class": "1.2.840.10008.5.1.4.1.1.4"}]
)
async def test_a_data_set_other_than_announced_is_a_mismatch(
    kept: Kept, announced: dict[str, str]
) -> None:
    with pytest.raises(Mismatch, match="differs"):
        await kept.begin(encoded(image()), **announced).finish()


async def test_an_empty_data_set_is_a_mismatch(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(Mismatch):
        await kept.begin(b"").finish()

    assert traces(tmp_path) == []


@pytest.mark.parametrize("uid", [b"1.2\\3", b"../../x", b"1.\xe92", b"1.2\x003", b"1" * 66])
async def test_a_hostile_uid_is_refused_or_harmless(
    kept: Kept, archive: Archive, uid: bytes, tmp_path: Path
) -> None:
    data = b"".join(
        element(tag, "UI", value + b"\0" * (len(value) % 2))
        for tag, value in (
            (0x00080016, CT.encode()),
            (0x00080018, b"1.2.3.4"),
            (0x0020000D, uid),
            (0x0020000E, uid),
        )
    )
    try:
        await kept.begin(data).finish()
    except Mismatch:
        assert traces(tmp_path) == []
    assert all(archive.store.path(key) for key in archive.store.all_keys())
    outside = set(tmp_path.iterdir())
    assert outside == {tmp_path / "data"}


@pytest.mark.parametrize(
    ("policy", "outcome"), [("keep", Outcome.KEPT), ("replace", Outcome.REPLACED)]
)
async def test_other_bytes_of_the_same_instance_follow_the_policy(
    tmp_path: Path, policy: Any, outcome: Outcome
) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(on_conflict=policy))
    kept = Kept(archive)
    await kept.store(image(PatientName="First"))

    stored = await kept.store(image(PatientName="Second"))

    assert stored.outcome is outcome
    await archive.close()
    assert len(traces(tmp_path)) == (1 if policy == "keep" else 2)


async def test_other_bytes_are_refused_where_that_is_the_policy(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(on_conflict="reject"))
    kept = Kept(archive)
    await kept.store(image(PatientName="First"))

    with pytest.raises(Conflict):
        await kept.store(image(PatientName="Second"))

    await archive.close()
    assert len(traces(tmp_path)) == 1


async def test_the_log_names_no_patient(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    await kept.store(image(PatientID="SECRET-1", PatientName="Secret^One"))

    stored = await kept.store(image(PatientID="SECRET-1", PatientName="Secret^Two"))

    assert Warned.OTHER_BYTES in stored.warnings
    with pytest.raises(Conflict) as refused:
        await kept.store(image(PatientID="SECRET-2", PatientName="Secret^Three"))
    assert "secret" not in str(refused.value).lower()
    assert any(record.levelno == logging.WARNING for record in caplog.records)
    assert not any("secret" in str(vars(record)).lower() for record in caplog.records)


async def test_removed_and_sent_again_it_is_there_again(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    await archive.removals.remove(Selection(studies=("1.2",)), is_final=True)

    stored = await kept.store(image())

    assert stored.outcome is Outcome.STORED
    (ref,) = await kept.refs()
    (await archive.read(ref)).close()
    assert list(archive.store.all_keys()) == [ref.blob_key]
    assert await archive.index.blobs_to_delete() == []


async def test_a_cancelled_reading_leaves_no_file_open(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    (ref,) = await kept.refs()

    for _ in range(20):
        reading = asyncio.create_task(archive.read(ref))
        await asyncio.sleep(0)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            (await reading).close()
    await settled(archive)
    for _ in range(5):
        await asyncio.sleep(0)

    descriptors = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    targets = [os.readlink(each) for each in descriptors if os.path.islink(each)]
    assert archive.store.path(ref.blob_key) not in targets


async def test_nothing_is_reported_to_a_loop_that_is_gone(tmp_path: Path) -> None:
    def in_a_loop_of_its_own(call: Callable[[], Any]) -> None:
        with asyncio.Runner() as runner:
            runner.run(call())

    archive = await Archive.open(tmp_path / "data", ArchiveConfig())

    async def begin_only() -> None:
        reception = archive.receive(Announced(EXPLICIT, CT, "1.2.3.4"))
        reception._end(is_complete=False)

    await asyncio.to_thread(in_a_loop_of_its_own, begin_only)
    await archive.close()
    gc.collect()


async def test_instances_without_an_index_are_not_taken_for_an_empty_archive(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    await kept.store(image())
    await archive.close()
    for path in (tmp_path / "data").glob("index.sqlite*"):
        path.unlink()

    with pytest.raises(Unavailable, match="reindex"):
        await Archive.open(tmp_path / "data", ArchiveConfig())


async def test_where_there_is_no_archive_none_is_made_to_read(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await Archive.open(tmp_path / "mistyped", ArchiveConfig(), is_shared=True)

    assert not (tmp_path / "mistyped").exists()


async def test_what_a_crash_left_is_cleared_up(tmp_path: Path, monkeypatch: Any) -> None:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig())
    kept = Kept(archive)
    await kept.store(image("1.1"))
    draft = archive.store.begin()
    draft.write([b"half"])
    orphan = archive.store.begin()
    orphan.publish(f"ab/{'0' * 28}/{'1' * 40}", "1.9")
    (folder,) = set(tmp_path.iterdir())

    again = await Archive.open(folder, ArchiveConfig())

    assert len(list(again.store.all_keys())) == 1
    assert list((folder / "incoming").glob("*.part")) == []
    await again.close()
    await archive.close()
    draft.discard()


async def test_a_full_disk_refuses_and_reads_go_on(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(image())
    real = os.writev

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    with pytest.raises(StorageFull):
        await kept.store(image("1.9"))

    (ref,) = await kept.refs()
    (await archive.read(ref)).close()
    monkeypatch.setattr(os, "writev", real)
    assert (await kept.store(image("1.9"))).outcome is Outcome.STORED
