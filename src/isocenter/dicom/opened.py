"""A DICOM file that is open to be walked. It is mapped, not read: it may be of any size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final

from isocenter.dicom import part10
from isocenter.dicom.elements import Element, elements
from isocenter.dicom.inflation import Inflater
from isocenter.dicom.layout import DEFAULT_LIMITS
from isocenter.dicom.part10 import FileHeader
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax

STEP: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Opened:
    """What is in a file. To be walked only while the file is open."""

    header: FileHeader
    start: memoryview
    """What stands before the data set."""
    dataset: memoryview
    """The data set, inflated."""
    syntax: TransferSyntax
    """Of the inflated data set."""
    reader: "FileReader"
    """Of the inflated data set too: what it reads is not mapped, and takes no memory."""

    @property
    def is_deflated(self) -> bool:
        """The data set is not in the file as it is here."""
        return self.header.syntax.is_deflated

    def meta(self) -> Iterator[Element]:
        """Walk the file meta information. Raises: Malformed."""
        at = part10.PREAMBLE_SIZE if self.header.has_preamble else 0
        if bytes(self.start[at : at + 4]) == part10.PREFIX:
            at += 4
        return elements(self.start[at:], EXPLICIT_LE)

    def elements(self) -> Iterator[Element]:
        """Walk the data set. Raises: Malformed."""
        return elements(self.dataset, self.syntax)

    def check(self) -> None:
        """Walk all of it, to the innermost item. Raises: Malformed, if it cannot be walked."""
        for walk in (self.meta(), self.elements()):
            _check(walk)


class FileReader:
    """Reads a data set from its file, piece by piece."""

    def __init__(self, file: BinaryIO, base: int = 0) -> None:
        self._file = file
        self._base = base
        self.size = max(0, file.seek(0, 2) - base)

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive); fewer, where the data set ends."""
        self._file.seek(self._base + start)
        return memoryview(self._file.read(max(0, min(end, self.size) - start)))


def _check(walk: Iterator[Element]) -> None:
    for element in walk:
        if element.vr == "SQ":
            for item in element.items():
                _check(item.elements())


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file; a deflated one is inflated into a temporary file.

    Raises: Malformed, for what is no DICOM file or a broken deflated stream; OSError.
    """
    with path.open("rb") as file, path.open("rb", buffering=0) as again:
        header = part10.read(file)
        with _mapped(file) as data:
            start, dataset = data[: header.dataset_offset], data[header.dataset_offset :]
            if not header.syntax.is_deflated:
                reader = FileReader(again, header.dataset_offset)
                yield Opened(header, start, dataset, header.syntax, reader)
                return
            with TemporaryFile(buffering=0) as inflated:
                _inflate(dataset, inflated)
                with _mapped(inflated) as whole:
                    yield Opened(header, start, whole, EXPLICIT_LE, FileReader(inflated))


@contextmanager
def _mapped(file: BinaryIO) -> Iterator[memoryview]:
    file.seek(0, 2)
    # Left to the garbage collector: views of it may be around still. An empty file has no map.
    yield memoryview(mmap(file.fileno(), 0, access=ACCESS_READ)) if file.tell() else memoryview(b"")


def _inflate(dataset: memoryview, into: BinaryIO) -> None:
    inflater = Inflater(DEFAULT_LIMITS)
    for at in range(0, len(dataset), STEP):
        into.writelines(inflater.feed(dataset[at : at + STEP]))
    inflater.finish()
    into.flush()
