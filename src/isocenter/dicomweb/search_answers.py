"""What each kind of search returns of a match (PS3.18 10.6.3.3, 12.6)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from isocenter.archive.answers import only
from isocenter.archive.retrieve import can_convert
from isocenter.dicom.syntax import EXPLICIT_LE, lookup
from isocenter.dicomweb.search_parameters import Asked
from isocenter.storage.attributes import ATTRIBUTES, BY_KEYWORD, Attribute, Held, Level
from isocenter.storage.non_patient import BY_CATEGORY
from isocenter.storage.query import Key

Document = dict[str, Any]

CHARACTER_SET: Final = 0x00080005
RETRIEVE_AE_TITLE: Final = 0x00080054
INSTANCE_AVAILABILITY: Final = 0x00080056
RETRIEVE_URL: Final = 0x00081190
AVAILABLE_TRANSFER_SYNTAXES: Final = "00083002"


def _tags(*keywords: str) -> tuple[int, ...]:
    return tuple(BY_KEYWORD[keyword].tag for keyword in keywords)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is returned by default."""

    required: tuple[int, ...]
    """Types U and R: there even if empty."""
    if_known: tuple[int, ...] = ()
    """Type C: there if the archive knows them."""

    def __add__(self, other: "Shape") -> "Shape":
        return Shape(self.required + other.required, self.if_known + other.if_known)


OF_STUDY: Final = Shape(
    _tags(
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "InstanceAvailability",
        "ModalitiesInStudy",
        "ReferringPhysicianName",
        "RetrieveURL",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyID",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    _tags("TimezoneOffsetFromUTC"),
)
"""PS3.18 Table 10.6.3-3."""

OF_SERIES: Final = Shape(
    _tags(
        "Modality",
        "RetrieveURL",
        "SeriesInstanceUID",
        "SeriesNumber",
        "NumberOfSeriesRelatedInstances",
        "StudyInstanceUID",  # not in the table, but nothing is found again without it
    ),
    _tags(
        "TimezoneOffsetFromUTC",
        "SeriesDescription",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "RequestAttributesSequence",
    ),
)
"""PS3.18 Table 10.6.3-4."""

OF_INSTANCE: Final = Shape(
    _tags(
        "SOPClassUID",
        "SOPInstanceUID",
        "InstanceAvailability",
        "RetrieveURL",
        "InstanceNumber",
        "StudyInstanceUID",  # as above
        "SeriesInstanceUID",
    ),
    _tags("TimezoneOffsetFromUTC", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"),
)
"""PS3.18 Table 10.6.3-5."""

_ITEMS: Final = {0x00400275: (Key(0x00400009), Key(0x00401001))}
"""Of Request Attributes Sequence: Scheduled Procedure Step ID and Requested Procedure ID."""


class Answers:
    """Makes what is returned of each match, to one request."""

    def __init__(
        self, level: Level, shape: Shape, asked: Asked, known: Mapping[int, Attribute], aet: str
    ) -> None:
        """``known``: the attributes that what is searched can have."""
        self._known = {tag: each for tag, each in known.items() if _is_at(each, level)}
        asked_for = {key.tag: key for key in asked.returns if key.tag in self._known}
        self._empty: Document = {
            self._known[tag].tag8: {"vr": self._known[tag].vr}
            for tag in {*shape.required, *asked_for}
            if self._known[tag].held is not Held.GIVEN
        }
        tags = {*shape.required, *shape.if_known, *asked_for}
        if asked.is_all:
            tags |= self._known.keys()
        self._tags = tags
        self._cuts = {} if asked.is_all else dict(_cuts(tags, asked_for, self._known))
        self._given: Document = {}
        if INSTANCE_AVAILABILITY in tags:
            self._given["00080056"] = {"vr": "CS", "Value": ["ONLINE"]}
        if RETRIEVE_AE_TITLE in asked_for:
            self._given["00080054"] = {"vr": "AE", "Value": [aet]}
        if CHARACTER_SET in asked_for or asked.is_all:
            # Whatever the instance was stored in: this is what the answer is written in.
            self._given["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}

    @property
    def wanted(self) -> frozenset[int]:
        """What is needed of the index."""
        return frozenset(self._tags)

    def make(self, match: Document, url: str) -> Document:
        """What is returned of one match, in order of tags. ``url``: where it is retrieved."""
        found = {**self._empty, **match, **self._given}
        for tag8, (attribute, key) in self._cuts.items():
            if tag8 in match:
                found[tag8] = only(match[tag8], attribute, key)
        if kept := match.get(AVAILABLE_TRANSFER_SYNTAXES, {}).get("Value"):
            found[AVAILABLE_TRANSFER_SYNTAXES] = {"vr": "UI", "Value": available(kept[0])}
        if url:
            found["00081190"] = {"vr": "UR", "Value": [url]}
        return {tag8: found[tag8] for tag8 in sorted(found)}


def available(kept: str) -> list[str]:
    """In which transfer syntaxes an instance can be had: as it is kept, and uncompressed.

    Source: PS3.18 10.6.3.3; PS3.4 C.6.1.1.5.2.
    """
    is_other = kept != EXPLICIT_LE.uid and can_convert(lookup(kept), EXPLICIT_LE)
    return [kept, EXPLICIT_LE.uid] if is_other else [kept]


def _is_at(attribute: Attribute, level: Level) -> bool:
    """Whether an entity of ``level`` has it, or what is above it."""
    return attribute.level <= level or any(each <= level for each in attribute.also)


def _cuts(
    tags: set[int], asked_for: Mapping[int, Key], known: Mapping[int, Attribute]
) -> Iterator[tuple[str, tuple[Attribute, Key]]]:
    """The sequences of which not all is returned, with what is."""
    for tag in tags:
        key = asked_for.get(tag)
        if key is not None and not key.items:
            continue
        by_default = _ITEMS.get(tag, ())
        asked_of_items = key.items if key is not None else ()
        items = {each.tag: each for each in (*by_default, *asked_of_items)}
        if items:
            yield known[tag].tag8, (known[tag], Key(tag, items=tuple(items.values())))


def of_category(name: str) -> tuple[Shape, Mapping[int, Attribute]]:
    """What is returned by default of instances of no patient, and what they are searched by.

    Their keys are returned where they have a value (PS3.18 12.6).
    """
    keys = {each.tag: each for each in BY_CATEGORY[name]}
    uids = {tag: ATTRIBUTES[tag] for tag in _tags("SOPClassUID", "SOPInstanceUID")}
    given = {tag: each for tag, each in ATTRIBUTES.items() if each.held is Held.GIVEN}
    shape = Shape((*uids, INSTANCE_AVAILABILITY, RETRIEVE_URL), tuple(keys))
    return shape, uids | keys | given
