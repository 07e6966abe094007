"""Patient $everything."""

import pytest

from fhir_checks import entries, link
from made_instances import Kept, image
from unit.fhir.conftest import Get
from unit.fhir.test_diagnostic_report import report


@pytest.fixture
async def patient(kept: Kept, get: Get) -> str:
    """Somebody with five studies, and three reports in one of them."""
    for number in range(5):
        await kept.store(
            image(
                f"1.3.{number}.1",
                StudyInstanceUID=f"1.3.{number}",
                SeriesInstanceUID=f"1.3.{number}.0",
                StudyDate=f"2024010{number + 1}",
            )
        )
    for number in range(3):
        study = {"StudyInstanceUID": "1.3.0", "StudyDate": "20240101"}
        await kept.store(report(f"1.2.5.{number}", **study))
    await kept.store(
        image("1.4", PatientID="P2", StudyInstanceUID="1.4.1", SeriesInstanceUID="1.4.2")
    )
    return str(entries(await get("Patient?identifier=P1"))[0]["id"])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 50])
async def test_all_pages_together_are_all_there_is_of_a_patient(
    patient: str, get: Get, count: int
) -> None:
    url: str | None = f"Patient/{patient}/$everything?_count={count}"
    found: list[tuple[str, str]] = []
    while url is not None:
        bundle = await get(url)
        found += [(each["resourceType"], each["id"]) for each in entries(bundle)]
        url = link(bundle, "next")
    kinds = [kind for kind, _ in found]
    assert len(set(found)) == len(found)
    assert kinds[0] == "Patient"
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "Patient": 1,
        "Endpoint": 3,
        "ImagingStudy": 5,
        "DiagnosticReport": 3,
    }


async def test_kinds_and_care_dates_narrow_it(patient: str, get: Get) -> None:
    studies = await get(
        f"Patient/{patient}/$everything?_type=ImagingStudy&start=2024-01-02&end=2024-01-03"
    )
    reports = await get(f"Patient/{patient}/$everything?_type=DiagnosticReport")

    assert [each["started"] for each in entries(studies)] == ["2024-01-03", "2024-01-02"]
    assert {each["resourceType"] for each in entries(reports)} == {"DiagnosticReport"}


async def test_what_is_asked_wrongly_is_refused(patient: str, get: Get) -> None:
    await get("Patient/nobody/$everything", 404)
    await get(f"Patient/{patient}/$everything?start=yesterday", 400)
    await get(f"Patient/{patient}/$everything?_place=abc", 400)
    await get(
        f"Patient/{patient}/$everything?_since=2024", 400, headers={"prefer": "handling=strict"}
    )
    lenient = await get(f"Patient/{patient}/$everything?_since=2024")
    assert "_since" in entries(lenient, "outcome")[0]["issue"][0]["diagnostics"]
