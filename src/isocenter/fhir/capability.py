"""What is served, told to machines: the CapabilityStatement, and what SMART asks for.

Both are drawn from the registry that searches run on.
"""

from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from isocenter import __version__
from isocenter.fhir import asking, everything, including, negotiation, patient
from isocenter.fhir.here import here
from isocenter.fhir.interactions import whole
from isocenter.fhir.registry import DEFINITIONS, ResourceType, SearchParameter
from isocenter.fhir.releases import Release

DATE: Final = "2026-11-22"
"""When what the statement says was last changed."""

Element = dict[str, Any]


async def metadata(
    request: Request, release: Release, resources: tuple[ResourceType, ...]
) -> Response:
    """GET metadata. Raises: HTTPException 406."""
    pairs = await asking.parameters(request)
    media_type = negotiation.chosen(request, asking.format_of(pairs), release)
    base = here(request, release).base
    return whole(request, orjson.dumps(statement(base, release, resources)), media_type)


def statement(base: str, release: Release, resources: tuple[ResourceType, ...]) -> Element:
    """What can be asked of the service at ``base``."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": DATE,
        "kind": "instance",
        "software": {"name": "Isocenter", "version": __version__},
        "implementation": {"description": "An archive of DICOM images", "url": base},
        "fhirVersion": release.version,
        "format": list(negotiation.FORMATS),
        "rest": [
            {
                "mode": "server",
                "documentation": "Read only: what is stored by DICOM is found by FHIR.",
                "resource": [_resource(each, release) for each in resources],
            }
        ],
    }


def _resource(kind: ResourceType, release: Release) -> Element:
    included = including.of(including.INCLUDES, kind, release)
    reverse = including.of(including.REVERSE, kind, release)
    operations = [{"name": everything.NAME, "definition": everything.DEFINITION}]
    return {
        "type": kind.name,
        "documentation": kind.source,
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        **({"searchInclude": included} if included else {}),
        **({"searchRevInclude": reverse} if reverse else {}),
        "searchParam": [_parameter(each) for each in kind.known(release).values()],
        **({"operation": operations} if kind is patient.RESOURCE else {}),
    }


def _parameter(parameter: SearchParameter) -> Element:
    return {
        "name": parameter.name,
        "definition": DEFINITIONS + parameter.definition,
        "type": parameter.type,
        "documentation": parameter.meaning,
    }


async def smart(_: Request) -> Response:
    """GET .well-known/smart-configuration: there are no accounts, so there is nothing to launch.

    Source: https://hl7.org/fhir/smart-app-launch/conformance.html
    """
    content: dict[str, list[str]] = {
        "capabilities": [],
        "grant_types_supported": [],
        "scopes_supported": [],
        "response_types_supported": [],
        "code_challenge_methods_supported": [],
    }
    return Response(orjson.dumps(content), media_type="application/json")
