"""What the index is told of an instance, drawn from its header."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol

from isocenter.dicom import json_model
from isocenter.dicom.layout import Layout
from isocenter.dicom.scanner import RawValue, Scanner
from isocenter.dicom.sop_classes import NON_PATIENT
from isocenter.errors import Mismatch
from isocenter.storage.attributes import ATTRIBUTES, NON_PATIENT_STUDY, WANTED, Level

Attributes = dict[str, Any]

SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
SPECIFIC_CHARACTER_SET: Final = 0x00080005
LONGEST_UID: Final = 64
REMEMBERED: Final = 1024

_SINGLE: Final = tuple(
    sorted(tag for tag in WANTED if {ATTRIBUTES[tag].level, *ATTRIBUTES[tag].also} == {Level.IMAGE})
)
_SHARED: Final = tuple(sorted(WANTED.difference(_SINGLE)))


@dataclass(frozen=True, slots=True)
class Identity:
    """The UIDs of an instance."""

    sop_class: str
    instance: str
    study: str
    series: str


class Announcement(Protocol):
    """What a sender said of the instance; empty where it said nothing."""

    @property
    def sop_class(self) -> str: ...
    @property
    def sop_instance(self) -> str: ...


class Catalogue:
    """Draws identities and attributes from headers.

    The instances of a series share most of what the index wants: that is drawn once and remembered
    by its raw bytes. May be used from several threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._shared: OrderedDict[tuple[object, ...], Attributes] = OrderedDict()

    def entry(self, header: Scanner, announced: Announcement) -> tuple[Identity, Attributes]:
        """Return who the instance is and its attributes in the DICOM JSON model.

        Raises: Mismatch, where a UID is missing or other than announced; Malformed.
        """
        values = header.values
        identity = _identity(values, announced)
        layout = header.layout
        charset = json_model.charset_of(values)
        attributes = json_model.raw_to_json(values, _SINGLE, charset, layout)
        attributes.update(self._of_series(values, layout))
        if not identity.study:
            attributes["0020000D"] = attributes["0020000E"] = {
                "vr": "UI",
                "Value": [NON_PATIENT_STUDY],
            }
        return identity, attributes

    def _of_series(self, values: dict[int, RawValue], layout: Layout) -> Attributes:
        get = values.get
        key = (layout.is_little_endian, get(SPECIFIC_CHARACTER_SET), *map(get, _SHARED))
        with self._lock:
            known = self._shared.get(key)
            if known is not None:
                return known
        made = json_model.raw_to_json(values, _SHARED, json_model.charset_of(values), layout)
        with self._lock:
            self._shared[key] = made
            if len(self._shared) > REMEMBERED:
                self._shared.popitem(last=False)
        return made


def _identity(values: dict[int, RawValue], announced: Announcement) -> Identity:
    sop_class = _uid(values, SOP_CLASS, "SOPClassUID", announced.sop_class)
    instance = _uid(values, SOP_INSTANCE, "SOPInstanceUID", announced.sop_instance)
    if sop_class in NON_PATIENT and STUDY not in values:
        return Identity(sop_class, instance, "", "")
    study = _uid(values, STUDY, "StudyInstanceUID")
    series = _uid(values, SERIES, "SeriesInstanceUID")
    return Identity(sop_class, instance, study, series)


def _uid(values: dict[int, RawValue], tag: int, keyword: str, announced: str = "") -> str:
    raw = values.get(tag)
    uid = raw.value.decode("latin-1").strip("\0 ") if raw else ""
    if not uid:
        raise Mismatch(f"data set has no {keyword}")
    if len(uid) > LONGEST_UID or not uid.isascii() or not uid.isprintable() or "\\" in uid:
        raise Mismatch(f"{keyword} is not a UID")
    if announced and uid != announced:
        raise Mismatch(f"{keyword} differs from the one announced")
    return uid
