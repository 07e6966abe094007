"""Ready-made copies: what can be made again from blobs, kept because making it takes time.

A copy may vanish at any moment and is never synced: what a power cut left half is noticed when it
is opened. Several processes may share a folder of copies.
"""

import itertools
import logging
import os
import re
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import Final

from isocenter.errors import IsocenterError
from isocenter.storage.files import FileBlob

log = logging.getLogger(__name__)

MAGIC: Final = b"isocopy1"
HEADER: Final = Struct("<8sIQ")
"""Magic, CRC of the content, its size in bytes."""
NAME: Final = re.compile(r"[0-9a-f]{32,64}")
WINDOW: Final = 1 << 20
USED_AGAIN: Final = 3600.0
"""Seconds after which it is noted that a copy is still used."""
KEPT_WHEN_FULL: Final = 0.9
"""The part of the limit that is left, the longest unused going first."""
ABANDONED: Final = 3600.0
"""Seconds after which an unfinished copy is nobody's."""


class Copy:
    """A copy that is whole. Blocks."""

    def __init__(self, blob: FileBlob) -> None:
        self._blob = blob
        self.size = blob.size - HEADER.size
        """In bytes."""

    def read(self, start: int, end: int) -> bytes:
        """Give bytes ``start`` to ``end`` (exclusive). Raises: Unavailable."""
        return bytes(self._blob.window(HEADER.size + start, HEADER.size + end))

    def close(self) -> None:
        """Let go of it."""
        self._blob.close()

    def __del__(self) -> None:
        self.close()


class CopyStore:
    """Copies as files below ``folder``, of up to ``limit`` bytes together. Blocks; never raises."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._drafts = itertools.count()
        self._total: int | None = None  # bytes, as far as we know
        self._lock = threading.Lock()  # of ``_total``
        self._evicting = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept, as far as we know. Blocks, the first time."""
        self._count()
        return self._total or 0

    def open(self, name: str) -> Copy | None:
        """Open a copy, None where there is none that is whole."""
        path = self._path(name)
        try:
            blob = FileBlob(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        except OSError:
            return None
        try:
            if not _is_whole(blob):
                blob.close()
                self.remove(name)
                return None
            if time.time() - os.stat(path).st_mtime > USED_AGAIN:
                os.utime(path)
        except (OSError, IsocenterError):
            blob.close()
            return None
        return Copy(blob)

    def write(self, name: str, parts: Sequence[bytes]) -> None:
        """Keep a copy in place of the one there was, if there is room."""
        size = HEADER.size + sum(map(len, parts))
        if size > self._limit:
            return
        try:
            self._count()
            self._write(self._path(name), parts)
        except OSError as error:
            log.warning("a ready-made copy was not kept", extra={"reason": error.strerror})
            return
        with self._lock:
            self._total = (self._total or 0) + size
            is_full = self._total > self._limit
        if is_full and self._evicting.acquire(blocking=False):
            try:
                self._evict()
            finally:
                self._evicting.release()

    def remove(self, name: str) -> None:
        """Remove a copy, if it is there."""
        with suppress(OSError):
            os.unlink(self._path(name))

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ValueError(name)
        return self._folder / name[:2] / name[2:]

    def _write(self, path: Path, parts: Sequence[bytes]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{os.getpid()}-{next(self._drafts)}.part")
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        try:
            with draft.open("xb") as file:
                file.write(HEADER.pack(MAGIC, crc, sum(map(len, parts))))
                file.writelines(parts)
            os.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise

    def _count(self) -> None:
        """Learn how much there is, once."""
        with self._lock:
            if self._total is None:
                self._total = sum(size for _, size, _ in self._all())

    def _evict(self) -> None:
        """Remove what was not used for the longest time, and what was never finished."""
        found = sorted(self._all())
        total = sum(size for _, size, _ in found)
        removed = 0
        for used, size, path in found:
            is_abandoned = path.suffix == ".part" and time.time() - used > ABANDONED
            if total <= self._limit * KEPT_WHEN_FULL and not is_abandoned:
                continue
            with suppress(OSError):
                path.unlink()
                total -= size
                removed += 1
        with self._lock:
            self._total = total
        log.info("removed ready-made copies", extra={"copies": removed, "bytes_left": total})

    def _all(self) -> Iterator[tuple[float, int, Path]]:
        """When each was last used, its size, and where it is."""
        for folder in _entries(self._folder):
            for entry in _entries(folder):
                with suppress(OSError):
                    stat = entry.stat()
                    yield stat.st_mtime, stat.st_size, Path(entry)


def _is_whole(blob: FileBlob) -> bool:
    if blob.size < HEADER.size:
        return False
    magic, expected, size = HEADER.unpack(blob.window(0, HEADER.size))
    if magic != MAGIC or size != blob.size - HEADER.size:
        return False
    crc = 0
    for start in range(HEADER.size, blob.size, WINDOW):
        crc = zlib.crc32(blob.window(start, start + WINDOW), crc)
    return bool(crc == expected)


def _entries(folder: "Path | os.DirEntry[str]") -> Iterable["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return ()
