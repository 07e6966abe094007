"""Chromium, and a page in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from ohif import ARGUMENTS, Ohif, demand, opened
from peers import Isocenter, find_program
from programs import skipping
from tabs import Tab

WAIT = 30_000
"""Milliseconds for which a page is waited for: it shares the machine."""
EAGER = "--autoplay-policy=no-user-gesture-required"
"""Videos start by themselves, as they do where a reader allowed it or often plays them."""

NAMED = "--host-resolver-rules=MAP archive.test 127.0.0.1"
"""A name of this machine that is not trusted as ``localhost`` is: a hospital's network by HTTP."""


# Of a module, not of the session: while Playwright runs, no other event loop can.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with skipping():
        program = find_program("chromium")
    with _launched(program, EAGER, NAMED) as browser:
        yield browser


@pytest.fixture(scope="module")
def drawing_chromium() -> Iterator[Browser]:
    """Chromium that can draw in three dimensions without a graphics card."""
    with skipping():
        program = find_program("chromium")
        demand()
    with _launched(program, *ARGUMENTS, EAGER) as browser:
        yield browser


@pytest.fixture
def ohif(drawing_chromium: Browser, shared_server: Isocenter) -> Iterator[Ohif]:
    """OHIF in a browser that has kept nothing; no fault may be left in it."""
    with opened(drawing_chromium, shared_server) as page:
        yield page


@contextlib.contextmanager
def _launched(program: str, *arguments: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", *arguments]
        )
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser, shared_server: Isocenter) -> Iterator[Tab]:
    """A fresh page of a browser that has kept nothing. No error may be left in it."""
    with contextlib.closing(chromium.new_context()) as context:
        context.set_default_timeout(WAIT)
        opened = Tab(context.new_page(), shared_server)
        faults: list[str] = []
        opened.page.on("request", lambda request: opened.requests.append(request))
        opened.page.on("response", lambda response: opened.answers.append(response))
        opened.page.on("pageerror", lambda error: faults.append(str(error)))
        yield opened
        assert faults == []
