"""The file store when the disk fails: whichever step it is, nothing is half there."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from isocenter.errors import Conflict, Unavailable
from isocenter.storage import files
from isocenter.storage.blobs import StorageFull, new_key
from isocenter.storage.files import FileStore

STEPS = ("open", "writev", "fsync", "close", "write", "mkdir", "rename")
"""The system calls a blob goes through until it is published."""


class Killed(BaseException):
    """The process ends here: nobody may clear up."""


class FailingDisk:
    """Lets so many calls of one kind go well and fails the next."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def fail(self, step: str, error: BaseException, *, after: int = 0) -> None:
        real: Callable[..., Any] = getattr(os, step)
        calls = iter(range(after + 1))

        def failing(*arguments: Any, **more: Any) -> Any:
            if next(calls, None) == after:
                raise error
            return real(*arguments, **more)

        self._patch.setattr(os, step, failing)

    def heal(self) -> None:
        self._patch.undo()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingDisk]:
    with monkeypatch.context() as patch:
        yield FailingDisk(patch)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FileStore]:
    store = FileStore(tmp_path)
    yield store
    store.close()


def key(study: str = "1.2") -> str:
    return new_key(study, "1.2.3", "1.2.3.4", b"digest")


def put(store: FileStore, name: str, data: bytes = b"x" * 5000) -> None:
    draft = store.begin()
    try:
        draft.write([data])
        draft.publish(name, "1.2.3.4")
    except Exception:
        draft.discard()
        raise


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def parts(folder: Path) -> list[str]:
    return [path.name for path in (folder / "incoming").glob("*.part")]


@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_step_that_fails_leaves_nothing_and_the_store_works_on(
    tmp_path: Path, store: FileStore, disk: FailingDisk, step: str, after: int, number: int
) -> None:
    before = open_files()
    disk.fail(step, OSError(number, os.strerror(number)), after=after)
    failure: Unavailable | None = None
    name = key()

    try:
        put(store, name)
    except Unavailable as error:
        failure = error
    disk.heal()

    if failure is not None:
        assert list(store.all_keys()) == []
        assert isinstance(failure, StorageFull) == (number == errno.ENOSPC)
        put(store, name)
    assert list(store.all_keys()) == [name]
    assert parts(tmp_path) == []
    if not (step == "close" and failure):  # what the test did not let close stays open
        assert open_files() == before


@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_leaves_what_the_next_start_can_tell(
    tmp_path: Path, disk: FailingDisk, step: str, after: int
) -> None:
    crashed, name = FileStore(tmp_path), key()
    disk.fail(step, Killed(), after=after)
    died = False
    try:
        put(crashed, name)
    except Killed:
        died = True
    disk.heal()

    store = FileStore(tmp_path)
    there, noted = list(store.all_keys()), store.unsettled()
    store.recover()

    # Whatever is visible is whole, and on the journal: the index has not heard of it.
    assert there in ([], [name])
    assert noted == ({name: "1.2.3.4"} if there else {})
    assert died or there
    assert parts(tmp_path) == []
    store.close()
    crashed.close()


def test_a_draft_closes_its_file_once_even_if_closing_fails(
    store: FileStore, disk: FailingDisk
) -> None:
    draft = store.begin()
    descriptor = draft._descriptor
    disk.fail("close", OSError(errno.EIO, "bad disk"))
    with pytest.raises(Unavailable):
        draft.publish(key(), "1.2")
    disk.heal()
    os.close(descriptor)  # as the kernel did
    innocent = os.open(os.devnull, os.O_RDONLY)
    assert innocent == descriptor

    draft.discard()

    os.fstat(innocent)
    os.close(innocent)


def test_discarding_never_raises(store: FileStore, disk: FailingDisk) -> None:
    draft = store.begin()
    descriptor = draft._descriptor
    disk.fail("close", OSError(errno.EIO, "bad disk"))

    draft.discard()

    disk.heal()
    os.close(descriptor)


def test_a_line_that_fits_the_journal_in_part_only_is_taken_back(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first, second = os.write, key(), key()
    put(store, first)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda to, data: real(to, data[:20]))
        with pytest.raises(StorageFull):
            put(store, key())
    put(store, second)

    again = FileStore(tmp_path)

    assert set(again.unsettled()) == {first, second}
    again.close()


def test_a_journal_that_cannot_be_shortened_keeps_all_it_had(
    tmp_path: Path, store: FileStore, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "JOURNAL_SIZE", 100)
    kept, settled = key(), key()
    put(store, kept)
    put(store, settled)
    disk.fail("replace", OSError(errno.ENOSPC, "full"))

    store.settle([settled])

    disk.heal()
    again = FileStore(tmp_path)
    assert kept in again.unsettled()
    again.close()


def test_what_could_not_be_published_is_not_remembered(
    store: FileStore, disk: FailingDisk, tmp_path: Path
) -> None:
    disk.fail("rename", OSError(errno.EIO, "bad disk"))
    with pytest.raises(Unavailable):
        put(store, key())

    assert store._unsettled == {}


def test_a_taken_key_is_not_put_on_the_journal(store: FileStore) -> None:
    name = key()
    put(store, name)
    store.settle([name])

    with pytest.raises(Conflict):
        put(store, name)

    assert store._unsettled == {}


def synced(disk_calls: list[Path]) -> Callable[[FileStore, Path | str], None]:
    def record(_: FileStore, folder: Path | str) -> None:
        disk_calls.append(Path(folder))

    return record


def test_a_folder_that_was_there_at_the_start_is_made_durable_once_more(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = key("1.2")
    put(store, first)  # as if it had crashed before its sync
    again, calls = FileStore(tmp_path), list[Path]()
    monkeypatch.setattr(FileStore, "_sync_folder", synced(calls))

    put(again, key("1.2"))
    made = list(calls)
    put(again, key("1.2"))

    shard = tmp_path / "blobs" / first[:2]
    assert made == [tmp_path / "blobs", shard]
    assert calls == made
    again.close()


def test_removal_is_made_durable_before_it_is_forgotten(
    tmp_path: Path, store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, gone, last = key("1.2"), key("1.2"), key("9.9")
    for name in (left, gone, last):
        put(store, name)
    calls: list[Path] = []
    monkeypatch.setattr(FileStore, "_sync_folder", synced(calls))

    store.expunge([gone, last])

    assert list(store.all_keys()) == [left]
    blobs = tmp_path / "blobs"
    assert set(calls) == {(blobs / left).parent, blobs / last[:2]}


def test_a_data_folder_that_was_moved_away_is_told(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "data")
    draft = store.begin()
    draft.write([b"x"])
    (tmp_path / "data").rename(tmp_path / "elsewhere")

    with pytest.raises(Unavailable):
        draft.publish(key(), "1.2")
    draft.discard()
    with pytest.raises(Unavailable):
        store.begin()
    with pytest.raises(Unavailable):
        list(store.all_keys())
    store.close()


def test_a_folder_that_goes_while_keys_are_listed_is_passed_over(store: FileStore) -> None:
    names = [key(study) for study in ("1.2", "1.3", "1.4")]
    for name in names:
        put(store, name)

    listing = store.all_keys()
    found = [next(listing)]
    for name in names:
        store.delete(name)

    assert [*found, *listing] == found


@pytest.mark.parametrize("line", ["", "\t", "x\ty", "../../etc/passwd\t1.2", "no tab", "\udcff"])
def test_a_damaged_journal_names_nothing(tmp_path: Path, line: str) -> None:
    (tmp_path / "incoming").mkdir()
    text = f"{line}\n".encode("utf-8", "surrogateescape")
    (tmp_path / "incoming" / "journal").write_bytes(text + b"\xff\0\n")

    store = FileStore(tmp_path)

    assert store.unsettled() == {}
    assert store.recover() == 0
    store.close()


def test_bytes_reach_the_disk_before_their_name_and_the_name_before_sync_returns(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor: int) -> None:
        calls.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        real_fsync(descriptor)

    def rename(source: str, target: str) -> None:
        calls.append(f"rename {Path(source).name} {Path(target).name}")
        real_rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    name = key()
    folder, blob = Path(name).parent.name, Path(name).name
    draft = store.begin()
    draft.write([b"bytes"])

    draft.publish(name, "1.2.3.4")
    store.sync([name])

    part = next(call.split()[1] for call in calls if call.startswith("rename"))
    order = [f"fsync {part}", f"rename {part} {blob}", f"fsync {folder}"]
    assert [call for call in calls if call in order][:2] == order[:2]
    assert calls[-1] == order[2]
