"""Transfer syntaxes: how the bytes of a data set are to be read (PS3.5 section 10 and Annex A)."""

from dataclasses import dataclass
from typing import Final

from isocenter.dicom.tables import UID_ROWS

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
GE_PRIVATE_IMPLICIT_BIG_ENDIAN_PIXELS: Final = "1.2.840.113619.5.2"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One transfer syntax, as far as reading and writing a data set needs it."""

    uid: str
    name: str
    is_implicit: bool
    is_little_endian: bool
    is_deflated: bool
    is_encapsulated: bool


# In the standard (PS3.6 Annex A), but newer than pydicom 3.0's dictionary.
_NEWER = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
}
_IMPLICIT = {
    IMPLICIT_VR_LITTLE_ENDIAN,
    "1.2.840.10008.1.20",  # Papyrus 3
    GE_PRIVATE_IMPLICIT_BIG_ENDIAN_PIXELS,
}
_DEFLATED = {
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
    "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
}
# Pixel data is elsewhere (JPIP), or there is no data set of this kind at all (MIME, XML, ST 2110).
_WITHOUT_PIXEL_DATA = {
    "1.2.840.10008.1.2.4.94",
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.6.1",
    "1.2.840.10008.1.2.6.2",
    "1.2.840.10008.1.2.7.1",
    "1.2.840.10008.1.2.7.2",
    "1.2.840.10008.1.2.7.3",
}
_NATIVE = {EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN}


def _syntax(uid: str, name: str) -> TransferSyntax:
    return TransferSyntax(
        uid=uid,
        name=name,
        is_implicit=uid in _IMPLICIT,
        is_little_endian=uid != EXPLICIT_VR_BIG_ENDIAN,
        is_deflated=uid in _DEFLATED,
        is_encapsulated=uid not in _IMPLICIT | _DEFLATED | _WITHOUT_PIXEL_DATA | _NATIVE,
    )


def _registry() -> dict[str, TransferSyntax]:
    names = {uid: row[0] for uid, row in UID_ROWS.items() if row[1] == "Transfer Syntax"}
    names |= _NEWER
    names[GE_PRIVATE_IMPLICIT_BIG_ENDIAN_PIXELS] = "GE Private Implicit VR Big Endian Pixel Data"
    return {uid: _syntax(uid, name) for uid, name in names.items()}


TRANSFER_SYNTAXES: Final = _registry()
"""Every transfer syntax of the standard, retired ones included, and the private ones we know."""

IMPLICIT_LE: Final = TRANSFER_SYNTAXES[IMPLICIT_VR_LITTLE_ENDIAN]
EXPLICIT_LE: Final = TRANSFER_SYNTAXES[EXPLICIT_VR_LITTLE_ENDIAN]
EXPLICIT_BE: Final = TRANSFER_SYNTAXES[EXPLICIT_VR_BIG_ENDIAN]
DEFLATED_LE: Final = TRANSFER_SYNTAXES[DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]

UNCOMPRESSED: Final = frozenset({IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED_LE})
"""Those that can be turned into each other without touching a pixel."""


def lookup(uid: str) -> TransferSyntax:
    """Give the transfer syntax; never fails.

    One we do not know counts as explicit VR little endian, encapsulated: what is not one of the few
    native syntaxes is a compression, and compressions are all laid out so (PS3.5 A.4).
    """
    return TRANSFER_SYNTAXES.get(uid) or _syntax(uid, uid)
