"""Patient: who is found, and what is told of them."""

from contextlib import closing
from pathlib import Path

import httpx
import pytest

from fhir_checks import check, entries, link
from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.upkeep import put_in_place, reindex
from isocenter.config import ArchiveConfig, Config
from isocenter.fhir import routing
from isocenter.storage.handles import patient_handle
from isocenter.storage.records import Selection
from made_instances import Kept, image
from unit.fhir.conftest import Get

REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"


async def put(kept: Kept, number: int, **attributes: object) -> None:
    await kept.store(
        image(
            f"1.2.{number}.1.1",
            StudyInstanceUID=f"1.2.{number}",
            SeriesInstanceUID=f"1.2.{number}.1",
            **attributes,
        )
    )


async def test_a_patient_is_told_as_the_data_set_has_them(kept: Kept, get: Get) -> None:
    await put(
        kept, 1, PatientName="Adams^John Robert^Quincy^Rev.^B.A.", PatientBirthDate="17670711",
        PatientSex="M", PatientID="JQA", IssuerOfPatientID="1.2.840.5",
    )  # fmt: skip

    (patient,) = entries(await get("Patient"))

    assert patient["name"] == [
        {
            "text": "Rev. John Robert Quincy Adams B.A.",
            "family": "Adams",
            "given": ["John Robert", "Quincy"],
            "prefix": ["Rev."],
            "suffix": ["B.A."],
        }
    ]
    assert patient["gender"] == "male"
    assert patient["birthDate"] == "1767-07-11"
    (identifier,) = patient["identifier"]
    assert (identifier["system"], identifier["value"]) == ("urn:oid:1.2.840.5", "JQA")
    assert await get(f"Patient/{patient['id']}") == patient


async def test_names_in_several_scripts_say_which_they_are(kept: Kept, get: Get) -> None:
    # PS3.5 H.3.1, example 1.
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    await put(kept, 1, SpecificCharacterSet="ISO_IR 192", PatientName=name)

    (patient,) = entries(await get("Patient"))

    scripts = {each["extension"][0]["valueCode"]: each for each in patient["name"]}
    assert all(each["extension"][0]["url"] == REPRESENTATION for each in patient["name"])
    assert scripts["ABC"]["family"] == "Yamada"
    assert scripts["IDE"]["given"] == ["太郎"]
    assert scripts["SYL"]["family"] == "やまだ"
    assert entries(await get("Patient?family=山"))


async def test_dates_that_are_none_are_left_out(kept: Kept, get: Get) -> None:
    await put(kept, 1, PatientSex="X", PatientBirthDate="19990231")

    (patient,) = entries(await get("Patient"))

    assert "birthDate" not in patient
    assert patient["gender"] == "unknown"


async def test_patients_of_two_issuers_stay_two(kept: Kept, get: Get) -> None:
    await put(kept, 1, PatientID="7", IssuerOfPatientID="North Clinic")
    await put(kept, 2, PatientID="7", IssuerOfPatientID="South")
    await put(kept, 3, PatientID="7")

    found = entries(await get("Patient?identifier=7"))
    systems = {each["identifier"][0].get("system"): each["id"] for each in found}

    assert len(systems) == 3
    for system, id in systems.items():
        one = entries(await get("Patient", params={"identifier": f"{system or ''}|7"}))
        assert [each["id"] for each in one] == [id]
        studies = entries(await get(f"ImagingStudy?patient=Patient/{id}"))
        assert [each["subject"]["reference"] for each in studies] == [f"Patient/{id}"]


async def test_without_an_id_each_study_has_a_patient_of_its_own(kept: Kept, get: Get) -> None:
    await put(kept, 1, PatientID=None)
    await put(kept, 2, PatientID=None)

    found = entries(await get("Patient"))

    assert len({each["id"] for each in found}) == 2
    assert all("identifier" not in each for each in found)


async def test_an_id_is_drawn_from_what_tells_patients_apart(kept: Kept, get: Get) -> None:
    await put(kept, 1, PatientID="7", IssuerOfPatientID="A")

    (patient,) = entries(await get("Patient"))

    # So it is the same after the index was made anew.
    assert patient["id"] == patient_handle("7", "A", "")


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("name=doe", True),
        ("name=JAN", True),
        ("name=ane", False),
        ("name:contains=ane", True),
        ("family=d", True),
        ("family=jane", False),
        ("given=jane", True),
        ("given=ali", True),
        ("given=doe", False),
        ("name=smith,doe", True),
        ("name=*", False),
        ("name=d?e", False),
        ("name=d*e", False),
        ("family=doe&given=jane", True),
        ("family=doe&given=john", False),
        ("birthdate=1970-05-17", True),
        ("birthdate=1970", True),
        ("birthdate=lt1970-05-17", False),
        ("birthdate=ge1970&birthdate=lt1971", True),
        ("gender=female", True),
        ("gender=male,other", False),
        ("gender=unknown", False),
        ("identifier=P1", True),
        ("identifier=P", False),
    ],
)
async def test_each_parameter_finds_what_it_says(
    kept: Kept, get: Get, query: str, is_found: bool
) -> None:
    await put(kept, 1, PatientName="Doe^Jane^Alice", PatientBirthDate="19700517", PatientSex="F")

    assert bool(entries(await get(f"Patient?{query}"))) is is_found


async def test_accents_and_case_do_not_count(kept: Kept, get: Get) -> None:
    await put(kept, 1, SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Zoë")

    assert entries(await get("Patient?family=MULLER&given=zoe"))


async def test_studies_come_along(kept: Kept, get: Get) -> None:
    await put(kept, 1)
    await put(kept, 2)
    await put(kept, 3, PatientID="P2")

    bundle = await get("Patient?identifier=P1&_revinclude=ImagingStudy:patient")

    assert len(entries(bundle)) == 1
    included = entries(bundle, "include")
    assert len(included) == 2
    assert {each["subject"]["reference"] for each in included} == {
        f"Patient/{entries(bundle)[0]['id']}"
    }


async def test_all_pages_together_are_all_patients_and_no_link_names_one(
    kept: Kept, get: Get
) -> None:
    for number in range(12):
        await put(kept, number, PatientID=f"P{number}", PatientName=f"Doe{number % 3}^Jane")

    url: str | None = "Patient?_count=5"
    names: list[str] = []
    ids: set[str] = set()
    while url is not None:
        bundle = await get(url)
        assert bundle["total"] == 12
        names += [each["name"][0]["family"] for each in entries(bundle)]
        ids |= {each["id"] for each in entries(bundle)}
        url = link(bundle, "next")
    assert len(ids) == 12
    assert names == sorted(names)


async def test_a_page_behind_a_patient_who_has_gone_is_gone(
    kept: Kept, get: Get, web: httpx.AsyncClient
) -> None:
    for number in range(3):
        await put(kept, number, PatientID=f"P{number}", PatientName=f"Doe{number}")
    following = link(await get("Patient?_count=1"), "next")
    assert following is not None
    await kept.archive.removals.remove(Selection(patient_id="P0", issuer=""))

    outcome = await get(following, 410)

    assert "search anew" in outcome["issue"][0]["diagnostics"]


async def test_the_answer_is_not_sent_again_to_who_has_it(
    kept: Kept, get: Get, web: httpx.AsyncClient, release: str
) -> None:
    await put(kept, 1)
    (patient,) = entries(await get("Patient"))
    url = f"/fhir/{release}/Patient/{patient['id']}"
    first = await web.get(url)

    again = await web.get(url, headers={"if-none-match": first.headers["etag"]})

    assert again.status_code == 304
    await put(kept, 2, PatientSex="F")
    changed = await web.get(url, headers={"if-none-match": first.headers["etag"]})
    assert check(changed.json(), release)["gender"] == "female"


async def test_logical_ids_stay_when_the_index_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    before = await _ids(folder, "1.2.1", "1.2.2", "1.2.3")
    made = folder / "index.sqlite.new"
    with closing(reindex(folder, made)) as read:
        assert all(each.fault is None for each in read)
    put_in_place(made, folder / INDEX_NAME)

    assert await _ids(folder) == before
    assert len(before) == 5  # two patients, three studies


async def _ids(folder: Path, *studies: str) -> set[tuple[str, str]]:
    """Patients and studies of an archive, after storing some more of two patients."""
    archive = await Archive.open(folder, ArchiveConfig(file_threads=2))
    for number, study in enumerate(studies):
        patient = None if number == 0 else "P1"  # the first has no ID
        await Kept(archive).store(
            image(f"{study}.9", PatientID=patient, StudyInstanceUID=study, SeriesInstanceUID=study)
        )
    served = routing.application(archive, Config())
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        answers = [(await client.get(f"/R4/{kind}")).json() for kind in ("Patient", "ImagingStudy")]
    await archive.close()
    found = [each for answer in answers for each in entries(answer)]
    return {(each["resourceType"], each["id"]) for each in found}


async def test_a_corrected_study_is_of_the_patient_it_was_corrected_to(
    archive: Archive, kept: Kept, get: Get
) -> None:
    await put(kept, 1, PatientID="P1", PatientName="Doe^Jane")
    await put(kept, 2, PatientID="P2", PatientName="Roe^Richard")
    (other,) = entries(await get("Patient?identifier=P2"))
    study = await archive.corrections.study("1.2.1")

    entered = {"PatientID": "P2", "PatientName": "Roe^Richard"}
    preview = await archive.corrections.preview(study, entered, is_of_patient=False)
    await archive.corrections.correct(
        study, entered, is_of_patient=False, reason="mix", by="", seen=preview.seen
    )

    (patient,) = entries(await get("Patient"))
    assert patient["id"] == other["id"]
    studies = entries(await get("ImagingStudy"))
    assert [each["subject"]["reference"] for each in studies] == [f"Patient/{other['id']}"] * 2
