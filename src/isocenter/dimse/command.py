"""Command sets: group 0000, implicit VR little endian (PS3.7 §6.3, §9.3, §10.3, §E.1)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from isocenter.errors import Malformed, OutOfTurn

Value = int | str | tuple[int, ...]

ELEMENT_HEADER = struct.Struct("<HHI")  # group, element, bytes that follow
SHORT_ELEMENT = struct.Struct("<HHIH")
GROUP_LENGTH = struct.Struct("<HHII")
NO_DATA_SET = 0x0101
WITH_DATA_SET = 0x0001
RESPONSE_BIT = 0x8000

# Element of group 0000: keyword and VR. Source: PS3.7 table E.1-1.
ELEMENTS = {
    0x0002: ("AffectedSOPClassUID", "UI"),
    0x0003: ("RequestedSOPClassUID", "UI"),
    0x0100: ("CommandField", "US"),
    0x0110: ("MessageID", "US"),
    0x0120: ("MessageIDBeingRespondedTo", "US"),
    0x0600: ("MoveDestination", "AE"),
    0x0700: ("Priority", "US"),
    0x0800: ("CommandDataSetType", "US"),
    0x0900: ("Status", "US"),
    0x0901: ("OffendingElement", "AT"),
    0x0902: ("ErrorComment", "LO"),
    0x0903: ("ErrorID", "US"),
    0x1000: ("AffectedSOPInstanceUID", "UI"),
    0x1001: ("RequestedSOPInstanceUID", "UI"),
    0x1002: ("EventTypeID", "US"),
    0x1005: ("AttributeIdentifierList", "AT"),
    0x1008: ("ActionTypeID", "US"),
    0x1020: ("NumberOfRemainingSuboperations", "US"),
    0x1021: ("NumberOfCompletedSuboperations", "US"),
    0x1022: ("NumberOfFailedSuboperations", "US"),
    0x1023: ("NumberOfWarningSuboperations", "US"),
    0x1030: ("MoveOriginatorApplicationEntityTitle", "AE"),
    0x1031: ("MoveOriginatorMessageID", "US"),
}
NUMBERS = {keyword: (element, vr) for element, (keyword, vr) in ELEMENTS.items()}
LONGEST_TEXT = {"AE": 16, "LO": 64, "UI": 64}


class Verb(IntEnum):
    """What a request asks for: its Command Field. A response adds 8000H."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


VERBS = {verb.value: verb for verb in Verb}

# Requests that name what they are about as "Requested" rather than "Affected" (PS3.7 §10.3).
ASKS_BY_REQUESTED = frozenset({Verb.N_GET, Verb.N_SET, Verb.N_ACTION, Verb.N_DELETE})


@dataclass(frozen=True, slots=True)
class Command:
    """One command set, by keyword; CommandGroupLength is made and ignored, never kept."""

    elements: Mapping[str, Value]

    @property
    def command_field(self) -> int:
        return self.number("CommandField")

    @property
    def verb(self) -> Verb | None:
        """None, if the standard has no such operation."""
        return VERBS.get(self.command_field & ~RESPONSE_BIT)

    @property
    def is_response(self) -> bool:
        return bool(self.command_field & RESPONSE_BIT)

    @property
    def has_data_set(self) -> bool:
        return self.elements.get("CommandDataSetType", NO_DATA_SET) != NO_DATA_SET

    @property
    def message_id(self) -> int:
        return self.number("MessageID")

    @property
    def answers(self) -> int:
        """The Message ID of the request that this is a response to, or is to cancel."""
        return self.number("MessageIDBeingRespondedTo")

    @property
    def status(self) -> int:
        return self.number("Status")

    @property
    def sop_class(self) -> str:
        """Affected or requested, whichever is there; may be empty."""
        return self.text("AffectedSOPClassUID") or self.text("RequestedSOPClassUID")

    @property
    def sop_instance(self) -> str:
        """Affected or requested, whichever is there; may be empty."""
        return self.text("AffectedSOPInstanceUID") or self.text("RequestedSOPInstanceUID")

    def number(self, keyword: str) -> int:
        """Raises: Malformed, if the command set lacks it."""
        value = self.elements.get(keyword)
        if not isinstance(value, int):
            raise Malformed(f"command set has no {keyword}")
        return value

    def text(self, keyword: str) -> str:
        """Empty, if the command set lacks it."""
        value = self.elements.get(keyword)
        return value if isinstance(value, str) else ""

    def encode(self) -> bytes:
        """The bytes of the command set, elements in rising order, group length first.

        Raises: OutOfTurn, for a keyword that is none or a value that does not fit.
        """
        numbered = sorted((_number(keyword), value) for keyword, value in self.elements.items())
        body = b"".join([_encode_element(element, vr, value) for (element, vr), value in numbered])
        return GROUP_LENGTH.pack(0, 0, 4, len(body)) + body

    @classmethod
    def decode(cls, data: bytes | bytearray | memoryview) -> "Command":
        """Elements that PS3.7 does not list are skipped. Raises: Malformed."""
        elements: dict[str, Value] = {}
        data = bytes(data)
        start, end = 0, len(data)
        while start < end:
            if end - start < 8:
                raise Malformed("command element header is cut short", offset=start)
            group, element, length = ELEMENT_HEADER.unpack_from(data, start)
            stop = start + 8 + length
            if group or stop > end:
                fault = f"command element ({group:04x},{element:04x}) of {length} bytes"
                raise Malformed(fault, offset=start)
            if length and (known := ELEMENTS.get(element)) is not None:
                elements[known[0]] = _decode_value(known[1], data[start + 8 : stop], start)
            start = stop
        command = cls(elements)
        command.number("CommandField")
        return command


def _number(keyword: str) -> tuple[int, str]:
    try:
        return NUMBERS[keyword]
    except KeyError:
        raise OutOfTurn(f"there is no command element {keyword}") from None


def _encode_element(element: int, vr: str, value: Value) -> bytes:
    if vr == "US" and isinstance(value, int) and 0 <= value <= 0xFFFF:
        return SHORT_ELEMENT.pack(0, element, 2, value)
    raw = _encode_value(vr, value)
    return ELEMENT_HEADER.pack(0, element, len(raw)) + raw


def _encode_value(vr: str, value: Value) -> bytes:
    if vr == "AT" and isinstance(value, tuple):
        halves = [half for tag in value for half in (tag >> 16 & 0xFFFF, tag & 0xFFFF)]
        return struct.pack(f"<{len(halves)}H", *halves)
    if isinstance(value, str) and vr in LONGEST_TEXT:
        # A comment is cut; the default repertoire is all that a command set has (PS3.7 §6.3).
        raw = value.encode("ascii", "replace")[: LONGEST_TEXT[vr]]
        return raw + (b"\0" if vr == "UI" else b" ") if len(raw) & 1 else raw
    raise OutOfTurn(f"{type(value).__name__} is no value of VR {vr}")


def _decode_value(vr: str, raw: bytes, offset: int) -> Value:
    if vr == "US":
        if len(raw) != 2:
            raise Malformed(f"command element of VR US has {len(raw)} bytes", offset=offset)
        return raw[0] | raw[1] << 8
    if vr == "AT":
        if len(raw) % 4:
            raise Malformed(f"command element of VR AT has {len(raw)} bytes", offset=offset)
        halves = struct.unpack(f"<{len(raw) // 2}H", raw)
        return tuple(halves[at] << 16 | halves[at + 1] for at in range(0, len(halves), 2))
    if vr == "UI" and not raw.isascii():
        raise Malformed("UID is not ASCII", offset=offset)
    return raw.decode("ascii", "replace").strip("\0 ")
