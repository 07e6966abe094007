"""multipart/related: writing it, and reading it as it comes (PS3.18 8.6.1.2; RFC 2046 5.1).

Neither does any input or output. The sizes of what is written around parts are known before, so
that an answer can say its length; the reader hands parts on as views of what it was fed.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from isocenter.errors import Malformed, OutOfTurn
from isocenter.web.media_types import MULTIPART, MediaType, quoted

Buffer = bytes | bytearray | memoryview

# RFC 2046 5.1.1: 1 to 70 characters, the last no space. Peer quirk: senders use others as well
# (a tilde, an asterisk), which do no harm; line ends and what cannot be seen would.
_BOUNDARY: Final = re.compile(r"[ -~]{0,199}[!-~]")
_FORBIDDEN_IN_HEADERS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


# --- writing


def boundary() -> str:
    """Return a new boundary, which no part contains but by a wonder."""
    return secrets.token_hex(16)


def content_type(boundary: str, media_type: str, transfer_syntax: str | None = None) -> str:
    """Return the Content-Type of the whole, whose first part is of ``media_type``."""
    syntax = f"; transfer-syntax={transfer_syntax}" if transfer_syntax else ""
    return f"{MULTIPART}; type={quoted(media_type)}{syntax}; boundary={quoted(boundary)}"


def part_head(boundary: str, headers: Mapping[str, str], first: bool = False) -> bytes:
    """Return what stands before the content of a part. Raises: OutOfTurn."""
    lines = ["" if first else "\r\n", "--", boundary, "\r\n"]
    for name, value in headers.items():
        if _FORBIDDEN_IN_HEADERS.search(name + value):
            raise OutOfTurn("a header field of a part with control characters")
        lines += [name, ": ", value, "\r\n"]
    lines.append("\r\n")
    return "".join(lines).encode("utf-8")


def end(boundary: str) -> bytes:
    """Return what stands behind the last part."""
    return f"\r\n--{boundary}--\r\n".encode()


def length(heads: Iterable[bytes], sizes: Iterable[int], boundary: str) -> int:
    """Return the bytes of the whole: what ``part_head`` gave, the sizes of parts, and the end."""
    return sum(map(len, heads)) + sum(sizes) + len(end(boundary))


# --- reading


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins."""

    headers: Mapping[str, str]
    """By name in lower case; folded lines are one."""


@dataclass(frozen=True, slots=True)
class PartData:
    """Some of its content."""

    data: memoryview
    """A view of what was fed; valid for as long as that is."""
    is_fed: bool = True
    """False, where it is of a copy, which is nobody else's."""


@dataclass(frozen=True, slots=True)
class PartEnd:
    """It is whole."""


Event = PartBegin | PartData | PartEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a sender may ask of us beyond the content of parts."""

    header_size: int = 16 << 10
    """Bytes of the header fields of one part."""
    parts: int = 1_000_000
    margin: int = 64 << 10
    """Bytes before the first boundary, and again after the last one."""
    padding: int = 256
    """Bytes between a boundary and its line's end."""


class _Awaiting(Enum):
    FIRST_BOUNDARY = auto()
    HEADERS = auto()
    CONTENT = auto()
    NOTHING = auto()
    """The last boundary was seen."""


class _Line(Enum):
    """What follows the characters of a boundary, and so whether it is one."""

    NEXT = auto()
    LAST = auto()
    NO_BOUNDARY = auto()
    UNKNOWN_YET = auto()


class Parser:
    """Feed it the bytes as they come; it says what they are.

    What a sender uses as line end after its first boundary is taken for the line end of the whole.
    Peer quirk: scripts write bare line feeds.
    """

    def __init__(self, boundary: str, limits: Limits | None = None) -> None:
        """Raises: Malformed, if ``boundary`` cannot be one."""
        if not _BOUNDARY.fullmatch(boundary):
            raise Malformed("the boundary parameter of Content-Type cannot be a boundary")
        self._limits = limits or Limits()
        self._dashed = b"--" + boundary.encode()
        self._newline = b"\n"
        self._delimiter = self._newline + self._dashed
        self._ending = self._line_ending(rb"\r?\n")
        self._held = b"\n"  # so that a boundary at the very start stands on a line of its own
        self._offset = -len(self._held)
        self._stop = 0  # where what is looked at ends
        self._is_copy = False
        self._end: int | None = None
        self._parts = 0
        self._steps = {
            _Awaiting.FIRST_BOUNDARY: self._first_boundary,
            _Awaiting.HEADERS: self._headers,
            _Awaiting.CONTENT: self._content,
            _Awaiting.NOTHING: self._epilogue,
        }
        self._awaiting = _Awaiting.FIRST_BOUNDARY

    @property
    def is_complete(self) -> bool:
        """The last boundary was seen."""
        return self._awaiting is _Awaiting.NOTHING

    def feed(self, data: Buffer, start: int = 0, stop: int | None = None) -> list[Event]:
        """Return what the next bytes bring, those of ``data`` from ``start`` to ``stop``.

        Raises: Malformed.
        """
        stop = len(data) if stop is None else stop
        self._is_copy = bool(self._held) or isinstance(data, memoryview)
        if self._is_copy:
            whole: bytes | bytearray = self._held + bytes(memoryview(data)[start:stop])
            start, stop = 0, len(whole)
        else:
            assert not isinstance(data, memoryview)
            whole = data
        self._stop = stop
        self._offset -= start
        events: list[Event] = []
        at = start
        while True:
            before = at, self._awaiting
            at = self._steps[self._awaiting](whole, at, events)
            if (at, self._awaiting) == before:
                break
        self._held = bytes(whole[at:stop])
        self._offset += at
        return events

    def finish(self) -> None:
        """Say that no more comes. Raises: Malformed, if there should have been more."""
        if self._awaiting is _Awaiting.FIRST_BOUNDARY:
            raise Malformed("the boundary that Content-Type names does not stand in the body")
        if not self.is_complete:
            at = self._offset + len(self._held)
            raise Malformed("the body is cut short: its last boundary is missing", offset=at)

    # Each step returns how far it got; the same place in the same state means: feed me more.

    def _first_boundary(self, data: bytes | bytearray, at: int, events: list[Event]) -> int:
        found = data.find(self._delimiter, at, self._stop)
        if self._offset + (self._stop if found < 0 else found) > self._limits.margin:
            raise Malformed("the boundary that Content-Type names does not stand in the body")
        if found < 0:
            return max(at, self._stop - len(self._delimiter) + 1)
        if self._line(data, found) is _Line.NO_BOUNDARY:
            return found + 1
        return self._pass_boundary(data, found, events)

    def _content(self, data: bytes | bytearray, at: int, events: list[Event]) -> int:
        found = data.find(self._delimiter, at, self._stop)
        if found < 0:
            found = self._beginning_of_delimiter(data, at)
            self._give(data, at, found, events)
            return found
        if self._line(data, found) is _Line.NO_BOUNDARY:
            after = found + len(self._delimiter)
            self._give(data, at, after, events)
            return after
        self._give(data, at, found, events)
        return self._pass_boundary(data, found, events)

    def _headers(self, data: bytes | bytearray, at: int, events: list[Event]) -> int:
        newline = self._newline
        # An empty block is one line end only; the line before it was that of the boundary.
        end = (
            at
            if data.startswith(newline, at, self._stop)
            else data.find(newline * 2, at, self._stop)
        )
        limit = at + self._limits.header_size
        if (self._stop if end < 0 else end) > limit:
            raise Malformed("the header fields of a part are too long", offset=self._offset + at)
        blank = end + (len(newline) if end > at else 0)
        if end < 0 or self._stop < blank + len(self._delimiter):
            return at
        events.append(PartBegin(_fields(bytes(data[at:end]), newline, self._offset + at)))
        self._awaiting = _Awaiting.CONTENT
        # Of a part without content the blank line may be the boundary's own line end.
        return (
            blank if data.startswith(self._delimiter, blank, self._stop) else blank + len(newline)
        )

    def _epilogue(self, data: bytes | bytearray, at: int, _: list[Event]) -> int:
        if self._end is None:
            self._end = self._offset + at
        if self._offset + self._stop - self._end > self._limits.margin:
            raise Malformed("too much follows the last boundary", offset=self._end)
        return self._stop

    def _line(self, data: bytes | bytearray, found: int) -> _Line:
        """What the delimiter at ``found`` is, going by what follows it on its line."""
        at = found + len(self._delimiter)
        if data.startswith(b"--", at, self._stop):
            return _Line.LAST
        if self._ending.match(data, at, self._stop):
            return _Line.NEXT
        rest = bytes(data[at : min(at + self._limits.padding + 2, self._stop)])
        is_open = rest.strip(b" \t") in (b"", b"\r") or rest == b"-"
        if is_open and len(rest) < self._limits.padding + 2:
            return _Line.UNKNOWN_YET
        return _Line.NO_BOUNDARY

    def _line_ending(self, newline: bytes) -> re.Pattern[bytes]:
        """What may stand behind a boundary that is not the last one."""
        return re.compile(rb"[ \t]{0,%d}(%b)" % (self._limits.padding, newline))

    def _pass_boundary(self, data: bytes | bytearray, found: int, events: list[Event]) -> int:
        """Go behind the boundary at ``found``, if its line is whole."""
        at = found + len(self._delimiter)
        line = self._line(data, found)
        if line is _Line.UNKNOWN_YET:
            return found
        if self._awaiting is _Awaiting.CONTENT:
            events.append(PartEnd())
        if line is _Line.LAST:
            self._awaiting = _Awaiting.NOTHING
            return at + 2
        self._parts += 1
        if self._parts > self._limits.parts:
            raise Malformed(f"more than {self._limits.parts} parts", offset=self._offset + at)
        ending = self._ending.match(data, at, self._stop)
        assert ending is not None
        if self._awaiting is _Awaiting.FIRST_BOUNDARY:
            self._newline = ending[1]
            self._delimiter = self._newline + self._dashed
            self._ending = self._line_ending(re.escape(self._newline))
        self._awaiting = _Awaiting.HEADERS
        return ending.end()

    def _beginning_of_delimiter(self, data: bytes | bytearray, at: int) -> int:
        """Where the delimiter may begin that goes on in what is still to come."""
        # The first byte of a delimiter stands nowhere else in it, so only its last place counts.
        start = max(at, self._stop - len(self._delimiter) + 1)
        found = data.rfind(self._delimiter[:1], start, self._stop)
        return (
            found
            if found >= 0 and self._delimiter.startswith(data[found : self._stop])
            else self._stop
        )

    def _give(self, data: bytes | bytearray, start: int, end: int, events: list[Event]) -> None:
        if start < end:
            events.append(PartData(memoryview(data)[start:end], not self._is_copy))


def boundary_of(media_type: MediaType) -> str:
    """Return the boundary that a Content-Type names. Raises: Malformed."""
    if not (found := media_type.parameters.get("boundary")):
        raise Malformed("the Content-Type of a multipart body must name its boundary")
    return found


def _fields(block: bytes, newline: bytes, offset: int) -> Mapping[str, str]:
    """Read the header fields of a part; at ``offset`` they begin. Raises: Malformed."""
    fields: dict[str, str] = {}
    text = re.sub(rb"\r?\n[ \t]+", b" ", block).decode("utf-8", "surrogateescape")
    for line in text.split(newline.decode()) if text else ():
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name or _FORBIDDEN_IN_HEADERS.search(line):
            raise Malformed("a header field of a part is not well formed", offset=offset)
        if name in fields:
            raise Malformed("a header field of a part stands twice", offset=offset)
        fields[name] = value.strip()
    return MappingProxyType(fields)
