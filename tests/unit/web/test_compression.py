"""Answers in gzip."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given, strategies as st
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp

from isocenter.web.compression import Compression, accepts_gzip
from isocenter.web.delivery import Stream

TEXT = b'{"00100010": {"vr": "PN"}}' * 4000


async def get(within: ASGIApp, coding: str = "gzip", method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(Compression(within))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, "/", headers={"accept-encoding": coding})


async def pieces() -> AsyncIterator[bytes]:
    for start in range(0, len(TEXT), 1000):
        yield TEXT[start : start + 1000]


@pytest.mark.parametrize("media_type", ["application/dicom+json", "application/dicom+xml"])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_text_is_compressed_for_who_can_read_it(media_type: str, is_streamed: bool) -> None:
    headers = {"etag": '"x"'}
    within: Response
    if is_streamed:
        within = Stream(pieces(), headers=headers, media_type=media_type, size=len(TEXT))
    else:
        within = Response(TEXT, headers=headers, media_type=media_type)

    answer = await get(within)

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["etag"] == 'W/"x"'  # RFC 9110 8.8.1: other bytes, no strong validator
    assert answer.content == TEXT
    assert ("content-length" in answer.headers) != is_streamed
    if not is_streamed:
        assert int(answer.headers["content-length"]) < len(TEXT) / 4


@pytest.mark.parametrize(
    "within",
    [
        Response(TEXT, media_type="application/dicom"),
        Response(TEXT, media_type='multipart/related; type="application/dicom"; boundary=x'),
        Response(TEXT, media_type="image/jpeg"),
        Response(TEXT, 206, media_type="application/dicom+json"),
        Response(b"{}", media_type="application/dicom+json"),
    ],
)
async def test_what_would_not_get_smaller_is_left_alone(within: Response) -> None:
    answer = await get(within)

    assert "content-encoding" not in answer.headers
    assert answer.content == within.body


async def test_who_cannot_read_it_gets_it_plain() -> None:
    answer = await get(Response(TEXT, media_type="application/dicom+json"), "identity")

    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == TEXT


async def test_what_is_kept_compressed_passes() -> None:
    headers = {"content-encoding": "gzip"}
    kept = gzip.compress(TEXT)

    answer = await get(Response(kept, headers=headers, media_type="application/dicom+json"))

    assert answer.content == TEXT
    assert int(answer.headers["content-length"]) == len(kept)


async def test_xml_in_parts_is_compressed() -> None:
    media_type = 'multipart/related; type="application/dicom+xml"; boundary=x'

    answer = await get(Response(TEXT, media_type=media_type))

    assert answer.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("written", "is_accepted"),
    [
        ("gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),  # RFC 9110 12.5.3
        ("gzip;q=0", False),
        ("*;q=0", False),
        ("*", True),
        ("gzip;q=0, *", False),
        ("identity", False),
        ("", False),
        ("x-gzip", True),
        ("gzip ; q=0.001", True),
        ("br", False),
    ],
)
def test_what_is_accepted_is_read_as_it_is_meant(written: str, is_accepted: bool) -> None:
    assert accepts_gzip(Headers({"accept-encoding": written})) == is_accepted


@given(st.text(st.characters(max_codepoint=255)))
def test_nothing_that_is_sent_breaks_the_reading(text: str) -> None:
    accepts_gzip(Headers({"accept-encoding": text}))
