"""Presentation states over the web (PS3.18 8.3.5.1.6, 9.5.1.2.7, 9.5.2.3)."""

from __future__ import annotations

import io
from email.parser import BytesParser
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.dataset import Dataset

from made_instances import Kept, image
from made_pictures import grey, seen
from made_states import BLENDING, STATE, annotation, area, made, note, reference, state

LEVELS = np.arange(256, dtype=np.uint16).reshape(8, 32)
PLACE = f"/studies/1.2/series/1.2.9/instances/{STATE}"
ASKED = {
    "requestType": "WADO",
    "studyUID": "1.2",
    "seriesUID": "1.2.3",
    "objectUID": "1.2.3.4",
    "contentType": "image/png",
    "presentationSeriesUID": "1.2.9",
    "presentationUID": STATE,
}


def eight(instance: str = "1.2.3.4", **attributes: Any) -> Dataset:
    return grey(LEVELS, instance, **{"BitsStored": 8, "HighBit": 7, **attributes})


def inverse(*images: Dataset, **attributes: Any) -> Dataset:
    return state(*images, PresentationLUTShape="INVERSE", **attributes)


@pytest.fixture
async def one(kept: Kept) -> None:
    """An image, and a state that shows it the other way round."""
    await kept.store(eight())
    await kept.store(inverse(eight()))


async def get(web: httpx.AsyncClient, path: str, accept: str = "image/png", **query: str) -> Any:
    return await web.get(path, headers={"accept": accept}, params=query)


async def by_uri(web: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    query = {name: value for name, value in {**ASKED, **changed}.items() if value is not None}
    return await web.get("/wado", params=query)


def parts(answer: httpx.Response) -> list[tuple[str, Any]]:
    """Where each part is from, and what is seen in it."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    return [
        (str(part["Content-Location"]), seen(part.get_payload(decode=True)))  # type: ignore[arg-type]
        for part in message.get_payload()  # type: ignore[union-attr]
    ]


# --- the rendering of a state


@pytest.mark.usefixtures("one")
async def test_a_state_is_rendered_as_the_image_that_it_shows(web: httpx.AsyncClient) -> None:
    answer = await get(web, f"{PLACE}/rendered")

    assert answer.status_code == 200, answer.text
    assert (seen(answer.content) == 255 - LEVELS).all()


@pytest.mark.usefixtures("one")
async def test_a_series_of_states_is_rendered_as_what_they_show(web: httpx.AsyncClient) -> None:
    alone = await get(web, "/studies/1.2/series/1.2.9/rendered")
    in_parts = await get(web, "/studies/1.2/rendered", 'multipart/related; type="image/png"')

    assert (seen(alone.content) == 255 - LEVELS).all()
    shown = {place.split("/instances/")[1]: picture for place, picture in parts(in_parts)}
    assert (shown["1.2.3.4/rendered"] == LEVELS).all()
    assert (shown[f"{STATE}/rendered"] == 255 - LEVELS).all()


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize("at", [PLACE, "/studies/1.2/series/1.2.9"])
async def test_a_state_s_thumbnail_is_what_it_shows(web: httpx.AsyncClient, at: str) -> None:
    answer = await get(web, f"{at}/thumbnail", viewport="32,32")

    assert (seen(answer.content) == 255 - LEVELS).all()


async def test_nobody_is_named_on_a_thumbnail(web: httpx.AsyncClient, kept: Kept) -> None:
    """PS3.18 10.4.3.3.4: text of a state may be anybody's name."""
    plain = grey(np.zeros((40, 60)), BitsStored=8, HighBit=7)
    named = annotation(note("Doe^Jane", (2, 2, 58, 20)))
    await kept.store(plain)
    await kept.store(state(plain, GraphicAnnotationSequence=[named]))

    assert seen((await get(web, f"{PLACE}/rendered")).content).any()
    assert not seen((await get(web, f"{PLACE}/thumbnail")).content).any()


async def test_all_images_and_frames_that_a_state_refers_to_are_given(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    """PS3.18 8.3.5.1.6, in the order of the state."""
    several = grey(np.stack([LEVELS] * 3), "1.2.3.5", BitsStored=8, HighBit=7)
    single = eight("1.2.3.6")
    said = inverse(several, single)
    listed = said.ReferencedSeriesSequence[0].ReferencedImageSequence
    listed[0] = reference(several, 1, 3)
    for dataset in (eight(), single, several, said):
        await kept.store(dataset)

    answer = await get(web, f"{PLACE}/rendered", "*/*")

    assert answer.headers["content-type"].startswith("multipart/related")
    found = await get(web, f"{PLACE}/rendered", 'multipart/related; type="image/png"')
    assert [place.split("/instances/")[1] for place, _ in parts(found)] == [
        "1.2.3.5/frames/1/rendered",
        "1.2.3.5/frames/3/rendered",
        "1.2.3.6/frames/1/rendered",
    ]
    assert all((picture == 255 - LEVELS).all() for _, picture in parts(found))


async def test_frames_that_a_state_refers_to_are_played(web: httpx.AsyncClient, kept: Kept) -> None:
    several = grey(np.stack([LEVELS] * 4), BitsStored=8, HighBit=7)
    said = inverse(several)
    said.ReferencedSeriesSequence[0].ReferencedImageSequence = [reference(several, 2, 4)]
    await kept.store(several)
    await kept.store(said)

    for answer in (
        await get(web, f"{PLACE}/rendered", "image/gif"),
        await by_uri(web, contentType="image/gif"),
    ):
        with Pillow.open(io.BytesIO(answer.content)) as animation:
            assert getattr(animation, "n_frames", 1) == 2


async def test_it_is_told_that_images_are_missing(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(eight())
    await kept.store(inverse(eight(), eight("1.2.3.5")))

    answer = await get(web, f"{PLACE}/rendered")

    assert answer.status_code == 200
    assert "1 of 2 images" in answer.headers["warning"]


async def test_without_its_images_there_is_nothing_to_be_seen(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(eight("1.2.3.5"))
    await kept.store(inverse(eight()))

    rendered = await get(web, f"{PLACE}/rendered")
    thumbnail = await get(web, f"{PLACE}/thumbnail")

    assert rendered.status_code == 404
    assert "none of the images" in rendered.text
    assert thumbnail.status_code == 200  # says what it is


async def test_a_picture_changes_when_the_image_comes(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(inverse(eight()))
    before = await get(web, f"{PLACE}/thumbnail")

    await kept.store(eight())

    again = {"accept": "image/png", "if-none-match": before.headers["etag"]}
    assert (await web.get(f"{PLACE}/thumbnail", headers=again)).status_code == 200


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    ("path", "query"),
    [
        (f"{PLACE}/rendered", {"window": "40,400,linear"}),
        (f"{PLACE}/rendered", {"viewport": "64,64,1,1,5,5"}),
        (f"{PLACE}/frames/1/rendered", {}),
        (f"{PLACE}/frames/1/thumbnail", {}),
    ],
)
async def test_what_a_state_decides_cannot_be_asked_for(
    web: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    """PS3.18 8.3.5.1.3, 8.3.5.1.4, 8.3.5.1.6."""
    answer = await get(web, path, **query)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_states_that_are_not_applied_are_refused_by_name(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(eight())
    await kept.store(state(eight(), sop_class=BLENDING))

    rendered = await get(web, f"{PLACE}/rendered")
    named = await by_uri(web)

    assert rendered.status_code == named.status_code == 406
    assert "Blending" in named.text


@pytest.mark.parametrize(
    "said",
    [
        {"ImageRotation": 7},
        {"ReferencedSeriesSequence": []},
        {"SoftcopyVOILUTSequence": [made(WindowCenter=1, WindowWidth=0)]},
    ],
)
async def test_a_broken_state_is_refused(
    web: httpx.AsyncClient, kept: Kept, said: dict[str, Any]
) -> None:
    broken = inverse(eight())
    for keyword, value in said.items():
        setattr(broken, keyword, value)
    await kept.store(eight())
    await kept.store(broken)

    assert (await get(web, f"{PLACE}/rendered")).status_code == 406
    assert (await by_uri(web)).status_code == 406
    assert (await get(web, f"{PLACE}/thumbnail")).status_code == 200


# --- a state beside an image


@pytest.mark.usefixtures("one")
async def test_an_image_is_shown_as_the_named_state_asks(web: httpx.AsyncClient) -> None:
    answer = await by_uri(web)

    assert answer.status_code == 200, answer.text
    assert (seen(answer.content) == 255 - LEVELS).all()
    plain = await by_uri(web, presentationUID=None, presentationSeriesUID=None)
    assert not (seen(plain.content) == seen(answer.content)).all()
    assert plain.headers["etag"] != answer.headers["etag"]


async def test_region_and_viewport_come_after_the_state(web: httpx.AsyncClient, kept: Kept) -> None:
    """PS3.18 9.5.2.4, 9.5.2.5."""
    await kept.store(eight())
    await kept.store(
        inverse(eight(), DisplayedAreaSelectionSequence=[area(1, 1, 16, 8)], ImageRotation=90)
    )

    whole = seen((await by_uri(web)).content)
    right = seen((await by_uri(web, region="0.5,0,1,1")).content)
    large = seen((await by_uri(web, rows="64", columns="64")).content)

    assert (whole == np.rot90(255 - LEVELS[:, :16], -1)).all()
    assert (right == whole[:, 4:]).all()
    assert large.shape == (64, 32)


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    "changed",
    [
        {"presentationUID": None},
        {"presentationSeriesUID": None},
        {"presentationUID": ["1.2.9.1", "1.2.9.1"]},
        {"presentationUID": "abc"},
        {"presentationUID": "1.2.9.9"},
        {"presentationSeriesUID": "1.2.3"},
        {"presentationUID": "1.2.3.4", "presentationSeriesUID": "1.2.3"},
        {"windowCenter": "40", "windowWidth": "400"},
        {"frameNumber": "1"},
        {"anonymize": "yes"},
        {"contentType": "application/dicom"},
    ],
)
async def test_what_is_wrong_is_told(web: httpx.AsyncClient, changed: dict[str, Any]) -> None:
    """PS3.18 8.3.5.1.6, 9.5.1.2.6, 9.5.1.2.7."""
    answer = await by_uri(web, **changed)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    "other",
    [
        {"instance": "1.2.3.5"},
        {"instance": "1.2.3.5", "SeriesInstanceUID": "1.2.8"},
        {"instance": "1.2.3.5", "StudyInstanceUID": "1.7", "SeriesInstanceUID": "1.7.3"},
    ],
)
async def test_a_state_is_never_applied_to_an_image_it_does_not_refer_to(
    web: httpx.AsyncClient, kept: Kept, other: dict[str, str]
) -> None:
    stranger = eight(**other)
    await kept.store(stranger)

    answer = await by_uri(
        web,
        studyUID=stranger.StudyInstanceUID,
        seriesUID=stranger.SeriesInstanceUID,
        objectUID=stranger.SOPInstanceUID,
    )

    assert answer.status_code == 400


async def test_a_state_that_names_another_series_is_not_applied(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    said = inverse(eight())
    said.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.7"
    await kept.store(eight())
    await kept.store(said)

    assert (await by_uri(web)).status_code == 400
    assert (await get(web, f"{PLACE}/rendered")).status_code == 404


async def test_frames_are_subtracted_in_the_archive(web: httpx.AsyncClient, kept: Kept) -> None:
    frames = np.stack([LEVELS, LEVELS + 1])
    several = grey(frames, BitsStored=9, HighBit=8)
    mask = made(MaskOperation="AVG_SUB", MaskFrameNumbers=[1], ApplicableFrameRange=[2, 2])
    said = state(
        several,
        MaskSubtractionSequence=[mask],
        SoftcopyVOILUTSequence=[made(WindowCenter=1.5, WindowWidth=2)],
    )
    said.ReferencedSeriesSequence[0].ReferencedImageSequence = [reference(several, 2)]
    await kept.store(several)
    await kept.store(said)

    answer = await get(web, f"{PLACE}/rendered")

    assert (seen(answer.content) == 128).all()


async def test_what_is_no_image_has_no_presentation(web: httpx.AsyncClient, kept: Kept) -> None:
    report = image("1.2.3.4", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR")
    del report.PixelData
    await kept.store(report)
    await kept.store(inverse(report))

    assert (await by_uri(web)).status_code == 406
    assert (await get(web, f"{PLACE}/rendered")).status_code == 406
