"""A study's page: its series, its images, what else there is of the patient."""

import re

import httpx
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from isocenter.ui.attributes import flattened
from made_instances import Kept, image


async def put(kept: Kept, study: str, series: str, number: int, **attributes: object) -> None:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}"}
    await kept.store(image(f"{study}.{series}.{number}", **{**uids, **attributes}))


async def test_the_page_shows_all_series_and_opens_one(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept, "9.1", "1", 1, SeriesDescription="Axial", SeriesNumber=1)
    await put(kept, "9.1", "2", 1, SeriesDescription="<b>Sagittal", SeriesNumber=2)

    first = await browser.get("/studies/9.1")
    second = await browser.get("/studies/9.1?series=9.1.2")

    assert "Axial" in first.text
    assert "&lt;b&gt;Sagittal" in first.text
    assert 'data-images="/studies/9.1/series/9.1.1/images?' in first.text
    assert 'data-images="/studies/9.1/series/9.1.2/images?' in second.text


@pytest.mark.parametrize(
    "path",
    [
        "/studies/9.9",
        "/studies/*",
        "/studies/9.1?series=9.9",
        "/studies/9.1/series/9.9/images",
        "/studies/9.1/series/9.1.1/instances/9.9/attributes",
        "/studies/9.1/series/9.1.1/instances/*/attributes",
    ],
)
async def test_what_is_not_there_is_told(browser: httpx.AsyncClient, kept: Kept, path: str) -> None:
    await put(kept, "9.1", "1", 1)

    assert (await browser.get(path)).status_code == 404


async def test_other_studies_are_of_the_same_patient_only(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept, "9.1", "1", 1, PatientID="P1", IssuerOfPatientID="NORTH")
    await put(kept, "9.2", "1", 1, PatientID="P1", IssuerOfPatientID="NORTH")
    await put(kept, "9.3", "1", 1, PatientID="P1", IssuerOfPatientID="SOUTH")
    await put(kept, "9.4", "1", 1, PatientID="P1")
    await put(kept, "9.5", "1", 1, PatientID="P12", IssuerOfPatientID="NORTH")
    await put(kept, "9.6", "1", 1, PatientID=None)
    await put(kept, "9.7", "1", 1, PatientID="P*")

    async def priors(study: str) -> list[str]:
        page = await browser.get(f"/studies/{study}")
        return re.findall(r'data-study="([^"]+)"', page.text)

    assert await priors("9.1") == ["9.2"]
    assert await priors("9.4") == []
    assert await priors("9.6") == []
    assert await priors("9.7") == []


async def of_two_patients(browser: httpx.AsyncClient, kept: Kept) -> dict[str, str]:
    """Images of two patients with one study and series UID; each one's page, by the patient."""
    await put(kept, "9.1", "1", 1, PatientID="P1", PatientName="Doe^Jane")
    await put(kept, "9.1", "1", 2, PatientID="P2", PatientName="Roe^Joe")
    rows = (await browser.get("/")).text
    links = re.findall(r'href="(/studies/9.1\?of=\w+)">([^<]+)<', rows)
    return {name: (await browser.get(link)).text for link, name in links}


async def test_what_two_patients_have_of_one_uid_is_shown_apart(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    pages = await of_two_patients(browser, kept)

    assert {*pages} == {"Doe, Jane", "Roe, Joe"}
    for (name, page), instance in zip(sorted(pages.items()), ("9.1.1.1", "9.1.1.2"), strict=True):
        (images,) = re.findall(r'data-images="([^"]+)"', page)
        assert [each["uid"] for each in (await browser.get(images)).json()] == [instance]
        assert f"<h1>{name}</h1>" in page
        (other,) = {*pages} - {name}
        assert page.count(other) == 1  # in the notice
        assert "Another patient has a study of the same Study Instance UID" in page
        assert "/ohif/" not in page
        assert "/thumbnail" not in page
        assert "application/zip" not in page


async def test_who_names_the_uid_of_two_patients_alone_has_to_choose(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await of_two_patients(browser, kept)

    page = await browser.get("/studies/9.1")

    assert page.status_code == 300
    assert "Several patients have this Study Instance UID" in page.text
    assert len({*re.findall(r'href="/studies/9.1\?of=(\w+)"', page.text)}) == 2
    for path in ("series/9.1.1/images", "remove", "send", "share", "correct", "open/ohif"):
        assert (await browser.get(f"/studies/9.1/{path}")).status_code in (404, 409)
    row = (await browser.get("/")).text
    assert row.count("UID of several patients") == 2
    assert "/studies/9.1/thumbnail" not in row


@pytest.mark.parametrize("what", ["study", "series"])
async def test_of_two_patients_with_one_uid_one_is_removed(
    browser: httpx.AsyncClient, kept: Kept, what: str
) -> None:
    pages = await of_two_patients(browser, kept)
    (form,) = re.findall(r'href="(/studies/9.1/remove\?of=\w+)"', pages["Roe, Joe"])
    sent = {"what": what, "series": "9.1.1", "reason": "of the wrong patient"}

    answer = await browser.post(form, data=sent)

    assert answer.status_code == 303, answer.text
    assert [each.sop_instance_uid for each in await kept.refs("9.1")] == ["9.1.1.1"]
    page = await browser.get("/studies/9.1")
    assert (page.status_code, "<h1>Doe, Jane</h1>" in page.text) == (200, True)


async def test_text_that_turns_about_is_shown_in_its_own_order(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    turned = "\u202e1174\u202c"
    await put(
        kept,
        "9.1",
        "1",
        1,
        PatientID=turned,
        PatientName="א\u2067ב",
        SpecificCharacterSet="ISO_IR 192",
    )

    pages = [(await browser.get(path)).text for path in ("/", "/studies/9.1")]
    (form,) = re.findall(r'href="(/studies/9.1/correct\?of=\w+)"', pages[1])
    corrected = (await browser.get(form)).text

    for page in pages:
        assert not {*page} & {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
        assert "\ufffd1174" in page
        assert "אב" in page
    assert f'value="{turned}"' in corrected  # what is edited is what is there


async def test_what_there_is_to_see_is_listed_in_order(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept, "9.1", "1", 2, InstanceNumber=2, NumberOfFrames=5)
    await put(kept, "9.1", "1", 1, InstanceNumber=1)
    pdf = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "Rows": None, "Columns": None}
    await put(kept, "9.1", "1", 3, InstanceNumber=3, **pdf)
    sr = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.11", "Rows": None, "Columns": None}
    await put(kept, "9.1", "1", 4, InstanceNumber=4, **sr)

    listed = (await browser.get("/studies/9.1/series/9.1.1/images")).json()

    assert [(each["uid"], each["kind"], each["frames"]) for each in listed] == [
        ("9.1.1.1", "image", 1),
        ("9.1.1.2", "image", 5),
        ("9.1.1.3", "document", 1),
        ("9.1.1.4", "card", 1),
    ]


@pytest.mark.parametrize(
    ("came", "frames"),
    [
        (b"abc ", 1),
        (b"1.5 ", 1),
        (b"-7", 1),
        (b"3\\4 ", 3),
        (b"+3", 3),
        (b"99999999999999999999", 1),
        ("\u0663".encode(), 1),
    ],
)
async def test_a_number_of_frames_that_is_none_keeps_no_series_from_being_shown(
    browser: httpx.AsyncClient, kept: Kept, came: bytes, frames: int
) -> None:
    uids = {"StudyInstanceUID": "9.1", "SeriesInstanceUID": "9.1.1"}
    broken = image("9.1.1.1", InstanceNumber=1, **uids)
    broken[0x00280008] = RawDataElement(Tag(0x00280008), "IS", len(came), came, 0, False, True)
    await kept.store(broken)
    await put(kept, "9.1", "1", 2, InstanceNumber=2, NumberOfFrames=5)

    answer = await browser.get("/studies/9.1/series/9.1.1/images")

    assert answer.status_code == 200
    assert [each["frames"] for each in answer.json()] == [frames, 5]


async def test_attributes_are_found_with_what_they_are_in(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    inner = image("1.1", PatientName="Inner^Name")
    await put(kept, "9.1", "1", 1, ContentSequence=[inner], StudyDescription="Needle <i>")
    path = "/studies/9.1/series/9.1.1/instances/9.1.1.1/attributes"

    whole = await browser.get(path)
    found = await browser.get(f"{path}?find=inner", headers={"HX-Request": "true"})

    assert "Needle &lt;i&gt;" in whole.text
    assert "CT Image Storage" in whole.text
    names = re.findall(r'<th scope="row">([^<]*)</th>', found.text)
    assert names == ["Content Sequence", "#1", "Patient's Name"] or names == [
        "Content Sequence",
        "#1",
        "Patient&#39;s Name",
    ]
    assert "Nothing matches" in (await browser.get(f"{path}?find=nowhere")).text


def test_private_attributes_are_named_after_their_creator() -> None:
    model = {
        "00090010": {"vr": "LO", "Value": ["ACME 1.1"]},
        "00091001": {"vr": "LO", "Value": ["x"]},
        "00280010": {"vr": "US", "Value": [2]},
    }

    names = {row.tag: row.name for row in flattened(model)}

    assert "ACME 1.1" in names["(0009,1001)"]
    assert names["(0028,0010)"] == "Rows"
