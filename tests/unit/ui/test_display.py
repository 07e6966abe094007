"""Invoke Image Display, as IHE's transaction RAD-106 has its parameters."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.ui.application import application
from made_instances import Kept, image
from pages import DISPLAY

PATH = "/IHEInvokeImageDisplay"
ANNA = {
    "PatientID": "4711", "IssuerOfPatientID": "NORTH", "PatientName": "Quast^Anna^M",
    "PatientBirthDate": "19700131",
}  # fmt: skip


@pytest.fixture
async def patients(kept: Kept) -> None:
    """Anna has two studies in the north, somebody else her number in the south."""
    await put(kept, "6.1", StudyDate="20240110", StudyTime="120000", AccessionNumber="A1", **ANNA)
    await put(kept, "6.2", StudyDate="20240220", StudyTime="080000", AccessionNumber="A2",
              Modality="MR", **ANNA)  # fmt: skip
    await put(kept, "6.3", StudyDate="20240301", PatientID="4711", IssuerOfPatientID="SOUTH",
              PatientName="Quast^Bert")  # fmt: skip


async def put(kept: Kept, study: str, **attributes: object) -> None:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}
    await kept.store(image(f"{study}.1.1", **{**uids, **attributes}))


@pytest.fixture
async def with_ohif(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(archive, Config(), lambda: True))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client


def shown(answer: httpx.Response) -> list[str]:
    """The studies that one is led to, or that are listed."""
    if answer.status_code == 303:
        where = answer.headers["location"]
        return [where.removeprefix("/studies/").partition("?")[0]]
    assert answer.status_code == 200, answer.text
    return [uid for uid in ("6.3", "6.2", "6.1") if f'data-study="{uid}"' in answer.text]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"patientID": "4711"}, ["6.3", "6.2", "6.1"]),
        ({"patientID": "4711^^^NORTH"}, ["6.2", "6.1"]),
        ({"patientID": "4711^^^NORTH&1.2.276.0.76&ISO^PI"}, ["6.2", "6.1"]),
        ({"patientID": "4711^^^NORTH", "mostRecentResults": "1"}, ["6.2"]),
        ({"patientID": "4711^^^NORTH", "mostRecentResults": "0"}, ["6.2", "6.1"]),
        ({"patientID": "4711", "patientName": "QUAST^ANNA"}, ["6.2", "6.1"]),
        ({"patientID": "4711", "patientName": "Quast^Anna^^^Dr."}, ["6.2", "6.1"]),
        ({"patientID": "4711", "patientBirthDate": "19700131"}, ["6.2", "6.1"]),
        ({"patientID": "4711", "patientBirthDate": "1970-01-31"}, ["6.2", "6.1"]),
        ({"patientID": "4711", "modalitiesInStudy": "MR,PT"}, ["6.2"]),
        ({"patientID": "4711", "lowerDateTime": "2024-02-01T00:00:00"}, ["6.3", "6.2"]),
        ({"patientID": "4711^^^NORTH", "upperDateTime": "2024-02-20T07:59:59"}, ["6.1"]),
        ({"patientID": "4711^^^NORTH", "upperDateTime": "2024-02-20T08:00:00"}, ["6.2", "6.1"]),
        ({"patientID": "4711^^^NORTH", "upperDateTime": "20240220"}, ["6.2", "6.1"]),
        (
            {"patientID": "4711^^^NORTH", "lowerDateTime": "2024-01-10T12:00:00",
             "upperDateTime": "2024-02-19"},
            ["6.1"],
        ),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.usefixtures("patients")
async def test_studies_of_a_patient(
    browser: httpx.AsyncClient, asked: dict[str, str], found: list[str]
) -> None:
    answer = await browser.get(PATH, params={"requestType": "PATIENT", **asked})
    assert shown(answer) == found


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"studyUID": "6.1"}, ["6.1"]),
        ({"studyUID": "6.1,6.2"}, ["6.2", "6.1"]),
        ({"studyUID": "6.1, 6.9"}, ["6.1"]),
        ({"accessionNumber": "A2"}, ["6.2"]),
        ({"accessionNumber": "A1,A2"}, ["6.2", "6.1"]),
        ({"accessionNumber": "A1,A2", "studyUID": "6.2"}, ["6.2"]),
    ],
    ids=str,
)
@pytest.mark.usefixtures("patients")
async def test_studies_by_what_they_are_called(
    browser: httpx.AsyncClient, asked: dict[str, str], found: list[str]
) -> None:
    answer = await browser.get(PATH, params={"requestType": "STUDY", **asked})
    assert shown(answer) == found


@pytest.mark.parametrize(
    "asked",
    [
        {"patientID": "4711^^^WEST"},
        {"patientID": "47*"},
        {"patientID": "4711", "patientName": "Quast^Clara"},
        {"patientID": "4711", "patientBirthDate": "19700201"},
        {"patientID": "4711^^^NORTH&&ISO", "lowerDateTime": "2024-03-01"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("patients")
async def test_nobody_else_is_shown(browser: httpx.AsyncClient, asked: dict[str, str]) -> None:
    answer = await browser.get(PATH, params={"requestType": "PATIENT", **asked})
    assert answer.status_code == 404
    assert "Quast, " not in answer.text


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"requestType": "SERIES", "studyUID": "6.1"},
        {"requestType": "PATIENT"},
        {"requestType": "PATIENT", "patientID": "^^^NORTH"},
        {"requestType": "PATIENT", "patientID": "4711", "patientName": "Q*"},
        {"requestType": "PATIENT", "patientID": "4711", "lowerDateTime": "yesterday"},
        {"requestType": "PATIENT", "patientID": "4711", "lowerDateTime": "2024-02-30"},
        {
            "requestType": "PATIENT",
            "patientID": "4711",
            "lowerDateTime": "2024-02-01T00:00:00+99:00",
        },
        {"requestType": "PATIENT", "patientID": "4711", "mostRecentResults": "-1"},
        {"requestType": "STUDY"},
        {"requestType": "STUDY", "studyUID": "*"},
        {"requestType": "STUDY", "studyUID": "6.1", "viewerType": "OTHER"},
        {"requestType": "STUDY", "studyUID": "6.1", "keyImagesOnly": "perhaps"},
        [("requestType", "STUDY"), ("studyUID", "6.1"), ("studyUID", "6.2")],
    ],
    ids=str,
)
@pytest.mark.usefixtures("patients")
async def test_what_cannot_be_understood_is_told(
    browser: httpx.AsyncClient, asked: dict[str, str]
) -> None:
    answer = await browser.get(PATH, params=asked)
    assert answer.status_code == 400
    assert 'class="fault"' in answer.text


@pytest.mark.usefixtures("patients")
async def test_ohif_shows_them_where_it_is_installed(with_ohif: httpx.AsyncClient) -> None:
    async def led(**asked: str) -> str:
        answer = await with_ohif.get(PATH, params=asked)
        return answer.headers.get("location", "")

    one = await led(requestType="STUDY", accessionNumber="A1", diagnosticQuality="true")
    assert one == "/ohif/viewer?StudyInstanceUIDs=6.1"
    both = await led(requestType="STUDY", studyUID="6.1,6.2", viewerType="IHE_BIR")
    assert both == "/ohif/viewer?StudyInstanceUIDs=6.2,6.1"
    assert await led(requestType="STUDY", studyUID="6.1", viewerType="PATIENT_VIEW") == ""
    assert await led(requestType="PATIENT", patientID="4711") == ""


@pytest.mark.usefixtures("patients")
async def test_the_page_says_what_was_asked_for_and_cannot_be_had(
    browser: httpx.AsyncClient,
) -> None:
    asked = {"requestType": "STUDY", "studyUID": "6.1", "diagnosticQuality": "true"}
    led = await browser.get(PATH, params=asked)
    page = await browser.get(led.headers["location"])
    assert "Images of diagnostic quality were asked for" in page.text
    assert "Key images" not in page.text
    listed = await browser.get(
        PATH, params={"requestType": "STUDY", "studyUID": "6.1,6.2", "keyImagesOnly": "true"}
    )
    assert "Key images were asked for" in listed.text


async def test_times_are_meant_where_the_asker_is(browser: httpx.AsyncClient, kept: Kept) -> None:
    """What is noon in Greenwich is an hour later on a clock that is an hour ahead."""
    noon = {"StudyDate": "20240110", "StudyTime": "120000", "TimezoneOffsetFromUTC": "+0000"}
    await put(kept, "6.1", **noon, **ANNA)
    asked = {"requestType": "PATIENT", "patientID": "4711^^^NORTH"}
    till = {"upperDateTime": "2024-01-10T12:30:00+01:00"}
    assert (await browser.get(PATH, params={**asked, **till})).status_code == 404
    till = {"upperDateTime": "2024-01-10T13:30:00+01:00"}
    assert shown(await browser.get(PATH, params={**asked, **till})) == ["6.1"]
    mixed = {"lowerDateTime": "2024-01-10T11:59:00Z", "upperDateTime": "2024-01-10T13:00:00+01:00"}
    assert shown(await browser.get(PATH, params={**asked, **mixed})) == ["6.1"]


texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["2024-01-01", "0001-01-01T00:00:00-14:00", "9999-12-31T23:59:59Z", "1", "A^B",
                     "0001-01-01Z", "true"]),
)  # fmt: skip


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["PATIENT", "STUDY"]),
    asked=st.dictionaries(st.sampled_from(DISPLAY[1:]), texts, max_size=6),
)
async def test_no_request_makes_it_fail(
    browser: httpx.AsyncClient, kind: str, asked: dict[str, str]
) -> None:
    clean = {name: text.encode("utf-8", "replace").decode() for name, text in asked.items()}
    answer = await browser.get(PATH, params={"requestType": kind, **clean})
    assert answer.status_code in (200, 303, 400, 404)


async def test_what_two_patients_have_of_one_uid_is_not_shown_as_one_by_a_viewer(
    with_ohif: httpx.AsyncClient, kept: Kept
) -> None:
    for number, patient in enumerate(("P1", "P2")):
        uids = {"StudyInstanceUID": "6.1", "SeriesInstanceUID": "6.1.1"}
        await kept.store(image(f"6.1.1.{number}", PatientID=patient, **uids))

    by_uid = await with_ohif.get(PATH, params={"requestType": "STUDY", "studyUID": "6.1"})
    by_patient = await with_ohif.get(PATH, params={"requestType": "PATIENT", "patientID": "P2"})

    assert by_uid.status_code == 200
    assert by_uid.text.count('data-study="6.1"') == 2
    assert "/ohif/" not in by_uid.text
    assert by_patient.status_code == 303
    page = (await with_ohif.get(by_patient.headers["location"])).text
    (images,) = re.findall(r'data-images="([^"]+)"', page)
    listed = (await with_ohif.get(images)).json()
    assert [each["uid"] for each in listed] == ["6.1.1.1"]
