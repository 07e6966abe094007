"""Pages hear what happens, in whatever order they come and go."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from isocenter.archive.archive import Archive
from isocenter.archive.live import MOST_WAITING
from isocenter.config import Config
from isocenter.storage.records import Selection
from isocenter.ui import arrivals, events
from isocenter.ui.application import application
from made_instances import Kept, image

PATIENCE = 20.0


class Page:
    """A page that is open: what it was told."""

    def __init__(self) -> None:
        self.text = ""
        self.is_closed = False
        self.has_changed = asyncio.Event()
        self.may_send = asyncio.Event()
        self.may_send.set()

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.text += message["body"].decode()
            self.is_closed = not message.get("more_body", False)
            self.has_changed.set()
            await self.may_send.wait()

    async def until(self, pattern: str) -> re.Match[str]:
        async with asyncio.timeout(PATIENCE):
            while not (found := re.search(pattern, self.text, re.DOTALL)):
                self.has_changed.clear()
                await self.has_changed.wait()
        return found

    async def until_closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.is_closed:
                self.has_changed.clear()
                await self.has_changed.wait()

    def told(self, topic: str) -> list[Any]:
        found = re.findall(rf"event: {topic}\n(?:id: \d+\n)?data: (.*)\n\n", self.text)
        return [orjson.loads(each) for each in found]


Opener = Callable[..., Any]


@pytest.fixture
def open_page(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Opener:
    monkeypatch.setattr(arrivals, "GATHER", 0.01)
    return opener(application(archive, Config()))


def opener(pages: ASGIApp) -> Opener:
    @asynccontextmanager
    async def opened(query: str, last: str = "") -> AsyncIterator[Page]:
        page = Page()
        headers = [(b"last-event-id", last.encode())] if last else []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "root_path": "",
            "headers": headers,
            "query_string": query.encode(),
        }

        async def receive() -> Any:
            await asyncio.Event().wait()

        task = asyncio.create_task(_run(pages(scope, receive, page.send)))
        try:
            await page.until("event: ")
            yield page
        finally:
            task.cancel()
            await asyncio.wait({task})

    return opened


async def _run(answer: Awaitable[None]) -> None:
    await answer


async def put(kept: Kept, study: str, number: int = 1, **attributes: str) -> None:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1"}
    await kept.store(image(f"{study}.1.{number}", **uids, **attributes))


async def test_a_list_is_told_the_rows_of_what_arrives_and_matches(
    open_page: Opener, kept: Kept
) -> None:
    async with open_page("topic=worklist&name=doe") as page:
        await put(kept, "9.1", PatientName="Doe^Jane<b>")
        await put(kept, "9.2", PatientName="Roe^Jane")
        await page.until("9.2")

    rows = {row["study"]: row["row"] for told in page.told("worklist") for row in told["rows"]}
    changed = {each for told in page.told("worklist") for each in told["changed"]}
    assert [*rows] == ["9.1"]
    assert "Doe, Jane&lt;b&gt;" in rows["9.1"]
    assert "9.2" in changed


async def test_a_row_that_arrives_is_the_one_that_a_page_has(
    browser: httpx.AsyncClient, open_page: Opener, kept: Kept
) -> None:
    async with open_page("topic=worklist") as page:
        await put(kept, "9.1", PatientName="Doe^Jane")
        await page.until("9.1")

    (told,) = page.told("worklist")[-1]["rows"]
    assert 'class="weasis"' in told["row"]
    assert (
        told["row"].split()
        == (await browser.get("/")).text.split("<tbody>")[1].split("</tbody>")[0].split()
    )


async def test_a_study_that_is_removed_is_told(
    open_page: Opener, kept: Kept, archive: Archive
) -> None:
    await put(kept, "9.1")

    async with open_page("topic=worklist") as page:
        await archive.removals.remove(Selection(studies=("9.1",)))
        await page.until("event: worklist.*\n\n")

    assert page.told("worklist") == [{"rows": [], "changed": ["9.1"]}]


async def test_a_page_of_a_study_is_told_of_that_alone(open_page: Opener, kept: Kept) -> None:
    async with open_page("topic=study&study=9.2") as page, open_page("topic=worklist") as list_:
        await put(kept, "9.1")
        await list_.until("9.1")
        await put(kept, "9.2")
        await page.until("event: study\n")

    assert page.told("study") == [{}]


@pytest.mark.parametrize("how", ["header", "parameter"])
async def test_who_comes_back_misses_nothing(open_page: Opener, kept: Kept, how: str) -> None:
    async with open_page("topic=worklist") as page:
        await put(kept, "9.1")
        known = (await page.until(r"id: (\d+)\ndata: [^\n]*9\.1"))[1]
    await put(kept, "9.2")

    again = ("topic=worklist", known) if how == "header" else (f"topic=worklist&seq={known}",)
    async with open_page(*again) as page:
        await page.until(r"9\.2")
        await put(kept, "9.3")
        await page.until(r"9\.3")

    assert [row["study"] for told in page.told("worklist") for row in told["rows"]] == [
        "9.2",
        "9.3",
    ]


async def test_who_missed_too_much_is_told_to_ask_again(
    open_page: Opener, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MOST_STUDIES", 1)
    for number in range(2):
        await put(kept, f"9.{number}")

    async with open_page("topic=worklist&seq=0") as page:
        pass

    assert page.told("worklist") == [arrivals.AGAIN]


async def test_a_number_from_before_the_index_was_made_anew_asks_for_everything(
    open_page: Opener,
) -> None:
    async with open_page("topic=worklist", "4711") as page:
        pass

    assert page.told("worklist") == [arrivals.AGAIN]


async def test_what_is_not_of_studies_is_told_by_who_knows(
    open_page: Opener, archive: Archive
) -> None:
    async with open_page("topic=jobs&topic=associations") as page:
        await page.until("event: seen")
        archive.live.tell("jobs", {"job": "7"})
        archive.live.tell("studies", {"nobody": "listens"})
        await page.until('"7"')

    assert page.told("jobs") == [arrivals.AGAIN, {"job": "7"}]
    assert page.told("associations") == [arrivals.AGAIN]


async def test_lists_that_are_the_same_are_searched_for_once(
    open_page: Opener, kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []
    search = archive.search
    monkeypatch.setattr(archive, "search", lambda query: (searches.append(1), search(query))[1])

    same = "topic=worklist&modality=CT"
    async with open_page(same) as one, open_page(same) as two, open_page("topic=worklist") as three:
        await put(kept, "9.1")
        for page in (one, two, three):
            await page.until("9.1")

    assert len(searches) == 2


async def test_who_does_not_keep_up_is_let_go_of(open_page: Opener, archive: Archive) -> None:
    async with open_page("topic=jobs") as page:
        await page.until("event: seen")
        page.may_send.clear()
        for number in range(MOST_WAITING + 2):
            archive.live.tell("jobs", number)
            await asyncio.sleep(0)
        page.may_send.set()
        await page.until_closed()

    assert len(page.told("jobs")) < MOST_WAITING
    assert archive.live.listeners == 0


async def test_pages_that_listen_do_not_hold_up_the_end(
    open_page: Opener, archive: Archive
) -> None:
    async with open_page("topic=worklist") as page:
        archive.live.close()
        await page.until_closed()

    async with open_page("topic=worklist") as late:
        await late.until_closed()


async def test_silence_is_broken_and_says_up_to_where_all_is_known(
    open_page: Opener, kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SILENCE", 0.05)

    async with open_page("topic=study&study=9.9") as page:
        await put(kept, "9.1")
        await page.until(f"event: seen\nid: {await archive.index.last_change()}\n")


async def test_nothing_is_followed_when_nobody_listens(open_page: Opener, archive: Archive) -> None:
    async with open_page("topic=worklist"):
        assert len(archive.index.on_change) == 1

    await asyncio.sleep(0)
    assert archive.index.on_change == []
    assert archive.live.topics == ()


@pytest.mark.parametrize(
    "asked", ["", "topic=", "topic=nothing", "topic=study", "topic=study&study=%22"]
)
async def test_what_cannot_be_listened_to_is_refused(
    browser: httpx.AsyncClient, asked: str
) -> None:
    assert (await browser.get(f"/events?{asked}")).status_code == 400


async def test_too_many_pages_are_refused_for_now(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_LISTENERS", 0)

    answer = await browser.get("/events?topic=worklist")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "60"
