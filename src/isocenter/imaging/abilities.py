"""What can be done with a transfer syntax or a SOP class: for the reference, and to explain."""

from dataclasses import dataclass
from typing import Final

from isocenter.dicom.sop_classes import IMAGES
from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN, TRANSFER_SYNTAXES
from isocenter.imaging.codecs import CODECS
from isocenter.imaging.frames import ENCAPSULATED_UNCOMPRESSED, is_video
from isocenter.imaging.transcoding import RECOMPRESSED

NOT_OF_FILES: Final = frozenset(
    {
        "1.2.840.10008.1.2.6.1",  # MIME encapsulation
        "1.2.840.10008.1.2.6.2",  # XML encoding
        *(f"1.2.840.10008.1.2.7.{number}" for number in (1, 2, 3)),  # SMPTE ST 2110
    }
)
"""What is in PS3.6 as a transfer syntax, but no instance is ever kept in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What is done with the pixels of a transfer syntax."""

    is_decoded: bool = False
    is_encoded: bool = False
    library: str = ""
    licence: str = ""


def of_transfer_syntax(uid: str) -> Ability:
    """Say what is done with the pixels of a transfer syntax; by whom, if anything is."""
    # Frames that are encapsulated without being compressed are read as native ones.
    if uid == ENCAPSULATED_UNCOMPRESSED:
        native = CODECS[EXPLICIT_VR_LITTLE_ENDIAN].library
        return Ability(is_decoded=True, library=native.name, licence=native.licence)
    codec = CODECS.get(uid)
    if is_video(uid):
        licence = "BSD-3-Clause; its wheels hold libraries under the GPL"
        return Ability(is_decoded=True, library="PyAV, the extra video", licence=licence)
    if codec is None:
        return Ability()
    return Ability(
        is_decoded=codec.decode is not None,
        is_encoded=codec.encode is not None or any(to == uid for _, to in RECOMPRESSED),
        library=codec.library.name,
        licence=codec.library.licence,
    )


def transfer_syntaxes() -> list[str]:
    """Give those that an instance may be kept in: first what is decoded, each by its place."""
    others = (uid for uid in TRANSFER_SYNTAXES if uid not in CODECS and uid not in NOT_OF_FILES)
    return [*CODECS, *sorted(others, key=_by_place)]


def images() -> list[str]:
    """Give every storage SOP class of images, by its place in the standard's tree."""
    return sorted(IMAGES, key=_by_place)


def _by_place(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]
