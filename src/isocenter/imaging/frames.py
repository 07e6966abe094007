"""Where each frame of an instance lies, whatever its size: found without reading the others.

``locate`` finds out once for an instance. What it gives holds for as long as the instance is what
it is, and can be kept (``to_bytes``). ``frame_bytes`` reads a frame.

Source: PS3.3 C.7.6.3, C.7.6.6, C.7.6.24; PS3.5 8.1, 8.2, A.4.
"""

import sys
from array import array
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from struct import Struct
from typing import Final, Self

from isocenter.dicom.layout import (
    BITS_ALLOCATED,
    DEFAULT_LIMITS,
    ITEM,
    PIXEL_DATA_TAGS,
    Limits,
)
from isocenter.dicom.scanner import EXTENDED_OFFSET_TABLE, Scanner
from isocenter.dicom.syntax import GE_PRIVATE_IMPLICIT_BIG_ENDIAN_PIXELS, TransferSyntax
from isocenter.dicom.values import WORD_SIZES, decode, ordered_as
from isocenter.dicom.windowed import Place, Reader, Walk
from isocenter.errors import Malformed, NotFound
from isocenter.imaging import encapsulation
from isocenter.imaging.encapsulation import HEADER_SIZE, ITEM_HEADER
from isocenter.imaging.frame_bytes import Frame, cut
from isocenter.imaging.native import SHARED_CHROMA

SAMPLES_PER_PIXEL: Final = 0x00280002
PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
NUMBER_OF_FRAMES: Final = 0x00280008
ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002

_DEFAULTS: Final = {
    SAMPLES_PER_PIXEL: 1,
    NUMBER_OF_FRAMES: 1,
    ROWS: 0,
    COLUMNS: 0,
    BITS_ALLOCATED: 0,
}
"""What tells the size of a frame, and what it counts as where it is absent, empty or 0."""
_FLOATS: Final = {0x7FE00008: 32, 0x7FE00009: 64}
"""Float and Double Float Pixel Data, and the bits of a sample."""
_TABLES: Final = frozenset({EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS})
_TOLD_BY: Final = _TABLES | PIXEL_DATA_TAGS | {PHOTOMETRIC_INTERPRETATION, *_DEFAULTS}
LONGEST_NUMBER: Final = 16
"""Bytes of such an attribute's value that can mean something."""
MOST_FRAMES: Final = 2**31 - 1
"""What an IS can say (PS3.5 6.2)."""

_VIDEO: Final = "1.2.840.10008.1.2.4.10"
"""How the UIDs of MPEG-2, H.264 and HEVC begin."""
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"

_KEPT: Final = Struct("<4sBBcxIIIQQQQ")
_MAGIC: Final = b"IFM1"


def is_video(transfer_syntax: str) -> bool:
    """Whether frames are one stream in it."""
    return transfer_syntax.startswith(_VIDEO)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMap:
    """Where the frames of one instance lie; offsets are from the start of its (inflated) data set.

    Frames are numbered from 1.
    """

    tag: int
    count: int
    start: int
    """Of native pixel data: where its value begins. Else where the first fragment's item does."""
    end: int
    """Of native pixel data: where its value ends. Else where the delimiter begins."""
    frame_bits: int = 0
    """Of a frame, unless it is compressed."""
    word: int = 1
    """Bytes that change places for little endian."""
    starts: "array[int]" = field(default_factory=lambda: array("Q"))
    """Where the first item of each frame begins; last, where the last frame ends."""
    lengths_at: int = 0
    """Where the Extended Offset Table Lengths lie; 0 where there are none to go by."""
    is_encapsulated: bool = False
    is_video: bool = False
    """The frames are one stream and cannot be had one by one (PS3.5 8.2.5 and following)."""
    is_told: bool = False
    """By an offset table, which may yet turn out to be wrong."""

    @property
    def memory(self) -> int:
        """Bytes it takes, roughly."""
        return 400 + 8 * len(self.starts)

    def frame(self, reader: Reader, number: int) -> Frame:
        """Find a frame. Raises: NotFound, for a number there is none of; Malformed."""
        if not 1 <= number <= self.count:
            raise NotFound(f"there is no frame {number}: the instance has {self.count}")
        if self.is_video:
            raise NotFound(
                "the frames of a video are one stream: retrieve its pixel data, which frame 1 "
                "stands for, or frames as pictures (rendered)"
            )
        if not self.is_encapsulated:
            return self._native(number)
        frame = joined(reader, self.starts[number - 1], self.starts[number])
        if self.lengths_at:
            frame = self._without_padding(reader, number, frame)
        if self.frame_bits:
            frame = cut(frame, _bytes(self.frame_bits))
        return frame

    def whole(self, reader: Reader) -> Frame:
        """Give all the frames in one: native ones without padding behind, else all fragments."""
        if self.is_encapsulated:
            return joined(reader, self.start, self.end)
        end = min(self.end, self.start + _bytes(self.frame_bits * self.count))
        span = array("Q", (self.start, end))
        return Frame(span, end - self.start, word=self.word, words_from=self.start)

    def _native(self, number: int) -> Frame:
        first = self.frame_bits * (number - 1)
        start, shift = self.start + first // 8, first % 8
        end = self.start + _bytes(first + self.frame_bits)
        if end > self.end:
            raise Malformed(f"frame {number} is cut short", offset=start)
        bits = self.frame_bits if shift or self.frame_bits % 8 else 0
        size = _bytes(self.frame_bits)
        return Frame(array("Q", (start, end)), size, shift, bits, self.word, self.start)

    def _without_padding(self, reader: Reader, number: int, frame: Frame) -> Frame:
        at = self.lengths_at + 8 * (number - 1)
        length = int.from_bytes(reader.window(at, at + 8), "little")
        if not frame.is_single or frame.size - length not in (0, 1):
            raise Malformed(f"frame {number} has not the length that its table tells", offset=at)
        return cut(frame, length)

    def to_bytes(self) -> bytes:
        """Write it, to be kept."""
        lengths = [end - start for start, end in pairwise(self.starts)]
        code = "I" if max(lengths, default=0) < 1 << 32 else "Q"
        flags = self.is_encapsulated | self.is_video << 1 | self.is_told << 2
        numbers = (self.start, self.end, self.frame_bits, self.lengths_at)
        counts = (self.tag, self.count, len(lengths))
        head = _KEPT.pack(_MAGIC, flags, self.word, code.encode(), *counts, *numbers)
        return head + _little_endian(array(code, lengths)).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what ``to_bytes`` wrote. Raises: Malformed."""
        if len(data) < _KEPT.size or not data.startswith(_MAGIC):
            raise Malformed("not a map of frames")
        _, flags, word, code, tag, count, known, start, end, frame_bits, lengths_at = (
            _KEPT.unpack_from(data)
        )
        lengths = array("I" if code == b"I" else "Q")
        if len(data) != _KEPT.size + known * lengths.itemsize:
            raise Malformed("not a map of frames")
        lengths.frombytes(data[_KEPT.size :])
        starts = accumulate(_little_endian(lengths), initial=start) if known else ()
        return cls(
            tag=tag,
            count=count,
            start=start,
            end=end,
            frame_bits=frame_bits,
            word=word,
            starts=array("Q", starts),
            lengths_at=lengths_at,
            is_encapsulated=bool(flags & 1),
            is_video=bool(flags & 2),
            is_told=bool(flags & 4),
        )


def locate(walk: Walk, syntax: TransferSyntax, *, limits: Limits = DEFAULT_LIMITS) -> FrameMap:
    """Find out where the frames lie. They are to be read from ``walk.reader``.

    Raises: NotFound, if there is no pixel data; Malformed.
    """
    found = _Description(walk.reader, syntax, limits)
    for place in walk.elements(_TOLD_BY):
        if place.tag in PIXEL_DATA_TAGS:
            return found.map(place)
        found.notice(place)
    raise NotFound("the instance has no pixel data")


def seen(scanner: Scanner, syntax: TransferSyntax) -> FrameMap | None:
    """Give the map that a scan of the data set has shown already.

    None, unless it could only be had by another pass over all fragments, of which each is a frame.
    """
    pixels, end = scanner.pixel_data, scanner.end_of_fragments
    if pixels is None or end is None or len(pixels.fragments) < 2:
        return None
    has_table = scanner.has_extended_offset_table or pixels.fragments[1] > pixels.offset + 8
    count = scanner.values.get(NUMBER_OF_FRAMES)
    is_told_otherwise = is_video(syntax.uid) or syntax.uid == ENCAPSULATED_UNCOMPRESSED
    if has_table or is_told_otherwise or count is None:
        return None
    starts = pixels.fragments[1:]
    if count.value.strip(b" \0") != str(len(starts)).encode():
        return None
    starts.append(end)
    return FrameMap(
        tag=pixels.tag,
        count=len(starts) - 1,
        start=starts[0],
        end=end,
        starts=starts,
        is_encapsulated=True,
    )


def repaired(found: FrameMap, reader: Reader, *, limits: Limits = DEFAULT_LIMITS) -> FrameMap:
    """Locate anew, without the offset table that ``found`` went by. Raises: Malformed."""
    starts = encapsulation.by_pass(reader, found.start, found.count, limits=limits)
    return replace(found, starts=starts, end=starts[-1], lengths_at=0, is_told=False)


def joined(reader: Reader, start: int, end: int) -> Frame:
    """Give the fragments between two items as one. Raises: Malformed, if they do not fit there."""
    spans = array("Q")
    size = 0
    for at, length in encapsulation.items(reader, start, until=end):
        if length > 0:
            spans.extend((at + HEADER_SIZE, at + HEADER_SIZE + length))
            size += length
    return Frame(spans, size)


def first_fragment(reader: Reader, at: int) -> int:
    """Give where the item behind the Basic Offset Table begins, which is at ``at``.

    Raises: Malformed, if there is no table, not even an empty one.
    """
    head = reader.window(at, at + HEADER_SIZE)
    if len(head) < HEADER_SIZE:
        raise Malformed("pixel data is cut short", offset=at)
    group, element, length = ITEM_HEADER.unpack(head)
    first = at + HEADER_SIZE + int(length)
    if group << 16 | element != ITEM or first > reader.size:
        raise Malformed("an offset table was expected", offset=at)
    return first


class _Description:
    """What the data set says of its pixels, as far as the walk has come."""

    def __init__(self, reader: Reader, syntax: TransferSyntax, limits: Limits) -> None:
        self._reader = reader
        self._syntax = syntax
        self._limits = limits
        self._numbers = dict(_DEFAULTS)
        self._photometric = ""
        self._tables: dict[int, Place] = {}

    def notice(self, place: Place) -> None:
        """Take note of an attribute that tells something of the pixels. Raises: Malformed."""
        if place.tag in self._numbers:
            self._numbers[place.tag] = self._number(place) or _DEFAULTS[place.tag]
        elif place.tag == PHOTOMETRIC_INTERPRETATION:
            self._photometric = self._value(place).decode("latin-1").strip(" \0")
        elif place.tag in _TABLES:
            self._tables[place.tag] = place

    def map(self, place: Place) -> FrameMap:
        """Map the pixel data at ``place``. Raises: Malformed."""
        if place.is_encapsulated != self._syntax.is_encapsulated:
            are = "are" if place.is_encapsulated else "are not"
            reason = f"the pixels {are} encapsulated, other than the transfer syntax says"
            raise Malformed(reason, offset=place.offset)
        if self._numbers[NUMBER_OF_FRAMES] > MOST_FRAMES:
            raise Malformed("more frames than a Number of Frames can tell", offset=place.offset)
        return self._encapsulated(place) if place.is_encapsulated else self._native(place)

    def _native(self, place: Place) -> FrameMap:
        length = place.length or 0
        frame_bits = self._frame_bits(_FLOATS.get(place.tag), length)
        if not 0 < frame_bits <= 8 * length:
            reason = f"a frame takes {_bytes(frame_bits)} bytes, the pixel data has {length}"
            raise Malformed(reason, offset=place.offset)
        return FrameMap(
            tag=place.tag,
            count=self._numbers[NUMBER_OF_FRAMES],
            start=place.offset,
            end=place.offset + length,
            frame_bits=frame_bits,
            word=self._word(place),
        )

    def _encapsulated(self, place: Place) -> FrameMap:
        count = self._numbers[NUMBER_OF_FRAMES]
        first = first_fragment(self._reader, place.offset)
        found = FrameMap(
            tag=place.tag,
            count=count,
            start=first,
            end=first,
            is_encapsulated=True,
            is_video=is_video(self._syntax.uid),
        )
        if found.is_video:
            *_, (end, _) = encapsulation.items(self._reader, first, limits=self._limits)
            return replace(found, end=end)
        if self._syntax.uid == ENCAPSULATED_UNCOMPRESSED:
            frame_bits = min(self._frame_bits(None), 8 * self._reader.size)
            found = replace(found, frame_bits=frame_bits)
        told = self._by_extended_table(found) or self._by_basic_table(found, place.offset)
        return told or repaired(found, self._reader, limits=self._limits)

    def _by_extended_table(self, found: FrameMap) -> FrameMap | None:
        """Go by the Extended Offset Table (PS3.3 C.7.6.3.1.8), if it can be true."""
        offsets = self._tables.get(EXTENDED_OFFSET_TABLE)
        lengths = self._tables.get(EXTENDED_OFFSET_TABLE_LENGTHS)
        size = 8 * found.count
        if offsets is None or lengths is None or {offsets.length, lengths.length} != {size}:
            return None
        table = self._table("Q", offsets.offset, size)
        told = self._by_table(found, table)
        return told and replace(told, lengths_at=lengths.offset)

    def _by_basic_table(self, found: FrameMap, at: int) -> FrameMap | None:
        """Go by the Basic Offset Table (PS3.5 A.4), if there is one and it can be true."""
        length = found.start - at - HEADER_SIZE
        if length != 4 * found.count:
            return None
        return self._by_table(found, self._table("I", at + HEADER_SIZE, length))

    def _by_table(self, found: FrameMap, table: "array[int]") -> FrameMap | None:
        starts = encapsulation.by_table(self._reader, found.start, table, found.count)
        if starts is None:
            return None
        return replace(found, starts=starts, end=starts[-1], is_told=True)

    def _table(self, code: str, at: int, size: int) -> "array[int]":
        table = array(code)
        data = self._reader.window(at, at + size)
        if len(data) == size:
            table.frombytes(data)
        return _little_endian(table)

    def _frame_bits(self, bits: int | None, length: int = 0) -> int:
        """Bits of a frame; ``length``: bytes of all frames, if that is known."""
        numbers = self._numbers
        plane = numbers[ROWS] * numbers[COLUMNS] * (bits or numbers[BITS_ALLOCATED])
        whole = plane * numbers[SAMPLES_PER_PIXEL]
        if self._photometric not in SHARED_CHROMA:
            return whole
        # Peer quirk: named so, but with chroma for every pixel
        return whole if 8 * length >= whole * numbers[NUMBER_OF_FRAMES] else plane * 2

    def _word(self, place: Place) -> int:
        """Bytes that change places for little endian."""
        is_little = place.layout.is_little_endian
        if is_little and self._syntax.uid != GE_PRIVATE_IMPLICIT_BIG_ENDIAN_PIXELS:
            return 1
        ordered = ordered_as(place.tag, place.vr, self._numbers[BITS_ALLOCATED])
        return WORD_SIZES.get(ordered, 1)

    def _number(self, place: Place) -> int:
        value = self._value(place)
        is_little = place.layout.is_little_endian
        found = next(iter(decode(place.vr, value, is_little_endian=is_little)), 0)
        if found is None or found == "":
            return 0
        if not isinstance(found, int) or found < 0:
            raise Malformed(f"({place.tag:08X}) is not a count", offset=place.offset)
        return found

    def _value(self, place: Place) -> bytes:
        if place.length is None or place.length > LONGEST_NUMBER:
            reason = f"({place.tag:08X}) is longer than it can be"
            raise Malformed(reason, offset=place.offset)
        return bytes(self._reader.window(place.offset, place.offset + place.length))


def _bytes(bits: int) -> int:
    return (bits + 7) // 8


def _little_endian(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
