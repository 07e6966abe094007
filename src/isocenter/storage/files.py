"""The blob store on a file system: written aside, synced, renamed into place."""

import errno
import itertools
import mmap
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from isocenter.errors import Conflict, NotFound, Unavailable
from isocenter.storage.blobs import NO_ROOM, Buffer, StorageFull
from isocenter.storage.scratch import FileScratch

KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{28}/[0-9a-f]{40}")
LANES: Final = 16
"""Folders that drafts are begun in by turns: a file system makes one file at a time in each."""
JOURNAL_SIZE: Final = 1 << 20
SETTLED: Final = "-"
"""On the journal, before a key that the index knows by now."""
MOST_UNSETTLED: Final = 4096
MOST_FOLDERS: Final = 100_000
WRITEBACK_STEP: Final = 1 << 17
BUFFERS_A_CALL: Final = min(os.sysconf("SC_IOV_MAX"), 512) if hasattr(os, "sysconf") else 16
SMALL_WINDOW: Final = 1 << 16 if hasattr(os, "pread") else 0
"""Up to this size a window is read rather than mapped: that is quicker."""
NOT_AT_ONCE: Final = getattr(os, "RWF_NOWAIT", 0)  # Linux: only what is in memory
MADV_POPULATE_READ: Final = 22  # Linux 5.14; the mmap module has no name for it yet


def _unavailable(error: OSError) -> Unavailable:
    kind = StorageFull if error.errno in NO_ROOM else Unavailable
    return kind(f"storage: {error.strerror or error}")


class FileStore:
    """Blobs as files below ``root``: ``blobs/aa/<study>/<blob>``, with ``incoming`` for drafts.

    What is published but not yet in the index is noted in ``incoming/journal``, so that a crash
    between the two leaves no file that nobody knows of; when it is in the index, that is, too.
    """

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._incoming = root / "incoming"
        self._lock = threading.Lock()
        self._unsettled: dict[str, bytes] = {}
        self._drafts = itertools.count()
        self._folders: set[str] = set()
        try:
            self._blobs.mkdir(parents=True, exist_ok=True)
            for lane in range(LANES):
                (self._incoming / f"{lane:x}").mkdir(parents=True, exist_ok=True)
            self._sync_folder(root)
            self._journal = os.open(
                self._incoming / "journal", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600
            )
            self._noted = os.fstat(self._journal).st_size  # bytes on it
        except OSError as error:
            raise _unavailable(error) from error

    def begin(self) -> "FileDraft":
        """Start a blob."""
        return FileDraft(self, self._new_path())

    def scratch(self) -> FileScratch:
        """Give a file for a while, where drafts are."""
        try:
            return FileScratch(self._new_path())
        except OSError as error:
            raise _unavailable(error) from error

    def _new_path(self) -> str:
        number = next(self._drafts)
        return f"{self._incoming}/{number % LANES:x}/{os.getpid()}-{number}.part"

    def sync(self, keys: Iterable[str]) -> None:
        """Make the names of ``keys`` durable: one sync for each folder they lie in."""
        try:
            for folder in {key.rpartition("/")[0] for key in keys}:
                self._sync_folder(f"{self._blobs}/{folder}")
        except OSError as error:
            raise _unavailable(error) from error

    def settle(self, keys: Iterable[str]) -> None:
        """Take ``keys`` off the journal: what stands on it is deleted where the index knows it not.

        At once, and on the disk: that index may be an older one by then, put back from a backup.
        """
        with self._lock:
            settled = [key for key in keys if self._unsettled.pop(key, None)]
            with suppress(OSError):  # what cannot be noted now is looked up once more
                self._note("".join(f"{SETTLED}{key}\n" for key in settled).encode())
            if self._noted > JOURNAL_SIZE and len(self._unsettled) < MOST_UNSETTLED:
                with suppress(OSError):  # it grows on: what is on it too much does no harm
                    self._rewrite_journal()

    def open(self, key: str) -> "FileBlob":
        """Open ``key`` for reading. Raises: NotFound."""
        path = self.path(key)
        try:
            return FileBlob(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))
        except FileNotFoundError as error:
            raise NotFound(f"blob {key} is not there") from error
        except OSError as error:
            raise _unavailable(error) from error

    def size(self, key: str) -> int:
        """Bytes of ``key``. Raises: NotFound."""
        try:
            return os.stat(self.path(key)).st_size
        except FileNotFoundError as error:
            raise NotFound(f"blob {key} is not there") from error
        except OSError as error:
            raise _unavailable(error) from error

    def delete(self, key: str) -> None:
        """Remove ``key``, and the folder of its study when that was the last."""
        path = self.path(key)
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
            with self._lock:
                self._folders.discard(key.rpartition("/")[0])
                with suppress(OSError):  # blobs of the same study are left
                    os.rmdir(os.path.dirname(path))
        except OSError as error:
            raise _unavailable(error) from error

    def expunge(self, keys: Iterable[str]) -> None:
        """Remove ``keys``, and see that no power cut brings them back."""
        shards = set()
        for key in keys:
            self.delete(key)
            shards.add(key.rpartition("/")[0])
        try:
            for folder in shards:
                place = f"{self._blobs}/{folder}"
                self._sync_folder(place if os.path.isdir(place) else os.path.dirname(place))
        except FileNotFoundError:
            return  # somebody took the folder away, and the blobs with it
        except OSError as error:
            raise _unavailable(error) from error

    def all_keys(self) -> Iterator[str]:
        """Yield every key there is."""
        for shard in _names(self._blobs):
            for folder in _names(self._blobs / shard, may_go=True):
                for name in _names(self._blobs / shard / folder, may_go=True):
                    if KEY.fullmatch(key := f"{shard}/{folder}/{name}"):
                        yield key

    def unsettled(self) -> dict[str, str]:
        """What the journal notes and is there."""
        try:
            size = os.fstat(self._journal).st_size
            lines = os.pread(self._journal, size, 0).decode("utf-8", "replace").split("\n")
        except OSError as error:
            raise _unavailable(error) from error
        noted: dict[str, str] = {}
        for line in lines:
            key, tab, name = line.partition("\t")
            if tab:
                noted[key] = name
            else:
                noted.pop(key.removeprefix(SETTLED), None)
        return {
            key: name
            for key, name in noted.items()
            if KEY.fullmatch(key) and os.path.exists(self.path(key))
        }

    def recover(self) -> int:
        """Remove drafts, and begin the journal anew."""
        drafts = [
            self._incoming / lane / name
            for lane in _names(self._incoming)
            for name in _names(self._incoming / lane)
        ]
        try:
            for draft in drafts:
                draft.unlink(missing_ok=True)
            with self._lock:
                self._rewrite_journal()
        except OSError as error:
            raise _unavailable(error) from error
        return len(drafts)

    def close(self) -> None:
        """Let go of the journal. Closing again is no error."""
        journal, self._journal = self._journal, -1
        if journal >= 0:
            os.close(journal)

    def path(self, key: str) -> str:
        """Where ``key`` lies. Raises: NotFound, for what is no key of ours."""
        if not KEY.fullmatch(key):
            raise NotFound(f"{key!r} is not the key of a blob")
        return f"{self._blobs}/{key}"

    def admit(self, draft: str, key: str, name: str) -> None:
        """Give a written and synced draft its place, having noted it on the journal."""
        path = self.path(key)
        line = f"{key}\t{name}\n".encode()
        with self._lock:
            if os.path.exists(path):
                raise Conflict(f"blob {key} is there already")
            self._note(line)
            self._unsettled[key] = line
            try:
                self._make_folder(key.rpartition("/")[0])
                os.rename(draft, path)
            except BaseException:
                del self._unsettled[key]
                raise

    def _note(self, line: bytes) -> None:
        """Write ``line`` on the journal, whole or not at all. Raises: OSError."""
        written = os.write(self._journal, line)
        if written != len(line):
            os.ftruncate(self._journal, self._noted)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._noted += written

    def _make_folder(self, folder: str) -> None:
        """Make ``folder``, durably; one that is there may have been made just before a crash."""
        if folder in self._folders:
            return
        shard = folder.partition("/")[0]
        if shard not in self._folders:
            (self._blobs / shard).mkdir(exist_ok=True)
            self._sync_folder(self._blobs)
        (self._blobs / folder).mkdir(exist_ok=True)
        self._sync_folder(self._blobs / shard)
        if len(self._folders) > MOST_FOLDERS:
            self._folders.clear()
        self._folders |= {shard, folder}

    def _rewrite_journal(self) -> None:
        """Put a shorter journal in the place of the old one, whole or not at all."""
        name = self._incoming / "journal"
        shorter = self._incoming / "journal.part"
        lines = b"".join(self._unsettled.values())
        shorter.write_bytes(lines)
        descriptor = os.open(shorter, os.O_RDWR | os.O_APPEND)
        try:
            os.replace(shorter, name)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._journal)
        self._journal, self._noted = descriptor, len(lines)

    def _sync_folder(self, folder: Path | str) -> None:
        if os.name == "nt":  # folders cannot be opened there; NTFS journals names itself
            return
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FileDraft:
    """A file in ``incoming``."""

    def __init__(self, store: FileStore, path: str) -> None:
        self._store = store
        self._path = path
        self._written = 0
        self._hastened = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._descriptor = os.open(path, flags, 0o640)
        except OSError as error:
            raise _unavailable(error) from error

    def write(self, parts: Sequence[Buffer]) -> None:
        """Append ``parts``."""
        try:
            for start in range(0, len(parts), BUFFERS_A_CALL):
                self._written += self._write_all(parts[start : start + BUFFERS_A_CALL])
        except OSError as error:
            raise _unavailable(error) from error

    def hasten(self) -> None:
        """Start writing what the page cache holds, so that the sync at the end is short."""
        if self._written - self._hastened >= WRITEBACK_STEP and hasattr(os, "posix_fadvise"):
            start, self._hastened = self._hastened, self._written
            with suppress(OSError):
                os.posix_fadvise(
                    self._descriptor, start, self._written - start, os.POSIX_FADV_DONTNEED
                )

    def publish(self, key: str, name: str) -> None:
        """Sync the file and rename it to ``key``."""
        try:
            os.fsync(self._descriptor)
            self._close()
            self._store.admit(self._path, key, name)
        except OSError as error:
            raise _unavailable(error) from error

    def discard(self) -> None:
        """Remove the file. Never raises: the next start removes what cannot be removed now."""
        with suppress(OSError):
            self._close()
        with suppress(OSError):
            os.unlink(self._path)

    def _close(self) -> None:
        """Close the file once: another may have its number already after an error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _write_all(self, parts: Sequence[Buffer]) -> int:
        """Write ``parts`` with as few calls as may be; return their bytes."""
        total = left = sum(len(part) for part in parts)
        while left:
            if hasattr(os, "writev"):
                written = os.writev(self._descriptor, parts)
            else:
                written = os.write(self._descriptor, parts[0])
            left -= written
            if left:
                parts = _after(parts, written)
        return total


class FileBlob:
    """A file, read by mapped windows."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive), already read from the disk."""
        end = min(end, self.size)
        if start >= end:
            return memoryview(b"")
        if end - start <= SMALL_WINDOW:
            return memoryview(self._read(start, end))
        aligned = start - start % mmap.ALLOCATIONGRANULARITY
        try:
            mapped = mmap.mmap(
                self._descriptor, end - aligned, offset=aligned, access=mmap.ACCESS_READ
            )
            _populate(mapped)
        except (OSError, ValueError) as error:
            raise Unavailable(f"storage: blob cannot be read: {error}") from error
        return memoryview(mapped)[start - aligned :]

    def at_hand(self, start: int, end: int, scratch: memoryview | None = None) -> Buffer | None:
        """Return bytes if the page cache has them all."""
        if not NOT_AT_ONCE or self._descriptor < 0:
            return None
        size = max(0, end - start)
        is_enough = scratch is not None and size <= len(scratch)
        found = scratch[:size] if scratch is not None and is_enough else bytearray(size)
        try:
            size = os.preadv(self._descriptor, [found], start, NOT_AT_ONCE)
        except OSError:  # not in memory, or a file system that cannot tell
            return None
        return found if size == len(found) else None

    def read_into(self, view: memoryview, start: int) -> None:
        """Fill ``view`` with the bytes from ``start`` on."""
        if not hasattr(os, "preadv"):  # Windows, macOS
            view[:] = self._read(start, start + len(view))
            return
        while view:
            try:
                size = os.preadv(self._descriptor, [view], start)
            except OSError as error:
                raise Unavailable(f"storage: blob cannot be read: {error}") from error
            if not size:
                raise Unavailable("storage: blob was cut short")
            view, start = view[size:], start + size

    def _read(self, start: int, end: int) -> bytes:
        """Read all of ``start`` to ``end``, which are within the file. Raises: Unavailable."""
        try:
            found = os.pread(self._descriptor, end - start, start)
            while len(found) < end - start:
                more = os.pread(self._descriptor, end - start - len(found), start + len(found))
                if not more:
                    raise Unavailable("storage: blob was cut short")
                found += more
        except OSError as error:
            raise Unavailable(f"storage: blob cannot be read: {error}") from error
        return found

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _populate(mapped: mmap.mmap) -> None:
    """Read the pages now: here a bad disk is an error, later it would be a signal."""
    if hasattr(mapped, "madvise"):
        try:
            mapped.madvise(MADV_POPULATE_READ)
        except OSError as error:
            if error.errno != errno.EINVAL:  # an older kernel: pages come when they are touched
                raise


def _after(parts: Sequence[Buffer], count: int) -> list[Buffer]:
    """What is left of ``parts`` when the first ``count`` bytes are gone."""
    left: list[Buffer] = []
    for part in parts:
        if count >= len(part):
            count -= len(part)
        else:
            left.append(memoryview(part)[count:] if count else part)
            count = 0
    return left


def _names(folder: Path, *, may_go: bool = False) -> list[str]:
    """What is in ``folder``. ``may_go``: somebody may have removed it meanwhile."""
    try:
        return os.listdir(folder)
    except NotADirectoryError:
        return []
    except OSError as error:
        if may_go and isinstance(error, FileNotFoundError):
            return []
        raise _unavailable(error) from error
