"""Instances that are read part by part: shared, let go of, and never in memory as a whole."""

import asyncio
import os
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datasets import encode, header
from isocenter.archive.archive import Archive
from isocenter.archive.frames import NoFrames, OpenInstances
from isocenter.errors import Unavailable
from isocenter.imaging.frame_bytes import content
from isocenter.storage.copies import CopyStore
from isocenter.storage.files import FileBlob, FileStore
from isocenter.storage.records import InstanceRef, Selection
from made_instances import Kept
from made_pixels import description, encapsulated, native

EXPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"


class OneBlob:
    """A blob store with a single file in it; counts how often that is opened and is open."""

    def __init__(self, path: Path) -> None:
        self.file = path
        self.opened = 0
        self.blobs: list[FileBlob] = []

    def open(self, key: str) -> FileBlob:
        self.opened += 1
        self.blobs.append(FileBlob(os.open(self.file, os.O_RDONLY)))
        return self.blobs[-1]

    def path(self, key: str) -> str:
        return str(self.file)

    @property
    def open_now(self) -> int:
        return sum(blob._descriptor >= 0 for blob in self.blobs)


@pytest.fixture
def workers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def ref(path: Path, syntax: str = EXPLICIT, key: str = "key") -> InstanceRef:
    return InstanceRef("1", "2", "3", "4", syntax, key, path.stat().st_size, b"", 0)


def store_of(path: Path, workers: ThreadPoolExecutor) -> tuple[OneBlob, OpenInstances]:
    store = OneBlob(path)
    copies = CopyStore(path.parent / "copies", 1 << 20)
    return store, OpenInstances(store, copies, workers)  # type: ignore[arg-type]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Four gigabytes, all but the header a hole: 60 frames of 64 MiB."""
    path = tmp_path / "large"
    before = encode(description(60, 8192, 8192)) + header(
        0x7FE00010, "OB", 60 << 26, implicit=False, little=True
    )
    with path.open("wb") as file:
        file.write(before)
        file.truncate(len(before) + (60 << 26))
    return path


async def test_a_frame_of_a_large_instance_passes_through_in_pieces(
    large: Path, workers: ThreadPoolExecutor
) -> None:
    _, opened = store_of(large, workers)
    instance = await opened.open(ref(large))
    (frame,) = await instance.frames((60,))
    tracemalloc.start()

    sizes = [len(piece) async for piece in instance.content(frame)]

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == 1 << 26
    assert most < 8 << 20
    instance.release()
    opened.close()


async def test_who_asks_at_once_for_one_instance_shares_it(
    large: Path, workers: ThreadPoolExecutor
) -> None:
    store, opened = store_of(large, workers)

    async def ask(number: int) -> int:
        instance = await opened.open(ref(large))
        (frame,) = await instance.frames((number,))
        instance.release()
        return frame.size

    assert await asyncio.gather(*(ask(number) for number in range(1, 61))) == [1 << 26] * 60
    assert store.opened == 1
    opened.close()
    assert store.open_now == 0


async def test_what_is_dropped_is_closed_when_the_last_user_is_done(
    large: Path, workers: ThreadPoolExecutor
) -> None:
    store, opened = store_of(large, workers)
    first, second = await opened.open(ref(large)), await opened.open(ref(large))
    (frame,) = await first.frames((1,))

    opened.drop(["key"])

    assert [len(piece) async for piece in second.content(frame, 0, 100)] == [100]
    first.release()
    assert store.open_now == 1
    second.release()
    assert store.open_now == 0
    with pytest.raises(Unavailable):
        await second.find((0x00280010,))


async def test_a_worker_that_nobody_waits_for_reads_on_from_an_open_file(
    large: Path, workers: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, opened = store_of(large, workers)
    instance = await opened.open(ref(large))
    (frame,) = await instance.frames((1,))
    reading, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    window = FileBlob.window
    seen: list[int] = []

    def slow(blob: FileBlob, start: int, end: int) -> memoryview:
        loop.call_soon_threadsafe(reading.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        seen.append(store.open_now)
        return window(blob, start, end)

    monkeypatch.setattr(FileBlob, "window", slow)
    task = asyncio.ensure_future(anext(instance.content(frame)))
    await reading.wait()

    task.cancel()
    await asyncio.wait((task,))
    opened.drop(["key"])
    instance.release()
    go_on.set()
    await asyncio.to_thread(workers.shutdown)

    assert seen == [1]
    assert store.open_now == 0


async def test_an_instance_that_cannot_be_read_says_why(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(encapsulated([[b"ab"], [b"cd"], [b"ef"]], description(2)))
    _, opened = store_of(path, workers)
    instance = await opened.open(ref(path, JPEG))

    for _ in range(2):
        with pytest.raises(NoFrames, match="2 frames in 3 fragments"):
            await instance.frames((1,))
    instance.release()
    opened.close()


async def test_a_file_of_another_size_is_unavailable(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    path = tmp_path / "file"
    path.write_bytes(native(bytes(4), description(1)))
    told = ref(path)
    path.write_bytes(b"")
    store, opened = store_of(path, workers)

    with pytest.raises(Unavailable, match="0 bytes are there"):
        await opened.open(told)

    assert store.open_now == 0


async def test_what_is_at_hand_is_what_the_frame_is(
    tmp_path: Path, workers: ThreadPoolExecutor
) -> None:
    for number, (data, syntax) in enumerate(
        [
            (native(bytes(range(12)), description(3)), EXPLICIT),
            (encapsulated([[b"abcd"], [b"ef", b"gh"]], description(2), basic=[0, 12]), JPEG),
            (native(bytes(range(2)), description(3, 1, 5, 1)), EXPLICIT),
            (encapsulated([[b"abcd"], [b"ef"]], description(2), basic=[0, 12]), JPEG),
        ]
    ):
        path = tmp_path / str(number)
        path.write_bytes(data)
        _, opened = store_of(path, workers)
        instance = await opened.open(ref(path, syntax))
        assert instance.at_hand(1) is None
        found = await instance.frame_map()

        for frame_number in range(found.count + 2):
            for scratch in (None, memoryview(bytearray(1000))):
                data_at_hand = instance.at_hand(frame_number, scratch)

                if data_at_hand is not None:
                    (frame,) = await instance.frames((frame_number,))
                    assert bytes(data_at_hand) == b"".join(content(instance._reader, frame))
        instance.release()
        opened.close()


async def test_removal_lets_go_of_the_blob(archive: Archive, kept: Kept) -> None:
    await kept.store_all(["1.2.3.4"])
    (instance,) = await kept.refs()
    opened = await archive.opened.open(instance)
    opened.release()

    await archive.removals.remove(Selection(instances=("1.2.3.4",)))

    assert opened.is_dropped
    assert archive.opened.known(instance) is None
    assert isinstance(archive.store, FileStore)
