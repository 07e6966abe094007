"""DICOM files that are to be sent: which instance each holds, and its data set, opened."""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final
from uuid import uuid4

from isocenter.archive.media import Found
from isocenter.archive.retrieve import WINDOW, Opened
from isocenter.dicom import part10
from isocenter.dicom.identity import LONGEST_UID, MEDIA_STORAGE_DIRECTORY, SOP_CLASS, SOP_INSTANCE
from isocenter.dicom.layout import Limits
from isocenter.dicom.part10 import FileHeader
from isocenter.dicom.scanner import Scanner
from isocenter.errors import Malformed, Unavailable
from isocenter.storage.blobs import Blob, Scratch
from isocenter.storage.files import FileBlob
from isocenter.storage.records import InstanceRef
from isocenter.storage.scratch import FileScratch

if TYPE_CHECKING:
    from isocenter.imaging.workers import Workers

IDENTITY: Final = frozenset({SOP_CLASS, SOP_INSTANCE})
IDENTITY_LIMITS: Final = Limits(value_size=66)
FIRST_STEP: Final = 512
"""Bytes of a data set that nearly always hold its identity."""
HEAD: Final = 4096
LONGEST_SEARCH: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file and the instance in it; its digest and the study it is of are not known."""

    found: Found
    instance: InstanceRef

    def open(self, workers: Executor, codecs: "Workers | None" = None) -> Opened:
        """Open the data set. Blocks. Raises: Unavailable."""
        with _explained():
            return Opened(_Source(_blob(self.found)), workers, self.instance, codecs)


def examine(found: Found) -> Outgoing:
    """Read what it takes to send a file. Blocks.

    What the data set says of its SOP class and instance counts, not the meta information. Raises:
    Malformed, for what is no DICOM file or no instance; Unavailable, if it cannot be read.
    """
    with _explained(), closing(_blob(found)) as blob:
        return _examine(found, blob)


def examine_and_open(
    found: Found, workers: Executor, codecs: "Workers | None" = None, scratch: str = ""
) -> tuple[Outgoing, Opened]:
    """Do both in one go. Blocks. Raises: as ``examine``.

    ``scratch``: the folder for what does not fit in memory; by default, that of the system.
    """
    with _explained():
        blob = _blob(found)
        try:
            outgoing = _examine(found, blob)
        except BaseException:
            blob.close()
            raise
        return outgoing, Opened(_Source(blob, scratch), workers, outgoing.instance, codecs)


def _examine(found: Found, blob: Blob) -> Outgoing:
    header = _header(blob)
    sop_class, sop_instance = _identity(blob, header)
    instance = InstanceRef(
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        study_instance_uid="",
        series_instance_uid="",
        transfer_syntax=header.syntax.uid,
        blob_key=found.name,
        size=blob.size,
        digest=b"",
        dataset_offset=header.dataset_offset,
    )
    return Outgoing(found, instance)


def _header(blob: Blob) -> FileHeader:
    try:
        return part10.read(blob.window(0, HEAD))
    except Malformed:
        if blob.size <= HEAD:
            raise
    return part10.read(blob.window(0, part10.LONGEST))


def warm(found: Found) -> None:
    """Have the system begin to read a file. What is wrong with it, shows when it is opened."""
    if found.path is None or not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):
        descriptor = os.open(found.path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, WINDOW, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(descriptor)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what files and zip archives raise into errors of ours."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unavailable(f"zip archive is broken: {error}") from error


def _identity(blob: Blob, header: FileHeader) -> tuple[str, str]:
    values = _values(blob, header, is_needed=not (header.sop_class and header.sop_instance))
    sop_class = values.get(SOP_CLASS) or header.sop_class
    sop_instance = values.get(SOP_INSTANCE) or header.sop_instance
    if sop_class == MEDIA_STORAGE_DIRECTORY:
        raise Malformed("a DICOMDIR is no instance")
    for name, uid in (("SOP Class", sop_class), ("SOP Instance", sop_instance)):
        if not uid:
            raise Malformed(f"there is no {name} UID")
        if len(uid) > LONGEST_UID or not (uid.isascii() and uid.isprintable()):
            raise Malformed(f"the {name} UID is none")
    return sop_class, sop_instance


def _values(blob: Blob, header: FileHeader, *, is_needed: bool) -> dict[int, str]:
    """Find the identity in the data set: where it belongs or, if ``is_needed``, further on."""
    scanner = Scanner(header.syntax, IDENTITY, limits=IDENTITY_LIMITS)
    at, step = header.dataset_offset, FIRST_STEP
    end = min(at + (LONGEST_SEARCH if is_needed else HEAD), blob.size)
    try:
        while at < end and len(scanner.values) < len(IDENTITY):
            scanner.feed(blob.window(at, at + step))
            at, step = at + step, HEAD
    except Malformed:
        if is_needed:
            raise
        # The meta information says enough to send it; whoever receives it, judges it.
    return {tag: raw.value.decode("latin-1").strip(" \0") for tag, raw in scanner.values.items()}


@dataclass(frozen=True, slots=True)
class _Source:
    """Gives the one blob it is of."""

    blob: Blob
    folder: str = ""

    def open(self, key: str) -> Blob:
        return self.blob

    def scratch(self) -> Scratch:
        return FileScratch(
            os.path.join(self.folder or tempfile.gettempdir(), f".{uuid4().hex}.part")
        )


def _blob(found: Found) -> Blob:
    if found.path is None:
        return _StreamBlob(found.open(), found.size)
    return _MappedBlob(os.open(found.path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))


class _MappedBlob:
    """A file that is mapped once, unless it is large: header and data set are both in there."""

    def __init__(self, descriptor: int) -> None:
        self._file = FileBlob(descriptor)
        self.size = self._file.size
        self._first: memoryview | None = None

    def window(self, start: int, end: int) -> memoryview:
        if self.size > WINDOW:
            return self._file.window(start, end)
        if self._first is None:
            self._first = self._file.window(0, WINDOW)
        return self._first[start:end]

    def close(self) -> None:
        self._first = None
        self._file.close()


class _StreamBlob:
    """What can be read but not mapped: a member of a zip archive."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.size = size

    def window(self, start: int, end: int) -> memoryview:
        with _explained():
            if self._stream.tell() != start:
                self._stream.seek(start)
            end = min(end, self.size)
            window = self._stream.read(end - start)
        if len(window) < end - start:
            raise Unavailable("cannot be read to its end")
        return memoryview(window)

    def close(self) -> None:
        self._stream.close()
