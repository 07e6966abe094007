"""What a compressed image says of itself: its transfer syntax and its pixels' description.

Read from the first bytes, without decoding (PS3.5 8.2, PS3.18 Table 8.7.3-5).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import error, unpack_from
from types import MappingProxyType
from typing import Final

from isocenter.errors import Malformed

LOOKED_AT: Final = 1 << 16
"""Bytes of a stream that are enough, but for streams with large segments before their header."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the stream's header says (PS3.3 C.7.6.3)."""

    transfer_syntax: str
    rows: int = 0
    """0 where the header is not read: then nothing else is said, either."""
    columns: int = 0
    samples: int = 0
    bits: int = 0
    is_signed: bool = False
    photometric_interpretation: str = ""
    start: int = 0
    """Where the stream begins: behind the boxes of a JP2 file."""


# --- JPEG and JPEG-LS (ISO 10918-1 B.2, ISO 14495-1 C.2)

_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _JPEG_LS = 0xC0, 0xC1, 0xC2, 0xC3, 0xF7
_ADOBE, _SCAN, _END = 0xEE, 0xDA, 0xD9
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def _jpeg(data: memoryview) -> Described:
    if bytes(data[:2]) != b"\xff\xd8":
        raise Malformed("not a JPEG stream")
    at, frame, process, transform = 2, memoryview(b""), 0, -1
    while True:
        marker, at, end = _segment(data, at)
        if marker == _ADOBE and bytes(data[at : at + 5]) == b"Adobe" and end - at >= 12:
            transform = data[at + 11]
        elif marker in (_BASELINE, _EXTENDED, _PROGRESSIVE, _LOSSLESS, _JPEG_LS):
            frame, process = data[at:end], marker
        elif marker == _SCAN:
            return _framed(frame, process, transform, data[at:end])
        elif marker == _END:
            raise Malformed("a JPEG stream without an image")
        at = end


def _segment(data: memoryview, at: int) -> tuple[int, int, int]:
    """Give the marker at ``at``, and where its segment begins and ends."""
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise Malformed("a JPEG stream is damaged", offset=at)
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            return marker, at + 4, end
    raise Malformed("a JPEG stream is cut short, or its header is too long", offset=at)


def _framed(frame: memoryview, process: int, transform: int, scan: memoryview) -> Described:
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5] or len(scan) < 2 * (scan[0:1] or b"\0")[0]:
        raise Malformed("a JPEG stream has no frame header")
    bits, rows, columns, samples = unpack_from(">BHHB", frame, 0)
    selection = scan[1 + 2 * scan[0]] if len(scan) > 1 + 2 * scan[0] else 0
    syntax = {
        _BASELINE: "1.2.840.10008.1.2.4.50",
        _EXTENDED: "1.2.840.10008.1.2.4.51",
        _PROGRESSIVE: "1.2.840.10008.1.2.4.55",
        _LOSSLESS: "1.2.840.10008.1.2.4." + ("70" if selection == 1 else "57"),
        _JPEG_LS: "1.2.840.10008.1.2.4." + ("81" if selection else "80"),
    }[process]
    interpretation = "MONOCHROME2"
    if samples == 3:
        is_ycc = process in (_BASELINE, _EXTENDED, _PROGRESSIVE) and transform != 0
        is_halved = frame[7] >> 4 == 2
        interpretation = ("YBR_FULL_422" if is_halved else "YBR_FULL") if is_ycc else "RGB"
    return Described(syntax, rows, columns, samples, bits, False, interpretation)


# --- JPEG 2000 and HTJ2K (ISO 15444-1 A.5, A.6, I.5; ISO 15444-15 A.3)

_JP2: Final = b"\0\0\0\x0cjP  \r\n\x87\n"
_SIZE, _CAPABILITIES, _CODING_STYLE, _TILE = 0xFF51, 0xFF50, 0xFF52, 0xFF90


def _jpeg_2000(data: memoryview, *, is_part_2: bool = False) -> Described:
    start = _codestream(data)
    if bytes(data[start : start + 4]) != b"\xff\x4f\xff\x51":
        raise Malformed("not a JPEG 2000 stream")
    segments: dict[int, memoryview] = {}
    at = start + 2
    while at + 4 <= len(data):
        marker, length = unpack_from(">HH", data, at)
        if marker == _TILE:
            break
        segments.setdefault(marker, data[at + 4 : at + 2 + length])
        at += 2 + max(length, 2)
    size, style = segments.get(_SIZE, b""), segments.get(_CODING_STYLE, b"")
    if len(size) < 37 or len(style) < 10 or len(size) < 36 + 3 * size[35]:
        raise Malformed("a JPEG 2000 stream is cut short, or its header is too long")
    right, bottom, left, top = unpack_from(">IIII", size, 2)
    samples, depth = size[35] | size[34] << 8, size[36]
    is_reversible, is_transformed = style[9] == 1, bool(style[4])
    family = 201 if _CAPABILITIES in segments else 92 if is_part_2 else 90
    number = family if is_reversible else 203 if family == 201 else family + 1
    interpretation = "MONOCHROME2"
    if samples == 3:
        interpretation = ("YBR_RCT" if is_reversible else "YBR_ICT") if is_transformed else "RGB"
    return Described(
        f"1.2.840.10008.1.2.4.{number}",
        bottom - top,
        right - left,
        samples,
        (depth & 0x7F) + 1,
        bool(depth & 0x80),
        interpretation,
        start,
    )


def _part_2(data: memoryview) -> Described:
    return _jpeg_2000(data, is_part_2=True)


def _codestream(data: memoryview) -> int:
    """Where the stream begins in a JP2 file; 0, where there is none around it."""
    if bytes(data[:12]) != _JP2:
        return 0
    at = 0
    while at + 16 <= len(data):
        length, kind = unpack_from(">I4s", data, at)
        size = 16 if length == 1 else 8
        if kind == b"jp2c":
            return at + size
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length < size:
            break
        at += length
    raise Malformed("a JP2 file without a stream, or with too much before it")


# --- those of which only the transfer syntax is told


def _only(number: str) -> Callable[[memoryview], Described]:
    described = Described(f"1.2.840.10008.1.2.{number}")
    return lambda _: described


def _jpeg_xl(data: memoryview) -> Described:
    """Whether it is lossless cannot be told from its header; that it is a JPEG in disguise, can."""
    return Described("1.2.840.10008.1.2.4." + ("111" if b"jbrd" in bytes(data[:4096]) else "112"))


_READERS: Final[Mapping[str, Callable[[memoryview], Described]]] = MappingProxyType(
    {
        "image/jpeg": _jpeg,
        "image/jls": _jpeg,
        "image/x-jls": _jpeg,
        "image/jp2": _jpeg_2000,
        "image/jph": _jpeg_2000,
        "image/jphc": _jpeg_2000,
        "image/jpx": _part_2,
        "image/jxl": _jpeg_xl,
        "image/dicom-rle": _only("5"),
        "image/x-dicom-rle": _only("5"),
        "video/mpeg": _only("4.101"),
        "video/mp4": _only("4.102"),
        "video/h265": _only("4.107"),
    }
)
VIDEOS: Final = frozenset({"video/mpeg", "video/mp4", "video/h265"})
MEDIA_TYPES: Final = frozenset(_READERS)
"""In lower case."""


def describe(media_type: str, data: bytes | memoryview) -> Described:
    """Read the first bytes of a compressed frame, or of a video. Raises: Malformed."""
    view = memoryview(data)
    try:
        return _READERS[media_type](view)
    except (IndexError, ValueError, error) as fault:
        raise Malformed(f"an {media_type} that is damaged at its beginning") from fault
