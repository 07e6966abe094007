"""What a compressed frame says of itself, read from its first bytes without decoding.

A codec is asked only after its stream's own dimensions were found to be the image's: decoders take
memory, or hang, for what a broken stream claims.
"""

import struct
from dataclasses import dataclass, replace
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


def jpeg(data: Buffer) -> Codestream:
    """Read a JPEG or JPEG-LS stream up to its frame header. Raises: Malformed."""
    view = memoryview(data)
    if bytes(view[:2]) != _START_OF_IMAGE:
        raise Malformed("no JPEG stream: it does not begin with SOI", offset=0)
    at, adobe, jfif = 2, None, False
    while True:
        marker, at = _next_marker(view, at)
        if marker in _STANDALONE:
            continue
        if at + 2 > len(view):
            raise Malformed("JPEG stream ends before its frame header", offset=at)
        (length,) = struct.unpack_from(">H", view, at)
        segment = view[at + 2 : at + length]
        if length < 2 or at + length > len(view):
            raise Malformed("a JPEG segment is longer than its stream", offset=at)
        if marker in _FRAME_MARKERS:
            return replace(_frame_header(segment, marker, at), has_adobe=adobe, has_jfif=jfif)
        if marker in (0xDA, 0xD9):
            raise Malformed("JPEG stream has no frame header", offset=at)
        if marker == 0xEE and bytes(segment[:5]) == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        if marker == 0xE0 and bytes(segment[:5]) == b"JFIF\0":
            jfif = True
        at += length


def _next_marker(view: memoryview, at: int) -> tuple[int, int]:
    if at >= len(view) or view[at] != 0xFF:
        raise Malformed("JPEG stream has no marker where one should be", offset=at)
    while at < len(view) and view[at] == 0xFF:
        at += 1
    if at >= len(view):
        raise Malformed("JPEG stream ends before its frame header", offset=at)
    return view[at], at + 1


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
    """Read a JPEG 2000 or HTJ2K stream's SIZ and COD (ISO 15444-1 A.5.1, A.6.1).

    A stream in a JP2 file is found. Raises: Malformed.
    """
    view = _unboxed(memoryview(data), _JP2_SIGNATURE, b"jp2c")
    if bytes(view[:4]) != _START_OF_CODESTREAM:
        raise Malformed("no JPEG 2000 stream: it does not begin with SOC and SIZ", offset=0)
    if len(view) < 42:
        raise Malformed("JPEG 2000 stream is cut short", offset=len(view))
    right, bottom, left, top = struct.unpack_from(">IIII", view, 8)
    (components,) = struct.unpack_from(">H", view, 40)
    if right <= left or bottom <= top or not components or len(view) < 42 + 3 * components:
        raise Malformed("JPEG 2000 image and tile size is impossible", offset=8)
    style = _coding_style(view)
    depths = [view[42 + 3 * each] for each in range(components)]
    return Codestream(
        rows=bottom - top,
        columns=right - left,
        components=components,
        precision=max((depth & 0x7F) + 1 for depth in depths),
        is_signed=bool(depths[0] & 0x80),
        is_colour_transformed=bool(style[4]),
        is_reversible=style[9] == 1,
    )


def _coding_style(view: memoryview) -> memoryview:
    """Give the COD segment behind its length."""
    at = 2
    while at + 4 <= len(view):
        marker, length = struct.unpack_from(">HH", view, at)
        if marker == 0xFF52 and length >= 12 and at + 2 + length <= len(view):
            return view[at + 4 : at + 2 + length]
        if marker == 0xFF90 or marker < 0xFF00:
            break
        at += 2 + length
    raise Malformed("JPEG 2000 stream has no coding style", offset=at)


def jpeg_xl(data: Buffer) -> Codestream:
    """Read a JPEG XL stream's size header (ISO 18181-1 D.2); components and precision are not told.

    Raises: Malformed.
    """
    view = _unboxed(memoryview(data), _JXL_SIGNATURE, b"jxlc", b"jxlp")
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


def _unboxed(view: memoryview, signature: bytes, *kinds: bytes) -> memoryview:
    """Give the first box of one of ``kinds``, or all of it where it is no file of boxes."""
    if bytes(view[: len(signature)]) != signature:
        return view
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
            start = at + header + (4 if kind == b"jxlp" else 0)
            return view[start : at + length]
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
