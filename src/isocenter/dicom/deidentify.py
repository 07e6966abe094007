"""De-identify a data set that streams through (PS3.15 Annex E, Basic Profile).

What is held in memory does not grow with the data set. The pixels are not looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct
from typing import Final

from isocenter.dicom.confidentiality import DUMMIES, NOT_ON_TOP, Action, Place, action, place_within
from isocenter.dicom.dictionary import dictionary_vr
from isocenter.dicom.layout import (
    EXPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    UNDEFINED,
    Buffer,
    read_header,
)
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax

NewUid = Callable[[str], str]
"""Gives another UID for one, always the same."""

WELL_KNOWN: Final = "1.2.840.10008."
"""How the UIDs begin that the standard assigns: they name nobody."""
PATIENT_ID: Final = 0x00100020
LONGEST: Final = 1 << 16
"""Bytes of a value that is looked at to be replaced; a longer one is left empty."""

_HEADER: Final = Struct("<HH2sH")
_LONG_HEADER: Final = Struct("<HH2sHI")
_MARKER: Final = Struct("<HHI")


class _Kind(Enum):
    DATA_SET = auto()
    SEQUENCE = auto()
    FRAGMENTS = auto()


@dataclass(slots=True)
class _Level:
    """A data set, sequence or encapsulated value that is open."""

    kind: _Kind
    is_mute: bool
    place: Place


@dataclass(slots=True)
class _Value:
    """A value on its way through."""

    left: int
    is_mute: bool
    replaced: "tuple[int, str, bytearray] | None" = None
    """Tag and VR of one that another takes the place of, and what there is of it."""


def _method() -> dict[int, bytes | None]:
    """What says that it was done, and how (PS3.15 E.1.1 steps 8 and 9; PS3.16 CID 7050)."""
    code = (
        _written(0x00080100, "SH", b"113100")
        + _written(0x00080102, "SH", b"DCM")
        + _written(0x00080104, "LO", b"Basic Application Confidentiality Profile")
    )
    item = _MARKER.pack(ITEM >> 16, ITEM & 0xFFFF, len(code)) + code
    return {
        0x00120062: _written(0x00120062, "CS", b"YES"),
        0x00120063: _written(0x00120063, "LO", b"PS3.15 Annex E Basic Profile; Isocenter"),
        0x00120064: _written(0x00120064, "SQ", item),
        0x00280303: _written(0x00280303, "CS", b"REMOVED"),
        **dict.fromkeys(NOT_ON_TOP),
    }


class Deidentifier:
    """Feed it a data set; what it gives back is in Explicit VR Little Endian.

    Feeding and finishing raise Malformed; what was given back until then is worthless.
    """

    def __init__(
        self, source: TransferSyntax, new_uid: NewUid, new_id: Callable[[str], str]
    ) -> None:
        """``source``: how its elements are encoded. ``new_id``: gives another Patient ID."""
        self._encoder = Reencoder(source, EXPLICIT_LE, edits=_method())
        self._new_uid = new_uid
        self._new_id = new_id
        self._levels = [_Level(_Kind.DATA_SET, is_mute=False, place=Place.PLAIN)]
        self._value: _Value | None = None
        self._carry = b""
        self._out: list[Buffer] = []

    def feed(self, piece: Buffer) -> bytes:
        """Go on with the next bytes; give what can be written by now."""
        return self._taken(self._encoder.feed(piece))

    def finish(self) -> bytes:
        """Say that the data set is complete; give the rest."""
        return self._taken(self._encoder.finish())

    def _taken(self, given: bytes) -> bytes:
        """Go on with a data set whose sequences and items are all of undefined length."""
        data = memoryview(self._carry + given if self._carry else given)
        at: int = 0
        following: int | None = 0
        while following is not None:
            at = following
            following = self._pipe(data, at) if self._value else self._step(data, at)
        self._carry = bytes(data[at:])
        given = b"".join(self._out)
        self._out.clear()
        return given

    def _pipe(self, data: memoryview, at: int) -> int | None:
        value = self._value
        assert value is not None
        size = min(value.left, len(data) - at)
        if not size and value.left:
            return None
        if value.replaced is not None:
            value.replaced[2].extend(data[at : at + size])
        elif not value.is_mute:
            self._out.append(data[at : at + size])
        value.left -= size
        if not value.left:
            self._value = None
            if value.replaced is not None:
                self._replace(*value.replaced)
        return at + size

    def _step(self, data: memoryview, at: int) -> int | None:
        header = read_header(data, at, len(data), EXPLICIT_LITTLE) if len(data) - at >= 8 else None
        if header is None:
            return None
        level = self._levels[-1]
        tag, vr, length, size = header
        raw = data[at : at + size]
        if tag in (ITEM_END, SEQUENCE_END):
            self._write(raw, is_mute=level.is_mute)
            self._levels.pop()
        elif level.kind is _Kind.SEQUENCE:
            self._write(raw, is_mute=level.is_mute)
            self._levels.append(_Level(_Kind.DATA_SET, level.is_mute, level.place))
        elif level.kind is _Kind.FRAGMENTS:
            self._write(raw, is_mute=level.is_mute)
            self._value = _Value(length, level.is_mute) if length else None
        else:
            self._on_element(level, raw, tag, vr or "UN", length)
        return at + size

    def _on_element(self, level: _Level, raw: memoryview, tag: int, vr: str, length: int) -> None:
        done = action(tag, vr, level.place)
        is_mute = level.is_mute or done is Action.REMOVE
        if length == UNDEFINED:
            self._open(level, raw, tag, vr, done)
        elif is_mute:
            self._pass(length, is_mute=True)
        elif done is Action.KEEP or vr == "SQ":
            self._write(raw, is_mute=False)
            self._pass(length, is_mute=False)
        elif done is Action.EMPTY or not length:
            self._out.append(_written(tag, vr, b""))
            self._pass(length, is_mute=True)
        elif length > LONGEST:
            self._out.append(_written(tag, vr, _dummy(tag, vr)))
            self._pass(length, is_mute=True)
        else:
            self._value = _Value(length, is_mute=True, replaced=(tag, vr, bytearray()))

    def _open(self, level: _Level, raw: memoryview, tag: int, vr: str, done: Action) -> None:
        """Go into a sequence, or into fragments."""
        is_mute = level.is_mute or done is Action.REMOVE
        kind = _Kind.SEQUENCE if vr == "SQ" else _Kind.FRAGMENTS
        place = place_within(tag, done, level.place)
        is_emptied = done is Action.EMPTY or (kind is _Kind.FRAGMENTS and done is not Action.KEEP)
        if is_emptied and not is_mute:
            self._out.append(_written(tag, vr, b""))
            is_mute = True
        self._write(raw, is_mute=is_mute)
        self._levels.append(_Level(kind, is_mute, place))

    def _pass(self, length: int, *, is_mute: bool) -> None:
        self._value = _Value(length, is_mute) if length else None

    def _write(self, data: memoryview, *, is_mute: bool) -> None:
        if not is_mute:
            self._out.append(data)

    def _replace(self, tag: int, vr: str, value: bytearray) -> None:
        """Write what takes the place of a value that was given."""
        known = dictionary_vr(tag) if vr == "UN" else vr
        if known == "UI":
            uids = bytes(value).decode("latin-1").split("\\")
            replaced = "\\".join(self._uid(each.strip(" \0")) for each in uids).encode("latin-1")
            replaced += bytes(len(replaced) % 2)
        elif tag == PATIENT_ID:
            replaced = self._new_id(bytes(value).decode("latin-1").strip(" \0")).encode("ascii")
        else:
            replaced = _dummy(tag, vr)
        self._out.append(_written(tag, vr, replaced))

    def _uid(self, uid: str) -> str:
        return uid if not uid or uid.startswith(WELL_KNOWN) else self._new_uid(uid)


def _dummy(tag: int, vr: str) -> bytes:
    known = str(dictionary_vr(tag)) if vr == "UN" else vr
    return DUMMIES.get(known, bytes(8 if known in ("FD", "SV", "UV", "OD", "OV") else 4))


def _written(tag: int, vr: str, value: bytes) -> bytes:
    """An element; text of odd length is padded."""
    value += b" " * (len(value) % 2)
    name = vr.encode("ascii")
    if name in LONG_VRS:
        return _LONG_HEADER.pack(tag >> 16, tag & 0xFFFF, name, 0, len(value)) + value
    return _HEADER.pack(tag >> 16, tag & 0xFFFF, name, len(value)) + value
