"""A small DICOM requestor over a bare socket, to send what well-bred libraries cannot.

It shares nothing with the code under test. It sends data sets as they are, says exactly which PDUs
leave when, and trusts the peer with little: good for speed, for bad manners, and for counting.

Source: PS3.8 9.3 (PDUs), PS3.7 6.3, 9.3 and E.1 (commands).
"""

import itertools
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION = "2.25.160413222384710349218893411672119457311"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 1, 16, 32, 33, 48, 0x0FFF
C_STORE_RSP = 0x8001
NO_DATA_SET = 0x0101
SUCCESS = 0
PENDING = (0xFF00, 0xFF01)

# Elements of group 0000.
SOP_CLASS, COMMAND, MESSAGE_ID, ANSWERED_ID = 0x0002, 0x0100, 0x0110, 0x0120
DESTINATION, PRIORITY, DATA_SET_TYPE, STATUS, COMMENT = 0x0600, 0x0700, 0x0800, 0x0900, 0x0902
SOP_INSTANCE, REMAINING, COMPLETED, FAILED, WARNING = 0x1000, 0x1020, 0x1021, 0x1022, 0x1023
_TEXTS = (DESTINATION, COMMENT, 0x1030)
_UIDS = (SOP_CLASS, 0x0003, SOP_INSTANCE, 0x1001)

Command = Mapping[int, int | str]


class Refused(Exception):
    """The peer rejected the association: result, source, reason (PS3.8 9.3.4)."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"rejected: result {result}, source {source}, reason {reason}")
        self.result, self.source, self.reason = result, source, reason


class Aborted(Exception):
    """The peer aborted (source and reason, PS3.8 9.3.8), or closed the connection (None)."""

    def __init__(self, source: int | None = None, reason: int | None = None) -> None:
        super().__init__("closed" if source is None else f"aborted: {source}, {reason}")
        self.source, self.reason = source, reason


@dataclass(frozen=True)
class Message:
    """What the peer said: a command, and the data set with it."""

    context_id: int
    command: dict[int, int | str]
    data_set: bytes

    @property
    def status(self) -> int:
        return int(self.command[STATUS])


def padded(value: bytes, pad: bytes = b"\0") -> bytes:
    return value + pad * (len(value) % 2)


def encode_command(command: Command) -> bytes:
    """A command set, in implicit little endian (PS3.7 6.3.1)."""
    elements = b""
    for tag, value in sorted(command.items()):
        if isinstance(value, int):
            raw = struct.pack("<H", value)
        else:
            raw = padded(value.encode(), b"\0" if tag in _UIDS else b" ")
        elements += struct.pack("<HHI", 0, tag, len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(elements)) + elements


def decode_command(data: bytes) -> dict[int, int | str]:
    command: dict[int, int | str] = {}
    at = 0
    while at + 8 <= len(data):
        _, tag, length = struct.unpack_from("<HHI", data, at)
        raw = data[at + 8 : at + 8 + length]
        if tag in _UIDS or tag in _TEXTS:
            command[tag] = raw.decode(errors="replace").rstrip("\0 ")
        elif length == 2:
            command[tag] = int.from_bytes(raw, "little")
        at += 8 + length
    return command


def identifier(elements: Mapping[int, str]) -> bytes:
    """A query identifier in implicit little endian; keys are tags, values as on the wire."""
    parts = []
    for tag, value in sorted(elements.items()):
        raw = padded(value.encode(), b"\0" if value[:2] in ("1.", "2.") else b" ")
        parts.append(struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(raw)) + raw)
    return b"".join(parts)


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def presentation_context(context_id: int, abstract: str, transfers: Sequence[str]) -> bytes:
    body = struct.pack(">B3x", context_id) + item(0x30, abstract.encode())
    return item(0x20, body + b"".join(item(0x40, one.encode()) for one in transfers))


def associate_request(
    called: str,
    calling: str,
    contexts: Iterable[bytes],
    *,
    max_length: int = 0x40000,
    user_items: bytes = b"",
) -> bytes:
    """A-ASSOCIATE-RQ, whole (PS3.8 9.3.2)."""
    user = item(0x51, struct.pack(">I", max_length)) + item(0x52, IMPLEMENTATION.encode())
    body = struct.pack(">Hxx16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, APPLICATION_CONTEXT.encode()) + b"".join(contexts)
    return pdu(ASSOCIATE_RQ, body + item(0x50, user + user_items))


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def role_selection(abstract: str, *, user: bool, provider: bool) -> bytes:
    """SCP/SCU role selection (PS3.7 D.3.3.4)."""
    uid = abstract.encode()
    return item(0x54, struct.pack(">H", len(uid)) + uid + bytes((user, provider)))


def extended_negotiation(abstract: str, information: bytes) -> bytes:
    """SOP class extended negotiation (PS3.7 D.3.3.5)."""
    uid = abstract.encode()
    return item(0x56, struct.pack(">H", len(uid)) + uid + information)


def operations_window(invoked: int, performed: int) -> bytes:
    """Asynchronous operations window (PS3.7 D.3.3.3)."""
    return item(0x53, struct.pack(">HH", invoked, performed))


@dataclass
class Association:
    """An association we asked for; a context manager that releases it."""

    port: int
    contexts: Sequence[tuple[str, Sequence[str]]] = ((VERIFICATION, (IMPLICIT,)),)
    called: str = "ISOCENTER"
    calling: str = "WIRE"
    max_length: int = 0x40000
    user_items: bytes = b""
    timeout: float = 30.0
    accepted: dict[tuple[str, str], int] = field(default_factory=dict)
    """Context ID by abstract syntax and transfer syntax."""
    results: dict[int, int] = field(default_factory=dict)
    """The peer's answer to each proposed context: 0 is acceptance (PS3.8 9.3.3.2)."""
    peer_max_length: int = 16384
    answer: bytes = b""
    """The body of A-ASSOCIATE-AC."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self.socket.makefile("rb", buffering=1 << 18)

    def connect(self) -> Self:
        """Ask for the association. Raises: Refused, Aborted."""
        proposed = [
            presentation_context(2 * n + 1, abstract, transfers)
            for n, (abstract, transfers) in enumerate(self.contexts)
        ]
        self.socket.sendall(
            associate_request(
                self.called,
                self.calling,
                proposed,
                max_length=self.max_length,
                user_items=self.user_items,
            )
        )
        kind, body = self.receive_pdu()
        if kind == ASSOCIATE_RJ:
            raise Refused(*body[1:4])
        assert kind == ASSOCIATE_AC, f"PDU type {kind}"
        self.answer = body
        self._read_answer(body[68:])
        return self

    def _read_answer(self, items: bytes) -> None:
        for kind, body in split_items(items):
            if kind == 0x21:
                transfer = body[8:].decode().rstrip("\0") if body[2] == 0 else ""
                self.results[body[0]] = body[2]
                if body[2] == 0:
                    abstract = self.contexts[body[0] // 2][0]
                    self.accepted[abstract, transfer] = body[0]
            elif kind == 0x50:
                for sub_kind, sub_body in split_items(body):
                    if sub_kind == 0x51:
                        self.peer_max_length = struct.unpack(">I", sub_body)[0] or 1 << 20

    def __enter__(self) -> Self:
        try:
            return self.connect()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.release()
        finally:
            self.close()

    def close(self) -> None:
        self._reader.close()
        self.socket.close()

    def receive_pdu(self) -> tuple[int, bytes]:
        """Raises: Aborted, when the peer aborts or closes."""
        try:
            header = self._reader.read(6)
            if len(header) < 6:
                raise Aborted
            kind, length = struct.unpack(">BxI", header)
            body = self._reader.read(length)
        except ConnectionError as error:
            raise Aborted from error
        if len(body) < length:
            raise Aborted
        if kind == ABORT:
            raise Aborted(body[2], body[3])
        return kind, body

    def fragments(self, context_id: int, data: bytes, *, is_command: bool) -> Iterator[bytes]:
        """``data`` as P-DATA-TF PDUs, each as long as the peer allows."""
        room = min(self.peer_max_length, 1 << 20) - 6
        view = memoryview(data)
        for start in range(0, max(len(data), 1), room):
            piece = view[start : start + room]
            control = is_command | (start + room >= len(data)) << 1
            yield struct.pack(">BxIIBB", DATA, len(piece) + 6, len(piece) + 2, context_id, control)
            yield bytes(piece)

    def send_message(self, context_id: int, command: Command, data_set: bytes | None) -> None:
        kind = NO_DATA_SET if data_set is None else 1
        command_set = encode_command({**command, DATA_SET_TYPE: kind})
        parts = [*self.fragments(context_id, command_set, is_command=True)]
        if data_set is not None:
            parts += self.fragments(context_id, data_set, is_command=False)
        self.socket.sendall(b"".join(parts))

    def receive_message(self, sink: Callable[[bytes], object] | None = None) -> Message:
        """The next whole message; its data set goes to ``sink``, if there is one."""
        command, data = bytearray(), bytearray()
        decoded: dict[int, int | str] = {}
        while True:
            kind, body = self.receive_pdu()
            if kind != DATA:
                raise Aborted
            for context_id, control, fragment in data_values(body):
                if control & 1:
                    command += fragment
                elif sink is None:
                    data += fragment
                else:
                    sink(fragment)
                if control & 2 and control & 1:
                    decoded = decode_command(bytes(command))
                    if decoded.get(DATA_SET_TYPE) == NO_DATA_SET:
                        return Message(context_id, decoded, b"")
                elif control & 2:
                    return Message(context_id, decoded, bytes(data))

    def echo(self) -> int:
        """C-ECHO; return the status."""
        context_id = self.accepted[VERIFICATION, IMPLICIT]
        command: dict[int, int | str] = {
            SOP_CLASS: VERIFICATION,
            COMMAND: C_ECHO_RQ,
            MESSAGE_ID: next(self._ids),
        }
        self.send_message(context_id, command, None)
        return self.receive_message().status

    def send_store(
        self, context_id: int, sop_class: str, sop_instance: str, data_set: bytes
    ) -> int:
        """C-STORE-RQ, without waiting for the answer; return its message ID."""
        number = next(self._ids) % 0xFFFF
        command: dict[int, int | str] = {
            SOP_CLASS: sop_class,
            COMMAND: C_STORE_RQ,
            MESSAGE_ID: number,
            PRIORITY: 0,
            SOP_INSTANCE: sop_instance,
        }
        self.send_message(context_id, command, data_set)
        return number

    def store(
        self, sop_class: str, sop_instance: str, transfer_syntax: str, data_set: bytes
    ) -> int:
        """C-STORE; return the status. Raises: KeyError, if no such context was accepted."""
        context_id = self.accepted[sop_class, transfer_syntax]
        self.send_store(context_id, sop_class, sop_instance, data_set)
        return self.receive_message().status

    def send_query(self, command: int, sop_class: str, keys: bytes, **more: str) -> int:
        """C-FIND-RQ, C-GET-RQ or C-MOVE-RQ in implicit little endian; return the message ID."""
        number = next(self._ids)
        fields: dict[int, int | str] = {
            SOP_CLASS: sop_class,
            COMMAND: command,
            MESSAGE_ID: number,
            PRIORITY: 0,
        }
        if destination := more.get("destination"):
            fields[DESTINATION] = destination
        self.send_message(self.accepted[sop_class, IMPLICIT], fields, keys)
        return number

    def cancel(self, sop_class: str, message_id: int) -> None:
        fields = {COMMAND: C_CANCEL_RQ, ANSWERED_ID: message_id}
        self.send_message(self.accepted[sop_class, IMPLICIT], fields, None)

    def find(self, keys: bytes, sop_class: str = STUDY_ROOT_FIND) -> Iterator[Message]:
        """Yield the answers of C-FIND, the final one last."""
        self.send_query(C_FIND_RQ, sop_class, keys)
        while True:
            message = self.receive_message()
            yield message
            if message.status not in PENDING:
                return

    def get(self, keys: bytes, sink: Callable[[bytes], object] | None = None) -> Iterator[Message]:
        """Yield what comes while C-GET runs, answering each C-STORE; the final answer last."""
        self.send_query(C_GET_RQ, STUDY_ROOT_GET, keys)
        while True:
            message = self.receive_message(sink)
            yield message
            if message.command[COMMAND] == C_STORE_RQ:
                answer = {
                    SOP_CLASS: message.command[SOP_CLASS],
                    COMMAND: C_STORE_RSP,
                    ANSWERED_ID: message.command[MESSAGE_ID],
                    STATUS: SUCCESS,
                    SOP_INSTANCE: message.command[SOP_INSTANCE],
                }
                self.send_message(message.context_id, answer, None)
            elif message.status not in PENDING:
                return

    def release(self) -> None:
        self.socket.sendall(pdu(RELEASE_RQ, bytes(4)))
        kind, _ = self.receive_pdu()
        assert kind == RELEASE_RP, f"PDU type {kind}"

    def abort(self) -> None:
        self.socket.sendall(pdu(ABORT, bytes(4)))
        self.close()


def split_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">BxH", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length


def data_values(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + 6 <= len(body):
        length, context_id, control = struct.unpack_from(">IBB", body, at)
        yield context_id, control, body[at + 6 : at + 4 + length]
        at += 4 + length


def storing(port: int, *syntaxes: tuple[str, str], **options: str) -> Association:
    """An association that proposes each SOP class with its one transfer syntax."""
    return Association(port, [(sop, (transfer,)) for sop, transfer in syntaxes], **options)  # type: ignore[arg-type]
