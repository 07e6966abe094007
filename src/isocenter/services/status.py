"""What our errors are called on the wire (PS3.7 annex C, PS3.4 B.2.3, C.4.1.1.4)."""

from collections.abc import Mapping
from types import MappingProxyType

from isocenter import errors
from isocenter.dimse.status import (
    DUPLICATE_SOP_INSTANCE,
    NO_SUCH_SOP_INSTANCE,
    NOT_AUTHORIZED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SOP_CLASS_NOT_SUPPORTED,
    Response,
)

CANNOT_UNDERSTAND = 0xC000
DATA_SET_MISMATCH = 0xA900
LONGEST_COMMENT = 64

STATUSES: Mapping[type[errors.IsocenterError], int] = MappingProxyType(
    {
        errors.Mismatch: DATA_SET_MISMATCH,
        errors.Malformed: CANNOT_UNDERSTAND,
        errors.Unsupported: SOP_CLASS_NOT_SUPPORTED,
        errors.Denied: NOT_AUTHORIZED,
        errors.NotFound: NO_SUCH_SOP_INSTANCE,
        errors.Conflict: DUPLICATE_SOP_INSTANCE,
        errors.Unavailable: OUT_OF_RESOURCES,
        errors.OutOfTurn: PROCESSING_FAILURE,
    }
)
"""The nearest of an error's own classes counts."""


def comment(text: str) -> str:
    """What of ``text`` an Error Comment may hold (PS3.7 E.1; PS3.5 6.2, VR LO)."""
    plain = (
        each if each.isascii() and each.isprintable() and each != "\\" else "?" for each in text
    )
    return "".join(plain)[:LONGEST_COMMENT]


def response_of(error: BaseException) -> Response:
    """Return the failure that tells the peer of ``error``; of our own bugs, no details."""
    for kind in type(error).__mro__:
        if (status := STATUSES.get(kind)) is not None:
            return Response(status, elements={"ErrorComment": comment(str(error))})
    return Response(PROCESSING_FAILURE, elements={"ErrorComment": "internal error"})
