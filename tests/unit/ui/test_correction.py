"""Correcting patient data by the pages: form, preview, done, undone."""

import re

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.archive.correction import FIELDS
from isocenter.config import Config, HttpConfig
from isocenter.ui.application import application
from made_instances import Kept, image

CORRECT = "/studies/9.1/correct"


async def put(kept: Kept, study: str = "9.1", number: int = 1, **attributes: object) -> None:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}
    await kept.store(image(f"{study}.1.{number}", **{**uids, **attributes}))


def hidden(page: str) -> dict[str, str]:
    """What a page sends on."""
    own = page[page.index("<main") :]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', own))


async def decided(browser: httpx.AsyncClient, **entered: str) -> dict[str, str]:
    """What a page sends on whose reader has seen the preview, and says yes."""
    said = {"reason": "mixed up", **entered}
    preview = await browser.post(CORRECT, data={**said, "step": "preview"})
    assert preview.status_code == 200, preview.text
    return {**hidden(preview.text), "step": "apply"}


async def apply(browser: httpx.AsyncClient, **entered: str) -> httpx.Response:
    return await browser.post(CORRECT, data=await decided(browser, **entered))


async def test_the_form_has_what_is_there(browser: httpx.AsyncClient, kept: Kept) -> None:
    await put(kept, PatientBirthDate="19700131", InstitutionName="<b>House")

    page = (await browser.get(CORRECT)).text

    assert 'name="PatientName" value="Doe^Jane"' in page
    assert 'name="PatientBirthDate" value="1970-01-31"' in page
    assert "&lt;b&gt;House" in page
    assert f'href="{CORRECT}?of=' in (await browser.get("/studies/9.1")).text


@pytest.mark.parametrize(
    "came",
    [
        {"PatientBirthDate": "00000000"},
        {"PatientBirthDate": "19700230", "StudyTime": "2460"},
        {"AccessionNumber": "12345678901234567", "PatientSex": "U"},
        {"PatientID": ""},
    ],
)
async def test_what_came_wrong_and_is_left_alone_is_in_nobodys_way(
    browser: httpx.AsyncClient, kept: Kept, came: dict[str, str]
) -> None:
    await put(kept, **came)
    form = (await browser.get(CORRECT)).text
    sent = dict(re.findall(r'<input id="\w+" name="(\w+)" value="([^"]*)"', form))
    sent["PatientSex"] = came.get("PatientSex", "")
    assert len(sent) == len(FIELDS)

    done = await apply(browser, **{**sent, "PatientName": "Roe^Richard"})

    assert done.status_code == 303
    page = (await browser.get("/studies/9.1")).text
    assert "<h1>Roe, Richard</h1>" in page


async def test_a_preview_changes_nothing(browser: httpx.AsyncClient, kept: Kept) -> None:
    await put(kept)
    await put(kept, number=2)

    page = await browser.post(
        CORRECT, data={"PatientName": "Roe^<Richard>", "reason": "mixed up", "step": "preview"}
    )

    assert "Roe^&lt;Richard&gt;" in page.text
    assert "Studies: 1 · Instances: 2" in page.text
    assert "Doe, Jane" in (await browser.get("/studies/9.1")).text


async def test_what_is_corrected_is_shown_and_can_be_undone(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)

    done = await apply(browser, PatientName="Roe^Richard", PatientID="4711")

    assert done.status_code == 303
    assert done.headers["location"] == "/studies/9.1#corrections"
    page = (await browser.get("/studies/9.1")).text
    assert "<h1>Roe, Richard</h1>" in page
    assert "mixed up" in page
    assert "Doe^Jane" in page  # what was there before
    assert "Doe" not in (await browser.get("/")).text
    (action,) = re.findall(r'name="action" value="(\w+)"', page)

    undone = await browser.post("/studies/9.1/corrections/undo", data={"action": action})

    assert undone.status_code == 303
    page = (await browser.get("/studies/9.1")).text
    assert "<h1>Doe, Jane</h1>" in page
    assert "undone" in page
    assert 'name="action"' not in page
    again = await browser.post("/studies/9.1/corrections/undo", data={"action": action})
    assert again.status_code == 404


async def test_all_studies_of_a_patient_and_of_no_other(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    await put(kept, "9.2")
    await put(kept, "9.3", PatientID="P2")

    await apply(browser, PatientName="Roe^Richard", scope="patient")

    names = [(await browser.get(f"/studies/9.{each}")).text for each in (1, 2, 3)]
    assert ["<h1>Roe, Richard</h1>" in each for each in names] == [True, True, False]


async def test_who_would_become_one_with_another_patient_is_told(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    await put(kept, "9.2", PatientID="P2", PatientName="Roe^Richard", PatientSex="M")

    page = await browser.post(
        CORRECT, data={"PatientID": "P2", "reason": "mixed up", "step": "preview"}
    )

    assert "They will be one" in page.text
    assert "Roe, Richard" in page.text
    assert re.search(r"they differ in:\s*Patient&#39;s Name, Patient&#39;s Sex", page.text)


@pytest.mark.parametrize(
    ("entered", "told"),
    [
        ({"PatientBirthDate": "1970-13-01"}, "a date"),
        ({"StudyTime": "25:00"}, "a time"),
        ({"AccessionNumber": "x" * 17}, "longer than 16"),
        ({"PatientName": "x" * 65}, "longer than 64"),
        ({"PatientName": "a^b^c^d^e^f"}, "five parts"),
        ({"PatientID": ""}, "cannot be taken away"),
        ({"PatientID": "a\\b"}, "backslash"),
        ({"PatientID": "a\tb"}, "not printed"),
        ({"PatientSex": "X"}, "F, M, O"),
        ({"PatientName": "Doe^Jane"}, "nothing was changed"),
        ({"PatientName": "Roe", "reason": " "}, "reason"),
        ({"StudyID": "7", "scope": "patient"}, "one study"),
    ],
)
async def test_what_is_no_value_is_told_and_what_was_entered_stays(
    browser: httpx.AsyncClient, kept: Kept, entered: dict[str, str], told: str
) -> None:
    await put(kept)

    page = await browser.post(CORRECT, data={"reason": "why", "step": "apply", **entered})

    assert page.status_code == 400
    assert re.search(rf'role="alert">[^<]*{told}', page.text)
    for keyword, value in entered.items():
        if value.isprintable() and keyword.startswith(("Patient", "Acc")):
            assert value in page.text


async def test_what_another_corrected_meanwhile_is_not_written_over(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    preview = await browser.post(
        CORRECT, data={"PatientName": "Roe", "reason": "why", "step": "preview"}
    )
    await apply(browser, PatientName="Poe")

    late = await browser.post(CORRECT, data={**hidden(preview.text), "step": "apply"})

    assert late.status_code == 409
    assert "something changed meanwhile" in late.text
    assert "<h1>Poe</h1>" in (await browser.get("/studies/9.1")).text
    again = await browser.post(CORRECT, data={**hidden(late.text), "step": "apply"})
    assert again.status_code == 303
    assert "<h1>Roe</h1>" in (await browser.get("/studies/9.1")).text


async def test_what_two_want_alike_is_done_once_and_the_other_is_told(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    said = await decided(browser, PatientName="Roe")
    await apply(browser, PatientName="Roe")

    late = await browser.post(CORRECT, data=said)

    assert late.status_code == 409
    assert "says this already" in late.text
    assert 'name="PatientName" value="Roe"' in late.text


async def test_what_is_sent_twice_is_not_told_as_not_done(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    said = await decided(browser, PatientID="P3", PatientName="Roe")

    answers = [await browser.post(CORRECT, data=said) for _ in range(2)]

    assert [each.status_code for each in answers] == [303, 409]
    assert "says this already" in answers[1].text


async def test_who_is_late_for_a_study_that_was_moved_sees_where_it_is_and_enters_anew(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    said = await decided(browser, PatientID="P3", PatientName="Roe")
    await apply(browser, PatientID="P2")

    late = await browser.post(CORRECT, data=said)

    assert late.status_code == 409
    assert "something changed meanwhile" in late.text
    assert 'name="PatientID" value="P2"' in late.text
    assert 'name="PatientName" value="Doe^Jane"' in late.text


async def test_a_study_of_two_patients_is_corrected_for_the_one_that_is_named(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    await put(kept, number=2, PatientID="P2", PatientName="Roe")

    assert (await browser.get(CORRECT)).status_code == 409
    choice = (await browser.get("/studies/9.1")).text
    for place in re.findall(r'href="(/studies/9.1\?of=\w+)"', choice):
        page = (await browser.get(place)).text
        (link,) = re.findall(rf'href="({CORRECT}\?of=\w+)"', page)
        assert (await browser.get(link)).status_code == 200


async def test_of_two_patients_one_is_brought_to_the_other(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept, PatientID="P1")
    await put(kept, number=2, PatientID="P2", PatientName="Roe")
    rows = re.findall(r'href="/studies/9.1\?(of)=(\w+)">([^<]+)<', (await browser.get("/")).text)
    (of,) = [{name: handle} for name, handle, patient in rows if patient == "Roe"]

    answer = await apply(browser, **of, PatientID="P1", PatientName="Doe^Jane")

    assert answer.status_code == 303
    former = await browser.get(f"/studies/9.1?of={of['of']}")
    assert (former.status_code, "moved to another patient" in former.text) == (404, True)
    page = await browser.get("/studies/9.1")
    assert 'href="/studies/9.1"' in former.text
    assert (page.status_code, "Another patient" in page.text) == (200, False)
    (images,) = re.findall(r'data-images="([^"]+)"', page.text)
    assert len((await browser.get(images)).json()) == 2


async def test_where_the_settings_forbid_it_there_is_no_form(archive: Archive, kept: Kept) -> None:
    await put(kept)
    pages = application(archive, Config(http=HttpConfig(correction="never")))
    transport = httpx.ASGITransport(pages, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as browser:
        assert (await browser.get(CORRECT)).status_code == 403
        assert (await browser.post(CORRECT, data={"PatientName": "Roe"})).status_code == 403
        undo = await browser.post("/studies/9.1/corrections/undo", data={"action": "x"})
        assert undo.status_code == 403
        assert CORRECT not in (await browser.get("/studies/9.1")).text


async def test_the_attributes_tell_what_is_corrected_and_what_came(
    browser: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept)
    await apply(browser, PatientName="Roe", PatientSex="F")
    await apply(browser, PatientName="Poe")

    page = (await browser.get("/studies/9.1/series/9.1.1/instances/9.1.1.1/attributes")).text

    told = re.findall(r'<td>([^<]*) <span class="original">corrected; came as: ([^<]*)<', page)
    assert told == [("Poe", "Doe^Jane"), ("F", "(none)")]
