"""The DICOM JSON model, written as a data set in a native transfer syntax (PS3.18 F, PS3.5 7).

Sequences and items get their lengths; group lengths are left out; elements are in tag order.
"""

import zlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from struct import Struct, error
from typing import Any, Final

from isocenter.dicom import charset as charsets
from isocenter.dicom.charset import Charset
from isocenter.dicom.dictionary import plain_vr
from isocenter.dicom.layout import DEFAULT_LIMITS, ITEM, LONG_VRS, Layout, layout_of
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.values import NUMBERS, PLAIN_VRS, TEXT_VRS, swap
from isocenter.errors import Malformed, Unsupported

Dataset = Mapping[str, Mapping[str, Any]]
Fetch = Callable[[str], bytes]
"""Gives the value behind a BulkDataURI, little endian."""

LONGEST_SHORT: Final = 0xFFFE
"""Bytes of an even value that a two-byte length field can tell."""
DS_LENGTH: Final = 16
TAG_LENGTH: Final = 8
"""Hexadecimal digits."""
_LONG: Final = frozenset(LONG_VRS.values())
_NAMES: Final = {vr: vr.encode("ascii") for vr in _LONG | TEXT_VRS | PLAIN_VRS | {*NUMBERS, "AT"}}
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_TAGS: Final = {little: Struct("<HH" if little else ">HH").pack for little in (True, False)}


class _Inexpressible(Exception):
    """A text that the character set cannot express."""


def encode(
    dataset: Dataset,
    syntax: TransferSyntax,
    charset: str | tuple[str, ...] = charsets.UTF_8,
    *,
    fetch: Fetch | None = None,
) -> bytes:
    """Give the bytes of ``dataset`` in ``syntax``.

    Text is in ``charset`` (defined terms of PS3.3 C.12.1.1.2; empty for the default repertoire)
    where that can express all of it, else in UTF-8; the data set says which.

    Raises: Malformed, where a value does not fit its VR; Unsupported, for bulk data without
    ``fetch``, and for encapsulation.
    """
    if syntax.is_encapsulated:
        raise Unsupported(f"cannot write a data set in {syntax.name}")
    terms = (charset,) if isinstance(charset, str) else charset
    terms = tuple(term for term in terms if term)
    layout = layout_of(syntax)
    try:
        data = _Writer(layout, charsets.of_terms(*terms), fetch).dataset(dataset)
    except _Inexpressible:
        data = _Writer(layout, charsets.of_terms(charsets.UTF_8), fetch).dataset(dataset)
    return deflate(data) if syntax.is_deflated else data


def deflate(data: bytes) -> bytes:
    """Deflate a data set and pad it to even length (PS3.5 A.5)."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(data) + stream.flush()
    return deflated + bytes(len(deflated) % 2)


class _Writer:
    def __init__(self, layout: Layout, charset: Charset, fetch: Fetch | None) -> None:
        self._layout = layout
        self._charset = charset
        self._fetch = fetch
        self._depth = 0
        self._order = "<" if layout.is_little_endian else ">"
        self._pack_tag = _TAGS[layout.is_little_endian]
        self._short = Struct(f"{self._order}HH2sH").pack
        self._long = Struct(f"{self._order}HH2sHI").pack
        self._implicit = Struct(f"{self._order}HHI").pack

    def dataset(self, dataset: Dataset) -> bytes:
        """Write the outermost data set: the one that names the character set."""
        terms = self._charset.terms
        named: dict[str, Mapping[str, Any]] = dict(dataset)
        named.pop("00080005", None)
        if terms:
            named["00080005"] = {"vr": "CS", "Value": list(terms)}
        return self._elements(named)

    def _elements(self, dataset: Dataset) -> bytes:
        parts: list[bytes] = []
        for key in sorted(dataset):
            try:
                if len(key) != TAG_LENGTH:
                    raise ValueError(key)
                tag = int(key, 16)
                parts.append(self._element(tag, dataset[key]))
            except (ValueError, TypeError, AttributeError, error, OverflowError) as fault:
                raise Malformed(f"attribute {key[:8]}: not a value of its VR") from fault
        return b"".join(parts)

    def _element(self, tag: int, attribute: Mapping[str, Any]) -> bytes:
        if not tag & 0xFFFF:
            return b""
        vr = attribute.get("vr") or plain_vr(tag)
        value = self._value(vr, attribute)
        if len(value) % 2:
            value += b" " if vr in TEXT_VRS or (vr in PLAIN_VRS and vr != "UI") else b"\0"
        group, element, length = tag >> 16, tag & 0xFFFF, len(value)
        if self._layout.is_implicit:
            return self._implicit(group, element, length) + value
        if vr in _LONG:
            return self._long(group, element, _NAMES[vr], 0, length) + value
        if length > LONGEST_SHORT:
            return self._long(group, element, b"UN", 0, length) + self._as_unknown(value, vr)
        if vr not in _NAMES:
            raise ValueError(vr)
        return self._short(group, element, _NAMES[vr], length) + value

    def _as_unknown(self, value: bytes, vr: str) -> bytes:
        """A value whose length does not fit becomes UN, and so little endian (PS3.5 6.2.2)."""
        return value if self._layout.is_little_endian else swap(value, vr)

    def _value(self, vr: str, attribute: Mapping[str, Any]) -> bytes:
        if "InlineBinary" in attribute:
            return self._binary(vr, b64decode(attribute["InlineBinary"], validate=True))
        if "BulkDataURI" in attribute:
            if self._fetch is None:
                raise Unsupported("cannot write bulk data that is elsewhere")
            return self._binary(vr, self._fetch(attribute["BulkDataURI"]))
        values = attribute.get("Value")
        if not values:
            return b""
        if vr == "SQ":
            return b"".join(self._item(item) for item in values)
        if vr in TEXT_VRS:
            names = [_person_name(value) if vr == "PN" else value or "" for value in values]
            return self._text("\\".join(names))
        if vr in PLAIN_VRS:
            return "\\".join(_plain(vr, value) for value in values).encode("latin-1")
        if vr == "AT":
            tags = [int(value, 16) for value in values]
            return b"".join(self._pack_tag(tag >> 16, tag & 0xFFFF) for tag in tags)
        convert = float if vr in ("FD", "FL") else int
        numbers = [convert(value) for value in values]
        return Struct(f"{self._order}{len(numbers)}{NUMBERS[vr]}").pack(*numbers)

    def _binary(self, vr: str, value: bytes) -> bytes:
        return value if self._layout.is_little_endian else swap(value, vr)

    def _item(self, item: Dataset | None) -> bytes:
        inner: dict[str, Mapping[str, Any]] = dict(item or {})
        inner.pop("00080005", None)
        self._depth += 1
        if self._depth > DEFAULT_LIMITS.nesting:
            raise Malformed("sequences are nested too deep")
        content = self._elements(inner)
        self._depth -= 1
        return self._implicit(ITEM >> 16, ITEM & 0xFFFF, len(content)) + content

    def _text(self, text: str) -> bytes:
        if text.isascii() and not self._charset.terms:
            return text.encode("ascii")
        encoded = self._charset.encode(text)
        if encoded is None:
            raise _Inexpressible
        return encoded


def _person_name(value: Any) -> str:
    if isinstance(value, str):
        return value
    if not value:
        return ""
    return "=".join(value.get(group) or "" for group in _GROUPS).rstrip("=")


def _plain(vr: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if vr == "DS":
        return decimal_string(value)
    if vr == "IS":
        return str(int(value))
    raise TypeError(vr)


def decimal_string(value: float) -> str:
    """Write a number in the 16 characters of a DS, as exactly as these allow (PS3.5 6.2)."""
    text = repr(value)
    digits = DS_LENGTH
    while len(text) > DS_LENGTH:
        digits -= 1
        text = f"{value:.{digits}g}"
    return text
