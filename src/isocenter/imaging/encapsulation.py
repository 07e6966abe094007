"""Which fragments of encapsulated pixel data make up which frame (PS3.5 A.4).

Offsets are in bytes from the start of the data set. Nothing of a fragment is read but, where
nothing else tells frames apart, its first or last bytes.
"""

from array import array
from collections.abc import Iterator
from itertools import pairwise
from struct import Struct
from typing import Final

from isocenter.dicom.layout import DEFAULT_LIMITS, ITEM, SEQUENCE_END, UNDEFINED, Limits
from isocenter.dicom.windowed import Reader
from isocenter.errors import Malformed

FAR: Final = 1 << 12
"""A header further off than this is fetched alone."""
NEAR_FETCH: Final = 1 << 16
ITEM_HEADER: Final = Struct("<HHI")
ITEM_START: Final = b"\xfe\xff\0\xe0"
HEADER_SIZE: Final = 8
TAIL: Final = 10
"""Bytes at a fragment's end in which an end marker is looked for: padding may follow it."""
END_MARKER: Final = b"\xff\xd9"
"""Of JPEG, JPEG-LS and JPEG 2000 alike."""
START_MARKERS: Final = (
    b"\xff\xd8\xff",  # JPEG, JPEG-LS: start of image, and another marker
    b"\xff\x4f\xff\x51",  # JPEG 2000, HTJ2K: start of codestream, size
    b"\xff\x0a",  # JPEG XL codestream
    b"\0\0\0\x0cJXL ",  # JPEG XL container
)
LONGEST_MARKER: Final = max(map(len, START_MARKERS))


def items(
    reader: Reader, at: int, *, limits: Limits = DEFAULT_LIMITS, until: int | None = None
) -> Iterator[tuple[int, int]]:
    """Give where each item begins, and the length of its content; at the end, where that is.

    The last one given is the delimiter, or ``until``, with a length of -1. Raises: Malformed.
    """
    unpack = ITEM_HEADER.unpack_from
    end = reader.size if until is None else until
    view, start = memoryview(b""), 0
    length = NEAR_FETCH
    for _ in range(limits.fragments + 1):
        if at == until:
            break
        local = at - start
        if local + HEADER_SIZE > len(view):
            size = HEADER_SIZE if length > FAR else NEAR_FETCH
            view, start, local = reader.window(at, min(at + size, end)), at, 0
            if len(view) < HEADER_SIZE:
                raise Malformed("pixel data is cut short", offset=at)
        group, element, length = unpack(view, local)
        tag = group << 16 | element
        if tag == SEQUENCE_END and until is None:
            break
        if tag != ITEM or length == UNDEFINED or at + HEADER_SIZE + length > end:
            raise Malformed("a fragment of pixel data was expected", offset=at)
        yield at, length
        at += HEADER_SIZE + length
    else:
        raise Malformed(f"pixel data of more than {limits.fragments} fragments", offset=at)
    yield at, -1


def by_table(reader: Reader, first: int, table: "array[int]", frames: int) -> "array[int] | None":
    """Give where the first item of each frame begins and, last, where all end.

    None, where ``table`` cannot be true; what it says of the frames in the middle shows when they
    are read. ``first``: where the item begins from which its offsets count.
    """
    if len(table) != frames or table[0] != 0 or first + table[-1] >= reader.size:
        return None
    if any(this >= following for this, following in pairwise(table)):
        return None  # zeros, no order, or beyond what 32 bits can tell
    try:
        *_, (end, _) = items(reader, first + table[-1])
    except Malformed:
        return None
    starts = array("Q", (first + offset for offset in table))
    starts.append(end)
    return starts


def by_pass(
    reader: Reader, first: int, frames: int, *, limits: Limits = DEFAULT_LIMITS
) -> "array[int]":
    """Give the same by one pass over the headers of the fragments. Raises: Malformed."""
    starts = array("Q", (at for at, _ in items(reader, first, limits=limits)))
    fragments = len(starts) - 1
    if fragments == frames:
        return starts
    if frames == 1 and fragments:
        return array("Q", (starts[0], starts[-1]))
    if fragments > frames:
        grouped = _by_markers(reader, starts)
        if len(grouped) - 1 == frames:
            return grouped
        grouped = _by_ends(reader, starts)
        if len(grouped) - 1 == frames:
            return grouped
    raise Malformed(f"{frames} frames in {fragments} fragments, and no telling which", offset=first)


def _by_markers(reader: Reader, starts: "array[int]") -> "array[int]":
    """Where those fragments begin that begin as an image does: all as the first of them."""
    found = array("Q")
    marker = b""
    for start, end in pairwise(starts):
        content = start + HEADER_SIZE
        head = bytes(reader.window(content, min(content + LONGEST_MARKER, end)))
        if not found:
            marker = next((each for each in START_MARKERS if head.startswith(each)), b"")
            if not marker:
                break
        if head.startswith(marker):
            found.append(start)
    found.append(starts[-1])
    return found


def _by_ends(reader: Reader, starts: "array[int]") -> "array[int]":
    """Where those fragments begin that follow one which ends as an image does."""
    found = array("Q", starts[:1])
    for content, end in pairwise(starts):
        tail = reader.window(max(content + HEADER_SIZE, end - TAIL), end)
        if END_MARKER in bytes(tail):
            found.append(end)
    return found
