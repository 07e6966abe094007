"""Files that were made of blobs for whoever asks again: videos, which may be of any size.

They can be made again and may vanish at any moment; those that nobody used for the longest time go
first. They lie in folders, by what they were made of, so that they go with it.
"""

import hashlib
import itertools
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from isocenter.errors import Unavailable
from isocenter.storage.copies import ABANDONED, KEPT_WHEN_FULL, USED_AGAIN
from isocenter.storage.files import FileBlob

log = logging.getLogger(__name__)


class MadeFile:
    """A file that was made. Blocks."""

    def __init__(self, path: Path) -> None:
        """Raises: OSError."""
        self._blob = FileBlob(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        self.size = self._blob.size
        """In bytes."""

    def window(self, start: int, end: int) -> memoryview:
        """Give bytes ``start`` to ``end`` (exclusive). Raises: Unavailable."""
        return self._blob.window(start, end)

    def __del__(self) -> None:
        """Let go of it: several answers may read it, or none."""
        if hasattr(self, "_blob"):
            self._blob.close()


class MadeFiles:
    """Files below ``folder``, of up to ``limit`` bytes together. Blocks."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        """0: none are kept, and none can be made."""
        self._drafts = itertools.count()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are kept. Blocks."""
        return sum(size for _, size, _ in self._all())

    def open(self, group: str, name: str) -> MadeFile | None:
        """Open a file, None where there is none."""
        path = self._path(group, name)
        try:
            file = MadeFile(path)
        except OSError:
            return None
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > USED_AGAIN:
                os.utime(path)
        return file

    def draft(self, group: str) -> Path:
        """Give a path at which a file may be made. Raises: Unavailable."""
        folder = self.folder / _hashed(group)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"storage: {error.strerror or error}") from error
        return folder / f"{os.getpid()}-{next(self._drafts)}.part"

    def keep(self, draft: Path, group: str, name: str) -> None:
        """Give a file that was made its place. Raises: Unavailable.

        What was used for the longest time goes, if there is too much.
        """
        try:
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(draft, self._path(group, name))
        except OSError as error:
            raise Unavailable(f"storage: {error.strerror or error}") from error
        self._evict()

    def discard(self, draft: Path) -> None:
        """Remove what was not finished."""
        with suppress(OSError):
            draft.unlink()

    def forget(self, group: str) -> None:
        """Remove all that was made of a group."""
        shutil.rmtree(self.folder / _hashed(group), ignore_errors=True)

    def _path(self, group: str, name: str) -> Path:
        return self.folder / _hashed(group) / _hashed(name)

    def _evict(self) -> None:
        with self._lock:
            found = sorted(self._all())
            total = sum(size for _, size, _ in found)
            is_full = total > self.limit
            removed = 0
            for used, size, path in found[:-1]:
                is_abandoned = path.suffix == ".part"
                if is_abandoned and time.time() - used < ABANDONED:
                    continue
                if not is_abandoned and (not is_full or total <= self.limit * KEPT_WHEN_FULL):
                    continue
                with suppress(OSError):
                    path.unlink()
                    total -= size
                    removed += 1
        if removed:
            log.info("removed made files", extra={"files": removed, "bytes_left": total})

    def _all(self) -> Iterator[tuple[float, int, Path]]:
        """When each was last used, its size, and where it is."""
        with suppress(OSError):
            for path in self.folder.glob("*/*"):
                with suppress(OSError):
                    stat = path.stat()
                    yield stat.st_mtime, stat.st_size, path


def _hashed(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=20).hexdigest()
