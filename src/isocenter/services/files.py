"""DICOM files that are to be sent: which instance each holds, and its data set, opened."""

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from isocenter.archive.media import Found
from isocenter.archive.retrieve import Opened
from isocenter.dicom import part10
from isocenter.dicom.elements import elements
from isocenter.dicom.layout import Limits
from isocenter.dicom.part10 import FileHeader
from isocenter.dicom.scanner import Scanner
from isocenter.dicom.syntax import TransferSyntax
from isocenter.errors import Malformed, Unavailable
from isocenter.storage.blobs import Blob
from isocenter.storage.files import FileBlob
from isocenter.storage.records import InstanceRef

SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
IDENTITY: Final = frozenset({SOP_CLASS, SOP_INSTANCE})
HEAD: Final = 4096
"""Bytes of a data set that nearly always hold its identity."""
LONGEST_SEARCH: Final = 1 << 20
LONGEST_UID: Final = 64
DIRECTORY_CLASS: Final = "1.2.840.10008.1.3.10"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file and the instance in it; its digest and the study it is of are not known."""

    found: Found
    instance: InstanceRef

    def open(self, workers: Executor) -> Opened:
        """Open the data set. Blocks. Raises: Unavailable."""
        with _explained():
            return Opened(_Source(self.found), workers, self.instance)


def examine(found: Found) -> Outgoing:
    """Read what it takes to send a file. Blocks.

    What the data set says of its SOP class and instance counts, not the meta information. Raises:
    Malformed, for what is no DICOM file or no instance; Unavailable, if it cannot be read.
    """
    with _explained(), found.open() as stream:
        header = part10.read(stream)
        sop_class, sop_instance = _identity(stream, header)
    instance = InstanceRef(
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        study_instance_uid="",
        series_instance_uid="",
        transfer_syntax=header.syntax.uid,
        blob_key=found.name,
        size=found.size,
        digest=b"",
        dataset_offset=header.dataset_offset,
    )
    return Outgoing(found, instance)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what files and zip archives raise into errors of ours."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Unavailable(f"zip archive is broken: {error}") from error


def _identity(stream: BinaryIO, header: FileHeader) -> tuple[str, str]:
    stream.seek(header.dataset_offset)
    values = {} if header.syntax.is_deflated else _first_values(stream.read(HEAD), header.syntax)
    is_named = header.sop_class and header.sop_instance
    if len(values) < len(IDENTITY) and (header.syntax.is_deflated or not is_named):
        stream.seek(header.dataset_offset)
        values |= _searched_values(stream, header.syntax)
    sop_class = values.get(SOP_CLASS) or header.sop_class
    sop_instance = values.get(SOP_INSTANCE) or header.sop_instance
    if sop_class == DIRECTORY_CLASS:
        raise Malformed("a DICOMDIR is no instance")
    for name, uid in (("SOP Class", sop_class), ("SOP Instance", sop_instance)):
        if not uid:
            raise Malformed(f"there is no {name} UID")
        if len(uid) > LONGEST_UID or not (uid.isascii() and uid.isprintable()):
            raise Malformed(f"the {name} UID is none")
    return sop_class, sop_instance


def _first_values(head: bytes, syntax: TransferSyntax) -> dict[int, str]:
    """Find the identity at its usual place: among the first elements."""
    values: dict[int, str] = {}
    try:
        for element in elements(head, syntax):
            if element.tag > SOP_INSTANCE:
                break
            if element.tag in IDENTITY:
                values[element.tag] = _text(bytes(element.value))
    except Malformed:
        pass  # what is cut short here goes on in the file; what is nonsense, its receiver refuses
    return values


def _searched_values(stream: BinaryIO, syntax: TransferSyntax) -> dict[int, str]:
    """Find the identity anywhere in the first megabyte, deflated or not. Raises: Malformed."""
    scanner = Scanner(syntax, IDENTITY, limits=Limits(value_size=LONGEST_UID + 2))
    left = LONGEST_SEARCH
    while left > 0 and len(scanner.values) < len(IDENTITY) and (piece := stream.read(HEAD)):
        scanner.feed(piece)
        left -= len(piece)
    return {tag: _text(raw.value) for tag, raw in scanner.values.items()}


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")


@dataclass(frozen=True, slots=True)
class _Source:
    """Opens the one file it is of."""

    found: Found

    def open(self, key: str) -> Blob:
        stream = self.found.open()
        try:
            descriptor = stream.fileno()
        except io.UnsupportedOperation:
            return _StreamBlob(stream, self.found.size)
        with stream:
            return FileBlob(os.dup(descriptor))


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
