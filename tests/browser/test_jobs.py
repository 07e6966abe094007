"""A study sent from its page, and watched until it is done."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from pynetdicom import AE, StoragePresentationContexts, evt

from instances import make_study
from peers import Isocenter, free_port
from programs import ServerFactory
from questions import store_all
from tabs import Tab

PORT = free_port()
GONE = free_port()
PEERS = (f"WORKSTATION@127.0.0.1:{PORT}", f"GONE@127.0.0.1:{GONE}")


@pytest.fixture(scope="module")
def shared_server(start_module_server: ServerFactory) -> Isocenter:
    return start_module_server(peers=PEERS)


class Gate:
    """Lets a peer answer."""

    def __init__(self) -> None:
        self.after: dict[int, threading.Event] = {}
        self.stored = 0

    def store(self, event: Any) -> int:
        if (gate := self.after.get(self.stored)) is not None:
            gate.wait(30)
        self.stored += 1
        return 0


@pytest.fixture
def workstation() -> Iterator[Gate]:
    gate = Gate()
    application = AE("WORKSTATION")
    application.supported_contexts = StoragePresentationContexts
    handlers = [(evt.EVT_C_STORE, gate.store)]
    server = application.start_server(("127.0.0.1", PORT), block=False, evt_handlers=handlers)
    yield gate
    for each in gate.after.values():
        each.set()
    server.shutdown()


def test_a_study_is_sent_and_its_progress_seen_as_it_happens(tab: Tab, workstation: Gate) -> None:
    study = make_study(12)
    store_all(tab.server, study)
    half, end = workstation.after[6], workstation.after[11] = threading.Event(), threading.Event()
    page = tab.page

    page.goto(f"{tab.server.url}/studies/{study[0].study}")
    page.get_by_role("link", name="Send to…").click()
    page.get_by_label("Peer").select_option("WORKSTATION")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("status").get_by_role("link", name="How far it is").click()

    number = page.url.rpartition("/")[2]
    expect(page.get_by_text("6 of 12")).to_be_visible()
    expect(page.locator(".state")).to_have_text("Running")
    page.get_by_role("link", name="All jobs").click()
    row = page.locator(f"#job-{number}")
    expect(row).to_contain_text("6 of 12")
    row.get_by_role("button", name=f"Cancel job {number}").focus()
    half.set()
    expect(row).to_contain_text("11 of 12")
    # Only what differs was put in: whoever is at the button stays there.
    assert page.evaluate("document.activeElement.ariaLabel") == f"Cancel job {number}"
    end.set()
    expect(row).to_contain_text("Done")
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "12")
    expect(row.get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("link", name="Done 1")).to_be_visible()
    assert len(tab.asked_for("/events?topic=jobs")) == 2


def test_a_job_that_waits_for_its_peer_is_canceled_and_tried_again(tab: Tab) -> None:
    study = make_study(2)
    store_all(tab.server, study)
    page = tab.page

    page.goto(f"{tab.server.url}/studies/{study[0].study}/send")
    page.get_by_label("Peer").select_option("GONE")
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Send").click()
    page.get_by_role("status").get_by_role("link").click()
    expect(page.locator(".error")).to_contain_text("cannot connect")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".state")).to_have_text("Canceled")
    page.get_by_role("button", name="Try").click()
    expect(page.locator(".error")).to_contain_text("cannot connect")
    expect(page.locator(".state")).to_have_text("Waiting")


def test_new_jobs_appear_in_the_list_by_themselves(tab: Tab) -> None:
    study = make_study(1)
    store_all(tab.server, study)
    page = tab.page
    page.goto(f"{tab.server.url}/administration/jobs?state=waiting")
    before = page.locator("tbody tr").count()

    ask(tab, study[0].study)

    expect(page.locator("tbody tr")).to_have_count(before + 1)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_serious_where_there_are_jobs(tab: Tab, theme: str) -> None:
    study = make_study(2)
    store_all(tab.server, study)
    ask(tab, study[0].study)
    cookie = {"name": "theme", "value": theme, "url": tab.server.url}
    tab.page.context.add_cookies([cookie])  # type: ignore[list-item]
    page = tab.page
    page.goto(f"{tab.server.url}/administration/jobs")
    job = page.locator("tbody a").first.get_attribute("href")
    for width in (360, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        for path in (job, "/administration/jobs", f"/studies/{study[0].study}/send"):
            page.goto(f"{tab.server.url}{path}")
            found = Axe().run(page).response["violations"]
            assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_works_without_script(tab: Tab, workstation: Gate) -> None:
    study = make_study(2)
    store_all(tab.server, study)
    browser = tab.page.context.browser
    assert browser is not None
    with contextlib.closing(browser.new_context(java_script_enabled=False)) as context:
        page = context.new_page()
        page.goto(f"{tab.server.url}/studies/{study[0].study}")
        page.get_by_role("link", name="Send to…").click()
        page.get_by_label("Peer").select_option("WORKSTATION")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("link", name="How far it is").click()
        until_done(page)


def until_done(page: Page) -> None:
    for _ in range(100):
        if page.locator(".state").inner_text() == "Done":
            return
        page.wait_for_timeout(100)
        page.reload()
    raise AssertionError(page.content())


def ask(tab: Tab, study: str) -> None:
    """Have a study sent, from another page."""
    with contextlib.closing(tab.page.context.new_page()) as other:
        other.goto(f"{tab.server.url}/studies/{study}/send")
        other.get_by_label("Peer").select_option("GONE")
        other.get_by_role("button", name="Send").click()
        other.wait_for_url("**sent=*")
