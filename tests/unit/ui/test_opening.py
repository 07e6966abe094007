"""Opening a study in a viewer; URLs held against what the viewers' documentation shows."""

from collections.abc import AsyncIterator
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import Config, SettingsError, load
from isocenter.ui.application import application
from isocenter.viewers import Template, UiConfig
from made_instances import Kept, image

RADIANT = "RadiAnt=radiant://?n=pstv&v=0020000D&v=%22{study}%22"
OWN = "My viewer=https://viewer.example/{dicomweb}?p={patient}&i={issuer}&a={accession}&{base}"
ALL = UiConfig(viewers=("ohif", "weasis", "weasis-dicomweb", "slicer", RADIANT, OWN))


@pytest.fixture
async def with_all(archive: Archive, kept: Kept) -> AsyncIterator[httpx.AsyncClient]:
    await kept.store(
        image(StudyInstanceUID="8.1", PatientID="P 1&x=\"'/", AccessionNumber="A{study}%")
    )
    pages = application(archive, Config(ui=ALL), lambda: True)
    transport = httpx.ASGITransport(pages)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive:81") as client:
        yield client


async def opened(client: httpx.AsyncClient, viewer: str) -> str:
    answer = await client.get(f"/studies/8.1/open/{viewer}")
    assert answer.status_code == 303
    return answer.headers["location"]


async def test_weasis_is_sent_to_the_manifest(with_all: httpx.AsyncClient) -> None:
    url = await opened(with_all, "weasis")
    # As https://weasis.org/en/getting-started/weasis-protocol/ has it.
    assert url.startswith("weasis://%24dicom%3Aget%20-w%20%22http%3A%2F%2F")
    command = unquote(url.removeprefix("weasis://"))
    assert command == '$dicom:get -w "http://archive:81/weasis/manifest?studyUID=8.1"'


async def test_weasis_can_search_by_itself(with_all: httpx.AsyncClient) -> None:
    command = unquote((await opened(with_all, "weasis-dicomweb")).removeprefix("weasis://"))
    assert command == '$dicom:rs --url "http://archive:81/dicom-web" -r "studyUID=8.1"'


async def test_slicer_is_told_study_and_endpoint(with_all: httpx.AsyncClient) -> None:
    split = urlsplit(await opened(with_all, "slicer"))
    assert (split.scheme, split.netloc, split.path) == ("slicer", "viewer", "/")
    assert parse_qs(split.query) == {
        "studyUID": ["8.1"],
        "dicomweb_endpoint": ["http://archive:81/dicom-web"],
    }


async def test_values_in_a_url_of_ones_own_stay_values(with_all: httpx.AsyncClient) -> None:
    assert await opened(with_all, "RadiAnt") == "radiant://?n=pstv&v=0020000D&v=%228.1%22"
    split = urlsplit(await opened(with_all, "My%20viewer"))
    assert split.netloc == "viewer.example"
    assert unquote(split.path) == "/http://archive:81/dicom-web"
    assert parse_qs(split.query)["p"] == ["P 1&x=\"'/"]
    assert parse_qs(split.query)["a"] == ["A{study}%"]


async def test_ohif_opens_here(with_all: httpx.AsyncClient) -> None:
    assert await opened(with_all, "ohif") == "/ohif/viewer?StudyInstanceUIDs=8.1"


async def test_the_menu_shows_what_the_settings_name(
    with_all: httpx.AsyncClient, browser: httpx.AsyncClient, archive: Archive
) -> None:
    page = (await with_all.get("/studies/8.1")).text
    for key in ("ohif", "weasis", "weasis-dicomweb", "slicer", "RadiAnt", "My%20viewer"):
        assert f'href="/studies/8.1/open/{key}"' in page
    usual = (await browser.get("/studies/8.1")).text
    assert "/open/slicer" in usual
    assert "/open/ohif" not in usual  # it is not installed
    transport = httpx.ASGITransport(application(archive, Config(ui=UiConfig(viewers=()))))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        assert "/open/" not in (await client.get("/studies/8.1")).text
        assert "/open/" not in (await client.get("/")).text
        assert (await client.get("/studies/8.1/open/weasis")).status_code == 404


async def test_nothing_is_opened_that_is_not_there(with_all: httpx.AsyncClient) -> None:
    assert (await with_all.get("/studies/8.9/open/weasis")).status_code == 404
    assert (await with_all.get("/studies/8.1/open/horos")).status_code == 404


@pytest.mark.parametrize(
    "viewer",
    [
        "horos",
        "Bad=javascript:alert(1)",
        "Bad=data:text/html,x",
        "Bad=//viewer.example/{study}",
        "Bad=https://viewer.example/{name}",
        "Bad=https://viewer.example/{study!r}",
        "Bad=https://viewer.example/{study.real}",
        "Bad=https://viewer.example/{0}",
        "Bad=https://viewer.example/{study",
        'Bad=https://viewer.example/" onclick="',
        "Bad/er=https://viewer.example/",
        "=https://viewer.example/",
        "weasis,weasis",
    ],
)
def test_a_viewer_that_cannot_be_is_told_at_the_start(viewer: str) -> None:
    with pytest.raises(SettingsError, match=r"ui\.viewers"):
        load(environ={"ISOCENTER_UI__VIEWERS": viewer})


def test_viewers_of_ones_own_are_read_from_the_settings() -> None:
    config = load(environ={"ISOCENTER_UI__VIEWERS": f"weasis,{RADIANT}"})
    assert config.ui.viewers == ("weasis", RADIANT)
    assert Template.read(RADIANT).filled({"study": "1.2"}).endswith("v=%221.2%22")
