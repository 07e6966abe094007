"""The attributes that say which instance a data set is (PS3.3 C.7.2.1, C.7.3.1, C.12.1)."""

import re
from typing import Final

SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E

LONGEST_UID: Final = 64
"""Characters of a UID (PS3.5 9.1)."""

MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""The SOP class of a DICOMDIR, which is no instance (PS3.10 8.6)."""


_UID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")


def is_uid(text: str) -> bool:
    """Whether ``text`` is a UID by the standard's rules (PS3.5 9.1)."""
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None


def may_be_uid(text: str) -> bool:
    """Whether ``text`` is taken for a UID: devices break the rules, so any short name is."""
    return (
        0 < len(text) <= LONGEST_UID and text.isascii() and text.isprintable() and "\\" not in text
    )
