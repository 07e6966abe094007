"""What each kind of search returns of a match (PS3.18 10.6.3.3, 12.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from isocenter.archive.answers import only
from isocenter.dicomweb.search_parameters import Asked
from isocenter.storage.attributes import ATTRIBUTES, BY_KEYWORD, Attribute, Held, Level
from isocenter.storage.query import Key

Document = dict[str, Any]

CHARACTER_SET: Final = 0x00080005
RETRIEVE_AE_TITLE: Final = 0x00080054
INSTANCE_AVAILABILITY: Final = 0x00080056
RETRIEVE_URL: Final = 0x00081190
STUDY_UID: Final = "0020000D"
SERIES_UID: Final = "0020000E"
SOP_INSTANCE_UID: Final = "00080018"


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

_ITEMS_OF_REQUESTS: Final = (
    tuple(Key(tag) for tag in _tags("ScheduledProcedureStepID", "RequestedProcedureID") if tag)
    if "ScheduledProcedureStepID" in BY_KEYWORD
    else (Key(0x00400009), Key(0x00401001))
)
