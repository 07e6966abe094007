"""DICOM objects in files, folders, zip archives and file-sets, one after the other."""

import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from isocenter.dicom import directory
from isocenter.errors import Malformed, Unavailable

DIRECTORY_NAME = "DICOMDIR"


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
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.upper() != DIRECTORY_NAME:
                try:
                    yield from _file(Path(root, name))
                except OSError as error:
                    yield Unreadable(str(Path(root, name)), error.strerror or str(error))


def _file(path: Path) -> Iterator[Found | Unreadable]:
    if path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
        yield from _members(path)
    else:
        status = path.stat()
        yield Found(str(path), status.st_size, status.st_mtime_ns, lambda: path.open("rb"), path)


def _members(path: Path) -> Iterator[Found | Unreadable]:
    try:
        # Not closed here: it is open as long as there are members that somebody may open.
        archive = zipfile.ZipFile(path)
        modified = path.stat().st_mtime_ns
        for member in sorted(archive.infolist(), key=lambda each: each.filename):
            name = f"{path}/{member.filename}"
            if member.is_dir() or member.filename.rpartition("/")[2].upper() == DIRECTORY_NAME:
                continue
            if member.flag_bits & 1:
                yield Unreadable(name, "encrypted")
                continue
            yield Found(name, member.file_size, modified, _Member(archive, member))
    except zipfile.BadZipFile as error:
        yield Unreadable(str(path), f"zip archive is broken: {error}")


@dataclass(frozen=True, slots=True)
class _Member:
    """Opens one member of a zip archive; it is read as a stream, never as a whole."""

    archive: zipfile.ZipFile
    member: zipfile.ZipInfo

    def __call__(self) -> BinaryIO:
        try:
            return cast(BinaryIO, self.archive.open(self.member))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise Unavailable(f"zip member cannot be read: {error}") from error
