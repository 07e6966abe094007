"""What there is to be told of pixel data without decoding it: frames, fragments, streams."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Place, Reader, Walk
from isocenter.errors import Malformed, NotFound
from isocenter.imaging import codestream, encapsulation, frames
from isocenter.imaging.codestream import Codestream
from isocenter.imaging.encapsulation import HEADER_SIZE
from isocenter.imaging.frames import FrameMap

HEAD: Final = 1 << 16
"""Bytes of a stream in which its header is looked for."""
_RLE: Final = "1.2.840.10008.1.2.5"
_JPEG_NAMES: Final = {
    0xC0: "JPEG, baseline",
    0xC1: "JPEG, extended sequential",
    0xC2: "JPEG, progressive",
    0xC3: "JPEG, lossless",
    0xF7: "JPEG-LS",
}
"""By the marker of the frame header (ISO 10918-1 Table B.1, ISO 14495-1 C.1.1)."""


def told(walk: Walk, place: Place, syntax: TransferSyntax) -> Iterator[str]:
    """Say what the pixel data at ``place`` holds, in lines. Raises: Malformed, when it gets there.

    ``syntax``: of the file.
    """
    try:
        found = frames.locate(walk, syntax)
    except NotFound:
        return
    yield _frames(found)
    if found.is_encapsulated:
        yield _table(walk.reader, place, found)
        if stream := _stream(walk.reader, found, syntax):
            yield stream


def fragments(reader: Reader, place: Place) -> Iterator[tuple[int, int, int]]:
    """Give each item of encapsulated pixel data: number, where its content begins, its length.

    The offset table is number 0; last comes the delimiter, itself, with a length of -1. Raises:
    Malformed, when it gets there.
    """
    for number, (at, length) in enumerate(encapsulation.items(reader, place.offset)):
        yield number, at if length < 0 else at + HEADER_SIZE, length


def _frames(found: FrameMap) -> str:
    if found.is_video:
        return f"a video of {_counted(found.count, 'frame')}"
    size = f" of {(found.frame_bits + 7) // 8} bytes" if found.frame_bits else ""
    return f"{_counted(found.count, 'frame')}{size}"


def _table(reader: Reader, place: Place, found: FrameMap) -> str:
    basic = (found.start - place.offset - HEADER_SIZE) // 4
    told = f"Basic Offset Table of {basic}" if basic > 0 else "Basic Offset Table empty"
    if found.lengths_at:
        told = f"{told}, Extended Offset Table"
    if (basic > 0 or found.lengths_at) and not (found.is_told or found.is_video):
        told = f"{told}, not true"
    return told


def _stream(reader: Reader, found: FrameMap, syntax: TransferSyntax) -> str:
    """Say what the first stream says of itself; nothing, where we cannot read it."""
    for at, length in islice(encapsulation.items(reader, found.start), 1):
        if length > 0:
            head = reader.window(at + HEADER_SIZE, at + HEADER_SIZE + min(length, HEAD))
            if syntax.uid == _RLE and len(head) >= 4:
                return f"RLE, {_counted(int.from_bytes(head[:4], 'little'), 'segment')} a frame"
            return _of_stream(head)
    return ""


def _of_stream(head: memoryview) -> str:
    for name, read in (
        ("JPEG", codestream.jpeg),
        ("JPEG 2000", codestream.jpeg_2000),
        ("JPEG XL", codestream.jpeg_xl),
    ):
        try:
            return _described(name, read(head), head)
        except Malformed:
            continue
    return ""


def _described(name: str, stream: Codestream, head: memoryview) -> str:
    parts = [_JPEG_NAMES.get(stream.process, name) if name == "JPEG" else name]
    if name == "JPEG 2000":
        # The capabilities marker (ISO 15444-15 A.2) stands behind SIZ.
        kind = "HTJ2K" if b"\xff\x50" in bytes(head[:256]) else name
        parts = [f"{kind}, {'reversible' if stream.is_reversible else 'irreversible'}"]
    parts.append(f"{stream.columns} by {stream.rows}")
    if stream.components:
        sign = "signed " if stream.is_signed else ""
        of = _counted(stream.components, "component")
        parts.append(f"{of} of {stream.precision} {sign}bits")
    if len(set(stream.subsampling)) > 1:
        factors = " ".join(f"{across}x{down}" for across, down in stream.subsampling)
        parts.append(f"sampled {factors}")
    if stream.is_colour_transformed:
        parts.append("colours transformed")
    return ", ".join(parts)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
