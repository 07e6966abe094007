"""Frames over the web, whatever they are kept in."""

import asyncio
import zlib
from collections.abc import Callable
from email import message_from_bytes
from email.policy import HTTP

import httpx
import imagecodecs
import numpy as np
import pytest

from datasets import Node
from isocenter.archive.archive import Archive
from isocenter.dicom.syntax import TRANSFER_SYNTAXES
from isocenter.dicomweb.frame_types import media_type_of
from isocenter.storage.records import Selection
from made_instances import CT, EXPLICIT, Kept
from made_pixels import description, encapsulated, native, offsets

INSTANCE = "/studies/1.2/series/1.2.3/instances/1.2.3.4"
JPEG, RLE, JPEG_LS = (f"1.2.840.10008.1.2.{last}" for last in ("4.50", "5", "4.80"))
J2K, H264, BIG = (f"1.2.840.10008.1.2.{last}" for last in ("4.90", "4.102", "2"))
DEFLATED_FRAMES, UNCOMPRESSED = "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"
OCTETS = 'multipart/related; type="application/octet-stream"'
ANY_OCTETS = f"{OCTETS}; transfer-syntax=*"

Put = Callable[..., object]


def identified(nodes: list[Node], instance: str = "1.2.3.4") -> list[Node]:
    """With what makes an instance of it."""

    def uid(text: str) -> bytes:
        return text.encode() + bytes(len(text) % 2)

    return [
        Node(0x00080016, "UI", uid(CT)),
        Node(0x00080018, "UI", uid(instance)),
        Node(0x00100020, "LO", b"P1"),
        Node(0x0020000D, "UI", uid("1.2")),
        Node(0x0020000E, "UI", uid("1.2.3")),
        *nodes,
    ]


async def put(kept: Kept, data: bytes, syntax: str = EXPLICIT, instance: str = "1.2.3.4") -> None:
    await kept.begin(data, syntax=syntax, sop_instance=instance).finish()


async def put_frames(kept: Kept, contents: list[bytes], syntax: str, **more: object) -> None:
    made = [[content] for content in contents]
    nodes = identified(description(len(made)))
    await put(kept, encapsulated(made, nodes, **more), syntax)  # type: ignore[arg-type]


def parts(answer: httpx.Response) -> list[tuple[dict[str, str], bytes]]:
    """The parts, as Python's own parser of mail finds them."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + answer.content, policy=HTTP)
    assert not message.defects
    boundary = str(message.get_boundary()).encode()
    found = []
    for raw in answer.content.split(b"--" + boundary)[1:-1]:
        headers, _, content = raw.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in headers.decode().split("\r\n"))
        found.append(({name.lower(): value for name, value in lines}, content[:-2]))
    return found


async def get(
    web: httpx.AsyncClient, frames: str = "1", accept: str | None = None, **headers: str
) -> httpx.Response:
    if accept is not None:
        headers["accept"] = accept
    answer = await web.get(f"{INSTANCE}/frames/{frames}", headers=headers)
    if answer.status_code < 400:
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert answer.headers["vary"].lower() == "accept"
    return answer


async def test_native_frames_are_given_as_bytes_in_parts(web, kept) -> None:
    await put(kept, native(bytes(range(12)), identified(description(3))))

    for accept in (None, "*/*", OCTETS, ANY_OCTETS, f"{OCTETS}; transfer-syntax={EXPLICIT}"):
        answer = await get(web, "2", accept)

        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(OCTETS)
        ((headers, content),) = parts(answer)
        assert content == bytes([4, 5, 6, 7])
        assert headers == {
            "content-type": f"application/octet-stream; transfer-syntax={EXPLICIT}",
            "content-location": f"http://archive{INSTANCE}/frames/2",
            "content-length": "4",
        }


async def test_asked_for_twice_a_frame_is_the_same(web, kept) -> None:
    await put(kept, native(bytes(range(12)), identified(description(3))))

    first, second = await get(web, "2"), await get(web, "2")

    assert first.content == second.content
    assert first.headers == second.headers


async def test_frames_come_in_the_order_and_as_often_as_asked_for(web, kept) -> None:
    await put_frames(kept, [b"one_", b"two_", b"three_"], JPEG)

    given = parts(await get(web, "3,1,1", "multipart/related; type=image/jpeg"))

    assert [content for _, content in given] == [b"three_", b"one_", b"one_"]
    assert [headers["content-location"][-9:] for headers, _ in given] == [
        "/frames/3",
        "/frames/1",
        "/frames/1",
    ]


@pytest.mark.parametrize(
    ("syntax", "media_type"),
    [
        (JPEG, "image/jpeg"),
        (JPEG_LS, "image/jls"),
        (J2K, "image/jp2"),
        (RLE, "image/dicom-rle"),
        ("1.2.840.10008.1.2.4.201", "image/jphc"),
        ("1.2.840.10008.1.2.4.110", "image/jxl"),
    ],
)
async def test_compressed_frames_are_given_as_they_are_kept(web, kept, syntax, media_type) -> None:
    await put_frames(kept, [b"one_", b"two_"], syntax)

    for accept in (None, "*/*", f"multipart/related; type={media_type}", ANY_OCTETS):
        answer = await get(web, "2", accept)

        assert answer.status_code == 200
        ((headers, content),) = parts(answer)
        assert content == b"two_"
        assert headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"
        assert f'type="{media_type}"' in answer.headers["content-type"]
    alone = await get(web, "2", media_type)
    assert alone.content == b"two_"
    assert alone.headers["content-type"] == f"{media_type}; transfer-syntax={syntax}"


def test_every_image_transfer_syntax_of_the_table_has_its_media_type() -> None:
    table = {  # PS3.18 Table 8.7.3-5
        "image/jpeg": ("4.70", "4.50", "4.51", "4.57"),
        "image/dicom-rle": ("5",),
        "image/jls": ("4.80", "4.81"),
        "image/jp2": ("4.90", "4.91"),
        "image/jpx": ("4.92", "4.93"),
        "image/jphc": ("4.201", "4.202", "4.203"),
        "image/jxl": ("4.110", "4.111", "4.112"),
        "video/mpeg": ("4.100", "4.100.1", "4.101", "4.101.1"),
        "video/mp4": tuple(f"4.10{last}" for last in "23456")
        + tuple(f"4.10{last}.1" for last in "23456"),
        "video/h265": ("4.107", "4.108"),
    }

    for media_type, lasts in table.items():
        for last in lasts:
            assert media_type_of(TRANSFER_SYNTAXES[f"1.2.840.10008.1.2.{last}"]) == media_type


async def test_clients_that_use_an_older_name_hear_it_again(web, kept) -> None:
    await put_frames(kept, [b"one_"], RLE)

    answer = await get(web, "1", "multipart/related; type=image/x-dicom-rle")

    assert parts(answer)[0][0]["content-type"] == f"image/x-dicom-rle; transfer-syntax={RLE}"


async def test_what_would_have_to_be_decoded_is_refused_with_what_can_be_had(web, kept) -> None:
    await put_frames(kept, [b"one_"], JPEG)

    for accept in (
        OCTETS,
        "application/octet-stream",
        f"{OCTETS}; transfer-syntax={EXPLICIT}",
        "image/jp2",
        f"image/jpeg; transfer-syntax={J2K}",
        "text/html",
    ):
        answer = await get(web, "1", accept)

        assert answer.status_code == 406
        assert answer.headers["content-type"] == "application/problem+json"
        assert f"image/jpeg; transfer-syntax={JPEG}" in answer.json()["detail"]


SMALL = np.arange(2 * 12 * 10, dtype=np.uint16).reshape(2, 12, 10) * 17
HTJ2K, JPEG_XL, JPEG_LOSSLESS = (f"1.2.840.10008.1.2.4.{last}" for last in (201, 110, 70))
DECODERS = {
    "image/jls": (JPEG_LS, imagecodecs.jpegls_decode),
    "image/jphc": (HTJ2K, imagecodecs.htj2k_decode),
    "image/jp2": (J2K, imagecodecs.jpeg2k_decode),
    "image/jxl": (JPEG_XL, imagecodecs.jpegxl_decode),
    "image/jpeg": (JPEG_LOSSLESS, imagecodecs.jpeg8_decode),
}


async def put_small(kept: Kept) -> None:
    streams = [bytes(imagecodecs.jpeg2k_encode(frame, codecformat="j2k", reversible=True))
               for frame in SMALL]  # fmt: skip
    nodes = identified(description(2, 12, 10, 16))
    await put(kept, encapsulated([[each] for each in streams], nodes), J2K)


@pytest.mark.parametrize(
    "accept",
    [OCTETS, "application/octet-stream", f"{OCTETS}; transfer-syntax={EXPLICIT}"],
)
async def test_bytes_of_a_compressed_frame_are_decoded(web, kept, accept) -> None:
    await put_small(kept)

    answer = await get(web, "2", accept)

    content = parts(answer)[0][1] if accept.startswith("multipart") else answer.content
    assert content == SMALL[1].tobytes()
    assert (
        f"transfer-syntax={EXPLICIT}"
        in (parts(answer)[0][0] if accept.startswith("multipart") else answer.headers)[
            "content-type"
        ]
    )


@pytest.mark.parametrize("media_type", DECODERS)
async def test_frames_are_compressed_as_is_asked_for(web, kept, media_type) -> None:
    await put_small(kept)
    syntax, decode = DECODERS[media_type]

    answer = await web.get(
        f"{INSTANCE}/frames/2,1", headers={"accept": f"multipart/related; type={media_type}"}
    )

    given = parts(answer)
    assert [headers["content-type"] for headers, _ in given] == [
        f"{media_type}; transfer-syntax={syntax}"
    ] * 2
    found = np.stack([decode(content) for _, content in given])
    assert np.array_equal(found, SMALL[::-1])


async def test_what_is_kept_is_given_where_it_is_as_welcome(web, kept) -> None:
    await put_small(kept)

    either = await get(web, "1", f"image/jp2, {OCTETS}")
    rather = await get(web, "1", f"image/jp2; q=0.5, {OCTETS}")

    assert either.headers["content-type"].startswith("image/jp2")
    assert parts(rather)[0][1] == SMALL[0].tobytes()


async def test_frames_are_not_given_with_a_loss(web, kept) -> None:
    await put_small(kept)

    for accept in (f"image/jpeg; transfer-syntax={JPEG}", "image/jls; transfer-syntax=4.81"):
        assert (await get(web, "1", accept)).status_code == 406


async def test_converted_frames_have_a_tag_by_which_they_are_known(web, kept) -> None:
    await put_small(kept)
    first = await get(web, "1", OCTETS)

    again = await web.get(
        f"{INSTANCE}/frames/1", headers={"accept": OCTETS, "if-none-match": first.headers["etag"]}
    )

    assert first.headers["etag"].startswith("W/")
    assert again.status_code == 304


async def test_of_what_is_preferred_the_first_that_can_be_had_is_given(web, kept) -> None:
    await put_frames(kept, [b"one_"], JPEG)

    answer = await get(web, "1", f"{OCTETS}, multipart/related; type=image/jpeg; q=0.2")

    assert parts(answer)[0][1] == b"one_"


async def test_what_ohif_asks_for_is_given(web, kept) -> None:
    accept = (
        "multipart/related; type=application/octet-stream; transfer-syntax=*, "
        "multipart/related; type=image/jls; q=0.9; transfer-syntax=1.2.840.10008.1.2.4.80"
    )
    await put_frames(kept, [b"one_"], J2K)

    ((headers, content),) = parts(await get(web, "1", accept))

    assert (headers["content-type"], content) == (f"image/jp2; transfer-syntax={J2K}", b"one_")


@pytest.mark.parametrize("syntax", [DEFLATED_FRAMES, "1.2.3.4.5.6"])
async def test_a_compression_without_a_media_type_tells_its_transfer_syntax(
    web, kept, syntax
) -> None:
    await put_frames(kept, [b"one_"], syntax)

    for accept in (None, ANY_OCTETS, f"{OCTETS}; transfer-syntax={syntax}"):
        ((headers, content),) = parts(await get(web, "1", accept))

        assert headers["content-type"] == f"application/octet-stream; transfer-syntax={syntax}"
        assert content == b"one_"
    assert (await get(web, "1", OCTETS)).status_code == 406


async def test_encapsulated_but_uncompressed_frames_are_given_as_native_ones(web, kept) -> None:
    nodes = identified(description(2, 1, 3))
    await put(kept, encapsulated([[b"abc\0"], [b"def\0"]], nodes), UNCOMPRESSED)

    ((headers, content),) = parts(await get(web, "2", OCTETS))

    assert content == b"def"
    assert headers["content-type"] == f"application/octet-stream; transfer-syntax={EXPLICIT}"


async def test_big_endian_frames_are_given_little_endian(web, kept) -> None:
    little = np.arange(8, dtype="<u2")
    nodes = identified(description(2, bits=16, little=False))
    await put(kept, native(little.astype(">u2").tobytes(), nodes, little=False), BIG)

    ((headers, content),) = parts(await get(web, "2", OCTETS))

    assert content == little[4:].tobytes()
    assert headers["content-type"].endswith(EXPLICIT)


async def test_frames_of_single_bits_begin_at_a_byte_each(web, kept) -> None:
    bits = np.array([1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 0, 1, 0, 1], np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    await put(kept, native(packed, identified(description(3, 1, 5, 1))))

    given = [content for _, content in parts(await get(web, "1,2,3"))]

    assert given == [np.packbits(each, bitorder="little").tobytes() for each in bits.reshape(3, 5)]


async def test_a_lying_offset_table_is_seen_through(web, kept) -> None:
    contents = [bytes([number]) * 20 for number in range(1, 5)]
    true = offsets([[content] for content in contents])
    await put_frames(kept, contents, JPEG, basic=[0, true[1] + 2, *true[2:]])

    given = [content for _, content in parts(await get(web, "1,2,3,4"))]

    assert given == contents
    assert parts(await get(web, "2"))[0][1] == contents[1]


async def test_a_part_of_a_frame_and_of_the_whole_can_be_had(web, kept) -> None:
    await put_frames(kept, [b"0123456789", b"abcdefghij"], JPEG)

    one = await get(web, "2", "image/jpeg", range="bytes=3-5")
    whole = await get(web, "1,2")
    part = await get(web, "1,2", range="bytes=100-")

    assert (one.status_code, one.content) == (206, b"def")
    assert one.headers["content-range"] == "bytes 3-5/10"
    assert part.content == whole.content[100:]
    assert (await get(web, "2", "image/jpeg", range="bytes=10-")).status_code == 416


async def test_who_has_a_frame_is_told_so(web, kept) -> None:
    await put_frames(kept, [b"one_", b"two_"], JPEG)
    first = await get(web, "1")
    tag = first.headers["etag"]

    again = await web.get(f"{INSTANCE}/frames/1", headers={"if-none-match": tag})
    other = await get(web, "2", **{"if-none-match": tag})
    alone = await get(web, "1", "image/jpeg", **{"if-none-match": tag})

    assert (again.status_code, again.headers["etag"], again.content) == (304, tag, b"")
    assert (other.status_code, alone.status_code) == (200, 200)
    assert (await get(web, "1", **{"if-match": '"other"'})).status_code == 412


async def test_head_tells_the_same_without_the_frame(web, kept) -> None:
    await put_frames(kept, [b"one_", b"two_"], JPEG)

    for frames in ("1", "1,2"):
        got = await get(web, frames)
        head = await web.head(f"{INSTANCE}/frames/{frames}")

        assert head.status_code == 200
        assert head.content == b""
        assert head.headers == got.headers


@pytest.mark.parametrize(
    "listed", ["x", "1,", ",1", "-1", "1.5", "1 ,2", "1%2C", "99999999999", "\u0661"]
)
async def test_what_is_no_list_of_frames_is_refused(web, kept, listed) -> None:
    await put(kept, native(bytes(4), identified(description(1))))

    assert (await get(web, listed)).status_code == 400


async def test_more_frames_than_an_answer_takes_are_refused(web, kept) -> None:
    await put(kept, native(bytes(4), identified(description(1))))

    assert (await get(web, ",".join(["1"] * 10_001))).status_code == 413


async def test_a_frame_there_is_none_of_is_not_found(web, kept) -> None:
    await put(kept, native(bytes(12), identified(description(3))))

    for listed in ("0", "4", "1,4", "9999999999"):
        answer = await get(web, listed)

        assert answer.status_code == 404
        assert "the instance has 3" in answer.json()["detail"]


async def test_an_instance_without_pixels_has_no_frames(web, kept) -> None:
    await put(kept, native(b"", identified([]), tag=0x00420011, vr="OB"))

    assert (await get(web)).status_code == 404


async def test_what_cannot_be_told_apart_is_not_found(web, kept) -> None:
    nodes = identified(description(2))
    await put(kept, encapsulated([[b"12"], [b"34"], [b"56"]], nodes), RLE)

    answer = await get(web)

    assert answer.status_code == 404
    assert "2 frames in 3 fragments" in answer.json()["detail"]


async def test_a_video_has_no_frames_to_be_had_one_by_one(web, kept) -> None:
    await put_frames(kept, [b"stream", b"behind"], H264)

    for number in ("2", "1,2"):
        answer = await get(web, number, "*/*")
        assert answer.status_code == 404
        assert "pixel data" in answer.json()["detail"]


@pytest.mark.parametrize("accept", ["video/mp4", "video/*", "video/mp4; transfer-syntax=*"])
async def test_the_first_frame_of_a_video_is_the_stream_as_it_is_kept(web, kept, accept) -> None:
    await put_frames(kept, [b"stream", b"behind"], H264)

    answer = await get(web, "1", accept)

    assert answer.content == b"streambehind"
    assert answer.headers["content-type"] == f"video/mp4; transfer-syntax={H264}"
    assert (await get(web, "1", "video/mpeg")).status_code == 406


async def test_an_instance_is_found_under_its_own_study_and_series_only(web, kept) -> None:
    await put(kept, native(bytes(4), identified(description(1))))
    assert (await get(web)).status_code == 200

    for wrong in (
        "/studies/1.9/series/1.2.3/instances/1.2.3.4",
        "/studies/1.2/series/1.2.9/instances/1.2.3.4",
        "/studies/1.2/series/1.2.3/instances/1.2.3.9",
    ):
        assert (await web.get(f"{wrong}/frames/1")).status_code == 404


async def test_a_removed_instance_is_gone_at_once(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await put(kept, native(bytes(4), identified(description(1))))
    assert (await get(web)).status_code == 200
    assert (await get(web)).status_code == 200

    await archive.removals.remove(Selection(instances=("1.2.3.4",)))

    assert (await get(web)).status_code == 404


async def test_an_instance_whose_bytes_are_lost_is_unavailable(web, kept, archive) -> None:
    await put(kept, native(bytes(4), identified(description(1))))
    (ref,) = await kept.refs()
    archive.store.delete(ref.blob_key)

    assert (await get(web)).status_code == 503


async def test_a_large_frame_is_streamed(web, kept) -> None:
    content = np.random.default_rng(1).bytes(5_000_000)
    await put_frames(kept, [b"one_", content], JPEG)

    assert (await get(web, "2", "image/jpeg")).content == content
    ranged = await get(web, "2", "image/jpeg", range="bytes=2500000-2500009")
    assert ranged.content == content[2_500_000:2_500_010]


async def test_frames_of_a_deflated_data_set_are_found(web, kept) -> None:

    data = native(bytes(range(12)), identified(description(3)))
    await put(kept, zlib.compress(data, wbits=-15), "1.2.840.10008.1.2.1.99")

    assert [content for _, content in parts(await get(web, "3,1"))] == [
        bytes([8, 9, 10, 11]),
        bytes([0, 1, 2, 3]),
    ]


async def test_what_took_long_to_locate_is_kept_for_good(
    web: httpx.AsyncClient, kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.archive.frames.DEAR", 100)
    await put_frames(kept, [b"one_", b"two_"], JPEG)
    (ref,) = await kept.refs()

    await get(web, "1")
    archive.opened.drop([ref.blob_key])
    monkeypatch.setattr("isocenter.imaging.frames.locate", None)

    assert parts(await get(web, "2"))[0][1] == b"two_"


async def test_frames_seen_while_the_instance_came_in_need_not_be_located(
    web: httpx.AsyncClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [b"%06d" % number for number in range(9000)]
    await put_frames(kept, contents, JPEG)
    monkeypatch.setattr("isocenter.imaging.frames.locate", None)

    assert parts(await get(web, "8999"))[0][1] == contents[8998]


async def test_instances_stay_open_only_as_many_as_may(
    web: httpx.AsyncClient, kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocenter.archive.frames.MOST_OPEN", 3)
    for number in range(10):
        uid = f"1.2.3.{number}"
        await put(kept, native(bytes(4), identified(description(1), uid)), instance=uid)

    for number in range(10):
        answer = await web.get(f"/studies/1.2/series/1.2.3/instances/1.2.3.{number}/frames/1")
        assert answer.status_code == 200

    assert len(archive.opened._open) == 3


async def test_answers_made_at_the_same_time_are_each_their_own(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await put(kept, native(bytes(range(12)), identified(description(3))))
    for number in "123":
        await get(web, number)  # from now on they are at hand

    answers = await asyncio.gather(*(get(web, number) for number in "123"))

    assert [parts(answer)[0][1] for answer in answers] == [
        bytes(range(4)),
        bytes(range(4, 8)),
        bytes(range(8, 12)),
    ]
