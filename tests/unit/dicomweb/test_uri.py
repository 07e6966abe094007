"""The URI service (PS3.18 chapter 9)."""

from __future__ import annotations

import io
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest

from made_instances import EXPLICIT, JPEG, Kept, image
from made_pictures import grey, ramp, seen

DEFLATED = "1.2.840.10008.1.2.1.99"
ASKED = {
    "requestType": "WADO",
    "studyUID": "1.2",
    "seriesUID": "1.2.3",
    "objectUID": "1.2.3.4",
    "contentType": "application/dicom",
}


@pytest.fixture(autouse=True)
async def one(kept: Kept) -> None:
    await kept.store(image())


async def get(web: httpx.AsyncClient, **changed: Any) -> httpx.Response:
    """Ask; ``changed`` of None are left out."""
    query = {name: value for name, value in {**ASKED, **changed}.items() if value is not None}
    return await web.get("/wado", params=query)


async def test_an_instance_is_given(web: httpx.AsyncClient) -> None:
    answer = await get(web)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom"  # without parameters: 9.1.3
    assert int(answer.headers["content-length"]) == len(answer.content)
    read = pydicom.dcmread(io.BytesIO(answer.content))
    assert read.to_json_dict() == image().to_json_dict()


async def test_it_can_be_asked_for_in_the_accept_header_field(web: httpx.AsyncClient) -> None:
    query = {name: value for name, value in ASKED.items() if name != "contentType"}

    answer = await web.get("/wado", params=query, headers={"accept": "application/dicom"})

    assert answer.status_code == 200


async def test_another_transfer_syntax_can_be_asked_for(web: httpx.AsyncClient) -> None:
    answer = await get(web, transferSyntax=DEFLATED)

    read = pydicom.dcmread(io.BytesIO(answer.content))
    assert read.file_meta.TransferSyntaxUID == DEFLATED
    assert answer.headers["content-type"] == "application/dicom"


async def test_who_does_not_say_gets_explicit_little_endian(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    buffer = io.BytesIO()
    image("1.2.3.5").save_as(buffer, implicit_vr=True, little_endian=True)
    await kept.begin(buffer.getvalue(), syntax="1.2.840.10008.1.2", sop_instance="1.2.3.5").finish()

    unsaid = await get(web, objectUID="1.2.3.5")
    any_of_them = await get(web, objectUID="1.2.3.5", transferSyntax="*")

    assert pydicom.dcmread(io.BytesIO(unsaid.content)).file_meta.TransferSyntaxUID == EXPLICIT
    assert any_of_them.content.endswith(buffer.getvalue())


@pytest.mark.parametrize(
    "changed",
    [
        {"requestType": None},
        {"requestType": "wado"},
        {"requestType": ["WADO", "WADO"]},
        {"studyUID": None},
        {"seriesUID": ""},
        {"objectUID": ["1.2.3.4", "1.2.3.4"]},
        {"objectUID": "1\\2"},
        {"objectUID": "abc"},
        {"contentType": "nonsense"},
        {"contentType": "application/dicom;transfer-syntax=1.2"},
        {"contentType": "application/dicom;charset=utf-8"},
        {"contentType": "application/dicom,image/jpeg"},
        {"transferSyntax": "abc"},
        {"transferSyntax": ["1.2", "1.2"]},
        {"anonymize": "no"},
        {"anonymize": ["yes", "yes"]},
        {"anonymize": ""},
    ],
)
async def test_what_is_wrong_is_told(web: httpx.AsyncClient, changed: dict[str, Any]) -> None:
    answer = await get(web, **changed)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "changed", [{"studyUID": "9.9"}, {"seriesUID": "9.9"}, {"objectUID": "9.9"}]
)
async def test_what_is_not_there_is_not_found(
    web: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    assert (await get(web, **changed)).status_code == 404


@pytest.mark.parametrize(
    "changed",
    [
        {"transferSyntax": JPEG},
        {"transferSyntax": "1.2.840.10008.1.2"},
        {"transferSyntax": "1.2.840.10008.1.2.2"},
        {"contentType": "application/dicom+json"},
        {"contentType": "audio/mpeg"},
    ],
)
async def test_what_cannot_be_had_is_refused(
    web: httpx.AsyncClient, changed: dict[str, str]
) -> None:
    assert (await get(web, **changed)).status_code == 406


# --- renderings


@pytest.fixture
async def many(kept: Kept) -> None:
    frames = np.stack([ramp() * number for number in (1, 2, 3)])
    await kept.store(grey(frames, "1.2.3.9", WindowCenter=500, WindowWidth=1000))


async def rendered(web: httpx.AsyncClient, **asked: Any) -> Any:
    answer = await get(web, **{"objectUID": "1.2.3.9", "contentType": "image/png", **asked})
    assert answer.status_code == 200, answer.text
    return seen(answer.content)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("content_type", "given"),
    [
        ("image/jpeg", "image/jpeg"),
        ("image/png,image/jpeg;q=0.5", "image/png"),
        ("image/jp2", "image/jp2"),
        (None, "image/jpeg"),
    ],
)
async def test_an_image_is_rendered(
    web: httpx.AsyncClient, content_type: str | None, given: str
) -> None:
    answer = await get(web, objectUID="1.2.3.9", contentType=content_type)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == given


@pytest.mark.usefixtures("many")
async def test_parameters_mean_what_those_of_the_studies_service_mean(
    web: httpx.AsyncClient,
) -> None:
    base = "/studies/1.2/series/1.2.3/instances/1.2.3.9/frames/3/rendered"
    same = {
        "window=100,200,linear": {"windowCenter": "100", "windowWidth": "200"},
        "viewport=10,10": {"rows": "10", "columns": "10"},
        "viewport=8,4,8,4,16,8": {"region": "0.25,0.25,0.75,0.75", "columns": "8"},
        "annotation=patient": {"imageAnnotation": "patient"},
    }
    for query, asked in same.items():
        answer = await web.get(f"{base}?{query}", headers={"accept": "image/png"})

        found = await rendered(web, frameNumber="3", **asked)

        assert np.array_equal(found, seen(answer.content)), query


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({"rows": "8"}, (8, 16)),
        ({"columns": "64"}, (32, 64)),
        ({"rows": "64", "columns": "16"}, (8, 16)),
        ({"region": "0.0,0.0,0.5,1.0"}, (16, 16)),
        ({"region": "0.5,0.5,1,1", "rows": "16"}, (16, 32)),
    ],
)
async def test_a_picture_is_of_the_size_that_is_asked_for(
    web: httpx.AsyncClient, asked: dict[str, str], size: tuple[int, int]
) -> None:
    assert (await rendered(web, **asked)).shape == size


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    "asked",
    [
        {"frameNumber": "4"},
        {"frameNumber": "0"},
        {"frameNumber": "one"},
        {"frameNumber": ["1", "2"]},
        {"rows": "0"},
        {"columns": "-5"},
        {"region": "0,0,1"},
        {"region": "0.5,0,0.5,1"},
        {"region": "0,0,1,1.5"},
        {"windowCenter": "40"},
        {"windowWidth": "400"},
        {"windowCenter": "40", "windowWidth": "0"},
        {"imageQuality": "0"},
        {"imageAnnotation": "nobody"},
        {"presentationUID": "1.2.3"},
        {"contentType": "application/dicom", "windowCenter": "4", "windowWidth": "5"},
    ],
)
async def test_a_rendering_that_is_asked_for_wrongly_is_refused(
    web: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    answer = await get(web, **{"objectUID": "1.2.3.9", "contentType": "image/png", **asked})

    assert answer.status_code == 400


async def test_a_transfer_is_resumed(web: httpx.AsyncClient) -> None:
    whole = await get(web)

    rest = await web.get("/wado", params=ASKED, headers={"range": "bytes=100-"})

    assert rest.status_code == 206
    assert rest.content == whole.content[100:]
