"""What every blob store promises."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isocenter.errors import Conflict, NotFound
from isocenter.storage.blobs import BlobStore, new_key
from isocenter.storage.files import FileStore

Reopen = Callable[[], BlobStore]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Reopen]:
    """Open the same store again, as after a crash."""
    stores: list[BlobStore] = []

    def open_again() -> BlobStore:
        stores.append(FileStore(tmp_path / "data"))
        return stores[-1]

    yield open_again
    for store in stores:
        store.close()


@pytest.fixture
def store(reopen: Reopen) -> BlobStore:
    return reopen()


def key(content: bytes = b"x") -> str:
    return new_key("1.2", "1.2.3", "1.2.3.4", content)


def put(store: BlobStore, *parts: bytes, name: str | None = None) -> str:
    name = name or key()
    draft = store.begin()
    draft.write(parts)
    draft.publish(name, "1.2.3.4")
    store.sync([name])
    store.settle([name])
    return name


def content(store: BlobStore, name: str) -> bytes:
    blob = store.open(name)
    try:
        return bytes(blob.window(0, blob.size))
    finally:
        blob.close()


def test_what_was_put_comes_back(store: BlobStore) -> None:
    parts = [os.urandom(size) for size in (1, 70_000, 0, 300_000)]

    name = put(store, *parts)

    assert content(store, name) == b"".join(parts)
    assert list(store.all_keys()) == [name]


def test_more_parts_than_one_call_takes_are_all_written(store: BlobStore) -> None:
    parts = [bytes([number % 256]) * 3 for number in range(5000)]

    assert content(store, put(store, *parts)) == b"".join(parts)


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    assert content(store, put(store)) == b""


@pytest.mark.parametrize(("start", "end"), [(0, 1), (4095, 4097), (5000, 99_999), (7, 7), (9, 1)])
def test_a_window_shows_just_what_was_asked_for(store: BlobStore, start: int, end: int) -> None:
    data = os.urandom(20_000)
    blob = store.open(put(store, data))

    assert blob.window(start, end) == data[start:end]
    blob.close()


def test_a_window_outlives_its_blob(store: BlobStore) -> None:
    name = put(store, b"still here")
    blob = store.open(name)
    window = blob.window(0, 5)

    blob.close()
    store.delete(name)

    assert window == b"still"


def test_a_draft_is_seen_by_nobody(store: BlobStore) -> None:
    draft = store.begin()
    draft.write([b"half"])

    assert list(store.all_keys()) == []
    draft.discard()


def test_a_discarded_draft_leaves_nothing(reopen: Reopen) -> None:
    draft = reopen().begin()
    draft.write([b"half"])

    draft.discard()

    assert reopen().recover() == 0


def test_discarding_what_was_published_changes_nothing(store: BlobStore) -> None:
    draft = store.begin()
    draft.write([b"whole"])
    name = key()
    draft.publish(name, "1.2.3.4")

    draft.discard()

    assert content(store, name) == b"whole"


def test_a_taken_key_is_never_written_over(store: BlobStore) -> None:
    name = put(store, b"first")

    draft = store.begin()
    draft.write([b"second"])
    with pytest.raises(Conflict):
        draft.publish(name, "1.2.3.4")
    draft.discard()

    assert content(store, name) == b"first"


def test_the_same_instance_twice_has_two_keys() -> None:
    assert key() != key()


def test_the_blobs_of_a_study_lie_together() -> None:
    here, there = (new_key("1.2", series, "1", b"") for series in ("3", "4"))

    assert here.rpartition("/")[0] == there.rpartition("/")[0]


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "aa/../bb", "/etc/passwd", "a\0b"])
def test_a_hostile_key_opens_nothing(store: BlobStore, name: str) -> None:
    with pytest.raises(NotFound):
        store.open(name)
    with pytest.raises(NotFound):
        store.delete(name)


def test_what_was_deleted_is_gone_and_deleting_again_is_no_error(store: BlobStore) -> None:
    name = put(store, b"x")

    store.delete(name)
    store.delete(name)

    with pytest.raises(NotFound):
        store.open(name)
    assert list(store.all_keys()) == []


def test_a_study_can_be_filled_again_after_its_last_blob_went(store: BlobStore) -> None:
    store.delete(put(store, b"x"))

    assert content(store, put(store, b"y")) == b"y"


def test_after_a_crash_what_nobody_took_note_of_can_be_told(reopen: Reopen) -> None:
    crashed = reopen()
    crashed.begin().write([b"half"])
    settled, unsettled = put(crashed, b"settled"), key()
    draft = crashed.begin()
    draft.write([b"whole"])
    draft.publish(unsettled, "1.2.3")

    restarted = reopen()

    assert restarted.unsettled() == {unsettled: "1.2.3"}
    assert restarted.recover() == 1
    assert restarted.unsettled() == {}
    assert sorted(restarted.all_keys()) == sorted([settled, unsettled])
    assert restarted.recover() == 0


def test_the_journal_stays_short_and_keeps_what_is_open(reopen: Reopen) -> None:
    store, still_open = reopen(), key()
    draft = store.begin()
    draft.publish(still_open, "1.2.3")
    for number in range(300):
        draft = store.begin()
        name = key()
        draft.publish(name, f"{number}" * 2000)
        store.settle([name])

    assert reopen().unsettled()[still_open] == "1.2.3"
    assert (sum(len(name) for name in reopen().unsettled().values())) < 1_100_000


def test_the_size_of_a_blob_is_told_without_opening_it(store: BlobStore) -> None:
    assert store.size(put(store, b"123", b"45")) == 5
    with pytest.raises(NotFound):
        store.size(key())


def test_scratch_keeps_what_is_written_until_it_is_closed(store: BlobStore) -> None:
    scratch = store.scratch()

    places = [scratch.write([b"first", b" and "]), scratch.write([bytes(100_000)])]
    places.append(scratch.write([b"last"]))
    window = scratch.window(places[2], scratch.size)
    scratch.close()
    scratch.close()

    assert places == [0, 10, 100_010]
    assert bytes(window) == b"last"
    assert list(store.all_keys()) == []
    assert store.recover() == 0


def test_bytes_at_hand_are_those_asked_for_or_none(store: BlobStore) -> None:
    data = os.urandom(20_000)
    blob = store.open(put(store, data))

    assert blob.at_hand(100, 9000) in (data[100:9000], None)
    assert blob.at_hand(19_000, 30_000) is None
    for room in (8900, 20_000, 10):  # just enough, plenty, too little
        scratch = memoryview(bytearray(room))
        assert blob.at_hand(100, 9000, scratch) in (data[100:9000], None)
    blob.close()
    assert blob.at_hand(0, 10) is None
