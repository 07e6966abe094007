"""The study's page, used as a reader does: scrolling, window, zoom, cine, video, attributes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from made_instances import part10
from made_pictures import grey
from made_videos import H264, stream, video
from tabs import Tab, named, store

GREYS = (0, 60, 120, 180, 240)

# The grey in the middle of the picture that is shown, once it is there.
SHOWN = """async () => {
    const picture = document.querySelector(".viewer .picture");
    await picture.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    const drawn = canvas.getContext("2d");
    drawn.drawImage(picture, 0, 0);
    return drawn.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0];
}"""

# What the place is said to be, each time it changes.
PLACES = """async wanted => {
    const place = document.querySelector(".viewer .place");
    const seen = [];
    const ended = new Promise(done => new MutationObserver(() => {
        seen.push(place.textContent);
        if (seen.length === wanted) done();
    }).observe(place, {childList: true, characterData: true, subtree: true}));
    await ended;
    return seen.slice(0, wanted);
}"""


# What is seen of a video that plays by itself: its time and a grey, four times.
PLAYED = """async () => {
    const video = document.querySelector(".viewer video");
    video.muted = true;
    const canvas = new OffscreenCanvas(1, 1);
    const drawn = canvas.getContext("2d", {willReadFrequently: true});
    const seen = [];
    const frame = () => new Promise(done => video.requestVideoFrameCallback(
        (now, {mediaTime}) => done(mediaTime)));
    let next = frame();
    await video.play();
    while (seen.length < 4) {
        const time = await next;
        const [x, y] = [video.videoWidth * 0.6, video.videoHeight / 2];
        drawn.drawImage(video, x, y, 1, 1, 0, 0, 1, 1);
        seen.push({time, grey: drawn.getImageData(0, 0, 1, 1).data[1]});
        next = frame();
    }
    return seen;
}"""


def open_series(tab: Tab, number: int) -> None:
    """A series of slices, each of one grey, opened in the quick look."""
    uids = named(number)
    for place, value in enumerate(GREYS, 1):
        pixels = np.full((32, 48), value, np.uint8)
        uids["SOPInstanceUID"] = f"1.2.{number}.1.{place}"
        made = grey(
            pixels, InstanceNumber=place, WindowCenter=128, WindowWidth=256, FrameTime=400, **uids
        )
        store(tab.server, made)
    tab.page.goto(f"{tab.server.url}/studies/1.2.{number}")
    expect(tab.page.locator(".viewer .place")).to_have_text("Image 1 of 5")


def shown(tab: Tab) -> int:
    return int(tab.run(SHOWN))


def wait_for(tab: Tab, text: str) -> None:
    expect(tab.page.locator(".viewer .place")).to_have_text(text)


def test_scrolling_shows_the_next_image_by_wheel_key_and_slider(tab: Tab) -> None:
    open_series(tab, 8100)
    assert shown(tab) == pytest.approx(GREYS[0], abs=3)

    tab.page.locator(".viewer .screen").hover()
    tab.page.mouse.wheel(0, 100)
    wait_for(tab, "Image 2 of 5")
    assert shown(tab) == pytest.approx(GREYS[1], abs=3)

    tab.page.locator(".viewer").focus()
    tab.page.keyboard.press("ArrowDown")
    wait_for(tab, "Image 3 of 5")
    assert shown(tab) == pytest.approx(GREYS[2], abs=3)

    tab.page.locator(".viewer .slider").fill("5")
    wait_for(tab, "Image 5 of 5")
    assert shown(tab) == pytest.approx(GREYS[4], abs=3)
    tab.page.keyboard.press("Home")  # in the slider, its own
    wait_for(tab, "Image 1 of 5")


def test_a_window_that_is_dragged_changes_the_picture_and_reset_brings_it_back(tab: Tab) -> None:
    open_series(tab, 8110)
    tab.page.locator(".viewer").focus()
    tab.page.keyboard.press("End")
    wait_for(tab, "Image 5 of 5")
    before = shown(tab)

    box = tab.page.locator(".viewer .screen").bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.page.mouse.move(*middle)
    tab.page.mouse.down()
    tab.page.mouse.move(middle[0], middle[1] + 60, steps=5)  # a higher centre: darker
    tab.page.mouse.up()

    expect(tab.page.locator(".viewer .window")).to_have_text(re.compile(r"C / W \d+ / 256"))
    darker = shown(tab)
    tab.page.get_by_role("button", name="Reset").click()
    expect(tab.page.locator(".viewer .window")).to_have_text("")

    assert darker < before - 30
    assert shown(tab) == before


def test_zoom_by_wheel_and_button_and_moving_with_shift(tab: Tab) -> None:
    open_series(tab, 8120)
    screen, picture = tab.page.locator(".viewer .screen"), tab.page.locator(".viewer .picture")
    before = picture.bounding_box()
    tab.page.get_by_role("button", name="Larger").click()
    larger = picture.bounding_box()
    screen.hover()
    tab.page.keyboard.down("Control")
    tab.page.mouse.wheel(0, -100)
    tab.page.keyboard.up("Control")
    largest = picture.bounding_box()
    assert before
    assert larger
    assert largest
    assert before["width"] * 1.2 < larger["width"] < largest["width"]

    tab.page.keyboard.down("Shift")
    tab.page.mouse.down()
    tab.page.mouse.move(largest["x"] + 200, largest["y"] + 200)
    tab.page.mouse.up()
    tab.page.keyboard.up("Shift")
    moved = picture.bounding_box()
    assert moved
    assert moved["x"] != largest["x"]
    wait_for(tab, "Image 1 of 5")


def test_cine_plays_through_all_images_and_stops(tab: Tab) -> None:
    open_series(tab, 8130)
    play = tab.page.get_by_role("button", name="Play")
    play.click()
    # It begins anew at the end: what was shown first is shown again.
    assert tab.run(PLACES, 6) == [f"Image {number} of 5" for number in (2, 3, 4, 5, 1, 2)]
    play.click()
    expect(play).to_have_attribute("aria-pressed", "false")
    stopped = tab.page.locator(".viewer .place").inner_text()
    tab.page.wait_for_timeout(300)
    assert tab.page.locator(".viewer .place").inner_text() == stopped


def test_a_video_is_played_in_place(tab: Tab) -> None:
    path = store(tab.server, part10(video(stream(), **named(8140)), H264))
    tab.page.goto(tab.server.url + path.removeprefix("/dicom-web").split("/series/")[0])
    expect(tab.page.locator(".viewer video")).to_be_visible()

    played = tab.run(PLAYED)

    assert [each["time"] for each in played] == sorted({each["time"] for each in played})
    assert len({each["grey"] // 8 for each in played}) > 1, played


def test_the_attributes_of_the_shown_image_are_found_by_name(tab: Tab) -> None:
    open_series(tab, 8150)
    tab.page.keyboard.press("Tab")
    tab.page.get_by_role("link", name="Attributes").click()
    tab.page.get_by_role("searchbox").fill("windowwidth")
    expect(tab.page.locator("#attributes tbody tr")).to_have_count(1)
    expect(tab.page.locator("#attributes tbody")).to_contain_text("256")
    tab.page.get_by_role("link", name="To the study").click()
    wait_for(tab, "Image 1 of 5")
