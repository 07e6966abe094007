"""What OHIF shows of objects that are not plain slices: looked at, colour by colour."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from instances import new_uid
from made_findings import CONTOURED, LENGTH, SEGMENTS, measurements, segmentation, structures
from made_pictures import seen
from made_slides import picture
from made_study import (
    CENTER,
    CODERS,
    COLOURS,
    DRAWN_IN_PDF,
    FILM_GREYS,
    GROUND,
    SQUARE,
    WIDTH,
    as_file,
    cine,
    compressed,
    document,
    electrocardiogram,
    enhanced,
    film,
    slide,
    stack,
)
from ohif import NEAR, PATIENCE, WAIT, Ohif, await_tint, opened
from peers import Isocenter, find_program
from programs import ServerFactory, skipping
from tabs import store

Colour = tuple[float, float, float]


def grey_of(value: float) -> Colour:
    """What the window makes of a value (PS3.3 C.11.2.1.2.1)."""
    shown = min(max((value - (CENTER - 0.5)) / (WIDTH - 1) + 0.5, 0), 1) * 255
    return (shown, shown, shown)


def await_colour(ohif: Ohif, *wanted: Colour, across: float = 0.5, down: float = 0.5) -> None:
    """Wait until a place of the viewport has one of the colours."""
    found: tuple[float, ...] = ()
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        whole = ohif.page.locator("[data-cy='viewport-pane']").first.screenshot()
        pixels = seen(whole)
        rows, columns = pixels.shape[:2]
        found = tuple(pixels[int(rows * down), int(columns * across), :3].astype(float))
        if any(np.abs(np.subtract(found, each)).max() <= NEAR for each in wanted):
            return
        ohif.page.wait_for_timeout(200)
    raise AssertionError(f"{found} is shown, not {wanted}")


def test_the_objects_are_valid(tmp_path: Path) -> None:
    with skipping():
        judge = find_program("dciodvfy")
    study = new_uid()
    slices = stack(study)
    made = [
        slices[0],
        segmentation(slices, 2),
        structures(slices, 3),
        measurements(slices, 4),
        enhanced(study, 5),
        cine(study, 6),
        document(study, 7),
        electrocardiogram(study, 8),
        *slide(study, 9, picture(512, 384)),
    ]
    file = tmp_path / "made.dcm"
    for content in (*map(as_file, made), film(study, 10)):
        file.write_bytes(content)
        done = subprocess.run([judge, file], capture_output=True, text=True, check=False)
        told = (done.stdout + done.stderr).splitlines()
        assert [each for each in told if each.startswith("Error")] == []


@pytest.fixture(scope="module")
def images(start_module_server: ServerFactory) -> tuple[Isocenter, str]:
    """A server, and a study of images in many forms on it."""
    server, study = start_module_server(), new_uid()
    for number, coder in enumerate(CODERS, 1):
        for file in compressed(stack(study, number, 4), coder):
            store(server, file)
    store(server, as_file(enhanced(study, 4)))
    store(server, as_file(cine(study, 5)))
    return server, study


@pytest.fixture
def on_images(drawing_chromium: Browser, images: tuple[Isocenter, str]) -> Iterator[Ohif]:
    server, study = images
    with opened(drawing_chromium, server) as page:
        page.open(study)
        yield page


def test_images_are_shown_whatever_form_they_have(on_images: Ohif) -> None:
    for description in ("stack 1", "stack 2", "stack 3", "enhanced"):
        on_images.show(description)
        expect(on_images.page.locator("[data-cy='viewport-pane']").first).to_contain_text(
            description
        )
        await_colour(on_images, grey_of(SQUARE))
        await_colour(on_images, grey_of(GROUND), down=0.8)
    on_images.show("cine")
    for colour in COLOURS:
        await_colour(on_images, colour, down=0.3)
        on_images.page.locator("canvas.cornerstone-canvas").first.hover()
        on_images.page.mouse.wheel(0, 100)


def test_documents_and_videos_are_shown(
    drawing_chromium: Browser, images: tuple[Isocenter, str]
) -> None:
    server, study = images[0], new_uid()
    store(server, as_file(document(study, 1)))
    store(server, film(study, 2))

    with opened(drawing_chromium, server) as ohif:
        ohif.visit(study)
        await_colour(ohif, DRAWN_IN_PDF, across=0.65)
        ohif.show("film")
        await_colour(ohif, *[(each, each, each) for each in FILM_GREYS])


PAPER = (255, 248, 245)
"""Of the drawing; in dark themes it is dimmed."""
DIMMED = tuple(0.86 * each for each in PAPER)


def test_an_electrocardiogram_is_drawn(
    drawing_chromium: Browser, images: tuple[Isocenter, str]
) -> None:
    server, study = images[0], new_uid()
    for each in stack(study, 1, 2):
        store(server, as_file(each))
    store(server, as_file(electrocardiogram(study, 3)))

    with opened(drawing_chromium, server) as ohif:
        ohif.open(study)
        thumbnail = ohif.page.locator("[data-cy^='study-browser-thumbnail'] img").last
        expect(thumbnail).to_have_attribute("src", re.compile("/dicom-web/.*/thumbnail"))
        ohif.show("electrocardiogram")
        within = ohif.page.frame_locator("iframe.isocenter-waveform")
        expect(within.locator(".leads")).to_contain_text(
            "aVR, aVL, aVF, V1", timeout=PATIENCE * 1000
        )
        await_curves(ohif)
        ohif.show("stack 1")  # and away from it again
        await_colour(ohif, grey_of(SQUARE))


def test_a_study_of_an_electrocardiogram_alone_opens_with_it(
    drawing_chromium: Browser, images: tuple[Isocenter, str]
) -> None:
    server, study = images[0], new_uid()
    store(server, as_file(electrocardiogram(study, 1)))

    with opened(drawing_chromium, server) as ohif:
        ohif.list_studies()
        ohif.page.locator(f"[data-cy='studyRow-{study}']").click()
        ohif.page.locator(f"[data-cy='mode-viewer-{study}']").click()
        await_curves(ohif)


def await_curves(ohif: Ohif) -> None:
    """Wait until there is paper in the viewport, with ink on it."""
    seen_of: tuple[float, float] = (0, 0)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        frames = ohif.page.locator("iframe.isocenter-waveform")
        if frames.count():
            pixels = seen(frames.first.screenshot())[..., :3].astype(float)
            paper = np.abs(pixels - DIMMED).max(axis=2) <= NEAR
            ink = pixels.max(axis=2) < 90
            rows = paper.any(axis=1)
            seen_of = float(paper[rows].mean()) if rows.any() else 0, float(ink[rows].sum())
            if seen_of[0] > 0.3 and seen_of[1] > 1000:
                return
        ohif.page.wait_for_timeout(200)
    raise AssertionError(f"{seen_of} of paper and ink")


@pytest.fixture(scope="module")
def findings(images: tuple[Isocenter, str]) -> tuple[Isocenter, str]:
    """A stack, and what was found in it."""
    server, study = images[0], new_uid()
    slices = stack(study)
    found = (segmentation(slices, 2), structures(slices, 3), measurements(slices, 4))
    for each in (*slices, *found):
        store(server, as_file(each))
    return server, study


@pytest.fixture
def on_findings(drawing_chromium: Browser, findings: tuple[Isocenter, str]) -> Iterator[Ohif]:
    server, study = findings
    with opened(drawing_chromium, server) as page:
        page.open(study)
        yield page


def test_contours_and_measurements_are_drawn(on_findings: Ohif) -> None:
    drawn = on_findings.page.locator(".svg-layer")

    on_findings.show("contours")
    line = drawn.locator("path").first
    expect(line).to_have_attribute("stroke", f"rgba{(*CONTOURED[1], 1)}", timeout=PATIENCE * 1000)
    square, height = line.bounding_box(), on_findings.page.locator("canvas.cornerstone-canvas")
    whole = height.first.bounding_box()
    assert square
    assert whole
    # The outline of 24 of 64 pixels, from the middle of the first to the last, with its line.
    assert square["height"] / whole["height"] == pytest.approx(24 / 64, abs=0.015)
    on_findings.show("measurements")
    expect(drawn.first).to_contain_text(f"{LENGTH:.2f} mm", timeout=PATIENCE * 1000)


def test_segments_are_laid_over_the_slices(on_findings: Ohif) -> None:
    on_findings.show("segments")

    assert_segments(on_findings)


def assert_segments(ohif: Ohif) -> None:
    """Return when each segment is seen in its colour."""
    for place, (_, (red, _, blue)) in zip((0.45, 0.55), SEGMENTS, strict=True):
        await_tint(ohif, place, is_red=red > blue)


def test_findings_are_shown_when_the_study_is_opened_from_its_page(
    drawing_chromium: Browser, findings: tuple[Isocenter, str]
) -> None:
    server, study = findings
    with opened(drawing_chromium, server) as ohif:
        ohif.page.goto(f"{server.url}/studies/{study}")
        ohif.page.get_by_role("link", name="Open in OHIF", exact=True).click()
        ohif.await_image()

        ohif.show("contours")
        line = ohif.page.locator(".svg-layer path").first
        expect(line).to_have_attribute("stroke", f"rgba{(*CONTOURED[1], 1)}", timeout=WAIT)
        ohif.show("segments")
        assert_segments(ohif)


def test_a_whole_slide_is_shown(drawing_chromium: Browser, images: tuple[Isocenter, str]) -> None:
    server, study = images[0], new_uid()
    whole = np.full((384, 512, 3), (200, 40, 160), np.uint8)
    for each in slide(study, 1, whole):
        store(server, as_file(each))

    with opened(drawing_chromium, server) as ohif:
        ohif.visit(study, "microscopy")
        await_colour(ohif, (200, 40, 160))
