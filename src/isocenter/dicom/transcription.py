"""The DICOM JSON model as text, for many data sets that are much alike: what metadata is made of.

It says what ``json_model`` says, but looks at each different element once: the slices of a series
have nearly all of theirs in common. Only headers and small values are read; bulk is stepped over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import orjson

from isocenter.dicom import charset as charsets
from isocenter.dicom.dictionary import NOTICED, ImplicitVRs, has_one_vr, is_private_creator
from isocenter.dicom.elements import Element, Walk, first_element, is_sequence
from isocenter.dicom.json_model import INLINE_SIZE, to_json
from isocenter.dicom.layout import (
    DEFAULT_LIMITS,
    DELIMITERS,
    ITEM,
    PIXEL_DATA,
    SEQUENCE_END,
    SHORT_VRS,
    SPECIFIC_CHARACTER_SET,
    UNDEFINED,
    Header,
    Layout,
    Limits,
    is_replaceable,
    layout_of,
    read_header,
    settle,
)
from isocenter.dicom.paths import AttributePath
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.values import BYTES_VRS
from isocenter.dicom.windowed import Reader
from isocenter.errors import Malformed

WINDOW: Final = 1 << 15
"""Bytes read at a time: more than most headers have."""
LONGEST_HEADER: Final = 12
MOST_REMEMBERED: Final = 8192
LONGEST_REMEMBERED: Final = 4096
TELLING: Final = NOTICED | {SPECIFIC_CHARACTER_SET}
"""What, besides private creators, later elements hang on."""


@dataclass(frozen=True, slots=True)
class Memo:
    """Elements met before, as encoded with their headers."""

    plain: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    """Tag and text of those that others do not hang on."""
    telling: dict[bytes, bytes] = field(default_factory=dict)
    """Text of those that others hang on: private creators and the like."""

    def clear(self) -> None:
        """Forget them."""
        self.plain.clear()
        self.telling.clear()


Bulk = Callable[[AttributePath], str]
"""Gives the URI under which the value of an attribute can be fetched."""


class Transcriber:
    """Writes data sets as text, one after the other; remembers elements from one to the next."""

    def __init__(
        self,
        *,
        inline_size: int = INLINE_SIZE,
        limits: Limits = DEFAULT_LIMITS,
        window: int = WINDOW,
    ) -> None:
        self.inline_size = inline_size
        self.window = window
        self.limits = limits
        self._memos: dict[tuple[Layout, charsets.Charset, bool], Memo] = {}
        self._remembered = 0

    def text(self, data_set: Reader, syntax: TransferSyntax, bulk: Bulk) -> bytes:
        """Give the JSON object of an (inflated) data set.

        ``bulk`` is asked for URIs where ``json_model.to_json`` asks. Raises: Malformed, if the data
        set is.
        """
        return _Transcription(self, data_set, layout_of(syntax), bulk).text()

    def memo(self, layout: Layout, charset: charsets.Charset, *, is_signed: bool) -> Memo:
        """Give what is remembered of elements in such surroundings."""
        key = layout, charset, is_signed
        if (memo := self._memos.get(key)) is None:
            memo = self._memos[key] = Memo()
        return memo

    def make_room(self) -> None:
        """Forget everything where it becomes too much."""
        if self._remembered >= MOST_REMEMBERED:
            for each in self._memos.values():
                each.clear()
            self._remembered = 0
        self._remembered += 1


class _Transcription:
    """One data set on its way."""

    def __init__(
        self, transcriber: Transcriber, data_set: Reader, layout: Layout, bulk: Bulk
    ) -> None:
        self._transcriber = transcriber
        self._reader = data_set
        self._bulk = bulk
        self._bulks = 0
        self._inner: dict[int, AttributePath] = {}
        self._top: Element | None = None  # whose inner elements those are
        self._data = bytes(data_set.window(0, transcriber.window))
        self._base = 0  # where the window begins
        if len(self._data) >= 8:
            layout = settle(layout, self._data, 0, is_item=False)
        self._layout = layout
        self._vrs = ImplicitVRs()
        self._walk = Walk(transcriber.limits)
        self._charset = charsets.DEFAULT
        self._memo = Memo()
        self._choose_memo()
        self._found: dict[int, bytes] = {}

    def text(self) -> bytes:
        known = self._known_implicit if self._layout.is_implicit else self._known_explicit
        at = 0
        while (following := self._other(known(at))) is not None:
            at = following
        tags = list(self._found)
        ordered = sorted(tags)
        texts = self._found.values() if tags == ordered else [self._found[tag] for tag in ordered]
        return b"{" + b",".join(texts) + b"}"

    def _choose_memo(self) -> None:
        self._memo = self._transcriber.memo(
            self._layout, self._charset, is_signed=self._vrs.is_signed
        )

    def _known_explicit(self, at: int) -> int:
        """Walk elements that were met before. The inmost loop."""
        unpack, memo, found = self._layout.explicit.unpack_from, self._memo.plain, self._found
        data, base = self._data, self._base
        at -= base
        last = len(data) - 8
        while at <= last:
            _, vr, length = unpack(data, at)
            if vr not in SHORT_VRS:
                break
            following = at + 8 + length
            met = memo.get(data[at:following])
            if met is None:
                break
            found[met[0]] = met[1]
            at = following
        return at + base

    def _known_implicit(self, at: int) -> int:
        unpack, memo, found = self._layout.implicit.unpack_from, self._memo.plain, self._found
        data, base = self._data, self._base
        at -= base
        last = len(data) - 8
        while at <= last:
            _, length = unpack(data, at)
            if length > LONGEST_REMEMBERED:
                break
            following = at + 8 + length
            met = memo.get(data[at:following])
            if met is None:
                break
            found[met[0]] = met[1]
            at = following
        return at + base

    def _other(self, at: int) -> int | None:
        """Take one element of whatever kind; give where the next begins, None at the end."""
        if at == self._reader.size:
            return None
        data = self._at_least(at, LONGEST_HEADER)
        here = at - self._base
        header = read_header(data, here, len(data), self._layout)
        if header is None:
            if any(data[here:]):
                raise Malformed("an element is cut short", offset=at)
            return None
        if header.tag >> 16 == DELIMITERS:
            raise Malformed("an item or delimiter where none can be", offset=at)
        vr = header.vr
        if vr is None or is_replaceable(vr, header.length, self._layout):
            vr = self._vrs.vr(header.tag)
        if header.length == UNDEFINED:
            if is_sequence(header.tag, header.vr) or vr not in BYTES_VRS:
                return self._of_undefined_length(at)
            return self._note_bulk(at, header, vr, self._behind_fragments(at + header.size))
        following = at + header.size + header.length
        if vr in BYTES_VRS and header.length > self._transcriber.inline_size:
            return self._note_bulk(at, header, vr, following)
        return self._element(at, header, following)

    def _element(self, at: int, header: Header, following: int) -> int:
        """Take an element that is wanted with its value."""
        size = following - at
        data = self._at_least(at, size)
        here = at - self._base
        encoded = data[here : here + size]
        memo = self._memo
        if (met := memo.plain.get(encoded)) is not None:
            self._found[met[0]] = met[1]
        elif (text := memo.telling.get(encoded)) is not None:
            self._found[header.tag] = text
            self._hear(header.tag, encoded[header.size :])
        elif len(encoded) < size:
            raise Malformed(f"a value of {header.length} bytes is cut short", offset=at)
        else:
            before = self._bulks
            text = self._note(self._first(encoded, at))
            if text and size <= LONGEST_REMEMBERED and before == self._bulks:
                self._remember(memo, header, encoded, text)
        return following

    def _remember(self, memo: Memo, header: Header, encoded: bytes, text: bytes) -> None:
        """Keep the text of an element, unless it hangs on others."""
        tag = header.tag
        if not (has_one_vr(tag) if header.vr is None else header.vr != "UN"):
            return
        if tag == PIXEL_DATA and not self._layout.is_little_endian:
            return  # hangs on Bits Allocated: `values.ordered_as`
        self._transcriber.make_room()
        if tag in TELLING or is_private_creator(tag):
            memo.telling[encoded] = text
        else:
            memo.plain[encoded] = tag, text

    def _hear(self, tag: int, value: bytes) -> None:
        """Learn what an element says of others."""
        self._vrs.notice(tag, value)
        if tag == SPECIFIC_CHARACTER_SET:
            self._charset = charsets.of_value(value)
        if tag in TELLING:
            self._choose_memo()

    def _of_undefined_length(self, at: int) -> int:
        """Take a sequence: read on until its end is found."""
        size = self._transcriber.window
        while True:
            data = self._at_least(at, size)
            here = at - self._base
            try:
                element = self._first(data[here:] if here else data, at)
            except Malformed:
                if len(data) - here < size:
                    raise
                size *= 4
                continue
            self._note(element)
            return element.value_offset + len(element.value) + 8

    def _first(self, encoded: bytes, at: int) -> Element:
        return first_element(encoded, self._layout, at, self._vrs, self._walk)

    def _note(self, element: Element) -> bytes:
        """Write an element down; give its text, empty where it is no part of the model."""
        tag = element.tag
        charset = None if tag == SPECIFIC_CHARACTER_SET else self._charset
        if tag in TELLING:
            self._hear(tag, bytes(element.value))
        self._top, self._inner = element, {}
        model = to_json(
            (element,), charset, bulk=self._uri, inline_size=self._transcriber.inline_size
        )
        if not model:
            return b""
        text = self._found[tag] = orjson.dumps(model)[1:-1]
        return text

    def _uri(self, element: Element) -> str:
        self._bulks += 1
        if not element.depth:
            return self._bulk((element.tag,))
        if not self._inner and self._top is not None:
            self._inner = dict(_paths_within(self._top, ()))
        return self._bulk(self._inner[element.offset])

    def _note_bulk(self, at: int, header: Header, vr: str, following: int) -> int:
        """Write down what is offered as bulk data, and step over it."""
        if following > self._reader.size:
            raise Malformed(f"a value of {header.length} bytes is cut short", offset=at)
        model = {f"{header.tag:08X}": {"vr": vr, "BulkDataURI": self._bulk((header.tag,))}}
        self._found[header.tag] = orjson.dumps(model)[1:-1]
        return following

    def _behind_fragments(self, at: int) -> int:
        """Find where what follows the fragments' delimiter begins (PS3.5 A.4)."""
        while True:
            data = self._at_least(at, 8)
            here = at - self._base
            header = read_header(data, here, len(data), self._layout)
            if header is None:
                raise Malformed("a sequence is cut short", offset=at)
            if header.tag == SEQUENCE_END:
                return at + 8
            if header.tag != ITEM:
                raise Malformed("an item was expected", offset=at)
            if header.length == UNDEFINED:
                raise Malformed("a fragment without a length", offset=at)
            at += 8 + header.length

    def _at_least(self, at: int, size: int) -> bytes:
        """Give a window with ``size`` bytes from ``at`` on, or with all there are.

        ``at`` is not before the window.
        """
        if at + size > self._base + len(self._data):
            end = at + max(size, self._transcriber.window)
            self._data = bytes(self._reader.window(at, end))
            self._base = at
        return self._data


def _paths_within(sequence: Element, above: AttributePath) -> Iterator[tuple[int, AttributePath]]:
    """Give the path to each element within, by where it begins."""
    for number, item in enumerate(sequence.items()):
        for element in item.elements():
            path = (*above, sequence.tag, number, element.tag)
            yield element.offset, path
            if element.vr == "SQ":
                yield from _paths_within(element, path[:-1])
