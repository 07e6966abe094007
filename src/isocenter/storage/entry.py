"""An incoming instance taken apart: unique keys, attributes by level, the columns they make.

Everything here is computed from the instance alone, in the thread that brings it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from isocenter.errors import Malformed
from isocenter.storage import values
from isocenter.storage.attributes import ATTRIBUTES, LEVELS, NON_PATIENT_STUDY, Held, Level
from isocenter.storage.records import Incoming
from isocenter.storage.schema import PATIENT_PART, REFERRING_PART, SEVERAL, UNNUMBERED
from isocenter.storage.values import Attributes

Document = dict[str, Any]

_COMPARED: Final = {tag: each for tag, each in ATTRIBUTES.items() if each.held is Held.DOCUMENT}

KEPT: Final = {
    level: frozenset(tag8 for tag8, levels in LEVELS.items() if level in levels) for level in Level
}
_ALL: Final = frozenset(LEVELS)

PATIENT_NAME: Final = "00100010"
REFERRING_PHYSICIAN_NAME: Final = "00080090"
STUDY_DESCRIPTION: Final = "00081030"
INSTITUTION_NAME: Final = "00080080"


@dataclass(frozen=True, slots=True)
class Upper:
    """What the instances of a series have in common: patient, study and series."""

    study_uid: str
    series_uid: str
    patient_id: str
    issuer: str
    patient: Document
    study: Document
    series: Document
    tags: frozenset[str]
    """The attributes that say something."""

    @property
    def patient_key(self) -> tuple[str, str, str]:
        """What tells patients apart. Without a Patient ID that is the study: never pool them."""
        if self.patient_id:
            return self.patient_id, self.issuer, ""
        return "", "", self.study_uid

    @property
    def series_key(self) -> tuple[str, ...]:
        """What tells series apart."""
        return (*self.patient_key, self.study_uid, self.series_uid)


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance ready to become rows."""

    incoming: Incoming
    upper: Upper
    sop_instance_uid: str
    sop_class_uid: str
    instance_number: int
    document: bytes
    compared: str


def upper_of(attributes: Attributes) -> Upper:
    """Take out what is above the instance. Raises: Malformed, where a UID is missing."""
    patient, study, series = (
        _filled(attributes, KEPT[level]) for level in (Level.PATIENT, Level.STUDY, Level.SERIES)
    )
    return Upper(
        _unique(study, "0020000D", "StudyInstanceUID"),
        _unique(series, "0020000E", "SeriesInstanceUID"),
        values.whole_text(patient, "00100020"),
        issuer_of(patient),
        patient,
        study,
        series,
        frozenset().union(patient, study, series),
    )


def entry_of(incoming: Incoming) -> Entry:
    """Take an instance apart. Raises: Malformed, where a UID is missing, a value no Unicode."""
    upper = incoming.upper or upper_of(incoming.attributes)
    is_of_patient = upper.study_uid != NON_PATIENT_STUDY
    instance = _filled(incoming.attributes, KEPT[Level.IMAGE] if is_of_patient else _ALL)
    try:
        document, compared = documents(instance, offset_of(instance))
    except (TypeError, ValueError) as error:
        raise Malformed(f"the attributes cannot be kept: {error}") from error
    return Entry(
        incoming,
        upper,
        _unique(instance, "00080018", "SOPInstanceUID"),
        _unique(instance, "00080016", "SOPClassUID"),
        values.first_integer(instance, "00200013", UNNUMBERED),
        document,
        compared,
    )


def _filled(attributes: Attributes, kept: frozenset[str]) -> Document:
    """Those of ``kept`` that say something."""
    return {
        tag8: element
        for tag8, element in attributes.items()
        if tag8 in kept
        and (held := element.get("Value"))
        and (held[0] or values.is_filled(element))
    }


def _unique(attributes: Attributes, tag8: str, keyword: str) -> str:
    uid = values.first_text(attributes, tag8)
    if not uid:
        raise Malformed(f"{keyword} is missing or empty")
    return uid


def issuer_of(patient: Attributes) -> str:
    """Who assigned the Patient ID: the local issuer, else the universal one (PS3.3 10.14)."""
    if local := values.first_text(patient, "00100021"):
        return local
    qualifiers = values.first(patient, "00100024")
    return values.first_text(qualifiers, "00400032") if isinstance(qualifiers, dict) else ""


def offset_of(attributes: Attributes) -> int:
    """Minutes east of UTC that hold for the attributes; 0 where they do not say."""
    return values.offset_minutes(values.first_text(attributes, "00080201")) or 0


def documents(level: Document, offset: int = 0) -> tuple[bytes, str]:
    """A level's attributes as DICOM JSON, and as they are compared."""
    compared = values.compared(_COMPARED, level, offset)
    return to_json(level), to_json(compared).decode() if compared else "{}"


def to_json(document: Document) -> bytes:
    """As UTF-8. Raises: ValueError, TypeError, for what is no Unicode text or no JSON."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        # Integers of more than 64 bits: absurd, and no reason to refuse an image.
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def patient_columns(patient: Document) -> tuple[str, str, str, bytes, str]:
    """``sort_name, birth_date, sex, document, compared`` of a patient."""
    names = [each[1:] for each in values.name_groups(values.first(patient, PATIENT_NAME))]
    return (
        names[0] if names else "",
        values.date(values.first_text(patient, "00100030")) or "",
        values.first_text(patient, "00100040"),
        *documents(patient),
    )


def study_columns(patient: Document, study: Document) -> tuple[Any, ...]:
    """A study's columns that its attributes make, ordered as ``statements.STUDY_COLUMNS``."""
    study_date, study_time = when(study)
    compared = values.compared(_COMPARED, patient | study, offset_of(study))
    return (
        study_date,
        study_time,
        values.first_text(study, "00080050"),
        values.first_text(study, "00200010"),
        joined(compared, STUDY_DESCRIPTION),
        values.whole_text(patient, "00100020"),
        issuer_of(patient),
        values.date(values.first_text(patient, "00100030")) or "",
        values.first_text(patient, "00100040"),
        to_json(patient),
        to_json(study),
        to_json(compared).decode(),
    )


def when(study: Attributes) -> tuple[str, str]:
    """Study Date and Study Time as they sort; ``""`` where unknown."""
    return (
        values.date(values.first_text(study, "00080020")) or "",
        values.time(values.first_text(study, "00080030")) or "",
    )


def modality_of(series: Document) -> str:
    """The modality of a series, empty where it does not say."""
    return values.first_text(series, "00080060")


def series_columns(series: Document) -> tuple[str, int, str, bytes, str]:
    """A series' columns that its attributes make, ordered as ``statements.SERIES_COLUMNS``."""
    compared = values.compared(_COMPARED, series, offset_of(series))
    return (
        modality_of(series),
        values.first_integer(series, "00200011", UNNUMBERED),
        joined(compared, INSTITUTION_NAME),
        to_json(series),
        to_json(compared).decode(),
    )


def joined(compared: Mapping[str, Sequence[object]], tag8: str) -> str:
    """The values of a text in one: itself, where there is one as there should be.

    Several begin with ``SEVERAL``: those are looked up in ``compared``.
    """
    found = [str(each) for each in compared.get(tag8, ())]
    if len(found) < 2 and not any(SEVERAL in each for each in found):
        return "".join(found)
    return SEVERAL + SEVERAL.join(found)


def name_parts(patient: Document, study: Document) -> Iterator[tuple[int, str]]:
    """The folded component groups of the names searched by index, with their ``part``."""
    for base, holder, tag8 in (
        (PATIENT_PART, patient, PATIENT_NAME),
        (REFERRING_PART, study, REFERRING_PHYSICIAN_NAME),
    ):
        for each in values.name_groups(values.first(holder, tag8)):
            yield base + int(each[0]), each[1:]


def demographics(patient: Attributes) -> tuple[str, str, str]:
    """What should not differ between the instances of one patient: name, birth date, sex."""
    names = values.name_groups(values.first(patient, PATIENT_NAME))
    return (
        names[0] if names else "",
        values.first_text(patient, "00100030"),
        values.first_text(patient, "00100040"),
    )
