"""What the index is told of an instance, drawn from its header."""

from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from isocenter.dicom import json_model
from isocenter.dicom.identity import SERIES, SOP_CLASS, SOP_INSTANCE, STUDY, may_be_uid
from isocenter.dicom.layout import SPECIFIC_CHARACTER_SET
from isocenter.dicom.scanner import RawValue, Scanner
from isocenter.dicom.sop_classes import NON_PATIENT
from isocenter.errors import Mismatch
from isocenter.storage.attributes import ATTRIBUTES, NON_PATIENT_STUDY, WANTED, Level
from isocenter.storage.entry import Upper, upper_of

T = TypeVar("T")
Attributes = dict[str, Any]

REMEMBERED: Final = 4096

SHORT: Final = 64
"""Bytes of a value that is worth remembering."""

ORDINARY: Final = 1 << 14
"""Bytes of what a series shares, at most, to be remembered: strangers do not fill our memory."""

UNSHARED: Final = frozenset({SOP_INSTANCE, 0x00080013, 0x00200013, 0x00201041})
"""UID, creation time, number and location: other in each instance."""

_LEVELS: Final = {tag: {ATTRIBUTES[tag].level, *ATTRIBUTES[tag].also} for tag in WANTED}
_SINGLE: Final = tuple(sorted(tag for tag in WANTED if Level.IMAGE in _LEVELS[tag]))
_SHARED: Final = tuple(sorted(tag for tag in WANTED if _LEVELS[tag] - {Level.IMAGE}))
_ALL: Final = tuple(sorted(WANTED))


_NOWHERE: Final = upper_of(
    {tag8: {"vr": "UI", "Value": [NON_PATIENT_STUDY]} for tag8 in ("0020000D", "0020000E")}
)
"""What is above instances that belong to no patient."""


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
    @property
    def study(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a header says."""

    identity: Identity
    attributes: Attributes
    """Of the instance itself, in the DICOM JSON model."""
    upper: Upper


class Catalogue:
    """Draws identities and attributes from headers.

    The instances of a series share what is above them and most values of their own: those are drawn
    once and remembered by their raw bytes. May be used from several threads.
    """

    def __init__(self) -> None:
        self._uppers: dict[tuple[object, ...], Upper] = {}
        self._elements: dict[tuple[object, ...], Attributes] = {}

    def draw(self, header: Scanner, announced: Announcement) -> Drawn:
        """Read what was announced and what the index wants.

        Raises: Mismatch, where a UID is missing or other than announced; Malformed.
        """
        values, layout = header.values, header.layout
        identity = _identity(values, announced)
        key = (layout.is_little_endian, values.get(SPECIFIC_CHARACTER_SET))
        attributes: Attributes = {}
        # What belongs to no patient shares nothing with what is kept beside it.
        for tag in _SINGLE if identity.study else _ALL:
            raw = values.get(tag)
            if raw is not None:
                attributes.update(self._element(tag, raw, key, header))
        upper = self._upper(key, header) if identity.study else _NOWHERE
        return Drawn(identity, attributes, upper)

    def _element(
        self, tag: int, raw: RawValue, key: tuple[object, ...], header: Scanner
    ) -> Attributes:
        known = self._elements.get((tag, raw, *key))
        if known is None:
            charset = json_model.charset_of(header.values)
            known = json_model.raw_to_json({tag: raw}, (tag,), charset, header.layout)
            if tag not in UNSHARED and len(raw.value) <= SHORT:
                _remember(self._elements, (tag, raw, *key), known)
        return known

    def _upper(self, key: tuple[object, ...], header: Scanner) -> Upper:
        key = (*key, *map(header.values.get, _SHARED))
        known = self._uppers.get(key)
        if known is None:
            charset = json_model.charset_of(header.values)
            known = upper_of(json_model.raw_to_json(header.values, _SHARED, charset, header.layout))
            if sum(len(raw.value) for raw in key if isinstance(raw, RawValue)) <= ORDINARY:
                _remember(self._uppers, key, known)
        return known


def _remember(memory: dict[tuple[object, ...], T], key: tuple[object, ...], value: T) -> None:
    """Keep ``value``; of what is full, everything goes: it is soon drawn again."""
    if len(memory) >= REMEMBERED:
        memory.clear()
    memory[key] = value


def _identity(values: dict[int, RawValue], announced: Announcement) -> Identity:
    sop_class = _uid(values, SOP_CLASS, "SOPClassUID", announced.sop_class)
    instance = _uid(values, SOP_INSTANCE, "SOPInstanceUID", announced.sop_instance)
    if sop_class in NON_PATIENT and STUDY not in values and not announced.study:
        return Identity(sop_class, instance, "", "")
    study = _uid(values, STUDY, "StudyInstanceUID", announced.study)
    series = _uid(values, SERIES, "SeriesInstanceUID")
    return Identity(sop_class, instance, study, series)


def _uid(values: dict[int, RawValue], tag: int, keyword: str, announced: str = "") -> str:
    raw = values.get(tag)
    uid = raw.value.decode("latin-1").strip("\0 ") if raw else ""
    if not uid:
        raise Mismatch(f"data set has no {keyword}")
    if not may_be_uid(uid):
        raise Mismatch(f"{keyword} is not a UID")
    if announced and uid != announced:
        raise Mismatch(f"{keyword} differs from the one announced")
    return uid
