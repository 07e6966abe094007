"""Recordings rendered as drawings (PS3.18 8.7.4), and small in thumbnails."""

import io
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow

from isocenter.archive.archive import Archive
from isocenter.archive.frames import OpenInstance
from isocenter.imaging.waveform_strips import Strip
from isocenter.storage.records import InstanceRef, Selection
from made_instances import Kept, image
from made_waveforms import AMBULATORY, LEADS, beats, electrocardiogram, waveform

INSTANCE = "/studies/1.2/series/1.2.3/instances/1.2.3.4"
URI = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.4"
SVG = "image/svg+xml"


@pytest.fixture
def kept(archive: Archive) -> Kept:
    return Kept(archive)


async def stored(archive: Archive) -> InstanceRef:
    async for page in archive.instances(Selection(instances=("1.2.3.4",))):
        return page[0]
    raise AssertionError("it was not stored")


def texts(answer: httpx.Response) -> list[str | None]:
    return [each.text for each in ElementTree.fromstring(answer.content).iter()]


@pytest.mark.parametrize("accept", [SVG, "*/*", "image/*", "image/jpeg;q=0.1, image/svg+xml"])
async def test_an_electrocardiogram_is_given_as_a_drawing(
    web: httpx.AsyncClient, kept: Kept, accept: str
) -> None:
    await kept.store(electrocardiogram())

    answer = await web.get(f"{INSTANCE}/rendered", headers={"accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == SVG
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert set(LEADS) <= set(texts(answer))
    assert "Doe, Jane" not in answer.text


async def test_it_is_given_as_nothing_else(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(electrocardiogram())

    answer = await web.get(f"{INSTANCE}/rendered", headers={"accept": "image/jpeg"})

    assert answer.status_code == 406
    assert SVG in answer.text


async def test_texts_are_written_on_it_where_they_are_asked_for(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(electrocardiogram())

    answer = await web.get(f"{INSTANCE}/rendered?annotation=patient,technique")
    by_uri = await web.get(f"{URI}&annotation=patient&contentType={SVG.replace('+', '%2B')}")
    without = await web.get(f"{URI}&anonymize=yes")
    both = await web.get(f"{URI}&anonymize=yes&annotation=patient")

    assert "Doe, Jane" in answer.text
    assert "2024-02-29" in answer.text
    assert "Doe, Jane" in by_uri.text
    assert without.status_code == 200
    assert "Doe" not in without.text
    assert both.status_code == 400


async def test_a_client_that_has_it_is_told_so(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(electrocardiogram())

    first = await web.get(f"{INSTANCE}/rendered")
    tag = {"if-none-match": first.headers["etag"]}

    assert (await web.get(f"{INSTANCE}/rendered", headers=tag)).status_code == 304


@pytest.mark.parametrize(
    "path", [INSTANCE, INSTANCE.rpartition("/instances")[0], INSTANCE.partition("/series")[0]]
)
async def test_its_thumbnail_shows_curves_on_paper(
    web: httpx.AsyncClient, kept: Kept, path: str
) -> None:
    await kept.store(electrocardiogram())

    answer = await web.get(f"{path}/thumbnail?viewport=128,128", headers={"accept": "image/png"})

    with Pillow.open(io.BytesIO(answer.content)) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape[:2] == (128, 128)
    assert (pixels.min(axis=2) > 220).mean() > 0.4  # of paper, where a card is dark


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("NumberOfWaveformChannels", 0),
        ("NumberOfWaveformSamples", 2**32 - 1),
        ("WaveformBitsAllocated", 3),
        ("SamplingFrequency", 0),
        ("WaveformData", b"12"),
    ],
)
async def test_what_cannot_be_drawn_has_a_card_and_no_drawing(
    web: httpx.AsyncClient, kept: Kept, keyword: str, value: object
) -> None:
    made = electrocardiogram(1)
    setattr(made.WaveformSequence[0], keyword, value)
    await kept.store(made)

    drawing = await web.get(f"{INSTANCE}/rendered")
    small = await web.get(f"{INSTANCE}/thumbnail", headers={"accept": "image/png"})

    assert drawing.status_code == 406
    assert small.status_code == 200


async def test_an_image_is_not_given_as_a_drawing(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    assert (await web.get(f"{INSTANCE}/rendered", headers={"accept": SVG})).status_code == 406


async def test_of_a_long_recording_only_what_is_seen_is_read(
    archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(waveform([beats(3600, 200, ("I", "II", "V5"))], sop_class=AMBULATORY))
    taken: list[int] = []
    whole = OpenInstance.content

    def counted(self: OpenInstance, frame: object, *args: object) -> object:
        taken.append(frame.size)  # type: ignore[attr-defined]
        return whole(self, frame, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenInstance, "content", counted)
    instance = await stored(archive)

    drawn = await archive.renderings.waveforms.svg(instance, Strip(start=3000, seconds=10))

    assert taken == [10 * 200 * 3 * 2]
    found = [each.text for each in ElementTree.fromstring(drawn).iter()]
    assert "50:05" in found
    assert archive.opened.known(instance)._data_set.fetched < 200_000  # type: ignore[union-attr]
