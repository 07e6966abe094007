"""STOW-RS: what becomes of what is sent (PS3.18 10.5, annex I)."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.dataset import Dataset

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.dicom.layout import Limits
from isocenter.dicom.part10 import header
from isocenter.dicomweb import routing
from isocenter.storage.blobs import StorageFull
from isocenter.web import bodies
from made_instances import CT, Kept, encoded, image, part10

BOUNDARY = "a-boundary"
MULTIPART = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
PALETTE = "1.2.840.10008.5.1.4.39.1"
HANGING = "1.2.840.10008.5.1.4.38.1"
PRINT = "1.2.840.10008.5.1.1.9"


def body(*files: bytes, kind: str = "application/dicom", end: bytes = b"--") -> bytes:
    """As RFC 2046 5.1 writes it."""
    head = f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode()
    return b"".join(head + file + b"\r\n" for file in files) + f"--{BOUNDARY}".encode() + end


async def post(
    web: httpx.AsyncClient, content: Any, path: str = "/studies", **headers: str
) -> httpx.Response:
    sent = {"Content-Type": MULTIPART}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return await web.post(path, content=content, headers=sent)


def module(response: httpx.Response) -> Dataset:
    """The payload, read by pydicom."""
    assert response.headers["content-type"] == "application/dicom+json"
    return Dataset.from_json(response.text)


def reasons(response: httpx.Response) -> list[int]:
    return [item.FailureReason for item in module(response).get("FailedSOPSequence", ())]


def palette(uid: str = "1.2.3.4") -> bytes:
    without = dict.fromkeys(
        ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "StudyDate"), None
    )
    return part10(image(uid, SOPClassUID=PALETTE, **without))


async def test_instances_are_stored_and_each_says_where_it_is(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    response = await post(web, body(part10(image("1.1")), part10(image("1.3"))))

    answer = module(response)
    assert response.status_code == 200
    assert answer.RetrieveURL == "http://archive/studies/1.2"
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        "1.1",
        "1.3",
    ]
    first = answer.ReferencedSOPSequence[0]
    assert first.ReferencedSOPClassUID == CT
    assert first.RetrieveURL == "http://archive/studies/1.2/series/1.2.3/instances/1.1"
    assert "WarningReason" not in first
    assert "FailedSOPSequence" not in answer
    assert "OtherFailuresSequence" not in answer
    assert response.headers["location"] == "http://archive/studies/1.2"
    assert {ref.sop_instance_uid for ref in await kept.refs()} == {"1.1", "1.3"}


async def test_a_single_part_is_taken_as_well(web: httpx.AsyncClient, kept: Kept) -> None:
    response = await post(web, part10(image("1.1")), Content_Type="application/dicom")

    assert response.status_code == 200
    assert response.headers["location"].endswith("/studies/1.2/series/1.2.3/instances/1.1")
    assert len(await kept.refs()) == 1


@pytest.mark.parametrize("size", [1, 10, 1000])
async def test_however_the_body_is_cut_the_same_is_stored(
    web: httpx.AsyncClient, kept: Kept, size: int
) -> None:
    sent = body(part10(image("1.1")), part10(image("1.3", StudyInstanceUID="1.2")))

    async def cut() -> AsyncIterator[bytes]:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    response = await post(web, cut())

    assert response.status_code == 200
    assert len(await kept.refs()) == 2


async def test_instances_of_several_studies_have_no_url_in_common(web: httpx.AsyncClient) -> None:
    other = part10(image("1.3", StudyInstanceUID="1.9"))

    response = await post(web, body(part10(image("1.1")), other))

    assert response.status_code == 200
    assert module(response)["RetrieveURL"].value in ("", None)
    assert "location" not in response.headers


async def test_some_that_fail_leave_the_others_alone(web: httpx.AsyncClient, kept: Kept) -> None:
    response = await post(
        web,
        body(
            part10(image("1.1"))[:-4],
            b"no instance at all, but a text of some length, so that nobody takes it for one",
            part10(image("1.2.9")),
            part10(image("1.3", SOPClassUID=PRINT)),
            header(CT, "1.4", "1.2.3.4.5") + encoded(image("1.4")),
        ),
    )

    answer = module(response)
    assert response.status_code == 202
    assert [
        (item.ReferencedSOPInstanceUID, item.FailureReason) for item in answer.FailedSOPSequence
    ] == [("1.1", 0xC000), ("1.3", 0x0122), ("1.4", 0xC122)]
    assert [item.FailureReason for item in answer.OtherFailuresSequence] == [0xC000]
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == ["1.2.9"]
    assert any("0122" in each for each in response.headers.get_list("warning"))
    assert [ref.sop_instance_uid for ref in await kept.refs()] == ["1.2.9"]


async def test_another_study_than_the_paths_is_a_conflict(web: httpx.AsyncClient) -> None:
    response = await post(web, body(part10(image("1.1"))), "/studies/1.9")

    assert response.status_code == 409
    assert reasons(response) == [0xA900]


async def test_the_study_in_the_path_is_taken(web: httpx.AsyncClient) -> None:
    response = await post(web, body(part10(image("1.1"))), "/studies/1.2")

    assert response.status_code == 200


async def test_the_same_again_is_no_warning_and_something_else_is(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await post(web, body(part10(image("1.1"))))

    again = await post(web, body(part10(image("1.1"))))
    other = await post(web, body(part10(image("1.1", PatientName="Other"))))

    assert again.status_code == 200
    assert other.status_code == 202
    assert module(other).ReferencedSOPSequence[0].WarningReason == 0xB00E
    assert len(await kept.refs()) == 1


async def test_an_instance_of_another_patient_under_a_uid_that_is_taken_is_refused(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await post(web, body(part10(image("1.1", PatientID="P1"))))

    other = await post(web, body(part10(image("1.1", PatientID="P2"))))

    assert other.status_code == 409  # PS3.18 Table 10.5.3-1: none was stored
    assert reasons(other) == [0x0111]
    assert "ReferencedSOPSequence" not in module(other)


async def test_something_else_is_refused_where_that_is_the_policy(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "strict", ArchiveConfig(on_conflict="reject"))
    transport = httpx.ASGITransport(routing.application(archive, Config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as web:
        await post(web, body(part10(image("1.1"))))

        response = await post(web, body(part10(image("1.1", PatientName="Other"))))

    await archive.close()
    assert response.status_code == 409
    assert reasons(response) == [0x0111]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no multipart",
        b"--" + BOUNDARY.encode() + b"--\r\n",
        body(part10(image()))[:-20],
        body(part10(image()), end=b""),
        b"--" + BOUNDARY.encode() + b"\r\nnonsense\r\n\r\n\r\n--" + BOUNDARY.encode() + b"--",
    ],
)
async def test_a_body_that_cannot_be_read_is_a_bad_request(
    web: httpx.AsyncClient, content: bytes
) -> None:
    response = await post(web, content)

    stored = "ReferencedSOPSequence" if response.status_code == 202 else None
    if stored is None:
        assert response.status_code == 400
    else:  # whole parts before the fault stay, and are told
        assert len(module(response)[stored].value) == 1


async def test_what_was_whole_before_the_body_breaks_stays(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    whole = body(part10(image("1.1")), part10(image("1.3", PixelData=bytes(100_000))))

    response = await post(web, whole[:-50_000])

    answer = module(response)
    assert response.status_code == 202
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == ["1.1"]
    assert [item.ReferencedSOPInstanceUID for item in answer.FailedSOPSequence] == ["1.3"]
    assert [ref.sop_instance_uid for ref in await kept.refs()] == ["1.1"]


async def test_who_leaves_midway_leaves_what_was_whole(
    archive: Archive, kept: Kept, tmp_path: Path
) -> None:
    whole = body(part10(image("1.1")), part10(image("1.3", PixelData=bytes(500_000))))
    sent = iter(
        [
            {"type": "http.request", "body": whole[:-100_000], "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> Any:
        return next(sent)

    async def send(_: Any) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/studies",
        "raw_path": b"/studies",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", MULTIPART.encode())],
    }
    await routing.application(archive, Config())(scope, receive, send)

    assert [ref.sop_instance_uid for ref in await kept.refs()] == ["1.1"]
    await archive.close()
    assert not list((tmp_path / "data").rglob("*.part"))


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 400),
        ("application/octet-stream", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ('multipart/related; type="image/jpeg"; boundary=x', 415),
        ('multipart/related; type="application/dicom"', 400),
        ("nonsense", 400),
    ],
)
async def test_other_media_types_are_refused_with_what_is_taken(
    web: httpx.AsyncClient, content_type: str, status: int
) -> None:
    response = await post(web, b"x", Content_Type=content_type)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert status != 415 or "application/dicom" in response.json()["detail"]


async def test_no_media_type_is_refused(web: httpx.AsyncClient) -> None:
    response = await web.post("/studies", content=b"x")

    assert response.status_code == 415


async def test_an_answer_that_cannot_be_given_is_refused_before_anything_is_stored(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    response = await post(web, body(part10(image("1.1"))), Accept="image/png")

    assert response.status_code == 406
    assert await kept.refs() == []


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_body_is_unpacked(
    web: httpx.AsyncClient, kept: Kept, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(body(part10(image("1.1", PixelData=bytes(3_000_000)))))

    response = await post(web, packed, Content_Encoding=coding)

    assert response.status_code == 200
    assert len(await kept.refs()) == 1


async def test_a_compressed_body_in_several_members_is_one(web: httpx.AsyncClient) -> None:
    whole = body(part10(image("1.1")))

    response = await post(
        web, gzip.compress(whole[:300]) + gzip.compress(whole[300:]), Content_Encoding="gzip"
    )

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("coding", "content", "status"),
    [
        ("gzip", b"nonsense", 400),
        ("gzip", gzip.compress(body(part10(image())))[:200], 400),
        ("br", b"x", 415),
    ],
)
async def test_a_broken_or_strange_compression_is_refused(
    web: httpx.AsyncClient, coding: str, content: bytes, status: int
) -> None:
    response = await post(web, content, Content_Encoding=coding)

    assert response.status_code == status


async def test_a_bomb_does_not_unfold(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DEFAULT_LIMITS", Limits(inflated_grace=1 << 20))

    response = await post(web, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")

    assert response.status_code == 400


class TestLimits:
    @pytest.fixture
    def limits(self) -> DicomwebConfig:
        return DicomwebConfig(max_store_size=1 << 20, max_store_parts=2)

    async def test_a_body_that_says_it_is_too_large_is_not_read(
        self, web: httpx.AsyncClient
    ) -> None:
        response = await post(web, body(part10(image(PixelData=bytes(2 << 20)))))

        assert response.status_code == 413
        assert response.headers["content-type"] == "application/problem+json"

    async def test_too_much_tells_what_was_stored_before(
        self, web: httpx.AsyncClient, kept: Kept
    ) -> None:
        whole = body(part10(image("1.1")), part10(image("1.3", PixelData=bytes(2 << 20))))

        async def cut() -> AsyncIterator[bytes]:
            for start in range(0, len(whole), 10_000):
                yield whole[start : start + 10_000]

        response = await post(web, cut())

        assert response.status_code == 413
        assert len(module(response).ReferencedSOPSequence) == 1
        assert [ref.sop_instance_uid for ref in await kept.refs()] == ["1.1"]

    async def test_too_many_parts_tell_what_was_stored_before(
        self, web: httpx.AsyncClient, kept: Kept
    ) -> None:
        response = await post(web, body(*(part10(image(f"1.{n}")) for n in range(5))))

        assert response.status_code == 413
        assert len(module(response).ReferencedSOPSequence) == 2


async def test_a_part_of_another_type_is_refused(web: httpx.AsyncClient) -> None:
    response = await post(web, body(part10(image()), kind="image/jpeg"))

    assert response.status_code == 400


async def test_parts_need_not_say_what_they_are(web: httpx.AsyncClient) -> None:
    sent = b"--%b\r\n\r\n%b\r\n--%b--" % (BOUNDARY.encode(), part10(image()), BOUNDARY.encode())

    assert (await post(web, sent)).status_code == 200


async def test_a_disk_that_is_full_is_told(
    web: httpx.AsyncClient, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> Any:
        raise StorageFull("storage: no space left")

    monkeypatch.setattr(archive.store, "begin", full)

    response = await post(web, body(part10(image("1.1")), part10(image("1.3"))))

    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert reasons(response) == [0xA700, 0xA700]


async def test_what_belongs_to_no_patient_has_a_resource_of_its_own(
    web: httpx.AsyncClient,
) -> None:
    many = await post(web, body(palette("1.5")), "/color-palettes")
    one = await post(web, palette("1.6"), "/color-palettes/1.6", Content_Type="application/dicom")

    assert (many.status_code, one.status_code) == (200, 200)
    assert one.headers["location"] == "http://archive/color-palettes/1.6"
    assert module(many).ReferencedSOPSequence[0].RetrieveURL == (
        "http://archive/color-palettes/1.5"
    )


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/hanging-protocols", palette()),
        ("/color-palettes/1.9", palette()),
        ("/color-palettes", part10(image())),
        ("/studies/1.2", palette()),
    ],
)
async def test_what_belongs_to_no_patient_goes_nowhere_else(
    web: httpx.AsyncClient, path: str, file: bytes
) -> None:
    response = await post(web, body(file), path)

    assert response.status_code == 409
    assert reasons(response) == [0xA900]


async def test_what_belongs_to_no_patient_is_told_its_place_wherever_it_comes(
    web: httpx.AsyncClient,
) -> None:
    response = await post(web, body(palette("1.5"), part10(image("1.1"))))

    urls = [item.RetrieveURL for item in module(response).ReferencedSOPSequence]
    assert response.status_code == 200
    assert urls == [
        "http://archive/color-palettes/1.5",
        "http://archive/studies/1.2/series/1.2.3/instances/1.1",
    ]


async def test_the_answer_is_xml_where_that_is_wanted(web: httpx.AsyncClient) -> None:
    sent = body(part10(image("1.1")), part10(image("1.3"))[:-4])

    response = await post(web, sent, Accept="application/dicom+xml")

    assert response.status_code == 202
    assert response.headers["content-type"] == "application/dicom+xml"
    told = ElementTree.fromstring(response.content)
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    assert {each.get("keyword") for each in told.findall(f"{space}DicomAttribute")} == {
        "RetrieveURL",
        "FailedSOPSequence",
        "ReferencedSOPSequence",
    }


async def test_of_several_that_belong_to_no_patient_one_is_enough(web: httpx.AsyncClient) -> None:
    response = await post(web, body(palette("1.5"), part10(image())), "/color-palettes")

    assert response.status_code == 200
    assert len(module(response).FailedSOPSequence) == 1


def _edits(length: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(0, length - 1), st.integers(0, 255)), max_size=8)


SENT = body(part10(image("1.1")), part10(image("1.3")))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(edits=_edits(len(SENT)), end=st.integers(0, len(SENT)))
async def test_whatever_comes_is_answered_and_never_by_an_error_of_ours(
    web: httpx.AsyncClient, edits: Iterable[tuple[int, int]], end: int
) -> None:
    sent = bytearray(SENT)
    for at, value in edits:
        sent[at] = value

    response = await post(web, bytes(sent[:end]))

    assert response.status_code in (200, 202, 400, 409)
