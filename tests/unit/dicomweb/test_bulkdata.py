"""Bulk data: what metadata refers to, and pixel data by itself."""

import zlib
from struct import pack

import httpx
import numpy as np
import pytest

from datasets import Node, encode
from isocenter.archive.archive import Archive
from isocenter.dicomweb.bulkdata import uri_of
from isocenter.storage.records import Selection
from made_instances import EXPLICIT, Kept
from made_pixels import description, encapsulated, native
from unit.dicomweb.test_frames import (
    BIG,
    H264,
    INSTANCE,
    JPEG,
    OCTETS,
    RLE,
    identified,
    parts,
    put,
    put_frames,
)

LARGE = bytes(range(256)) * 20


async def get(web: httpx.AsyncClient, path: str, accept: str = "*/*", **headers: str):
    return await web.get(path, headers={"accept": accept, **headers})


def content_of(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200
    ((_, content),) = parts(answer)
    return content


@pytest.fixture
async def waveform(kept: Kept) -> bytes:
    """An instance with a value within the second item of a sequence."""
    samples = np.arange(3000, dtype="<i2").tobytes()
    items = [[Node(0x54001010, "OW", b"ab")], [Node(0x54001010, "OW", samples)]]
    sequence = Node(0x54000100, "SQ", items=items, is_undefined=True, undefined_items=True)
    await put(kept, encode(identified([Node(0x00091010, "OB", b"private"), sequence])))
    return samples


async def test_a_value_is_given_by_the_path_to_its_attribute(web, waveform) -> None:
    answer = await get(web, f"{INSTANCE}/bulkdata/54000100/1/54001010", OCTETS)

    assert content_of(answer) == waveform
    headers = parts(answer)[0][0]
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-location"] == f"http://archive{INSTANCE}/bulkdata/54000100/1/54001010"
    small = await get(web, f"{INSTANCE}/bulkdata/54000100/0/54001010", OCTETS)
    assert content_of(small) == b"ab"


async def test_a_uri_of_the_metadata_leads_to_its_value(web, waveform) -> None:
    metadata = (await web.get(f"{INSTANCE}/metadata")).json()[0]

    uri = metadata["54000100"]["Value"][1]["54001010"]["BulkDataURI"]

    assert uri.endswith(uri_of("1.2", "1.2.3", "1.2.3.4", (0x54000100, 1, 0x54001010)))
    assert content_of(await get(web, uri)) == waveform


async def test_a_value_can_be_had_without_parts_and_in_part(web, waveform) -> None:
    path = f"{INSTANCE}/bulkdata/54000100/1/54001010"

    whole = await get(web, path, "application/octet-stream")
    part = await get(web, path, "application/octet-stream", range="bytes=10-13")

    assert whole.content == waveform
    assert whole.headers["content-type"] == "application/octet-stream"
    assert whole.headers["content-length"] == str(len(waveform))
    assert (part.status_code, part.content) == (206, waveform[10:14])
    tag = whole.headers["etag"]
    again = await get(web, path, "application/octet-stream", **{"if-none-match": tag})
    assert again.status_code == 304


async def test_values_are_given_little_endian(web, kept) -> None:
    nodes = [
        Node(0x00660016, "OF", pack(">2f", 1.5, -2.0)),
        Node(0x7FE00010, "OW", np.arange(4, dtype=">u2").tobytes()),
    ]
    data = encode([*identified(description(1, bits=16, little=False)), *nodes], little=False)
    await put(kept, data, BIG)

    floats = await get(web, f"{INSTANCE}/bulkdata/00660016")
    pixels = await get(web, f"{INSTANCE}/bulkdata/7FE00010")

    assert content_of(floats) == pack("<2f", 1.5, -2.0)
    assert content_of(pixels) == np.arange(4, dtype="<u2").tobytes()


async def test_values_of_a_deflated_data_set_are_found(web, kept) -> None:
    data = encode(identified([Node(0x00420011, "OB", LARGE)]))
    await put(kept, zlib.compress(data, wbits=-15), "1.2.840.10008.1.2.1.99")

    assert content_of(await get(web, f"{INSTANCE}/bulkdata/00420011")) == LARGE


@pytest.mark.parametrize(
    "path",
    ["54000100", "54000100/7/54001010", "00420011", "00091010/0/00091010", "54000100/0/00420011"],
)
async def test_what_is_not_there_is_not_found(web, waveform, path) -> None:
    assert (await get(web, f"{INSTANCE}/bulkdata/{path}")).status_code == 404


@pytest.mark.parametrize(
    "path", ["x", "PixelData", "7FE00010/0", "7FE00010/x/7FE00010", "1" * 3000]
)
async def test_what_is_no_path_to_an_attribute_is_refused(web, waveform, path) -> None:
    assert (await get(web, f"{INSTANCE}/bulkdata/{path}")).status_code == 400


async def test_a_document_is_given_as_what_it_is_to_who_asks_for_that(web, kept) -> None:
    nodes = [Node(0x00420011, "OB", b"%PDF-1.4"), Node(0x00420012, "LO", b"application/pdf ")]
    await put(kept, encode(identified(nodes)))
    path = f"{INSTANCE}/bulkdata/00420011"

    alone = await get(web, path, "application/pdf")

    assert alone.headers["content-type"] == "application/pdf"
    assert alone.content == b"%PDF-1.4"
    assert parts(await get(web, path))[0][0]["content-type"] == "application/octet-stream"
    assert (await get(web, path, "text/html")).status_code == 406


async def test_a_document_is_never_given_as_a_page_of_ours(web, kept) -> None:
    nodes = [Node(0x00420011, "OB", b"<script>"), Node(0x00420012, "LO", b"text/html ")]
    await put(kept, encode(identified(nodes)))

    assert (await get(web, f"{INSTANCE}/bulkdata/00420011", "text/html")).status_code == 406


async def test_native_pixel_data_is_one_value(web, kept) -> None:
    pixels = bytes(range(12))
    await put(kept, native(pixels, identified(description(3))))

    for path in ("/pixeldata", "/bulkdata/7FE00010"):
        answer = await get(web, INSTANCE + path, OCTETS)

        ((headers, content),) = parts(answer)
        assert content == pixels
        assert headers["content-type"] == f"application/octet-stream; transfer-syntax={EXPLICIT}"
        assert headers["content-location"].endswith("/bulkdata/7FE00010")
        alone = await get(web, INSTANCE + path, "application/octet-stream", range="bytes=4-7")
        assert alone.content == pixels[4:8]


async def test_compressed_pixel_data_is_given_frame_by_frame(web, kept) -> None:
    await put_frames(kept, [b"one_", b"two_", b"three_"], JPEG)

    for path in ("/pixeldata", "/bulkdata/7FE00010"):
        for accept in ("*/*", f"{OCTETS}; transfer-syntax=*", "multipart/related; type=image/jpeg"):
            given = parts(await get(web, INSTANCE + path, accept))

            assert [content for _, content in given] == [b"one_", b"two_", b"three_"]
            assert given[1][0] == {
                "content-type": f"image/jpeg; transfer-syntax={JPEG}",
                "content-location": f"http://archive{INSTANCE}/frames/2",
                "content-length": "4",
            }
        assert (await get(web, INSTANCE + path, OCTETS)).status_code == 406
        assert (await get(web, INSTANCE + path, "image/jpeg")).status_code == 406


async def test_a_single_compressed_frame_needs_no_parts(web, kept) -> None:
    await put_frames(kept, [b"one_"], JPEG)

    answer = await get(web, f"{INSTANCE}/pixeldata", "image/jpeg")

    assert answer.content == b"one_"


async def test_a_video_is_one_stream_which_can_be_had_in_part(web, kept) -> None:
    data = encapsulated([[b"0123", b"456789"]], identified(description(90)))
    await put(kept, data, H264)

    whole = await get(web, f"{INSTANCE}/pixeldata", "video/mp4")
    part = await get(web, f"{INSTANCE}/bulkdata/7FE00010", "video/mp4", range="bytes=2-5")

    assert whole.content == b"0123456789"
    assert whole.headers["content-type"] == f"video/mp4; transfer-syntax={H264}"
    assert part.content == b"2345"


async def test_pixels_that_cannot_be_told_apart_are_given_as_they_lie(web, kept) -> None:
    nodes = identified(description(2))
    await put(kept, encapsulated([[b"12"], [b"34"], [b"56"]], nodes), RLE)

    assert content_of(await get(web, f"{INSTANCE}/pixeldata")) == b"123456"


async def test_an_instance_without_pixels_has_no_pixel_data(web, waveform) -> None:
    for above in (INSTANCE, "/studies/1.2/series/1.2.3", "/studies/1.2"):
        assert (await get(web, f"{above}/pixeldata")).status_code == 404


@pytest.mark.parametrize("above", ["/studies/1.2", "/studies/1.2/series/1.2.3"])
async def test_all_values_of_several_instances_are_given(web, kept, above) -> None:
    icon = Node(0x00880200, "SQ", items=[[*description(1), Node(0x7FE00010, "OW", LARGE)]])
    first = [*identified([Node(0x00420011, "OB", LARGE), icon], "1.2.3.1")]
    await put(kept, encode(first), instance="1.2.3.1")
    await put(kept, native(LARGE, identified(description(2), "1.2.3.2")), instance="1.2.3.2")
    compressed = encapsulated([[b"one_"], [b"two_"]], identified(description(2), "1.2.3.3"))
    await put(kept, compressed, JPEG, instance="1.2.3.3")
    small = encode(identified([Node(0x00420011, "OB", b"small ")], "1.2.3.5"))
    await put(kept, small, instance="1.2.3.5")

    bulk = parts(await get(web, f"{above}/bulkdata", OCTETS))
    pixels = parts(await get(web, f"{above}/pixeldata", OCTETS))
    jpeg = parts(await get(web, f"{above}/pixeldata", "multipart/related; type=image/jpeg"))

    places = [headers["content-location"].rpartition("/instances/")[2] for headers, _ in bulk]
    assert places == [
        "1.2.3.1/bulkdata/00420011",
        "1.2.3.1/bulkdata/00880200/0/7FE00010",
        "1.2.3.2/bulkdata/7FE00010",
        "1.2.3.3/frames/1",
        "1.2.3.3/frames/2",
    ]
    assert [content for _, content in bulk] == [LARGE, LARGE, LARGE, b"one_", b"two_"]
    assert [content for _, content in pixels] == [LARGE, b"one_", b"two_"]
    assert [content for _, content in jpeg] == [b"one_", b"two_"]
    for headers, content in bulk:
        again = await get(web, headers["content-location"])
        assert content_of(again) == content


async def test_the_values_of_one_instance_are_given(web, waveform) -> None:
    ((headers, content),) = parts(await get(web, f"{INSTANCE}/bulkdata"))

    assert headers["content-location"].endswith("/bulkdata/54000100/1/54001010")
    assert content == waveform


async def test_head_tells_of_values_too(web, waveform) -> None:
    path = f"{INSTANCE}/bulkdata/54000100/1/54001010"

    got, head = await get(web, path), await web.head(path)

    assert head.headers == got.headers
    assert head.content == b""


async def test_values_of_a_removed_instance_are_gone(web, waveform, archive: Archive) -> None:
    path = f"{INSTANCE}/bulkdata/54000100/1/54001010"
    assert (await get(web, path)).status_code == 200

    await archive.removals.remove(Selection(instances=("1.2.3.4",)))

    for each in (path, f"{INSTANCE}/bulkdata", f"{INSTANCE}/pixeldata"):
        assert (await get(web, each)).status_code == 404
