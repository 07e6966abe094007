"""An electrocardiogram in the pages: on the study's, and on its own, walked through by keys."""

from __future__ import annotations

import re

import numpy as np
from playwright.sync_api import expect

from made_pictures import seen
from made_waveforms import electrocardiogram
from tabs import Tab, named, store

WIDTHS = """() => {
    const paper = document.querySelector(".paper");
    return [paper.scrollWidth, paper.clientWidth, document.documentElement.scrollWidth];
}"""
LOADED = "() => document.querySelector('.paper img')?.naturalWidth > 0"


def stored(tab: Tab, number: int, seconds: float = 25) -> str:
    """Where the study of a recording is."""
    store(tab.server, electrocardiogram(seconds, 250, **named(number)))
    return f"{tab.server.url}/studies/1.2.{number}"


def ink(picture: bytes) -> tuple[float, int]:
    """How much of it is paper, and how many pixels are dark as curves on it are."""
    pixels = seen(picture)[..., :3].astype(int)
    paper = (pixels[..., 0] > 190) & (pixels[..., 0] >= pixels[..., 2])
    return float(paper.mean()), int((pixels.max(axis=2) < 80).sum())


def test_a_series_is_shown_on_paper_and_leads_to_the_recording(tab: Tab) -> None:
    tab.page.goto(stored(tab, 8600))
    tab.page.wait_for_function(LOADED)

    paper, dark = ink(tab.page.locator(".screen .paper").screenshot())
    assert paper > 0.7
    assert dark > 1000
    tab.page.get_by_role("link", name="Open the recording").click()

    expect(tab.page.locator(".leads")).to_contain_text("aVR, aVL, aVF, V1")
    expect(tab.page.locator("dt", has_text="QT Interval")).to_be_visible()


def test_keys_links_and_choices_lead_through_time(tab: Tab) -> None:
    tab.page.goto(stored(tab, 8610))
    tab.page.get_by_role("link", name="Open the recording").click()
    place = tab.page.locator(".ways .place")
    expect(place).to_have_text("0 s to 10 s of 25 s")
    tab.page.wait_for_load_state()  # keys are heard once its script has run

    tab.page.keyboard.press("ArrowRight")
    expect(place).to_have_text("10 s to 20 s of 25 s")
    tab.page.get_by_role("link", name="Later").click()
    expect(place).to_have_text("20 s to 25 s of 25 s")
    tab.page.keyboard.press("Home")
    expect(place).to_have_text("0 s to 10 s of 25 s")
    tab.page.get_by_label("Gain").select_option("20 mm/mV")
    expect(tab.page.locator(".paper img")).to_have_attribute("src", re.compile("gain=20"))
    tab.page.wait_for_function(LOADED)
    assert "gain=20" in tab.page.url
    tab.page.go_back()
    expect(tab.page.get_by_label("Gain")).to_have_value("10")


def test_on_a_phone_the_paper_scrolls_in_its_box(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.page.goto(stored(tab, 8620))
    tab.page.get_by_role("link", name="Open the recording").click()
    tab.page.wait_for_function(LOADED)

    whole, shown, page = tab.run(WIDTHS)

    assert whole > 2 * shown
    assert page <= 360


def test_curves_are_seen_in_both_themes(tab: Tab) -> None:
    tab.page.goto(stored(tab, 8630))
    address = tab.page.url
    for theme in ("dark", "light"):
        cookie = {"name": "theme", "value": theme, "url": tab.server.url}
        tab.page.context.add_cookies([cookie])  # type: ignore[list-item]
        tab.page.goto(address)
        tab.page.get_by_role("link", name="Open the recording").click()
        tab.page.wait_for_function(LOADED)
        picture = tab.page.locator(".paper").screenshot()
        paper, dark = ink(picture)
        assert paper > 0.7, theme
        assert dark > 1000, theme
        pixels = seen(picture)[..., :3].astype(float)
        light = np.median(pixels[pixels.min(axis=2) > 120], axis=0)
        assert light[0] >= light[2]  # paper is not blue
