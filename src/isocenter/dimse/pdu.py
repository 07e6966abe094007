"""The seven protocol data units, as values (PS3.8 §9.3)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from isocenter.dimse.items import decode_items, decode_uid, encode_item, encode_uid
from isocenter.dimse.user_information import UserInformation
from isocenter.errors import Malformed

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

PDU_HEADER = struct.Struct(">BBI")  # type, reserved, bytes that follow
VALUE_HEADER = struct.Struct(">IBB")  # bytes that follow, context, message control header
ASSOCIATE_HEAD = struct.Struct(">HH16s16s32s")  # version, reserved, titles, reserved
CONTEXT_HEAD = struct.Struct(">BBBB")  # id, reserved, result, reserved
FOUR_BYTES = struct.Struct(">BBBB")

ITEM_APPLICATION_CONTEXT = 0x10
ITEM_PROPOSED_CONTEXT = 0x20
ITEM_ANSWERED_CONTEXT = 0x21
ITEM_ABSTRACT_SYNTAX = 0x30
ITEM_TRANSFER_SYNTAX = 0x40
ITEM_USER_INFORMATION = 0x50

ACCEPTANCE = 0
USER_REJECTION = 1
NO_REASON = 2
ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


def _frame(pdu_type: int, body: bytes) -> bytes:
    return PDU_HEADER.pack(pdu_type, 0, len(body)) + body


def _encode_title(title: str) -> bytes:
    return title.encode("latin-1", "replace")[:16].ljust(16)


def _decode_title(raw: bytes) -> str:
    # Latin-1 keeps any byte, so that an answer can repeat what was sent.
    return raw.decode("latin-1").rstrip("\0 ")


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """Source: PS3.8 §9.3.2.2."""

    context_id: int  # odd, 1 to 255
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]

    def encode(self) -> bytes:
        syntaxes = [encode_item(ITEM_ABSTRACT_SYNTAX, encode_uid(self.abstract_syntax))]
        syntaxes += [
            encode_item(ITEM_TRANSFER_SYNTAX, encode_uid(uid)) for uid in self.transfer_syntaxes
        ]
        head = CONTEXT_HEAD.pack(self.context_id, 0, 0, 0)
        return encode_item(ITEM_PROPOSED_CONTEXT, head + b"".join(syntaxes))

    @classmethod
    def decode(cls, body: bytes) -> "ProposedContext":
        if len(body) < CONTEXT_HEAD.size:
            raise Malformed("presentation context item is cut short")
        abstract, transfer = "", []
        for item_type, value in decode_items(body[CONTEXT_HEAD.size :]):
            if item_type == ITEM_ABSTRACT_SYNTAX:
                abstract = decode_uid(value)
            elif item_type == ITEM_TRANSFER_SYNTAX:
                transfer.append(decode_uid(value))
        return cls(body[0], abstract, tuple(transfer))


@dataclass(frozen=True, slots=True)
class AnsweredContext:
    """Source: PS3.8 §9.3.3.2. The transfer syntax says nothing unless ``result`` is 0."""

    context_id: int
    result: int
    transfer_syntax: str

    def encode(self) -> bytes:
        head = CONTEXT_HEAD.pack(self.context_id, 0, self.result, 0)
        syntax = encode_item(ITEM_TRANSFER_SYNTAX, encode_uid(self.transfer_syntax))
        return encode_item(ITEM_ANSWERED_CONTEXT, head + syntax)

    @classmethod
    def decode(cls, body: bytes) -> "AnsweredContext":
        if len(body) < CONTEXT_HEAD.size:
            raise Malformed("presentation context item is cut short")
        context_id, _, result, _ = CONTEXT_HEAD.unpack_from(body)
        if result != ACCEPTANCE:
            return cls(context_id, result, "")  # what follows is not significant
        syntaxes = [
            decode_uid(value)
            for item_type, value in decode_items(body[CONTEXT_HEAD.size :])
            if item_type == ITEM_TRANSFER_SYNTAX
        ]
        if len(syntaxes) != 1:
            raise Malformed(f"accepted presentation context has {len(syntaxes)} transfer syntaxes")
        return cls(context_id, result, syntaxes[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateRequest:
    """A-ASSOCIATE-RQ. Source: PS3.8 §9.3.2."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    information: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1

    def encode(self) -> bytes:
        return _encode_associate(ASSOCIATE_RQ, self)

    @classmethod
    def decode(cls, body: bytes) -> "AssociateRequest":
        version, called, calling, items = _associate_parts(body)
        return cls(
            called_ae_title=called,
            calling_ae_title=calling,
            contexts=tuple(
                ProposedContext.decode(value)
                for item_type, value in items
                if item_type == ITEM_PROPOSED_CONTEXT
            ),
            information=_user_information(items),
            application_context=_application_context(items),
            protocol_version=version,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociateAccept:
    """A-ASSOCIATE-AC. The titles repeat those of the request. Source: PS3.8 §9.3.3."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[AnsweredContext, ...]
    information: UserInformation = field(default_factory=UserInformation)
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = 1

    def encode(self) -> bytes:
        return _encode_associate(ASSOCIATE_AC, self)

    @classmethod
    def decode(cls, body: bytes) -> "AssociateAccept":
        version, called, calling, items = _associate_parts(body)
        return cls(
            called_ae_title=called,
            calling_ae_title=calling,
            contexts=tuple(
                AnsweredContext.decode(value)
                for item_type, value in items
                if item_type == ITEM_ANSWERED_CONTEXT
            ),
            information=_user_information(items),
            application_context=_application_context(items),
            protocol_version=version,
        )


def _encode_associate(pdu_type: int, unit: AssociateRequest | AssociateAccept) -> bytes:
    head = ASSOCIATE_HEAD.pack(
        unit.protocol_version,
        0,
        _encode_title(unit.called_ae_title),
        _encode_title(unit.calling_ae_title),
        bytes(32),
    )
    items = [encode_item(ITEM_APPLICATION_CONTEXT, encode_uid(unit.application_context))]
    items += [context.encode() for context in unit.contexts]
    items.append(encode_item(ITEM_USER_INFORMATION, unit.information.encode()))
    return _frame(pdu_type, head + b"".join(items))


def _associate_parts(body: bytes) -> tuple[int, str, str, list[tuple[int, bytes]]]:
    if len(body) < ASSOCIATE_HEAD.size:
        raise Malformed(f"association PDU has only {len(body)} bytes")
    version, _, called, calling, _ = ASSOCIATE_HEAD.unpack_from(body)
    items = list(decode_items(body[ASSOCIATE_HEAD.size :]))
    return version, _decode_title(called), _decode_title(calling), items


def _user_information(items: list[tuple[int, bytes]]) -> UserInformation:
    for item_type, value in items:
        if item_type == ITEM_USER_INFORMATION:
            return UserInformation.decode(value)
    return UserInformation()


def _application_context(items: list[tuple[int, bytes]]) -> str:
    for item_type, value in items:
        if item_type == ITEM_APPLICATION_CONTEXT:
            return decode_uid(value)
    return ""


REJECT_RESULTS = {1: "rejected for good", 2: "rejected for now"}
REJECT_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given by the protocol layer",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ. Source: PS3.8 §9.3.4, table 9-21."""

    result: int
    source: int
    reason: int

    def encode(self) -> bytes:
        return _frame(ASSOCIATE_RJ, FOUR_BYTES.pack(0, self.result, self.source, self.reason))

    @classmethod
    def decode(cls, body: bytes) -> "AssociateReject":
        return cls(*_four(body)[1:])

    def __str__(self) -> str:
        result = REJECT_RESULTS.get(self.result, f"rejected ({self.result})")
        unknown = f"source {self.source}, reason {self.reason}"
        return f"{result}: {REJECT_REASONS.get((self.source, self.reason), unknown)}"


NO_REASON_GIVEN = AssociateReject(1, 1, 1)
APPLICATION_CONTEXT_NOT_SUPPORTED = AssociateReject(1, 1, 2)
CALLING_AE_TITLE_NOT_RECOGNIZED = AssociateReject(1, 1, 3)
CALLED_AE_TITLE_NOT_RECOGNIZED = AssociateReject(1, 1, 7)
USER_NOT_AUTHENTICATED = AssociateReject(1, 2, 1)  # PS3.7 §D.3.3.7.3
PROTOCOL_VERSION_NOT_SUPPORTED = AssociateReject(1, 2, 2)
TEMPORARY_CONGESTION = AssociateReject(2, 3, 1)
LOCAL_LIMIT_EXCEEDED = AssociateReject(2, 3, 2)


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE-RQ. Source: PS3.8 §9.3.6."""

    def encode(self) -> bytes:
        return _frame(RELEASE_RQ, bytes(4))

    @classmethod
    def decode(cls, body: bytes) -> "ReleaseRequest":
        _four(body)
        return cls()


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """A-RELEASE-RP. Source: PS3.8 §9.3.7."""

    def encode(self) -> bytes:
        return _frame(RELEASE_RP, bytes(4))

    @classmethod
    def decode(cls, body: bytes) -> "ReleaseResponse":
        _four(body)
        return cls()


SERVICE_USER, SERVICE_PROVIDER = 0, 2
ABORT_REASONS = {
    0: "no reason given",
    1: "unrecognized PDU",
    2: "unexpected PDU",
    4: "unrecognized PDU parameter",
    5: "unexpected PDU parameter",
    6: "invalid PDU parameter value",
}
UNRECOGNIZED_PDU, UNEXPECTED_PDU, INVALID_PARAMETER = 1, 2, 6


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT. ``reason`` counts only where the provider is the source. Source: PS3.8 §9.3.8."""

    source: int = SERVICE_USER
    reason: int = 0

    def encode(self) -> bytes:
        return _frame(ABORT, FOUR_BYTES.pack(0, 0, self.source, self.reason))

    @classmethod
    def decode(cls, body: bytes) -> "Abort":
        return cls(*_four(body)[2:])

    def __str__(self) -> str:
        if self.source != SERVICE_PROVIDER:
            return "aborted by the application"
        return f"aborted by the protocol layer: {ABORT_REASONS.get(self.reason, self.reason)}"


def _four(body: bytes) -> tuple[int, int, int, int]:
    if len(body) != FOUR_BYTES.size:
        raise Malformed(f"PDU body has {len(body)} bytes, not 4")
    first, second, third, fourth = body
    return first, second, third, fourth


@dataclass(frozen=True, slots=True)
class DataValue:
    """One fragment of a DIMSE message on one presentation context.

    The hot paths (``stream``, ``fragments``) do without this object.

    Source: PS3.8 §9.3.5.1; the two flag bits, §E.2.
    """

    context_id: int  # odd, 1 to 255
    is_command: bool
    is_last: bool
    fragment: bytes

    def encode(self) -> bytes:
        control = self.is_command | self.is_last << 1
        return VALUE_HEADER.pack(len(self.fragment) + 2, self.context_id, control) + self.fragment


@dataclass(frozen=True, slots=True)
class DataTransfer:
    """P-DATA-TF. Source: PS3.8 §9.3.5."""

    values: tuple[DataValue, ...]

    def encode(self) -> bytes:
        return _frame(P_DATA_TF, b"".join(value.encode() for value in self.values))

    @classmethod
    def decode(cls, body: bytes) -> "DataTransfer":
        values, start = [], 0
        while start < len(body):
            if len(body) - start < VALUE_HEADER.size:
                raise Malformed("presentation data value header is cut short", offset=start)
            length, context_id, control = VALUE_HEADER.unpack_from(body, start)
            end = start + 4 + length
            if length < 2 or end > len(body):
                raise Malformed(f"presentation data value claims {length} bytes", offset=start)
            fragment = body[start + VALUE_HEADER.size : end]
            values.append(DataValue(context_id, bool(control & 1), bool(control & 2), fragment))
            start = end
        return cls(tuple(values))


Unit = (
    AssociateRequest
    | AssociateAccept
    | AssociateReject
    | DataTransfer
    | ReleaseRequest
    | ReleaseResponse
    | Abort
)

DECODERS: dict[int, Callable[[bytes], Unit]] = {
    ASSOCIATE_RQ: AssociateRequest.decode,
    ASSOCIATE_AC: AssociateAccept.decode,
    ASSOCIATE_RJ: AssociateReject.decode,
    P_DATA_TF: DataTransfer.decode,
    RELEASE_RQ: ReleaseRequest.decode,
    RELEASE_RP: ReleaseResponse.decode,
    ABORT: Abort.decode,
}


def decode(pdu_type: int, body: bytes) -> Unit:
    """Raises: Malformed, also for a type that does not exist."""
    if (decoder := DECODERS.get(pdu_type)) is None:
        raise Malformed(f"PDU type {pdu_type:#04x} does not exist", offset=0)
    return decoder(body)
