"""Values that are in a file, named by a URI: ``file:///ct.dcm?offset=1234&length=524288``.

The parameters are those other toolkits use; ``swap=2`` is ours, for words that are big endian.
"""

import stat
from collections.abc import Iterator
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit
from urllib.request import url2pathname

from isocenter.dicom import bulk as bulks
from isocenter.dicom.bulk import Bulk
from isocenter.dicom.elements import Element
from isocenter.dicom.values import WORD_SIZES, ordered_as
from isocenter.errors import Malformed, NotFound, Unsupported

STEP: Final = 1 << 20
_SWAPPED: Final = {"2": "US", "4": "UL", "8": "UV"}
"""A VR for each size of words."""


def uri(file: str, element: Element, dataset_offset: int) -> str:
    """Name the value of ``element`` in ``file``, a URI itself."""
    place = f"{file}?offset={dataset_offset + element.value_offset}&length={len(element.value)}"
    ordered = ordered_as(element.tag, element.vr, element.vrs.bits_allocated)
    word = WORD_SIZES.get(ordered, 1)
    return place if element.layout.is_little_endian or word == 1 else f"{place}&swap={word}"


def fetch(named: str, folder: Path) -> Bulk:
    """Give the value that a URI names; relative ones are below ``folder``.

    Raises: Unsupported, for what is on a server; Malformed, for a URI that names no part of a file;
    NotFound, if there is no such file.
    """
    parts = urlsplit(named)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        raise Unsupported(f"bulk data must be fetched first: {parts.scheme}:{parts.netloc}")
    path = folder / url2pathname(parts.path)
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise NotFound(f"bulk data: {path} cannot be read") from error
    if not stat.S_ISREG(status.st_mode):
        raise Malformed(f"bulk data: {path} is not a file")
    offset, length, swapped = _place(parts.query, status.st_size)
    if offset + length > status.st_size:
        raise Malformed(f"bulk data: {path} ends before byte {offset + length}")
    pieces = partial(_read, path, offset, length, swapped)
    return Bulk(length, pieces, is_encapsulated=_is_encapsulated(path, offset, length))


def _place(query: str, size: int) -> tuple[int, int, str]:
    found = {key: values[-1] for key, values in parse_qs(query).items()}
    offset, swap = found.get("offset", "0"), found.get("swap", "")
    length = found.get("length", str(max(0, size - int(offset))) if _is_number(offset) else "")
    if not (_is_number(offset) and _is_number(length)) or (swap and swap not in _SWAPPED):
        raise Malformed("bulk data: offset, length and swap are numbers")
    return int(offset), int(length), _SWAPPED.get(swap, "")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _read(path: Path, offset: int, length: int, swapped: str) -> Iterator[bytes]:
    pieces = _slices(path, offset, length)
    return bulks.swapped(pieces, swapped) if swapped else pieces


def _slices(path: Path, offset: int, length: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while length and (piece := file.read(min(length, STEP))):
            length -= len(piece)
            yield piece


def _is_encapsulated(path: Path, offset: int, length: int) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        if file.read(4) != bulks.ITEM_TAG:
            return False
        data = memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))
        return bulks.is_encapsulated(data[offset : offset + length])
