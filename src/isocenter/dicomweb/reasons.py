"""Failure and Warning Reasons: what our errors are called in responses (PS3.18 I.2, PS3.7 C)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from isocenter import errors
from isocenter.archive.admission import SyntaxNotTaken
from isocenter.storage.records import Outcome, Stored

PROCESSING_FAILURE: Final = 0x0110
DUPLICATE_SOP_INSTANCE: Final = 0x0111
NO_SUCH_SOP_INSTANCE: Final = 0x0112
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
OUT_OF_RESOURCES: Final = 0xA700
DATA_SET_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000
TRANSFER_SYNTAX_NOT_SUPPORTED: Final = 0xC122

ANOTHER_IS_KEPT: Final = 0xB00E
"""Our own Warning Reason (I.2.1 leaves room): there is an instance of the same UID with other
content, and it was kept."""

REASONS: Mapping[type[errors.IsocenterError], int] = MappingProxyType(
    {
        SyntaxNotTaken: TRANSFER_SYNTAX_NOT_SUPPORTED,
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

MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        PROCESSING_FAILURE: "an error of our own; nothing is wrong with the instance",
        DUPLICATE_SOP_INSTANCE: "the SOP Instance UID is there with other content, of another"
        " patient, study or series, or the archive is set to refuse that",
        NO_SUCH_SOP_INSTANCE: "what is referred to is not in the archive",
        SOP_CLASS_NOT_SUPPORTED: "instances of this SOP class are not stored",
        NOT_AUTHORIZED: "whoever asks may not",
        OUT_OF_RESOURCES: "cannot be stored now, for want of space for instance; may be retried",
        DATA_SET_MISMATCH: "the data set lacks an identifier, or belongs to another study, instance"
        " or resource than the path says",
        CANNOT_UNDERSTAND: "the bytes are no DICOM instance, are damaged or cut short",
        TRANSFER_SYNTAX_NOT_SUPPORTED: "the transfer syntax is not known",
        ANOTHER_IS_KEPT: "a warning: the SOP Instance UID is there with other content, which was"
        " kept",
    }
)
"""What each means here."""


def reason_of(error: BaseException) -> int:
    """The Failure Reason that tells of ``error``."""
    for kind in type(error).__mro__:
        if (reason := REASONS.get(kind)) is not None:
            return reason
    return PROCESSING_FAILURE


def text_of(error: BaseException) -> str:
    """What is said of ``error``; of our own bugs, no details."""
    return str(error) if isinstance(error, errors.IsocenterError) else "internal error"


def warning_of(stored: Stored) -> int | None:
    """The Warning Reason of what was taken, if there is one."""
    return ANOTHER_IS_KEPT if stored.outcome is Outcome.KEPT else None
