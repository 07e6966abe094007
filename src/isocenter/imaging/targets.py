"""What users call the transfer syntaxes that instances can be turned into."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from isocenter.dicom.restoring import syntax_named
from isocenter.dicom.syntax import TransferSyntax, lookup
from isocenter.dicom.tables import UID_ROWS

NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "explicit": "1.2.840.10008.1.2.1",
        "implicit": "1.2.840.10008.1.2",
        "big-endian": "1.2.840.10008.1.2.2",
        "deflated": "1.2.840.10008.1.2.1.99",
        "rle": "1.2.840.10008.1.2.5",
        "jpeg-lossless": "1.2.840.10008.1.2.4.70",
        "jpeg-ls": "1.2.840.10008.1.2.4.80",
        "jpeg-2000": "1.2.840.10008.1.2.4.90",
        "htj2k": "1.2.840.10008.1.2.4.201",
        "htj2k-rpcl": "1.2.840.10008.1.2.4.202",
        "jpeg-xl": "1.2.840.10008.1.2.4.110",
        "jpeg-xl-jpeg": "1.2.840.10008.1.2.4.111",
        "deflated-frames": "1.2.840.10008.1.2.8.1",
        "jpeg": "1.2.840.10008.1.2.4.50",
        "jpeg-ls-near": "1.2.840.10008.1.2.4.81",
        "jpeg-2000-lossy": "1.2.840.10008.1.2.4.91",
        "htj2k-lossy": "1.2.840.10008.1.2.4.203",
    }
)
"""Short names; the last four lose something."""


def target_named(text: str) -> TransferSyntax:
    """Give the transfer syntax of a short name, keyword, name or UID. Raises: Unsupported."""
    if uid := NAMES.get(text.lower()):
        return lookup(uid)
    for uid, row in UID_ROWS.items():
        if row[1] == "Transfer Syntax" and row[4] == text:
            return lookup(uid)
    return syntax_named(text)
