"""Finds the PDUs in the bytes as they arrive. P-DATA is handed on piecewise, uncopied."""

from typing import Protocol

from isocenter.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA_TF,
    PDU_HEADER,
    RELEASE_RP,
    RELEASE_RQ,
    VALUE_HEADER,
)
from isocenter.errors import Malformed

FIXED_SIZE = frozenset({ASSOCIATE_RJ, RELEASE_RQ, RELEASE_RP, ABORT})
ASSOCIATE = frozenset({ASSOCIATE_RQ, ASSOCIATE_AC})
HEADER = PDU_HEADER.size  # a value header is as long
LENGTH_OF_HEAD = 2  # context and control count among a value's length


class UnknownUnit(Malformed):
    """A PDU type that does not exist."""


class Sink(Protocol):
    """Whoever takes what a ``Splitter`` finds."""

    def data_begins(self) -> bool:
        """A P-DATA-TF begins. False stops the reading of this and all later bytes."""

    def fragment(self, context_id: int, control: int, piece: memoryview, *, ends: bool) -> None:
        """More of a presentation data value; ``ends`` with its last byte. Valid for this call."""

    def unit(self, pdu_type: int, body: bytes) -> bool:
        """A whole PDU of another kind. False stops the reading."""


class Splitter:
    """Feed it bytes in pieces of any size.

    ``largest_data`` and ``largest_associate`` bound the bodies of P-DATA-TF and of association
    PDUs, in bytes.
    """

    __slots__ = (
        "_body",
        "_body_left",
        "_context_id",
        "_control",
        "_head",
        "_largest_associate",
        "_largest_data",
        "_sink",
        "_type",
        "_unit_left",
        "_value_left",
        "offset",
        "stopped",
    )

    def __init__(self, sink: Sink, *, largest_data: int, largest_associate: int) -> None:
        self._sink = sink
        self._largest_data = largest_data
        self._largest_associate = largest_associate
        self._head = bytearray()  # of a PDU or a value, while incomplete
        self._type = 0
        self._body = bytearray()
        self._body_left = 0  # of a PDU other than P-DATA-TF
        self._unit_left = 0  # of a P-DATA-TF
        self._value_left = 0  # of a presentation data value
        self._context_id = 0
        self._control = 0
        self.offset = 0  # bytes seen
        self.stopped = False

    @property
    def is_amid(self) -> bool:
        """Whether a PDU has begun and not ended."""
        return bool(self._head or self._body_left or self._unit_left or self._value_left)

    def feed(self, data: memoryview) -> None:
        """Raises: Malformed, and UnknownUnit; nothing more is read then."""
        position, end = 0, len(data)
        while position < end and not self.stopped:
            if self._value_left:
                position = self._take_value(data, position, end)
            elif self._body_left:
                position = self._take_body(data, position, end)
            else:
                position = self._take_header(data, position, end)
        self.offset += end

    def _take_value(self, data: memoryview, position: int, end: int) -> int:
        stop = position + self._value_left
        if stop <= end:
            self._value_left = 0
            self._sink.fragment(self._context_id, self._control, data[position:stop], ends=True)
            return stop
        self._value_left = stop - end
        self._sink.fragment(self._context_id, self._control, data[position:end], ends=False)
        return end

    def _take_body(self, data: memoryview, position: int, end: int) -> int:
        stop = min(position + self._body_left, end)
        self._body += data[position:stop]
        self._body_left -= stop - position
        if not self._body_left:
            body, self._body = bytes(self._body), bytearray()
            self._go_on(self._sink.unit(self._type, body))
        return stop

    def _take_header(self, data: memoryview, position: int, end: int) -> int:
        head = self._head
        if not head and end - position >= HEADER:
            stop = position + HEADER
            self._begin(data, position)
            return stop
        stop = min(position + HEADER - len(head), end)
        head += data[position:stop]
        if len(head) == HEADER:
            whole = memoryview(bytes(head))
            head.clear()
            self._begin(whole, 0)
        elif len(head) == stop - position and not self._unit_left:
            self._check_type(head[0])  # refuse garbage at its first byte
        return stop

    def _begin(self, data: memoryview, position: int) -> None:
        if self._unit_left:
            self._begin_value(data, position)
        else:
            self._begin_unit(data, position)

    def _begin_value(self, data: memoryview, position: int) -> None:
        length, self._context_id, self._control = VALUE_HEADER.unpack_from(data, position)
        left = self._unit_left - length - 4
        if length < LENGTH_OF_HEAD or left < 0 or 0 < left < HEADER:
            self._fail(f"presentation data value claims {length} bytes")
        self._unit_left = left
        self._value_left = length - LENGTH_OF_HEAD
        if not self._value_left:
            self._sink.fragment(self._context_id, self._control, data[:0], ends=True)

    def _begin_unit(self, data: memoryview, position: int) -> None:
        pdu_type, _, length = PDU_HEADER.unpack_from(data, position)
        if pdu_type == P_DATA_TF:
            if not HEADER <= length <= self._largest_data:
                self._fail(f"P-DATA-TF claims {length} bytes")
            self._unit_left = length
            self._go_on(self._sink.data_begins())
            return
        self._check_type(pdu_type)
        if pdu_type in FIXED_SIZE and length != 4:
            self._fail(f"PDU {pdu_type:#04x} claims {length} bytes")
        if pdu_type in ASSOCIATE and not 0 < length <= self._largest_associate:
            self._fail(f"association PDU claims {length} bytes")
        self._type, self._body_left = pdu_type, length

    def _check_type(self, pdu_type: int) -> None:
        if not ASSOCIATE_RQ <= pdu_type <= ABORT:
            self.stopped = True
            raise UnknownUnit(f"PDU type {pdu_type:#04x} does not exist", offset=self.offset)

    def _go_on(self, wanted: bool) -> None:
        if not wanted:
            self.stopped = True

    def _fail(self, message: str) -> None:
        self.stopped = True
        raise Malformed(message, offset=self.offset)
