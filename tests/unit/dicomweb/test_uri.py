"""The URI service (PS3.18 chapter 9)."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pydicom
import pytest

from made_instances import EXPLICIT, JPEG, Kept, image

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


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png,image/jpeg;q=0.5", None])
async def test_nothing_is_rendered_yet(web: httpx.AsyncClient, content_type: str | None) -> None:
    answer = await get(web, contentType=content_type)

    assert answer.status_code == 501
    assert "application/dicom" in answer.json()["detail"]


async def test_what_is_to_be_anonymized_is_not_given_out(web: httpx.AsyncClient) -> None:
    answer = await get(web, anonymize="yes")

    assert answer.status_code == 501
    assert b"Doe" not in answer.content


async def test_a_transfer_is_resumed(web: httpx.AsyncClient) -> None:
    whole = await get(web)

    rest = await web.get("/wado", params=ASKED, headers={"range": "bytes=100-"})

    assert rest.status_code == 206
    assert rest.content == whole.content[100:]
