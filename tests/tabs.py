"""A page of a browser, of a server's own origin, and what is put on the server for it to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from playwright.sync_api import Page, Request, Response
from pydicom.dataset import Dataset

from made_instances import part10
from peers import Isocenter


@dataclass
class Tab:
    """A page of the browser, and what it asked the server for."""

    page: Page
    server: Isocenter
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def show(self, body: str) -> None:
        """Show a page of ours, of the server's origin, that the server does not know."""
        url = f"{self.server.url}/of-the-test"
        page = f"<!doctype html><title>test</title>{body}"
        self.page.route(url, lambda route: route.fulfill(body=page, content_type="text/html"))
        self.page.goto(url)

    def run(self, script: str, argument: Any = None) -> Any:
        """Run a function, which may be asynchronous, in the page; return what it returns."""
        return self.page.evaluate(script, argument)

    def asked_for(self, text: str) -> list[str]:
        """The addresses asked for that contain ``text``."""
        return [each.url for each in self.requests if text in each.url]


def store(server: Isocenter, file: bytes | Dataset) -> str:
    """Store an instance; return its path on the server."""
    content = part10(file) if isinstance(file, Dataset) else file
    answer = httpx.post(
        f"{server.url}/dicom-web/studies",
        content=content,
        headers={"content-type": "application/dicom"},
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    place = str(answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0])
    return place.removeprefix(server.url)


def named(number: int) -> dict[str, str]:
    """UIDs that no other test of the module uses."""
    return {
        "StudyInstanceUID": f"1.2.{number}",
        "SeriesInstanceUID": f"1.2.{number}.1",
        "SOPInstanceUID": f"1.2.{number}.1.1",
    }
