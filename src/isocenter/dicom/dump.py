"""A data set as lines to read. They show patient data: for the one who asked, never for a log."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from isocenter.dicom import charset as charsets
from isocenter.dicom.charset import Charset
from isocenter.dicom.dictionary import keyword_of, name_of
from isocenter.dicom.elements import Element, Item
from isocenter.dicom.layout import DELIMITERS, ITEM, SPECIFIC_CHARACTER_SET, UNDEFINED, read_header
from isocenter.dicom.uids import UIDS
from isocenter.dicom.values import BYTES_VRS, NUMBERS, PLAIN_VRS, TEXT_VRS, decode, texts
from isocenter.errors import Malformed

WIDTH: Final = 64
"""Characters of a value that are shown."""
NAMES: Final = 34
"""Columns that names are given."""
FRAGMENTS: Final = 4
"""Fragments of an encapsulated value that are shown."""
ITEM_HEADER: Final = 8
"""Bytes of tag and length of an item."""
_SIZES: Final = {"h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "d": 8}


def plain(kind: str, text: str) -> str:
    """Give ``text`` without colours."""
    return text


@dataclass(slots=True)
class Dump:
    """How a data set is shown, and what was found to be wrong with it."""

    width: int | None = WIDTH
    """Characters of a value that are shown; None for all."""
    depth: int | None = None
    """Sequences within each other that are opened; None for all."""
    paint: Callable[[str, str], str] = plain
    """Colours a text: ``tag``, ``vr``, ``name``, ``value``, ``note`` or ``fault``."""
    faults: list[Malformed] = field(default_factory=list)

    def lines(
        self,
        elements: Iterable[Element],
        charset: Charset = charsets.DEFAULT,
        *,
        indent: int = 0,
        content: memoryview | None = None,
        base: int = 0,
        near: Element | None = None,
    ) -> Iterator[str]:
        """Give a line for each element, item and fragment; where it breaks, a line that says how.

        ``content``: what is walked, to tell what is there of an element that is cut short;
        ``base``: where it begins; ``near``: an element encoded as these are.
        """
        try:
            for near in elements:
                if near.tag == SPECIFIC_CHARACTER_SET:
                    charset = charsets.of_value(bytes(near.value))
                yield self.line(near, charset, indent)
                yield from self._inside(near, charset, indent)
        except Malformed as fault:
            if content is not None and near is not None and fault.offset is not None:
                yield from self._cut_short(content, base, fault.offset, near, charset, indent)
            yield self.broken(fault, indent)

    def broken(self, fault: Malformed, indent: int = 0) -> str:
        """Note what is wrong, and give the line that says so."""
        self.faults.append(fault)
        return f"{'  ' * indent}{self.paint('fault', f'! {fault}')}"

    def line(self, element: Element, charset: Charset = charsets.DEFAULT, indent: int = 0) -> str:
        """Give the line of an element. Raises: Malformed, for a sequence that is broken."""
        multiplicity, shown = self._value(element, charset)
        length = "undefined" if element.is_undefined_length else str(len(element.value))
        note = f"{length}, {multiplicity}" if multiplicity > 1 else length
        return self.row(element.tag, element.vr, shown, note, element.creator, indent)

    def row(
        self, tag: int, vr: str, shown: str, note: str, creator: str = "", indent: int = 0
    ) -> str:
        """Give the line of an element of which ``shown`` is to be said."""
        called = keyword_of(tag) or name_of(tag, creator) or "unknown"
        called = f"[{_safe(creator)}] {called}" if creator else called
        name = called.ljust(NAMES - 2 * indent)
        written = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        margin = "  " * indent
        paint = self.paint
        start = f"{margin}{paint('tag', written)} {paint('vr', vr)} {paint('name', name)}"
        return f"{start} {paint('value', shown)}  {paint('note', f'# {note}')}"

    def _inside(self, element: Element, charset: Charset, indent: int) -> Iterator[str]:
        if element.vr == "SQ":
            if self.depth is None or element.depth < self.depth:
                yield from self._items(element, charset, indent)
        elif element.is_encapsulated:
            try:
                yield from self._fragments(element, indent)
            except Malformed as fault:
                yield self.broken(fault, indent + 1)

    def _items(self, element: Element, charset: Charset, indent: int) -> Iterator[str]:
        number = 0
        try:
            for number, item in enumerate(element.items(), 1):
                yield f"{'  ' * indent}  {self.paint('note', f'item {number}')}"
                yield from self._item(item, element, charset, indent + 2)
        except Malformed as fault:
            if (rest := _cut_short_item(element, fault)) is not None:
                yield f"{'  ' * indent}  {self.paint('note', f'item {number + 1}, cut short')}"
                yield from self._item(rest, element, charset, indent + 2)
            yield self.broken(fault, indent + 1)

    def _item(self, item: Item, sequence: Element, charset: Charset, indent: int) -> Iterator[str]:
        yield from self.lines(
            item.elements(),
            charset,
            indent=indent,
            content=item.content,
            base=item.offset,
            near=sequence,
        )

    def _fragments(self, element: Element, indent: int) -> Iterator[str]:
        shown = None if self.width is None else FRAGMENTS
        more = 0
        for number, fragment in enumerate(element.fragments()):
            if shown is None or number <= shown:
                yield self.fragment(number, fragment, len(fragment), indent)
            else:
                more += 1
        if more:
            yield f"{'  ' * indent}  … and {more} more"

    def fragment(self, number: int, start: memoryview, length: int, indent: int = 0) -> str:
        """Give the line of a fragment of which ``start`` is at hand; number 0 is the table."""
        name = f"fragment {number}" if number else "offset table"
        shown = self.paint("value", self.bytes_shown(start, length))
        return f"{'  ' * indent}  {name}: {shown}  {self.paint('note', f'# {length}')}"

    def _value(self, element: Element, charset: Charset) -> tuple[int, str]:
        """Give the value multiplicity and the value as it is shown."""
        vr = element.vr
        if vr == "SQ":
            return 1, self._count(element)
        if element.is_encapsulated:
            return 1, "encapsulated"
        if not element.value:
            return 1, "(empty)"
        if vr in BYTES_VRS:
            return 1, self.bytes_shown(element.value, len(element.value))
        if vr in TEXT_VRS or vr in PLAIN_VRS:
            return self._text(element, charset)
        return self._numbers(element)

    def _count(self, element: Element) -> str:
        try:
            count = sum(1 for _ in element.items())
        except Malformed:
            return "broken"  # its items are shown as far as they go
        return f"{count} item{'' if count == 1 else 's'}"

    def _text(self, element: Element, charset: Charset) -> tuple[int, str]:
        head = element.value[: None if self.width is None else 4 * self.width]
        found = texts(element.vr, bytes(head), charset)
        if not found:
            return 1, "(blank)"
        shown = _safe("\\".join(found))
        if self.width is not None and (len(shown) > self.width or len(head) < len(element.value)):
            shown = f"{shown[: self.width - 1]}…"
        if element.vr == "UI":
            names = [UIDS[each].name for each in found if each in UIDS]
            shown = f"{shown} = {', '.join(names)}" if names else shown
        count = bytes(element.value).count(b"\\") + 1 if len(found) > 1 else 1
        return count, shown

    def _numbers(self, element: Element) -> tuple[int, str]:
        size = 4 if element.vr == "AT" else _SIZES[NUMBERS[element.vr]]
        count = max(1, len(element.value) // size)
        most = count if self.width is None else self.width
        is_little = element.layout.is_little_endian
        found = decode(element.vr, element.value[: most * size], is_little_endian=is_little)
        shown = "\\".join(_number(element.vr, value) for value in found)
        if self.width is not None and (len(shown) > self.width or count > most):
            shown = f"{shown[: self.width - 1]}…"
        return count, shown

    def bytes_shown(self, value: memoryview, length: int) -> str:
        """Give bytes, of which ``value`` is at hand, in hexadecimal."""
        most = length if self.width is None else self.width // 4
        return bytes(value[:most]).hex(" ") + ("…" if length > most else "") if value else "(empty)"

    def _cut_short(
        self,
        content: memoryview,
        base: int,
        offset: int,
        near: Element,
        charset: Charset,
        indent: int,
    ) -> Iterator[str]:
        """Tell of the element at ``offset``, of which not all is there; of a sequence, what is."""
        at = offset - base
        if not 0 <= at < len(content):
            return
        header = read_header(content, at, len(content), near.layout)
        if header is None or header.tag >> 16 == DELIMITERS:
            return
        there = content[at + header.size :]
        if len(there) >= header.length:
            return
        vr = header.vr or near.vrs.vr(header.tag)
        claimed = "undefined" if header.length == UNDEFINED else header.length
        shown = "broken" if vr == "SQ" else self.bytes_shown(there, header.length)
        creator = near.vrs.creator(header.tag)
        yield self.row(header.tag, vr, shown, f"{len(there)} of {claimed}", creator, indent)
        if vr == "SQ":
            value_offset = offset + header.size
            element = near._replace(
                tag=header.tag,
                vr=vr,
                value=there,
                offset=offset,
                value_offset=value_offset,
                is_undefined_length=header.length == UNDEFINED,
            )
            yield from self._inside(element, charset, indent)


def lines(elements: Iterable[Element], charset: Charset = charsets.DEFAULT) -> Iterator[str]:
    """Give a line for each element, item and fragment; where it breaks, a line that says how."""
    return Dump().lines(elements, charset)


def _cut_short_item(sequence: Element, fault: Malformed) -> Item | None:
    """Give what there is of the item that begins where ``fault`` is, if one does."""
    at = -1 if fault.offset is None else fault.offset - sequence.value_offset
    if not 0 <= at <= len(sequence.value) - ITEM_HEADER:
        return None
    header = read_header(sequence.value, at, len(sequence.value), sequence.layout)
    if header is None or header.tag != ITEM or header.length == UNDEFINED:
        return None
    start = at + ITEM_HEADER
    offset = sequence.value_offset + start
    layout, vrs, depth, walk = sequence.layout, sequence.vrs, sequence.depth + 1, sequence.walk
    return Item(sequence.value[start:], offset, layout, vrs, depth, walk)


def _safe(text: str) -> str:
    """Spell out what would break the line, or what a terminal would obey."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _number(vr: str, value: object) -> str:
    if vr == "AT" and isinstance(value, int):
        return f"({value >> 16:04X},{value & 0xFFFF:04X})"
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:.9g}" if vr == "FL" else str(value)
