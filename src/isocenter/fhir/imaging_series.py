"""The series of an ImagingStudy, piece by piece."""

import re
from typing import Final

import orjson

from isocenter.fhir import endpoint
from isocenter.fhir.datatypes import (
    SNOMED,
    Attributes,
    Element,
    code,
    coding,
    concept,
    filled,
    first,
    modality,
    number,
    people,
    text,
    unknown,
)
from isocenter.fhir.dates import moment
from isocenter.fhir.demands import URI_SYSTEM, URN_OID, is_id
from isocenter.fhir.here import Here
from isocenter.fhir.releases import R4, Release
from isocenter.storage.outlines import Listed, Part

PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_LATERALITY: Final = {
    "R": {"system": SNOMED, "code": "24028007", "display": "Right"},
    "L": {"system": SNOMED, "code": "7771000", "display": "Left"},
    "B": {"system": SNOMED, "code": "51440002", "display": "Right and left"},
}
_DATES: Final = (("00080021", "00080031"), ("00400244", "00400245"))
_ANATOMIC_REGION: Final = b'"00082218":'

# What gives an instance its title. The mapping of FHIR ends with Image Type, which says nothing
# of one image that the series does not say better.
_TITLES: Final = ("00700080", "00420010")
_CONCEPT_NAME: Final = "0040A043"
_TELLS_TITLE: Final = re.compile(rb'"(?:00700080|00420010|0040A043)":')


class Series:
    """Writes the series of one study."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._is_begun = False
        self._is_left_out = False
        self._has_instances = False

    def piece(self, part: Part) -> bytes:
        """A part of a series, with what stands between it and the one before."""
        piece = b""
        if part.is_first:
            head = _head(self._here, part)
            self._is_left_out = head is None
            self._has_instances = False
            if head is not None:
                piece = (b"," if self._is_begun else b',"series":[') + head
                self._is_begun = True
        if self._is_left_out:
            return b""
        if listed := b",".join(filter(None, map(_instance, part.instances))):
            piece += (b"," if self._has_instances else b',"instance":[') + listed
            self._has_instances = True
        if part.is_last:
            piece += b"]}" if self._has_instances else b"}"
        return piece

    def end(self) -> bytes:
        """What closes the series, and the study."""
        return b"]}" if self._is_begun else b"}"


def _head(here: Here, part: Part) -> bytes | None:
    """A series up to where its instances begin; None, if FHIR cannot have it for its UID."""
    held = part.attributes
    uid = text(held, "0020000E")
    if not is_id(uid):
        return None
    release = here.release
    found = filled(
        uid=uid,
        number=number(first(held, "00200011")),
        modality=concept(modality(first(held, "00080060")) or unknown(), release),
        description=text(held, "0008103E"),
        numberOfInstances=part.count,
        endpoint=endpoint.REFERENCES,
        bodySite=_body_site(part, release),
        laterality=concept(_LATERALITY.get(text(held, "00200060"), {}), release),
        started=_started(here, held),
        performer=[
            {"function": {"coding": [{"system": PARTICIPATION, "code": function}]}, "actor": actor}
            for tag8, function in (("00081050", "PRF"), ("00081070", "SPRF"))
            for actor in people(held, tag8)
        ],
    )
    return orjson.dumps(found)[:-1]


def _body_site(part: Part, release: Release) -> Element:
    """What the first instance has as a code, else Body Part Examined."""
    found: Element = {}
    if part.instances and _ANATOMIC_REGION in part.instances[0].document:
        region = first(orjson.loads(part.instances[0].document), "00082218")
        found = coding(region) if isinstance(region, dict) else {}
    found = found or filled(display=text(part.attributes, "00180015"))
    if release is R4 or not found:
        return found
    return {"concept": concept(found, release)}


def _started(here: Here, held: Attributes) -> str | None:
    for dates, times in _DATES:
        if on := text(held, dates):
            return moment(on, text(held, times), text(held, "00080201"), here.zone)
    return None


def _instance(listed: Listed) -> bytes:
    """An instance; nothing, if FHIR cannot have it for its UID."""
    if not is_id(listed.sop_instance_uid):
        return b""
    found = filled(
        uid=listed.sop_instance_uid,
        sopClass={"system": URI_SYSTEM, "code": f"{URN_OID}{code(listed.sop_class_uid)}"},
        number=number(listed.number),
        title=_title(listed.document),
    )
    return orjson.dumps(found)


def _title(document: bytes) -> str:
    if not _TELLS_TITLE.search(document):
        return ""
    held = orjson.loads(document)
    named = first(held, _CONCEPT_NAME)
    meaning = text(named, "00080104") if isinstance(named, dict) else ""
    label, title = (text(held, tag8) for tag8 in _TITLES)
    return label or meaning or title
