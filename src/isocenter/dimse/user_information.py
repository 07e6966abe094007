"""What two application entities tell each other about themselves (PS3.7 §D.3.3, PS3.8 §D.1)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from isocenter.dimse.items import (
    decode_counted,
    decode_items,
    decode_uid,
    encode_counted,
    encode_item,
    encode_uid,
)
from isocenter.errors import Malformed

MAXIMUM_LENGTH = 0x51
IMPLEMENTATION_CLASS = 0x52
WINDOW = 0x53
ROLE = 0x54
IMPLEMENTATION_VERSION = 0x55
EXTENDED = 0x56
COMMON_EXTENDED = 0x57
IDENTITY = 0x58
IDENTITY_RESPONSE = 0x59

LONG = struct.Struct(">I")
WINDOW_FIELDS = struct.Struct(">HH")
IDENTITY_HEAD = struct.Struct(">BB")


@dataclass(frozen=True, slots=True)
class Window:
    """How many operations may be outstanding; 0 means unlimited. Source: PS3.7 §D.3.3.3."""

    invoked: int = 1  # by the requestor
    performed: int = 1  # by the requestor


@dataclass(frozen=True, slots=True)
class Role:
    """The roles the requestor proposes for itself, or may play. Source: PS3.7 §D.3.3.4."""

    sop_class: str
    is_user: bool  # SCU
    is_provider: bool  # SCP


@dataclass(frozen=True, slots=True)
class Extended:
    """What a service class defines for itself. Source: PS3.7 §D.3.3.5."""

    sop_class: str
    information: bytes


@dataclass(frozen=True, slots=True)
class CommonExtended:
    """To which service a SOP class belongs and what it is a kind of. Source: PS3.7 §D.3.3.6."""

    sop_class: str
    service_class: str
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who the requestor says its user is. Source: PS3.7 §D.3.3.7.

    ``kind``: 1 user name, 2 user name and passcode, 3 Kerberos ticket, 4 SAML assertion, later
    editions: 5 JSON web token.
    """

    kind: int
    primary: bytes
    secondary: bytes = b""
    wants_response: bool = False

    def __repr__(self) -> str:
        return f"UserIdentity(kind={self.kind})"  # never a passcode in a log


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInformation:
    """All of the user information item; what is absent is None or empty."""

    maximum_length: int = 0  # bytes of a P-DATA-TF body its sender takes; 0 is no maximum
    implementation_class: str = ""
    implementation_version: str = ""
    window: Window | None = None
    roles: tuple[Role, ...] = ()
    extended: tuple[Extended, ...] = ()
    common_extended: tuple[CommonExtended, ...] = ()
    identity: UserIdentity | None = None
    identity_response: bytes | None = None

    def encode(self) -> bytes:
        """The sub-items in rising order of type. Raises: Unsupported, if one is too long."""
        parts = [encode_item(MAXIMUM_LENGTH, LONG.pack(self.maximum_length))]
        if self.implementation_class:
            parts.append(encode_item(IMPLEMENTATION_CLASS, encode_uid(self.implementation_class)))
        if self.window:
            fields = WINDOW_FIELDS.pack(self.window.invoked, self.window.performed)
            parts.append(encode_item(WINDOW, fields))
        parts += [encode_item(ROLE, _encode_role(role)) for role in self.roles]
        if self.implementation_version:
            version = self.implementation_version.encode("ascii")
            parts.append(encode_item(IMPLEMENTATION_VERSION, version))
        parts += [encode_item(EXTENDED, _encode_extended(one)) for one in self.extended]
        parts += [encode_item(COMMON_EXTENDED, _encode_common(one)) for one in self.common_extended]
        if self.identity:
            parts.append(encode_item(IDENTITY, _encode_identity(self.identity)))
        if self.identity_response is not None:
            parts.append(encode_item(IDENTITY_RESPONSE, encode_counted(self.identity_response)))
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> "UserInformation":
        """Unknown sub-items are skipped (PS3.8 §D.2). Raises: Malformed."""
        information = cls()
        for item_type, body in decode_items(data):
            if (take := _DECODERS.get(item_type)) is not None:
                information = take(information, body)
        return information


def _encode_role(role: Role) -> bytes:
    return encode_counted(encode_uid(role.sop_class)) + bytes((role.is_user, role.is_provider))


def _encode_extended(one: Extended) -> bytes:
    return encode_counted(encode_uid(one.sop_class)) + one.information


def _encode_common(one: CommonExtended) -> bytes:
    related = b"".join(encode_counted(encode_uid(uid)) for uid in one.related)
    return b"".join(
        (
            encode_counted(encode_uid(one.sop_class)),
            encode_counted(encode_uid(one.service_class)),
            encode_counted(related),
        )
    )


def _encode_identity(identity: UserIdentity) -> bytes:
    head = IDENTITY_HEAD.pack(identity.kind, identity.wants_response)
    return head + encode_counted(identity.primary) + encode_counted(identity.secondary)


def _fixed(shape: struct.Struct, body: bytes, name: str) -> tuple[int, ...]:
    if len(body) != shape.size:
        raise Malformed(f"{name} sub-item has {len(body)} bytes, not {shape.size}")
    return shape.unpack(body)


def _take_maximum(info: UserInformation, body: bytes) -> UserInformation:
    (length,) = _fixed(LONG, body, "maximum length")
    return replace(info, maximum_length=length)


def _take_class(info: UserInformation, body: bytes) -> UserInformation:
    return replace(info, implementation_class=decode_uid(body))


def _take_version(info: UserInformation, body: bytes) -> UserInformation:
    # Only ever shown: a stray byte is no reason to refuse an association.
    version = body.decode("ascii", "replace").strip("\0 ")
    return replace(info, implementation_version=version)


def _take_window(info: UserInformation, body: bytes) -> UserInformation:
    invoked, performed = _fixed(WINDOW_FIELDS, body, "asynchronous operations window")
    return replace(info, window=Window(invoked, performed))


def _take_role(info: UserInformation, body: bytes) -> UserInformation:
    uid, end = decode_counted(body, 0)
    if len(body) - end != 2:
        raise Malformed("role selection sub-item has no two roles", offset=end)
    role = Role(decode_uid(uid), body[end] == 1, body[end + 1] == 1)
    return replace(info, roles=(*info.roles, role))


def _take_extended(info: UserInformation, body: bytes) -> UserInformation:
    uid, end = decode_counted(body, 0)
    return replace(info, extended=(*info.extended, Extended(decode_uid(uid), body[end:])))


def _take_common(info: UserInformation, body: bytes) -> UserInformation:
    sop_class, end = decode_counted(body, 0)
    service_class, end = decode_counted(body, end)
    list_of_related, _ = decode_counted(body, end)  # later versions may append fields
    related, start = [], 0
    while start < len(list_of_related):
        uid, start = decode_counted(list_of_related, start)
        related.append(decode_uid(uid))
    one = CommonExtended(decode_uid(sop_class), decode_uid(service_class), tuple(related))
    return replace(info, common_extended=(*info.common_extended, one))


def _take_identity(info: UserInformation, body: bytes) -> UserInformation:
    if len(body) < IDENTITY_HEAD.size:
        raise Malformed("user identity sub-item is cut short")
    kind, wants_response = IDENTITY_HEAD.unpack_from(body)
    primary, end = decode_counted(body, IDENTITY_HEAD.size)
    # Peer quirk: some leave the secondary length out where there is no secondary field.
    secondary = decode_counted(body, end)[0] if end < len(body) else b""
    return replace(info, identity=UserIdentity(kind, primary, secondary, wants_response == 1))


def _take_response(info: UserInformation, body: bytes) -> UserInformation:
    return replace(info, identity_response=decode_counted(body, 0)[0])


_DECODERS: dict[int, Callable[[UserInformation, bytes], UserInformation]] = {
    MAXIMUM_LENGTH: _take_maximum,
    IMPLEMENTATION_CLASS: _take_class,
    WINDOW: _take_window,
    ROLE: _take_role,
    IMPLEMENTATION_VERSION: _take_version,
    EXTENDED: _take_extended,
    COMMON_EXTENDED: _take_common,
    IDENTITY: _take_identity,
    IDENTITY_RESPONSE: _take_response,
}
