"""FHIR through the real server, asked by curl and by fhirclient, SMART's own client."""

import json
import subprocess
from typing import Any

import httpx
import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.endpoint import Endpoint
from fhirclient.models.imagingstudy import ImagingStudy
from fhirclient.models.patient import Patient

import wire
from fhir_checks import check, entries, link
from instances import Instance, make_study
from peers import Isocenter, find_program
from questions import store_all


@pytest.fixture(scope="module")
def studies(shared_server: Isocenter) -> list[list[Instance]]:
    """Three studies of two patients, stored by DIMSE."""
    jane = {"PatientID": "FHIR01", "PatientName": "Fhirdoe^Jane", "PatientBirthDate": "19700517"}
    made = [
        make_study(3, series=2, StudyDate="20200101", AccessionNumber="F1", **jane),
        make_study(1, StudyDate="20210101", AccessionNumber="F2", Modality="MR", **jane),
        make_study(1, PatientID="FHIR02", PatientName="Fhirroe^Max", AccessionNumber="F3"),
    ]
    for study in made:
        assert set(store_all(shared_server, study)) == {wire.SUCCESS}
    return made


@pytest.fixture
def smart(shared_server: Isocenter) -> Any:
    made = FHIRClient(settings={"app_id": "tests", "api_base": f"{shared_server.url}/fhir/R4/"})
    made.prepare()
    return made.server


# --- fhirclient


def test_smarts_client_finds_the_studies_of_a_patient(
    smart: Any, studies: list[list[Instance]]
) -> None:
    (patient,) = Patient.where({"identifier": "FHIR01"}).perform_resources_iter(smart)

    found = list(
        ImagingStudy.where({"patient": f"Patient/{patient.id}"}).perform_resources_iter(smart)
    )

    assert patient.birthDate.isostring == "1970-05-17"
    uids = {one.study for study in studies[:2] for one in study}
    assert {each.identifier[0].value.removeprefix("urn:oid:") for each in found} == uids
    assert [each.numberOfInstances for each in found] == [1, len(studies[0])]
    told = {one.uid for study in found for series in study.series for one in series.instance}
    assert told == {one.sop_instance for study in studies[:2] for one in study}


def test_smarts_client_reads_and_resolves_references(
    smart: Any, studies: list[list[Instance]]
) -> None:
    (study,) = ImagingStudy.where({"identifier": "F3"}).perform_resources_iter(smart)

    patient = study.subject.resolved(Patient) or Patient.read(
        study.subject.reference.split("/")[1], smart
    )
    endpoint = Endpoint.read("dicom-wado-rs", smart)
    answer = httpx.get(
        f"{endpoint.address}/studies/{studies[2][0].study}/series",
        headers={"accept": "application/dicom+json"},
    )

    assert patient.name[0].family == "Fhirroe"
    assert answer.status_code == 200
    reports = DiagnosticReport.where({"patient": f"Patient/{patient.id}"})
    assert list(reports.perform_resources_iter(smart)) == []


def test_smarts_client_follows_pages(smart: Any, studies: list[list[Instance]]) -> None:
    search = ImagingStudy.where({"patient.family": "Fhirdoe", "_count": "1"})

    found = list(search.perform_resources_iter(smart))

    assert len({each.id for each in found}) == 2


def test_smarts_client_understands_what_the_server_says_of_itself(smart: Any) -> None:
    statement = smart.capabilityStatement

    assert statement.fhirVersion == "4.0.1"
    assert {each.type for each in statement.rest[0].resource} >= {"ImagingStudy", "Patient"}


# --- curl, and the server as it runs


@pytest.mark.parametrize("release", ["R4", "R5"])
def test_all_of_a_patient_comes_to_curl(
    shared_server: Isocenter, studies: list[list[Instance]], release: str
) -> None:
    curl = find_program("curl")
    base = f"{shared_server.url}/fhir/{release}"

    def ask(*arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [str(curl), "-sS", "--fail", "--compressed", *arguments],
            capture_output=True,
            check=True,
            timeout=30,
        )
        return check(json.loads(done.stdout), release)

    search = ask(f"{base}/Patient/_search", "-d", "family=fhirdoe", "-d", "birthdate=1970")
    (patient,) = entries(search)
    url: str | None = f"{base}/Patient/{patient['id']}/$everything?_count=1"
    kinds = []
    while url is not None:
        page = ask(url)
        kinds += [each["resourceType"] for each in entries(page)]
        url = link(page, "next")

    assert sorted(kinds) == ["Endpoint"] * 3 + ["ImagingStudy"] * 2 + ["Patient"]


def test_links_lead_to_where_the_asker_came_from(
    shared_server: Isocenter, studies: list[list[Instance]]
) -> None:
    asked = f"http://localhost:{shared_server.http_port}/fhir/R5"

    found = httpx.get(f"{asked}/ImagingStudy?_count=1&_include=ImagingStudy:endpoint").json()

    assert link(found, "self") == f"{asked}/ImagingStudy?_count=1&_include=ImagingStudy%3Aendpoint"
    assert found["entry"][0]["fullUrl"].startswith(f"{asked}/ImagingStudy/")
    addresses = {each["address"] for each in entries(found, "include")}
    assert f"http://localhost:{shared_server.http_port}/dicom-web" in addresses


def test_errors_are_outcomes(shared_server: Isocenter) -> None:
    for path, status in (("R4/Patient/nobody", 404), ("R4/Observation", 404), ("R3/Patient", 404)):
        answer = httpx.get(f"{shared_server.url}/fhir/{path}")
        assert answer.status_code == status
        assert check(answer.json(), "R4")["resourceType"] == "OperationOutcome"
