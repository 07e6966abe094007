"""Change the native encoding of a data set that streams through (PS3.5 Annex A.1 to A.3, A.5).

Sequences and items are written with undefined lengths, group lengths are dropped, odd lengths
padded; all else keeps its value, unless text is to be UTF-8. What is held in memory does not grow
with the data set.
"""

import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from isocenter.dicom.charset import DEFAULT, UTF_8, Charset, of_value
from isocenter.dicom.dictionary import ImplicitVRs, is_private_creator
from isocenter.dicom.elements import is_sequence
from isocenter.dicom.inflation import Inflater
from isocenter.dicom.layout import (
    BITS_ALLOCATED,
    DEFAULT_LIMITS,
    DELIMITERS,
    ITEM,
    ITEM_END,
    LONG_VRS,
    LONGEST_SHORT,
    PIXEL_REPRESENTATION,
    SEQUENCE_END,
    SPECIFIC_CHARACTER_SET,
    UNDEFINED,
    Buffer,
    Header,
    Layout,
    Limits,
    layout_of,
    read_header,
    settle,
    settle_items,
)
from isocenter.dicom.syntax import UNCOMPRESSED, TransferSyntax
from isocenter.dicom.values import PLAIN_VRS, TEXT_VRS, WORD_SIZES, ordered_as, swap
from isocenter.errors import Malformed, Unsupported

LONGEST_TEXT: Final = 64 << 20
"""Bytes of a text that is written in UTF-8."""
LONGEST_NOTICED: Final = 256
"""Bytes of a value that is waited for because later elements hang on it."""
_LONG: Final = frozenset(LONG_VRS.values())
_ENDLESS: Final = 1 << 64
_NO_EDITS: Final[Mapping[int, bytes | None]] = {}


@dataclass(slots=True)
class _Frame:
    """A data set, item, sequence or encapsulated value that is open."""

    layout: Layout
    vrs: ImplicitVRs
    end: int
    """Offset where it ends, or at which what is around it does."""
    has_length: bool
    holds_items: bool = False
    fragment_vr: str | None = None
    is_fresh: bool = True
    charset: Charset = DEFAULT
    """Of its text, where that is written anew."""


@dataclass(slots=True)
class _Value:
    """A value on its way through."""

    left: int
    word: int
    """Bytes that swap places; 1 for none."""
    padding: bytes
    is_dropped: bool = False


class Reencoder:
    """Feed it a data set in ``source``; what it gives back is the same in ``target``.

    Raises, on construction: Unsupported, unless both are native. Feeding and finishing raise
    Malformed, with the offset in what was received; what was given back until then is worthless.
    """

    def __init__(
        self,
        source: TransferSyntax,
        target: TransferSyntax,
        *,
        edits: Mapping[int, bytes | None] = _NO_EDITS,
        to_utf_8: Charset | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """``edits``: by their tags, elements of the outermost data set, as ``target`` has them.

        They take the place of those that are there, or are added; with None these are left out.
        ``to_utf_8``: what text is in; it is written in UTF-8 then.
        """
        for syntax in (source, target):
            if syntax not in UNCOMPRESSED:
                raise Unsupported(f"cannot re-encode {syntax.name}")
        self._limits = limits
        self._inflater = Inflater(limits) if source.is_deflated else None
        self._deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS) if target.is_deflated else None
        self._deflated = 0
        self._target = layout_of(target)
        order = "<" if self._target.is_little_endian else ">"
        self._short = Struct(f"{order}HH2sH").pack
        self._long = Struct(f"{order}HH2sHI").pack
        self._implicit = Struct(f"{order}HHI").pack
        self._frames = [_Frame(layout_of(source), ImplicitVRs(), _ENDLESS, has_length=False)]
        if to_utf_8 is not None:
            self._frames[0].charset = to_utf_8
        self._is_recoding = to_utf_8 is not None
        self.recoded = 0
        """Texts that have become others."""
        self._value: _Value | None = None
        self._carry = b""
        self._base = 0
        self._out: list[bytes] = []
        self._edits = edits
        self._pending = deque(sorted(edits))
        self._is_mute = False
        """Within an element that is edited out."""

    def feed(self, piece: Buffer) -> bytes:
        """Go on with the next bytes; give what can be written by now."""
        for step in (piece,) if self._inflater is None else self._inflater.feed(piece):
            self._take(step)
        return self._given()

    def finish(self) -> bytes:
        """Say that the data set is complete; give the rest."""
        if self._inflater is not None:
            self._inflater.finish()
        if any(self._carry) or self._value or len(self._frames) > 1:
            raise Malformed("data set is cut short", offset=self._base + len(self._carry))
        self._is_mute = False
        self._edit_until(1 << 32)
        rest = self._given()
        if self._deflater is not None:
            rest += self._deflater.flush()
            rest += bytes((self._deflated + len(rest)) % 2)
        return rest

    def _given(self) -> bytes:
        given = b"".join(self._out)
        self._out.clear()
        if self._deflater is not None:
            given = self._deflater.compress(given)
            self._deflated += len(given)
        return given

    def _write(self, data: bytes) -> None:
        if not self._is_mute:
            self._out.append(data)

    def _edit_until(self, tag: int) -> None:
        """Write the edits of elements up to ``tag``."""
        while self._pending and self._pending[0] <= tag:
            if edit := self._edits[self._pending.popleft()]:
                self._out.append(edit)

    def _take(self, piece: Buffer) -> None:
        data = self._carry + piece if self._carry else piece
        at, end = 0, len(data)
        following: int | None = 0
        while following is not None:
            at = following
            following = self._pipe(data, at, end) if self._value else self._step(data, at, end)
        self._carry = bytes(data[at:])
        self._base += at

    def _pipe(self, data: Buffer, at: int, end: int) -> int | None:
        """Pass on what is there of a value, in whole words."""
        value = self._value
        if value is None:
            return at
        size = min(value.left, end - at)
        if size < value.left:
            size -= size % value.word
        if size == 0 and value.left:
            return None
        if not value.is_dropped:
            chunk = data[at : at + size]
            self._write(swap(chunk, _SWAPPED[value.word]) if value.word > 1 else bytes(chunk))
        value.left -= size
        if not value.left:
            self._write(value.padding)
            self._value = None
        return at + size

    def _step(self, data: Buffer, at: int, end: int) -> int | None:
        frame = self._frames[-1]
        if self._base + at >= frame.end:
            if self._base + at > frame.end:
                raise Malformed("a value is longer than what it is in", offset=self._base + at)
            self._close(frame)
            return at
        if end - at < 8:
            return None
        self._settle(frame, data, at)
        header = read_header(data, at, end, frame.layout)
        if header is None:
            return None
        if frame.holds_items:
            return self._on_item(frame, header, at)
        if header.tag >> 16 == DELIMITERS:
            return self._on_delimiter(frame, header, at)
        return self._on_element(frame, header, data, at, end)

    def _settle(self, frame: _Frame, data: Buffer, at: int) -> None:
        if not frame.is_fresh:
            return
        frame.is_fresh = False
        if frame.holds_items:
            frame.layout = settle_items(frame.layout, data, at)
        else:
            frame.layout = settle(frame.layout, data, at, is_item=len(self._frames) > 1)

    def _on_item(self, frame: _Frame, header: Header, at: int) -> int:
        here = self._base + at
        if header.tag == SEQUENCE_END:
            self._close(frame)
            if frame.has_length:  # Peer quirk: a delimiter though the length was given.
                self._check(frame, here, frame.end - here == 8)
            return at + 8
        self._check(frame, here, header.tag == ITEM)
        has_length = header.length != UNDEFINED
        if frame.fragment_vr is not None:
            self._check(frame, here, has_length)
            self._write(self._marker(ITEM, header.length + header.length % 2))
            self._begin_value(frame, frame.fragment_vr, header.length)
            return at + 8
        end = here + 8 + header.length if has_length else frame.end
        self._check(frame, here, end <= frame.end)
        self._write(self._marker(ITEM, UNDEFINED))
        inner = _Frame(frame.layout, ImplicitVRs(frame.vrs), end, has_length)
        inner.charset = frame.charset
        self._frames.append(inner)
        return at + 8

    def _on_delimiter(self, frame: _Frame, header: Header, at: int) -> int:
        here = self._base + at
        is_last = not frame.has_length or frame.end - here == 8
        self._check(frame, here, header.tag == ITEM_END and len(self._frames) > 1 and is_last)
        self._close(frame)
        return at + 8

    def _on_element(
        self, frame: _Frame, header: Header, data: Buffer, at: int, end: int
    ) -> int | None:
        tag, vr, length, size = header
        value = at + size
        if _is_noticed(tag) and length <= LONGEST_NOTICED:
            if value + length > end:
                return None
            frame.vrs.notice(tag, data[value : value + length])
        if len(self._frames) == 1 and self._edits:
            self._edit_until(tag)
            self._is_mute = tag in self._edits
        if length == UNDEFINED:
            self._open(frame, header, self._base + at)
            return value
        self._check(frame, self._base + at, self._base + value + length <= frame.end)
        vr = vr or frame.vrs.explicit_vr(tag)
        if not tag & 0xFFFF:
            self._value = _Value(length, 1, b"", is_dropped=True)  # a group length
            return value
        if vr == "SQ" and length:
            self._open(frame, header, self._base + at)
            return value
        if self._is_recoding and (vr in TEXT_VRS or tag == SPECIFIC_CHARACTER_SET):
            if length > LONGEST_TEXT:
                raise Unsupported(f"a text of {length} bytes is not written anew")
            if value + length > end:
                return None
            self._recode(frame, tag, vr, bytes(data[value : value + length]))
            return value + length
        self._write(self._header(tag, vr, length + length % 2))
        self._begin_value(frame, vr, length, tag)
        return value

    def _recode(self, frame: _Frame, tag: int, vr: str, text: bytes) -> None:
        """Write a text in UTF-8, or the name of a character set as that of UTF-8."""
        if tag == SPECIFIC_CHARACTER_SET:
            frame.charset = of_value(text)
            written = UTF_8.encode("ascii")
        else:
            written = frame.charset.decode(text).encode("utf-8")
        self.recoded += written != text
        written += b" " * (len(written) % 2)
        self._write(self._header(tag, vr, len(written)) + written)

    def _open(self, frame: _Frame, header: Header, here: int) -> None:
        tag, vr, length, size = header
        if len(self._frames) > 2 * self._limits.nesting:
            raise Malformed("sequences are nested too deep", offset=here)
        has_length = length != UNDEFINED
        end = here + size + length if has_length else frame.end
        holds = has_length or is_sequence(tag, vr)
        fragment_vr = None if holds else vr or "OB"
        self._write(self._header(tag, fragment_vr or "SQ", UNDEFINED))
        inner = _Frame(frame.layout, frame.vrs, end, has_length, True, fragment_vr)
        inner.charset = frame.charset
        self._frames.append(inner)

    def _close(self, frame: _Frame) -> None:
        self._write(self._marker(SEQUENCE_END if frame.holds_items else ITEM_END, 0))
        self._frames.pop()

    def _begin_value(self, frame: _Frame, vr: str, length: int, tag: int = 0) -> None:
        is_turned = frame.layout.is_little_endian != self._target.is_little_endian
        # A value too long for its VR became UN, and that is little endian (PS3.5 6.2.2).
        written = self._written_vr(vr, length)
        if written == "UN" and vr != "UN":
            is_turned = not frame.layout.is_little_endian
        ordered = ordered_as(tag, vr, frame.vrs.bits_allocated)
        word = WORD_SIZES.get(ordered, 1) if is_turned else 1
        is_text = vr in TEXT_VRS or (vr in PLAIN_VRS and vr != "UI")
        padding = (b" " if is_text else b"\0") if length % 2 else b""
        self._value = _Value(length, word, padding)

    def _written_vr(self, vr: str, length: int) -> str:
        is_too_long = length > LONGEST_SHORT and vr not in _LONG
        return "UN" if is_too_long and not self._target.is_implicit else vr

    def _header(self, tag: int, vr: str, length: int) -> bytes:
        if self._target.is_implicit:
            return self._implicit(tag >> 16, tag & 0xFFFF, length)
        vr = self._written_vr(vr, length)
        name = vr.encode("ascii")
        if vr in _LONG:
            return self._long(tag >> 16, tag & 0xFFFF, name, 0, length)
        return self._short(tag >> 16, tag & 0xFFFF, name, length)

    def _marker(self, tag: int, length: int) -> bytes:
        return self._implicit(tag >> 16, tag & 0xFFFF, length)

    def _check(self, frame: _Frame, here: int, is_fine: bool) -> None:
        if not is_fine:
            kind = "sequence" if frame.holds_items else "data set"
            raise Malformed(f"a {kind} is not built as it should be", offset=here)


_SWAPPED: Final = {2: "US", 4: "UL", 8: "UV"}
"""A VR for each size of words."""


def _is_noticed(tag: int) -> bool:
    return tag in (BITS_ALLOCATED, PIXEL_REPRESENTATION) or is_private_creator(tag)
