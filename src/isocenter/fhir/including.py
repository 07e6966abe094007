"""What may come along with what is searched for (``_include``, ``_revinclude``)."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from isocenter.fhir import diagnostic_report, endpoint, imaging_study, patient
from isocenter.fhir.here import Here
from isocenter.fhir.registry import ResourceType
from isocenter.fhir.releases import R4, R5, Release
from isocenter.storage.records import Match

Entities = Sequence[Any]
AT_ONCE: Final = 50
"""Entities whose resources are written together."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """What comes along with the matches of one kind of resource."""

    of: ResourceType
    gives: ResourceType
    find: Callable[[Here, Entities], AsyncIterator[Entities]]
    releases: tuple[Release, ...] = (R4, R5)


async def _patients(here: Here, matches: Sequence[Match]) -> AsyncIterator[Entities]:
    async for page in patient.of(here, {each.patient for each in matches}):
        yield page


async def _endpoints(here: Here, matches: Sequence[Match]) -> AsyncIterator[Entities]:
    yield [each for each in endpoint.SERVICES if each.is_of_studies]


async def _studies_of_patients(here: Here, matches: Sequence[Match]) -> AsyncIterator[Entities]:
    async for page in imaging_study.of(here, patients=[each.patient for each in matches]):
        for start in range(0, len(page), AT_ONCE):
            yield page[start : start + AT_ONCE]


async def _studies(here: Here, matches: Sequence[Match]) -> AsyncIterator[Entities]:
    async for page in imaging_study.of(here, studies=[each.study for each in matches]):
        for start in range(0, len(page), AT_ONCE):
            yield page[start : start + AT_ONCE]


_STUDY, _REPORT, _PATIENT = (
    imaging_study.RESOURCE,
    diagnostic_report.RESOURCE,
    patient.RESOURCE,
)

INCLUDES: Final[Mapping[str, Inclusion]] = MappingProxyType(
    {
        "ImagingStudy:patient": Inclusion(_STUDY, _PATIENT, _patients),
        "ImagingStudy:subject": Inclusion(_STUDY, _PATIENT, _patients),
        "ImagingStudy:endpoint": Inclusion(_STUDY, endpoint.RESOURCE, _endpoints),
        "DiagnosticReport:patient": Inclusion(_REPORT, _PATIENT, _patients),
        "DiagnosticReport:subject": Inclusion(_REPORT, _PATIENT, _patients),
        "DiagnosticReport:study": Inclusion(_REPORT, _STUDY, _studies, (R5,)),
    }
)
"""By what ``_include`` says."""

REVERSE: Final[Mapping[str, Inclusion]] = MappingProxyType(
    {
        "ImagingStudy:patient": Inclusion(_PATIENT, _STUDY, _studies_of_patients),
        "ImagingStudy:subject": Inclusion(_PATIENT, _STUDY, _studies_of_patients),
    }
)
"""By what ``_revinclude`` says."""


def of(table: Mapping[str, Inclusion], kind: ResourceType, release: Release) -> list[str]:
    """What may be said of one kind of resource."""
    return [name for name, each in table.items() if each.of is kind and release in each.releases]
