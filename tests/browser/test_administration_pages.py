"""The pages for administrators, in a browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect
from pynetdicom import AE

from made_instances import image
from peers import LOCALHOST, Peer
from programs import PeerFactory
from tabs import Tab, named, store


@pytest.fixture
def caller(tab: Tab) -> AE:
    """An application that may be associated with the server."""
    made = AE(ae_title="BROWSED")
    made.add_requested_context("1.2.840.10008.1.1")
    return made


def add(tab: Tab, peer: Peer) -> None:
    page = tab.page
    page.goto(f"{tab.server.url}/administration/peers")
    page.get_by_label("AE title").fill(peer.aet)
    page.get_by_label("Host").fill(LOCALHOST)
    page.get_by_label("Port").fill(str(peer.port))
    page.get_by_role("button", name="Add").click()


def test_a_peer_is_added_asked_and_removed(tab: Tab, start_storescp: PeerFactory) -> None:
    page, peer = tab.page, start_storescp(aet="BROWSER1")

    add(tab, peer)
    expect(page.get_by_role("heading", level=1)).to_contain_text("BROWSER1")
    page.get_by_role("button", name="Echo").click()
    expect(page.get_by_text("OFFIS_DCMTK", exact=False)).to_be_visible()
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_text("SOP classes are accepted")).to_be_visible()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download as CSV").click()
    assert "CT Image Storage" in downloading.value.path().read_text("utf-8")

    page.get_by_role("link", name="Peers", exact=True).click()
    expect(page.get_by_role("row", name="BROWSER1")).to_contain_text("Answers")
    page.get_by_role("link", name="BROWSER1").click()
    page.get_by_text("Remove this peer").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("row", name="BROWSER1")).to_have_count(0)


def test_what_is_wrong_with_a_peer_stands_beside_the_form(tab: Tab) -> None:
    page = tab.page
    page.goto(f"{tab.server.url}/administration/peers")
    page.get_by_label("AE title").fill("OK")
    page.get_by_label("Host").fill("not a host")
    page.get_by_role("button", name="Add").click()

    expect(page.get_by_role("alert")).to_contain_text("host")
    expect(page.get_by_label("AE title")).to_have_value("OK")


def test_associations_come_and_go_on_the_page(tab: Tab, caller: AE) -> None:
    page = tab.page
    page.goto(f"{tab.server.url}/administration/associations")
    expect(page.get_by_text("Nobody is associated with us.")).to_be_visible()

    association = caller.associate(LOCALHOST, tab.server.dicom_port, ae_title="ISOCENTER")
    assert association.is_established
    row = page.get_by_role("row", name="BROWSED").first
    expect(row).to_contain_text("waits")
    association.send_c_echo()
    expect(row.locator('[data-label="Received"]')).to_contain_text("1")

    page.get_by_role("button", name="Abort").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("broken off").first).to_be_visible()
    association.join(10)
    assert association.is_aborted


def test_the_dashboard_counts_what_arrives_while_it_is_looked_at(tab: Tab) -> None:
    page = tab.page
    store(tab.server, image(**named(811)))
    page.goto(f"{tab.server.url}/dashboard")
    figure = page.get_by_role("img", name="Received by day and modality")
    expect(figure).to_be_visible()
    before = int(page.locator("dt:text-is('Instances') + dd").inner_text())

    store(tab.server, image(**named(812)))

    expect(page.locator("dt:text-is('Instances') + dd")).to_have_text(str(before + 1))
    page.get_by_text("As a table").first.click()
    expect(page.get_by_role("columnheader", name="CT")).to_be_visible()
    page.get_by_role("link", name="365 days").click()
    expect(page.get_by_role("img", name="Received by week and modality")).to_be_visible()


def test_changes_lead_to_the_study(tab: Tab) -> None:
    page = tab.page
    store(tab.server, image(**named(813), PatientName="Log^Entry"))
    page.goto(f"{tab.server.url}/administration/changes")
    page.get_by_label("Study Instance UID").fill("1.2.813")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row", name="Log, Entry")).to_contain_text("Stored")

    httpx.delete(f"{tab.server.url}/dicom-web/studies/1.2.813", trust_env=False)
    page.reload()
    expect(page.get_by_text("Removed", exact=True).last).to_be_visible()


def test_settings_and_storage_can_be_read(tab: Tab) -> None:
    page = tab.page
    page.goto(f"{tab.server.url}/administration/settings")
    expect(page.get_by_role("row", name="dicom_port")).to_contain_text("--dicom-port")
    page.get_by_role("link", name="Storage", exact=True).click()
    page.get_by_role("link", name="Per minute").click()
    expect(page.get_by_role("heading", name="Rates")).to_be_visible()
