"""OHIF in a browser: opened, waited for, and looked at."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from playwright.sync_api import Browser, Page, Request, Response

from peers import Isocenter, Missing, run_isocenter

WAIT = 60_000
"""Milliseconds for which something is waited for: it shares the machine."""

PATIENCE = 40
"""Seconds to wait for a picture: it shares the machine."""

NEAR = 12
"""Of 255: pictures are drawn in three dimensions, and between pixels."""

ARGUMENTS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""What Chromium needs to draw in three dimensions without a graphics card."""

WITHIN = ("blob:", "data:", "chrome:", "chrome-extension:")
"""What is asked of no server; Chromium shows documents by an extension of its own."""

# As if its tour and its notice had been seen; and when was there something to see?
PREPARED = """() => {
    if (!window.localStorage) return;  // in the browser's own page for documents
    localStorage.setItem("shownTours", JSON.stringify(["basicViewerTour"]));
    sessionStorage.setItem("investigationalUseDialog", "hidden");
    const small = document.createElement("canvas");
    small.width = small.height = 32;
    window.isDrawn = number => {
        const canvas = document.querySelectorAll("canvas.cornerstone-canvas")[number];
        if (!canvas || !canvas.width || !canvas.height) return false;
        const context = small.getContext("2d", {willReadFrequently: true});
        context.clearRect(0, 0, 32, 32);
        context.drawImage(canvas, 0, 0, 32, 32);
        const data = context.getImageData(0, 0, 32, 32).data;
        const seen = data.filter((_, place) => place % 4 < 3);
        return Math.max(...seen) - Math.min(...seen) > 8;
    };
    window.lookOut = () => {
        window.firstImage = null;
        const look = () => {
            if (window.isDrawn(0)) window.firstImage = performance.now();
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    };
    window.lookOut();
}"""

CLICKED = """() => document.addEventListener("click", () => {
    window.clicked = performance.now();
    window.lookOut();
}, {capture: true, once: true})"""

CANVAS = """number => document.querySelectorAll("canvas.cornerstone-canvas")[number].toDataURL()"""


@dataclass
class Ohif:
    """A page of a browser with OHIF in it, and the server it looks at."""

    page: Page
    server: Isocenter
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Errors in scripts, what the policy of the page forbade, and requests to others."""

    def list_studies(self) -> None:
        """Show the list of studies."""
        self.page.goto(f"{self.server.url}/ohif/")
        self.page.locator("[data-cy='study-list-results']").wait_for()

    def visit(self, study: str, mode: str = "viewer") -> None:
        """Open a study, and wait for nothing."""
        self.page.goto(f"{self.server.url}/ohif/{mode}?StudyInstanceUIDs={study}")

    def open(self, study: str, mode: str = "viewer") -> float:
        """Open a study; return the seconds until its first image was seen."""
        self.visit(study, mode)
        self.await_image()
        return float(self.page.evaluate("window.firstImage")) / 1000

    def await_image(self, number: int = 0) -> None:
        """Return when there is something to see in a viewport, the first being 0."""
        self.page.wait_for_function("number => window.isDrawn(number)", arg=number)
        if number == 0:
            self.page.wait_for_function("() => window.firstImage !== null")

    def open_from_list(self, study: str) -> float:
        """Open a study that the list shows, as a reader does; return the seconds as `open` does.

        They count from the click: the scripts of the list are there by then.
        """
        self.page.locator(f"[data-cy='studyRow-{study}']").click()
        button = self.page.locator(f"[data-cy='mode-viewer-{study}']")
        button.wait_for()
        self.page.evaluate(CLICKED)
        button.click()
        self.await_image()
        return float(self.page.evaluate("window.firstImage - window.clicked")) / 1000

    def picture(self, number: int = 0) -> NDArray[np.uint8]:
        """What a viewport shows, without texts and overlays: rows, columns and RGB."""
        written = str(self.page.evaluate(CANVAS, number)).partition(",")[2]
        with Pillow.open(io.BytesIO(base64.b64decode(written))) as opened:
            return np.asarray(opened.convert("RGB"))

    def show(self, description: str) -> None:
        """Put a series of the study into the viewport."""
        browser = self.page.locator("[data-cy^='study-browser-thumbnail']")
        browser.filter(has_text=description).first.dblclick()

    def place(self) -> tuple[float, float]:
        """Where the first pixel of the first viewport's picture is on the page, in its pixels."""
        box = self.page.locator("canvas.cornerstone-canvas").first.bounding_box()
        assert box
        return box["x"], box["y"]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at a place of the first viewport's picture, let go at another: x, y."""
        left, top = self.place()
        mouse = self.page.mouse
        mouse.move(left + start[0], top + start[1])
        mouse.down()
        mouse.move(left + (start[0] + end[0]) / 2, top + (start[1] + end[1]) / 2, steps=4)
        mouse.move(left + end[0], top + end[1], steps=4)
        mouse.up()

    def asked_for(self, text: str) -> list[str]:
        """The addresses asked for that contain ``text``."""
        return [each.url for each in self.requests if text in each.url]

    def run(self, script: str, argument: Any = None) -> Any:
        """Run a function, which may be asynchronous, in the page; return what it returns."""
        return self.page.evaluate(script, argument)


def demand() -> None:
    """Raises: Missing, if OHIF is not installed as ``make test`` installs it."""
    if run_isocenter("viewer", "status").returncode:
        raise Missing("OHIF is not installed (isocenter viewer install)")


@contextmanager
def opened(chromium: Browser, server: Isocenter) -> Iterator[Ohif]:
    """A fresh page; no fault may be left in it."""
    with closing(chromium.new_context(viewport={"width": 1280, "height": 800})) as context:
        context.set_default_timeout(WAIT)
        context.add_init_script(f"({PREPARED})()")
        ohif = Ohif(context.new_page(), server)
        _watch(ohif)
        yield ohif
        assert ohif.faults == []


def _watch(ohif: Ohif) -> None:
    def request(made: Request) -> None:
        ohif.requests.append(made)
        if not made.url.startswith((f"{ohif.server.url}/", *WITHIN)):
            ohif.faults.append(f"asked for {made.url}")

    def told(text: str) -> None:
        if "Content Security Policy" in text or "ReferenceError" in text:
            ohif.faults.append(text)

    ohif.page.on("request", request)
    ohif.page.on("response", lambda answer: ohif.answers.append(answer))
    ohif.page.on("pageerror", lambda error: ohif.faults.append(str(error)))
    ohif.page.on("console", lambda message: told(message.text))


def await_tint(ohif: Ohif, across: float, *, is_red: bool) -> None:
    """Wait until a place in the middle row is more red than blue, or the other way round."""
    deadline = time.monotonic() + PATIENCE
    difference = 0.0
    while time.monotonic() < deadline:
        if ohif.page.locator("canvas.cornerstone-canvas").count():
            pixels = ohif.picture().astype(float)
            spot = pixels[pixels.shape[0] // 2, int(pixels.shape[1] * across)]
            difference = float(spot[0] - spot[2])
            if abs(difference) > 2 * NEAR and (difference > 0) is is_red:
                return
        ohif.page.wait_for_timeout(200)
    raise AssertionError(f"red is {difference} more than blue")
