"""DiagnosticReport: the structured reports."""

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fhir_checks import entries, link
from made_instances import Kept, image
from unit.fhir.conftest import Get

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.33"
DOSE = "1.2.840.10008.5.1.4.1.1.88.67"


def report(instance: str = "1.2.5.1", sop_class: str = BASIC_TEXT, **more: Any) -> Dataset:
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator = "18748-4", "LN"
    title.CodeMeaning = "Diagnostic imaging report"
    verifier = Dataset()
    verifier.VerifyingObserverName, verifier.VerifyingOrganization = "Read^Er", "Clinic"
    verifier.VerificationDateTime = "20240301"
    given = {
        "SeriesInstanceUID": "1.2.5",
        "SOPClassUID": sop_class,
        "Modality": "SR",
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "VERIFIED",
        "ConceptNameCodeSequence": Sequence([title]),
        "VerifyingObserverSequence": Sequence([verifier]),
        "ContentDate": "20240301",
        "ContentTime": "081500",
        "TimezoneOffsetFromUTC": "-0500",
        **more,
    }
    dataset = image(instance, **given)
    del dataset.PixelData, dataset.Rows, dataset.Columns
    return dataset


async def test_a_report_is_told_as_its_data_set_has_it(kept: Kept, get: Get, release: str) -> None:
    await kept.store(report())

    (found,) = entries(await get("DiagnosticReport"))

    assert found["id"] == "1.2.5.1"
    assert found["identifier"] == [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.5.1"}]
    assert found["status"] == "final"
    assert found["code"]["coding"] == [
        {
            "system": "http://loinc.org",
            "code": "18748-4",
            "display": "Diagnostic imaging report",
        }
    ]
    assert found["issued"] == "2024-03-01T08:15:00-05:00"
    assert found["effectiveDateTime"] == "2024-02-29"
    assert found["resultsInterpreter"] == [{"display": "Er Read"}]
    assert found["presentedForm"][0]["url"] == (
        "http://archive/dicom-web/studies/1.2/series/1.2.5/instances/1.2.5.1"
    )
    (study,) = found["imagingStudy" if release == "R4" else "study"]
    read = await get(study["reference"])
    assert read["subject"]["reference"] == found["subject"]["reference"]
    assert await get("DiagnosticReport/1.2.5.1") == found


@pytest.mark.parametrize(
    ("completion", "verification", "preliminary", "status"),
    [
        ("COMPLETE", "VERIFIED", None, "final"),
        ("COMPLETE", "VERIFIED", "FINAL", "final"),
        ("COMPLETE", "VERIFIED", "PRELIMINARY", "preliminary"),
        ("COMPLETE", "UNVERIFIED", None, "preliminary"),
        ("PARTIAL", "VERIFIED", None, "partial"),
        (None, "VERIFIED", None, "unknown"),
    ],
)
async def test_only_what_somebody_verified_is_final(
    kept: Kept,
    get: Get,
    completion: str | None,
    verification: str,
    preliminary: str | None,
    status: str,
) -> None:
    flags = {
        "CompletionFlag": completion,
        "VerificationFlag": verification,
        "PreliminaryFlag": preliminary,
    }
    await kept.store(report(**flags))

    (found,) = entries(await get("DiagnosticReport"))

    assert found["status"] == status


async def test_images_and_reports_of_dose_are_no_diagnostic_reports(kept: Kept, get: Get) -> None:
    await kept.store(image("1.2.1"))
    await kept.store(report("1.2.2", DOSE))

    assert entries(await get("DiagnosticReport")) == []
    for id in ("1.2.1", "1.2.2"):
        await get(f"DiagnosticReport/{id}", 404)


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("_id=1.2.5.1", True),
        ("_id=1.2.5", False),
        ("identifier=urn:oid:1.2.5.1", True),
        ("patient.identifier=P1", True),
        ("patient.identifier=P2", False),
        ("subject.name=doe", True),
        ("date=2024-02", True),
        ("date=gt2024-02-29", False),
    ],
)
async def test_each_parameter_finds_what_it_says(
    kept: Kept, get: Get, query: str, is_found: bool
) -> None:
    await kept.store(report())

    assert bool(entries(await get(f"DiagnosticReport?{query}"))) is is_found


async def test_in_r5_reports_are_found_by_their_study(kept: Kept, get: Get, release: str) -> None:
    await kept.store(report())
    (study,) = entries(await get("ImagingStudy"))

    bundle = await get(
        f"DiagnosticReport?study=ImagingStudy/{study['id']}&_include=DiagnosticReport:study"
    )

    if release == "R5":
        assert entries(bundle, "include") == [study]
        assert entries(await get("DiagnosticReport?study=ImagingStudy/other")) == []
    else:  # R4 has no such parameter
        assert entries(bundle, "outcome")


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
async def test_all_pages_together_are_all_reports_of_all_classes(
    kept: Kept, get: Get, count: int
) -> None:
    for number in range(7):
        sop_class = BASIC_TEXT if number % 2 else COMPREHENSIVE
        series = f"1.2.6.{number // 2}"
        await kept.store(report(f"1.2.5.{number}", sop_class, SeriesInstanceUID=series))

    for query in (
        f"DiagnosticReport?_count={count}",
        f"DiagnosticReport?patient.name=doe&_count={count}",
    ):
        url: str | None = query
        found: list[str] = []
        while url is not None:
            bundle = await get(url)
            assert len(entries(bundle)) <= count
            assert entries(bundle), "an empty page"
            found += [each["id"] for each in entries(bundle)]
            url = link(bundle, "next")
        assert sorted(found) == [f"1.2.5.{number}" for number in range(7)]
    assert (await get("DiagnosticReport?_total=accurate&_count=1"))["total"] == 7
