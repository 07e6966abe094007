"""OHIF, as it is installed and served at /ohif: its list of studies, CT, and where it is not."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Route, expect

from made_instances import part10
from made_pictures import Pixels
from made_volumes import BRIGHT, DARK, MARK, as_shown, bar_of, ct_volume
from ohif import WAIT, Ohif, opened
from peers import Isocenter, run_isocenter
from programs import ServerFactory
from tabs import store

TOLERANCE = 3
"""Of 255: drawing in three dimensions rounds."""
PIXELS = 64
MANY = 1000
ASKED = 2.0
"""Seconds until the first image of a CT of many slices is there, on a machine left alone."""
SLACK = 2.0
"""For a machine that others use too; more of it, the more of them wait for a processor."""


def stored(ohif: Ohif, study: str, slices: int = 12, **attributes: str) -> str:
    """Store a CT of so many slices; return its Study Instance UID."""
    for each in ct_volume(study, slices, PIXELS, **attributes):
        store(ohif.server, each)
    return study


def grey_of(ohif: Ohif, number: int = 0) -> Pixels:
    """The brightness in a viewport: rows and columns."""
    return ohif.picture(number).mean(axis=2)  # type: ignore[no-any-return]


def bar_in(picture: Pixels) -> float:
    """Where the bar stands in the middle of a picture of full height: 0 is its top, 1 its foot."""
    column = picture[:, picture.shape[1] // 2 - picture.shape[0] // 4]
    (rows,) = (abs(column - as_shown(MARK)) < TOLERANCE).nonzero()
    return float(rows.mean()) / len(column)


def shown_number(ohif: Ohif) -> int:
    """The Instance Number that the viewport tells."""
    text = ohif.page.locator("[data-cy='viewport-overlay-bottom-right']").inner_text()
    found = re.search(r"I:\s*(\d+)", text)
    assert found, text
    return int(found[1])


def test_the_list_shows_studies_and_finds_them_by_name(ohif: Ohif) -> None:
    stored(ohif, "1.2.502", 2, PatientName="Röntgen^Wilhelm")
    stored(ohif, "1.2.503", 1, PatientName="Hounsfield^Godfrey")

    ohif.list_studies()
    rows = ohif.page.locator("[data-cy^='studyRow-1.2.50']")
    expect(rows).to_have_count(2)
    row = ohif.page.locator("[data-cy='studyRow-1.2.502']")
    expect(row).to_contain_text("Röntgen, Wilhelm")
    expect(row).to_contain_text("29-Feb-2024")
    expect(row).to_contain_text("of the test")
    ohif.page.locator("[data-cy='input-patientName']").fill("hounsf")

    expect(rows).to_have_count(1, timeout=WAIT)
    expect(rows).to_contain_text("Hounsfield, Godfrey")


def test_a_ct_is_shown_with_the_brightness_its_window_gives(ohif: Ohif) -> None:
    study = stored(ohif, "1.2.501")

    ohif.open(study)

    expect(ohif.page.locator("[data-cy='study-browser-thumbnail'] img")).to_be_visible()
    picture = grey_of(ohif)
    rows, columns = picture.shape
    left = columns // 2 - rows // 4
    row = rows // 4 if bar_in(picture) > 0.5 else rows * 3 // 4
    assert picture[row, left] == pytest.approx(as_shown(DARK), abs=TOLERANCE)
    assert picture[row, columns - left] == pytest.approx(as_shown(BRIGHT), abs=TOLERANCE)


def test_the_wheel_scrolls_through_the_slices(ohif: Ohif) -> None:
    slices = 12
    study = stored(ohif, "1.2.504", slices)
    ohif.open(study)
    canvas = ohif.page.locator("canvas.cornerstone-canvas").first

    seen = set()
    for _ in range(4):
        number = shown_number(ohif)
        expected = bar_of(number - 1, slices, PIXELS)
        ohif.page.wait_for_function("() => window.isDrawn(0)")
        assert bar_in(grey_of(ohif)) == pytest.approx(expected, abs=0.01)
        seen.add(number)
        canvas.hover()
        ohif.page.mouse.wheel(0, 100)
        told = ohif.page.locator("[data-cy='viewport-overlay-bottom-right']")
        expect(told).not_to_contain_text(re.compile(rf"I:\s*{number}\b"))
        ohif.page.wait_for_timeout(200)

    assert len(seen) == 4


def test_the_slices_are_put_together_to_a_volume(ohif: Ohif) -> None:
    slices = 40
    study = stored(ohif, "1.2.505", slices)
    ohif.open(study)

    ohif.page.locator("[data-cy='Layout']").click()
    ohif.page.get_by_text("MPR", exact=True).click()
    expect(ohif.page.locator("canvas.cornerstone-canvas")).to_have_count(3)
    for number in range(3):
        ohif.await_image(number)
    # Sagittal, in the middle: the bar of each slice stands further to the back than that of the
    # one below it. Where it is seen at three places from front to back tells of every slice.
    places = (0.25, 0.5, 0.75)
    wanted = [1 - ((part * PIXELS - 2) * (slices - 1) / (PIXELS - 4) + 0.5) / slices
              for part in places]  # fmt: skip
    expected = pytest.approx(wanted, abs=0.05)

    deadline = time.monotonic() + 20
    while heights_of_bars(ohif, places) != expected and time.monotonic() < deadline:
        ohif.page.wait_for_timeout(200)  # slices are still on their way
    assert heights_of_bars(ohif, places) == expected


def heights_of_bars(ohif: Ohif, places: tuple[float, ...]) -> list[float]:
    """Where bars are in the sagittal picture, 0 being its top, at places from front to back."""
    picture = grey_of(ohif, 1)
    (rows,) = (picture[:, picture.shape[1] // 2] > as_shown(DARK)).nonzero()
    if not rows.size:
        return []
    volume = picture[rows.min() : rows.max() + 1]
    found = []
    for part in places:
        (bar,) = (abs(volume[:, int(part * volume.shape[1])] - as_shown(MARK)) < 12).nonzero()
        # Not the mean: at its ends the volume fades into black, through the brightness of bars.
        found.append(float(np.median(bar)) / len(volume) if bar.size else -1)
    return found


def test_the_first_image_of_a_large_ct_is_there_at_once(
    drawing_chromium: Browser,
    start_server: ServerFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study, files = "1.2.506", tmp_path / "files"
    files.mkdir()
    for number, each in enumerate(ct_volume(study, MANY, 512)):
        (files / f"{number}.dcm").write_bytes(part10(each))
    done = run_isocenter("import", files, "--data", tmp_path / "data", timeout=100)
    assert done.returncode == 0, done.stderr
    server = start_server(data_folder=tmp_path / "data")

    took = []
    with opened(drawing_chromium, server) as ohif:
        for _ in range(4):
            ohif.list_studies()
            took.append(ohif.open_from_list(study))
    # The first time server and browser have everything still to make ready.
    with capsys.disabled():
        told = ", ".join(f"{each:.2f} s" for each in took)
        sys.stdout.write(f"\nfirst image of {MANY:,} slices: {told}\n")

    waiting = psutil.getloadavg()[0] / (psutil.cpu_count() or 1)
    assert min(took[1:]) < ASKED * SLACK * max(waiting, 1.0)


def test_the_list_comes_each_time_it_is_asked_for(ohif: Ohif) -> None:
    """Also when its scripts are all at hand, and so start in another order."""
    study = stored(ohif, "1.2.509", 2)

    for _ in range(6):
        ohif.list_studies()
        expect(ohif.page.locator(f"[data-cy='studyRow-{study}']")).to_be_visible()


def test_studies_are_opened_from_the_pages(ohif: Ohif) -> None:
    study = stored(ohif, "1.2.507", PatientName="Curie^Marie")

    ohif.page.goto(f"{ohif.server.url}/?name=Curie")
    ohif.page.get_by_role("link", name="Open in OHIF: Curie").click()
    ohif.await_image()
    ohif.page.goto(f"{ohif.server.url}/studies/{study}")
    ohif.page.get_by_role("link", name="Open in OHIF", exact=True).click()
    ohif.await_image()

    assert f"/ohif/viewer?StudyInstanceUIDs={study}" in ohif.page.url


def test_all_stays_below_the_prefix_of_a_proxy(
    drawing_chromium: Browser, start_server: ServerFactory
) -> None:
    server = start_server(config='[http]\ntrusted_proxies = ["127.0.0.1"]\n')

    def proxy(route: Route) -> None:
        path = route.request.url.removeprefix(f"{server.url}/pacs")
        told = {"x-forwarded-prefix": "/pacs", "x-forwarded-for": "192.0.2.1"}
        answer = route.fetch(
            url=f"{server.url}{path}", headers={**route.request.headers, **told}, timeout=WAIT
        )
        route.fulfill(response=answer)

    with opened(drawing_chromium, server) as ohif:
        study = stored(ohif, "1.2.508", 3)
        ohif.page.route(f"{server.url}/pacs/**", proxy)
        ohif.page.goto(f"{server.url}/pacs/ohif/viewer?StudyInstanceUIDs={study}")
        ohif.await_image()

        ohif.page.unroute_all(behavior="ignoreErrors")
        outside = [each.url for each in ohif.requests if not each.url.startswith(f"{server.url}/p")]
    assert [each for each in outside if each.startswith("http")] == []


def test_where_it_is_not_installed_a_page_says_how(
    drawing_chromium: Browser, start_server: ServerFactory, tmp_path: Path
) -> None:
    server: Isocenter = start_server(config=f'[viewer]\nfolder = "{tmp_path / "none"}"\n')

    page = drawing_chromium.new_page()
    page.goto(f"{server.url}/ohif/viewer?StudyInstanceUIDs=1.2")
    expect(page.get_by_role("heading")).to_have_text("The viewer is not installed")
    expect(page.get_by_text("isocenter viewer install", exact=True)).to_be_visible()
    found = Axe().run(page).response["violations"]
    page.close()

    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
