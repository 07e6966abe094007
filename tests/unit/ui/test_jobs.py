"""Sending from a study's page, and the pages that tell how far jobs are."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from isocenter.address import Address
from isocenter.archive.archive import Archive
from isocenter.archive.job_rules import Patience
from isocenter.archive.send_requests import SendRequest
from isocenter.config import Config
from isocenter.storage.job_records import Fate, Job, JobState, Settled
from isocenter.ui.application import application
from isocenter.ui.jobs import PAGE, STATES
from made_instances import Kept, image

PEERS = (Address("STORESCP", "127.0.0.1", 104), Address("OTHER&<b>", "::1", 11112))
JOBS = "/administration/jobs"
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def browser(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    pages = application(archive, Config(peer=PEERS))
    transport = httpx.ASGITransport(pages, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client


@pytest.fixture
async def study(kept: Kept) -> str:
    for series in ("9.1.1", "9.1.2"):
        attributes = {"StudyInstanceUID": "9.1", "SeriesInstanceUID": series}
        await kept.store(image(f"{series}.1", SeriesDescription="<i>Axial", **attributes))
    return "/studies/9.1"


async def newest(archive: Archive) -> Job:
    return (await archive.jobs.page(1))[0]


async def enqueue(archive: Archive, count: int = 1) -> list[Job]:
    return [
        await archive.jobs.enqueue("send", {}, asked_by="<script>alert(1)</script>")
        for _ in range(count)
    ]


async def test_the_form_lists_peers_and_series(browser: httpx.AsyncClient, study: str) -> None:
    page = (await browser.get(f"{study}/send?series=9.1.2")).text

    assert f'href="{study}/send?of=' in (await browser.get(study)).text
    assert 'value="STORESCP"' in page
    assert 'value="OTHER&amp;&lt;b&gt;"' in page
    assert "&lt;i&gt;Axial" in page
    assert re.findall(r'value="(9[.\d]+)" checked', page) == ["9.1.2"]


async def test_a_study_is_sent_by_a_job_of_which_its_page_tells(
    browser: httpx.AsyncClient, archive: Archive, study: str
) -> None:
    answer = await browser.post(f"{study}/send", data={"peer": "STORESCP"})

    job = await newest(archive)
    (handle,) = job.request["handles"]
    place = f"{study}?of={handle}&sent={job.number}"
    assert (answer.status_code, answer.headers["location"]) == (303, place)
    assert job.kind == "send"
    assert job.asked_by == "127.0.0.1"
    assert (job.request["peer"], job.request["studies"]) == ("STORESCP", ["9.1"])
    assert (job.request["series"], job.request["instances"]) == ([], [])
    told = await browser.get(answer.headers["location"])
    assert f'href="{JOBS}/{job.number}"' in told.text
    assert "STORESCP" in told.text


async def test_of_two_patients_with_one_uid_one_is_sent(
    browser: httpx.AsyncClient, archive: Archive, kept: Kept
) -> None:
    uids = {"StudyInstanceUID": "9.5", "SeriesInstanceUID": "9.5.1"}
    for number, patient in enumerate(("P1", "P2")):
        await kept.store(image(f"9.5.1.{number}", PatientID=patient, **uids))
    links = re.findall(r'href="(/studies/9.5\?of=\w+)"', (await browser.get("/studies/9.5")).text)

    sent = []
    for link in links:
        await browser.post(link.replace("?", "/send?"), data={"peer": "STORESCP"})
        chosen = SendRequest.read((await newest(archive)).request).selection
        sent += [each.sop_instance_uid async for page in archive.instances(chosen) for each in page]

    assert sorted(sent) == ["9.5.1.0", "9.5.1.1"]
    assert len(links) == 2


async def test_series_are_sent_alone_if_they_are_chosen(
    browser: httpx.AsyncClient, archive: Archive, study: str
) -> None:
    await browser.post(f"{study}/send", data={"peer": "STORESCP", "series": ["9.1.2", "9.1.2"]})

    assert (await newest(archive)).request["series"] == ["9.1.2"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/studies/9.1/send", "peer=NOBODY", 400),
        ("/studies/9.1/send", "", 400),
        ("/studies/9.1/send", "peer=STORESCP&series=9.9", 400),
        ("/studies/9.9/send", "peer=STORESCP", 404),
        ("/studies/*/send", "peer=STORESCP", 404),
        ("/studies/9.1/send", "peer=%ff", 400),
        (f"{JOBS}/1/cancel", "", 404),
        (f"{JOBS}/x/retry", "", 404),
        (f"{JOBS}/{'9' * 30}/retry", "", 404),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    browser: httpx.AsyncClient, archive: Archive, study: str, path: str, body: str, status: int
) -> None:
    answer = await browser.post(path, content=body, headers=FORM)

    assert answer.status_code == status
    assert await archive.jobs.page(1) == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{JOBS}?state=running", 200),
        (f"{JOBS}?state=nonsense", 400),
        (f"{JOBS}?after=1-1", 200),
        (f"{JOBS}?after=x", 400),
        (f"{JOBS}?after={'9' * 40}-1", 400),
        (f"{JOBS}/4711", 404),
        (f"{JOBS}/-1", 404),
        (f"{JOBS}/%C2%B2", 404),
        ("/studies/9.1?sent=4711", 200),
        ("/studies/9.1?sent=x", 200),
        ("/studies/9.9/send", 404),
    ],
)
async def test_an_address_is_answered_or_refused(
    browser: httpx.AsyncClient, study: str, path: str, status: int
) -> None:
    assert (await browser.get(path)).status_code == status


async def test_without_a_peer_the_form_says_so(archive: Archive, study: str) -> None:
    transport = httpx.ASGITransport(application(archive, Config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as browser:
        page = await browser.get(f"{study}/send")

    assert "No peer is known" in page.text
    assert "<select" not in page.text


async def test_pages_of_jobs_follow_each_other(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    numbers = [each.number for each in await enqueue(archive, PAGE + 3)]

    first = (await browser.get(JOBS)).text
    older = re.search(r'href="([^"]*after=[^"]*)"', first)
    assert older is not None
    await enqueue(archive)
    second = (await browser.get(older[1])).text

    shown = [int(each) for each in re.findall(r'id="job-(\d+)"', first + second)]
    assert shown == numbers[::-1]
    assert "Older jobs" not in second
    assert "<script>alert" not in first


async def test_jobs_are_shown_by_state_with_how_many_there_are(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    canceled, waiting = await enqueue(archive, 2)
    await archive.jobs.cancel(canceled.number)

    page = (await browser.get(f"{JOBS}?state=canceled", headers={"HX-Request": "true"})).text

    assert re.findall(r'id="job-(\d+)"', page) == [str(canceled.number)]
    counts = re.findall(r'>(\w+) <span class="second">(\d+)</span></a>', page)
    assert dict(counts) == {
        **dict.fromkeys(STATES.values(), "0"),
        "All": "2",
        "Waiting": "1",
        "Canceled": "1",
    }
    assert waiting.state is JobState.WAITING


async def test_a_job_is_canceled_and_tried_again_by_forms(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    (job,) = await enqueue(archive)

    canceled = await browser.post(f"{JOBS}/{job.number}/cancel", data={"state": "waiting"})
    again = await browser.post(f"{JOBS}/{job.number}/cancel", data={"state": "x"})
    retried = await browser.post(f"{JOBS}/{job.number}/retry", data={"from": "job"})

    assert (canceled.status_code, canceled.headers["location"]) == (303, f"{JOBS}?state=waiting")
    assert again.status_code == 409
    assert (retried.status_code, retried.headers["location"]) == (303, f"{JOBS}/{job.number}")
    assert (await archive.jobs.find(job.number)).state is JobState.WAITING


async def test_a_jobs_page_says_what_went_wrong(
    browser: httpx.AsyncClient, archive: Archive
) -> None:
    await enqueue(archive)
    job = await archive.jobs.claim("a", Patience())
    assert job is not None
    await archive.jobs.tell_total(job, 2)
    trouble = Settled("1.2.3", Fate.FAILED, reason="status A900: <i>other class")
    await archive.jobs.finish(job, [Settled("1.2.4", Fate.DONE, 1000), trouble], "refused <b>")

    page = (await browser.get(f"{JOBS}/{job.number}")).text

    assert "refused &lt;b&gt;" in page
    assert "status A900: &lt;i&gt;other class" in page
    assert "1.2.3" in page
    assert "1.2.4" not in page
    assert 'max="2" value="1"' in page
    assert "Jobs that failed: 1." in (await browser.get("/dashboard")).text
    assert f'action="{JOBS}/{job.number}/retry"' in page


async def test_each_state_of_a_job_is_among_the_patterns(browser: httpx.AsyncClient) -> None:
    page = (await browser.get("/patterns")).text

    for state in STATES:
        assert f'class="state {state}"' in page
    assert "&lt;b&gt;the data set" in page
