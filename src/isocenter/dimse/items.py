"""The type-length-value items that association PDUs are made of (PS3.8 §9.3.1)."""

import struct
from collections.abc import Iterator

from isocenter.errors import Malformed, Unsupported

ITEM_HEADER = struct.Struct(">BBH")  # type, reserved (or a version), bytes that follow
LENGTH = struct.Struct(">H")
LONGEST_ITEM = 0xFFFF


def encode_item(item_type: int, body: bytes) -> bytes:
    """Raises: Unsupported, if ``body`` does not fit the 16-bit length."""
    if len(body) > LONGEST_ITEM:
        raise Unsupported(f"item {item_type:#04x} of {len(body)} bytes is too long to send")
    return ITEM_HEADER.pack(item_type, 0, len(body)) + body


def decode_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (item type, body) for each item. Raises: Malformed, if a length lies."""
    start = 0
    while start < len(data):
        if len(data) - start < ITEM_HEADER.size:
            raise Malformed("item header is cut short", offset=start)
        item_type, _, length = ITEM_HEADER.unpack_from(data, start)
        end = start + ITEM_HEADER.size + length
        if end > len(data):
            raise Malformed(f"item {item_type:#04x} claims {length} bytes", offset=start)
        yield item_type, data[start + ITEM_HEADER.size : end]
        start = end


def encode_uid(uid: str) -> bytes:
    return uid.encode("ascii")


def decode_uid(raw: bytes) -> str:
    """A UID as it is used; what pads it is dropped. Raises: Malformed, if it is not ASCII."""
    # Peer quirk: several older devices pad UIDs in items with NUL or space, which PS3.8 §F forbids.
    try:
        return raw.strip(b"\0 ").decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed("UID is not ASCII", offset=error.start) from error


def encode_counted(value: bytes) -> bytes:
    """``value`` behind its 16-bit length. Raises: Unsupported, if it does not fit."""
    if len(value) > LONGEST_ITEM:
        raise Unsupported(f"field of {len(value)} bytes is too long to send")
    return LENGTH.pack(len(value)) + value


def decode_counted(data: bytes, start: int) -> tuple[bytes, int]:
    """Return the field at ``start`` and where the next one begins. Raises: Malformed."""
    if len(data) - start < LENGTH.size:
        raise Malformed("field length is cut short", offset=start)
    (length,) = LENGTH.unpack_from(data, start)
    begin = start + LENGTH.size
    if begin + length > len(data):
        raise Malformed(f"field claims {length} bytes", offset=start)
    return data[begin : begin + length], begin + length
