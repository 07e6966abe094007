"""One pass over a data set that arrives in pieces: the hot path of ingest.

It walks to the very end, so that what was cut short or is nonsense is noticed, but looks only at
headers, and keeps only what was asked for. Values and items of known length are stepped over.
"""

from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from isocenter.dicom.dictionary import dictionary_vr, plain_vr
from isocenter.dicom.inflation import Inflater
from isocenter.dicom.layout import (
    DEFAULT_LIMITS,
    DELIMITERS,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    PIXEL_DATA_TAGS,
    PIXEL_REPRESENTATION,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Buffer,
    Header,
    Layout,
    Limits,
    is_replaceable,
    layout_of,
    read_header,
    settle,
    settle_items,
)
from isocenter.dicom.syntax import TransferSyntax
from isocenter.errors import Malformed

SMALL: Final = 1 << 17
"""Up to this size a piece is copied rather than viewed: slices of ``bytes`` are quicker."""


EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
WATCHED: Final = PIXEL_DATA_TAGS | {PIXEL_REPRESENTATION}
"""Noticed whether wanted or not."""
ONE_VR: Final = frozenset(SHORT_VRS.values()) | {"OB", "OD", "OF", "OW", "UC", "UR", "UT"}
"""Of these, the dictionary's word is final."""


class RawValue(NamedTuple):
    """A value as received: not decoded, padding included.

    Of a sequence, all its items, without the delimiter at the end.
    """

    vr: str
    value: bytes


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixel data lies; offsets are in bytes from the start of the (inflated) data set."""

    tag: int
    vr: str
    offset: int
    """Of the value: the byte behind the header."""
    length: int | None
    """None where it is encapsulated."""
    fragments: "array[int]"
    """Offsets of the items (their tags) of encapsulated pixel data, the offset table's first."""


class _Recording(NamedTuple):
    tag: int
    vr: str
    depth: int
    """Of the sequence that ends it, or -1: it ends when ``_skip`` has run out."""
    kept: bytearray


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is wanted, by raw tag, as the inmost loops meet them."""

    tags: dict[int, int]
    implicit: dict[int, tuple[int, str]]
    """Tag and VR, where the dictionary is sure of it."""
    special: frozenset[int]
    """What takes more thought in implicit VR."""


NOTHING: Final = _Plan({}, {}, frozenset())


@lru_cache(maxsize=32)
def _plan(wanted: frozenset[int], is_little_endian: bool) -> _Plan:
    """Prepare for a set of tags. There are few such sets: each is written in the code somewhere."""
    raw = (EXPLICIT_LITTLE if is_little_endian else EXPLICIT_BIG).raw
    vrs = {tag: dictionary_vr(tag) for tag in wanted}
    sure = {tag: vr for tag, vr in vrs.items() if vr in ONE_VR}
    return _Plan(
        tags={raw(tag): tag for tag in wanted},
        implicit={raw(tag): (tag, vr) for tag, vr in sure.items()},
        special=frozenset(raw(tag) for tag in (wanted - set(sure)) | WATCHED),
    )


class Scanner:
    """Feed it the pieces of one data set, then ``finish``; read ``values`` at any time.

    ``values`` holds the wanted top-level elements met so far, by tag. Of a tag that comes twice,
    the last one holds. Elements of VR UN that the dictionary knows are given its VR.
    """

    def __init__(
        self, syntax: TransferSyntax, wanted: frozenset[int], *, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.values: dict[int, RawValue] = {}
        self.too_long: dict[int, int] = {}
        """Wanted elements with a value beyond ``limits.value_size``; its length as encoded."""
        self.pixel_data: PixelData | None = None
        self.end_of_fragments: int | None = None
        """Where the delimiter of encapsulated pixel data begins, once it was met."""
        self.has_extended_offset_table = False
        self._limits = limits
        self._inflater = Inflater(limits) if syntax.is_deflated else None
        self._layout = layout_of(syntax)
        self._is_fresh = True  # the layout is yet to be settled by the element to come
        self._in_items = False  # an item is expected, not an element
        self._stack: list[tuple[Layout, bool]] = []  # of the data sets around, and: are fragments
        self._wanted = wanted
        self._plan = _plan(wanted, self._layout.is_little_endian)
        self._is_signed = False
        self._notes_fragments = False
        self._carry = b""
        self._base = 0  # how many bytes of the data set lie before the buffer at hand
        self._skip = 0  # bytes to step over
        self._recording: _Recording | None = None

    @property
    def size(self) -> int:
        """Bytes of the (inflated) data set so far."""
        return self._base + len(self._carry)

    def feed(self, piece: Buffer) -> None:
        """Go on with the next bytes. Raises: Malformed, with its byte in what was received."""
        if self._inflater is None:
            self._take(piece)
            return
        for step in self._inflater.feed(piece):
            try:
                self._take(step)
            except Malformed as error:
                reason = f"{error.reason} at byte {error.offset} of the inflated data set"
                raise Malformed(reason, offset=self._inflater.received) from error

    def finish(self) -> None:
        """Say that the data set is complete. Raises: Malformed, if it is not."""
        if self._inflater is not None:
            self._inflater.finish()
        if self._skip or self._stack or any(self._carry):
            at = self._inflater.received if self._inflater else self.size
            raise Malformed("data set is cut short", offset=at)

    @property
    def layout(self) -> Layout:
        """The layout the data set really has; what ``values`` are to be read by."""
        return self._stack[0][0] if self._stack else self._layout

    def _take(self, piece: Buffer) -> None:
        size = len(piece)
        if self._skip >= size and self._recording is None:
            self._skip -= size
            self._base += size
            return
        if self._carry:
            piece = self._carry + piece
        elif size <= SMALL:
            piece = bytes(piece)
        done = self._run(piece, len(piece))
        if self._recording is not None:
            self._record(piece, done)
        self._carry = bytes(piece[done:])
        self._base += done

    def _run(self, data: Buffer, end: int) -> int:
        """Walk as far as the bytes reach; give where the first undecided header begins."""
        at = 0
        while True:
            if self._skip:
                step = min(self._skip, end - at)
                self._skip -= step
                at += step
                if self._skip:
                    return at
                if self._recording is not None and self._recording.depth < 0:
                    self._keep(data, at)
            if not self._is_fresh and not self._in_items:
                if not self._layout.is_implicit:
                    at = self._short_elements(data, at, end)
                elif self._layout.is_little_endian:
                    at = self._implicit_elements(data, at, end)
            following = self._step(data, at, end)
            if following is None:
                return at
            at = following

    def _short_elements(self, data: Buffer, at: int, end: int) -> int:
        """Walk the commonest elements: explicit VR, short length, all there. The inmost loop."""
        unpack = self._layout.explicit.unpack_from
        vrs = SHORT_VRS
        wanted = {} if self._stack else self._plan.tags
        longest = self._limits.value_size
        last = end - 8
        while at <= last:
            raw, vr, length = unpack(data, at)
            if vr not in vrs:
                break
            value = at + 8
            following = value + length
            if following > end:
                break
            if raw in wanted:
                if length > longest:
                    break
                self.values[wanted[raw]] = RawValue(vrs[vr], bytes(data[value:following]))
            at = following
        return at

    def _implicit_elements(self, data: Buffer, at: int, end: int) -> int:
        """Walk elements in implicit VR that are all there and in no way special."""
        unpack = self._layout.implicit.unpack_from
        plan = NOTHING if self._stack else self._plan
        special, wanted = plan.special, plan.implicit
        longest = self._limits.value_size
        last = end - 8
        while at <= last:
            raw, length = unpack(data, at)
            following = at + 8 + length
            if following > end or raw & 0xFFFF == DELIMITERS or raw in special:
                break
            if raw in wanted:
                if length > longest:
                    break
                tag, vr = wanted[raw]
                self.values[tag] = RawValue(vr, bytes(data[at + 8 : following]))
            at = following
        return at

    def _step(self, data: Buffer, at: int, end: int) -> int | None:
        """Walk one header of any kind; give where to go on, or None where bytes are missing."""
        if end - at < 8:
            return None
        if self._is_fresh:
            self._is_fresh = False
            if self._in_items:
                self._layout = settle_items(self._layout, data, at)
            else:
                self._layout = settle(self._layout, data, at, is_item=bool(self._stack))
        header = read_header(data, at, end, self._layout)
        if header is None:
            return None
        if self._in_items:
            return self._on_item(header, data, at)
        if header.tag >> 16 == DELIMITERS:
            return self._on_delimiter(header, at)
        return self._on_element(header, data, at, end)

    def _on_item(self, header: Header, data: Buffer, at: int) -> int:
        following = at + 8
        outer, is_fragments = self._stack[-1]
        if header.tag == SEQUENCE_END:
            self._stack.pop()
            if is_fragments and self._notes_fragments and not self._stack:
                self.end_of_fragments = self._base + at
            if self._recording is not None and self._recording.depth == len(self._stack):
                self._keep(data, at)
            self._layout, self._in_items = outer, False
        elif header.tag != ITEM:
            raise Malformed("an item was expected", offset=self._base + at)
        elif header.length != UNDEFINED:
            if is_fragments:
                self._note_fragment(at)
            self._skip = header.length
        elif is_fragments:
            raise Malformed("a fragment without a length", offset=self._base + at)
        else:
            self._stack.append((self._layout, False))
            self._in_items, self._is_fresh = False, True
        return following

    def _on_delimiter(self, header: Header, at: int) -> int:
        """End an item. What stands in a data set's middle without a meaning ends nothing."""
        if header.tag != ITEM_END or not self._stack:
            raise Malformed("an item or delimiter where none can be", offset=self._base + at)
        self._layout, _ = self._stack.pop()
        self._in_items = True
        return at + 8

    def _on_element(self, header: Header, data: Buffer, at: int, end: int) -> int:
        tag, vr, length, size = header
        value = at + size
        if not self._stack:
            self._notes_fragments = tag in PIXEL_DATA_TAGS
            if self._notes_fragments:
                self._note_pixel_data(header, value)
            if tag == EXTENDED_OFFSET_TABLE:
                self.has_extended_offset_table = True
            if tag == PIXEL_REPRESENTATION and end - value >= 2:
                self._is_signed = any(data[value : value + 2])
        is_wanted = not self._stack and tag in self._wanted
        if length == UNDEFINED:
            if is_wanted:
                self._start(tag, self._vr(tag, vr, 0), value, len(self._stack))
            self._descend(tag, vr, at)
            return value
        if not is_wanted:
            self._skip = length
        elif length > self._limits.value_size:
            self._forget(tag, length)
            self._skip = length
        elif value + length <= end:
            known = self._vr(tag, vr, length)
            self.values[tag] = RawValue(known, bytes(data[value : value + length]))
            return value + length
        else:
            self._start(tag, self._vr(tag, vr, length), value, -1)
            self._skip = length
        return value

    def _descend(self, tag: int, vr: str | None, at: int) -> None:
        if len(self._stack) >= 2 * self._limits.nesting:
            raise Malformed("sequences are nested too deep", offset=self._base + at)
        known = vr or dictionary_vr(tag)
        self._stack.append((self._layout, known not in (None, "SQ", "UN")))
        self._in_items = self._is_fresh = True

    def _start(self, tag: int, vr: str, value: int, depth: int) -> None:
        """Record from ``value`` on, an index into the buffer at hand."""
        self._recording = _Recording(tag, vr, depth, bytearray())
        self._record_from = self._base + value

    def _record(self, data: Buffer, until: int) -> None:
        """Keep what lies between the recording's last byte and ``until`` in the buffer at hand."""
        recording = self._recording
        start = self._record_from - self._base
        if recording is None or start >= until:
            return
        self._record_from = self._base + until
        kept = recording.kept
        if len(kept) + until - start > self._limits.value_size:
            self._forget(recording.tag, UNDEFINED)
            self._recording = None
            return
        kept += data[start:until]

    def _keep(self, data: Buffer, until: int) -> None:
        self._record(data, until)
        if self._recording is not None:
            tag, vr, _, kept = self._recording
            self.values[tag] = RawValue(vr, bytes(kept))
            self._recording = None

    def _forget(self, tag: int, length: int) -> None:
        self.values.pop(tag, None)
        self.too_long[tag] = length

    def _vr(self, tag: int, vr: str | None, length: int) -> str:
        if vr is not None and not is_replaceable(vr, length, self._layout):
            return vr
        return plain_vr(tag, is_signed=self._is_signed)

    def _note_pixel_data(self, header: Header, value: int) -> None:
        length = None if header.length == UNDEFINED else header.length
        vr = header.vr or "OW"
        self.pixel_data = PixelData(header.tag, vr, self._base + value, length, array("Q"))

    def _note_fragment(self, at: int) -> None:
        pixel_data = self.pixel_data
        if pixel_data is None or not self._notes_fragments or len(self._stack) > 1:
            return
        if len(pixel_data.fragments) < self._limits.fragments:
            pixel_data.fragments.append(self._base + at)
