"""What is served opens where a browser opens it, and never runs as a page of ours."""

from __future__ import annotations

import contextlib
import time

import pytest
from playwright.sync_api import Error
from pydicom.dataset import Dataset

from made_instances import image
from made_pictures import pdf_of, seen
from tabs import Tab, named, store

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"
SCRIPT = "fetch('/ran')"
XHTML = f'<script xmlns="http://www.w3.org/1999/xhtml">{SCRIPT}</script>'

# Each would run, were it a document of our origin that nothing holds back.
HOSTILE = {
    "CDA": f'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">{XHTML}'
    "</ClinicalDocument>",
    "XHTML": f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{XHTML}</body></html>',
    "SVG": f'<svg xmlns="http://www.w3.org/2000/svg" onload="{SCRIPT}"><script>{SCRIPT}</script>'
    "</svg>",
    "HTML": f'<!doctype html><html><body><img src="x" onerror="{SCRIPT}"/>'
    f"<script>{SCRIPT}</script></body></html>",
}
CLAIMED = {"CDA": "text/XML", "SVG": "image/svg+xml", "HTML": "text/html"}


def document(content: bytes, media_type: str, sop_class: str, number: int) -> Dataset:
    """An encapsulated document (PS3.3 A.45)."""
    made = image(
        SOPClassUID=sop_class,
        Modality="DOC",
        Rows=None,
        Columns=None,
        PatientName=f"<script>{SCRIPT}</script>^{XHTML}"[:64],
        StudyDescription=f'"><img src=x onerror={SCRIPT}>',
        DocumentTitle=XHTML,
        EncapsulatedDocument=content + b"\0" * (len(content) % 2),
        EncapsulatedDocumentLength=len(content),
        MIMETypeOfEncapsulatedDocument=media_type,
        **named(number),
    )
    del made[0x7FE00010]
    return made


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_document_runs_as_a_page_of_ours(tab: Tab, kind: str) -> None:
    number = 200 + list(HOSTILE).index(kind)
    content = HOSTILE[kind].encode()
    claimed = CLAIMED.get(kind.partition(" ")[0], "application/xhtml+xml")
    place = store(tab.server, document(content, claimed, CDA, number))
    study, series = place.partition("/series/")[0], place.partition("/instances/")[0]

    rendered, bulk = f"{place}/rendered", f"{place}/bulkdata/00420011"
    for path in (
        rendered,
        bulk,
    ):  # as pages of their own; what a browser only saves it does not show
        with contextlib.suppress(Error):
            tab.page.goto(f"{tab.server.url}{path}")
        tab.page.wait_for_timeout(300)
    within = [
        *(rendered, bulk, place, f"{rendered}?accept=text/xml", f"{place}/thumbnail"),
        *(f"{place}/metadata?accept=application/dicom%2Bxml", f"{series}/metadata"),
        *(f"{study}/rendered", f"{study.rpartition('/')[0]}?PatientID=P1"),
    ]
    frames = [f'<iframe src="{path}"></iframe><object data="{path}"></object>' for path in within]
    tab.show("".join(frames))
    tab.page.wait_for_timeout(300)

    assert len(tab.asked_for("/dicom-web/")) >= len(within)
    assert tab.asked_for("/ran") == []


@pytest.mark.parametrize("kind", ["CDA", "SVG", "HTML"])
def test_what_is_not_held_back_would_run(tab: Tab, kind: str) -> None:
    media_type = {"SVG": "image/svg+xml", "HTML": "text/html"}.get(kind, "text/xml")
    url = f"{tab.server.url}/held-back-by-nothing"
    content = HOSTILE[kind]
    tab.page.route(url, lambda route: route.fulfill(body=content, content_type=media_type))

    tab.page.goto(url)

    deadline = time.monotonic() + 10
    while not tab.asked_for("/ran") and time.monotonic() < deadline:
        tab.page.wait_for_timeout(50)
    assert tab.asked_for("/ran")


def test_a_report_in_a_pdf_opens(tab: Tab) -> None:
    content = pdf_of(b"0.1 0.6 0.2 rg 0 0 300 200 re f", 300, 200)
    place = store(tab.server, document(content, "application/pdf", PDF, 220))
    tab.show(f'<embed src="{place}/rendered" type="application/pdf" width="800" height="600">')

    deadline = time.monotonic() + 20
    while (green := _count(tab.page.screenshot(), (25, 153, 51))) < 20_000:
        assert time.monotonic() < deadline, f"{green} pixels are as in the document"
        tab.page.wait_for_timeout(100)

    (answer,) = [each for each in tab.answers if each.url.endswith("/rendered")]
    assert answer.header_value("content-type") == "application/pdf"


def _count(screenshot: bytes, colour: tuple[int, int, int]) -> int:
    """How many pixels have such a colour."""
    return int((abs(seen(screenshot)[..., :3].astype(int) - colour).max(axis=2) <= 3).sum())
