"""Videos and moving images as MP4 (PS3.18 8.7.2, 8.7.4, 9.5, 10.4.1.1.3)."""

from __future__ import annotations

import asyncio
import io
from email.parser import BytesParser
from email.policy import HTTP
from fractions import Fraction

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

import made_slides
from isocenter.archive.archive import Archive
from isocenter.imaging import video as video_of_ours
from isocenter.storage.records import Selection
from made_instances import Kept
from made_pictures import coloured, grey, ramp
from made_videos import (
    COLUMNS,
    H264,
    H264_FRAGMENTABLE,
    HEVC,
    MPEG2,
    RATE,
    ROWS,
    grey_of,
    is_in_order,
    read,
    store,
    stream,
    video,
)

SERIES = "/studies/1.2/series/1.2.3"
INSTANCE = f"{SERIES}/instances/1.2.3.4"
PLACES = ["/studies/1.2", SERIES, INSTANCE]
WADO = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.4"
FRAMES = 30


async def get(
    web: httpx.AsyncClient, path: str = f"{INSTANCE}/rendered", accept: str = "video/mp4",
    **headers: str,
) -> httpx.Response:  # fmt: skip
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await web.get(path, headers={"accept": accept, **named})


async def film(web: httpx.AsyncClient, path: str = f"{INSTANCE}/rendered") -> bytes:
    answer = await get(web, path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "video/mp4"
    return answer.content


def shade(picture: bytes) -> float:
    """How light a still is, right of the dark column."""
    with Pillow.open(io.BytesIO(picture)) as opened:
        shown = np.asarray(opened.convert("RGB"))
    return float(shown[:, shown.shape[1] // 4 :].mean())


def shows(greys: object) -> object:
    """All frames, in their order."""
    return pytest.approx([grey_of(number) for number in range(1, FRAMES + 1)], abs=3)


# --- videos

COPIED = [(H264, "mp4"), (H264, "mpegts"), (H264, "h264"), (HEVC, "mp4"), (HEVC, "hevc")]


@pytest.mark.parametrize(("syntax", "container"), COPIED)
async def test_a_video_is_given_without_coding_it_anew(
    web: httpx.AsyncClient, kept: Kept, syntax: str, container: str
) -> None:
    data = stream(syntax, container)
    await store(kept, video(data), syntax)

    given = await film(web)

    found = read(given)
    assert found.tag == ("hvc1" if syntax == HEVC else "avc1")
    assert is_in_order(given)
    assert found.greys == shows(found)
    assert found.times == pytest.approx([number / RATE for number in range(FRAMES)], abs=0.002)
    assert found.duration == pytest.approx(FRAMES / RATE, abs=0.01)
    if container in ("mp4", "mpegts"):
        kept_pictures = read(stream(syntax, "mp4")).pictures
        assert all(map(np.array_equal, found.pictures, kept_pictures))


@pytest.mark.parametrize("container", ["mpegts", "mpeg", "mpeg2video"])
async def test_mpeg_2_is_coded_as_h264(web: httpx.AsyncClient, kept: Kept, container: str) -> None:
    data = stream(MPEG2, container, aspect=Fraction(8, 9))
    await store(kept, video(data), MPEG2)

    given = await film(web)

    found = read(given)
    assert (found.codec, is_in_order(given)) == ("h264", True)
    assert found.greys == shows(found)
    assert found.duration == pytest.approx(FRAMES / RATE, abs=0.05)
    assert found.aspect == pytest.approx(8 / 9, abs=0.01)
    assert found.colours[1] == 1


@pytest.mark.parametrize("syntax", [H264, HEVC])
async def test_what_can_be_played_as_it_is_kept_is_given_so(
    web: httpx.AsyncClient, kept: Kept, syntax: str
) -> None:
    data = stream(syntax, is_in_order=True, has_sound=True)
    await store(kept, video(data, fragments=3), syntax)

    assert await film(web) == data


async def test_what_can_be_played_as_it_is_kept_needs_no_library(
    web: httpx.AsyncClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = stream(is_in_order=True)
    await store(kept, video(data))
    monkeypatch.setattr(video_of_ours, "is_at_hand", lambda: False)

    assert await film(web) == data


async def test_without_the_library_it_is_said_what_to_do(
    web: httpx.AsyncClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(kept, video(stream(container="mpegts")))
    monkeypatch.setattr(video_of_ours, "is_at_hand", lambda: False)

    answer = await get(web)

    assert answer.status_code == 406
    assert 'pip install "isocenter[video]"' in answer.json()["detail"]
    assert "the instance itself" in answer.json()["detail"]
    assert (await get(web, f"{INSTANCE}/pixeldata")).status_code == 200


@pytest.mark.parametrize("container", ["mp4", "mpegts"])
async def test_sound_comes_along(web: httpx.AsyncClient, kept: Kept, container: str) -> None:
    await store(kept, video(stream(H264, container, has_sound=True)))

    assert read(await film(web)).sounds == 1


async def test_a_video_of_many_fragments_is_one_stream(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream(container="mpegts"), fragments=20), H264_FRAGMENTABLE)

    assert read(await film(web)).greys == shows(None)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("accept", ["video/mp4", "video/*"])
async def test_a_video_is_had_at_every_level(
    web: httpx.AsyncClient, kept: Kept, place: str, accept: str
) -> None:
    await store(kept, video(stream()))

    answer = await get(web, f"{place}/rendered", accept)

    assert answer.headers["content-type"] == "video/mp4"
    assert len(read(answer.content).times) == FRAMES


async def test_a_browser_that_takes_anything_gets_the_video(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await store(kept, video(stream()))

    for path in (f"{INSTANCE}/rendered", WADO):
        assert (await get(web, path, "*/*")).headers["content-type"] == "video/mp4"
        assert (await get(web, path, "image/*")).headers["content-type"] == "image/jpeg"


async def test_a_player_can_seek(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream()))
    whole = await get(web)
    size, tag = len(whole.content), whole.headers["etag"]

    part = await get(web, range="bytes=100-199", if_range=tag)
    end = await get(web, range="bytes=-50")
    beyond = await get(web, range=f"bytes={size}-")
    other = await get(web, range="bytes=0-9", if_range='"other"')
    again = await get(web, if_none_match=tag)

    assert whole.headers["accept-ranges"] == "bytes"
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{size}"
    assert end.content == whole.content[-50:]
    assert beyond.status_code == 416
    assert (other.status_code, other.content) == (200, whole.content)
    assert again.status_code == 304


async def test_a_viewport_scales_a_video(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream()))

    found = read(await film(web, f"{INSTANCE}/rendered?viewport=48,48"))

    assert found.pictures[0].shape == (32, 48, 3)
    assert found.greys == shows(found)


async def test_a_region_outside_of_a_video_is_refused(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream()))

    answer = await get(web, f"{INSTANCE}/rendered?viewport=48,48,500,500,10,10")

    assert answer.status_code == 400


async def test_a_video_whose_size_is_not_the_data_set_s_is_refused(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await store(kept, video(stream(), Rows=640, Columns=960))

    for accept in ("video/mp4", "image/png"):
        answer = await get(web, accept=accept)

        assert answer.status_code == 406
        assert f"{COLUMNS} x {ROWS}" in answer.json()["detail"]


@pytest.mark.parametrize(
    "data",
    [b"", b"#EXTM3U\nfile:///etc/passwd\n", b"\0\0\0\x20ftypisom" + bytes(400), b"\0\0\1\xba" * 99,
     b"\0\0\0\1" + bytes(range(256)), b"G" + (b"\0" * 187 + b"G") * 9],
)  # fmt: skip
async def test_what_is_no_stream_is_refused(
    web: httpx.AsyncClient, kept: Kept, data: bytes
) -> None:
    await store(kept, video(data + bytes(len(data) % 2) or bytes(2)))

    for accept in ("video/mp4", "image/png"):
        assert (await get(web, accept=accept)).status_code == 406


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(("syntax", "container"), [*COPIED, (MPEG2, "mpeg")])
async def test_a_stream_that_is_cut_short_is_given_as_far_as_it_goes_or_refused(
    web: httpx.AsyncClient, kept: Kept, syntax: str, container: str, cut: float
) -> None:
    data = stream(syntax, container)
    await store(kept, video(data[: int(len(data) * cut)]), syntax)

    answer = await get(web)

    assert answer.status_code in (200, 406)
    if answer.status_code == 200:
        assert len(read(answer.content).times) <= FRAMES


# --- stills of videos


@pytest.mark.parametrize(("syntax", "container"), [*COPIED, (MPEG2, "mpegts"), (MPEG2, "mpeg")])
async def test_a_frame_of_a_video_is_that_frame(
    web: httpx.AsyncClient, kept: Kept, syntax: str, container: str
) -> None:
    await store(kept, video(stream(syntax, container)), syntax)

    for number in (1, 2, 13, 30):
        by_path = await get(web, f"{INSTANCE}/frames/{number}/rendered", "image/png")
        assert shade(by_path.content) == pytest.approx(grey_of(number), abs=3), number
    by_query = await get(web, f"{WADO}&contentType=image/png&frameNumber=13")
    assert shade(by_query.content) == pytest.approx(grey_of(13), abs=3)


async def test_a_frame_that_is_not_there_is_not_found(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream(), NumberOfFrames=40))

    for number in (31, 41):
        answer = await get(web, f"{INSTANCE}/frames/{number}/rendered", "image/png")
        assert answer.status_code == 404
    assert (await get(web, f"{WADO}&contentType=image/png&frameNumber=31")).status_code == 400


@pytest.mark.parametrize("place", PLACES)
async def test_the_poster_of_a_video_is_a_frame_of_it(
    web: httpx.AsyncClient, kept: Kept, place: str
) -> None:
    await store(kept, video(stream()))

    answer = await get(web, f"{place}/thumbnail", "image/png")

    assert shade(answer.content) == pytest.approx(grey_of(16), abs=3)


async def test_the_poster_is_the_frame_that_is_named(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream(), RepresentativeFrameNumber=3))

    answer = await get(web, f"{INSTANCE}/thumbnail", "image/png")

    assert shade(answer.content) == pytest.approx(grey_of(3), abs=3)


async def test_a_video_is_not_made_into_a_gif(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream()))

    assert (await get(web, accept="image/gif")).status_code == 406


# --- cine


def stack(count: int = 6, rows: int = 33, columns: int = 47) -> np.ndarray:
    """Frames, each a ramp that begins elsewhere."""
    base = ramp(rows, columns).astype(np.uint32)
    return np.stack([(base + 97 * n) % (rows * columns) for n in range(count)]).astype(np.uint16)


@pytest.mark.parametrize("query", ["", "?window=700,900,linear", "?viewport=200,101"])
async def test_cine_looks_as_the_stills_do(web: httpx.AsyncClient, kept: Kept, query: str) -> None:
    await kept.store(grey(stack(), FrameTime=40))
    quality = f"{query}{'&' if query else '?'}quality=100"

    found = read(await film(web, f"{INSTANCE}/rendered{quality}"))

    assert len(found.pictures) == 6
    assert found.colours == (1, 1)
    for number, shown in enumerate(found.pictures, 1):
        still = await get(web, f"{INSTANCE}/frames/{number}/rendered{query}", "image/png")
        with Pillow.open(io.BytesIO(still.content)) as opened:
            expected = np.asarray(opened.convert("RGB")).astype(int)
        rows, columns = expected.shape[:2]
        assert shown.shape[:2] == (rows + rows % 2, columns + columns % 2)
        off = np.abs(shown[:rows, :columns].astype(int) - expected)
        assert off.mean() < 2, number


async def test_greys_stay_true(web: httpx.AsyncClient, kept: Kept) -> None:
    steps = np.repeat(np.arange(0, 256, 5, np.uint16), 16)
    frames = np.broadcast_to(steps, (3, 64, len(steps)))
    await kept.store(grey(frames, WindowCenter=128, WindowWidth=256, FrameTime=40))

    found = read(await film(web, f"{INSTANCE}/rendered?quality=100"))

    shown = found.pictures[1][32, 8::16].astype(int)
    assert np.abs(shown - np.arange(0, 256, 5)[:, None]).max() <= 2


async def test_colours_stay_true(web: httpx.AsyncClient, kept: Kept) -> None:
    bars = np.array([(200, 30, 30), (30, 200, 30), (30, 30, 200), (220, 220, 40)], np.uint8)
    one = np.repeat(np.broadcast_to(bars, (64, 4, 3)), 32, axis=1)
    two = coloured(one, NumberOfFrames=2, PixelData=one.tobytes() * 2, FrameTime=40)
    await kept.store(two)

    found = read(await film(web, f"{INSTANCE}/rendered?quality=100"))

    shown = found.pictures[0][32, 16::32].astype(int)
    assert np.abs(shown - bars).max() <= 4


@pytest.mark.parametrize(
    ("timing", "seconds"),
    [
        ({"FrameTime": 125}, [0.125] * 6),
        ({"FrameTimeVector": [0, 50, 100, 200, 50, 50]}, [0.05, 0.1, 0.2, 0.05, 0.05]),
        ({"RecommendedDisplayFrameRate": 8}, [0.125] * 6),
        ({"CineRate": 20}, [0.05] * 6),
    ],
)
async def test_frames_come_when_the_image_says(
    web: httpx.AsyncClient, kept: Kept, timing: dict[str, object], seconds: list[float]
) -> None:
    await kept.store(grey(stack(), **timing))

    found = read(await film(web))

    assert np.diff(found.times) == pytest.approx(seconds[:5], abs=0.001)


@pytest.mark.parametrize("accept", ["video/mp4", "image/gif"])
async def test_what_is_trimmed_is_not_played(
    web: httpx.AsyncClient, kept: Kept, accept: str
) -> None:
    await kept.store(grey(stack(), FrameTime=100, StartTrim=2, StopTrim=4))

    answer = await get(web, accept=accept)

    if accept == "video/mp4":
        assert len(read(answer.content).times) == 3
    else:
        with Pillow.open(io.BytesIO(answer.content)) as opened:
            assert opened.n_frames == 3  # type: ignore[attr-defined]


async def test_named_frames_are_played_in_their_order(web: httpx.AsyncClient, kept: Kept) -> None:
    flat = np.stack([np.full((16, 16), 40 * n, np.uint16) for n in range(6)])
    await kept.store(grey(flat, WindowCenter=128, WindowWidth=256, FrameTime=100))

    found = read(await film(web, f"{INSTANCE}/frames/5,2,3/rendered"))

    assert [each.mean() for each in found.pictures] == pytest.approx([160, 40, 80], abs=2)


async def test_a_series_of_single_frames_is_played(web: httpx.AsyncClient, kept: Kept) -> None:
    for number in range(5):
        flat = np.full((16, 16), 40 * number, np.uint16)
        made = grey(flat, f"1.2.3.{number}", WindowCenter=128, WindowWidth=256)
        made.InstanceNumber = 5 - number
        await kept.store(made)

    found = read(await film(web, f"{SERIES}/rendered"))

    assert [each.mean() for each in found.pictures] == pytest.approx([160, 120, 80, 40, 0], abs=2)


async def test_all_that_moves_in_a_study_comes_in_parts(web: httpx.AsyncClient, kept: Kept) -> None:
    await store(kept, video(stream()))
    await kept.store(grey(stack(), "1.2.3.5"))
    await kept.store(grey(ramp(), "1.2.3.6"))

    for place in PLACES[:2]:
        answer = await get(web, f"{place}/rendered", 'multipart/related; type="video/mp4"')

        head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        message = BytesParser(policy=HTTP).parsebytes(head + answer.content)
        films = list(message.iter_parts())
        assert [str(each["Content-Type"]) for each in films] == ["video/mp4"] * 2
        read_back = [read(each.get_payload(decode=True)) for each in films]
        assert [len(each.times) for each in read_back] == [FRAMES, 6]


async def test_where_nothing_moves_there_are_no_parts(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp()))

    answer = await get(web, f"{SERIES}/rendered", 'multipart/related; type="video/mp4"')

    assert answer.status_code == 406


async def test_one_frame_is_no_film(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp()))

    answer = await get(web)

    assert answer.status_code == 406
    assert "image/jpeg" in answer.json()["detail"]


async def test_the_tiles_of_a_slide_are_no_film(web: httpx.AsyncClient, kept: Kept) -> None:
    slide = made_slides.level("1.2.3.4", made_slides.picture())
    await kept.store(slide)
    place = f"/studies/{slide.StudyInstanceUID}/series/{slide.SeriesInstanceUID}/instances/1.2.3.4"

    answer = await get(web, f"{place}/rendered")

    assert answer.status_code == 406
    assert "slide" in answer.json()["detail"]


async def test_who_takes_anything_gets_a_picture_of_an_image(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(grey(stack()))

    assert (await get(web, accept="*/*")).headers["content-type"] == "image/jpeg"
    assert (await get(web, WADO, "*/*")).headers["content-type"] == "image/jpeg"
    by_query = await get(web, f"{WADO}&contentType=video/mp4", "*/*")
    assert by_query.headers["content-type"] == "video/mp4"


async def test_a_film_has_no_place_for_a_profile(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(stack()))

    assert (await get(web, f"{INSTANCE}/rendered?iccprofile=srgb")).status_code == 400


# --- made once


async def test_many_who_ask_at_once_wait_for_one_making(
    web: httpx.AsyncClient, kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(grey(stack()))
    made = []
    keep = archive.films.files.keep
    monkeypatch.setattr(
        archive.films.files, "keep", lambda *given: (made.append(given), keep(*given))
    )

    answers = await asyncio.gather(*(get(web) for _ in range(8)))

    assert {each.status_code for each in answers} == {200}
    assert len({each.content for each in answers}) == len(made) == 1


async def test_what_was_made_goes_with_the_instance(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store(grey(stack()))
    await film(web)
    folder = archive.films.files.folder
    assert len(list(folder.glob("*/*"))) == 1

    await archive.removals.remove(Selection(instances=("1.2.3.4",)), is_final=True)

    assert not list(folder.glob("*/*"))
