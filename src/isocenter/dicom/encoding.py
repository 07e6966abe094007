"""The DICOM JSON model, written as a data set (PS3.18 F, PS3.5 7).

Sequences and items get their lengths; group lengths are left out; elements are in tag order. Bulk
data is asked for its size first and fetched when it is its turn, so that it may be of any size.
"""

import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from struct import Struct, error
from typing import Any, Final

from isocenter.dicom import bulk as bulks, charset as charsets
from isocenter.dicom.bulk import Bulk
from isocenter.dicom.charset import Charset
from isocenter.dicom.decimals import decimal_string, integer
from isocenter.dicom.dictionary import dictionary_vr, plain_vr
from isocenter.dicom.json_model import joined_name
from isocenter.dicom.layout import (
    DEFAULT_LIMITS,
    DELIMITERS,
    ITEM,
    LONG_VRS,
    LONGEST_SHORT,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Buffer,
    Layout,
    layout_of,
)
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.values import NUMBERS, PLAIN_VRS, TEXT_VRS, ordered_as, swap
from isocenter.errors import Malformed, Unsupported

Dataset = Mapping[str, Mapping[str, Any]]
Fetch = Callable[[str], "Bulk | bytes"]
"""Gives the value behind a BulkDataURI, little endian; text as the data set's charset has it."""

_LONG: Final = frozenset(LONG_VRS.values())
_NAMES: Final = {vr: vr.encode("ascii") for vr in _LONG | TEXT_VRS | PLAIN_VRS | {*NUMBERS, "AT"}}
_TAG: Final = Struct("<HH").pack
_KEY: Final = re.compile("[0-9A-Fa-f]{8}")
_NOT_IN_A_DATA_SET: Final = frozenset({0x0000, 0x0002, DELIMITERS})
"""Groups of command sets, file meta information and delimiters."""
_FAULTS: Final = (ValueError, TypeError, AttributeError, LookupError, error, OverflowError)
"""What nonsense in a model leads to, besides what is checked."""


class _Inexpressible(Exception):
    """A text that the character set cannot express."""


@dataclass(frozen=True, slots=True)
class Part:
    """Bulk data on its way into a data set."""

    bulk: Bulk
    swapped_as: str
    """The VR by which the byte order is reversed; empty where it stays."""
    padding: bytes

    def __len__(self) -> int:
        return self.bulk.size + len(self.padding)

    def pieces(self) -> Iterator[Buffer]:
        """Give what is written. Raises: Malformed, where the size is not as it was said."""
        pieces = chain(bulks.read(self.bulk), (self.padding,))
        return bulks.swapped(pieces, self.swapped_as) if self.swapped_as else pieces


def encode(
    dataset: Dataset,
    syntax: TransferSyntax,
    charset: str | tuple[str, ...] | None = charsets.UTF_8,
    *,
    fetch: Fetch | None = None,
) -> bytes:
    """Give the bytes of ``dataset`` in ``syntax``; see ``encode_pieces``."""
    return b"".join(encode_pieces(dataset, syntax, charset, fetch=fetch))


def encode_pieces(
    dataset: Dataset,
    syntax: TransferSyntax,
    charset: str | tuple[str, ...] | None = charsets.UTF_8,
    *,
    fetch: Fetch | None = None,
) -> Iterator[Buffer]:
    """Give the bytes of ``dataset`` in ``syntax`` piece by piece.

    Text is in ``charset`` (defined terms of PS3.3 C.12.1.1.2; empty for the default repertoire;
    None for what the data set itself names) where that can express all of it, else in UTF-8; the
    data set says which. Pixel data must be encapsulated exactly if ``syntax`` is.

    Raises, before it gives anything: Malformed, where a value does not fit its VR; Unsupported, for
    bulk data without ``fetch``, and where pixel data would have to be compressed or expanded; what
    ``fetch`` raises. Later: Malformed, for bulk data of another size than was said.
    """
    found = parts(dataset, syntax, charset, fetch=fetch)
    pieces = _pieces(found)
    return _deflated(pieces) if syntax.is_deflated else pieces


def parts(
    dataset: Dataset,
    syntax: TransferSyntax,
    charset: str | tuple[str, ...] | None = charsets.UTF_8,
    *,
    fetch: Fetch | None = None,
) -> list[bytes | Part]:
    """Give what ``encode_pieces`` writes, before deflation, with the bulk data still elsewhere.

    ``sum(map(len, parts))`` is the size. Raises: as ``encode_pieces`` does.
    """
    try:
        terms = _terms(dataset, charset)
        try:
            writer = _Writer(syntax, charsets.of_terms(*terms), fetch)
            return writer.dataset(dataset)
        except _Inexpressible:
            writer = _Writer(syntax, charsets.of_terms(charsets.UTF_8), fetch)
            return writer.dataset(dataset)
    except _FAULTS as fault:
        raise Malformed("not a DICOM JSON model object") from fault


def element(
    tag: int, attribute: Mapping[str, Any], syntax: TransferSyntax, charset: Charset
) -> bytes:
    """Give the bytes of one attribute, as a data set in ``syntax`` and ``charset`` has them.

    Raises: Malformed, where the value does not fit its VR or cannot be expressed.
    """
    found: list[bytes | Part] = []
    try:
        _Writer(syntax, charset, None).add(tag, attribute, found)
    except _Inexpressible as fault:
        raise Malformed("a text cannot be expressed in the character set") from fault
    except _FAULTS as fault:
        raise Malformed(f"attribute {tag:08X}: not a value of its VR") from fault
    return b"".join(_pieces(found))


def item(content: bytes, syntax: TransferSyntax) -> bytes:
    """Give an item of a sequence with what is in it."""
    order = "<" if syntax.is_little_endian else ">"
    return Struct(f"{order}HHI").pack(ITEM >> 16, ITEM & 0xFFFF, len(content)) + content


def sequence(tag: int, items: bytes, syntax: TransferSyntax) -> bytes:
    """Give a sequence with its items."""
    found: list[bytes | Part] = []
    _Writer(syntax, charsets.DEFAULT, None).add_sequence(tag, [items] if items else [], found)
    return b"".join(_pieces(found))


def deflate(data: bytes) -> bytes:
    """Deflate a data set and pad it to even length (PS3.5 A.5)."""
    return b"".join(_deflated((data,)))


def _deflated(pieces: Iterable[Buffer]) -> Iterator[bytes]:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for piece in pieces:
        if deflated := stream.compress(piece):
            size += len(deflated)
            yield deflated
    rest = stream.flush()
    yield rest + bytes((size + len(rest)) % 2)


def _pieces(found: Iterable[bytes | Part]) -> Iterator[Buffer]:
    for part in found:
        if isinstance(part, bytes):
            yield part
        else:
            yield from part.pieces()


def _terms(dataset: Dataset, charset: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if charset is None:
        named = dataset.get("00080005", {}).get("Value") or ()
        charset = tuple(term or "" for term in named)
    terms = (charset,) if isinstance(charset, str) else charset
    if not all(isinstance(term, str) for term in terms):
        raise TypeError("00080005")
    # An empty first term stands for the default repertoire, which others may extend.
    return terms if any(terms) else ()


def _bits_allocated(dataset: Dataset) -> int:
    """Bits Allocated; 0, where it is missing or no number, which is told when it is written."""
    try:
        found = dataset["00280100"]["Value"][0]
    except (KeyError, IndexError, TypeError):
        return 0
    return found if isinstance(found, int) else 0


class _Writer:
    def __init__(self, syntax: TransferSyntax, charset: Charset, fetch: Fetch | None) -> None:
        self._syntax = syntax
        self._layout: Layout = layout_of(syntax)
        self._charset = charset
        self._fetch = fetch
        self._depth = 0
        self._bits_allocated = 0
        self._own_terms: tuple[str, ...] = ()
        order = "<" if self._layout.is_little_endian else ">"
        self._short = Struct(f"{order}HH2sH").pack
        self._long = Struct(f"{order}HH2sHI").pack
        self._implicit = Struct(f"{order}HHI").pack
        self._sequence_end = self._implicit(SEQUENCE_END >> 16, SEQUENCE_END & 0xFFFF, 0)

    def dataset(self, dataset: Dataset) -> list[bytes | Part]:
        """Write the outermost data set: the one that names the character set."""
        named: dict[str, Mapping[str, Any]] = dict(dataset)
        self._own_terms = _terms(dataset, None)
        if terms := self._charset.terms:
            named["00080005"] = {"vr": "CS", "Value": list(terms)}
        elif "00080005" in named:
            named["00080005"] = {"vr": "CS"}
        return self._elements(named)

    def _elements(self, dataset: Dataset) -> list[bytes | Part]:
        found: list[bytes | Part] = []
        around = self._bits_allocated
        self._bits_allocated = _bits_allocated(dataset) or around
        for key in sorted(dataset):
            try:
                if not _KEY.fullmatch(key):
                    raise ValueError(key)
                tag = int(key, 16)
                if tag >> 16 in _NOT_IN_A_DATA_SET:
                    raise ValueError(key)
                self.add(tag, dataset[key], found)
            except _FAULTS as fault:
                raise Malformed(f"attribute {str(key)[:8]}: not a value of its VR") from fault
        self._bits_allocated = around
        return found

    def add(self, tag: int, attribute: Mapping[str, Any], found: list[bytes | Part]) -> None:
        """Write an attribute."""
        if not tag & 0xFFFF:
            return
        vr = attribute.get("vr") or plain_vr(tag)
        if vr == "SQ":
            self.add_sequence(tag, self._items(attribute), found)
            return
        value = self._value(vr, attribute)
        if isinstance(value, Bulk):
            self._bulk(tag, vr, value, found)
        elif tag == PIXEL_DATA and value:
            self._bulk(tag, vr, bulks.whole(value), found)
        else:
            if len(value) % 2:
                value += _padding(vr)
            found.append(self._header(tag, vr, len(value)) + self._in_order(vr, value))

    def add_sequence(
        self, tag: int, content: list[bytes | Part], found: list[bytes | Part]
    ) -> None:
        """Write a sequence. By its delimiter, implicit VR tells one not in the dictionary."""
        is_told = not self._layout.is_implicit or dictionary_vr(tag) == "SQ"
        found.append(self._header(tag, "SQ", sum(map(len, content)) if is_told else UNDEFINED))
        found += content
        if not is_told:
            found.append(self._sequence_end)

    def _bulk(self, tag: int, vr: str, bulk: Bulk, found: list[bytes | Part]) -> None:
        """Write what is elsewhere, or is pixel data, which may be encapsulated (PS3.5 A.4)."""
        if tag == PIXEL_DATA and not self._depth:
            self._check_encapsulation(bulk)
        if bulk.is_encapsulated and tag == PIXEL_DATA:
            found += [self._header(tag, vr, UNDEFINED), Part(bulk, "", b"")]
            found.append(self._sequence_end)
            return
        padding = _padding(vr) if bulk.size % 2 else b""
        length = bulk.size + len(padding)
        is_turned = not self._layout.is_little_endian and not self._becomes_unknown(vr, length)
        ordered = ordered_as(tag, vr, self._bits_allocated)
        part = Part(bulk, ordered if is_turned else "", padding)
        found += [self._header(tag, vr, length), part]

    def _check_encapsulation(self, bulk: Bulk) -> None:
        if bulk.is_encapsulated and not self._syntax.is_encapsulated:
            raise Unsupported(f"pixel data is compressed: cannot write it in {self._syntax.name}")
        if self._syntax.is_encapsulated and not bulk.is_encapsulated:
            raise Unsupported(f"cannot compress pixel data to {self._syntax.name}")

    def _header(self, tag: int, vr: str, length: int) -> bytes:
        group, element = tag >> 16, tag & 0xFFFF
        if self._layout.is_implicit:
            return self._implicit(group, element, length)
        if self._becomes_unknown(vr, length):
            vr = "UN"
        name = _NAMES[vr]
        if vr in _LONG:
            return self._long(group, element, name, 0, length)
        return self._short(group, element, name, length)

    def _becomes_unknown(self, vr: str, length: int) -> bool:
        """A value whose length does not fit becomes UN, and so little endian (PS3.5 6.2.2)."""
        return length > LONGEST_SHORT and vr not in _LONG and not self._layout.is_implicit

    def _in_order(self, vr: str, value: bytes) -> bytes:
        """Give a value that is little endian in the byte order that it must have."""
        if self._layout.is_little_endian or self._becomes_unknown(vr, len(value)):
            return value
        return swap(value, vr)

    def _value(self, vr: str, attribute: Mapping[str, Any]) -> bytes | Bulk:
        """Give the value of an attribute, little endian and unpadded."""
        if "InlineBinary" in attribute:
            return b64decode(_only(attribute["InlineBinary"]), validate=True)
        if "BulkDataURI" in attribute:
            return self._elsewhere(vr, _only(attribute["BulkDataURI"]))
        values = attribute.get("Value")
        if not values:
            return b""
        if not isinstance(values, list):
            raise TypeError(vr)
        if vr in TEXT_VRS:
            words = [_person_name(value) if vr == "PN" else _word(value) for value in values]
            return self._text("\\".join(words))
        if vr in PLAIN_VRS:
            return "\\".join(_plain(vr, value) for value in values).encode("latin-1")
        if vr == "AT":
            tags = [int(value, 16) for value in values]
            return b"".join(_TAG(tag >> 16, tag & 0xFFFF) for tag in tags)
        convert = float if vr in ("FD", "FL") else integer
        return Struct(f"<{len(values)}{NUMBERS[vr]}").pack(*map(convert, values))

    def _elsewhere(self, vr: str, uri: object) -> Bulk:
        if not isinstance(uri, str):
            raise TypeError(vr)
        if self._fetch is None:
            raise Unsupported("cannot write bulk data that is elsewhere")
        if vr in TEXT_VRS and self._charset.terms not in (self._own_terms, (charsets.UTF_8,)):
            raise _Inexpressible  # nobody has seen what is in it
        value = self._fetch(uri)
        return value if isinstance(value, Bulk) else bulks.whole(value)

    def _items(self, attribute: Mapping[str, Any]) -> list[bytes | Part]:
        if "InlineBinary" in attribute or "BulkDataURI" in attribute:
            raise ValueError("SQ")
        self._depth += 1
        if self._depth > DEFAULT_LIMITS.nesting:
            raise Malformed("sequences are nested too deep")
        found: list[bytes | Part] = []
        for item in attribute.get("Value") or ():
            if not isinstance(item, Mapping | None):
                raise TypeError("SQ")
            inner: dict[str, Mapping[str, Any]] = dict(item or {})
            inner.pop("00080005", None)
            content = self._elements(inner)
            size = sum(map(len, content))
            found.append(self._implicit(ITEM >> 16, ITEM & 0xFFFF, size))
            found += content
        self._depth -= 1
        return found

    def _text(self, text: str) -> bytes:
        if text.isascii() and not self._charset.terms:
            return text.encode("ascii")
        encoded = self._charset.encode(text)
        if encoded is None:
            raise _Inexpressible
        return encoded


def _padding(vr: str) -> bytes:
    return b" " if vr in TEXT_VRS or (vr in PLAIN_VRS and vr != "UI") else b"\0"


def _only(value: Any) -> Any:
    """Give what some put into a list, led astray by the example of PS3.18 F.4."""
    if isinstance(value, list):
        (value,) = value
    return value


def _person_name(value: Any) -> str:
    return joined_name(value) if isinstance(value, Mapping) else _word(value)


def _word(value: Any) -> str:
    """Give a text; what is none is not taken for an empty one. Raises: TypeError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _plain(vr: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        raise TypeError(vr)
    if vr == "DS":
        return decimal_string(value)
    if vr == "IS":
        return str(integer(value))
    raise TypeError(vr)
