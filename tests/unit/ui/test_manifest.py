"""Manifests of Weasis, held against what its schema and documentation say."""

import gzip
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import weasis
from made_instances import Kept, image

XML = "/weasis/manifest"


async def put(kept: Kept, study: str, series: str, number: int, **attributes: object) -> str:
    uid = f"{study}.{series}.{number}"
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}"}
    await kept.store(image(uid, **{**uids, "InstanceNumber": number, **attributes}))
    return uid


async def test_a_study_is_told_with_all_its_instances(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    first = [await put(kept, "7.1", "1", number, SeriesNumber=3) for number in (1, 2)]
    second = [await put(kept, "7.1", "2", 1, Modality="PT")]
    await put(kept, "7.2", "1", 1)

    answer = await browser.get(XML, params={"studyUID": "7.1"})
    root = weasis.read(answer.content)

    assert answer.headers["content-type"] == "application/xml"
    assert weasis.every(root, "Patient") == [{"PatientID": "P1", "PatientName": "Doe^Jane"}]
    (study,) = weasis.every(root, "Study")
    assert study["StudyInstanceUID"] == "7.1"
    assert study["StudyDate"] == "20240229"
    assert {each["Modality"] for each in weasis.every(root, "Series")} == {"CT", "PT"}
    found = [each["SOPInstanceUID"] for each in weasis.every(root, "Instance")]
    assert sorted(found) == sorted(first + second)
    for url in weasis.downloads(root):
        split = urlsplit(url)
        assert (split.netloc, split.path) == ("archive", "/wado")
        assert parse_qs(split.query)["transferSyntax"] == ["*"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"seriesUID": "7.3.2"}, ["7.3.2.1"]),
        ({"studyUID": "7.3", "objectUID": "7.3.1.2"}, ["7.3.1.2"]),
        ({"studyUID": "7.3", "seriesUID": "7.3.1,7.3.2"}, ["7.3.1.1", "7.3.1.2", "7.3.2.1"]),
        ({"accessionNumber": "A-73"}, ["7.3.1.1", "7.3.1.2", "7.3.2.1"]),
        ({"accessionNumber": "A-7*"}, None),
        ({"patientID": "P73^^^NORTH&1.2.9&ISO"}, ["7.3.1.1", "7.3.1.2", "7.3.2.1"]),
        ({"patientID": "P73^^^SOUTH"}, ["7.4.1.1"]),
        ({"patientID": "P73"}, ["7.3.1.1", "7.3.1.2", "7.3.2.1", "7.4.1.1"]),
        ({"patientID": "P73", "accessionNumber": "A-73"}, ["7.3.1.1", "7.3.1.2", "7.3.2.1"]),
        ({"patientID": "p*"}, None),
        ({"studyUID": "7.9"}, None),
    ],
    ids=str,
)
async def test_it_holds_what_is_asked_for_and_no_other(
    browser: httpx.AsyncClient, kept: Kept, asked: dict[str, str], found: list[str] | None
) -> None:
    north = {"PatientID": "P73", "IssuerOfPatientID": "NORTH", "AccessionNumber": "A-73"}
    for series, number in (("1", 1), ("1", 2), ("2", 1)):
        await put(kept, "7.3", series, number, **north)
    await put(kept, "7.4", "1", 1, PatientID="P73", IssuerOfPatientID="SOUTH")

    answer = await browser.get(XML, params=asked)

    if found is None:
        assert answer.status_code == 404
    else:
        listed = weasis.every(weasis.read(answer.content), "Instance")
        assert sorted(each["SOPInstanceUID"] for each in listed) == found


@pytest.mark.parametrize(
    "asked", [{}, {"studyUID": ""}, {"studyUID": "1.*"}, {"patientID": "^^^NORTH"},
              {"seriesUID": "1.2?"}, {"patientID": "x" * 300},
              {"studyUID": ",".join(f"1.{n}" for n in range(300))}],
)  # fmt: skip
async def test_what_cannot_be_understood_is_refused(
    browser: httpx.AsyncClient, asked: dict[str, str]
) -> None:
    assert (await browser.get(XML, params=asked)).status_code == 400


async def test_it_comes_in_gzip_too(browser: httpx.AsyncClient, kept: Kept) -> None:
    for number in range(30):
        await put(kept, "7.5", "1", number)
    plain = await browser.get(XML, params={"studyUID": "7.5"}, headers={"accept-encoding": "*;q=0"})
    coded = await browser.get(XML, params={"studyUID": "7.5"}, headers={"accept-encoding": "gzip"})
    file = await browser.get(f"{XML}.gz", params={"studyUID": "7.5"})

    assert len(weasis.every(weasis.read(plain.content), "Instance")) == 30
    assert "content-encoding" not in plain.headers
    assert coded.headers["content-encoding"] == "gzip"
    assert coded.content == plain.content
    assert gzip.decompress(file.content) == plain.content


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
async def test_whatever_an_instance_says_the_manifest_is_as_the_schema_has_it(
    browser: httpx.AsyncClient, kept: Kept, data: st.DataObject
) -> None:
    texts = st.text(max_size=70).filter(lambda text: "\\" not in text)
    number = data.draw(st.integers(10, 10**9))
    await put(
        kept,
        f"7.6.{number}",
        "1",
        1,
        SpecificCharacterSet="ISO_IR 192",
        PatientName=data.draw(texts),
        StudyDescription=data.draw(texts),
        SeriesDescription=data.draw(st.sampled_from(['"><Study/>', "&amp;", "a\x01b\x1f", "]]>"])),
        PatientSex=data.draw(st.sampled_from(["M", "x", "", "MALE"])),
        PatientBirthDate=data.draw(st.sampled_from(["19700101", "00000000", "1970.01.01", ""])),
        StudyTime=data.draw(st.sampled_from(["1200", "120000.123456", "99", "12:00:00"])),
        AccessionNumber=data.draw(st.text('ABC123 <&"', max_size=20)),
    )
    answer = await browser.get(XML, params={"studyUID": f"7.6.{number}"})
    assert len(weasis.every(weasis.read(answer.content), "Instance")) == 1
