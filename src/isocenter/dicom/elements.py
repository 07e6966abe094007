"""A walk over a data set that is there as a whole: bytes, a memory view, a mapped file.

Nothing is copied: values are views. Sequences are opened only when somebody looks inside.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from mmap import mmap
from typing import Final, NamedTuple

from isocenter.dicom.dictionary import NOTICED, ImplicitVRs, dictionary_vr
from isocenter.dicom.inflation import inflate
from isocenter.dicom.layout import (
    DEFAULT_LIMITS,
    DELIMITERS,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Buffer,
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
from isocenter.dicom.syntax import TransferSyntax
from isocenter.errors import Malformed

ENDS_KEPT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk shares with the walks into its sequences."""

    limits: Limits
    ends: dict[int, int] = field(default_factory=dict)
    """Where sequences of undefined length end, by where they begin: to be found once only."""

    def remember(self, start: int, end: int) -> int:
        """Keep an end, unless there are too many; give it back."""
        if len(self.ends) < ENDS_KEPT:
            self.ends[start] = end
        return end


class Element(NamedTuple):
    """One element. Its VR is the encoded one, or the dictionary's where that was absent or UN."""

    tag: int
    vr: str
    value: memoryview
    """As encoded, padding included; of undefined length, without the delimiter."""
    offset: int
    """Of the header, in bytes from the start of the (inflated) data set."""
    value_offset: int
    is_undefined_length: bool
    layout: Layout
    vrs: ImplicitVRs
    """Of the data set around: knows private creators."""
    depth: int
    walk: Walk

    @property
    def creator(self) -> str:
        """The private creator of a private element, where known."""
        return self.vrs.creator(self.tag)

    @property
    def is_encapsulated(self) -> bool:
        """The value consists of fragments (PS3.5 A.4)."""
        return self.is_undefined_length and self.vr != "SQ"

    def items(self) -> "Iterator[Item]":
        """Open a sequence. Raises: Malformed, when the walk gets there."""
        return _items(
            self.value, self.layout, self.value_offset, self.vrs, self.depth + 1, self.walk
        )

    def fragments(self) -> Iterator[memoryview]:
        """Give the fragments of an encapsulated value, offset table first. Raises: Malformed."""
        for _, start, end in _item_spans(self.value, self.layout, self.value_offset, 0, self.walk):
            yield self.value[start:end]


class Item(NamedTuple):
    """One item of a sequence: a data set of its own."""

    content: memoryview
    offset: int
    """Of the first element, in bytes from the start of the (inflated) data set."""
    layout: Layout
    vrs: ImplicitVRs
    depth: int
    walk: Walk

    def elements(self) -> Iterator[Element]:
        """Walk the item. Raises: Malformed, when the walk gets there."""
        layout = self.layout
        if len(self.content) >= 8:
            layout = settle(layout, self.content, 0, is_item=True)
        vrs = ImplicitVRs(self.vrs)
        return _walk(self.content, layout, self.offset, vrs, self.depth, self.walk)


def elements(
    data: bytes | memoryview | mmap, syntax: TransferSyntax, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Element]:
    """Walk a data set's elements in the order they have.

    Raises: Malformed, with the offset, when the walk gets there; a deflated one's at once.
    """
    if syntax.is_deflated:
        data = inflate(memoryview(data), limits)
    view = memoryview(data)
    layout = layout_of(syntax)
    if len(view) >= 8:
        layout = settle(layout, view, 0, is_item=False)
    return _walk(view, layout, 0, ImplicitVRs(), 0, Walk(limits))


def first_element(
    data: Buffer, layout: Layout, offset: int, vrs: ImplicitVRs, walk: Walk
) -> Element:
    """Give the element that ``data`` begins with, ``offset`` bytes into a data set.

    Raises: Malformed, also where ``data`` ends before the element does.
    """
    for element in _walk(memoryview(data), layout, offset, vrs, 0, walk):
        return element
    raise Malformed("an element is cut short", offset=offset)


def items_of(
    value: memoryview, layout: Layout, *, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Item]:
    """Give the items of a top-level sequence's value. Raises: Malformed."""
    return _items(value, layout, 0, ImplicitVRs(), 1, Walk(limits))


def is_sequence(tag: int, vr: str | None) -> bool:
    """Tell whether a value of undefined length holds data sets rather than fragments."""
    return (vr or dictionary_vr(tag)) in (None, "SQ", "UN")


def _walk(
    view: memoryview, layout: Layout, base: int, vrs: ImplicitVRs, depth: int, walk: Walk
) -> Iterator[Element]:
    at, end = 0, len(view)
    is_explicit, unpack = not layout.is_implicit, layout.explicit.unpack_from
    is_little = layout.is_little_endian
    while end - at >= 8:
        raw, code, length = unpack(view, at)
        vr = SHORT_VRS.get(code) if is_explicit else None
        tag = (raw & 0xFFFF) << 16 | raw >> 16 if is_little else raw
        if vr is not None and tag < 0xFFFE0000:
            # The most frequent kind by far, so that it is worth a way of its own.
            value, is_undefined = at + 8, False
            close = following = value + length
        else:
            header = read_header(view, at, end, layout)
            if header is None:
                break
            if header.tag >> 16 == DELIMITERS:
                raise Malformed("an item or delimiter where none can be", offset=base + at)
            tag, length, value = header.tag, header.length, at + header.size
            vr, close, following = _extent(view, at, end, layout, header, base, depth, walk)
            if vr is None or is_replaceable(vr, length, layout):
                vr = vrs.vr(tag)
            is_undefined = following != close
        if following > end:
            raise Malformed(f"a value of {length} bytes is cut short", offset=base + at)
        content = view[value:close]
        if tag & 0x1FF00 == 0x10000 or tag in NOTICED:  # a private creator, or one of those
            vrs.notice(tag, content)
        yield _element(
            Element,
            (tag, vr, content, base + at, base + value, is_undefined, layout, vrs, depth, walk),
        )
        at = following
    if any(view[at:end]):
        raise Malformed("an element is cut short", offset=base + at)


_element = tuple.__new__  # what the class does, without its detour


def _extent(
    view: memoryview,
    at: int,
    end: int,
    layout: Layout,
    header: Header,
    base: int,
    depth: int,
    walk: Walk,
) -> tuple[str | None, int, int]:
    """Give the VR as far as it is told, where the value ends, and where the next element begins."""
    tag, vr, length, size = header
    value = at + size
    if length != UNDEFINED:
        return vr, value + length, value + length
    if depth and _is_naked(view, value, end, layout, header):
        return vr, end, end
    following = _end_of_items(view, value, end, layout, header, base, depth + 1, walk)
    return "SQ" if is_sequence(tag, vr) else vr, following - 8, following


def _is_naked(view: memoryview, at: int, end: int, layout: Layout, header: Header) -> bool:
    """Tell an icon's compressed pixels that lack items and delimiter, and end with their item."""
    # Peer quirk: GE IIS thumbnails, a bare JPEG stream of undefined length.
    if is_sequence(header.tag, header.vr) or end - at < 8:
        return False
    return not is_delimiter(view, at, layout)


def _items(
    value: memoryview, layout: Layout, base: int, around: ImplicitVRs, depth: int, walk: Walk
) -> Iterator[Item]:
    if depth > walk.limits.nesting:
        raise Malformed("sequences are nested too deep", offset=base)
    if len(value) >= 8:
        layout = settle_items(layout, value, 0)
    for _, start, end in _item_spans(value, layout, base, depth, walk):
        yield Item(value[start:end], base + start, layout, around, depth, walk)


def _item_spans(
    value: memoryview, layout: Layout, base: int, depth: int, walk: Walk
) -> Iterator[tuple[int, int, int]]:
    """Give where each item begins, and where its content does and ends."""
    at, end = 0, len(value)
    while (header := read_header(value, at, end, layout)) is not None:
        content = at + 8
        if header.tag == SEQUENCE_END:
            return  # Peer quirk: a delimiter though the length was given.
        if header.tag != ITEM:
            raise Malformed("an item was expected", offset=base + at)
        if header.length == UNDEFINED:
            following = _end_of_item(value, content, end, layout, base, depth, walk)
            close = following - 8
        else:
            close = following = content + header.length
        if following > end:
            raise Malformed("an item is cut short", offset=base + at)
        yield at, content, close
        at = following
    if any(value[at:end]):
        raise Malformed("an item is cut short", offset=base + at)


def _end_of_items(
    view: memoryview,
    at: int,
    end: int,
    layout: Layout,
    of: Header,
    base: int,
    depth: int,
    walk: Walk,
) -> int:
    """Find where what follows the delimiter of an undefined length begins. Raises: Malformed."""
    if depth > walk.limits.nesting:
        raise Malformed("sequences are nested too deep", offset=base + at)
    start = base + at
    if (known := walk.ends.get(start)) is not None:
        return known - base
    are_data_sets = is_sequence(of.tag, of.vr)
    if are_data_sets and end - at >= 8:
        layout = settle_items(layout, view, at)
    while (header := read_header(view, at, end, layout)) is not None:
        if header.tag == SEQUENCE_END:
            return walk.remember(start, base + at + 8) - base
        if header.tag != ITEM:
            raise Malformed("an item was expected", offset=base + at)
        if header.length != UNDEFINED:
            at += 8 + header.length
        elif are_data_sets:
            at = _end_of_item(view, at + 8, end, layout, base, depth, walk)
        else:
            raise Malformed("a fragment without a length", offset=base + at)
    raise Malformed("a sequence is cut short", offset=base + min(at, end))


def _end_of_item(
    view: memoryview, at: int, end: int, layout: Layout, base: int, depth: int, walk: Walk
) -> int:
    """Find where what follows the delimiter of an item begins. Raises: Malformed."""
    if end - at >= 8:
        layout = settle(layout, view, at, is_item=True)
    while (header := read_header(view, at, end, layout)) is not None:
        tag, _, length, size = header
        if tag == ITEM_END:
            return at + 8
        if tag >> 16 == 0xFFFE:
            raise Malformed("an item or delimiter where none can be", offset=base + at)
        at += size
        if length == UNDEFINED:
            at = _end_of_items(view, at, end, layout, header, base, depth + 1, walk)
        else:
            at += length
    raise Malformed("an item is cut short", offset=base + min(at, end))
