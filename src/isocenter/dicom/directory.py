"""A DICOMDIR: the files of a file-set, and the SOP instances in them (PS3.3 F, PS3.10 8.6)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isocenter.dicom import part10
from isocenter.dicom.elements import Item, elements
from isocenter.dicom.values import texts
from isocenter.errors import Malformed

RECORD_SEQUENCE: Final = 0x00041220
RECORD_TYPE: Final = 0x00041430
FILE_ID: Final = 0x00041500
SOP_CLASS: Final = 0x00041510
SOP_INSTANCE: Final = 0x00041511
TRANSFER_SYNTAX: Final = 0x00041512
_READ: Final = frozenset({RECORD_TYPE, FILE_ID, SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX})


@dataclass(frozen=True, slots=True)
class Reference:
    """A directory record that refers to a file. Texts are empty where the record lacks them."""

    record_type: str
    file_id: tuple[str, ...]
    sop_class: str
    sop_instance: str
    transfer_syntax: str

    def path(self, root: Path) -> Path | None:
        """Find the file below ``root``, whatever the case of its name; None if it is not there.

        A file ID that would lead out of ``root`` finds nothing.
        """
        place = root
        for component in self.file_id:
            if component in ("", ".", "..") or set(component) & {"/", "\\", "\0", ":"}:
                return None
            found = _entry(place, component)
            if found is None:
                return None
            place = found
        inside = place.resolve().is_relative_to(root.resolve())
        return place if inside and place.is_file() else None


@dataclass(frozen=True, slots=True)
class Directory:
    """What a DICOMDIR refers to, in its order, and why reading ended early if it did."""

    references: tuple[Reference, ...]
    fault: Malformed | None = None

    def missing(self, root: Path) -> tuple[Reference, ...]:
        """Give the references whose file is not below ``root``."""
        return tuple(each for each in self.references if each.path(root) is None)


def read(data: bytes) -> Directory:
    """Read a DICOMDIR as far as it is sound.

    Raises: Malformed, if it is no DICOM file at all.
    """
    header = part10.read(data)
    found: list[Reference] = []
    try:
        for element in elements(memoryview(data)[header.dataset_offset :], header.syntax):
            if element.tag == RECORD_SEQUENCE:
                for item in element.items():
                    found.extend(_references(item))
    except Malformed as fault:
        return Directory(tuple(found), fault)
    return Directory(tuple(found))


def _references(record: Item) -> Iterator[Reference]:
    """Give the record's reference, or nothing where it refers to no file."""
    values = {
        element.tag: tuple(texts(element.vr, bytes(element.value)))
        for element in record.elements()
        if element.tag in _READ
    }

    def one(tag: int) -> str:
        return next(iter(values.get(tag, ())), "")

    if any(values.get(FILE_ID, ())):
        yield Reference(
            record_type=one(RECORD_TYPE),
            file_id=values[FILE_ID],
            sop_class=one(SOP_CLASS),
            sop_instance=one(SOP_INSTANCE),
            transfer_syntax=one(TRANSFER_SYNTAX),
        )


def _entry(place: Path, component: str) -> Path | None:
    """Find a name as it is, else in any case: ISO 9660 readers disagree, some with a dot added."""
    exact = place / component
    if exact.exists():
        return exact
    wanted = component.casefold()
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return None
    return next((each for each in entries if each.name.casefold().rstrip(".") == wanted), None)
