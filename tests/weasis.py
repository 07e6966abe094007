"""What Weasis reads of a manifest, typed from its schema (manifest.xsd, 2.5) and documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree

NAMESPACE: Final = "{http://www.weasis.org/xsd/2.5}"

TEXT, LO, SH, CS = r".*", r".{0,64}", r".{0,16}", r"[A-Z0-9 _]{0,16}"
UI, IS, DA = r"[0-9.]{0,64}", r"[+-]?[0-9]{1,10}", r"[1-9][0-9]{3,}"
TM = r"(([0-1][0-9])|(2[0-3]))(([0-5][0-9])(([0-5][0-9])(.([0-9]{1,6}))?)?)?"
BOOLEAN = "true|false|1|0"


@dataclass(frozen=True)
class Element:
    """An element's attributes by the type of each, and what may stand in it."""

    required: dict[str, str]
    optional: dict[str, str] = field(default_factory=dict)
    within: str = ""
    at_least: int = 0


ELEMENTS: Final = {
    "manifest": Element({}, {"uid": TEXT}, "arcQuery"),
    "arcQuery": Element(
        {"arcId": TEXT, "baseUrl": TEXT},
        {"webLogin": TEXT, "requireOnlySOPInstanceUID": BOOLEAN, "additionnalParameters": TEXT},
        "Patient",
    ),
    "Patient": Element(
        {"PatientID": LO, "PatientName": LO},
        {"IssuerOfPatientID": LO, "PatientBirthDate": DA, "PatientBirthTime": TM,
         "PatientSex": "[MFO]"},
        "Study", 1,
    ),
    "Study": Element(
        {"StudyInstanceUID": UI},
        {"StudyDescription": LO, "StudyDate": DA, "StudyTime": TM, "AccessionNumber": SH,
         "StudyID": SH, "ReferringPhysicianName": LO},
        "Series", 1,
    ),
    "Series": Element(
        {"SeriesInstanceUID": UI},
        {"SeriesDescription": LO, "SeriesNumber": IS, "Modality": CS, "WadoTransferSyntaxUID": TEXT,
         "WadoCompressionRate": IS, "DirectDownloadThumbnail": TEXT},
        "Instance", 1,
    ),
    "Instance": Element(
        {"SOPInstanceUID": UI}, {"InstanceNumber": IS, "DirectDownloadFile": TEXT}
    ),
}  # fmt: skip


def read(content: bytes) -> ElementTree.Element:
    """Return the root of a manifest that is as the schema has it."""
    root = ElementTree.fromstring(content)
    assert root.tag == f"{NAMESPACE}manifest"
    _check(root)
    return root


def _check(found: ElementTree.Element) -> None:
    known = ELEMENTS[found.tag.removeprefix(NAMESPACE)]
    assert set(known.required) <= set(found.attrib)
    types = {**known.required, **known.optional}
    for name, value in found.attrib.items():
        assert re.fullmatch(types[name], value, re.DOTALL), (name, value)
    assert {each.tag for each in found} <= {NAMESPACE + known.within}
    assert len(found) >= known.at_least
    for each in found:
        _check(each)


def every(root: ElementTree.Element, name: str) -> list[dict[str, str]]:
    """The attributes of each element of that name."""
    return [dict(each.attrib) for each in root.iter(NAMESPACE + name)]


def downloads(root: ElementTree.Element) -> list[str]:
    """The URLs from which Weasis fetches the instances, put together as it does."""
    return [
        f"{query.get('baseUrl')}?requestType=WADO"
        f"&studyUID={study.get('StudyInstanceUID')}"
        f"&seriesUID={series.get('SeriesInstanceUID')}"
        f"&objectUID={instance.get('SOPInstanceUID')}"
        "&contentType=application%2Fdicom"
        f"&transferSyntax={series.get('WadoTransferSyntaxUID')}"
        f"{query.get('additionnalParameters')}"
        for query in root.iter(f"{NAMESPACE}arcQuery")
        for study in query.iter(f"{NAMESPACE}Study")
        for series in study
        for instance in series
    ]
