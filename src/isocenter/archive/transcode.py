"""Instances on their way into another transfer syntax, frame by frame.

Frames are read, converted in the workers for images, several at a time, and given in their order.
What is compressed is put aside on the archive's volume first: how large each frame becomes shows
only then, and the offset table comes before them. Nothing here holds more than a few frames.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from struct import Struct
from typing import Final, TypeVar

import numpy as np

from isocenter.dicom.layout import ITEM, SEQUENCE_END, UNDEFINED
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    TransferSyntax,
)
from isocenter.dicom.windowed import Place, Reader, Walk
from isocenter.errors import Malformed, NotFound, Unsupported
from isocenter.imaging import frame_bytes, frames, subject, transcoding
from isocenter.imaging.frames import FrameMap
from isocenter.imaging.native import Buffer
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.subject import EXTENDED_TABLES, Subject
from isocenter.imaging.transcoding import Conversion, Loss
from isocenter.imaging.workers import Workers
from isocenter.storage.blobs import Scratch

T = TypeVar("T")

STEP: Final = 1 << 20
"""Bytes of a data set, or of what was put aside, that are handled at once."""
MOST_MEMORY: Final = 256 << 20
"""Bytes of frames that are worked on at once, unless a single one takes more."""
LONGEST: Final = 0xFFFFFFFE
"""Bytes that native pixel data can have (PS3.5 7.1.1)."""
LAST_OFFSET: Final = 0xFFFFFFFF
"""What a Basic Offset Table can tell."""
_HEADER: Final = Struct("<HH2sHI").pack
_ITEM: Final = Struct("<HHI").pack


class Transcoding:
    """One data set, on its way from ``source`` to ``target``.

    Raises, on construction: Unsupported.
    """

    def __init__(
        self,
        reader: Reader,
        source: TransferSyntax,
        target: TransferSyntax,
        *,
        codecs: Workers,
        files: Executor,
        scratch: Callable[[], Scratch],
        is_loss_allowed: bool = False,
    ) -> None:
        """``files``: what reads ``reader``. ``is_loss_allowed``: to make another instance of it."""
        if not transcoding.can_convert(source.uid, target.uid):
            raise Unsupported(f"{source.name} is not turned into {target.name}")
        if not is_loss_allowed and not transcoding.is_lossless(source.uid, target.uid):
            raise Unsupported(f"{target.name} would lose something")
        self.sop_instance = ""
        """The new UID, where the instance becomes another one."""
        self._reader = reader
        self._source = source
        self._target = target
        self._codecs = codecs
        self._files = files
        self._scratch = scratch
        self._looked: _Looked | None = None
        self._has_begun = False
        self._spool: _Spool | None = None

    async def pieces(self) -> AsyncGenerator[Buffer]:
        """Give the data set in ``target``. Once only. Raises: Unsupported, Malformed."""
        given = self._explicit()
        if not self._target.is_encapsulated and self._target != EXPLICIT_LE:
            given = self._rewritten(given)
        async with aclosing(given) as pieces:
            async for piece in pieces:
                yield piece

    async def has_pixels(self) -> bool:
        """Whether there is pixel data at all. Raises: as ``begin``."""
        if self._looked is None:
            self._looked = await self._in_file_worker(self._look)
        return self._looked.image is not None

    async def begin(self) -> None:
        """Do what can be done before the first piece is given, which tells most of what is wrong.

        Raises: Unsupported, Malformed.
        """
        if self._has_begun:
            return
        self._has_begun = True
        has_pixels = await self.has_pixels()
        if not self._target.is_encapsulated:
            return
        if not has_pixels or self._looked is None or self._looked.image is None:
            raise Unsupported("it has no pixel data to compress")
        image = self._looked.image
        self._spool = _Spool(await self._in_file_worker(self._scratch))
        try:
            await self._fill(self._spool, image)
        except BaseException:
            self.close()
            raise
        if image.conversion.is_lossy:
            self.sop_instance = transcoding.new_uid()

    @property
    def size(self) -> int:
        """Bytes that will be given, roughly; known once it has begun."""
        if self._looked is None:
            return 0
        if (image := self._looked.image) is None:
            return self._reader.size
        if self._spool is not None:
            return self._spool.scratch.size
        return image.frames.count * image.conversion.made.size

    @property
    def native_size(self) -> int:
        """Bytes of the pixel data as it lies in the source; known once it has begun."""
        image = self._looked and self._looked.image
        return image.frames.end - image.frames.start if image else 0

    def close(self) -> None:
        """Let go of what was put aside."""
        if self._spool is not None:
            self._spool.scratch.close()

    def _look(self) -> "_Looked":
        """Read what the data set says of its pixels."""
        walk = Walk(self._reader, self._source)
        try:
            found = subject.describe(walk, self._source)
        except NotFound:
            return _Looked(walk, None)
        frame_map = frames.locate(walk, self._source)
        if frame_map.is_video:
            raise Unsupported("a video is one stream and is not turned into frames")
        way = transcoding.conversion(found, self._source.uid, self._target.uid)
        return _Looked(walk, _Image(found, frame_map, way))

    async def _explicit(self) -> AsyncGenerator[Buffer]:
        """Give the data set in Explicit VR Little Endian, its pixel data in the target's way."""
        try:
            await self.begin()
            assert self._looked is not None
            walk, image = self._looked.walk, self._looked.image
            end = 0
            if image is not None:
                pixels = image.subject.pixels
                async for piece in self._elements(walk, 0, pixels.start, self._edits(image)):
                    yield piece
                given = self._compressed(self._spool, pixels.tag) if self._spool else None
                async with aclosing(given or self._native(walk, image)) as value:
                    async for piece in value:
                        yield piece
                end = await self._in_file_worker(partial(_behind, walk, pixels))
            async for piece in self._elements(walk, end, walk.reader.size, {}):
                yield piece
        finally:
            self.close()

    def _edits(self, image: "_Image") -> dict[int, bytes | None]:
        made, lies = image.conversion.made, image.frames
        native = lies.count * made.samples * made.bits_allocated / 8
        loss = None
        if self.sop_instance and self._spool is not None:
            loss = Loss(sop_instance=self.sop_instance, ratio=native / max(self._spool.size, 1))
        ratio = native / max(lies.end - lies.start, 1)
        edits = transcoding.edits(image.subject, image.conversion, ratio=ratio, loss=loss)
        if self._spool is not None and not self._spool.has_basic_table:
            edits |= self._spool.extended_tables()
        return edits

    async def _elements(
        self, walk: Walk, start: int, end: int, edits: dict[int, bytes | None]
    ) -> AsyncIterator[Buffer]:
        """Give some of the data set's elements in Explicit VR Little Endian."""
        encoder = Reencoder(_native_of(self._source), EXPLICIT_LE, edits=edits)

        def step(at: int) -> bytes:
            return encoder.feed(walk.reader.window(at, min(at + STEP, end)))

        for at in range(start, end, STEP):
            yield await self._in_file_worker(partial(step, at))
        yield encoder.finish()

    async def _rewritten(self, given: AsyncGenerator[Buffer]) -> AsyncGenerator[Buffer]:
        encoder = Reencoder(EXPLICIT_LE, self._target)
        async with aclosing(given) as pieces:
            async for piece in pieces:
                step = memoryview(piece)
                yield await self._in_file_worker(partial(encoder.feed, step))
        yield await self._in_file_worker(encoder.finish)

    async def _native(self, walk: Walk, image: "_Image") -> AsyncGenerator[Buffer]:
        form = image.conversion.made
        bits = form.samples * form.bits_allocated
        length = (image.frames.count * bits + 7) // 8
        if length > LONGEST:
            raise Unsupported(f"{length} bytes of pixel data are more than can stand uncompressed")
        tag = image.subject.pixels.tag
        vr = _pixel_vr(form).encode()
        yield _HEADER(tag >> 16, tag & 0xFFFF, vr, 0, length + length % 2)
        joined = _Bits(bits) if bits % 8 else None
        async with aclosing(self._converted(walk, image)) as given:
            async for frame in given:
                yield joined.add(frame) if joined else frame
        yield (joined.rest() if joined else b"") + bytes(length % 2)

    async def _compressed(self, spool: "_Spool", tag: int) -> AsyncGenerator[Buffer]:
        table = spool.basic_table() if spool.has_basic_table else b""
        yield _HEADER(tag >> 16, tag & 0xFFFF, b"OB", 0, UNDEFINED) + _item(len(table)) + table
        for at in range(0, spool.scratch.size, STEP):
            yield await self._in_file_worker(partial(spool.scratch.window, at, at + STEP))
        yield _ITEM(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)

    async def _fill(self, spool: "_Spool", image: "_Image") -> None:
        assert self._looked is not None
        async with aclosing(self._converted(self._looked.walk, image)) as given:
            async for frame in given:
                await self._in_file_worker(partial(spool.add, frame))

    async def _converted(self, walk: Walk, image: "_Image") -> AsyncGenerator[Buffer]:
        """Give the converted frames in their order, a few being worked on at a time."""
        count = image.frames.count
        at_once = max(1, min(2 * self._codecs.count, MOST_MEMORY // image.conversion.form.size))
        working: deque[asyncio.Future[Buffer]] = deque()
        try:
            for number in range(1, count + at_once):
                if number <= count:
                    data = await self._in_file_worker(partial(image.frame, walk.reader, number))
                    job = self._codecs.submit(transcoding.converted, data, image.conversion)
                    working.append(asyncio.wrap_future(job))
                if number >= at_once:
                    with _named(number - at_once + 1, count):
                        yield await working.popleft()
        finally:
            for left in working:
                left.add_done_callback(_ignore)
                left.cancel()

    async def _in_file_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._files, work)


@dataclass(slots=True)
class _Image:
    """What is to be converted, and how."""

    subject: Subject
    frames: FrameMap
    conversion: Conversion

    def frame(self, reader: Reader, number: int) -> list[Buffer]:
        """Read a frame, in little endian. Raises: Malformed."""
        try:
            found = self.frames.frame(reader, number)
        except Malformed:
            if not self.frames.is_told:
                raise
            # The offset table has been found to lie.
            self.frames = frames.repaired(self.frames, reader)
            found = self.frames.frame(reader, number)
        return list(frame_bytes.content(reader, found))


@dataclass(frozen=True, slots=True)
class _Looked:
    """A data set that was looked into."""

    walk: Walk
    image: _Image | None


@contextmanager
def _named(number: int, count: int) -> Iterator[None]:
    """Say which of several frames it is that fails."""
    try:
        yield
    except (Malformed, Unsupported) as error:
        if count == 1:
            raise
        raise type(error)(f"frame {number}: {error}") from error


class _Spool:
    """Compressed frames put aside, each as an item of one fragment (PS3.5 A.4)."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.size = 0
        """Bytes of the frames."""
        self._offsets = array("Q")
        self._lengths = array("Q")

    def add(self, frame: Buffer) -> None:
        padding = bytes(len(frame) % 2)
        self._lengths.append(len(frame))
        self.size += len(frame)
        at = self.scratch.write([_item(len(frame) + len(padding)), frame, padding])
        self._offsets.append(at)

    @property
    def has_basic_table(self) -> bool:
        """Whether a Basic Offset Table can tell where they are; else an extended one must."""
        return self._offsets[-1] <= LAST_OFFSET

    def basic_table(self) -> bytes:
        return np.array(self._offsets, "<u4").tobytes()

    def extended_tables(self) -> dict[int, bytes | None]:
        """The Extended Offset Table (PS3.3 C.7.6.3.1.8)."""
        found: dict[int, bytes | None] = {}
        for tag, numbers in zip(EXTENDED_TABLES, (self._offsets, self._lengths), strict=True):
            value = np.array(numbers, "<u8").tobytes()
            found[tag] = _HEADER(tag >> 16, tag & 0xFFFF, b"OV", 0, len(value)) + value
        return found


class _Bits:
    """Frames whose bits do not fill bytes: the next one begins where the last one ended."""

    def __init__(self, size: int) -> None:
        self._size = size  # bits of a frame
        self._over = np.zeros(0, np.uint8)

    def add(self, frame: Buffer) -> bytes:
        own = np.unpackbits(np.frombuffer(frame, np.uint8), count=self._size, bitorder="little")
        bits = np.concatenate((self._over, own))
        whole = len(bits) & ~7
        self._over = bits[whole:]
        return np.packbits(bits[:whole], bitorder="little").tobytes()

    def rest(self) -> bytes:
        return np.packbits(self._over, bitorder="little").tobytes()


def _item(length: int) -> bytes:
    return _ITEM(ITEM >> 16, ITEM & 0xFFFF, length)


def _pixel_vr(form: PixelFormat) -> str:
    if form.is_float:
        return "OF" if form.bits_allocated == 32 else "OD"
    return "OB" if form.bits_allocated <= 8 else "OW"


def _behind(walk: Walk, pixels: Place) -> int:
    """Give where what follows the pixel data begins."""
    return walk.end_of(pixels) + (8 if pixels.length is None else 0)


def _native_of(syntax: TransferSyntax) -> TransferSyntax:
    """How the elements of an (inflated) data set are encoded."""
    if syntax.is_implicit:
        return IMPLICIT_LE
    return EXPLICIT_LE if syntax.is_little_endian else EXPLICIT_BE


def _ignore(left: "asyncio.Future[Buffer]") -> None:
    if not left.cancelled():
        left.exception()
