"""Files, folders and zip archives go from a browser into the archive."""

from __future__ import annotations

import csv
import re
import uuid
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from made_instances import image, part10
from programs import Command
from tabs import Tab

MANY = 2_000
DONE = 180_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a patient's CD has on it."""
    source = tmp_path / "CD"
    (source / "IMAGES" / "deep").mkdir(parents=True)
    own = f"2.25.{uuid.uuid4().int}"
    study = {"StudyInstanceUID": own, "PatientName": "Up^Load"}
    for number in range(3):
        instance = image(f"{own}.{number}", **study)
        (source / "IMAGES" / f"I{number}").write_bytes(part10(instance))
    (source / "IMAGES" / "deep" / "cut.dcm").write_bytes(part10(image("1.2.80.9"))[:-4])
    (source / "DICOMDIR").write_bytes(b"not looked at")
    (source / "README.TXT").write_text("no image at all")
    return source


def open_upload(tab: Tab) -> Page:
    tab.page.goto(f"{tab.server.url}/upload")
    expect(tab.page.locator("#folder")).to_be_visible()
    return tab.page


def count(page: Page, fate: str) -> int:
    box = page.locator(f"[data-fate={fate}]")
    return int(re.sub(r"\D", "", box.locator("dd").inner_text())) if box.is_visible() else 0


def counts(page: Page) -> dict[str, int]:
    expect(page.locator("#sending")).to_have_attribute("data-state", "done", timeout=DONE)
    expect(page.locator("#report")).to_be_visible()
    page.wait_for_function("new Promise(done => requestAnimationFrame(() => done(true)))")
    fates = ("stored", "already_there", "refused", "not_dicom", "passed_over", "not_sent")
    return {fate: number for fate in fates if (number := count(page, fate))}


def drop(page: Page, *paths: Path) -> None:
    """Let go of files over the page, as from a window of the desktop."""
    devtools = page.context.new_cdp_session(page)
    box = page.locator("#upload").bounding_box()
    assert box is not None
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 20, "y": box["y"] + 20}
        devtools.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_a_folder_is_sent_and_reported(tab: Tab, folder: Path, how: str) -> None:
    page = open_upload(tab)

    if how == "chosen":
        page.locator("#folder").set_input_files(folder)
    else:
        drop(page, folder)

    assert counts(page) == {"stored": 3, "refused": 1, "not_dicom": 1}
    expect(page.locator(".refusals tbody th")).to_have_text("CD/IMAGES/deep/cut.dcm")
    expect(page.locator("#uploaded th > a")).to_have_text("Up, Load")
    with page.expect_download() as download:
        page.locator("a[download]").click()
    rows = list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert sorted((row[0], row[2]) for row in rows[1:]) == [
        ("CD/IMAGES/I0", "stored"),
        ("CD/IMAGES/I1", "stored"),
        ("CD/IMAGES/I2", "stored"),
        ("CD/IMAGES/deep/cut.dcm", "refused"),
        ("CD/README.TXT", "not DICOM"),
    ]


def test_a_zip_archive_and_files_are_sent_twice(tab: Tab, folder: Path) -> None:
    packed = folder.parent / "all.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    page = open_upload(tab)

    drop(page, packed)
    assert counts(page) == {"stored": 3, "refused": 1, "not_dicom": 1}
    page.locator("input[name=files]").set_input_files([packed, folder / "IMAGES" / "I0"])

    expect(page.locator("[data-fate=already_there] dd")).to_have_text("4")
    assert counts(page) == {"already_there": 4, "refused": 1, "not_dicom": 1}


def test_a_folder_of_many_small_files_goes_through(tab: Tab, tmp_path: Path) -> None:
    source = tmp_path / "many"
    source.mkdir()
    study = {"StudyInstanceUID": "1.2.81", "SeriesInstanceUID": "1.2.81.1", "PatientName": "Many"}
    data = part10(image("1.2.81.1.0000", Rows=8, Columns=8, PixelData=bytes(128), **study))
    for number in range(MANY):
        copy = data.replace(b"1.2.81.1.0000", f"1.2.81.1.{number + 1000}".encode())
        (source / f"{number:05}.dcm").write_bytes(copy)
    page = open_upload(tab)

    drop(page, source)

    assert counts(page) == {"stored": MANY}
    expect(page.locator("#uploaded td.number").nth(1)).to_have_text(f"{MANY:,}")
    assert page.locator(".files li").count() <= 4


def test_a_lost_connection_is_waited_for_and_nothing_is_lost(tab: Tab, folder: Path) -> None:
    page = open_upload(tab)
    broken: list[str] = []

    def breaking(route: Route) -> None:
        if len(broken) < 5:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/upload/file*", breaking)
    page.route("**/health/live", lambda route: route.abort("connectionreset"))
    page.locator("#folder").set_input_files(folder)
    expect(page.locator("#sending")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#sending .state")).to_contain_text("connection was lost")

    assert counts(page) == {"stored": 3, "refused": 1, "not_dicom": 1}
    assert len(broken) == 5


def test_a_busy_server_is_asked_again(tab: Tab, folder: Path) -> None:
    page = open_upload(tab)
    refused: list[str] = []

    def busy(route: Route) -> None:
        if len(refused) < 4:
            refused.append(route.request.url)
            route.fulfill(status=503, headers={"retry-after": "1"})
        else:
            route.continue_()

    page.route("**/upload/file*", busy)
    page.locator("#folder").set_input_files(folder)

    assert counts(page) == {"stored": 3, "refused": 1, "not_dicom": 1}


def test_sending_can_be_cancelled(tab: Tab, folder: Path) -> None:
    page = open_upload(tab)
    held: list[Route] = []
    page.route("**/upload/file*", lambda route: held.append(route))
    page.locator("#folder").set_input_files(folder)
    expect(page.locator(".files li")).to_have_count(4)

    page.locator("[data-do=cancel]").click()

    expect(page.locator("#sending")).to_have_attribute("data-state", "cancelled")
    expect(page.locator("[data-fate=not_sent] dd")).to_have_text("5")


def test_without_script_a_form_does_it(tab: Tab, folder: Path) -> None:
    browser = tab.page.context.browser
    assert browser is not None
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(f"{tab.server.url}/upload")
        paths = [folder / "IMAGES" / "I0", folder / "IMAGES" / "deep" / "cut.dcm"]
        page.locator("input[name=files]").set_input_files(paths)
        page.locator("#upload button").click()

        expect(page.locator("[data-fate=stored] dd")).to_have_text("1")
        expect(page.locator(".refusals tbody th")).to_have_text("cut.dcm")
        expect(page.locator("#uploaded th > a")).to_have_text("Up, Load")
    finally:
        context.close()


def test_the_command_makes_the_same_of_the_same_folder(
    tab: Tab, folder: Path, tmp_path: Path, isocenter: Command
) -> None:
    page = open_upload(tab)
    page.locator("#folder").set_input_files(folder)
    assert counts(page) == {"stored": 3, "refused": 1, "not_dicom": 1}
    reason = page.locator(".refusals tbody td").inner_text()

    done = isocenter("import", "--data", tmp_path / "other", folder, expect=None)

    assert "3 stored, 2 refused" in done.stdout or "2 refused, 3 stored" in done.stdout
    assert f"cut.dcm: {reason}" in done.stderr
