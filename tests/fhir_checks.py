"""Whether what FHIR gives is FHIR, said by programs that are not ours.

R5 is checked by ``fhir.resources``. It has no R4 (4.0.1) any more, but R4B (4.3.0), in which the
resources that we give are the same; and ``fhirclient``, another implementation, has R4 itself.
"""

import importlib
from typing import Any

import fhirclient.models.fhirelementfactory as r4

Resource = dict[str, Any]


def check(resource: Resource, release: str) -> Resource:
    """Give ``resource`` back. Raises, where it is not as the release has it."""
    kind = resource["resourceType"]
    package = {"R4": "fhir.resources.R4B", "R5": "fhir.resources"}[release]
    model = getattr(importlib.import_module(f"{package}.{kind.lower()}"), kind)
    model.model_validate(resource)
    if release == "R4":
        r4.FHIRElementFactory.instantiate(kind, resource)
    _has_nothing_empty(resource)
    return resource


def _has_nothing_empty(value: object) -> None:
    """FHIR's JSON has no empty values (https://hl7.org/fhir/R4/json.html)."""
    assert value not in ("", [], {}, None)
    if isinstance(value, dict):
        for each in value.values():
            _has_nothing_empty(each)
    elif isinstance(value, list):
        for each in value:
            _has_nothing_empty(each)


def entries(bundle: Resource, mode: str = "match") -> list[Resource]:
    """The resources of a searchset that are there for a reason."""
    found = [each for each in bundle.get("entry", []) if each["search"]["mode"] == mode]
    return [each["resource"] for each in found]


def link(bundle: Resource, relation: str) -> str | None:
    """Where a link of a bundle leads."""
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)
