"""What is drawn in OHIF with the mouse is saved in the archive: judged by programs of others.

The square of a slice is 32 mm wide, and its edges are seen: what is drawn from one to the other is
as long, whatever OHIF thinks of the screen.
"""

from __future__ import annotations

import contextlib
import io
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from playwright.sync_api import Browser, TimeoutError as Late, expect
from pydicom.dataset import Dataset

from instances import new_uid
from made_study import CENTER, GROUND, INSIDE, SPACING, SQUARE, WIDTH, as_file, stack
from ohif import NEAR, PATIENCE, WAIT, Ohif, opened
from peers import Isocenter, find_program
from programs import ServerFactory, skipping
from tabs import store

WIDE = (INSIDE.stop - INSIDE.start) * SPACING
"""Millimetres from one edge of the square to the other."""
BRUSH = 10
"""Millimetres from its middle to its edge."""
MENU = 8_000
"""Milliseconds in which an item of a menu can be chosen, if the menu stays."""
# Sixteen pixels are over a hundred on the screen, of which each edge is one or two too long.
EXACT = 0.5
"""Millimetres."""

MISSING = "Error - Missing attribute Type 1C Conditional Element"
UNREFERENCED = "Error - ReferencedSeriesSequence present but Instance does not reference Instances"
# OHIF's own doing: its adapter empties the item of the macro before it writes it, and writes a
# reference that structure sets have elsewhere.
KNOWN: dict[str, set[str]] = {
    "SR": set(),
    # cornerstone's adapter empties the item before it writes it.
    "SEG": {
        f"{MISSING}=<PixelSpacing> Module=<PixelMeasuresMacro>",
        f"{MISSING}=<SliceThickness> Module=<PixelMeasuresMacro>",
    },
    "RTSTRUCT": {f"{UNREFERENCED} - attribute <ReferencedSeriesSequence>"},
}


@pytest.fixture(scope="module")
def drawn_on(start_module_server: ServerFactory) -> tuple[Isocenter, list[Dataset]]:
    """A server, and a stack on it."""
    server, slices = start_module_server(), stack(new_uid())
    for each in slices:
        store(server, as_file(each))
    return server, slices


@pytest.fixture
def viewer(drawing_chromium: Browser, drawn_on: tuple[Isocenter, list[Dataset]]) -> Iterator[Ohif]:
    with opened(drawing_chromium, drawn_on[0]) as ohif:
        yield ohif


def shade(value: int) -> float:
    """What the window makes of a value (PS3.3 C.11.2.1.2.1)."""
    return ((value - (CENTER - 0.5)) / (WIDTH - 1) + 0.5) * 255


def square_in(ohif: Ohif) -> tuple[float, float, float, float]:
    """Where the square is seen, in pixels of the screen: left, top, right, bottom."""
    grey = ohif.picture().astype(float).mean(axis=2)
    is_bright = grey > (shade(SQUARE) + shade(GROUND)) / 2
    middle = grey.shape[0] // 2, grey.shape[1] // 2
    (columns,) = is_bright[middle[0]].nonzero()
    (rows,) = is_bright[grey.shape[0] // 4 :, middle[1]].nonzero()
    top = grey.shape[0] // 4 + rows.min()
    edges = columns.min(), top, columns.max() + 1, top + len(rows)
    return tuple(float(each) for each in edges)  # type: ignore[return-value]


def shown_of(ohif: Ohif, slices: list[Dataset]) -> Dataset:
    """The slice that the viewport says it shows."""
    told = ohif.page.locator("[data-cy='viewport-overlay-bottom-right']").inner_text()
    number = int(told.partition("I:")[2].split()[0])
    return next(each for each in slices if each.InstanceNumber == number)


def saved(ohif: Ohif, name: str) -> Dataset:
    """Name what is to be saved in OHIF's dialogue, press its button; return what is then kept."""
    dialogue = ohif.page.get_by_role("dialog")
    dialogue.get_by_role("textbox").fill(name)
    with ohif.page.expect_response(lambda answer: answer.request.method == "POST") as sent:
        dialogue.get_by_role("button", name="Save").click()
    assert sent.value.status == 200
    found = httpx.get(
        f"{ohif.server.url}/dicom-web/series",
        params={"SeriesDescription": name, "includefield": "00081190"},
        trust_env=False,
    ).json()
    assert len(found) == 1
    kept = httpx.get(
        f"{found[0]['00081190']['Value'][0]}/instances",
        params={"includefield": "00081190"},
        trust_env=False,
    ).json()
    (place,) = (each["00081190"]["Value"][0] for each in kept)
    file = httpx.get(place, headers={"accept": "application/dicom"}, trust_env=False)
    return pydicom.dcmread(io.BytesIO(file.content))


def faults_of(made: Dataset, folder: Path) -> set[str]:
    """What dciodvfy finds wrong."""
    with skipping():
        judge = find_program("dciodvfy")
    command = [judge, file_of(made, folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = (done.stdout + done.stderr).splitlines()
    return {each.strip() for each in told if each.startswith("Error")}


def file_of(made: Dataset, folder: Path) -> Path:
    file = folder / "saved.dcm"
    made.save_as(file, enforce_file_format=True)
    return file


def test_measurements_are_saved_as_a_report_and_drawn_again(
    drawing_chromium: Browser,
    drawn_on: tuple[Isocenter, list[Dataset]],
    viewer: Ohif,
    tmp_path: Path,
) -> None:
    server, slices = drawn_on
    study = str(slices[0].StudyInstanceUID)
    viewer.open(study)
    image = shown_of(viewer, slices)
    draw_measurements(viewer)

    viewer.page.locator("[data-cy='trackedMeasurements-btn']").click()
    viewer.page.get_by_text("Create SR", exact=True).click()
    report = saved(viewer, "drawn with the mouse")

    assert report.Modality == "SR"
    assert report.StudyInstanceUID == study
    assert report.PatientID == slices[0].PatientID
    assert faults_of(report, tmp_path) == KNOWN["SR"]
    # OHIF makes the short axis two thirds of the long one.
    wanted = {"Length": WIDE, "Long Axis": WIDE, "Short Axis": WIDE * 2 / 3}
    lengths = lengths_by_dcmtk(file_of(report, tmp_path))
    assert lengths == pytest.approx(wanted, abs=EXACT)
    assert references_of(report) == {(image.SOPClassUID, image.SOPInstanceUID)}
    (line, *_) = coordinates_of(report)
    assert line[0::2] == pytest.approx([INSIDE.start, INSIDE.stop], abs=EXACT / SPACING)

    with opened(drawing_chromium, server) as anew:
        anew.open(study)
        anew.show("drawn with the mouse")
        drawn = anew.page.locator(".svg-layer").first
        await_measurements(anew)
        for name in ("Length", "Long Axis", "Short Axis"):
            expect(drawn).to_contain_text(f"{lengths[name]:.2f} mm", timeout=WAIT)


def await_measurements(ohif: Ohif) -> None:
    """Return when any are drawn: OHIF may read them after it drew the image, and draws no more.

    That ends when somebody scrolls.
    """
    drawn = ohif.page.locator(".svg-layer").first
    deadline = time.monotonic() + PATIENCE
    while not drawn.text_content() and time.monotonic() < deadline:
        ohif.page.locator("canvas.cornerstone-canvas").first.hover()
        for step in (100, -100):
            ohif.page.mouse.wheel(0, step)
            ohif.page.wait_for_timeout(500)


def draw_measurements(ohif: Ohif) -> None:
    """A length and a bidirectional measurement, each as long as the square is wide."""
    left, top, right, bottom = square_in(ohif)
    ohif.page.locator("[data-cy='Length']").click()
    ohif.drag((left, top + 40), (right, top + 40))
    ohif.page.get_by_text("Yes", exact=True).click()  # Track measurements for this series?
    ohif.page.locator("[data-cy='MeasurementTools-split-button-secondary']").click()
    ohif.page.locator("[data-cy='Bidirectional']").click()
    ohif.drag((left, bottom + 100), (right, bottom + 100))
    expect(ohif.page.locator(".svg-layer").first).to_contain_text("W:")


def lengths_by_dcmtk(file: Path) -> dict[str, float]:
    """Each number in mm that DCMTK reads in a report, by what it is of."""
    with skipping():
        reader = find_program("dsrdump")
    done = subprocess.run([reader, file], capture_output=True, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        if "NUM:" in line:
            assert "(mm,UCUM" in line
            words = line.split('"')
            found[words[1]] = float(words[3])
    return found


def references_of(report: Dataset) -> set[tuple[str, str]]:
    """Classes and instances that are referred to anywhere in a report."""
    return {
        (each.ReferencedSOPClassUID, each.ReferencedSOPInstanceUID)
        for element in report.iterall()
        if element.keyword == "ReferencedSOPSequence"
        for each in element.value
    }


def coordinates_of(report: Dataset) -> list[list[float]]:
    """What is drawn in a report: columns and rows in turn."""
    return [list(each.value) for each in report.iterall() if each.keyword == "GraphicData"]


def test_what_is_painted_is_saved_as_a_segmentation_and_shown_again(
    drawing_chromium: Browser,
    drawn_on: tuple[Isocenter, list[Dataset]],
    viewer: Ohif,
    tmp_path: Path,
) -> None:
    server, slices = drawn_on
    image = paint(viewer, slices)
    colour = outline_of(viewer)

    export(viewer, "DICOM SEG")
    made = saved(viewer, "painted with the mouse")

    assert made.Modality == "SEG"
    assert made.StudyInstanceUID == image.StudyInstanceUID
    assert made.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert faults_of(made, tmp_path) == KNOWN["SEG"]
    (referenced,) = made.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == image.SeriesInstanceUID
    assert {each.ReferencedSOPInstanceUID for each in referenced.ReferencedInstanceSequence} == {
        each.SOPInstanceUID for each in slices
    }
    (frame,) = made.PerFrameFunctionalGroupsSequence
    (source,) = frame.DerivationImageSequence[0].SourceImageSequence
    assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert frame.PlanePositionSequence[0].ImagePositionPatient == image.ImagePositionPatient
    assert_painted(made.pixel_array)

    with opened(drawing_chromium, server) as anew:
        anew.open(str(image.StudyInstanceUID))
        anew.show("painted with the mouse")
        anew.page.wait_for_function(TINTED, timeout=PATIENCE * 1000)
        assert np.abs(np.subtract(outline_of(anew), colour)).max() <= NEAR


def assert_painted(mask: np.ndarray) -> None:
    """A stroke from one edge of the square to the other."""
    area = (math.pi * BRUSH**2 + 2 * BRUSH * WIDE) / SPACING**2
    assert mask.sum() == pytest.approx(area, rel=0.1)
    rows, columns = mask.nonzero()
    around = BRUSH / SPACING
    assert columns.min() == pytest.approx(INSIDE.start - around, abs=1)
    assert columns.max() == pytest.approx(INSIDE.stop - 1 + around, abs=1)
    assert len(set(rows)) == pytest.approx(2 * around, abs=1)


def test_what_is_painted_is_saved_as_a_structure_set(
    drawing_chromium: Browser,
    drawn_on: tuple[Isocenter, list[Dataset]],
    viewer: Ohif,
    tmp_path: Path,
) -> None:
    server, slices = drawn_on
    image = paint(viewer, slices)

    export(viewer, "DICOM RTSS")
    made = saved(viewer, "outlined with the mouse")

    assert made.Modality == "RTSTRUCT"
    assert made.StudyInstanceUID == image.StudyInstanceUID
    assert faults_of(made, tmp_path) == KNOWN["RTSTRUCT"]
    (contour,) = made.ROIContourSequence[0].ContourSequence
    (referenced,) = contour.ContourImageSequence
    assert referenced.ReferencedSOPInstanceUID == image.SOPInstanceUID
    points = np.array(contour.ContourData, float).reshape(-1, 3)
    assert set(points[:, 2]) == {float(image.ImagePositionPatient[2])}
    # The middle of the first pixel is at 0.
    near, far = (INSIDE.start - 0.5) * SPACING, (INSIDE.stop - 0.5) * SPACING
    assert points[:, 0].min() == pytest.approx(near - BRUSH, abs=SPACING)
    assert points[:, 0].max() == pytest.approx(far + BRUSH, abs=SPACING)

    with opened(drawing_chromium, server) as anew:
        anew.open(str(image.StudyInstanceUID))
        anew.show("outlined with the mouse")
        colour = ", ".join(str(each) for each in made.ROIContourSequence[0].ROIDisplayColor)
        line = anew.page.locator(".svg-layer path").first
        expect(line).to_have_attribute("stroke", f"rgba({colour}, 1)", timeout=WAIT)


# Is any of what the viewport shows in colour?
TINTED = """() => {
    const canvas = document.querySelector("canvas.cornerstone-canvas");
    if (!canvas) return false;
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let place = 0; place < data.length; place += 4)
        if (data[place] - data[place + 2] > 100) return true;
    return false;
}"""


def paint(ohif: Ohif, slices: list[Dataset]) -> Dataset:
    """Draw with the brush from one edge of the square to the other; return the slice."""
    page = ohif.page
    ohif.open(str(slices[0].StudyInstanceUID), "segmentation")
    page.locator("[data-cy='addSegmentation']").click()
    page.get_by_text("Segment 1", exact=True).wait_for()
    page.locator("[data-cy='Brush']").click()
    page.locator("[data-cy='brush-radius'] input").last.fill(str(BRUSH))
    page.keyboard.press("Enter")
    left, top, right, bottom = square_in(ohif)
    ohif.drag((left, (top + bottom) / 2), (right, (top + bottom) / 2))
    page.wait_for_function(TINTED)
    return shown_of(ohif, slices)


def export(ohif: Ohif, form: str) -> None:
    """Choose what is painted to be stored in a form; a dialogue asks for a name.

    OHIF closes an open menu when it has taken note of what was painted: then it is opened anew.
    """
    page = ohif.page
    for _ in range(4):
        with contextlib.suppress(Late):
            opens = "div:has(> button[role=combobox]) > button[aria-haspopup=menu]"
            page.locator(opens).click(timeout=MENU)
            page.get_by_role("menuitem", name="Download & Export").hover(timeout=MENU)
            page.get_by_role("menuitem", name=form).last.click(timeout=MENU)
            page.get_by_role("dialog").wait_for(timeout=MENU)
            return
        while page.get_by_role("menu").count():
            page.keyboard.press("Escape")
            page.wait_for_timeout(200)
    pytest.fail(f"OHIF offers no {form}")


def outline_of(ohif: Ohif) -> tuple[int, ...]:
    """The strongest red that is shown: what is painted has an outline of its full colour."""
    pixels = ohif.picture().astype(int).reshape(-1, 3)
    return tuple(pixels[(pixels[:, 0] - pixels[:, 2]).argmax()])
