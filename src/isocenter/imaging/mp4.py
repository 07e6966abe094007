"""Whether an MP4 file can be played as it is: in order, and of a coding that browsers know.

Only boxes are looked at that say so. Source: ISO/IEC 14496-12 4.2, 8.3 to 8.5; ISO/IEC 14496-15.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final, Protocol

from isocenter.errors import Malformed

LARGEST_INDEX: Final = 64 << 20
"""Bytes of a ``moov`` box that are looked at."""
MOST_BOXES: Final = 10_000
"""At the top of a file."""

_BOX: Final = Struct(">I4s")
_LARGE: Final = Struct(">Q")
_SIZES: Final = Struct(">HH")
_SIZES_AT: Final = 24
"""Of width and height in a sample entry, behind its header (ISO/IEC 14496-12 12.1.3)."""
_CONFIGURATION_AT: Final = 78
"""Of the boxes in such an entry."""
# What browsers decode: 8-bit 4:2:0 of H.264 (Baseline, Main, Extended, High), Main and Main 10 of
# HEVC. Other profiles are not of DICOM's transfer syntaxes either (PS3.5 8.2.7 to 8.2.11).
_AVC_PROFILES: Final = frozenset({66, 77, 88, 100})
_HEVC_PROFILES: Final = frozenset({1, 2})


class File(Protocol):
    """What is read from."""

    size: int

    def read(self, size: int = -1) -> bytes:
        """Give up to ``size`` bytes."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to ``offset``."""


@dataclass(frozen=True, slots=True)
class Playable:
    """An MP4 file that can be handed out as it is."""

    size: int
    """Bytes, without what was added behind to make the length even."""
    columns: int
    rows: int


def playable(file: File) -> Playable | None:
    """Look whether a player can begin with the file, and needs nothing of it changed.

    Raises: Malformed.
    """
    index = b""
    kinds: list[bytes] = []
    end = 0
    for kind, start, stop in _top(file):
        kinds.append(kind)
        end = stop
        if kind == b"moov":
            if stop - start > LARGEST_INDEX or index:
                return None
            file.seek(start)
            index = file.read(stop - start)
    is_in_order = b"mdat" in kinds and b"moov" in kinds[: kinds.index(b"mdat")]
    if kinds[:1] != [b"ftyp"] or not is_in_order or b"moof" in kinds:
        return None
    sizes = _sizes(memoryview(index))
    return Playable(end, *sizes) if sizes else None


def _top(file: File) -> Iterator[tuple[bytes, int, int]]:
    """Give the boxes of a file, and where their content begins and ends."""
    at = 0
    for _ in range(MOST_BOXES):
        file.seek(at)
        head = file.read(_BOX.size + _LARGE.size)
        if len(head) < _BOX.size:
            return
        size, kind = _BOX.unpack_from(head)
        start = at + _BOX.size
        if size == 1 and len(head) == _BOX.size + _LARGE.size:
            (size,) = _LARGE.unpack_from(head, _BOX.size)
            start += _LARGE.size
        elif size == 0 and kind != bytes(4):  # to the end of the file
            size = file.size - at
        if size < start - at or at + size > file.size:
            if not any(head):  # padding
                return
            raise Malformed("an MP4 file is cut short", offset=at)
        yield bytes(kind), start, at + size
        at += size
    raise Malformed("an MP4 file of too many boxes")


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Give the boxes within one. Raises: Malformed."""
    at = 0
    while len(data) - at >= _BOX.size:
        size, kind = _BOX.unpack_from(data, at)
        if not _BOX.size <= size <= len(data) - at:
            raise Malformed("a box of an MP4 file is cut short")
        yield bytes(kind), data[at + _BOX.size : at + size]
        at += size


def _within(data: memoryview, *path: bytes) -> memoryview | None:
    """Give the content of the box at ``path``, the first of its kind at each step."""
    for name in path:
        found = next((content for kind, content in _boxes(data) if kind == name), None)
        if found is None:
            return None
        data = found
    return data


def _sizes(index: memoryview) -> tuple[int, int] | None:
    """Give columns and rows of the one video there is, if browsers can play it."""
    videos = []
    for kind, track in _boxes(index):
        if kind != b"trak":
            continue
        handler = _within(track, b"mdia", b"hdlr")
        if handler is not None and bytes(handler[8:12]) == b"vide":
            videos.append(_within(track, b"mdia", b"minf", b"stbl", b"stsd"))
    if len(videos) != 1 or videos[0] is None:
        return None
    entries = list(_boxes(videos[0][8:]))
    if len(entries) != 1 or not _is_known(*entries[0]):
        return None
    columns, rows = _SIZES.unpack_from(entries[0][1], _SIZES_AT)
    return columns, rows


def _is_known(coding: bytes, entry: memoryview) -> bool:
    if coding == b"avc1":
        told = _within(entry[_CONFIGURATION_AT:], b"avcC")
        return told is not None and len(told) > 1 and told[1] in _AVC_PROFILES
    if coding == b"hvc1":
        told = _within(entry[_CONFIGURATION_AT:], b"hvcC")
        return told is not None and len(told) > 1 and told[1] & 0x1F in _HEVC_PROFILES
    return False
