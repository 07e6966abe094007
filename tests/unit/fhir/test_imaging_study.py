"""ImagingStudy, made of data sets that pydicom wrote."""

from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fhir_checks import check, entries, link
from isocenter.config import FhirConfig
from made_instances import MR, Kept, image
from unit.fhir.conftest import Get

UID = "1.2.840.99.1"


def code(value: str, scheme: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def chest(**more: Any) -> Dataset:
    given = {
        "StudyInstanceUID": UID,
        "StudyTime": "101112.5",
        "TimezoneOffsetFromUTC": "+0100",
        "AccessionNumber": "A-77",
        "StudyDescription": "Thorax",
        "ReferringPhysicianName": "House^Gregory^^Dr",
        "NameOfPhysiciansReadingStudy": "Reader^Rita",
        "ProcedureCodeSequence": code("24627-2", "LN", "CT Chest"),
        "SeriesNumber": "3",
        "SeriesDescription": "Lung",
        "BodyPartExamined": "CHEST",
        "Laterality": "L",
        "SeriesDate": "20240229",
        "SeriesTime": "101500",
        "OperatorsName": "Oper^Ator",
        "InstanceNumber": "7",
        **more,
    }
    return image("1.2.840.99.1.1.7", SeriesInstanceUID="1.2.840.99.1.1", **given)


async def test_a_study_is_told_as_its_data_sets_have_it(kept: Kept, get: Get, release: str) -> None:
    await kept.store(chest())

    (study,) = entries(await get("ImagingStudy"))

    assert {"use": "official", "system": "urn:dicom:uid", "value": f"urn:oid:{UID}"} in study[
        "identifier"
    ]
    assert study["identifier"][1]["value"] == "A-77"
    assert study["identifier"][1]["type"]["coding"][0]["code"] == "ACSN"
    assert study["status"] == "available"
    assert study["started"] == "2024-02-29T10:11:12.500000+01:00"
    assert study["description"] == "Thorax"
    assert study["referrer"] == {"display": "Dr Gregory House"}
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 1)
    assert study["subject"]["identifier"]["value"] == "P1"
    (series,) = study["series"]
    assert (series["uid"], series["number"]) == ("1.2.840.99.1.1", 3)
    assert (series["description"], series["numberOfInstances"]) == ("Lung", 1)
    assert series["started"] == "2024-02-29T10:15:00+01:00"
    assert series["performer"][0]["actor"] == {"display": "Ator Oper"}
    assert series["instance"] == [
        {
            "uid": "1.2.840.99.1.1.7",
            "sopClass": {
                "system": "urn:ietf:rfc:3986",
                "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2",
            },
            "number": 7,
        }
    ]
    procedure = {
        "coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]
    }
    ct = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}
    left = {"system": "http://snomed.info/sct", "code": "7771000", "display": "Left"}
    if release == "R4":
        assert study["modality"] == [ct]
        assert series["modality"] == ct
        assert series["bodySite"] == {"display": "CHEST"}
        assert series["laterality"] == left
        assert study["procedureCode"] == [procedure]
        assert study["interpreter"] == [{"display": "Rita Reader"}]
    else:
        assert study["modality"] == [{"coding": [ct]}]
        assert series["modality"] == {"coding": [ct]}
        assert series["bodySite"] == {"concept": {"text": "CHEST"}}
        assert series["laterality"] == {"coding": [left]}
        assert study["procedure"] == [{"concept": procedure}]


async def test_a_coded_body_site_is_told_by_its_code(kept: Kept, get: Get, release: str) -> None:
    await kept.store(chest(AnatomicRegionSequence=code("51185008", "SCT", "Chest")))

    (study,) = entries(await get("ImagingStudy"))

    coded = {"system": "http://snomed.info/sct", "code": "51185008", "display": "Chest"}
    site = study["series"][0]["bodySite"]
    assert site == (coded if release == "R4" else {"concept": {"coding": [coded]}})


async def test_without_a_timezone_only_the_day_is_told(kept: Kept, get: Get) -> None:
    await kept.store(chest(TimezoneOffsetFromUTC=None))

    (study,) = entries(await get("ImagingStudy"))

    assert study["started"] == "2024-02-29"


async def test_a_data_set_that_says_little_is_told(kept: Kept, get: Get) -> None:
    bare = image(
        "1.2.9",
        PatientID=None,
        PatientName=None,
        StudyDate=None,
        Modality=None,
    )
    await kept.store(bare)

    (study,) = entries(await get("ImagingStudy"))

    assert "started" not in study
    assert "identifier" not in study["subject"]
    assert study["series"][0]["numberOfInstances"] == 1


class TestInBerlin:
    @pytest.fixture
    def settings(self) -> FhirConfig:
        return FhirConfig(timezone="Europe/Berlin")

    async def test_times_are_of_the_timezone_of_the_settings(self, kept: Kept, get: Get) -> None:
        await kept.store(chest(TimezoneOffsetFromUTC=None))
        await kept.store(
            image("1.9", StudyInstanceUID="1.8", StudyDate="20240701", StudyTime="120000")
        )

        summer, winter = entries(await get("ImagingStudy"))

        assert summer["started"] == "2024-07-01T12:00:00+02:00"
        assert winter["started"] == "2024-02-29T10:11:12.500000+01:00"

    @pytest.mark.parametrize(
        ("started", "is_found"),
        [
            ("ge2024-02-29T09:11:00Z", True),
            ("ge2024-02-29T09:12:00Z", False),
            ("gt2024-02-29T10:11:11%2B01:00", True),
            ("gt2024-02-29T10:11:12+01:00", False),
            ("lt2024-02-29T09:11:12Z", False),
            ("lt2024-02-29T09:11:13Z", True),
            ("le2024-02-29T09:11:12Z", True),
            ("2024-02-29T09:11:12Z", True),
            ("2024-02-29T09:11Z", True),
            ("2024-02-29T09:10Z", False),
        ],
    )
    async def test_times_are_searched(
        self, kept: Kept, get: Get, started: str, is_found: bool
    ) -> None:
        await kept.store(chest(TimezoneOffsetFromUTC=None))

        found = entries(await get(f"ImagingStudy?started={started}"))

        assert bool(found) is is_found


async def test_a_study_is_read_by_its_logical_id(kept: Kept, get: Get) -> None:
    await kept.store(chest())
    (found,) = entries(await get("ImagingStudy"))

    study = await get(f"ImagingStudy/{found['id']}")

    assert study == found


async def test_two_patients_with_one_study_uid_are_two_studies(kept: Kept, get: Get) -> None:
    await kept.store(chest(PatientID="P1"))
    other = chest(PatientID="P2", PatientName="Roe^Richard")
    other.SOPInstanceUID, other.SeriesInstanceUID = "1.2.99", "1.2.98"
    await kept.store(other)

    found = entries(await get(f"ImagingStudy?identifier=urn:oid:{UID}"))

    assert len({each["id"] for each in found}) == 2
    for each in found:
        read = await get(f"ImagingStudy/{each['id']}")
        assert read["subject"] == each["subject"]
        assert read["numberOfInstances"] == 1
    of_one = entries(await get("ImagingStudy?patient.identifier=P2"))
    assert [each["series"][0]["uid"] for each in of_one] == ["1.2.98"]


async def test_series_come_by_number_with_instances_by_number(kept: Kept, get: Get) -> None:
    for series in (2, 1):
        for number in (3, 1, 2):
            await kept.store(
                image(
                    f"1.2.{series}.{number}",
                    SeriesInstanceUID=f"1.2.3.{series}",
                    SeriesNumber=str(series),
                    InstanceNumber=str(number),
                )
            )

    (study,) = entries(await get("ImagingStudy"))

    assert [each["number"] for each in study["series"]] == [1, 2]
    for each in study["series"]:
        assert [one["number"] for one in each["instance"]] == [1, 2, 3]


@pytest.mark.parametrize("count", [499, 500, 501, 1001])
async def test_a_study_of_many_instances_is_whole(kept: Kept, get: Get, count: int) -> None:
    for number in range(count):
        await kept.store(image(f"1.2.3.{number}", InstanceNumber=str(number), PixelData=b""))
    await kept.store(image("1.3", StudyInstanceUID="1.3", SeriesInstanceUID="1.3.1"))

    found = {each["numberOfInstances"]: each for each in entries(await get("ImagingStudy"))}

    numbers = [each["number"] for each in found[count]["series"][0]["instance"]]
    assert numbers == list(range(count))
    assert len(found[1]["series"][0]["instance"]) == 1
    assert await get(f"ImagingStudy/{found[count]['id']}") == found[count]


async def test_what_fhir_cannot_name_is_left_out_and_the_rest_is_told(kept: Kept, get: Get) -> None:
    await kept.store(image("1_2", SeriesInstanceUID="1.2.3"))
    await kept.store(image("1.3", SeriesInstanceUID="odd_series"))

    (study,) = entries(await get("ImagingStudy"))

    assert [each["uid"] for each in study["series"]] == ["1.2.3"]
    assert "instance" not in study["series"][0]


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("identifier=A-77", True),
        ("identifier=A-7*", False),
        ("identifier=A-78,A-77", True),
        (f"identifier=urn:oid:{UID}", True),
        (f"identifier=urn:dicom:uid|urn:oid:{UID}", True),
        ("identifier=urn:dicom:uid|urn:oid:1.2", False),
        ("identifier=http://elsewhere|A-77", False),
        ("patient.identifier=P1", True),
        ("patient.identifier=P?", False),
        ("patient:identifier=P1", True),
        ("subject:identifier=P2", False),
        ("subject:Patient.identifier=P1", True),
        ("patient.identifier=|P1", True),
        ("patient.identifier=urn:oid:1.2|P1", False),
        ("patient.name=jan", True),
        ("patient.family=jan", False),
        ("patient.family=doe", True),
        ("patient.given=jane", True),
        ("patient.given=doe", False),
        ("patient=nobody", False),
        ("patient=http://elsewhere/Patient/1", False),
        ("started=2024-02-29", True),
        ("started=2024-02", True),
        ("started=2024", True),
        ("started=2023", False),
        ("started=ge2024-02-29", True),
        ("started=gt2024-02-29", False),
        ("started=gt2024-01", True),
        ("started=lt2024-02-29", False),
        ("started=le2024-02-29", True),
        ("started=ge2024-02-01&started=lt2024-03-01", True),
        ("started=ge2024-03-01&started=lt2024-02-01", False),
        ("started=2023,2024", True),
        ("started=ge2024-02-29T23:00:00Z", True),
        ("modality=CT", True),
        ("modality=http://dicom.nema.org/resources/ontology/DCM|CT", True),
        ("modality=http://elsewhere|CT", False),
        ("modality=MR", False),
        ("modality=MR,CT", True),
        ("modality=MR&modality=CT", False),
        ("series=1.2.840.99.1.1", True),
        ("series=urn:oid:1.2.840.99.1.1", True),
        ("series=1.2", False),
        ("instance=1.2.840.99.1.1.7", True),
        ("instance=1.2", False),
        ("dicom-class=urn:oid:1.2.840.10008.5.1.4.1.1.2", True),
        ("dicom-class=urn:oid:1.2", False),
        ("endpoint=Endpoint/dicom-wado-rs", True),
        ("endpoint=Endpoint/another", False),
        ("status=available", True),
        ("status=cancelled", False),
        ("_id=nothing", False),
    ],
)
async def test_each_parameter_finds_what_it_says(
    kept: Kept, get: Get, query: str, is_found: bool
) -> None:
    await kept.store(chest())

    bundle = await get(f"ImagingStudy?{query}")

    assert bool(entries(bundle)) is is_found
    assert entries(bundle, "outcome") == []


async def test_two_demands_below_may_be_met_by_two_series(kept: Kept, get: Get) -> None:
    await kept.store(chest())
    other = chest(Modality="MR", SOPClassUID=MR)
    other.SOPInstanceUID, other.SeriesInstanceUID = "1.2.99", "1.2.98"
    await kept.store(other)

    both = "series=1.2.98&instance=1.2.840.99.1.1.7&modality=MR&modality=CT"

    assert len(entries(await get(f"ImagingStudy?{both}"))) == 1


async def test_the_patient_and_the_endpoints_come_along(kept: Kept, get: Get) -> None:
    await kept.store(chest())

    bundle = await get("ImagingStudy?_include=ImagingStudy:patient&_include=ImagingStudy:endpoint")

    (study,) = entries(bundle)
    included = {f"{each['resourceType']}/{each['id']}" for each in entries(bundle, "include")}
    assert study["subject"]["reference"] in included
    assert {each["reference"] for each in study["endpoint"]} < included


async def test_all_pages_together_are_all_studies(kept: Kept, get: Get) -> None:
    for number in range(23):
        await kept.store(
            image(
                f"1.2.{number}.1",
                StudyInstanceUID=f"1.2.{number}",
                SeriesInstanceUID=f"1.2.{number}.0",
                StudyDate=f"202401{1 + number // 3:02d}",
            )
        )

    for sort, is_ascending in (("started", True), ("-started", False)):
        url: str | None = f"ImagingStudy?_count=5&modality=CT&_sort={sort}"
        found: list[dict[str, Any]] = []
        while url is not None:
            bundle = await get(url)
            assert bundle["total"] == 23
            assert len(entries(bundle)) <= 5
            found += entries(bundle)
            url = link(bundle, "next")
        assert len({each["id"] for each in found}) == len(found) == 23
        dates = [each["started"] for each in found]
        assert dates == sorted(dates, reverse=not is_ascending)


async def test_a_search_may_be_posted(kept: Kept, web: httpx.AsyncClient, release: str) -> None:
    await kept.store(chest())

    for form, is_found in (({"identifier": "A-77"}, True), ({"identifier": "A-78"}, False)):
        answer = await web.post(f"/fhir/{release}/ImagingStudy/_search", data=form)
        assert answer.status_code == 200
        assert bool(entries(check(answer.json(), release))) is is_found


async def test_summaries_and_elements_leave_out_what_is_not_asked(kept: Kept, get: Get) -> None:
    await kept.store(chest())

    (summary,) = entries(await get("ImagingStudy?_summary=true"))
    (some,) = entries(await get("ImagingStudy?_elements=started,ImagingStudy.description"))
    (few,) = entries(await get("ImagingStudy?_summary=text"))
    counted = await get("ImagingStudy?_summary=count")

    assert "instance" not in summary["series"][0]
    assert set(some) == {
        "resourceType", "id", "meta", "status", "subject", "started", "description",
    }  # fmt: skip
    assert set(few) == {"resourceType", "id", "meta", "status", "subject"}
    assert some["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert counted["total"] == 1
    assert "entry" not in counted
