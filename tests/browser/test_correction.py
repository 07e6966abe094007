"""Correcting a name in a browser, with the keyboard too, and taking it back."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from pydicom.dataset import Dataset

from made_instances import image
from tabs import Tab, named, store


def made(uids: dict[str, str], **attributes: Any) -> Dataset:
    """An instance under UIDs of its own."""
    others = {name: uid for name, uid in uids.items() if name != "SOPInstanceUID"}
    return image(uids["SOPInstanceUID"], **others, **attributes)


def test_a_name_is_corrected_and_that_is_undone(tab: Tab) -> None:
    uids = named(7719)
    study = uids["StudyInstanceUID"]
    store(tab.server, made(uids))
    page = tab.page
    page.goto(f"{tab.server.url}/studies/{study}")

    page.get_by_role("link", name="Correct…").click()
    page.get_by_label("Patient's Name").fill("Roe^Richard")
    page.get_by_label("Patient ID", exact=True).fill("4711-17")
    page.get_by_label("Reason").fill("mixed up <b>twice</b>")
    page.get_by_role("button", name="See what changes").click()

    assert page.get_by_role("heading", name="This will be corrected").is_visible()
    assert page.get_by_role("row", name="Patient's Name Doe^Jane Roe^Richard").is_visible()
    page.get_by_role("button", name="Back").click()
    assert page.get_by_label("Patient's Name").input_value() == "Roe^Richard"
    page.get_by_role("button", name="See what changes").click()
    page.get_by_role("button", name="Correct", exact=True).press("Enter")

    page.get_by_role("heading", name="Roe, Richard").wait_for()
    assert page.get_by_text("mixed up <b>twice</b>").is_visible()
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("heading", name="Doe, Jane").wait_for()
    assert page.get_by_text("undone").is_visible()
    assert page.get_by_role("button", name="Undo").count() == 0


def test_who_becomes_one_with_another_is_warned_of(tab: Tab) -> None:
    first, second = named(7720), named(7721)
    for uids, patient in ((first, "A-7720"), (second, "A-7721")):
        store(
            tab.server,
            made(uids, PatientID=patient, PatientName=f"Name^{patient}"),
        )
    page = tab.page
    page.goto(f"{tab.server.url}/studies/{first['StudyInstanceUID']}/correct")

    page.get_by_label("Patient ID", exact=True).fill("A-7721")
    page.get_by_label("Reason").fill("the same patient")
    page.get_by_role("button", name="See what changes").click()

    grave = ("serious", "critical")
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in grave] == []
    assert "They will be one" in page.get_by_role("alert").inner_text()
    assert "Patient's Name" in page.get_by_role("alert").inner_text()
