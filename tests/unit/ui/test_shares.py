"""Sharing a study: whoever has the link sees that study, and nothing else, until it ends."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.dicomweb import routing
from isocenter.ui.application import application
from isocenter.viewers import UiConfig
from made_instances import Kept, image
from made_waveforms import electrocardiogram

STUDY, OTHER = "5.1", "5.2"
DAY = 24 * 3600


@pytest.fixture
async def reader(archive: Archive, kept: Kept) -> AsyncIterator[httpx.AsyncClient]:
    """Asks for pages whose pictures the real web services make."""
    for study in (STUDY, OTHER):
        for series in ("1", "2"):
            await put(kept, study, series)
    async with asking(archive) as client:
        yield client


async def put(kept: Kept, study: str, series: str, **attributes: object) -> None:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}"}
    pixels = {
        "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 0,
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "WindowCenter": 100, "WindowWidth": 200,
    }  # fmt: skip
    await kept.store(image(f"{study}.{series}.1", **{**uids, **pixels, **attributes}))


def asking(archive: Archive, config: Config | None = None) -> httpx.AsyncClient:
    config = config or Config()
    pages = application(archive, config, web_services=routing.application(archive, config))
    return httpx.AsyncClient(transport=httpx.ASGITransport(pages), base_url="http://archive")


async def share(client: httpx.AsyncClient, **given: str) -> str:
    """Make a link by the form; return its path."""
    answer = await client.post(f"/studies/{STUDY}/share", data={"days": "7", **given})
    assert answer.status_code == 200
    found = re.search(r'value="http://archive(/shared/[A-Za-z0-9_-]{43})"', answer.text)
    assert found is not None
    return found[1]


def below(link: str) -> list[str]:
    """Everything that a link's page asks for, of the first series."""
    series = f"{link}/series/{STUDY}.1"
    instance = f"{series}/instances/{STUDY}.1.1"
    return [
        link,
        f"{link}?series={STUDY}.2",
        f"{series}/images",
        f"{series}/thumbnail?viewport=128,128",
        f"{instance}/frames/1/rendered?window=100,200,linear",
        f"{instance}/rendered",
        f"{instance}/thumbnail",
        f"{instance}/metadata",
    ]


async def test_a_link_shows_the_study_with_all_it_needs(reader: httpx.AsyncClient) -> None:
    link = await share(reader)

    answers = {path: await reader.get(path) for path in below(link)}

    assert {path: each.status_code for path, each in answers.items()} == dict.fromkeys(answers, 200)
    page = answers[link].text
    assert "Doe, Jane" in page
    assert f'data-series="{link}/series/{STUDY}.1"' in page
    assert "/studies/" not in page.replace('action="/preferences"', "")
    assert "/dicom-web" not in page
    kinds = [each.headers["content-type"] for each in answers.values()]
    assert kinds[2:6] == ["application/json", "image/jpeg", "image/jpeg", "image/jpeg"]


async def test_nothing_tells_others_of_a_link(reader: httpx.AsyncClient) -> None:
    link = await share(reader, download="yes")
    for path in [*below(link), f"{link}/download", f"{link}/series/5.9/images"]:
        answer = await reader.get(path)
        assert answer.headers.get_list("referrer-policy") == ["same-origin"], path
        assert "noindex" in answer.headers["x-robots-tag"]
        cached = answer.headers["cache-control"]
        assert "no-store" in cached or ("private" in cached and "no-cache" in cached)


async def test_the_pictures_say_nobodys_name_and_take_no_other_demands(
    reader: httpx.AsyncClient,
) -> None:
    link = await share(reader)
    path = f"{link}/series/{STUDY}.1/instances/{STUDY}.1.1/metadata"
    told = (await reader.get(path, params={"includefield": "00100010"})).json()
    assert "00281050" in told[0]
    assert not {"00100010", "00100020"} & set(told[0])


@pytest.mark.parametrize(
    "path",
    [
        "/series/5.2.1/images",
        "/series/5.2.1/thumbnail",
        "/series/5.2.1/instances/5.2.1.1/rendered",
        "/series/5.1.1/instances/5.2.1.1/rendered",
        "/series/5.1.1/instances/5.2.1.1/frames/1/rendered",
        "/series/5.1.1/instances/5.2.1.1/metadata",
        "/series/5.1.1/instances/5.1.2.1/thumbnail",
        "?series=5.2.1",
        "/series/5.1.1/instances/5.1.1.1/attributes",
        "/series/5.1.1/instances/5.1.1.1/bulkdata",
        "/series/5.1.1/instances/..%2f..%2f5.2.1%2finstances%2f5.2.1.1/rendered",
        "/series/../../../studies/5.2/thumbnail",
        "/series/5.1.1%2f..%2f5.2.1/thumbnail",
        "/series/*/images",
        "/series/5.1.1/instances/5.1.1.1/frames/1%2F..%2F..%2Fmetadata/rendered",
    ],
)
async def test_a_link_shows_no_other_study(reader: httpx.AsyncClient, path: str) -> None:
    link = await share(reader, download="yes")
    answer = await reader.get(f"{link}{path}")
    assert answer.status_code in (400, 404)


async def test_a_link_of_a_series_shows_that_alone(reader: httpx.AsyncClient) -> None:
    link = await share(reader, series=f"{STUDY}.2", download="yes")

    page = await reader.get(link)

    assert f"{STUDY}.1" not in page.text.replace(f"{STUDY}.2", "")
    assert (await reader.get(f"{link}/series/{STUDY}.2/images")).status_code == 200
    for path in (f"?series={STUDY}.1", f"/series/{STUDY}.1/images", f"/series/{STUDY}.1/thumbnail"):
        assert (await reader.get(f"{link}{path}")).status_code == 404
    zipped = (await reader.get(f"{link}/download")).content
    assert zipped.count(b"PK\x01\x02") == 1


async def test_it_is_downloaded_only_where_that_is_allowed(reader: httpx.AsyncClient) -> None:
    closed, opened = await share(reader), await share(reader, download="yes")

    refused = await reader.get(f"{closed}/download")
    given = await reader.get(f"{opened}/download")

    assert refused.status_code == 403
    assert "/download" not in (await reader.get(closed)).text
    assert f"{opened}/download" in (await reader.get(opened)).text
    assert given.headers["content-type"] == "application/zip"
    assert given.content.count(b"PK\x01\x02") == 2  # entries of the directory


async def test_a_revoked_link_shows_nothing(reader: httpx.AsyncClient, archive: Archive) -> None:
    link = await share(reader, download="yes", label="For the tumour board")
    (held,) = await archive.shares.listed(STUDY)

    answer = await reader.post(f"/shares/{held.number}/revoke", data={"study": STUDY})

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/studies/{STUDY}/share"
    for path in [*below(link), f"{link}/download"]:
        refused = await reader.get(path)
        assert refused.status_code == 404
        assert "Doe" not in refused.text
    assert "revoked" in (await reader.get("/shares")).text


async def test_a_link_ends(reader: httpx.AsyncClient, archive: Archive) -> None:
    token = await archive.shares.create(STUDY, lifetime=0.000_001)
    for path in below(f"/shared/{token}"):
        assert (await reader.get(path)).status_code == 404
    assert "expired" in (await reader.get("/shares")).text


async def test_what_never_was_and_what_ended_look_alike(
    reader: httpx.AsyncClient, archive: Archive
) -> None:
    ended = await archive.shares.create(STUDY, lifetime=0.000_001)
    texts = []
    for token in (ended, "A" * 43, "short", "A" * 42 + "é"):
        answer = await reader.get(f"/shared/{token}")
        assert answer.status_code == 404
        texts.append(re.sub(r'name="back" value="[^"]*"', "", answer.text))
    assert len(set(texts)) == 1


async def test_a_study_that_two_patients_have_is_not_shared(
    reader: httpx.AsyncClient, archive: Archive, kept: Kept
) -> None:
    link = await share(reader)
    await put(kept, STUDY, "9", PatientID="SOMEBODY-ELSE", PatientName="Roe^Richard")

    for path in below(link):
        assert (await reader.get(path)).status_code == 404
    answer = await reader.post(f"/studies/{STUDY}/share", data={"days": "7"})
    assert answer.status_code == 409


async def test_a_study_that_is_gone_is_not_shown(
    reader: httpx.AsyncClient, archive: Archive
) -> None:
    from isocenter.storage.records import Selection

    link = await share(reader)
    await archive.removals.remove(Selection(studies=(STUDY,)))
    for path in below(link):
        assert (await reader.get(path)).status_code == 404


async def test_the_index_keeps_no_token(reader: httpx.AsyncClient, archive: Archive) -> None:
    link = await share(reader, label="A", by="Dr. Who")
    token = link.removeprefix("/shared/")

    rows = archive.index._run(__import__("sqlalchemy").text("SELECT * FROM share"))

    assert len(rows) == 1
    assert token not in str(rows)
    page = await reader.get(f"/studies/{STUDY}/share")
    assert token not in page.text
    assert "Dr. Who" in page.text


async def test_uses_are_counted(reader: httpx.AsyncClient, archive: Archive) -> None:
    link = await share(reader)
    for path in below(link):
        await reader.get(path)
    (held,) = await archive.shares.listed()
    assert held.uses == 2  # pages, not pictures
    assert held.used_at >= held.created_at


async def test_no_link_lasts_longer_than_the_setting_allows(archive: Archive, kept: Kept) -> None:
    await put(kept, STUDY, "1")
    async with asking(archive, Config(ui=UiConfig(longest_share=8 * DAY))) as client:
        page = (await client.get(f"/studies/{STUDY}/share")).text
        assert 'value="7"' in page
        assert 'value="30"' not in page
        refused = await client.post(f"/studies/{STUDY}/share", data={"days": "30"})
        assert refused.status_code == 400
    async with asking(archive, Config(ui=UiConfig(longest_share=60))) as client:
        await share(client, days="1")
    (held,) = await archive.shares.listed()
    assert held.expires_at - held.created_at == 60_000_000


@pytest.mark.parametrize(
    "given",
    [
        {"days": "x"},
        {"days": "7", "label": "x" * 101},
        {"days": "7", "series": "*"},
        {"label": "x"},
    ],
    ids=str,
)
async def test_a_form_that_is_wrong_makes_no_link(
    reader: httpx.AsyncClient, archive: Archive, given: dict[str, str]
) -> None:
    assert (await reader.post(f"/studies/{STUDY}/share", data=given)).status_code == 400
    assert await archive.shares.listed() == []


async def test_a_series_of_another_study_is_not_shared(reader: httpx.AsyncClient) -> None:
    given = {"days": "7", "series": f"{OTHER}.1"}
    assert (await reader.post(f"/studies/{STUDY}/share", data=given)).status_code == 404
    assert (await reader.post("/studies/5.9/share", data={"days": "7"})).status_code == 404
    assert (await reader.post("/shares/12345/revoke", data={"study": STUDY})).status_code == 404


async def test_a_shared_recording_is_drawn_and_names_nobody(
    reader: httpx.AsyncClient, kept: Kept
) -> None:
    uids = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.3"}
    await kept.store(electrocardiogram(2, SOPInstanceUID=f"{STUDY}.3.1", **uids))
    link = await share(reader)

    path = f"{link}/series/{STUDY}.3/instances/{STUDY}.3.1/rendered?annotation=patient"
    drawing = await reader.get(path)

    assert drawing.headers["content-type"] == "image/svg+xml"
    assert "Doe" not in drawing.text
    assert 'href="/studies' not in (await reader.get(f"{link}?series={STUDY}.3")).text
