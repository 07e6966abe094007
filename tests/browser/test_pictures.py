"""Rendered stills and animations, as Chromium shows them (PS3.18 8.7.4)."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from made_pictures import coloured, grey, ramp
from tabs import Tab, named, store

# What an element asks for says "any image" first or last; the URL says which (8.3.3.1).
STILLS = ["image/jpeg", "image/png", "image/webp", "image/gif"]

SHOWN = """async url => {
    const image = new Image();
    image.src = url;
    await image.decode();
    return [image.naturalWidth, image.naturalHeight];
}"""

PIXELS = """async url => {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const context = canvas.getContext("2d", {colorSpace: "srgb"});
    context.drawImage(image, 0, 0);
    return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""

ANIMATED = """async url => {
    const answer = await fetch(url);
    const type = answer.headers.get("content-type");
    const decoder = new ImageDecoder({data: await answer.arrayBuffer(), type});
    await decoder.tracks.ready;
    const track = decoder.tracks.selectedTrack;
    const frames = [];
    for (let frameIndex = 0; frameIndex < track.frameCount; frameIndex++) {
        const {image} = await decoder.decode({frameIndex});
        const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const middle = context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[0];
        frames.push([image.duration / 1000, middle]);
        image.close();
    }
    return {type, animated: track.animated, frames};
}"""


@pytest.mark.parametrize("media_type", STILLS)
@pytest.mark.parametrize("level", ["series", "instances", "frames"])
def test_an_element_shows_a_rendered_image(tab: Tab, media_type: str, level: str) -> None:
    instance = store(tab.server, grey(ramp(24, 40), WindowCenter=500, WindowWidth=1000))
    place = instance.partition("/instances/")[0] if level == "series" else instance
    place += "/frames/1" if level == "frames" else ""
    tab.show("")

    shown = tab.run(SHOWN, f"{place}/rendered?accept={media_type}")

    assert shown == [40, 24]
    assert tab.answers[-1].header_value("content-type") == media_type


def test_who_says_nothing_more_is_shown_an_image(tab: Tab) -> None:
    place = store(tab.server, grey(ramp(24, 40), **named(53)))
    tab.show(f'<img src="{place}/rendered"><img src="{place}/thumbnail">')

    tab.page.wait_for_function("[...document.images].every(each => each.naturalWidth > 0)")

    assert [each.status for each in tab.answers[1:3]] == [200, 200]


@pytest.mark.parametrize("is_coloured", [False, True], ids=["grey", "coloured"])
def test_a_canvas_holds_the_values_of_the_image(tab: Tab, is_coloured: bool) -> None:
    chance = np.random.default_rng(4)
    if is_coloured:
        pixels = chance.integers(0, 256, (9, 14, 3), np.uint8)
        place = store(tab.server, coloured(pixels, **named(51)))
        expected = pixels
    else:
        # A window of all 256 values: each pixel is shown as it is (PS3.3 C.11.2.1.2.1).
        values = chance.integers(0, 256, (9, 14), np.uint16)
        made = grey(values, WindowCenter=128, WindowWidth=256, **named(50))
        place = store(tab.server, made)
        expected = np.repeat(values[..., None], 3, axis=2)
    tab.show("")

    found = np.array(tab.run(PIXELS, f"{place}/rendered?accept=image/png")).reshape(9, 14, 4)

    assert (found[..., 3] == 255).all()
    assert np.array_equal(found[..., :3], expected)
    picture = httpx.get(
        f"{tab.server.url}{place}/rendered", headers={"accept": "image/png"}, trust_env=False
    )
    with Pillow.open(io.BytesIO(picture.content)) as opened:
        assert np.array_equal(found[..., :3], np.asarray(opened.convert("RGB")))


@pytest.mark.parametrize(
    ("speed", "durations"),
    [
        ({"FrameTime": 40}, [40] * 7),
        ({"FrameTime": 100}, [100] * 7),
        ({"FrameTimeVector": [0, 50, 50, 100, 100, 200, 200]}, [50, 50, 100, 100, 200, 200]),
        ({"RecommendedDisplayFrameRate": 5}, [200] * 7),
    ],
    ids=["40 ms", "100 ms", "each its own", "5 a second"],
)
def test_a_cine_has_its_frames_at_their_speed(
    tab: Tab, speed: dict[str, object], durations: list[int]
) -> None:
    flat = np.stack([np.full((20, 30), 30 * number + 20, np.uint16) for number in range(7)])
    pointer = {"FrameTimeVector": 0x00181065, "FrameTime": 0x00181063}
    described = {name: value for name, value in pointer.items() if name in speed}
    if described:
        speed = {**speed, "FrameIncrementPointer": next(iter(described.values()))}
    number = 60 + len(durations) + durations[0]
    made = grey(flat, WindowCenter=128, WindowWidth=256, **speed, **named(number))
    place = store(tab.server, made)
    tab.show("")

    found = tab.run(ANIMATED, f"{place}/rendered?accept=image/gif")

    assert (found["type"], found["animated"]) == ("image/gif", True)
    assert [shade for _, shade in found["frames"]] == [30 * n + 20 for n in range(7)]
    # How long the last one stays, a Frame Time Vector does not say.
    assert [round(each) for each, _ in found["frames"]][: len(durations)] == durations


def test_an_element_shows_a_cine(tab: Tab) -> None:
    flat = np.stack([np.full((20, 30), 30 * number, np.uint16) for number in range(7)])
    place = store(tab.server, grey(flat, FrameTime=40, **named(52)))
    tab.show("")

    assert tab.run(SHOWN, f"{place}/rendered?accept=image/gif") == [30, 20]
