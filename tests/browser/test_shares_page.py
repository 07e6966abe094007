"""Sharing a study, and what whoever has the link sees."""

from __future__ import annotations

import re

import httpx
import numpy as np
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from made_pictures import grey
from tabs import Tab, named, store

STUDY = "1.2.8300"


def kept(tab: Tab) -> None:
    uids = named(8300)
    for place in (1, 2, 3):
        uids["SOPInstanceUID"] = f"{STUDY}.1.{place}"
        pixels = np.full((32, 48), place * 70, np.uint8)
        made = grey(
            pixels, InstanceNumber=place, WindowCenter=128, WindowWidth=256,
            PatientName="Quast^Anna", PatientID="4711", **uids,
        )  # fmt: skip
        store(tab.server, made)


def test_a_link_is_made_used_and_revoked(tab: Tab) -> None:
    kept(tab)
    page = tab.page
    page.goto(f"{tab.server.url}/studies/{STUDY}")
    page.get_by_role("link", name="Share…").click()
    page.get_by_label("What it is for").fill("Second opinion")
    page.get_by_label("Who shares it").fill("Dr. Roe")
    page.get_by_label("For how long").select_option("30")
    page.get_by_label("May be downloaded").check()
    page.get_by_role("button", name="Make a link").press("Enter")
    link = page.get_by_role("textbox", name="The link").input_value()
    assert re.fullmatch(re.escape(tab.server.url) + "/shared/[A-Za-z0-9_-]{43}", link)
    tab.requests.clear()

    page.goto(link)
    place = page.locator(".viewer .place")
    expect(place).to_have_text("Image 1 of 3")
    expect(page.get_by_role("heading", level=1)).to_have_text("Quast, Anna")
    page.locator(".viewer").focus()
    page.keyboard.press("End")
    expect(place).to_have_text("Image 3 of 3")
    page.get_by_role("button", name="Brighter").click()
    expect(page.locator(".viewer .window")).to_have_text(re.compile("C / W"))
    tab.run("() => document.querySelector('.viewer .picture').decode()")  # fails without a picture
    expect(page.get_by_role("link", name="Studies")).to_have_count(0)
    expect(page.get_by_role("link", name="Attributes")).to_have_count(0)
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Download").click()
    assert downloaded.value.path().read_bytes().startswith(b"PK")
    # What the page needs stands below the link: a proxy need let nothing else through.
    allowed = (link.removeprefix(tab.server.url), "/static/")
    asked = [each.url.removeprefix(tab.server.url) for each in tab.requests]
    assert [url for url in asked if not url.startswith(allowed)] == []

    page.goto(f"{tab.server.url}/shares")
    row = page.get_by_role("row").filter(has_text="Second opinion")
    expect(row).to_contain_text("Dr. Roe")
    row.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("row").filter(has_text="Second opinion")).to_contain_text("revoked")
    answer = page.goto(link)
    assert answer
    assert answer.status == 404
    expect(page.locator("main")).not_to_contain_text("Quast")


def test_axe_finds_nothing_serious_on_a_shared_page(tab: Tab) -> None:
    kept(tab)
    form = {"days": "1", "download": "yes"}
    made = httpx.post(f"{tab.server.url}/studies/{STUDY}/share", data=form, trust_env=False)
    found = re.search(r'value="([^"]*/shared/[^"]*)"', made.text)
    assert found
    display = f"{tab.server.url}/IHEInvokeImageDisplay?requestType=STUDY&viewerType=PATIENT_VIEW"
    for theme in ("dark", "light"):
        cookie = {"name": "theme", "value": theme, "url": tab.server.url}
        tab.page.context.add_cookies([cookie])  # type: ignore[list-item]
        for width in (360, 1440):
            tab.page.set_viewport_size({"width": width, "height": 800})
            for url in (found[1], f"{display}&studyUID={STUDY}"):
                tab.page.goto(url)
                violations = Axe().run(tab.page).response["violations"]
                grave = [each for each in violations if each["impact"] in ("serious", "critical")]
                assert grave == []
                assert tab.run("() => document.documentElement.scrollWidth") <= width


def test_the_menu_of_viewers_opens_by_keyboard(tab: Tab) -> None:
    kept(tab)
    tab.page.goto(f"{tab.server.url}/studies/{STUDY}")
    menu = tab.page.get_by_text("Open in…")
    menu.focus()
    tab.page.keyboard.press("Enter")
    weasis = tab.page.get_by_role("link", name="Weasis", exact=True)
    expect(weasis).to_be_visible()
    tab.page.locator(".menu a").first.focus()
    for _ in range(tab.page.locator(".menu a").count() - 1):
        tab.page.keyboard.press("Tab")
    expect(tab.page.get_by_role("link", name="3D Slicer")).to_be_focused()


def test_who_has_a_link_chooses_theme_and_language_over_plain_http_too(tab: Tab) -> None:
    kept(tab)
    page = tab.page
    page.goto(f"{tab.server.url}/studies/{STUDY}/share")
    page.get_by_role("button", name="Make a link").press("Enter")
    link = page.get_by_role("textbox", name="The link").input_value()

    page.goto(link.replace("127.0.0.1", "archive.test"))
    page.get_by_role("button", name="Light theme").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Quast, Anna")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
