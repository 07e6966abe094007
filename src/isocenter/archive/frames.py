"""Parts of instances: frames and other values, found and read without the rest.

An instance that is asked for part by part stays open for a while, with what was found out about it.
Blobs never change, so this is never out of date; whether there still is such an instance the index
says each time.
"""

import asyncio
import hashlib
import os
import threading
from array import array
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from isocenter.archive import corrected
from isocenter.dicom.layout import BITS_ALLOCATED, PIXEL_DATA, PIXEL_DATA_TAGS
from isocenter.dicom.paths import AttributePath
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax, lookup
from isocenter.dicom.values import WORD_SIZES, ordered_as
from isocenter.dicom.windowed import Inflated, Place, Reader, Walk
from isocenter.errors import IsocenterError, Malformed, NotFound, Unavailable
from isocenter.imaging import frame_bytes, frames
from isocenter.imaging.encapsulation import HEADER_SIZE, ITEM_HEADER, ITEM_START
from isocenter.imaging.frame_bytes import Frame
from isocenter.imaging.frames import FrameMap
from isocenter.imaging.spans import Spans
from isocenter.storage.blobs import BlobStore, Buffer
from isocenter.storage.copies import CopyStore
from isocenter.storage.records import InstanceRef

T = TypeVar("T")

FILES: Final = os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else 1024
MOST_OPEN: Final = min(FILES // 4, 2048) if FILES > 0 else 2048
"""Instances that stay open though nobody reads them just now: a large series, where the system lets
us have so many files. Opening one again takes as long as answering twice."""
MOST_MEMORY: Final = 64 << 20
"""Bytes that what is known of their frames may take."""
DEAR: Final = 1 << 16
"""Bytes fetched to locate the frames from which on the result is kept for good."""
SMALL: Final = 1 << 20
"""Bytes of a frame that are looked for in memory before a worker is troubled."""
BATCH: Final = 256
"""Attributes that a worker looks for at a time."""
STEP: Final = 1 << 20
"""Bytes a worker fetches at a time."""


class NoFrames(NotFound):
    """The instance has pixel data whose frames cannot be told apart."""


class OpenInstance:
    """An instance from which parts are read. Belongs to one event loop; ``release`` it when done.

    Its methods raise Unavailable, besides what they say.
    """

    def __init__(
        self, store: BlobStore, copies: CopyStore, workers: Executor, instance: InstanceRef
    ) -> None:
        """Blocks. Raises: NoFrames."""
        self.instance = instance
        self.syntax = lookup(instance.transfer_syntax)
        self.users = 0
        self.is_dropped = False
        self.on_located: Callable[[], None] = lambda: None
        self._copies = copies
        self._workers = workers
        self._map: FrameMap | None = None
        self._locating: asyncio.Future[FrameMap] | None = None
        self._store = store
        self._data_set = _DataSet(store, instance)
        self._reader: Reader = self._data_set
        if self.syntax.is_deflated:
            try:
                self._reader = _told(lambda: Inflated(self._data_set))
            except BaseException:
                self._data_set.close()
                raise

    def release(self) -> None:
        """Say that one user is done."""
        self.users -= 1
        if self.is_dropped and not self.users:
            self._data_set.close()

    def drop(self) -> None:
        """Let go of the blob as soon as nobody uses it."""
        self.is_dropped = True
        if not self.users:
            self._data_set.close()

    @property
    def memory(self) -> int:
        """Bytes that what is known of the frames takes, roughly."""
        return self._map.memory if self._map else 0

    async def frame_map(self) -> FrameMap:
        """Find out where the frames lie. Raises: NotFound, if there are no pixels; NoFrames."""
        if self._map is not None:
            return self._map
        if self._locating is None:
            self._locating = self._begin(self._locate)
            self._locating.add_done_callback(self._located)
        return await asyncio.shield(self._locating)

    def locate(self) -> None:
        """As ``frame_map``, if it can; blocks, and is for before anybody else knows of this."""
        with suppress(IsocenterError):  # told when frames are asked for
            self._map = self._locate()

    def recall(self, known: FrameMap) -> None:
        """Take what ``frame_map`` gave for the same instance when it was open before."""
        if self._map is None:
            self._map = known
            self.on_located()

    async def frames(self, numbers: Sequence[int]) -> list[Frame]:
        """Find frames, counted from 1. Raises: NotFound, if there is no such one; NoFrames."""
        found = await self.frame_map()
        if not found.is_encapsulated:
            return _told(lambda: [found.frame(self._reader, number) for number in numbers])
        return await self._begin(lambda: [self._frame(number) for number in numbers])

    async def whole(self) -> Frame:
        """Find all of the pixel data. Raises: NotFound, NoFrames."""
        found = await self.frame_map()
        return await self._told(lambda: found.whole(self._reader))

    async def find(self, path: AttributePath) -> Place:
        """Find an attribute. Raises: NotFound."""
        return await self._told(lambda: self._walk().find(path))

    async def pixel_data(self) -> Place:
        """Find the pixel data, of whichever kind. Raises: NotFound."""
        return await self._told(self._pixel_data)

    async def read(self, work: Callable[[Reader, TransferSyntax], T]) -> T:
        """Have a worker read the data set. Raises: what ``work`` raises; NoFrames."""
        syntax = EXPLICIT_LE if self._reader is not self._data_set else self.syntax
        return await self._told(lambda: work(self._reader, syntax))

    async def places(
        self, wanted: Callable[[Place], bool]
    ) -> AsyncGenerator[tuple[AttributePath, Place]]:
        """Give the attributes that are ``wanted``, those within items too."""
        found = (each for each in self._walk().everything() if wanted(each[1]))
        while batch := await self._told(lambda: list(islice(found, BATCH))):
            for each in batch:
                yield each

    async def value(self, place: Place) -> Frame:
        """Give the bytes of an attribute, little endian; fragments joined."""
        return await self._told(lambda: self._value(place))

    def at_hand(self, number: int, scratch: memoryview | None = None) -> Buffer | None:
        """Give a frame if that takes no waiting: it is located, small, and in memory.

        It may be in ``scratch``, if that is given: memory used before is there at once, while new
        memory costs the kernel more than reading into it (measured: half of an answer's time).
        """
        found = self._map
        if found is None or self._reader is not self._data_set or not 0 < number <= found.count:
            return None
        if found.is_encapsulated:
            return self._fragment_at_hand(found, number, scratch)
        try:
            frame = found.frame(self._reader, number)
        except IsocenterError:
            return None  # told by ``frame``
        if not frame.is_plain or frame.size > SMALL:
            return None
        return self._data_set.at_hand(frame.spans[0], frame.spans[1], scratch)

    def lying(self, number: int) -> "Lying | None":
        """Give where a frame lies, if it is located and lies as it is to be given."""
        found = self._map
        if found is None or found.is_encapsulated or self._reader is not self._data_set:
            return None
        try:
            frame = found.frame(self._reader, number)
        except IsocenterError:
            return None  # told by ``frames``
        if not frame.is_plain or not frame.is_single:
            return None
        return Lying(self._data_set, frame.spans[0], frame.size)

    def placed(self, frame: Frame) -> Spans:
        """Give where something lies that is not deflated, for a process that reads it itself."""
        path = self._store.path(self.instance.blob_key)
        return Spans.of(path, self._data_set.kept(frame.spans), self.instance.dataset_offset)

    async def content(
        self, frame: Frame, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[Buffer]:
        """Give bytes ``start`` to ``end`` (exclusive) of what was found, as they are taken."""
        pieces = frame_bytes.content(self._reader, frame, start, end)
        while batch := await self._begin(partial(_batch, pieces)):
            for piece in batch:
                yield piece

    def _walk(self) -> Walk:
        is_inflated = self._reader is not self._data_set
        return Walk(self._reader, EXPLICIT_LE if is_inflated else self.syntax)

    def _pixel_data(self) -> Place:
        for place in self._walk().elements(PIXEL_DATA_TAGS):
            if place.tag in PIXEL_DATA_TAGS:
                return place
        raise NotFound("the instance has no pixel data")

    def _value(self, place: Place) -> Frame:
        if place.is_encapsulated:
            first = frames.first_fragment(self._reader, place.offset)
            return frames.joined(self._reader, first, self._walk().end_of(place))
        end = place.offset + (place.length or 0)
        word = 1
        if not place.layout.is_little_endian:
            word = WORD_SIZES.get(ordered_as(place.tag, place.vr, self._bits_allocated(place)), 1)
        if self._map is not None and self._map.start == place.offset:
            word = self._map.word
        span = array("Q", (place.offset, end))
        return Frame(span, end - place.offset, word=word, words_from=place.offset)

    def _bits_allocated(self, place: Place) -> int:
        """Of the pixel data at ``place``, if it is that of the outermost data set."""
        if place.tag != PIXEL_DATA or place.depth:
            return 0
        try:
            found = self._walk().find((BITS_ALLOCATED,))
        except NotFound:
            return 0
        return max(self._reader.window(found.offset, found.offset + 2), default=0)

    def _locate(self) -> FrameMap:
        if (kept := self._kept_map()) is not None:
            return kept
        fetched = self._data_set.fetched
        found = _told(lambda: frames.locate(self._walk(), self.syntax))
        if self._data_set.fetched - fetched > DEAR:
            self._keep_map(found)
        return found

    def _kept_map(self) -> FrameMap | None:
        copy = self._copies.open(_copy_name(self.instance.state))
        if copy is None:
            return None
        try:
            return FrameMap.from_bytes(copy.read(0, copy.size))
        except IsocenterError:
            return None  # of another version of ours
        finally:
            copy.close()

    def _keep_map(self, found: FrameMap) -> None:
        self._copies.write(_copy_name(self.instance.state), [found.to_bytes()])

    def _located(self, locating: "asyncio.Future[FrameMap]") -> None:
        self._locating = None
        if not locating.cancelled() and locating.exception() is None:
            self._map = locating.result()
            self.on_located()

    def _frame(self, number: int) -> Frame:
        found = self._map
        if found is None:
            raise NotFound("no frames are located")
        try:
            return found.frame(self._reader, number)
        except Malformed as error:
            if not found.is_told:
                raise NoFrames(str(error)) from error
        # The offset table has been found to lie.
        mended = _told(lambda: frames.repaired(found, self._reader))
        self._map = mended
        self._keep_map(mended)
        return _told(lambda: mended.frame(self._reader, number))

    def _fragment_at_hand(
        self, found: FrameMap, number: int, scratch: memoryview | None
    ) -> Buffer | None:
        """A frame that is a single fragment, fetched together with the item's header."""
        if found.is_video or found.lengths_at or found.frame_bits:
            return None
        start, end = found.starts[number - 1], found.starts[number]
        if end - start > SMALL:
            return None
        item = self._data_set.at_hand(start, end, scratch)
        if item is None or len(item) < HEADER_SIZE:
            return None
        if item[:4] != ITEM_START or ITEM_HEADER.unpack_from(item)[2] != len(item) - HEADER_SIZE:
            return None
        return memoryview(item)[HEADER_SIZE:]

    def _told(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return self._begin(partial(_told, work))

    def _begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._workers, self._work, work)

    def _work(self, work: Callable[[], T]) -> T:
        with self._data_set:
            return work()


class OpenInstances:
    """The instances that are open. Belongs to one event loop."""

    def __init__(self, store: BlobStore, copies: CopyStore, workers: Executor) -> None:
        self._store = store
        self._copies = copies
        self._workers = workers
        self._open: OrderedDict[str, OpenInstance] = OrderedDict()
        self._opening: dict[str, asyncio.Future[OpenInstance]] = {}
        self._memory = 0  # of all that are open
        self.scratch = memoryview(bytearray(SMALL))
        """For what is looked at before the event loop goes on."""

    def known(self, instance: InstanceRef) -> OpenInstance | None:
        """Give an instance that is open already, or None; ``release`` it."""
        found = self._open.get(instance.blob_key)
        if found is not None and found.instance.overlay != instance.overlay:
            return None
        if found is not None:
            self._open.move_to_end(instance.blob_key)
            found.users += 1
        return found

    async def open(self, instance: InstanceRef, *, locates: bool = False) -> OpenInstance:
        """Open ``instance``; ``release`` what is given. Raises: NoFrames, Unavailable.

        ``locates``: its frames will be asked for, and can be located on the way.
        """
        key = instance.state
        if (found := self.known(instance)) is not None:
            return found
        opening = self._opening.get(key)
        if opening is None:
            work = partial(self._open_now, instance, locates=locates)
            opening = asyncio.get_running_loop().run_in_executor(self._workers, work)
            opening.add_done_callback(partial(self._opened, instance))
            self._opening[key] = opening
        found = await asyncio.shield(opening)
        if found.is_dropped:
            return await self.open(instance, locates=locates)
        found.users += 1
        return found

    def drop(self, keys: Iterable[str]) -> None:
        """Let go of blobs that are to be deleted."""
        for key in keys:
            if (found := self._open.pop(key, None)) is not None:
                self._let_go(found)

    def close(self) -> None:
        """Let go of all."""
        self.drop(list(self._open))

    def _open_now(self, instance: InstanceRef, *, locates: bool) -> OpenInstance:
        """In a worker."""
        opened = OpenInstance(self._store, self._copies, self._workers, instance)
        if locates:
            opened.locate()
        return opened

    def _opened(self, instance: InstanceRef, opening: "asyncio.Future[OpenInstance]") -> None:
        del self._opening[instance.state]
        if opening.cancelled() or opening.exception() is not None:
            return
        self.drop((instance.blob_key,))  # as it was before it was corrected
        self._open[instance.blob_key] = opened = opening.result()
        opened.on_located = partial(self._located, opened)
        self._memory += opened.memory
        self._trim()

    def _located(self, opened: OpenInstance) -> None:
        if not opened.is_dropped:
            self._memory += opened.memory
            self._trim()

    def _trim(self) -> None:
        while len(self._open) > MOST_OPEN or self._memory > MOST_MEMORY:
            self._let_go(self._open.popitem(last=False)[1])

    def _let_go(self, opened: OpenInstance) -> None:
        self._memory -= opened.memory
        opened.drop()


class Lying:
    """Bytes of an instance that are yet to be read."""

    def __init__(self, data_set: "_DataSet", start: int, size: int) -> None:
        self.size = size
        self._data_set = data_set
        self._start = start

    def read_into(self, view: memoryview) -> None:
        """Fill ``view``, of ``size``. Blocks. Raises: Unavailable."""
        with self._data_set:
            self._data_set.read_into(view, self._start)


class _DataSet:
    """The bytes of a data set within its blob.

    Entered while it is read, so that it is closed under nobody's hands: a worker goes on with what
    it was given also when nobody waits for that any more.
    """

    def __init__(self, store: BlobStore, instance: InstanceRef) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._is_closing = False
        self.fetched = 0
        """Bytes, so far."""
        self._offset = instance.dataset_offset
        try:
            self._blob = corrected.opened(store, instance)
        except NotFound as error:
            raise Unavailable("the instance is in the index, but its bytes are not") from error
        self.size = self._blob.size - self._offset

    def window(self, start: int, end: int) -> memoryview:
        end = min(end, self.size)
        if start >= end:
            return memoryview(b"")
        self.fetched += end - start
        return self._blob.window(self._offset + start, self._offset + end)

    def read_into(self, view: memoryview, start: int) -> None:
        self._blob.read_into(view, self._offset + start)

    def kept(self, spans: "Sequence[int]") -> "Sequence[int]":
        """Give where bytes lie in the blob that lie in spans of what is given out."""
        if not isinstance(self._blob, corrected.CorrectedBlob):
            return spans
        # Each end is that of the byte before it, for a part may end there.
        place, offset = self._blob.place, self._offset
        return [
            place(offset + each - number % 2) + number % 2 - offset
            for number, each in enumerate(spans)
        ]

    def at_hand(self, start: int, end: int, scratch: memoryview | None) -> Buffer | None:
        # Entered: a thread that is done with it may be closing it just now.
        with suppress(Unavailable), self:
            return self._blob.at_hand(self._offset + start, self._offset + end, scratch)
        return None

    def close(self) -> None:
        with self._lock:
            self._is_closing = True
            if not self._readers:
                self._blob.close()

    def __enter__(self) -> None:
        with self._lock:
            if self._is_closing:
                raise Unavailable("the instance is being let go of")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._is_closing and not self._readers:
                self._blob.close()


def note(copies: CopyStore, blob_key: str, scanner: Scanner, syntax: TransferSyntax) -> None:
    """Keep what was seen of frames while an instance came in, if finding it again would be dear.

    Blocks. Never raises.
    """
    pixels = scanner.pixel_data
    if pixels is not None and len(pixels.fragments) * HEADER_SIZE > DEAR:
        seen = frames.seen(scanner, syntax)
        if seen is not None:
            copies.write(_copy_name(blob_key), [seen.to_bytes()])


def _copy_name(blob_key: str) -> str:
    return hashlib.blake2b(f"frames\0{blob_key}".encode(), digest_size=20).hexdigest()


def _told(work: Callable[[], T]) -> T:
    """What is wrong with an instance we hold is not the mistake of who asks for it."""
    try:
        return work()
    except Malformed as error:
        raise NoFrames(f"the data set cannot be read that far: {error}") from error


def _batch(pieces: Iterator[Buffer]) -> list[Buffer]:
    """Fetch the next pieces, until it is worth sending them."""
    batch: list[Buffer] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= STEP:
            break
    return batch
