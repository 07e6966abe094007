"""The studies, used as a reader does: filters as one types, pages, language and theme."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from made_instances import image
from tabs import Tab, named, store


def put(tab: Tab, number: int, **attributes: object) -> None:
    store(tab.server, image(**{**named(number), **attributes}))


def test_studies_are_found_while_one_types_and_opened(tab: Tab) -> None:
    put(tab, 8200, PatientName="Quast^Anna", StudyDate="20240229", StudyDescription="Knee")
    put(tab, 8201, PatientName="Quandt^Bert", StudyDate="20240301")
    tab.page.goto(tab.server.url)
    rows = tab.page.locator("#studies tbody tr")

    tab.page.get_by_role("searchbox", name="Patient", exact=True).type("qua")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Quandt, Bert")  # the newest
    tab.page.get_by_role("searchbox", name="Patient", exact=True).type("s")
    expect(rows).to_have_count(1)
    expect(tab.page.locator("#studies .count")).to_have_text("1 study")
    expect(tab.page).to_have_url(re.compile("name=quas"))

    rows.get_by_role("link").first.click()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Quast, Anna")
    tab.page.go_back()
    expect(rows).to_have_count(1)


def test_the_list_goes_on_where_the_page_ends_and_none_is_shown_twice(tab: Tab) -> None:
    for number in range(120):
        put(tab, 83000 + number, AccessionNumber=f"LONG{number}", StudyDate="20230501")
    tab.page.goto(f"{tab.server.url}/?accession=LONG*")
    rows = tab.page.locator("#studies tbody tr[data-study]")
    expect(tab.page.locator("#studies .count")).to_have_text("120 studies")
    while rows.count() < 120:
        before = rows.count()
        tab.page.mouse.wheel(0, 100_000)
        expect(rows).not_to_have_count(before)
    shown = [each.get_attribute("data-study") for each in rows.all()]
    assert sorted(shown) == sorted(f"1.2.{83000 + number}" for number in range(120))  # type: ignore[type-var]


def test_language_and_theme_are_changed_and_kept(tab: Tab) -> None:
    tab.page.goto(f"{tab.server.url}/?name=nobody")
    dark = tab.run("() => getComputedStyle(document.body).backgroundColor")
    tab.page.get_by_role("button", name="Light theme").click()
    tab.page.get_by_role("button", name="Deutsch").click()

    expect(tab.page.locator("html")).to_have_attribute("lang", "de")
    expect(tab.page.locator("#studies .count")).to_have_text("Keine Studie passt.")
    assert tab.run("() => getComputedStyle(document.body).backgroundColor") != dark
    expect(tab.page).to_have_url(re.compile("name=nobody"))
    tab.page.goto(tab.server.url)
    expect(tab.page.locator("html")).to_have_attribute("data-theme", "light")
