"""Ready-made copies on disk: whole or not there, and never more than may be."""

import os
import threading
import time
from pathlib import Path

import pytest

from isocenter.storage.copies import CopyStore

NAME = "ab" * 32


def names(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def file_of(folder: Path, name: str = NAME) -> Path:
    return folder / name[:2] / name[2:]


def content(store: CopyStore, name: str = NAME) -> bytes | None:
    copy = store.open(name)
    return None if copy is None else copy.read(0, copy.size)


def test_a_copy_is_read_as_it_was_written_also_by_another_process(tmp_path: Path) -> None:
    CopyStore(tmp_path, 1000).write(NAME, [b"one", b"", b"two"])

    copy = CopyStore(tmp_path, 1000).open(NAME)

    assert copy is not None
    assert (copy.size, copy.read(0, 6), copy.read(2, 4), copy.read(4, 99)) == (
        *(6, b"onetwo"),
        *(b"et", b"wo"),
    )


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert CopyStore(tmp_path / "nowhere", 1000).open(NAME) is None


@pytest.mark.parametrize("size", [0, 5, 20, 119])
def test_a_truncated_copy_is_none_and_goes(tmp_path: Path, size: int) -> None:
    store = CopyStore(tmp_path, 1000)
    store.write(NAME, [bytes(100)])
    os.truncate(file_of(tmp_path), size)

    assert store.open(NAME) is None
    assert not file_of(tmp_path).exists()


@pytest.mark.parametrize("at", [0, 9, 15, 30, 119])
def test_a_copy_with_a_changed_byte_is_none(tmp_path: Path, at: int) -> None:
    store = CopyStore(tmp_path, 1000)
    store.write(NAME, [bytes(100)])
    data = bytearray(file_of(tmp_path).read_bytes())
    data[at] ^= 0x10
    file_of(tmp_path).write_bytes(data)

    assert store.open(NAME) is None


def test_an_open_copy_can_be_read_though_it_was_replaced(tmp_path: Path) -> None:
    store = CopyStore(tmp_path, 1000)
    store.write(NAME, [b"old"])
    copy = store.open(NAME)
    store.write(NAME, [b"new"])

    assert copy is not None
    assert copy.read(0, 3) == b"old"
    assert content(store) == b"new"


def test_the_longest_unused_go_when_there_are_too_many(tmp_path: Path) -> None:
    store = CopyStore(tmp_path, 2000)
    for age, name in enumerate(names(10)):
        store.write(name, [bytes(100)])
        os.utime(file_of(tmp_path, name), (time.time() - 90_000 + age,) * 2)
    assert content(store, names(10)[0]) is not None  # used again, and so the youngest

    for number in range(20, 30):
        store.write(f"{number:064x}", [bytes(100)])

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) <= 2000
    assert content(store, names(10)[0]) is not None
    assert content(store, names(10)[1]) is None
    assert content(store, f"{29:064x}") is not None


def test_what_was_there_before_counts(tmp_path: Path) -> None:
    for name in names(10):
        CopyStore(tmp_path, 10_000).write(name, [bytes(100)])

    CopyStore(tmp_path, 1000).write(NAME, [bytes(100)])

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) <= 1000


def test_what_is_larger_than_all_that_may_be_is_not_kept(tmp_path: Path) -> None:
    store = CopyStore(tmp_path, 100)
    store.write(NAME, [bytes(100)])
    assert store.open(NAME) is None

    CopyStore(tmp_path, 0).write(NAME, [b""])
    assert list(tmp_path.iterdir()) == []


def test_unfinished_copies_of_the_dead_go(tmp_path: Path) -> None:
    store = CopyStore(tmp_path, 1000)
    store.write(NAME, [bytes(500)])
    old, young = file_of(tmp_path).with_name("1-1.part"), file_of(tmp_path).with_name("1-2.part")
    old.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)

    store.write(names(1)[0], [bytes(800)])

    assert young.exists()
    assert not old.exists()


def test_a_disk_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "copies").write_text("in the way")
    store = CopyStore(tmp_path / "copies", 1000)

    store.write(NAME, [b"x"])

    assert store.open(NAME) is None


def test_many_may_write_the_same_at_once(tmp_path: Path) -> None:
    store = CopyStore(tmp_path, 100_000)

    def work(number: int) -> None:
        for _ in range(50):
            store.write(NAME, [bytes([number]) * 1000])
            found = content(store)
            assert found is not None
            assert len(set(found)) == 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
