"""SOP classes: what an object or a service is called, and which ones are stored (PS3.4, PS3.6)."""

from dataclasses import dataclass
from typing import Final

from isocenter.dicom.tables import UID_ROWS


@dataclass(frozen=True, slots=True)
class SOPClass:
    """One SOP class of PS3.6 Annex A."""

    uid: str
    name: str
    keyword: str
    is_storage: bool
    """Its instances are composite objects that a Storage SCP may be sent (PS3.4 B and GG)."""
    is_retired: bool


# In the standard, but newer than pydicom 3.0's dictionary: name and keyword.
_NEWER = {
    "1.2.840.10008.5.1.4.1.1.66.7": (
        "Label Map Segmentation Storage",
        "LabelMapSegmentationStorage",
    ),
    "1.2.840.10008.5.1.4.1.1.66.8": (
        "Height Map Segmentation Storage",
        "HeightMapSegmentationStorage",
    ),
}
# Named "Storage" yet never stored by C-STORE: a DICOMDIR, and the commitment services.
_NOT_STORED = {
    "1.2.840.10008.1.3.10",
    "1.2.840.10008.1.20.1",
    "1.2.840.10008.1.20.2",
}
# Retired, and left without a name in PS3.6; by their place in the tree they are storage classes.
_NAMELESS_STORAGE = {"1.2.840.10008.5.1.4.1.1.12.77", "1.2.840.10008.5.1.4.1.1.40"}


def _sop_class(uid: str, name: str, keyword: str, is_retired: bool) -> SOPClass:
    is_storage = "Storage" in name and uid not in _NOT_STORED
    is_storage |= uid in _NAMELESS_STORAGE
    return SOPClass(uid, name or uid, keyword, is_storage, is_retired)


def _registry() -> dict[str, SOPClass]:
    found = {
        uid: _sop_class(uid, name, keyword, retired == "Retired")
        for uid, (name, kind, _, retired, keyword) in UID_ROWS.items()
        if kind in ("SOP Class", "Meta SOP Class")
    }
    for uid, (name, keyword) in _NEWER.items():
        found[uid] = _sop_class(uid, name, keyword, is_retired=False)
    return found


SOP_CLASSES: Final = _registry()
"""Every SOP class and meta SOP class, retired ones included, by UID."""

STORAGE: Final = frozenset(uid for uid, known in SOP_CLASSES.items() if known.is_storage)
"""UIDs of all composite storage SOP classes: of patients and of none, retired ones included."""

_IMAGES_OF_ANOTHER_NAME = {
    "1.2.840.10008.5.1.4.1.1.6.2",  # Enhanced US Volume
    "1.2.840.10008.5.1.4.1.1.12.77",  # nameless, retired
    "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
    "1.2.840.10008.5.1.4.1.1.40",  # nameless, retired
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
    "1.2.840.10008.5.1.4.1.1.66.8",  # Height Map Segmentation
    "1.2.840.10008.5.1.4.1.1.77.1.5.8",  # Ophthalmic OCT B-scan Volume Analysis
    "1.2.840.10008.5.1.4.1.1.81.1",  # Ophthalmic Thickness Map
    "1.2.840.10008.5.1.4.1.1.82.1",  # Corneal Topography Map
    "1.2.840.10008.5.1.4.1.1.481.2",  # RT Dose
    "1.2.840.10008.5.1.4.1.1.501.4",  # DICOS 2D AIT
    "1.2.840.10008.5.1.4.1.1.501.5",  # DICOS 3D AIT
}
IMAGES: Final = frozenset(
    uid for uid in STORAGE if "Image" in SOP_CLASSES[uid].name or uid in _IMAGES_OF_ANOTHER_NAME
)
"""Storage SOP classes whose IODs have pixels (PS3.3 A: Image Pixel and the floating point ones)."""

NON_PATIENT: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
        "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
        "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
        "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
    }
)
"""Storage SOP classes whose instances belong to no patient, study or series (PS3.4 GG)."""


def name_of(uid: str) -> str:
    """Give the SOP class's name, or the UID itself where we know none."""
    known = SOP_CLASSES.get(uid)
    return known.name if known else uid
