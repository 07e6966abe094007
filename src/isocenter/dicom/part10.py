"""DICOM files: preamble and file meta information before the data set (PS3.10 section 7).

Reading is generous: to files without preamble, without meta information or with a wrong length in
it, as long as the transfer syntax can be told. Writing is not.
"""

from dataclasses import dataclass
from mmap import mmap
from struct import pack
from typing import BinaryIO, Final

from isocenter.dicom.dictionary import plain_vr
from isocenter.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from isocenter.dicom.layout import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    LONG_VRS,
    LONGEST_SHORT,
    UNDEFINED,
    Layout,
    looks_explicit,
    read_header,
)
from isocenter.dicom.scanner import RawValue
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TransferSyntax, lookup
from isocenter.errors import Malformed

PREAMBLE_SIZE: Final = 128
PREFIX: Final = b"DICM"
FIRST_READ: Final = 4096
LONGEST: Final = 1 << 20
"""Bytes that preamble and meta information may take."""

STRAYS: Final = (b"\2\0", b"\0\0")
"""What begins meta information and command sets, which are little endian always."""

MEDIA_STORAGE_SOP_CLASS: Final = 0x00020002
MEDIA_STORAGE_SOP_INSTANCE: Final = 0x00020003
TRANSFER_SYNTAX: Final = 0x00020010


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What stands before the data set, and how to read that."""

    meta: dict[int, RawValue]
    """Group 0002 by tag, as stored; its group length left out."""
    syntax: TransferSyntax
    """As said by the meta information, else as told from the bytes."""
    dataset_offset: int
    """Of the data set, in bytes from the start of the file."""
    has_preamble: bool

    def text(self, tag: int) -> str:
        """Give a value of the meta information without its padding; empty if absent."""
        raw = self.meta.get(tag)
        return raw.value.decode("latin-1").strip(" \0") if raw else ""

    @property
    def sop_class(self) -> str:
        """Media Storage SOP Class UID; empty if absent."""
        return self.text(MEDIA_STORAGE_SOP_CLASS)

    @property
    def sop_instance(self) -> str:
        """Media Storage SOP Instance UID; empty if absent."""
        return self.text(MEDIA_STORAGE_SOP_INSTANCE)


class _Start:
    """The first bytes of a file, read as far as asked for."""

    def __init__(self, source: "bytes | memoryview | mmap | BinaryIO") -> None:
        self._source = source
        self.data = b""
        self.is_whole = False

    def more(self) -> bool:
        """Read on; give False at the end of the file or of our patience."""
        if self.is_whole or len(self.data) >= LONGEST:
            return False
        read = self._read(max(FIRST_READ, len(self.data)))
        self.data += read
        self.is_whole = not read
        return bool(read)

    def _read(self, size: int) -> bytes:
        if isinstance(self._source, bytes | memoryview | mmap):
            return bytes(self._source[len(self.data) : len(self.data) + size])
        return self._source.read(size)

    def has(self, end: int) -> bool:
        """Read until ``end`` if possible."""
        while len(self.data) < end:
            if not self.more():
                return False
        return True


def read(source: "bytes | memoryview | mmap | BinaryIO") -> FileHeader:
    """Read what stands before the data set; of a file, as much as that takes and a few KiB more.

    A file is read from where it stands, and stands anywhere afterwards.

    Raises: Malformed, for what is no DICOM file or is cut short in its meta information.
    """
    start = _Start(source)
    has_preamble = _has_preamble(start)
    at = 132 if has_preamble else 4 if start.data[:4] == PREFIX else 0
    meta, at = _read_meta(start, at)
    uid = meta.get(TRANSFER_SYNTAX)
    named = uid.value.decode("latin-1").strip(" \0") if uid else ""
    if not (named and lookup(named).is_deflated):
        at = _behind_command_group(start, at)
    syntax = lookup(named) if named else _guess(start, at, is_certain=has_preamble or bool(meta))
    return FileHeader(meta, syntax, at, has_preamble)


def _has_preamble(start: _Start) -> bool:
    """Tell by the prefix, unless that is a word in the data set of a file without a preamble."""
    if not start.has(132) or start.data[PREAMBLE_SIZE:132] != PREFIX:
        return False
    begins_with_element = start.data[1:2] == b"\0" and looks_explicit(start.data[4:6])
    return not begins_with_element or start.data[132:134] == b"\x02\0"


def _read_meta(start: _Start, at: int) -> tuple[dict[int, RawValue], int]:
    """Read group 0002 by its elements: its group length is too often wrong to be of use."""
    meta: dict[int, RawValue] = {}
    layout = EXPLICIT_LITTLE
    if start.has(at + 8) and not looks_explicit(start.data[at + 4 : at + 6]):
        layout = IMPLICIT_LITTLE  # Peer quirk: meta information in implicit VR.
    while start.has(at + 8) and start.data[at : at + 2] == b"\x02\x00":
        value, length, tag, vr = _meta_element(start, at, layout)
        if tag & 0xFFFF:
            meta[tag] = RawValue(vr or plain_vr(tag), start.data[value : value + length])
        at = value + length
    return meta, at


def _meta_element(start: _Start, at: int, layout: Layout) -> tuple[int, int, int, str | None]:
    start.has(at + 12)
    header = read_header(start.data, at, len(start.data), layout)
    if header is None or header.length == UNDEFINED:
        raise Malformed("file meta information is cut short", offset=at)
    value = at + header.size
    if not start.has(value + header.length):
        raise Malformed("file meta information is cut short", offset=at)
    return value, header.length, header.tag, header.vr


def _behind_command_group(start: _Start, at: int) -> int:
    """Step over a command set that somebody wrote into the file (PS3.7 6.3)."""
    while start.has(at + 8) and start.data[at : at + 2] == b"\0\0":
        header = read_header(start.data, at, len(start.data), IMPLICIT_LITTLE)
        if header is None or not header.length or not start.has(at + 8 + header.length):
            break
        at += 8 + header.length
    return at


def behind_strays(parts: list[memoryview], syntax: TransferSyntax) -> list[memoryview]:
    """Leave out the meta information or command set that some senders put before a data set.

    It is none of it (PS3.5 7.1), and behind a file's own meta information it would pass for that.
    Raises: Malformed, where it has no end in ``parts``.
    """
    if syntax.is_deflated or b"".join(part[:2] for part in parts[:2])[:2] not in STRAYS:
        return parts
    data = b"".join(parts)
    start, at, before = _Start(data), 0, -1
    while at != before:
        before = at
        _, at = _read_meta(start, at)
        at = _behind_command_group(start, at)
    return [memoryview(data)[at:]]


def _guess(start: _Start, at: int, *, is_certain: bool) -> TransferSyntax:
    """Tell the transfer syntax by the first element (PS3.10 7 asks for no such thing)."""
    if not start.has(at + 8):
        if is_certain:
            return IMPLICIT_LE  # no data set at all
        raise Malformed("too short for a DICOM file", offset=len(start.data))
    first = start.data[at : at + 8]
    is_explicit = looks_explicit(first[4:6])
    little = int.from_bytes(first[:2], "little")
    is_little = little <= 0xFF or not is_explicit
    group = little if is_little else int.from_bytes(first[:2], "big")
    length = int.from_bytes(first[4:8], "little")
    # A data set begins with a low group; the first value of one is short.
    if not is_certain and (group > 0xFF or (not is_explicit and length > LONGEST)):
        raise Malformed("no DICOM file", offset=at)
    if not is_explicit:
        return IMPLICIT_LE
    return EXPLICIT_LE if is_little else EXPLICIT_BE


def header(
    sop_class: str,
    sop_instance: str,
    transfer_syntax: str,
    *,
    source_ae: str | None = None,
    receiving_ae: str | None = None,
    private: tuple[str, bytes] | None = None,
) -> bytes:
    """Give preamble, prefix and file meta information for a data set that follows verbatim.

    ``private`` is a creator's UID and its bytes. Raises: Malformed, for a UID that is longer than
    any value of its VR. Source: PS3.10 7.1, Table 7.1-1.
    """
    body = _element(0x00020001, "OB", b"\0\1")
    body += _uid(MEDIA_STORAGE_SOP_CLASS, sop_class)
    body += _uid(MEDIA_STORAGE_SOP_INSTANCE, sop_instance)
    body += _uid(TRANSFER_SYNTAX, transfer_syntax)
    body += _uid(0x00020012, IMPLEMENTATION_CLASS_UID)
    body += _element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii"))
    if source_ae is not None:
        body += _element(0x00020016, "AE", source_ae.encode("latin-1", "replace"))
    if receiving_ae is not None:
        body += _element(0x00020018, "AE", receiving_ae.encode("latin-1", "replace"))
    if private is not None:
        body += _uid(0x00020100, private[0]) + _element(0x00020102, "OB", private[1])
    length = _element(0x00020000, "UL", pack("<I", len(body)))
    return bytes(PREAMBLE_SIZE) + PREFIX + length + body


def _uid(tag: int, uid: str) -> bytes:
    return _element(tag, "UI", uid.encode("latin-1", "replace"))


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB") else b" "
    name = vr.encode("ascii")
    if name in LONG_VRS:
        return pack("<HH2sHI", tag >> 16, tag & 0xFFFF, name, 0, len(value)) + value
    if len(value) > LONGEST_SHORT:
        raise Malformed(f"a {vr} of {len(value)} bytes is none")
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, name, len(value)) + value
