"""DICOM values as the data types of FHIR.

Source: https://hl7.org/fhir/R4/datatypes.html; PS3.5 6.2.1 (names); PS3.16 Table 8-1 (systems).
"""

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from isocenter.fhir.demands import UID_SYSTEM, URN_OID, system_of
from isocenter.fhir.releases import R4, Release
from isocenter.storage.names import GROUPS

Attributes = Mapping[str, Any]
"""A data set in the DICOM JSON model."""
Element = dict[str, Any]

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
SNOMED: Final = "http://snomed.info/sct"
IDENTIFIER_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
DATA_ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
LARGEST_NUMBER: Final = 2**31 - 1

# How ISO 21090 calls the component groups of a name.
_REPRESENTATIONS: Final = dict(zip(GROUPS, ("ABC", "IDE", "SYL"), strict=True))

SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "DCM": DCM,
        "SCT": SNOMED,
        "SNM3": "http://snomed.info/srt",
        "SRT": "http://snomed.info/srt",
        "99SDM": "http://snomed.info/srt",
        "LN": "http://loinc.org",
        "UCUM": "http://unitsofmeasure.org",
        "RADLEX": "http://www.radlex.org",
        "I9C": "http://hl7.org/fhir/sid/icd-9-cm",
        "I10": "http://hl7.org/fhir/sid/icd-10",
        "I10P": "http://www.cms.gov/Medicare/Coding/ICD10",
        "C4": "http://www.ama-assn.org/go/cpt",
        "NCIt": "http://ncicb.nci.nih.gov/xml/owl/EVS/Thesaurus.owl",
    }
)
"""The URIs of coding schemes, by their designators."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
_SPACES: Final = re.compile(r"\s+")


def first(attributes: Attributes, tag8: str) -> Any:
    """The first value of an attribute; None, if there is none."""
    held = (attributes.get(tag8) or {}).get("Value")
    return held[0] if held else None


def text(attributes: Attributes, tag8: str) -> str:
    """The first value of an attribute as text that FHIR takes."""
    return cleaned(first(attributes, tag8))


def cleaned(value: object) -> str:
    """A value as text without control characters; empty, if there is nothing in it."""
    return "" if value is None else _CONTROLS.sub(" ", str(value)).strip()


def code(value: object) -> str:
    """A value as a FHIR code: no spaces but single ones between."""
    return _SPACES.sub(" ", cleaned(value))


def number(value: object) -> int | None:
    """A value as an unsignedInt; None, if it is none."""
    try:
        found = int(str(value))
    except ValueError:
        return None
    return found if 0 <= found <= LARGEST_NUMBER else None


def filled(**elements: Any) -> Element:
    """The elements that say something: FHIR has no empty ones."""
    return {name: value for name, value in elements.items() if value not in (None, "", [], {})}


# --- codes


def coding(item: Attributes) -> Element:
    """An item of a code sequence."""
    value = next(filter(None, (code(first(item, tag)) for tag in _CODE_VALUES)), "")
    designator = text(item, "00080102")
    return filled(
        system=SYSTEMS.get(designator),
        version=text(item, "00080103"),
        code=value,
        display=text(item, "00080104"),
    )


_CODE_VALUES: Final = ("00080100", "00080119", "00080120")


def concepts(attributes: Attributes, tag8: str) -> list[Element]:
    """The items of a code sequence as CodeableConcepts."""
    items = (attributes.get(tag8) or {}).get("Value") or []
    found = (coding(item) for item in items if isinstance(item, dict))
    return [{"coding": [each]} for each in found if each]


def concept(coded: Element, release: Release) -> Element:
    """One code where R4 has a Coding and R5 a CodeableConcept."""
    if release is R4 or not coded:
        return coded
    if "code" not in coded and "display" in coded:
        return {"text": coded["display"]}
    return coded if "extension" in coded else {"coding": [coded]}


def modality(value: object) -> Element:
    """A Modality (PS3.16 CID 29)."""
    return filled(system=DCM, code=named) if (named := code(value)) else {}


def unknown() -> Element:
    """An element that has to be there and is not known."""
    return {"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]}


# --- names


def human_names(attributes: Attributes, tag8: str) -> list[Element]:
    """The component groups of a name, each a HumanName."""
    value = first(attributes, tag8)
    if not isinstance(value, dict):
        return []
    groups = [each for each in GROUPS if cleaned(value.get(each)).strip("^ ")]
    is_plain = groups == [GROUPS[0]]
    return [
        _human_name(cleaned(value[each]), None if is_plain else _REPRESENTATIONS[each])
        for each in groups
    ]


def _human_name(written: str, representation: str | None) -> Element:
    parts = [each.strip() for each in (*written.split("^"), "", "", "", "")]
    family, given, middle, prefix, suffix = parts[:5]
    in_order = " ".join(filter(None, (prefix, given, middle, family, suffix)))
    extension = [{"url": REPRESENTATION, "valueCode": representation}] if representation else []
    return filled(
        extension=extension,
        text=in_order,
        family=family,
        given=[each for each in (given, middle) if each],
        prefix=[prefix] if prefix else [],
        suffix=[suffix] if suffix else [],
    )


def people(attributes: Attributes, tag8: str) -> Iterator[Element]:
    """References to people that are known by name alone."""
    for value in (attributes.get(tag8) or {}).get("Value") or []:
        if names := human_names({tag8: {"Value": [value]}}, tag8):
            yield {"display": names[0]["text"]}


# --- identifiers


def uid_identifier(uid: str) -> Element:
    """A UID as an identifier, as FHIR has those of DICOM."""
    return {"system": UID_SYSTEM, "value": f"{URN_OID}{uid}"}


def identifier(kind: str, value: str, issuer: str) -> Element:
    """An identifier that ``issuer`` gave out; ``kind``: its type (v2 table 0203)."""
    return filled(
        type={"coding": [{"system": IDENTIFIER_TYPES, "code": kind}]},
        system=system_of(issuer),
        value=value,
        assigner=filled(display=issuer),
    )
