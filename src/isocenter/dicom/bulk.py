"""Values that are elsewhere: how many bytes they have, and how to come by these.

A value is little endian, as it is told on the web (PS3.18 8.7.3.3.1), and is never held as a whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from struct import Struct, pack
from typing import Final

from isocenter.dicom.layout import ITEM, UNDEFINED, Buffer
from isocenter.dicom.values import WORD_SIZES, swap
from isocenter.errors import Malformed

LARGEST: Final = UNDEFINED - 1
"""Bytes of a value that is not encapsulated, and of a fragment."""
ITEM_TAG: Final = pack("<HH", ITEM >> 16, ITEM & 0xFFFF)
_ITEM: Final = Struct("<4sI")


@dataclass(frozen=True, slots=True)
class Bulk:
    """A value that comes in pieces."""

    size: int
    """In bytes."""
    pieces: Callable[[], Iterable[Buffer]]
    """Gives them from the first one on, whenever asked. May wait: for workers, not event loops."""
    is_encapsulated: bool = False
    """The value consists of items, offset table first, without a delimiter (PS3.5 A.4)."""


def whole(value: Buffer) -> Bulk:
    """Give a value that is in memory. It counts as encapsulated if it is built like that."""
    return Bulk(len(value), lambda: (value,), is_encapsulated=is_encapsulated(value))


def is_encapsulated(value: Buffer) -> bool:
    """Tell whether a value consists of items with lengths, to its last byte (PS3.5 A.4)."""
    at, end = 0, len(value)
    while at + 8 <= end:
        tag, length = _ITEM.unpack_from(value, at)
        if tag != ITEM_TAG:
            return False
        at += 8 + length
    return at == end and end > 0


def encapsulate(frames: Sequence[Bulk]) -> Bulk:
    """Give compressed frames as an encapsulated value: a fragment each (PS3.5 A.4).

    The offset table is written where its numbers hold all offsets, and left empty otherwise.
    Raises: Malformed, for a frame that does not fit into one fragment.
    """
    sizes = [frame.size + frame.size % 2 for frame in frames]
    if any(size > LARGEST for size in sizes):
        raise Malformed("a frame is too large for a fragment")
    offsets = [0, *accumulate(8 + size for size in sizes)][: len(sizes)]
    fits = bool(offsets) and offsets[-1] <= LARGEST
    table = pack(f"<{len(frames)}I", *offsets) if fits else b""
    total = 8 + len(table) + sum(8 + size for size in sizes)
    return Bulk(total, partial(_items, table, frames), is_encapsulated=True)


def _items(table: bytes, frames: Sequence[Bulk]) -> Iterator[Buffer]:
    yield _ITEM.pack(ITEM_TAG, len(table)) + table
    for frame in frames:
        yield _ITEM.pack(ITEM_TAG, frame.size + frame.size % 2)
        yield from read(frame)
        if frame.size % 2:
            yield b"\0"


def read(bulk: Bulk) -> Iterator[Buffer]:
    """Give a value's pieces. Raises: Malformed, in the end, if its size is not what was said."""
    left = bulk.size
    for piece in bulk.pieces():
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise Malformed(f"bulk data does not have the {bulk.size} bytes it was said to have")


def swapped(pieces: Iterable[Buffer], vr: str) -> Iterator[bytes]:
    """Reverse the byte order of a value that comes in pieces."""
    word = WORD_SIZES.get(vr, 1)
    carry = b""
    for piece in pieces:
        carry += piece
        size = len(carry) - len(carry) % word
        yield swap(carry[:size], vr)
        carry = carry[size:]
    if carry:
        yield carry
