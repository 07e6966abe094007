"""What the standard's UIDs name, of every kind (PS3.6 Annex A), and the few of others we know."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.dicom.syntax import TRANSFER_SYNTAXES
from isocenter.dicom.tables import UID_ROWS

SOP_CLASS: Final = "SOP Class"
TRANSFER_SYNTAX: Final = "Transfer Syntax"
_LATER: Final = {
    "1.2.840.10008.1.2.4.110": "JPEGXLLossless",
    "1.2.840.10008.1.2.4.111": "JPEGXLJPEGRecompression",
    "1.2.840.10008.1.2.4.112": "JPEGXL",
    "1.2.840.10008.1.2.8.1": "DeflatedImageFrameCompression",
}
"""Keywords of transfer syntaxes that pydicom 3.0 does not know."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A UID that somebody has given a meaning to."""

    uid: str
    name: str
    kind: str
    keyword: str
    is_retired: bool


def _registry() -> dict[str, Registered]:
    found = {
        uid: Registered(uid, name or uid, kind, keyword, retired == "Retired")
        for uid, (name, kind, _, retired, keyword) in UID_ROWS.items()
    }
    for uid, known in SOP_CLASSES.items():
        kind = found[uid].kind if uid in found else SOP_CLASS
        found[uid] = Registered(uid, known.name, kind, known.keyword, known.is_retired)
    for uid, syntax in TRANSFER_SYNTAXES.items():
        if uid not in found:
            keyword = _LATER.get(uid, "")
            found[uid] = Registered(uid, syntax.name, TRANSFER_SYNTAX, keyword, is_retired=False)
    return found


UIDS: Final = MappingProxyType(_registry())
"""All of them, by UID."""

ROOTS: Final = (
    ("1.2.840.10008.", "DICOM itself; this one is in no edition that we know"),
    ("2.25.", "made from a UUID (PS3.5 B.2)"),
    ("1.2.826.0.1.3680043.", "given out by Medical Connections"),
    ("1.2.276.0.7230010.", "OFFIS (DCMTK)"),
    ("1.2.840.113619.", "GE Healthcare"),
    ("1.3.12.2.1107.", "Siemens"),
    ("1.3.46.670589.", "Philips"),
    ("1.2.392.200036.", "a Japanese manufacturer"),
    ("1.3.6.1.4.1.", "an enterprise with a number of IANA's"),
)
"""Who gives out UIDs that begin so."""


def root_of(uid: str) -> str:
    """Say whose UID that is; empty where we do not know."""
    return next((owner for root, owner in ROOTS if uid.startswith(root)), "")
