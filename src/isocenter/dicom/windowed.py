"""A walk over a data set that need not be in memory: it fetches headers, and passes over values.

For what is to be found in an object of any size. ``elements`` walks what is in memory as a whole,
``scanner`` what arrives in pieces; all three go by the rules of ``layout``.
"""

import threading
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple, Protocol

from isocenter.dicom.dictionary import plain_vr
from isocenter.dicom.elements import is_sequence
from isocenter.dicom.inflation import Inflater
from isocenter.dicom.layout import (
    DEFAULT_LIMITS,
    DELIMITERS,
    IMPLICIT_BIG,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Header,
    Layout,
    Limits,
    is_delimiter,
    is_replaceable,
    layout_of,
    read_header,
    settle,
    settle_items,
)
from isocenter.dicom.paths import AttributePath
from isocenter.dicom.syntax import TransferSyntax
from isocenter.errors import Malformed, NotFound

_STOPS: Final[frozenset[int]] = frozenset()
FIRST_FETCH: Final = 1 << 12
LARGEST_FETCH: Final = 1 << 18
"""Bytes fetched at once: the more, the longer the walk has passed over nothing."""
LONGEST_HEADER: Final = 12


class Reader(Protocol):
    """Bytes that can be had from anywhere: a data set, by offset from its start."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive); fewer, where the data set ends."""


class Place(NamedTuple):
    """An element, and where its value lies."""

    tag: int
    vr: str
    """The encoded one, or the dictionary's where that was absent or UN."""
    offset: int
    """Of the value, in bytes from the start of the (inflated) data set."""
    length: int | None
    """None where a delimiter ends it."""
    layout: Layout
    end: int
    """Of the item around; where that has no length, of the data set."""
    depth: int
    start: int
    """Of the element, in bytes from the start of the (inflated) data set."""

    @property
    def is_encapsulated(self) -> bool:
        """The value consists of fragments (PS3.5 A.4)."""
        return self.length is None and self.vr != "SQ"


class _Level(NamedTuple):
    """A data set or an item: where the walk is within it."""

    at: int
    end: int
    layout: Layout
    depth: int


class Walk:
    """A walk over one data set, once or several times. Its methods raise Malformed, with offset."""

    def __init__(
        self, reader: Reader, syntax: TransferSyntax, *, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self.reader: Reader = Inflated(reader, limits) if syntax.is_deflated else reader
        """Of the data set, inflated."""
        self._layout = layout_of(syntax)
        self._limits = limits
        self._view = memoryview(b"")
        self._start = 0  # of what is in view
        self._fetch_size = FIRST_FETCH

    def elements(self, wanted: frozenset[int] | None = None) -> Iterator[Place]:
        """Give the elements of the outermost data set, in their order; perhaps only some of them.

        Those not in ``wanted`` may be left out, which is quicker.
        """
        whole = _Level(0, self.reader.size, self._layout, 0)
        return self._elements(self._settled(whole), wanted)

    def find(self, path: AttributePath) -> Place:
        """Find an attribute; the first of its tag. Raises: NotFound, too."""
        place = _first(path[0], self.elements(frozenset(path[:1])))
        for item, tag in zip(path[1::2], path[2::2], strict=True):
            if place.vr != "SQ":
                raise NotFound("the path to the attribute leads through what is no sequence")
            place = _first(tag, self._elements(self._item(place, item), frozenset((tag,))))
        return place

    def everything(self) -> Iterator[tuple[AttributePath, Place]]:
        """Give every attribute but sequences, those within items too, each with its path."""
        return self._within((), _Level(0, self.reader.size, self._layout, 0))

    def items(self, place: Place) -> Iterator[Iterator[Place]]:
        """Give the items of a sequence, each as its elements, which may be left unread."""
        for item in self._items(place):
            yield self._elements(self._settled(item), None)

    def end_of(self, place: Place) -> int:
        """Give where the value of an element ends, without its delimiter."""
        if place.length is not None:
            return place.offset + place.length
        return self._after(place) - (8 if self._has_delimiter(place) else 0)

    def _elements(self, level: _Level, wanted: frozenset[int] | None) -> Iterator[Place]:
        at, end, layout, depth = level
        stops = None if wanted is None else _STOPS | frozenset(map(layout.raw, wanted))
        while True:
            if stops is not None:
                at = self._pass(at, end, layout, stops)
            header = self._header(at, end, layout)
            if header is None:
                break
            tag, _, length, size = header
            if tag == ITEM_END and depth:
                return
            if tag >> 16 == DELIMITERS:
                raise Malformed("an item or delimiter where none can be", offset=at)
            place = self._place(header, at + size, level)
            if length != UNDEFINED and at + size + length > end:
                raise Malformed(f"a value of {length} bytes is cut short", offset=at)
            yield place
            at = self._after(place)
        if at < end and any(self._bytes(at, end)):
            raise Malformed("an element is cut short", offset=at)

    def _place(self, header: Header, at: int, level: _Level) -> Place:
        tag, vr, length, _ = header
        layout = level.layout
        if length == UNDEFINED and is_sequence(tag, vr):
            vr = "SQ"
        elif vr is None or is_replaceable(vr, length, layout):
            vr = plain_vr(tag)
        known = None if length == UNDEFINED else length
        return Place(tag, vr, at, known, layout, level.end, level.depth, at - header.size)

    def _after(self, place: Place) -> int:
        """Give where the element behind begins."""
        if place.length is not None:
            return place.offset + place.length
        if not self._has_delimiter(place):
            return place.end
        are_data_sets = place.vr == "SQ"
        level = _Level(place.offset, place.end, place.layout, place.depth + 1)
        return self._end_of_items(level, are_data_sets=are_data_sets)

    def _has_delimiter(self, place: Place) -> bool:
        """Not an icon's bare stream (see ``elements``), which ends with its item."""
        # Peer quirk: GE IIS thumbnails, a bare JPEG stream of undefined length.
        if place.vr == "SQ" or not place.depth or place.end == self.reader.size:
            return True
        head = self._bytes(place.offset, place.offset + 8)
        return len(head) < 8 or is_delimiter(head, 0, place.layout)

    def _within(self, above: AttributePath, level: _Level) -> Iterator[tuple[AttributePath, Place]]:
        if level.depth > self._limits.nesting:
            raise Malformed("sequences are nested too deep", offset=level.at)
        for place in self._elements(self._settled(level), None):
            path = (*above, place.tag)
            if place.vr != "SQ":
                yield path, place
                continue
            for number, item in enumerate(self._items(place)):
                yield from self._within((*path, number), item)

    def _item(self, place: Place, index: int) -> _Level:
        """Find an item of a sequence. Raises: NotFound, too."""
        found = next(islice(self._items(place), index, None), None)
        if found is None:
            raise NotFound("the sequence has fewer items than the path to the attribute says")
        return self._settled(found)

    def _items(self, place: Place) -> Iterator[_Level]:
        end = place.end if place.length is None else place.offset + place.length
        level = self._settled_items(_Level(place.offset, end, place.layout, place.depth + 1))
        at = level.at
        while (header := self._header(at, end, level.layout)) is not None:
            if header.tag == SEQUENCE_END:
                return
            if header.tag != ITEM:
                raise Malformed("an item was expected", offset=at)
            inner = self._inside(header, at, end, level)
            yield inner
            at = self._end_of_item(inner) if header.length == UNDEFINED else inner.end

    def _inside(self, header: Header, at: int, end: int, level: _Level) -> _Level:
        """Give the item whose header stands at ``at``."""
        if header.length == UNDEFINED:
            return level._replace(at=at + 8, end=self.reader.size)
        if at + 8 + header.length > end:
            raise Malformed("an item is cut short", offset=at)
        return level._replace(at=at + 8, end=at + 8 + header.length)

    def _end_of_items(self, level: _Level, *, are_data_sets: bool) -> int:
        """Give where what follows the delimiter of an undefined length begins."""
        at, end, layout, depth = self._settled_items(level) if are_data_sets else level
        if depth > self._limits.nesting:
            raise Malformed("sequences are nested too deep", offset=at)
        while (header := self._header(at, end, layout)) is not None:
            if header.tag == SEQUENCE_END:
                return at + 8
            if header.tag != ITEM:
                raise Malformed("an item was expected", offset=at)
            if header.length != UNDEFINED:
                at += 8 + header.length
            elif are_data_sets:
                at = self._end_of_item(_Level(at + 8, end, layout, depth))
            else:
                raise Malformed("a fragment without a length", offset=at)
        raise Malformed("a sequence is cut short", offset=min(at, end))

    def _end_of_item(self, level: _Level) -> int:
        """Give where what follows the delimiter of an item begins."""
        at, end, layout, depth = self._settled(level)
        while True:
            at = self._pass(at, end, layout, _STOPS)
            header = self._header(at, end, layout)
            if header is None:
                raise Malformed("an item is cut short", offset=min(at, end))
            tag, vr, length, size = header
            if tag == ITEM_END:
                return at + 8
            if tag >> 16 == DELIMITERS:
                raise Malformed("an item or delimiter where none can be", offset=at)
            at += size
            if length == UNDEFINED:
                inner = _Level(at, end, layout, depth + 1)
                at = self._end_of_items(inner, are_data_sets=is_sequence(tag, vr))
            else:
                at += length

    def _pass(self, at: int, end: int, layout: Layout, stops: frozenset[int]) -> int:
        """Pass over the commonest elements as far as they are in view. The inmost loop."""
        view, start = self._view, self._start
        local, last = at - start, min(len(view), end - start) - 8
        if local < 0 or layout == IMPLICIT_BIG:
            return at
        before = local
        if layout.is_implicit:
            pair = layout.implicit.unpack_from
            while local <= last:
                raw, length = pair(view, local)
                if raw in stops or length == UNDEFINED or raw & 0xFFFF == DELIMITERS:
                    break
                before, local = local, local + 8 + length
        else:
            unpack, vrs = layout.explicit.unpack_from, SHORT_VRS
            while local <= last:
                raw, vr, length = unpack(view, local)
                if vr not in vrs or raw in stops:
                    break
                before, local = local, local + 8 + length
        # What reaches beyond the end is looked at again, to be told.
        return start + (local if start + local <= end else before)

    def _settled(self, level: _Level) -> _Level:
        head = self._bytes(level.at, min(level.at + 8, level.end))
        if len(head) < 8:
            return level
        return level._replace(layout=settle(level.layout, head, 0, is_item=level.depth > 0))

    def _settled_items(self, level: _Level) -> _Level:
        head = self._bytes(level.at, min(level.at + 8, level.end))
        if len(head) < 8:
            return level
        return level._replace(layout=settle_items(level.layout, head, 0))

    def _header(self, at: int, end: int, layout: Layout) -> Header | None:
        view = self._bytes(at, min(at + LONGEST_HEADER, end))
        return read_header(view, 0, len(view), layout)

    def _bytes(self, start: int, end: int) -> memoryview:
        """Bytes of what is in view, which is fetched if need be."""
        local = start - self._start
        if not 0 <= local <= local + end - start <= len(self._view):
            self._fetch(start, end)
            local = 0
        return self._view[local : local + max(0, end - start)]

    def _fetch(self, start: int, end: int) -> None:
        is_next = self._start <= start <= self._start + len(self._view)
        size = min(self._fetch_size * 2, LARGEST_FETCH) if is_next else FIRST_FETCH
        self._fetch_size = size
        stop = min(max(end, start + size), self.reader.size)
        self._view = self.reader.window(start, stop) if start < stop else memoryview(b"")
        self._start = start


class Inflated:
    """A deflated data set, read as what it unfolds to: always from its start, a step at a time.

    What lies behind the last window comes without a new start. Threads may share it.
    """

    def __init__(self, reader: Reader, limits: Limits = DEFAULT_LIMITS) -> None:
        """Unfolds it once, to see that it can be. Raises: Malformed."""
        self._reader = reader
        self._limits = limits
        self.size = sum(len(step) for step in self._inflate())
        self._steps = self._inflate()
        self._step = b""
        self._at = 0  # of the step in the data set
        self._lock = threading.Lock()

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive)."""
        with self._lock:
            return self._window(start, end)

    def _window(self, start: int, end: int) -> memoryview:
        if start < self._at:
            self._steps, self._step, self._at = self._inflate(), b"", 0
        found = bytearray()
        end = min(end, self.size)
        while start < end:
            if start >= self._at + len(self._step):
                self._at += len(self._step)
                self._step = next(self._steps)
                continue
            local = start - self._at
            part = self._step[local : local + end - start]
            found += part
            start += len(part)
        return memoryview(bytes(found))

    def _inflate(self) -> Iterator[bytes]:
        inflater = Inflater(self._limits)
        size = self._reader.size
        for start in range(0, size, LARGEST_FETCH):
            yield from inflater.feed(self._reader.window(start, min(start + LARGEST_FETCH, size)))
        inflater.finish()


def _first(tag: int, places: Iterator[Place]) -> Place:
    for place in places:
        if place.tag == tag:
            return place
    raise NotFound("the data set has no such attribute")
