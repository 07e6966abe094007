"""Every page in a browser: for all eyes and hands, at each width, in both themes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from pages import PAGES, Page, hostile, hostile_recording
from tabs import Tab, store

WIDTHS = {"phone": 360, "tablet": 900, "desktop": 1440}
THEMES = ("dark", "light")
GRAVE = ("serious", "critical")
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)


def open_page(tab: Tab, page: Page, width: int, theme: str = "dark") -> None:
    store(tab.server, hostile())
    store(tab.server, hostile_recording())
    cookie = {"name": "theme", "value": theme, "url": tab.server.url}
    tab.page.context.add_cookies([cookie])  # type: ignore[list-item]
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.page.goto(f"{tab.server.url}{page.address()}")
    tab.page.wait_for_load_state("load")


@each_page
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious(tab: Tab, page: Page, theme: str) -> None:
    for width in (WIDTHS["phone"], WIDTHS["desktop"]):
        open_page(tab, page, width, theme)
        found = Axe().run(tab.page).response["violations"]
        grave = [
            (each["id"], [node["target"] for node in each["nodes"]][:5])
            for each in found
            if each["impact"] in GRAVE
        ]
        assert grave == [], width


@each_page
def test_no_page_is_wider_than_the_screen(tab: Tab, page: Page) -> None:
    for width in WIDTHS.values():
        open_page(tab, page, width)
        assert tab.run("() => document.documentElement.scrollWidth") <= width


@each_page
def test_text_of_an_instance_stays_text(tab: Tab, page: Page) -> None:
    open_page(tab, page, WIDTHS["desktop"])
    assert tab.page.title() != "ran"
    assert tab.run("() => document.querySelectorAll('main script, main [onerror]').length") == 0


@each_page
def test_every_page_is_used_by_keyboard(tab: Tab, page: Page) -> None:
    """What Tab reaches is seen to be reached, and nothing holds the focus for ever."""
    open_page(tab, page, WIDTHS["desktop"])
    seen = []
    for _ in range(12):
        tab.page.keyboard.press("Tab")
        seen.append(tab.run("() => document.activeElement.outerHTML"))
        outline = "() => getComputedStyle(document.activeElement).outlineStyle"
        assert tab.run("() => document.activeElement === document.body") or (
            tab.run(outline) != "none"
        )
    assert len(set(seen)) > 3
