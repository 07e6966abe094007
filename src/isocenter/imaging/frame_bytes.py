"""The bytes of a frame: piece by piece, little endian, from its first bit on (PS3.5 8.1, 8.2)."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isocenter.dicom.layout import Buffer
from isocenter.dicom.values import swap
from isocenter.dicom.windowed import Reader

STREAM: Final = 1 << 20
"""Bytes of a frame that are in memory at a time."""
_SWAPPED: Final = {2: "OW", 4: "OL", 8: "OV"}
"""A VR for each size of words."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or the whole of the pixel data: these spans, one after another."""

    spans: "array[int]"
    """Start and end of each in turn, in bytes from the start of the (inflated) data set."""
    size: int
    """Bytes of the frame as it is given."""
    shift: int = 0
    """Bits of the first byte that belong to the frame before: it is given without them."""
    bits: int = 0
    """How many there are, where they do not fill bytes of their own; else 0."""
    word: int = 1
    """Bytes that change places, for the frame to be little endian."""
    words_from: int = 0
    """Where the first word begins; a frame may begin amid one."""

    @property
    def is_plain(self) -> bool:
        """It is given just as it lies."""
        return self.word == 1 and not self.bits

    @property
    def is_single(self) -> bool:
        """It lies in one piece."""
        return len(self.spans) == 2


def cut(frame: Frame, size: int) -> Frame:
    """Give a frame of a single span without what is beyond ``size``."""
    if size >= frame.size or not frame.is_single:
        return frame
    start = frame.spans[0]
    return Frame(array("Q", (start, start + size)), size)


def content(
    reader: Reader, frame: Frame, start: int = 0, end: int | None = None
) -> Iterator[Buffer]:
    """Give bytes ``start`` to ``end`` (exclusive) of a frame, in pieces. Raises: Malformed."""
    end = frame.size if end is None else min(end, frame.size)
    if frame.is_plain:
        yield from _plain(reader, frame, start, end)
        return
    for first in range(start, end, STREAM):
        last = min(first + STREAM, end)
        if frame.bits:
            yield _realigned(reader, frame, first, last)
        else:
            yield _little_endian(reader, frame, first, last)


def _plain(reader: Reader, frame: Frame, start: int, end: int) -> Iterator[Buffer]:
    before = 0  # bytes of the spans before
    bounds = iter(frame.spans)
    for first, last in zip(bounds, bounds, strict=True):
        until = min(last, first + end - before)
        for at in range(first + max(0, start - before), until, STREAM):
            yield reader.window(at, min(at + STREAM, until))
        before += last - first


def _realigned(reader: Reader, frame: Frame, first: int, last: int) -> bytes:
    """Move bits so that the frame begins with the lowest of its first byte."""
    lying = _little_endian(reader, frame, first, last + bool(frame.shift))
    bits = int.from_bytes(lying, "little") >> frame.shift
    wanted = min(8 * (last - first), frame.bits - 8 * first)
    return (bits & (1 << wanted) - 1).to_bytes(last - first, "little")


def _little_endian(reader: Reader, frame: Frame, first: int, last: int) -> Buffer:
    base, limit = frame.spans
    start, end = base + first, min(base + last, limit)
    if frame.word == 1:
        return reader.window(start, end)
    whole = start - (start - frame.words_from) % frame.word
    beyond = min(end + -(end - frame.words_from) % frame.word, reader.size)
    swapped = swap(reader.window(whole, beyond), _SWAPPED[frame.word])
    return memoryview(swapped)[start - whole : end - whole]
