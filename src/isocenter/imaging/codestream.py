"""What a compressed frame says of itself, read from its first bytes without decoding.

A codec is asked only after its stream's own dimensions were found to be the image's: decoders take
memory, or hang, for what a broken stream claims. What came with a media type and without a data set
is described from its stream alone (``describe``; PS3.5 8.2, PS3.18 Table 8.7.3-5).
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from isocenter.errors import Malformed
from isocenter.imaging.pixel_format import PixelFormat

Buffer = bytes | bytearray | memoryview

_START_OF_IMAGE: Final = b"\xff\xd8"
_START_OF_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_JP2_SIGNATURE: Final = b"\0\0\0\x0cjP  "
_JXL_CODESTREAM: Final = b"\xff\x0a"
_JXL_SIGNATURE: Final = b"\0\0\0\x0cJXL "
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAME_MARKERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15 (ISO 10918-1 Table B.1) and SOF55 of JPEG-LS (ISO 14495-1 C.1.1)."""
_MOST_BOXES: Final = 64


@dataclass(frozen=True, slots=True)
class Codestream:
    """The frame header of a stream."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits of a sample."""
    is_signed: bool = False
    process: int = 0
    """JPEG: the SOF marker's second byte."""
    subsampling: tuple[tuple[int, int], ...] = ()
    """JPEG: horizontal and vertical sampling factors of each component."""
    is_colour_transformed: bool = False
    """JPEG 2000: the multiple component transformation was used."""
    is_reversible: bool = True
    """JPEG 2000: by the 5-3 wavelet."""
    has_adobe: int | None = None
    """JPEG: the colour transformation that an Adobe segment names."""
    has_jfif: bool = False
    """JPEG: a JFIF segment says that three components are YCbCr (ISO 10918-5 6.1)."""
    selection: int = 0
    """JPEG, if its scan was looked for: the predictor; JPEG-LS: the allowed error."""
    is_high_throughput: bool = False
    """JPEG 2000: by the block coder of ISO 15444-15."""
    start: int = 0
    """Where the stream begins, in the file of boxes around it."""


def jpeg(data: Buffer, *, to_scan: bool = False) -> Codestream:
    """Read a JPEG or JPEG-LS stream up to its frame header (ISO 10918-1 B.2, ISO 14495-1 C.2).

    ``to_scan``: up to its first scan header. Raises: Malformed.
    """
    view = memoryview(data)
    if bytes(view[:2]) != _START_OF_IMAGE:
        raise Malformed("no JPEG stream: it does not begin with SOI", offset=0)
    adobe, jfif, found = None, False, None
    for marker, segment, at in _segments(view):
        if marker in _FRAME_MARKERS:
            found = replace(_frame_header(segment, marker, at), has_adobe=adobe, has_jfif=jfif)
            if not to_scan:
                return found
        elif marker == 0xDA and found is not None:
            return replace(found, selection=_selection(segment, at), has_adobe=adobe)
        elif marker in (0xDA, 0xD9):
            break
        elif marker == 0xEE and bytes(segment[:5]) == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        elif marker == 0xE0 and bytes(segment[:5]) == b"JFIF\0":
            jfif = True
    raise Malformed("JPEG stream has no frame header")


def _segments(view: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """Give the markers, each with what it heads and where. Raises: Malformed, at the end."""
    at = 2
    while True:
        marker, at = _next_marker(view, at)
        if marker in _STANDALONE:
            continue
        if marker == 0xD9:
            yield marker, view[:0], at
            return
        if at + 2 > len(view):
            raise Malformed("JPEG stream ends before its frame header", offset=at)
        (length,) = struct.unpack_from(">H", view, at)
        if length < 2 or at + length > len(view):
            raise Malformed("a JPEG segment is longer than its stream", offset=at)
        yield marker, view[at + 2 : at + length], at
        at += length


def _next_marker(view: memoryview, at: int) -> tuple[int, int]:
    if at >= len(view) or view[at] != 0xFF:
        raise Malformed("JPEG stream has no marker where one should be", offset=at)
    while at < len(view) and view[at] == 0xFF:
        at += 1
    if at >= len(view):
        raise Malformed("JPEG stream ends before its frame header", offset=at)
    return view[at], at + 1


def _selection(segment: memoryview, at: int) -> int:
    """Give Ss of a scan header, which is NEAR in JPEG-LS."""
    place = 1 + 2 * segment[0] if segment else 0
    if not 0 < place < len(segment):
        raise Malformed("JPEG scan header is cut short", offset=at)
    return segment[place]


def _frame_header(segment: memoryview, marker: int, at: int) -> Codestream:
    if len(segment) < 6:
        raise Malformed("JPEG frame header is cut short", offset=at)
    precision, rows, columns, components = struct.unpack_from(">BHHB", segment, 0)
    if len(segment) < 6 + 3 * components or not components:
        raise Malformed("JPEG frame header is cut short", offset=at)
    factors = tuple(
        (segment[7 + 3 * each] >> 4, segment[7 + 3 * each] & 15) for each in range(components)
    )
    return Codestream(
        rows=rows,
        columns=columns,
        components=components,
        precision=precision,
        process=marker,
        subsampling=factors,
    )


def jpeg_2000(data: Buffer) -> Codestream:
    """Read a JPEG 2000 or HTJ2K stream's SIZ, CAP and COD (ISO 15444-1 A.5, A.6; -15 A.3).

    A stream in a JP2 file is found. Raises: Malformed.
    """
    start = _within_boxes(memoryview(data), _JP2_SIGNATURE, b"jp2c")
    view = memoryview(data)[start:]
    if bytes(view[:4]) != _START_OF_CODESTREAM:
        raise Malformed("no JPEG 2000 stream: it does not begin with SOC and SIZ", offset=0)
    if len(view) < 42:
        raise Malformed("JPEG 2000 stream is cut short", offset=len(view))
    right, bottom, left, top = struct.unpack_from(">IIII", view, 8)
    (components,) = struct.unpack_from(">H", view, 40)
    if right <= left or bottom <= top or not components or len(view) < 42 + 3 * components:
        raise Malformed("JPEG 2000 image and tile size is impossible", offset=8)
    style, is_high_throughput = _coding_style(view)
    depths = [view[42 + 3 * each] for each in range(components)]
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=max((depth & 0x7F) + 1 for depth in depths),
        is_signed=bool(depths[0] & 0x80),
        is_colour_transformed=bool(style[4]),
        is_reversible=style[9] == 1,
        is_high_throughput=is_high_throughput,
        start=start,
    )


def _coding_style(view: memoryview) -> tuple[memoryview, bool]:
    """Give the COD segment behind its length, and whether there is a CAP segment before it."""
    at, has_capabilities = 2, False
    while at + 4 <= len(view):
        marker, length = struct.unpack_from(">HH", view, at)
        if marker == 0xFF52 and length >= 12 and at + 2 + length <= len(view):
            return view[at + 4 : at + 2 + length], has_capabilities
        if marker == 0xFF90 or marker < 0xFF00:
            break
        has_capabilities |= marker == 0xFF50
        at += 2 + length
    raise Malformed("JPEG 2000 stream has no coding style", offset=at)


def jpeg_xl(data: Buffer) -> Codestream:
    """Read a JPEG XL stream's size header (ISO 18181-1 D.2); components and precision are not told.

    Raises: Malformed.
    """
    view = memoryview(data)
    view = view[_within_boxes(view, _JXL_SIGNATURE, b"jxlc", b"jxlp") :]
    if bytes(view[:2]) != _JXL_CODESTREAM:
        raise Malformed("no JPEG XL stream: it does not begin with its signature", offset=0)
    bits = int.from_bytes(bytes(view[2:14]), "little")
    reader = _Bits(bits)
    is_small = reader.take(1)
    rows = (reader.take(5) + 1) * 8 if is_small else reader.size()
    ratio = reader.take(3)
    if ratio:
        numerator, denominator = _RATIOS[ratio]
        columns = rows * numerator // denominator
    else:
        columns = (reader.take(5) + 1) * 8 if is_small else reader.size()
    return Codestream(rows=rows, columns=columns, components=0, precision=0)


_RATIOS: Final = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


class _Bits:
    def __init__(self, bits: int) -> None:
        self._bits = bits

    def take(self, count: int) -> int:
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        return value

    def size(self) -> int:
        return self.take((9, 13, 18, 30)[self.take(2)]) + 1


def _within_boxes(view: memoryview, signature: bytes, *kinds: bytes) -> int:
    """Give where the first box of one of ``kinds`` has its content; 0, if this is no such file."""
    if bytes(view[: len(signature)]) != signature:
        return 0
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(view):
            break
        length, kind = struct.unpack_from(">I4s", view, at)
        header = 8
        if length == 1 and at + 16 <= len(view):
            (length,) = struct.unpack_from(">Q", view, at + 8)
            header = 16
        elif length == 0:
            length = len(view) - at
        if length < header:
            break
        if kind in kinds:
            return at + header + (4 if kind == b"jxlp" else 0)
        at += length
    raise Malformed("the file around the stream holds no stream", offset=at)


def must_fit(stream: Codestream, form: PixelFormat) -> None:
    """Raises: Malformed, unless the stream holds an image of that form."""
    if (stream.rows, stream.columns) != (form.rows, form.columns):
        raise Malformed(
            f"the stream holds {stream.rows} rows and {stream.columns} columns"
            f" where the image has {form.rows} and {form.columns}"
        )
    if stream.components and stream.components != form.samples_per_pixel:
        raise Malformed(
            f"the stream holds {stream.components} components"
            f" where the image has {form.samples_per_pixel} samples per pixel"
        )
    if stream.precision > form.bits_allocated:
        raise Malformed(
            f"the stream holds samples of {stream.precision} bits"
            f" where the image allocates {form.bits_allocated}"
        )


# --- what comes with a media type and without a data set

LOOKED_AT: Final = 1 << 16
"""Bytes of a stream that are enough, but for streams with large segments before their header."""
_BASELINE, _LOSSLESS, _JPEG_LS = 0xC0, 0xC3, 0xF7
_DCT: Final = {_BASELINE: 50, 0xC1: 51, 0xC2: 55}
"""The last number of the transfer syntax, by the marker of the process."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a stream's header says of the image (PS3.3 C.7.6.3)."""

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


def _described(stream: Codestream, number: int, colours: str) -> Described:
    return Described(
        f"1.2.840.10008.1.2.4.{number}",
        stream.rows,
        stream.columns,
        stream.components,
        stream.precision,
        stream.is_signed,
        colours if stream.components == 3 else "MONOCHROME2",
        stream.start,
    )


def _describe_jpeg(data: memoryview) -> Described:
    stream = jpeg(data, to_scan=True)
    is_ycc = stream.process in _DCT and stream.has_adobe != 0
    is_halved = stream.subsampling[0][0] == 2
    colours = ("YBR_FULL_422" if is_halved else "YBR_FULL") if is_ycc else "RGB"
    if stream.process == _JPEG_LS:
        number = 81 if stream.selection else 80
    elif stream.process == _LOSSLESS:
        number = 70 if stream.selection == 1 else 57
    elif stream.process in _DCT:
        number = _DCT[stream.process]
    else:
        raise Malformed("a JPEG process that no transfer syntax is for")
    return _described(stream, number, colours)


def _describe_jpeg_2000(data: memoryview, *, is_part_2: bool = False) -> Described:
    stream = jpeg_2000(data)
    family = 201 if stream.is_high_throughput else 92 if is_part_2 else 90
    lossy = 203 if stream.is_high_throughput else family + 1
    colours = "RGB"
    if stream.is_colour_transformed:
        colours = "YBR_RCT" if stream.is_reversible else "YBR_ICT"
    return _described(stream, family if stream.is_reversible else lossy, colours)


def _describe_part_2(data: memoryview) -> Described:
    return _describe_jpeg_2000(data, is_part_2=True)


def _only(number: str) -> Callable[[memoryview], Described]:
    """Only the transfer syntax is told."""
    described = Described(f"1.2.840.10008.1.2.{number}")
    return lambda _: described


def _describe_jpeg_xl(data: memoryview) -> Described:
    """Whether it is lossless cannot be told from its header; that it is a JPEG in disguise, can."""
    return Described("1.2.840.10008.1.2.4." + ("111" if b"jbrd" in bytes(data[:4096]) else "112"))


_READERS: Final[Mapping[str, Callable[[memoryview], Described]]] = MappingProxyType(
    {
        "image/jpeg": _describe_jpeg,
        "image/jls": _describe_jpeg,
        "image/x-jls": _describe_jpeg,
        "image/jp2": _describe_jpeg_2000,
        "image/jph": _describe_jpeg_2000,
        "image/jphc": _describe_jpeg_2000,
        "image/jpx": _describe_part_2,
        "image/jxl": _describe_jpeg_xl,
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


def describe(media_type: str, data: Buffer) -> Described:
    """Read the first bytes of a compressed frame, or of a video. Raises: Malformed."""
    try:
        return _READERS[media_type](memoryview(data))
    except (IndexError, ValueError, struct.error) as fault:
        raise Malformed(f"an {media_type} that is damaged at its beginning") from fault
