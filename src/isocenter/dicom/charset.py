"""Specific Character Set: bytes to text and back (PS3.5 6.1, PS3.3 C.12.1.1.2).

Unlike pydicom's functions, these never warn, never raise for what a peer sent, and keep to the
reset of code extensions at delimiters only where a writer can have meant it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isocenter.dicom.charset_tables import (
    ALONE,
    DEFAULT as _DEFAULT,
    ENCODINGS,
    ENCODINGS_BY_ESCAPE,
)

UTF_8: Final = "ISO_IR 192"
_ESCAPE: Final = b"\x1b"
_ASCII_CODE: Final = b"\x1b(B"
_FRAGMENT: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*", re.DOTALL)
_DELIMITER: Final = re.compile(rb"[\\^=\r\n\t\f]")
_TEXT_DELIMITER: Final = re.compile(r"([\\^=\r\n\t\f])")
# Python wants to see the escape sequence itself for these.
_STATEFUL: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
_CODES: Final = {encoding: code for code, encoding in ENCODINGS_BY_ESCAPE.items()} | {
    "shift_jis": b"\x1b)I"
}


@dataclass(frozen=True, slots=True)
class Charset:
    """One value of Specific Character Set, ready to decode and encode by."""

    terms: tuple[str, ...]
    """The defined terms as sent; empty for the default repertoire."""
    encodings: tuple[str, ...]
    """Python's names, one for each usable term; never empty."""

    @property
    def is_known(self) -> bool:
        """Whether all of its terms are, at least when spelled right."""
        return all(term in ENCODINGS or _spelled_right(term) in ENCODINGS for term in self.terms)

    def decode(self, value: bytes) -> str:
        """Give the text; what cannot be decoded becomes U+FFFD. Never raises."""
        if value.isascii() and _ESCAPE not in value:
            return value.decode("ascii")
        if _ESCAPE not in value or self.terms[:1] == (UTF_8,):
            return value.decode(self.encodings[0], "replace")
        return "".join(self._decode_fragment(part) for part in _FRAGMENT.findall(value))

    def is_utf_8(self, value: bytes) -> bool:
        """Tell whether ``value`` means the same in UTF-8."""
        if self.terms[:1] == (UTF_8,):
            return True
        return value.isascii() and _ESCAPE not in value and self.encodings[0] != "shift_jis"

    def encode(self, text: str) -> bytes | None:
        """Give the bytes, or None where this character set cannot express ``text``."""
        if text.isascii() and self.encodings[0] != "shift_jis":
            return text.encode("ascii")
        if len(self.terms) <= 1:
            return self._encode_single(text)
        parts = [self._encode_part(part) for part in _TEXT_DELIMITER.split(text)]
        if None in parts:
            return None
        encoded = b"".join(part for part in parts if part is not None)
        return encoded if self.decode(encoded) == text else None

    def _encode_single(self, text: str) -> bytes | None:
        encoding = self.encodings[0] if self.terms and self.terms[0] != "ISO_IR 6" else "ascii"
        encoded = _encode_by(encoding, text)
        return encoded if encoded is not None and self.decode(encoded) == text else None

    def _encode_part(self, part: str) -> bytes | None:
        """Encode what stands between delimiters, by the first character set that can."""
        if part.isascii():
            return part.encode("ascii")
        for position, encoding in enumerate(self.encodings):
            if position == 0 and encoding == _DEFAULT:
                continue
            encoded = _encode_by(encoding, part)
            if encoded is None:
                continue
            if encoding in _STATEFUL:
                is_romaji = self.encodings[0] == "shift_jis"
                return encoded.removesuffix(_ASCII_CODE) + (b"\x1b(J" if is_romaji else _ASCII_CODE)
            return encoded if position == 0 else _CODES.get(encoding, b"") + encoded
        return None

    def _decode_fragment(self, part: bytes) -> str:
        first = self.encodings[0]
        if not part.startswith(_ESCAPE):
            return part.decode(first, "replace")
        size = 4 if part[1:3] in (b"$(", b"$)") else 3
        encoding = ENCODINGS_BY_ESCAPE.get(part[:size], "")
        if encoding not in self.encodings and encoding != _DEFAULT:
            return part.decode(first, "replace")
        if encoding in _STATEFUL:
            return part.decode(encoding, "replace")
        part = part[size:]
        # A delimiter leads back to the first character set. Some writers forget to go on from
        # there again; with nothing but ASCII to go back to, their meaning is clear.
        delimiter = None if first == _DEFAULT else _DELIMITER.search(part)
        if delimiter is None:
            return part.decode(encoding, "replace")
        head, tail = part[: delimiter.start()], part[delimiter.start() :]
        return head.decode(encoding, "replace") + tail.decode(first, "replace")


def _encode_by(encoding: str, text: str) -> bytes | None:
    try:
        encoded = text.encode(encoding)
    except UnicodeEncodeError:
        return None
    # Of Shift JIS, only the single bytes are JIS X 0201, which is what DICOM has.
    is_beyond = encoding == "shift_jis" and len(encoded) != len(text)
    return None if is_beyond else encoded


def _python_encodings(terms: tuple[str, ...]) -> Iterator[str]:
    for position, term in enumerate(terms):
        if position and term in ALONE:
            continue
        known = ENCODINGS.get(term) or ENCODINGS.get(_spelled_right(term))
        if known is not None or position == 0:
            yield known or _DEFAULT
        if term in ALONE:
            return


def _spelled_right(term: str) -> str:
    """Mend the spellings that are seen in the field: ISO-IR 100, ISO 2022-IR 87."""
    if re.match("ISO.2022.IR.", term):
        return f"ISO 2022 IR {term[12:]}"
    return f"ISO_IR {term[7:]}" if re.match("ISO.IR.", term) else term


def of_terms(*terms: str) -> Charset:
    """Give the character set of the defined terms; unknown ones count as the default repertoire."""
    return Charset(terms, tuple(_python_encodings(terms)) or (_DEFAULT,))


DEFAULT: Final = of_terms()
_SINGLE: Final = {term.encode("ascii"): of_terms(term) for term in ENCODINGS if term}


def of_value(value: bytes) -> Charset:
    """Give the character set of a value of (0008,0005) as encoded."""
    known = _SINGLE.get(value.rstrip(b" \0"))
    if known is not None:
        return known
    text = value.decode("latin-1").rstrip(" \0")
    return of_terms(*(term.strip() for term in text.split("\\"))) if text else DEFAULT
