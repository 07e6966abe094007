"""Removing by the pages, what they tell of it, and putting it back."""

import re

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import Config, DicomwebConfig
from isocenter.ui.application import application
from made_instances import Kept, image

SCRIPT = "<script>alert(1)</script>"


async def fill(kept: Kept) -> None:
    for number in (1, 2):
        uids = {"StudyInstanceUID": "9.1", "SeriesInstanceUID": f"9.1.{number}"}
        await kept.store(image(f"9.1.{number}.1", PatientName=f"{SCRIPT}^A", **uids))


async def remove(browser: httpx.AsyncClient, **fields: str) -> str:
    """Remove and give the address of the removal."""
    sent = {"what": "study", "reason": "blurred", **fields}
    answer = await browser.post("/studies/9.1/remove", data=sent)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


async def test_a_study_is_removed_with_a_reason_and_put_back(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await fill(kept)
    place = await remove(browser, code="113037")

    gone = await browser.get("/studies/9.1")
    assert gone.status_code == 410
    assert "Rejected for Patient Safety Reasons: blurred" in gone.text
    assert SCRIPT not in gone.text
    assert (
        "No studies" in (await browser.get("/")).text
        or "no studies" in (await browser.get("/")).text
    )
    listed = await browser.get("/administration/removed")
    assert place in listed.text

    back = await browser.post(f"{place}/restore", data={})
    assert (back.status_code, back.headers["location"]) == (303, place)
    assert "Put back" in (await browser.get(place)).text
    assert (await browser.get("/studies/9.1")).status_code == 200


async def test_a_series_is_removed_alone(browser: httpx.AsyncClient, kept: Kept) -> None:
    await fill(kept)
    form = await browser.get("/studies/9.1/remove?series=9.1.2")
    assert re.search(r'value="9.1.2" checked', form.text)

    await remove(browser, what="series", series="9.1.2")

    page = (await browser.get("/studies/9.1")).text
    assert "9.1.1" in page
    assert "9.1.2" not in page


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reason": "x", "series": "9.1.1"}, "Say what is to go."),
        ({"what": "study"}, "Say why."),
        ({"what": "series", "reason": "x"}, "Choose the series that are to go."),
        ({"what": "study", "code": "1"}, "there is no such reason"),
    ],
)
async def test_nothing_goes_without_a_reason_and_a_choice(
    browser: httpx.AsyncClient, kept: Kept, fields: dict[str, str], told: str
) -> None:
    await fill(kept)
    answer = await browser.post("/studies/9.1/remove", data=fields)
    assert answer.status_code == 400
    assert told in answer.text
    assert len(await kept.refs("9.1")) == 2


async def test_it_is_deleted_for_good_when_that_is_said_twice(
    browser: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await fill(kept)
    place = await remove(browser)

    unsure = await browser.post(f"{place}/purge", data={"sure": ""})
    assert (unsure.status_code, len(list(archive.store.all_keys()))) == (400, 2)
    sure = await browser.post(f"{place}/purge", data={"sure": "yes"})

    assert (sure.status_code, list(archive.store.all_keys())) == (303, [])
    page = (await browser.get(place)).text
    assert "Deleted for good" in page
    assert "alert(1)" not in page
    assert (await browser.post(f"{place}/restore", data={})).status_code == 409
    assert (await browser.get("/studies/9.1")).status_code == 404


async def test_who_may_not_remove_is_not_offered_it(archive: Archive, kept: Kept) -> None:
    await fill(kept)
    config = Config(dicomweb=DicomwebConfig(removal="never"))
    transport = httpx.ASGITransport(application(archive, config), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        assert "/studies/9.1/remove" not in (await client.get("/studies/9.1")).text
        assert (await client.get("/studies/9.1/remove")).status_code == 403
        sent = {"what": "study", "reason": "x"}
        assert (await client.post("/studies/9.1/remove", data=sent)).status_code == 403
        assert (await client.post("/administration/removed/1/purge")).status_code == 403
    assert len(await kept.refs("9.1")) == 2
