"""Removing a series from its study's page, and putting it back."""

from __future__ import annotations

from playwright.sync_api import expect

from made_instances import image
from tabs import Tab, store


def test_a_series_is_removed_with_a_reason_and_put_back(tab: Tab) -> None:
    for series in ("1", "2"):
        uids = {"StudyInstanceUID": "1.2.8400", "SeriesInstanceUID": f"1.2.8400.{series}"}
        store(tab.server, image(f"1.2.8400.{series}.1", SeriesDescription=f"No {series}", **uids))
    tab.page.goto(f"{tab.server.url}/studies/1.2.8400")
    cards = tab.page.locator("nav.series .card")
    expect(cards).to_have_count(2)

    tab.page.get_by_role("link", name="Remove…").click()
    tab.page.get_by_role("radio", name="These series").check()
    tab.page.get_by_role("checkbox", name="No 2").check()
    tab.page.get_by_label("Reason").select_option("Rejected for Quality Reasons")
    tab.page.get_by_role("button", name="Remove").click()

    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Removed")
    expect(tab.page.locator("main")).to_contain_text("Rejected for Quality Reasons")
    removal = tab.page.url
    tab.page.goto(f"{tab.server.url}/studies/1.2.8400")
    expect(cards).to_have_count(1)
    tab.page.goto(removal)
    tab.page.get_by_role("button", name="Put back").click()
    tab.page.get_by_role("link", name="To the study", exact=True).click()
    expect(cards).to_have_count(2)
