"""A file as lines to read: file meta information, data set, and what the pixel data holds."""

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from isocenter.dicom.charset import DEFAULT, Charset, of_value
from isocenter.dicom.dictionary import ImplicitVRs
from isocenter.dicom.dump import FRAGMENTS, Dump, plain
from isocenter.dicom.elements import Element, Walk as ElementWalk, elements, first_element
from isocenter.dicom.layout import (
    DEFAULT_LIMITS,
    PIXEL_DATA_TAGS,
    SPECIFIC_CHARACTER_SET,
)
from isocenter.dicom.opened import Opened, opened
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Place, Walk
from isocenter.errors import Malformed

DELIMITER: Final = 8
"""Bytes of the item that ends an undefined length."""
REST: Final = 1 << 12
"""Bytes behind the last element that are looked at: zeros are padding."""
Lines = Generator[str, None, int | None]
_COLOURS: Final = {
    "tag": "\x1b[36m",
    "vr": "\x1b[33m",
    "name": "\x1b[1m",
    "note": "\x1b[2m",
    "fault": "\x1b[31m",
}


def file_lines(path: Path, width: int | None, depth: int | None) -> Iterator[str]:
    """Give what is in a file, as far as it goes. Raises: Malformed, in the end; OSError."""
    dump = Dump(width=width, depth=depth, paint=_painted if _has_colours() else plain)
    with opened(path) as file:
        yield from dump.lines(file.meta())
        header = file.header
        note = f"# data set in {header.syntax.name}, at byte {header.dataset_offset}"
        yield dump.paint("note", note)
        yield from _data_set(file, dump)
    if dump.faults:
        raise dump.faults[0]


def _has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _painted(kind: str, text: str) -> str:
    colour = _COLOURS.get(kind)
    return f"{colour}{text}\x1b[0m" if colour else text


def _data_set(file: Opened, dump: Dump) -> Iterator[str]:
    """Give the lines of the data set. Of pixel data only what tells of it is read."""
    walk = Walk(file.reader, file.syntax)
    place = _pixels(walk)
    if place is None:
        yield from dump.lines(file.elements(), content=file.dataset)
        return
    head = file.dataset[: place.start]
    yield from dump.lines(elements(head, file.syntax), content=head)
    end = yield from _pixel_data(file, walk, place, dump)
    if end is None:
        return
    charset = _charset(head, file.syntax)
    yield from dump.lines(_behind(file, place, end), charset, content=file.dataset)


def _pixels(walk: Walk) -> Place | None:
    """Find the pixel data; None, where there is none or it cannot be got at."""
    try:
        places = walk.elements(PIXEL_DATA_TAGS)
        return next((each for each in places if each.tag in PIXEL_DATA_TAGS), None)
    except Malformed:
        return None


def _pixel_data(file: Opened, walk: Walk, place: Place, dump: Dump) -> Lines:
    """Give the lines of pixel data; return where it ends, if that can be told."""
    from isocenter.imaging import telling

    yield _pixel_line(file, place, dump)
    try:
        for line in telling.told(walk, place, file.header.syntax):
            yield f"  {dump.paint('note', line)}"
    except Malformed as fault:  # the data set can be walked, though these be no frames
        yield f"  {dump.paint('fault', f'! {fault}')}"
    if place.length is None:
        return (yield from _fragments(file, place, dump))
    return place.offset + place.length


def _pixel_line(file: Opened, place: Place, dump: Dump) -> str:
    if place.length is None:
        return dump.row(place.tag, place.vr, "encapsulated", "undefined")
    there = max(0, min(place.length, file.reader.size - place.offset))
    most = there if dump.width is None else min(there, dump.width)
    value = file.reader.window(place.offset, place.offset + most)
    note = str(there) if there == place.length else f"{there} of {place.length}"
    return dump.row(place.tag, place.vr, dump.bytes_shown(value, place.length), note)


def _fragments(file: Opened, place: Place, dump: Dump) -> Lines:
    from isocenter.imaging import telling

    end = None
    number = -1
    try:
        for number, at, length in telling.fragments(file.reader, place):
            if length < 0:
                end = at + DELIMITER
            elif dump.width is None or number <= FRAGMENTS:
                shown = length if dump.width is None else min(length, dump.width)
                yield dump.fragment(number, file.reader.window(at, at + shown), length)
    except Malformed as fault:
        yield dump.broken(fault, 1)
    if dump.width is not None and (more := number - 1 - FRAGMENTS) > 0:
        yield f"  … and {more} more"
    return end


def _charset(head: memoryview, syntax: TransferSyntax) -> Charset:
    """Give the character set of the data set."""
    for element in elements(head, syntax):
        if element.tag >= SPECIFIC_CHARACTER_SET:
            return (
                of_value(bytes(element.value)) if element.tag == SPECIFIC_CHARACTER_SET else DEFAULT
            )
    return DEFAULT


def _behind(file: Opened, place: Place, at: int) -> Iterator[Element]:
    """Walk what stands behind the pixel data. Raises: Malformed."""
    vrs, walk = ImplicitVRs(), ElementWalk(DEFAULT_LIMITS)
    while any(file.dataset[at : at + REST]):
        element = first_element(file.dataset[at:], place.layout, at, vrs, walk)
        yield element
        at = element.value_offset + len(element.value)
        at += DELIMITER if element.is_undefined_length else 0
