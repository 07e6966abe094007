"""Endpoint: where the images of a study are had, by DICOMweb.

Source: https://hl7.org/fhir/R4/endpoint.html
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from isocenter.errors import NotFound
from isocenter.fhir import demands as asked
from isocenter.fhir.datatypes import Element
from isocenter.fhir.demands import Demands, Given
from isocenter.fhir.here import Here
from isocenter.fhir.projection import Projection
from isocenter.fhir.registry import Found, ResourceType, SearchParameter, Wanted, Written
from isocenter.fhir.releases import R4, R5

TYPE: Final = "Endpoint"
CONNECTION_TYPES: Final = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
PAYLOAD_TYPES: Final = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"


@dataclass(frozen=True, slots=True)
class Service:
    """A web service of PS3.18."""

    id: str
    """Its logical id: also its code among connection types."""
    name: str
    media_types: tuple[str, ...]
    is_of_studies: bool
    """A study can be had there."""


SERVICES: Final = (
    Service("dicom-wado-rs", "WADO-RS (PS3.18 10.4)", ("application/dicom",), True),
    Service("dicom-qido-rs", "QIDO-RS (PS3.18 10.6)", ("application/dicom+json",), True),
    Service("dicom-wado-uri", "WADO-URI (PS3.18 9)", ("application/dicom",), True),
    Service("dicom-stow-rs", "STOW-RS (PS3.18 10.5)", ("application/dicom",), False),
)
BY_ID: Final = {each.id: each for each in SERVICES}
OF_STUDIES: Final = frozenset(each.id for each in SERVICES if each.is_of_studies)

REFERENCES: Final = [
    {"reference": f"{TYPE}/{each.id}", "type": TYPE} for each in SERVICES if each.is_of_studies
]
"""To where a study is had."""


def resource(here: Here, service: Service) -> Element:
    """A service as whoever asks reaches it."""
    kind = {"system": CONNECTION_TYPES, "code": service.id}
    payload = {
        "coding": [{"system": PAYLOAD_TYPES, "code": "any", "display": "Any"}],
        "text": "DICOM",
    }
    types = list(service.media_types)
    if here.release is R4:
        of_release: Element = {
            "connectionType": kind,
            "payloadType": [payload],
            "payloadMimeType": types,
        }
    else:
        of_release = {
            "connectionType": [{"coding": [kind]}],
            "payload": [{"type": [payload], "mimeType": types}],
        }
    return {
        "resourceType": TYPE,
        "id": service.id,
        "status": "active",
        "name": service.name,
        **of_release,
        "address": here.wado if service.id == "dicom-wado-uri" else here.dicom_web,
    }


async def find(here: Here, demands: Demands, wanted: Wanted) -> Found:
    """All that match: there are few."""
    found = _matching(demands)
    start = wanted.place.after[0] if wanted.place.after else 0
    if not 0 <= start <= len(found):
        return Found(total=len(found))
    end = start + wanted.count
    return Found(found[start:end], (end,) if end < len(found) else None, len(found))


async def count(here: Here, demands: Demands) -> int:
    """How many match."""
    return len(_matching(demands))


def _matching(demands: Demands) -> list[Service]:
    return [each for each in SERVICES if demands.names is None or each.id in demands.names]


async def one(here: Here, id: str) -> Service:
    """The service with a logical id. Raises: NotFound."""
    if id not in BY_ID:
        raise NotFound("no such endpoint")
    return BY_ID[id]


async def write(
    here: Here, entities: Sequence[Service], projection: Projection
) -> AsyncIterator[Written]:
    """Services as JSON."""
    for each in entities:
        yield Written(orjson.dumps(projection.of(resource(here, each))), each.id)


def _ids(demands: Demands, given: Given) -> None:
    demands.named(asked.plain(each) for each in given.values)


def _connection_types(demands: Demands, given: Given) -> None:
    found = (asked.code_of(each, CONNECTION_TYPES) for each in given.values)
    demands.named(each for each in found if each is not None)


def _statuses(demands: Demands, given: Given) -> None:
    if "active" not in (asked.token(each)[1] for each in given.values):
        demands.named(())


RESOURCE: Final = ResourceType(
    name=TYPE,
    source="the web services of PS3.18",
    find=find,
    count=count,
    one=one,
    write=write,
    is_short=lambda _: True,
    position=(int,),
    parameters=(
        SearchParameter(
            name="_id", type="token", definition="Resource-id", demand=_ids,
            meaning="the logical id",
        ),
        SearchParameter(
            name="connection-type", type="token", definition="Endpoint-connection-type",
            demand=_connection_types, meaning="the kind of service, as in dicom-wado-rs",
        ),
        SearchParameter(
            name="status", type="token", definition="Endpoint-status", demand=_statuses,
            meaning="all are active",
        ),
    ),
    mandatory={
        R4: frozenset({"status", "connectionType", "payloadType", "address"}),
        R5: frozenset({"status", "connectionType", "address"}),
    },
)  # fmt: skip
