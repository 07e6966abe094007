"""What is asked of a zip archive that a stranger sends, before anything in it is unpacked."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from isocenter.archive.media import Found, Unreadable, is_named_zip, is_zip, members, zip_faults
from isocenter.dicom.layout import DEFAULT_LIMITS
from isocenter.errors import Malformed, Unsupported
from isocenter.storage.scratch import FileScratch

LARGEST_DIRECTORY: Final = 16 << 20
"""Bytes of the list of members, which is read as a whole."""
METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Of the others a few bytes unpack to as much memory as their sender likes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one archive may bring."""

    size: int
    """Bytes of all members, unpacked."""
    members: int


def look_into(
    name: str, scratch: FileScratch, file: BinaryIO, limits: Limits
) -> Iterator[Found | Unreadable]:
    """Yield what is in a file that came as ``name``: its members, or itself if it has none.

    ``file`` is that of ``scratch``, to stay open until all that is found was read.
    """
    bounded = _Bounded(file)
    if not (is_named_zip(name) and is_zip(cast(BinaryIO, bounded))):
        yield Found(name, scratch.size, 0, scratch.file)
        return
    try:
        _check(bounded, scratch.size, limits)
    except (Malformed, Unsupported) as error:
        yield Unreadable(name, str(error))
        return
    yield from members(name, cast(BinaryIO, bounded), 0)


def _check(file: "_Bounded", size: int, limits: Limits) -> None:
    """Raises: Malformed, Unsupported."""
    with zip_faults(), zipfile.ZipFile(file) as archive:
        listed = archive.infolist()
    if len(listed) > limits.members:
        raise Malformed(f"zip archive has more than {limits.members} members: send less at once")
    if any(each.compress_type not in METHODS for each in listed):
        raise Unsupported("zip archive is compressed in an unusual way: pack it with deflate")
    if sum(each.compress_size for each in listed) > size:
        raise Malformed("zip archive is broken: its members lie in one another")
    unpacked = sum(each.file_size for each in listed)
    most = max(DEFAULT_LIMITS.inflated_grace, size * DEFAULT_LIMITS.inflated_ratio)
    if unpacked > most:
        raise Malformed("zip archive unfolds to too much")
    if unpacked > limits.size:
        raise Malformed(f"zip archive unfolds to more than {limits.size} bytes: send less at once")


class _Bounded(io.BufferedIOBase):
    """A zip archive to be read, in pieces that are not too large: a stranger says how large."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = LARGEST_DIRECTORY
        if size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("its list of members is too long")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
