"""Rendered resources and thumbnails (PS3.18 8.3.5, 8.7.4, 10.4.1.1.3, 10.4.1.1.4)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from email.parser import BytesParser
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image as Pillow, ImageCms
from pydicom.dataset import Dataset

from made_instances import Kept, image
from made_pictures import coloured, frames_of, grey, pdf_of, ramp, seen

STUDY = "/studies/1.2"
SERIES = f"{STUDY}/series/1.2.3"
INSTANCE = f"{SERIES}/instances/1.2.3.4"
PLACES = [STUDY, SERIES, INSTANCE, f"{INSTANCE}/frames/1"]
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/jp2": "JPEG2000",
}
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
CDA = "1.2.840.10008.5.1.4.1.1.104.2"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


async def get(
    web: httpx.AsyncClient, path: str, accept: str = "image/png", **query: str
) -> httpx.Response:
    return await web.get(path, headers={"accept": accept}, params=query)


async def picture(web: httpx.AsyncClient, path: str, **query: str) -> Any:
    answer = await get(web, path, **query)
    assert answer.status_code == 200, answer.text
    return seen(answer.content)


def parts(answer: httpx.Response) -> list[tuple[Mapping[str, str], bytes]]:
    """The parts, as the standard library's parser reads them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + answer.content)
    return [
        (dict(part.items()), part.get_payload(decode=True))  # type: ignore[misc]
        for part in message.get_payload()
    ]


def document(instance: str, sop_class: str, content: bytes) -> Dataset:
    return image(
        instance,
        SOPClassUID=sop_class,
        Modality="DOC",
        Rows=None,
        Columns=None,
        PixelData=None,
        EncapsulatedDocument=content + bytes(len(content) % 2),
        EncapsulatedDocumentLength=len(content),
    )


@pytest.fixture
async def one(kept: Kept) -> None:
    await kept.store(grey(ramp()))


# --- pictures


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize("accept", FORMATS)
@pytest.mark.parametrize("place", PLACES)
async def test_an_image_is_given_in_each_media_type(
    web: httpx.AsyncClient, place: str, accept: str
) -> None:
    for kind in ("rendered", "thumbnail"):
        answer = await get(web, f"{place}/{kind}", accept)

        assert answer.status_code == 200
        assert answer.headers["content-type"] == accept
        with Pillow.open(io.BytesIO(answer.content)) as opened:
            assert opened.format == FORMATS[accept]
            assert opened.size == ((32, 16) if kind == "rendered" else (200, 100))


@pytest.mark.usefixtures("one")
async def test_who_takes_any_image_gets_jpeg(web: httpx.AsyncClient) -> None:
    for accept in ("*/*", "image/*", "image/avif,image/*;q=0.8"):
        answer = await get(web, f"{INSTANCE}/rendered", accept)

        assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.usefixtures("one")
async def test_without_a_window_all_values_are_shown(web: httpx.AsyncClient) -> None:
    found = await picture(web, f"{INSTANCE}/rendered")

    assert (found[0, 0], found[-1, -1]) == (0, 255)
    assert np.array_equal(found, np.rint(ramp() * (255 / 511)).astype(np.uint8))


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    ("window", "expected"),
    [
        # PS3.3 C.11.2.1.2.1, C.11.2.1.3.2 and C.11.2.1.3.1, worked out by hand.
        ("256,256,linear", {127: 0, 128: 0, 255: 127, 383: 255}),
        ("256,256,linear-exact", {127: 0, 128: 0, 256: 128, 384: 255}),
        ("256,256,sigmoid", {0: 5, 256: 128, 511: 250}),
    ],
)
async def test_a_window_is_applied(
    web: httpx.AsyncClient, window: str, expected: Mapping[int, int]
) -> None:
    found = (await picture(web, f"{INSTANCE}/rendered", window=window)).ravel()

    for value, shown in expected.items():
        assert abs(int(found[value]) - shown) <= 1, value


async def test_an_image_s_own_window_is_the_default(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp(), WindowCenter=64, WindowWidth=128))

    found = (await picture(web, f"{INSTANCE}/rendered")).ravel()

    assert (found[0], found[127], found[511]) == (0, 255, 255)


async def test_monochrome1_is_shown_inverted(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp(), PhotometricInterpretation="MONOCHROME1"))

    found = await picture(web, f"{INSTANCE}/rendered")

    assert (found[0, 0], found[-1, -1]) == (255, 0)


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        ("64,64", (32, 64)),
        ("8,100", (4, 8)),
        ("10,10,16,0,16,16", (10, 10)),
        ("20,20,,,16", (20, 20)),
        ("7,7,-8,-8,8,8", (7, 7)),
    ],
)
async def test_a_picture_fills_its_viewport_in_proportion(
    web: httpx.AsyncClient, viewport: str, size: tuple[int, int]
) -> None:
    found = await picture(web, f"{INSTANCE}/rendered", viewport=viewport)

    assert found.shape == size


@pytest.mark.usefixtures("one")
async def test_a_region_is_cut_out_and_flipped(web: httpx.AsyncClient) -> None:
    whole = await picture(web, f"{INSTANCE}/rendered")

    cut = await picture(web, f"{INSTANCE}/rendered", viewport="16,8,4,2,16,8")
    flipped = await picture(web, f"{INSTANCE}/rendered", viewport="16,8,4,2,-16,-8")

    assert np.array_equal(cut, whole[2:10, 4:20])
    assert np.array_equal(flipped, whole[2:10, 4:20][::-1, ::-1])


async def test_pixels_that_are_not_square_are_made_so(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp(), PixelAspectRatio=[2, 1]))

    found = await picture(web, f"{INSTANCE}/rendered")

    assert found.shape == (32, 32)


@pytest.mark.usefixtures("one")
async def test_quality_makes_files_larger(web: httpx.AsyncClient) -> None:
    sizes = [
        len((await get(web, f"{INSTANCE}/rendered", "image/jpeg", quality=quality)).content)
        for quality in ("10", "90", "100")
    ]

    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]


async def test_annotations_are_burnt_in_when_asked_for(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(np.full((256, 256), 7), WindowCenter=7, WindowWidth=2))

    plain = await picture(web, f"{INSTANCE}/rendered")
    patient = await picture(web, f"{INSTANCE}/rendered", annotation="patient")
    both = await picture(web, f"{INSTANCE}/rendered", annotation="patient,technique")

    changed = patient != plain
    assert changed[:128, :128].any()
    assert not changed[:, 128:].any()
    assert (both != plain)[:128, 128:].any()


async def test_a_thumbnail_never_names_the_patient(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(np.full((256, 256), 7), WindowCenter=7, WindowWidth=2))

    plain = await picture(web, f"{INSTANCE}/thumbnail")
    asked = await picture(web, f"{INSTANCE}/thumbnail", annotation="patient")

    assert np.array_equal(plain, asked)


@pytest.mark.parametrize("accept", [each for each in FORMATS if each != "image/gif"])
async def test_a_profile_is_embedded_when_asked_for(
    web: httpx.AsyncClient, kept: Kept, accept: str
) -> None:
    await kept.store(coloured(np.full((16, 16, 3), (200, 30, 60))))

    for name in ("yes", "srgb", "adobergb", "rommrgb"):
        answer = await get(web, f"{INSTANCE}/rendered", accept, iccprofile=name, quality="100")

        if accept == "image/jp2":  # Pillow does not tell a JP2's profile
            assert b"colr\x02\0\0" in answer.content
            assert b"mntrRGB XYZ " in answer.content
            continue
        with Pillow.open(io.BytesIO(answer.content)) as opened:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"]))
            back = ImageCms.profileToProfile(
                opened.convert("RGB"), profile, ImageCms.createProfile("sRGB")
            )
        assert back is not None
        assert np.abs(np.asarray(back).astype(int) - (200, 30, 60)).max() <= 4, name
    none = await get(web, f"{INSTANCE}/rendered", accept, iccprofile="no")
    assert b"mntrRGB XYZ " not in none.content


# --- several frames and instances


@pytest.fixture
async def cine(kept: Kept) -> None:
    frames = np.stack([np.full((8, 8), 1000 * number) for number in range(5)])
    await kept.store(grey(frames, FrameTime=80, WindowCenter=2000, WindowWidth=4000))


@pytest.mark.usefixtures("cine")
async def test_frames_become_an_animation_at_their_speed(web: httpx.AsyncClient) -> None:
    answer = await get(web, f"{INSTANCE}/rendered", "image/gif")

    found = frames_of(answer.content)
    assert [duration for duration, _ in found] == [80] * 5
    greys = [int(frame[0, 0]) for _, frame in found]
    assert greys == sorted(set(greys))


@pytest.mark.usefixtures("cine")
async def test_chosen_frames_become_an_animation(web: httpx.AsyncClient) -> None:
    answer = await get(web, f"{INSTANCE}/frames/5,1/rendered", "image/gif")

    first, second = frames_of(answer.content)
    assert first[1][0, 0] > second[1][0, 0]


@pytest.mark.usefixtures("cine")
async def test_the_middle_frame_stands_for_all(web: httpx.AsyncClient) -> None:
    middle = await picture(web, f"{INSTANCE}/frames/3/rendered")

    for place in (STUDY, SERIES, INSTANCE):
        assert np.array_equal(await picture(web, f"{place}/rendered"), middle)


async def test_the_representative_frame_goes_before_the_middle(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    frames = np.stack([ramp() * number for number in range(1, 6)])
    await kept.store(grey(frames, RepresentativeFrameNumber=2, WindowCenter=500, WindowWidth=1000))

    named = await picture(web, f"{INSTANCE}/frames/2/rendered")

    assert np.array_equal(await picture(web, f"{INSTANCE}/rendered"), named)


@pytest.mark.usefixtures("cine")
async def test_frames_come_in_parts_each_with_its_place(web: httpx.AsyncClient) -> None:
    for path, numbers in ((INSTANCE, [1, 2, 3, 4, 5]), (f"{INSTANCE}/frames/4,2", [4, 2])):
        answer = await get(web, f"{path}/rendered", 'multipart/related; type="image/png"')

        found = parts(answer)
        assert len(found) == len(numbers)
        for number, (headers, content) in zip(numbers, found, strict=True):
            location = f"http://archive{INSTANCE}/frames/{number}/rendered"
            assert headers["Content-Location"] == location
            assert np.array_equal(seen(content), await picture(web, location))


async def test_a_series_is_given_in_parts_or_by_its_middle_image(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    for number in (3, 1, 2):
        pixels = np.full((4, 4), 100 * number)
        window = {"WindowCenter": 200, "WindowWidth": 400}
        await kept.store(grey(pixels, f"1.2.3.{number}", InstanceNumber=number, **window))
    await kept.store(image("1.2.4.1", SeriesInstanceUID="1.2.4", SOPClassUID=SR, Modality="SR"))

    for place in (STUDY, SERIES):
        everything = await get(web, f"{place}/rendered", "*/*")
        middle = await picture(web, f"{place}/rendered")

        assert len(parts(everything)) == 3  # and none of the report
        assert np.array_equal(middle, await picture(web, f"{SERIES}/instances/1.2.3.2/rendered"))


async def test_a_study_s_thumbnail_is_of_its_largest_series_of_images(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(grey(ramp(4, 4), "1.2.4.1", SeriesInstanceUID="1.2.4", SeriesNumber=1))
    for number in range(3):
        await kept.store(
            grey(np.full((4, 4), 5), f"1.2.5.{number}", SeriesInstanceUID="1.2.5", SeriesNumber=2)
        )
        await kept.store(
            grey(
                np.full((4, 8), 5),
                f"1.2.6.{number}",
                SeriesInstanceUID="1.2.6",
                SeriesNumber=0,
                Modality="SEG",
            )
        )

    whole = await get(web, f"{STUDY}/thumbnail")
    largest = await get(web, f"{STUDY}/series/1.2.5/thumbnail")

    assert whole.content == largest.content


# --- what is no image


async def test_what_cannot_be_seen_has_a_thumbnail_that_says_what_it_is(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image(SOPClassUID=SR, Modality="SR", PixelData=None))

    for place in (STUDY, SERIES, INSTANCE):
        thumbnail = await get(web, f"{place}/thumbnail", viewport="120,80")
        rendered = await get(web, f"{place}/rendered", "image/jpeg")

        assert seen(thumbnail.content).shape == (80, 120, 3)
        assert rendered.status_code == 406


async def test_what_is_broken_is_told_to_be(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp(), Rows=0))
    await kept.store(grey(ramp(), "1.2.3.5", PixelData=bytes(20)))
    await kept.store(grey(ramp(), "1.2.3.6", BitsAllocated=13))

    for uid in ("1.2.3.4", "1.2.3.5", "1.2.3.6"):
        place = f"{SERIES}/instances/{uid}"
        rendered = await get(web, f"{place}/rendered")

        assert rendered.status_code == 406
        assert "to be had are the instance itself" in rendered.json()["detail"]
        assert (await get(web, f"{place}/thumbnail")).status_code == 200


async def test_a_document_is_given_as_it_is(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(document("1.2.3.4", PDF, b"%PDF-1.7 of odd length!"))

    whole = await get(web, f"{INSTANCE}/rendered", "application/pdf, image/jpeg;q=0.5")
    ranged = await web.get(f"{INSTANCE}/rendered", headers={"accept": "*/*", "range": "bytes=1-3"})
    refused = await get(web, f"{INSTANCE}/rendered", "image/jpeg")

    assert whole.headers["content-type"] == "application/pdf"
    assert whole.content == b"%PDF-1.7 of odd length!"
    assert (ranged.status_code, ranged.content) == (206, b"PDF")
    assert refused.status_code == 406
    assert "application/pdf" in refused.json()["detail"]


async def test_no_browser_runs_what_is_in_a_document(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(document("1.2.3.4", CDA, b"<ClinicalDocument/>"))

    answer = await get(web, f"{INSTANCE}/rendered", "text/xml")

    assert answer.headers["content-type"].startswith("text/xml")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


# --- asking again, and wrongly


@pytest.mark.usefixtures("one")
async def test_what_a_client_has_is_not_made_again(web: httpx.AsyncClient) -> None:
    for place in PLACES:
        for kind in ("rendered", "thumbnail"):
            first = await get(web, f"{place}/{kind}")
            tag = first.headers["etag"]
            headers = {"accept": "image/png", "if-none-match": tag}

            again = await web.get(f"{place}/{kind}", headers=headers)
            other = await web.get(f"{place}/{kind}?viewport=5,5", headers=headers)

            assert (again.status_code, again.content) == (304, b"")
            assert other.status_code == 200


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    "query",
    [
        "quality=0",
        "quality=101",
        "quality=high",
        "quality=",
        "quality=5&quality=6",
        "viewport=0,5",
        "viewport=5",
        "viewport=5,a",
        "viewport=5,5,1,1,0,5",
        "viewport=5,5,1,1,1,1,1",
        "viewport=99999,5",
        "viewport=5,5,40,0,5,5",
        "viewport=5,5,0,0,nan,5",
        "window=40,400",
        "window=40,0,linear",
        "window=40,400,LINEAR",
        "window=a,400,linear",
        "window=1e99999,400,linear",
        "annotation=",
        "annotation=patient,everything",
        "iccprofile=maybe",
    ],
)
async def test_parameters_that_are_wrong_are_refused(web: httpx.AsyncClient, query: str) -> None:
    answer = await web.get(f"{INSTANCE}/rendered?{query}", headers={"accept": "image/png"})

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("one")
async def test_a_gif_has_no_place_for_a_profile(web: httpx.AsyncClient) -> None:
    answer = await get(web, f"{INSTANCE}/rendered", "image/gif", iccprofile="srgb")

    assert answer.status_code == 400


@pytest.mark.usefixtures("one")
async def test_a_thumbnail_has_no_region(web: httpx.AsyncClient) -> None:
    answer = await get(web, f"{INSTANCE}/thumbnail", viewport="5,5,1,1,1,1")

    assert answer.status_code == 400


@pytest.mark.usefixtures("one")
async def test_what_no_rendering_is_cannot_be_had(web: httpx.AsyncClient) -> None:
    for place in PLACES:
        answer = await get(web, f"{place}/rendered", "application/dicom")

        assert answer.status_code == 406
        assert "image/jpeg" in answer.json()["detail"]


@pytest.mark.usefixtures("one")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/9.9/rendered", 404),
        ("/studies/9.9/thumbnail", 404),
        ("/studies/9.9/series/1.2.3/rendered", 404),
        (f"{STUDY}/series/1.2.3/instances/9.9/thumbnail", 404),
        (f"{INSTANCE}/frames/2/rendered", 404),
        (f"{INSTANCE}/frames/2/thumbnail", 404),
        ("/studies/x/rendered", 400),
        (f"{INSTANCE}/frames/0/rendered", 400),
        (f"{INSTANCE}/frames/1,,2/rendered", 400),
        (f"{INSTANCE}/frames/a/thumbnail", 400),
        (f"{STUDY}/renderedmpr", 501),
        (f"{STUDY}/series/rendered3d", 501),
    ],
)
async def test_what_is_not_there_or_wrong_is_told(
    web: httpx.AsyncClient, path: str, status: int
) -> None:
    assert (await web.get(path, headers={"accept": "image/jpeg"})).status_code == status


@pytest.mark.parametrize("kind", ["stl", "obj", "mtl", "xml", "pdf"])
async def test_no_document_runs_as_a_page_of_ours(
    web: httpx.AsyncClient, kept: Kept, kind: str
) -> None:
    number = ["pdf", "xml", "stl", "obj", "mtl"].index(kind) + 1
    script = b"<html><script>alert(1)</script></html>"
    await kept.store(document("1.2.3.4", f"1.2.840.10008.5.1.4.1.1.104.{number}", script))

    answer = await get(web, f"{INSTANCE}/rendered", accept="*/*")

    assert answer.content == script
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"] == f'inline; filename="1.2.3.4.{kind}"'
    policy = answer.headers.get("content-security-policy", "")
    assert policy.startswith("sandbox;") or answer.headers["content-type"] == "application/pdf"


@pytest.mark.parametrize("level", [STUDY, SERIES, INSTANCE])
async def test_a_pdf_has_its_first_page_as_thumbnail(
    web: httpx.AsyncClient, kept: Kept, level: str
) -> None:
    await kept.store(document("1.2.3.4", PDF, pdf_of(b"1 0 0 rg 0 0 600 800 re f", 600, 800)))

    page = await picture(web, f"{level}/thumbnail", viewport="60,60")

    assert page.shape == (60, 45, 3)
    assert page[30, 20].tolist() == [255, 0, 0]


async def test_a_pdf_that_cannot_be_drawn_has_the_card(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(document("1.2.3.4", PDF, b"%PDF-1.4 broken"))
    await kept.store(document("1.2.3.5", CDA, b"<ClinicalDocument/>"))

    broken = await picture(web, f"{INSTANCE}/thumbnail")
    other = await picture(web, f"{SERIES}/instances/1.2.3.5/thumbnail")

    assert broken.shape == other.shape == (200, 200, 3)
    assert not (broken == 255).all(axis=2).mean() > 0.5
