"""Search over HTTP: what is found, what is returned, what is said beside it (PS3.18 10.6)."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.dataset import Dataset

from isocenter.archive.archive import Archive
from isocenter.config import Config, DicomwebConfig
from isocenter.dicomweb import routing, search
from isocenter.storage.attributes import ATTRIBUTES
from made_instances import CT, MR, Kept, encoded, image

JSON = "application/dicom+json"

# PS3.18 Tables 10.6.3-3, 10.6.3-4 and 10.6.3-5: types U and R, and what is always known of ours.
STUDY = {
    "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190", "00100010",
    "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
}  # fmt: skip
SERIES = {"00080060", "00081190", "0020000E", "00200011", "00201209"}
INSTANCE = {"00080016", "00080018", "00080056", "00081190", "00200013"}
PIXELS = {"00280010", "00280011"}
"""Known of the images that the tests make."""


def request_of(accession: str, step: str) -> Dataset:
    item = Dataset()
    item.AccessionNumber, item.ScheduledProcedureStepID = accession, step
    return item


@pytest.fixture
async def filled(kept: Kept) -> Kept:
    """Two studies: one of two series, the other of one."""
    for number in (1, 2):
        await kept.store(
            image(f"1.2.3.{number}", InstanceNumber=number, StudyID="S", SeriesNumber=3)
        )
    requested = {"RequestAttributesSequence": [request_of("A1", "STEP")]}
    await kept.store(
        image("1.2.4.1", SeriesInstanceUID="1.2.4", SOPClassUID=MR, Modality="MR", **requested)
    )
    await kept.store(
        image(
            "1.3.4.1",
            StudyInstanceUID="1.3",
            SeriesInstanceUID="1.3.4",
            PatientID="P2",
            PatientName="Müller^Jörg",
            SpecificCharacterSet="ISO_IR 100",
            StudyDate="20230101",
            StudyTime="2330",
            StudyDescription="Knee",
        )
    )
    return kept


async def found(web: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    response = await web.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == JSON
    matches: list[dict[str, Any]] = response.json()
    return matches


def values(matches: list[dict[str, Any]], tag8: str) -> list[Any]:
    return [match[tag8].get("Value", [None])[0] for match in matches]


# --- what is returned


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/studies?StudyInstanceUID=1.2", STUDY),
        ("/studies/1.2/series?Modality=CT", SERIES | {"0020000D"}),
        ("/series?StudyInstanceUID=1.2&Modality=CT", SERIES | STUDY),
        (
            "/studies/1.2/series/1.2.3/instances?limit=1",
            INSTANCE | PIXELS | {"0020000D", "0020000E"},
        ),
        (
            "/studies/1.2/instances?Modality=CT&limit=1",
            INSTANCE | PIXELS | SERIES | {"0020000D"},
        ),
        ("/instances?SOPInstanceUID=1.2.3.1", INSTANCE | PIXELS | SERIES | STUDY),
    ],
)
@pytest.mark.usefixtures("filled")
async def test_the_default_attributes_of_each_resource_come_back(
    web: httpx.AsyncClient, path: str, expected: set[str]
) -> None:
    (match,) = await found(web, path)

    assert set(match) == expected
    assert list(match) == sorted(match)


@pytest.mark.usefixtures("filled")
async def test_values_are_those_of_the_study(web: httpx.AsyncClient) -> None:
    (match,) = await found(web, "/studies?PatientID=P1")

    assert match["00080020"] == {"vr": "DA", "Value": ["20240229"]}
    assert match["00080030"] == {"vr": "TM"}
    assert match["00080056"] == {"vr": "CS", "Value": ["ONLINE"]}
    assert match["00080061"] == {"vr": "CS", "Value": ["CT", "MR"]}
    assert match["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]}
    assert match["00201206"] == {"vr": "IS", "Value": [2]}
    assert match["00201208"] == {"vr": "IS", "Value": [3]}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/studies?PatientID=P1", "/studies/1.2"),
        ("/series?SeriesInstanceUID=1.2.4", "/studies/1.2/series/1.2.4"),
        ("/studies/1.2/instances?InstanceNumber=2", "/studies/1.2/series/1.2.3/instances/1.2.3.2"),
    ],
)
@pytest.mark.usefixtures("filled")
async def test_it_is_said_where_a_match_is_retrieved(
    web: httpx.AsyncClient, path: str, expected: str
) -> None:
    (match,) = await found(web, path)

    assert match["00081190"] == {"vr": "UR", "Value": [f"http://archive{expected}"]}


@pytest.mark.usefixtures("filled")
async def test_what_is_matched_or_included_comes_back_too(web: httpx.AsyncClient) -> None:
    (matched,) = await found(web, "/studies?StudyDescription=Knee")
    (included,) = await found(web, "/studies?PatientID=P1&includefield=StudyDescription,00080062")

    assert set(matched) == STUDY | {"00081030"}
    assert set(included) == STUDY | {"00081030", "00080062"}
    assert included["00081030"] == {"vr": "LO"}
    assert included["00080062"]["Value"] == [CT, MR]


@pytest.mark.usefixtures("filled")
async def test_what_is_below_a_study_is_matched_but_not_returned(web: httpx.AsyncClient) -> None:
    (match,) = await found(web, "/studies?Modality=MR&includefield=SeriesDescription,Rows")

    assert set(match) == STUDY


@pytest.mark.usefixtures("filled")
async def test_all_gives_what_is_known_of_the_level_and_above(web: httpx.AsyncClient) -> None:
    (study,) = await found(web, "/studies?PatientID=P2&includefield=all")
    (instance,) = await found(web, "/instances?PatientID=P2&includefield=all")

    assert {*STUDY, "00081030", "00080062", "00201200"} <= set(study)
    assert {*STUDY, *SERIES, *INSTANCE, "00081030", "00083002"} <= set(instance)
    assert "00280010" not in study
    assert instance["00080005"]["Value"] == ["ISO_IR 192"]


@pytest.mark.usefixtures("filled")
async def test_requests_come_with_the_default_keys_of_their_items(web: httpx.AsyncClient) -> None:
    path = "/studies/1.2/series?Modality=MR"

    (default,) = await found(web, path)
    (included,) = await found(web, f"{path}&includefield=RequestAttributesSequence.AccessionNumber")
    (whole,) = await found(web, f"{path}&includefield=00400275")

    step, none = {"vr": "SH", "Value": ["STEP"]}, {"vr": "SH"}
    accession = {"vr": "SH", "Value": ["A1"]}
    assert default["00400275"]["Value"] == [{"00400009": step, "00401001": none}]
    assert included["00400275"]["Value"] == [
        {"00400009": step, "00401001": none, "00080050": accession}
    ]
    assert whole["00400275"]["Value"] == [{"00080050": accession, "00400009": step}]


async def test_a_timezone_comes_back_where_it_is_known(kept: Kept, web: httpx.AsyncClient) -> None:
    await kept.store(image(TimezoneOffsetFromUTC="+0100"))

    (match,) = await found(web, "/studies")

    assert set(match) == STUDY | {"00080201"}


# --- what is matched


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["1.2", "1.3"]),
        ("PatientName=doe*", ["1.2"]),
        ("PatientName=" + quote("müller^jörg"), ["1.3"]),
        ("PatientName=m%3Fller*", ["1.3"]),
        ("PatientName=jane+doe&fuzzymatching=true", ["1.2"]),
        ("StudyDate=20230101-20231231", ["1.3"]),
        ("StudyDate=-20231231", ["1.3"]),
        ("StudyDate=20221231-20230102&StudyTime=2300-0100", ["1.3"]),
        ("StudyDate=20230101-20230102&StudyTime=2345-0100", []),
        ("StudyInstanceUID=1.2,1.3", ["1.2", "1.3"]),
        ("StudyInstanceUID=1.2%5C1.3,1.4", ["1.2", "1.3"]),
        ("ModalitiesInStudy=MR", ["1.2"]),
        ("RequestAttributesSequence.ScheduledProcedureStepID=STEP", ["1.2"]),
        ("00400275.00400009=STEP&00400275.00080050=A2", []),
        ("PatientID=P1%5CP2", []),
        ("PatientID=P1%5CP2&multiplevaluematching=true", ["1.2", "1.3"]),
        ("StudyDescription=%22%22", []),
        ("StudyDescription=%22%22&emptyvaluematching=true", ["1.2"]),
        ("00091001=x", ["1.2", "1.3"]),
        ("SpecificCharacterSet=ISO_IR+100", ["1.2", "1.3"]),
        ("PatientID='%20OR%20'1'='1", []),
        ("StudyID=S';--", []),
        ("PatientID=" + "x" * 60_000, []),
        ("PatientName=" + "*a" * 25_100, []),
    ],
)
@pytest.mark.usefixtures("filled")
async def test_studies_are_matched(web: httpx.AsyncClient, query: str, expected: list[str]) -> None:
    response = await web.get(f"/studies?{query}")

    if expected:
        assert sorted(values(response.json(), "0020000D")) == expected
    else:
        assert response.status_code in {204, 400}, response.text
        assert response.status_code == 204 or len(query) > 5_000


async def test_dates_and_times_are_those_of_the_zone_that_is_said(
    kept: Kept, web: httpx.AsyncClient
) -> None:
    told = {"StudyDate": "20240229", "StudyTime": "2330", "TimezoneOffsetFromUTC": "+0000"}
    await kept.store(image(**told))
    night = "StudyDate=20240301-20240301&StudyTime=0000-0100"

    here = await web.get(f"/studies?{night}")
    east = await web.get(f"/studies?{night}&TimezoneOffsetFromUTC=%2B0100")

    assert (here.status_code, east.status_code) == (204, 200)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/studies/1.2/series", ["1.2.3", "1.2.4"]),
        ("/studies/1.3/series", ["1.3.4"]),
        ("/studies/1.2/series?StudyInstanceUID=1.2,1.3", ["1.2.3", "1.2.4"]),
        ("/series?PatientID=P1&Modality=MR", ["1.2.4"]),
    ],
)
@pytest.mark.usefixtures("filled")
async def test_series_are_those_of_the_path(
    web: httpx.AsyncClient, path: str, expected: list[str]
) -> None:
    assert sorted(values(await found(web, path), "0020000E")) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/studies/1.4/series",
        "/studies/1.2/series?StudyInstanceUID=1.3",
        "/studies/1.3/series/1.2.3/instances",
        "/studies/*/series",
        "/studies/%2A/instances",
        "/studies/1.2/series/%22%22/instances?emptyvaluematching=true",
        "/studies?limit=0",
        "/studies?offset=2",
        f"/studies?offset={10**30}",
    ],
)
@pytest.mark.usefixtures("filled")
async def test_nothing_is_204_without_content(web: httpx.AsyncClient, path: str) -> None:
    response = await web.get(path)

    assert (response.status_code, response.content) == (204, b"")


async def test_names_of_every_character_set_are_found_and_written_in_utf_8(
    kept: Kept, web: httpx.AsyncClient
) -> None:
    names = {
        ("ISO_IR 192",): "Wang^XiaoDong=王^小东",
        ("", "ISO 2022 IR 87"): "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ("", "ISO 2022 IR 149"): "Hong^Gildong=洪^吉洞=홍^길동",
        ("ISO_IR 144",): "Жуков^Юля",
        ("GB18030",): "Wang^Da=王^大",
    }
    for number, (terms, name) in enumerate(names.items()):
        await kept.store(
            image(
                f"1.{number}",
                StudyInstanceUID=f"1.{number}",
                PatientID=f"P{number}",
                SpecificCharacterSet=list(terms),
                PatientName=name,
            )
        )

    for name in names.values():
        (match,) = await found(web, f"/studies?PatientName={quote(name)}")
        groups = match["00100010"]["Value"][0]
        assert [groups[one] for one in groups] == name.split("=")


# --- pages and warnings


def warnings(response: httpx.Response) -> list[str]:
    return response.headers.get_list("warning")


@pytest.mark.usefixtures("filled")
async def test_a_warning_says_how_many_more_there_are(web: httpx.AsyncClient) -> None:
    response = await web.get("/studies/1.2/instances?limit=1&offset=1")

    assert values(response.json(), "00080018") == ["1.2.3.2"]
    assert warnings(response) == [
        "299 http://archive: There are 1 additional results that can be requested"
    ]
    assert response.headers["x-total-count"] == "3"


@pytest.mark.usefixtures("filled")
async def test_the_last_page_has_no_warning(web: httpx.AsyncClient) -> None:
    response = await web.get("/studies/1.2/instances?limit=1&offset=2")

    assert values(response.json(), "00080018") == ["1.2.4.1"]
    assert warnings(response) == []
    assert response.headers["x-total-count"] == "3"


@pytest.mark.usefixtures("filled")
async def test_what_is_ignored_is_named_in_a_warning(web: httpx.AsyncClient) -> None:
    response = await web.get("/studies?colour=blue&00091001=x")

    assert response.status_code == 200
    assert warnings(response) == [
        "299 http://archive: These parameters are not supported and were ignored: colour, 00091001"
    ]


@pytest.mark.usefixtures("filled")
async def test_what_is_supported_is_not_warned_of(web: httpx.AsyncClient) -> None:
    response = await web.get(
        "/studies?fuzzymatching=true&emptyvaluematching=true&multiplevaluematching=true&PatientID=P*"
    )

    assert warnings(response) == []


class TestManyMatches:
    @pytest.fixture
    def limits(self) -> DicomwebConfig:
        return DicomwebConfig(max_results=250)

    @pytest.fixture
    async def many(self, kept: Kept) -> None:
        for number in range(300):
            await kept.store(image(f"1.2.3.{number + 1}", InstanceNumber=number))

    @pytest.mark.usefixtures("many")
    @pytest.mark.parametrize("asked", ["", "?limit=1000"])
    async def test_no_more_than_the_maximum_is_given(
        self, web: httpx.AsyncClient, asked: str
    ) -> None:
        response = await web.get(f"/instances{asked}")

        assert values(response.json(), "00200013") == list(range(250))
        assert warnings(response) == [
            "299 http://archive: There are 50 additional results that can be requested"
        ]
        assert "content-length" not in response.headers

    @pytest.mark.usefixtures("many")
    async def test_pages_put_together_are_the_whole(self, web: httpx.AsyncClient) -> None:
        numbers: list[Any] = []
        while (response := await web.get(f"/instances?limit=70&offset={len(numbers)}")).content:
            numbers += values(response.json(), "00200013")

        assert numbers == list(range(300))

    @pytest.mark.usefixtures("many")
    async def test_many_are_written_as_xml_too(self, web: httpx.AsyncClient) -> None:
        response = await web.get("/instances", headers={"accept": XML})

        assert len(parts_of(response)) == 250


# --- media types

XML = 'multipart/related; type="application/dicom+xml"'


def parts_of(response: httpx.Response) -> list[ET.Element]:
    """The data sets of a multipart answer, read without our own code."""
    kind = response.headers["content-type"]
    assert kind.startswith("multipart/related")
    boundary = re.search(r'boundary="?([^";]+)', kind)
    assert boundary is not None
    parts = response.content.split(f"--{boundary[1]}".encode())
    assert parts[-1].strip() == b"--"
    bodies = [part.split(b"\r\n\r\n", 1) for part in parts[1:-1]]
    assert all(b"application/dicom+xml" in head for head, _ in bodies)
    return [ET.fromstring(body) for _, body in bodies]


@pytest.mark.usefixtures("filled")
async def test_matches_are_written_as_xml(web: httpx.AsyncClient) -> None:
    response = await web.get("/studies?PatientID=P2", headers={"accept": XML})

    (model,) = parts_of(response)
    uids = model.findall(".//{*}DicomAttribute[@keyword='StudyInstanceUID']/{*}Value")
    families = model.findall(".//{*}DicomAttribute[@keyword='PatientName']//{*}FamilyName")
    assert [each.text for each in uids] == ["1.3"]
    assert [each.text for each in families] == ["Müller"]


@pytest.mark.usefixtures("filled")
async def test_plain_json_is_given_to_who_asks_for_it(web: httpx.AsyncClient) -> None:
    response = await web.get("/studies", headers={"accept": "application/json"})

    assert response.headers["content-type"] == "application/json"
    assert len(response.json()) == 2


@pytest.mark.usefixtures("filled")
async def test_what_cannot_be_given_is_refused(web: httpx.AsyncClient) -> None:
    response = await web.get("/studies", headers={"accept": "application/dicom"})

    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"


# --- instances of no patient


async def test_instances_of_no_patient_are_found_in_their_category(
    kept: Kept, web: httpx.AsyncClient
) -> None:
    absent = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"))
    await kept.store(
        image(
            "1.9",
            SOPClassUID="1.2.840.10008.5.1.4.38.1",
            HangingProtocolName="CHEST",
            HangingProtocolLevel="SITE",
            **absent,
        )
    )
    await kept.store(
        image(
            "1.10",
            SOPClassUID="1.2.840.10008.5.1.4.43.1",
            Manufacturer="ACME",
            ImplantName="HIP",
            **absent,
        )
    )

    (protocol,) = await found(web, "/hanging-protocols?HangingProtocolName=CH*")
    (template,) = await found(web, "/implant-templates?Manufacturer=ACME")

    assert protocol["00081190"]["Value"] == ["http://archive/hanging-protocols/1.9"]
    assert protocol["00720006"] == {"vr": "CS", "Value": ["SITE"]}
    assert set(protocol) == {"00080016", "00080018", "00080056", "00081190", "00720002", "00720006"}
    assert template["00081190"]["Value"] == ["http://archive/implant-templates/1.10"]
    assert template["00221095"]["Value"] == ["HIP"]
    for path in ("/hanging-protocols?HangingProtocolName=HEAD", "/inventories", "/studies"):
        assert (await web.get(path)).status_code == 204
    assert (await web.get("/wallpapers")).status_code == 404


async def test_a_key_of_patients_is_none_of_a_category(kept: Kept, web: httpx.AsyncClient) -> None:
    absent = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"))
    await kept.store(image("1.9", SOPClassUID="1.2.840.10008.5.1.4.39.1", **absent))

    response = await web.get("/color-palettes?PatientID=P1&includefield=all")

    assert values(response.json(), "00080018") == ["1.9"]
    assert "PatientID" in warnings(response)[0]


# --- whatever is asked


PATHS = [
    resource.path.format(study="1.2", series="1.2.3") for resource in search.RESOURCES
]  # every one there is
VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.sampled_from(["1", "*", "?", '""', "\\", "1\\2", "-", "20240101-", "=", "^", "*a*", "%"]),
)
NAMES = st.one_of(
    st.sampled_from(sorted(each.keyword for each in ATTRIBUTES.values())),
    st.sampled_from([f"RequestAttributesSequence.{word}" for word in ("AccessionNumber", "Rows")]),
    st.sampled_from(["limit", "offset", "fuzzymatching", "includefield", "emptyvaluematching"]),
    st.sampled_from(["multiplevaluematching", "accept", "charset"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(PATHS),
    pairs=st.lists(st.tuples(NAMES, VALUES), max_size=6),
    switches=st.sampled_from(["", "&fuzzymatching=true", "&multiplevaluematching=true"]),
)
async def test_any_query_is_answered_or_refused(
    served: httpx.AsyncClient, path: str, pairs: list[tuple[str, str]], switches: str
) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs) + switches

    response = await served.get(f"{path}?{query}")

    assert response.status_code in {200, 204, 400, 406}, response.text
    if response.status_code in {400, 406}:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"]


@pytest.fixture
async def served(filled: Kept, archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """Errors of ours are raised, not answered."""
    transport = httpx.ASGITransport(routing.application(archive, Config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client


@pytest.mark.parametrize(
    ("kept_in", "available"),
    [
        ("1.2.840.10008.1.2.1", ["1.2.840.10008.1.2.1"]),
        ("1.2.840.10008.1.2.4.80", ["1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.1"]),
        ("1.2.840.10008.1.2.4.102", ["1.2.840.10008.1.2.4.102"]),
    ],
)
async def test_the_transfer_syntaxes_that_can_be_had_are_told(
    kept: Kept, web: httpx.AsyncClient, kept_in: str, available: list[str]
) -> None:
    dataset = image()
    del dataset[0x7FE00010]
    await kept.begin(encoded(dataset), syntax=kept_in).finish()

    (match,) = await found(web, "/instances?includefield=AvailableTransferSyntaxUID")

    assert match["00083002"] == {"vr": "UI", "Value": available}
