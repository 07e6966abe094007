"""DICOM objects in files, folders, zip archives and file-sets, one after the other."""

import io
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from isocenter.dicom import directory, part10
from isocenter.errors import Malformed

DIRECTORY_NAME = "DICOMDIR"
FIRST_MEMBER: Final = b"PK\3\4"
"""What a zip archive begins with, unless something is put before it."""
LARGEST_DIRECTORY: Final = 1 << 30
"""Bytes of a DICOMDIR: it is read as a whole."""
BROKEN_ZIP: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, LookupError, NotImplementedError, RuntimeError, ValueError),
)
"""What the standard library raises for zip archives that are not as they should be."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be a DICOM object."""

    name: str
    """As a person knows it: its path, with the member's name behind that of a zip archive."""
    size: int
    modified: int
    """In nanoseconds since 1970; of what is in a zip archive, the archive's."""
    open: Callable[[], BinaryIO]
    path: Path | None = None
    """None for what is in a zip archive."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that was asked for and cannot be looked into."""

    name: str
    reason: str


def walk(paths: Iterable[Path]) -> Iterator[Found | Unreadable]:
    """Yield what lies below ``paths``, in an order that stays the same.

    A folder is walked to its end; of a zip archive, the members; of a DICOMDIR, the files it refers
    to. A DICOMDIR inside a folder is passed over: its files are met anyway.
    """
    for path in paths:
        try:
            if path.is_dir():
                yield from _folder(path)
            elif path.name.upper() == DIRECTORY_NAME:
                yield from _file_set(path)
            else:
                yield from _file(path)
        except OSError as error:
            yield Unreadable(str(path), error.strerror or str(error))


def _file_set(path: Path) -> Iterator[Found | Unreadable]:
    """Yield what a DICOMDIR refers to."""
    if (reason := _irregularity(path)) or path.stat().st_size > LARGEST_DIRECTORY:
        yield Unreadable(str(path), reason or "too large for a DICOMDIR")
        return
    try:
        listed = directory.read(path.read_bytes())
    except Malformed as error:
        yield Unreadable(str(path), str(error))
        return
    for reference in listed.references:
        found = reference.path(path.parent)
        if found is None:
            yield Unreadable(f"{path.parent}/{'/'.join(reference.file_id)}", "file is missing")
        else:
            yield from _file(found)
    if listed.fault is not None:
        yield Unreadable(str(path), str(listed.fault))


def _folder(folder: Path) -> Iterator[Found | Unreadable]:
    unlisted: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=unlisted.append):
        while unlisted:
            yield _unreadable(unlisted.pop())
        folders.sort()
        yield from _links_away(folder, Path(root), folders)
        for name in sorted(names):
            if name.upper() != DIRECTORY_NAME:
                try:
                    yield from _file(Path(root, name))
                except OSError as error:
                    yield Unreadable(str(Path(root, name)), error.strerror or str(error))
    yield from map(_unreadable, unlisted)


def _links_away(top: Path, root: Path, names: list[str]) -> Iterator[Unreadable]:
    """Tell of links in ``root`` to folders outside of ``top``: some are loops, none is walked."""
    for name in names:
        path = root / name
        if path.is_symlink() and not path.resolve().is_relative_to(top.resolve()):
            yield Unreadable(str(path), "a link to another folder: name that folder itself")


def _unreadable(error: OSError) -> Unreadable:
    return Unreadable(str(error.filename), error.strerror or str(error))


def _file(path: Path) -> Iterator[Found | Unreadable]:
    if reason := _irregularity(path):
        yield Unreadable(str(path), reason)
    elif is_named_zip(path.name) and is_zip(path):
        yield from members(str(path), path, path.stat().st_mtime_ns)
    else:
        status = path.stat()
        yield Found(str(path), status.st_size, status.st_mtime_ns, lambda: path.open("rb"), path)


def _irregularity(path: Path) -> str:
    """Why ``path`` is not to be opened: one may wait at a pipe or a device for ever."""
    return "" if stat.S_ISREG(path.stat().st_mode) else "not a file"


def is_named_zip(name: str) -> bool:
    """Whether a file of that name is looked into for members."""
    return name[-4:].lower() == ".zip"


def is_zip(source: Path | BinaryIO) -> bool:
    """Whether that is a zip archive, perhaps a broken one: what is cut short has no list."""
    try:
        return zipfile.is_zipfile(source) or _begins_as_zip(source)
    except BROKEN_ZIP:
        return True


def _begins_as_zip(source: Path | BinaryIO) -> bool:
    """Whether its first bytes are those of a member, and it is no DICOM file (PS3.10 7.1)."""
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        file.seek(0)
        start = file.read(part10.PREAMBLE_SIZE + len(part10.PREFIX))
    return start.startswith(FIRST_MEMBER) and not start.endswith(part10.PREFIX)


def members(name: str, source: Path | BinaryIO, modified: int) -> Iterator[Found | Unreadable]:
    """Yield what is in a zip archive, known as ``name``."""
    try:
        with zip_faults():
            # Not closed here: it is read from after the last member was named. It closes itself
            # when the last member lets go of it.
            archive = zipfile.ZipFile(source)
            listed = sorted(archive.infolist(), key=lambda each: each.filename)
    except Malformed as error:
        yield Unreadable(name, str(error))
        return
    files = [each for each in listed if _is_file(each)]
    if not files:
        yield Unreadable(name, "zip archive has no files")
    for member in files:
        place = f"{name}/{member.filename}"
        if member.flag_bits & 1:
            yield Unreadable(place, "encrypted")
            continue
        yield Found(place, member.file_size, modified, _Member(archive, member))


def _is_file(member: zipfile.ZipInfo) -> bool:
    # Of a folder the name ends in a slash; of some broken archives there is none at all.
    return member.filename.rpartition("/")[2].upper() not in ("", DIRECTORY_NAME)


@contextmanager
def zip_faults() -> Iterator[None]:
    """Raises: Malformed, for what the standard library raises within."""
    try:
        yield
    except BROKEN_ZIP as error:
        raise Malformed(f"zip archive is broken: {error}") from error


@dataclass(frozen=True, slots=True)
class _Member:
    """Opens one member of a zip archive; it is read as a stream, never as a whole."""

    archive: zipfile.ZipFile
    member: zipfile.ZipInfo

    def __call__(self) -> BinaryIO:
        """Raises: Malformed."""
        with zip_faults():
            return cast(BinaryIO, _Unpacked(self.archive.open(self.member)))


class _Unpacked(io.BufferedIOBase):
    """A member being read. Raises: Malformed, where it cannot be unpacked."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed

    def read(self, size: int | None = -1, /) -> bytes:
        with zip_faults():
            return self._packed.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        with zip_faults():
            return self._packed.seek(offset, whence)

    def close(self) -> None:
        self._packed.close()
        super().close()
