"""The list of studies in a browser: live, in order, by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from made_instances import image
from tabs import Tab, store

SHOWN = "#studies tbody tr[data-study]"


def put(tab: Tab, patient: str, study: str, number: int = 1, **attributes: str) -> None:
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number}"}
    instance = image(f"{study}.{number}.1", PatientName=patient, PatientID=study, **uids)
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    store(tab.server, instance)


def open_list(tab: Tab, query: str) -> Page:
    with tab.page.expect_request(lambda request: "/events?" in request.url):
        tab.page.goto(f"{tab.server.url}/?{query}")
    return tab.page


def test_a_new_study_is_told_of_and_shown_when_asked(tab: Tab) -> None:
    put(tab, "Liv^Old", "1.2.60")
    page = open_list(tab, "name=liv")
    expect(page.locator(SHOWN)).to_have_count(1)
    place = page.locator(SHOWN).bounding_box()

    put(tab, "Liv^New<b>", "1.2.61")
    put(tab, "Other", "1.2.62")
    button = page.locator(".arrivals")
    expect(button).to_have_text("1 new study")
    put(tab, "Liv^Newer", "1.2.63")
    expect(button).to_have_text("2 new studies")

    assert page.locator(SHOWN).bounding_box() == place
    assert page.locator("#told").text_content() == "2 new studies"
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(SHOWN)).to_have_count(3)
    expect(page.locator(f"{SHOWN}.fresh")).to_have_count(2)
    expect(button).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('tr.fresh') !== null")


def test_a_study_of_a_uid_that_another_patient_has_takes_nobodys_place(tab: Tab) -> None:
    put(tab, "Twice^Ann", "1.2.67")
    page = open_list(tab, "name=twice")
    row = page.locator(SHOWN)
    expect(row).not_to_contain_text("UID of several patients")

    put(tab, "Twice^Bob", "1.2.67", 2, PatientID="another")

    expect(page.locator(".arrivals")).to_have_text("1 new study")
    expect(row).to_contain_text("UID of several patients")
    expect(row.locator("th")).to_contain_text("Twice, Ann")
    expect(row.locator("th > a")).to_have_attribute("href", re.compile(r"\?of="))
    page.locator(".arrivals").click()
    expect(page.locator(SHOWN)).to_have_count(2)


def test_a_study_that_grows_is_counted_where_it_stands(tab: Tab) -> None:
    put(tab, "Grow", "1.2.64")
    page = open_list(tab, "name=grow")
    link = page.locator(f"{SHOWN} th > a")
    link.focus()

    put(tab, "Grow", "1.2.64", 2)
    expect(page.locator(f"{SHOWN} td.number").first).to_have_text("2")

    expect(link).to_be_focused()
    expect(page.locator(".arrivals")).to_be_hidden()


def test_typing_changes_what_is_listened_to(tab: Tab) -> None:
    page = open_list(tab, "name=typa")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "name"

    with page.expect_request(lambda request: "/events?" in request.url and "typb" in request.url):
        page.locator("input[name=name]").fill("typb")
    put(tab, "Typb", "1.2.65")

    expect(page.locator(".arrivals")).to_have_text("1 new study")


def test_keys_walk_through_the_list(tab: Tab) -> None:
    for number in range(3):
        put(tab, f"Walk^{number}", f"1.2.66.{number}")
    page = open_list(tab, "name=walk&order=name")

    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"{SHOWN} th > a").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.name") == "name"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{tab.server.url}/studies/1.2.66.0")


@pytest.mark.parametrize("by", ["header", "choice"])
def test_the_list_is_sorted_by_name_on_request(tab: Tab, by: str) -> None:
    for number, name in enumerate(("Sorb", "Sora", "Sorc")):
        put(tab, name, f"1.2.67.{number}")
    page = open_list(tab, "name=sor")

    if by == "header":
        page.locator("thead a").first.click()
    else:
        page.locator("select[name=order]").select_option("name")

    expect(page.locator(f"{SHOWN} th > a")).to_have_text(["Sora", "Sorb", "Sorc"])
    expect(page.locator("th[aria-sort=ascending]")).to_have_count(1)


def test_a_study_that_is_looked_at_tells_of_more(tab: Tab) -> None:
    put(tab, "Look", "1.2.68")
    with tab.page.expect_request(lambda request: "/events?" in request.url):
        tab.page.goto(f"{tab.server.url}/studies/1.2.68")
    page = tab.page

    put(tab, "Look", "1.2.68", 2)
    expect(page.locator(".series .card")).to_have_count(2)
    expect(page.locator(".growing")).to_be_hidden()
    uids = {"StudyInstanceUID": "1.2.68", "SeriesInstanceUID": "1.2.68.1"}
    store(tab.server, image("1.2.68.1.2", PatientName="Look", PatientID="1.2.68", **uids))

    expect(page.locator(".growing")).to_be_visible()
    expect(page.locator(".series .card").first).to_contain_text("2 instances")
