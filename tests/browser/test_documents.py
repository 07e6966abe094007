"""What is served opens where a browser opens it, and never runs as a page of ours."""

from __future__ import annotations

import contextlib
import time

import pytest
from playwright.sync_api import Error
from pydicom.dataset import Dataset

from made_instances import image
from made_pictures import pdf_of
from tabs import Tab, named, store

PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"
SCRIPT = "fetch('/ran')"
XHTML = f'<script xmlns="http://www.w3.org/1999/xhtml">{SCRIPT}</script>'

# Each would run, were it a document of our origin that nothing holds back.
HOSTILE = {
    "CDA": f'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">{XHTML}'
    "</ClinicalDocument>",
    "CDA with a style sheet": '<?xml version="1.0"?><?xml-stylesheet type="text/xsl" '
    'href="#it"?><x xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:stylesheet id="it" '
    f'version="1.0"><xsl:template match="/"><html><body><script>{SCRIPT}</script></body></html>'
    "</xsl:template></xsl:stylesheet></x>",
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


def visit(tab: Tab, path: str) -> None:
    """Open it as a page of its own, and within one; what is only saved is not shown."""
    with contextlib.suppress(Error):
        tab.page.goto(f"{tab.server.url}{path}")
    _settle(tab)
    tab.show(f'<iframe src="{path}"></iframe><object data="{path}"></object>')
    _settle(tab)


def _settle(tab: Tab) -> None:
    tab.page.wait_for_load_state("load")
    tab.page.wait_for_timeout(200)


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_document_runs_as_a_page_of_ours(tab: Tab, kind: str) -> None:
    number = 200 + list(HOSTILE).index(kind)
    content = HOSTILE[kind].encode()
    claimed = CLAIMED.get(kind.partition(" ")[0], "application/xhtml+xml")
    place = store(tab.server, document(content, claimed, CDA, number))
    study, series = place.partition("/series/")[0], place.partition("/instances/")[0]

    for path in (
        f"{place}/rendered",
        f"{place}/rendered?accept=text/xml",
        f"{place}/bulkdata/00420011",
        f"{place}/thumbnail",
        place,
        f"{place}/metadata?accept=application/dicom%2Bxml",
        f"{series}/metadata",
        f"{study}/rendered",
        f"/dicom-web/studies?StudyInstanceUID={named(number)['StudyInstanceUID']}",
    ):
        visit(tab, path)

    assert tab.asked_for("/ran") == []


@pytest.mark.parametrize("kind", ["CDA", "CDA with a style sheet", "SVG", "HTML"])
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

    tab.page.wait_for_timeout(3000)
    tab.page.screenshot(path="/tmp/browser/pdf.png")

    (answer,) = [each for each in tab.answers if each.url.endswith("/rendered")]
    assert answer.header_value("content-type") == "application/pdf"
