"""A zip archive of files whose sizes are known, written in one pass (APPNOTE.TXT 6.3.10).

Files are stored, not compressed: images hardly shrink, and so the length of the whole is known
before. It does no input or output.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

SUMMED_AFTER: Final = 8 << 20
"""Bytes above which a file's checksum follows it: below, it is in memory before it is written.

Readers that take an archive as it comes, without its directory, do without the files above it.
"""

_LOCAL: Final = Struct("<IHHHHHIIIHH").pack
_DESCRIPTOR: Final = Struct("<III").pack
_LONG_DESCRIPTOR: Final = Struct("<IIQQ").pack
_ENTRY: Final = Struct("<IHHHHHHIIIHHHHHII").pack
_END: Final = Struct("<IHHHHIIH").pack
_LONG_END: Final = Struct("<IQHHIIQQQQ").pack
_LOCATOR: Final = Struct("<IIQI").pack

_LOCAL_SIZE: Final = 30
_ENTRY_SIZE: Final = 46
_END_SIZE: Final = 22
_LONG_END_SIZE: Final = 56 + 20

_PLAIN_VERSION: Final = 20
_LONG_VERSION: Final = 45
_UNIX: Final = 3 << 8
_READABLE: Final = 0o100644 << 16
_FOLLOWS: Final = 1 << 3  # general purpose bit: checksum and sizes stand behind the file
_MIDNIGHT, _FIRST_DAY = 0, 0x21  # 1 January 1980: the same bytes whenever asked
_MOST_SHORT: Final = 0xFFFF
_MOST_LONG: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class File:
    """A file that is to be in it."""

    name: str
    """ASCII, with ``/`` between folders."""
    size: int

    @property
    def is_long(self) -> bool:
        """Its size wants 64 bits."""
        return self.size >= _MOST_LONG

    @property
    def is_summed_after(self) -> bool:
        """Its checksum is needed only behind it."""
        return self.size > SUMMED_AFTER


class Layout:
    """Where everything is: what stands around the files, and how long it all is."""

    def __init__(self, files: Sequence[File]) -> None:
        self._files = files
        self._offsets: list[int] = []
        at = 0
        for file in files:
            self._offsets.append(at)
            at += _LOCAL_SIZE + len(file.name) + (20 if file.is_long else 0) + file.size
            at += (24 if file.is_long else 16) * file.is_summed_after
        self._directory = at
        self._directory_size = sum(map(self._entry_size, range(len(files))))
        is_long = self._ends_long()
        self.size = at + self._directory_size + _END_SIZE + (_LONG_END_SIZE if is_long else 0)
        """Bytes of the whole."""

    def before(self, number: int, checksum: int) -> bytes:
        """What stands before a file; ``checksum`` does not count where it follows."""
        file = self._files[number]
        name = file.name.encode("ascii")
        is_after, is_long = file.is_summed_after, file.is_long
        size = _MOST_LONG if is_long else 0 if is_after else file.size
        sizes = (0 if is_after else file.size).to_bytes(8, "little") * 2
        extra = b"\x01\0\x10\0" + sizes if is_long else b""
        head = _LOCAL(
            0x04034B50,
            _LONG_VERSION if is_long else _PLAIN_VERSION,
            _FOLLOWS if is_after else 0,
            0,
            _MIDNIGHT,
            _FIRST_DAY,
            0 if is_after else checksum,
            size,
            size,
            len(name),
            len(extra),
        )
        return head + name + extra

    def behind(self, number: int, checksum: int) -> bytes:
        """What stands behind a file; often nothing."""
        file = self._files[number]
        if not file.is_summed_after:
            return b""
        if file.is_long:
            return _LONG_DESCRIPTOR(0x08074B50, checksum, file.size, file.size)
        return _DESCRIPTOR(0x08074B50, checksum, file.size) + file.size.to_bytes(4, "little")

    def directory(self, checksums: Iterable[int]) -> Iterator[bytes]:
        """What stands behind all files, whose ``checksums`` are given in their order."""
        for number, checksum in enumerate(checksums):
            yield self._entry(number, checksum)
        yield self._end()

    def _entry(self, number: int, checksum: int) -> bytes:
        file, offset = self._files[number], self._offsets[number]
        name = file.name.encode("ascii")
        extra = self._extra(number)
        size = _MOST_LONG if file.is_long else file.size
        version = _LONG_VERSION if extra else _PLAIN_VERSION
        head = _ENTRY(
            0x02014B50,
            _UNIX | version,
            version,
            _FOLLOWS if file.is_summed_after else 0,
            0,
            _MIDNIGHT,
            _FIRST_DAY,
            checksum,
            size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            _READABLE,
            min(offset, _MOST_LONG),
        )
        return head + name + extra

    def _extra(self, number: int) -> bytes:
        file, offset = self._files[number], self._offsets[number]
        longs = [file.size, file.size] if file.is_long else []
        longs += [offset] if offset >= _MOST_LONG else []
        if not longs:
            return b""
        field = b"".join(each.to_bytes(8, "little") for each in longs)
        return b"\x01\0" + len(field).to_bytes(2, "little") + field

    def _entry_size(self, number: int) -> int:
        return _ENTRY_SIZE + len(self._files[number].name) + len(self._extra(number))

    def _ends_long(self) -> bool:
        return (
            len(self._files) >= _MOST_SHORT
            or self._directory >= _MOST_LONG
            or self._directory_size >= _MOST_LONG
        )

    def _end(self) -> bytes:
        count, size, at = len(self._files), self._directory_size, self._directory
        shown = min(count, _MOST_SHORT)
        end = _END(0x06054B50, 0, 0, shown, shown, min(size, _MOST_LONG), min(at, _MOST_LONG), 0)
        if not self._ends_long():
            return end
        version = _UNIX | _LONG_VERSION
        long_end = _LONG_END(0x06064B50, 44, version, _LONG_VERSION, 0, 0, count, count, size, at)
        return long_end + _LOCATOR(0x07064B50, 0, at + size, 1) + end
