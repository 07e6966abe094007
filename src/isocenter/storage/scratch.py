"""Bytes that are needed for a while only, and too many for memory: a file that nobody sees."""

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from isocenter.errors import Unavailable
from isocenter.storage.blobs import NO_ROOM, Buffer, StorageFull


class FileScratch:
    """A file at ``path``, gone when it is closed or the process ends."""

    def __init__(self, path: str) -> None:
        """Raises: OSError."""
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o600)
        if os.name != "nt":  # there, a file that is open cannot be removed: ``close`` does it
            os.unlink(path)
        self.size = 0

    def write(self, parts: Sequence[Buffer]) -> int:
        """Append ``parts``; return where they begin. Raises: StorageFull, Unavailable."""
        start = self.size
        for part in parts:
            view = memoryview(part)
            while view:
                try:
                    written = os.write(self._descriptor, view)
                except OSError as error:
                    kind = StorageFull if error.errno in NO_ROOM else Unavailable
                    raise kind(f"storage: {error.strerror or error}") from error
                self.size += written
                view = view[written:]
        return start

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive), mapped. Raises: Unavailable."""
        end = min(end, self.size)
        if start >= end:
            return memoryview(b"")
        if self._descriptor < 0:  # of -1, memory without a file would be mapped
            raise Unavailable("storage: scratch file is closed")
        aligned = start - start % mmap.ALLOCATIONGRANULARITY
        try:
            mapped = mmap.mmap(
                self._descriptor, end - aligned, offset=aligned, access=mmap.ACCESS_READ
            )
        except (OSError, ValueError) as error:
            raise Unavailable(f"storage: scratch file cannot be read: {error}") from error
        return memoryview(mapped)[start - aligned :]

    def file(self) -> BinaryIO:
        """Return it as a file of its own to read, from its beginning. Raises: Unavailable."""
        try:
            descriptor = os.dup(self._descriptor)
            os.lseek(descriptor, 0, os.SEEK_SET)
            return os.fdopen(descriptor, "rb")
        except OSError as error:
            raise Unavailable(f"storage: scratch file cannot be read: {error}") from error

    def close(self) -> None:
        """Let go of it. Closing again is no error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(self._path)
