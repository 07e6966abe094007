"""Videos and cine as MP4, played by Chromium from their rendered URL (PS3.18 8.7.4)."""

from __future__ import annotations

import io
import re
from typing import Any

import av
import numpy as np
import pytest

from made_instances import part10
from made_pictures import grey
from made_videos import COLUMNS, H264, MPEG2, RATE, ROWS, grey_of, stream, video
from tabs import Tab, named, store

FRAMES = 30

OPENED = """async url => {
    const video = document.createElement("video");
    video.muted = true;
    video.preload = "auto";
    document.body.append(video);
    const failed = new Promise((_, fail) => { video.onerror = () => fail(video.error.message); });
    const ready = new Promise(done => { video.oncanplay = done; });
    video.src = url;
    await Promise.race([ready, failed]);
    return {duration: video.duration, size: [video.videoWidth, video.videoHeight]};
}"""

# A player that has loaded no more than it must goes to nearly the end.
SOUGHT = """async url => {
    const video = document.createElement("video");
    video.preload = "metadata";
    document.body.append(video);
    const known = new Promise(done => { video.onloadedmetadata = done; });
    video.src = url;
    await known;
    const sought = new Promise(done => { video.onseeked = done; });
    video.currentTime = video.duration * 0.9;
    await sought;
}"""

# Seconds from the first picture to the end, by the page's clock and the video's own.
PLAYED = """async () => {
    const video = document.querySelector("video");
    const ended = new Promise(done => { video.onended = done; });
    const times = [];
    const count = (now, {mediaTime}) => {
        times.push(mediaTime);
        video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
    const started = new Promise(done => { video.onplaying = () => done(performance.now()); });
    await video.play();
    const begun = await started;
    await ended;
    return {
        seconds: (performance.now() - begun) / 1000,
        end: video.currentTime,
        frames: video.getVideoPlaybackQuality().totalVideoFrames,
        times,
    };
}"""

# What is shown at each of these times: the shade right of the dark column.
SHADES = """async times => {
    const video = document.querySelector("video");
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d", {willReadFrequently: true});
    const shades = [];
    for (const time of times) {
        const seeked = new Promise(done => { video.onseeked = done; });
        // What was shown before may still be drawn when the video says that it is there.
        const shown = new Promise(done => video.requestVideoFrameCallback(done));
        const late = new Promise(done => setTimeout(done, 3000));
        video.currentTime = time;
        await seeked;
        await Promise.race([shown, late]);
        context.drawImage(video, 0, 0);
        const place = [Math.floor(canvas.width * 0.6), Math.floor(canvas.height / 2)];
        shades.push(context.getImageData(...place, 1, 1).data[1]);
    }
    return shades;
}"""


def opened(tab: Tab, place: str) -> dict[str, Any]:
    tab.show("")
    found: dict[str, Any] = tab.run(OPENED, f"{place}/rendered?accept=video/mp4")
    return found


def shades_in_the_middle_of_each_frame(tab: Tab, count: int, rate: float) -> list[int]:
    found: list[int] = tab.run(SHADES, [(number + 0.5) / rate for number in range(count)])
    return found


KEPT = [(H264, "mp4"), (H264, "mpegts"), (MPEG2, "mpegts")]


@pytest.mark.parametrize(("syntax", "container"), KEPT, ids=["mp4", "transport stream", "mpeg-2"])
def test_a_video_plays_and_seeks(tab: Tab, syntax: str, container: str) -> None:
    number = 100 + KEPT.index((syntax, container))
    content = stream(syntax, container, FRAMES)
    place = store(tab.server, part10(video(content, FRAMES, **named(number)), syntax))

    told = opened(tab, place)

    assert told["size"] == [COLUMNS, ROWS]
    assert told["duration"] == pytest.approx(FRAMES / RATE, abs=0.05)
    # Any frame can be gone to, back and forth, and is the right one.
    expected = [grey_of(number) for number in range(1, FRAMES + 1)]
    assert shades_in_the_middle_of_each_frame(tab, FRAMES, RATE) == pytest.approx(expected, abs=4)
    there_and_back = tab.run(SHADES, [0.6, 0.02, 1.18])
    assert there_and_back == pytest.approx([grey_of(16), grey_of(1), grey_of(30)], abs=4)


def test_it_plays_all_its_frames_in_their_time(tab: Tab) -> None:
    content = stream(H264, "mpegts", FRAMES)
    place = store(tab.server, part10(video(content, FRAMES, **named(110)), H264))
    opened(tab, place)

    played = tab.run(PLAYED)

    assert played["end"] == pytest.approx(FRAMES / RATE, abs=0.05)
    assert played["frames"] == FRAMES
    assert played["times"] == sorted(played["times"])
    assert FRAMES / RATE - 0.1 < played["seconds"] < FRAMES / RATE + 5


def test_a_url_without_more_plays_in_an_element(tab: Tab) -> None:
    content = stream(H264, "mpegts", FRAMES)
    place = store(tab.server, part10(video(content, FRAMES, **named(111)), H264))
    tab.show(f'<video muted autoplay src="{place}/rendered" poster="{place}/thumbnail"></video>')

    tab.page.wait_for_function("document.querySelector('video').ended")

    media = [each for each in tab.answers if each.url.endswith("/rendered")]
    assert {each.header_value("content-type") for each in media} == {"video/mp4"}
    assert tab.asked_for("/thumbnail")


@pytest.mark.parametrize("time", [40, 100, 250])
def test_a_cine_has_its_frames_at_their_speed(tab: Tab, time: int) -> None:
    count = 10
    flat = np.stack([np.full((48, 64), 20 * number + 20, np.uint16) for number in range(count)])
    made = grey(flat, WindowCenter=128, WindowWidth=256, FrameTime=time, **named(120 + time))
    place = store(tab.server, made)

    told = opened(tab, place)

    assert told["size"] == [64, 48]
    assert told["duration"] == pytest.approx(count * time / 1000, abs=0.02)
    shades = shades_in_the_middle_of_each_frame(tab, count, 1000 / time)
    assert shades == pytest.approx([20 * number + 20 for number in range(count)], abs=4)
    assert tab.run(SHADES, [0.0]) == pytest.approx([20], abs=4)
    assert tab.run(PLAYED)["times"][-1] == pytest.approx((count - 1) * time / 1000, abs=0.01)


def test_a_player_seeks_by_asking_for_the_part_it_needs(tab: Tab) -> None:
    # Noise cannot be compressed: far more than a player loads ahead.
    described = {"Rows": 240, "Columns": 320, **named(112)}
    place = store(tab.server, part10(video(_noise(), 250, **described), H264))

    tab.show("")
    tab.run(SOUGHT, f"{place}/rendered?accept=video/mp4")

    media = [each for each in tab.answers if "/rendered" in each.url]
    assert {each.status for each in media} == {206}
    asked = [str(each.request.all_headers().get("range")) for each in media]
    given = [str(each.header_value("content-range")) for each in media]
    starts = [int(re.fullmatch(r"bytes=(\d+)-\d*", each)[1]) for each in asked]  # type: ignore[index]
    answered = [re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", each) for each in given]
    assert [int(each[1]) for each in answered if each] == starts
    size = {int(each[3]) for each in answered if each}
    assert starts[0] == 0
    assert max(starts) > size.pop() * 0.5


def _noise() -> bytes:
    chance = np.random.default_rng(3)
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as file:
        pictures: Any = file.add_stream("libx264", rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = 320, 240, "yuv420p"
        pictures.codec_context.options = {"crf": "1", "preset": "ultrafast"}
        pictures.codec_context.gop_size = 10
        for number in range(250):
            made = chance.integers(0, 256, (240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(made, format="rgb24")
            frame.pts = number
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode(None))
    return out.getvalue()
