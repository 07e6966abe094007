"""Statuses of DIMSE responses (PS3.7 annex C; the ranges, PS3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from isocenter.dimse.command import Value

SUCCESS = 0x0000
WARNING = 0x0001
CANCEL = 0xFE00
PENDING = 0xFF00
PENDING_WARNING = 0xFF01  # optional keys were not supported

NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
ATTRIBUTE_LIST_ERROR = 0x0107
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT_VALUE = 0x0115
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
INVALID_OBJECT_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION_TYPE = 0x0123
NOT_AUTHORIZED = 0x0124
DUPLICATE_INVOCATION = 0x0210
UNRECOGNIZED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213
OUT_OF_RESOURCES = 0xA700


class Category(Enum):
    """What a status means for whoever asked. Source: PS3.7 annex C."""

    SUCCESS = "success"
    PENDING = "pending"
    CANCEL = "cancel"
    WARNING = "warning"
    FAILURE = "failure"


CATEGORIES = {
    SUCCESS: Category.SUCCESS,
    PENDING: Category.PENDING,
    PENDING_WARNING: Category.PENDING,
    CANCEL: Category.CANCEL,
    WARNING: Category.WARNING,
    ATTRIBUTE_LIST_ERROR: Category.WARNING,
    ATTRIBUTE_VALUE_OUT_OF_RANGE: Category.WARNING,
}


def category(status: int) -> Category:
    """Every status has one; what no part of the standard defines is a failure."""
    if (known := CATEGORIES.get(status)) is not None:
        return known
    return Category.WARNING if status >> 12 == 0xB else Category.FAILURE


@dataclass(frozen=True, slots=True)
class Response:
    """One answer to a request, given or got: status, data set and command elements by keyword."""

    status: int
    dataset: bytes | None = field(default=None, repr=False)
    elements: Mapping[str, Value] = field(default_factory=dict)

    @property
    def category(self) -> Category:
        return category(self.status)

    @property
    def is_pending(self) -> bool:
        return self.category is Category.PENDING

    @property
    def is_success(self) -> bool:
        return self.status == SUCCESS
