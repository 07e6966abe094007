"""Metadata and bulk data that come apart, put together again (PS3.18 8.6.1.2, 10.5.1.4)."""

import copy
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from isocenter.archive.archive import Archive
from isocenter.dicom import xml_model
from isocenter.storage.records import Selection
from made_instances import image

BOUNDARY = "a-boundary"
JSON, XML, OCTETS = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
Part = tuple[dict[str, str], bytes]


def taken_apart(dataset: Dataset, threshold: int = 64) -> tuple[dict[str, Any], list[Part]]:
    """What pydicom makes of a data set, and the bulk data it leaves out."""
    parts: list[Part] = []

    def handler(element: DataElement) -> str:
        uri = f"bulk/{len(parts)}"
        parts.append(({"Content-Type": OCTETS, "Content-Location": uri}, bytes(element.value)))
        return uri

    return dataset.to_json_dict(threshold, handler), parts


def as_json(*metadata: Any) -> Part:
    return {"Content-Type": JSON}, json.dumps(list(metadata)).encode()


def as_xml(metadata: Any) -> Part:
    return {"Content-Type": XML}, b"".join(xml_model.write(metadata))


def body(parts: Iterable[Part]) -> bytes:
    written = b""
    for headers, content in parts:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        written += f"--{BOUNDARY}\r\n{head}\r\n".encode() + content + b"\r\n"
    return written + f"--{BOUNDARY}--\r\n".encode()


async def post(web: httpx.AsyncClient, *parts: Part, kind: str = JSON) -> httpx.Response:
    content_type = f'multipart/related; type="{kind}"; boundary={BOUNDARY}'
    return await web.post("/studies", content=body(parts), headers={"Content-Type": content_type})


async def kept_file(archive: Archive, uid: str) -> Dataset:
    """What is kept of an instance, read by pydicom."""
    async for (ref,) in archive.instances(Selection(instances=(uid,))):
        blob = archive.store.open(ref.blob_key)
        return pydicom.dcmread(io.BytesIO(blob.window(0, blob.size)))
    raise AssertionError(f"{uid} is not there")


def failures(response: httpx.Response) -> list[int]:
    module = Dataset.from_json(response.text)
    return [item.FailureReason for item in module.get("FailedSOPSequence", ())]


@pytest.mark.parametrize("kind", [JSON, XML])
async def test_what_was_taken_apart_is_whole_again(
    web: httpx.AsyncClient, archive: Archive, kind: str
) -> None:
    original = image("1.1", PixelData=bytes(range(256)) * 40, Rows=64, Columns=80)
    metadata, bulk = taken_apart(original)
    first = as_json(metadata) if kind == JSON else as_xml(metadata)

    response = await post(web, first, *bulk, kind=kind)

    assert response.status_code == 200, response.text
    kept = await kept_file(archive, "1.1")
    assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    kept.pop("SpecificCharacterSet", None)
    assert {element.tag: element.value for element in kept} == {
        element.tag: element.value for element in original
    }


async def test_large_bulk_data_passes_through_scratch(
    web: httpx.AsyncClient, archive: Archive, tmp_path: Path
) -> None:
    pixels = bytes(range(256)) * 20_000
    metadata, bulk = taken_apart(image("1.1", PixelData=pixels))

    response = await post(web, as_json(metadata), *bulk)

    assert response.status_code == 200
    assert (await kept_file(archive, "1.1")).PixelData == pixels
    assert not list((tmp_path / "data").rglob("*.part"))


async def test_several_instances_share_a_request(web: httpx.AsyncClient, archive: Archive) -> None:
    apart = [taken_apart(image(f"1.{n}", PixelData=bytes([n]) * 100)) for n in (1, 2, 3)]
    bulk: list[Part] = []
    for number, (metadata, parts) in enumerate(apart):
        metadata["7FE00010"]["BulkDataURI"] = f"bulk/{number}"
        bulk.append(({"Content-Type": OCTETS, "Content-Location": f"bulk/{number}"}, parts[0][1]))

    # The last one's comes first: they may come in any order.
    response = await post(web, as_json(*(metadata for metadata, _ in apart)), *reversed(bulk))

    assert response.status_code == 200
    for n in (1, 2, 3):
        assert (await kept_file(archive, f"1.{n}")).PixelData == bytes([n]) * 100


async def test_in_xml_each_instance_is_a_part_of_its_own(
    web: httpx.AsyncClient, archive: Archive
) -> None:
    parts = [as_xml(image(f"1.{n}").to_json_dict()) for n in (1, 2)]

    response = await post(web, *parts, kind=XML)

    assert response.status_code == 200
    assert (await kept_file(archive, "1.2")).SOPInstanceUID == "1.2"


@pytest.mark.parametrize("kind", [JSON, XML])
async def test_metadata_without_bulk_data_needs_no_parts(
    web: httpx.AsyncClient, archive: Archive, kind: str
) -> None:
    _, content = (as_json if kind == JSON else as_xml)(image("1.1").to_json_dict())

    response = await web.post("/studies", content=content, headers={"Content-Type": kind})

    assert response.status_code == 200
    assert (await kept_file(archive, "1.1")).PatientName == "Doe^Jane"


@pytest.mark.parametrize(
    ("named", "located"),
    [
        ("http://archive/bulk/1", "/bulk/1"),
        ("bulk/1", "http://archive/bulk/1"),
        ("urn:uuid:8a6b", "8a6b"),
        ("http://[", "http://["),
    ],
)
async def test_relative_and_absolute_names_meet(
    web: httpx.AsyncClient, named: str, located: str
) -> None:
    metadata, ((headers, content),) = taken_apart(image("1.1", PixelData=bytes(100)))
    metadata["7FE00010"]["BulkDataURI"] = named

    response = await post(
        web, as_json(metadata), ({**headers, "Content-Location": located}, content)
    )

    assert response.status_code == 200, response.text


COMPRESSED = [
    ("SC_rgb_jpeg_gdcm.dcm", "image/jpeg"),
    ("JPGExtended.dcm", "image/jpeg"),
    ("MR_small_jpeg_ls_lossless.dcm", "image/jls"),
    ("MR_small_jp2klossless.dcm", "image/jp2"),
    ("MR_small_RLE.dcm", "image/dicom-rle"),
    ("SC_rgb_rle_2frame.dcm", "image/dicom-rle"),
]
DESCRIPTION = (
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def compressed(name: str, kind: str) -> tuple[Dataset, dict[str, Any], list[Part]]:
    original = pydicom.dcmread(str(get_testdata_file(name)))
    count = int(original.get("NumberOfFrames", 1))
    frames = generate_frames(original.PixelData, number_of_frames=count)
    bare = copy.deepcopy(original)
    del bare.PixelData
    metadata = bare.to_json_dict()
    metadata["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    location = {"Content-Type": kind, "Content-Location": "pixels"}
    return original, metadata, [(location, frame) for frame in frames]


@pytest.mark.parametrize(("name", "kind"), COMPRESSED)
async def test_compressed_frames_are_encapsulated_as_they_came(
    web: httpx.AsyncClient, archive: Archive, name: str, kind: str
) -> None:
    original, metadata, frames = compressed(name, kind)

    response = await post(web, as_json(metadata), *frames)

    assert response.status_code == 200, response.text
    kept = await kept_file(archive, original.SOPInstanceUID)
    assert kept.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
    assert kept["PixelData"].VR == "OB"
    again = list(generate_frames(kept.PixelData, number_of_frames=len(frames)))
    assert [each.rstrip(b"\0") for each in again] == [frame.rstrip(b"\0") for _, frame in frames]


@pytest.mark.parametrize(("name", "kind"), COMPRESSED[:4])
async def test_what_describes_pixels_is_drawn_from_the_stream(
    web: httpx.AsyncClient, archive: Archive, name: str, kind: str
) -> None:
    original, metadata, frames = compressed(name, kind)
    for key in [key for key in metadata if key.startswith("0028")]:
        del metadata[key]

    response = await post(web, as_json(metadata), *frames)

    assert response.status_code == 200, response.text
    kept = await kept_file(archive, original.SOPInstanceUID)
    told = [kept[keyword].value for keyword in DESCRIPTION[:4]]
    assert told == [original[keyword].value for keyword in DESCRIPTION[:4]]
    assert all(keyword in kept for keyword in (*DESCRIPTION, "PhotometricInterpretation"))


async def test_the_transfer_syntax_that_is_named_counts(
    web: httpx.AsyncClient, archive: Archive
) -> None:
    original, metadata, ((headers, frame),) = compressed(*COMPRESSED[3])
    headers["Content-Type"] += "; transfer-syntax=1.2.840.10008.1.2.4.91"

    await post(web, as_json(metadata), (headers, frame))

    kept = await kept_file(archive, original.SOPInstanceUID)
    assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.91"


async def test_file_meta_information_among_the_metadata_does_no_harm(
    web: httpx.AsyncClient, archive: Archive
) -> None:
    metadata = image("1.1").to_json_dict()
    metadata["00020010"] = {"vr": "UI", "Value": ["1.2.840.10008.1.2.4.50"]}
    metadata["00020002"] = {"vr": "UI", "Value": ["1.2.3"]}

    response = await post(web, as_json(metadata))

    assert response.status_code == 200, response.text


async def test_a_document_is_bulk_data_whatever_its_media_type(
    web: httpx.AsyncClient, archive: Archive
) -> None:
    dataset = image("1.1", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.2")
    del dataset.PixelData
    metadata = dataset.to_json_dict()
    metadata["00420011"] = {"vr": "OB", "BulkDataURI": "document"}
    document = b"<ClinicalDocument/>"

    response = await post(
        web,
        as_json(metadata),
        ({"Content-Type": "text/xml", "Content-Location": "document"}, document),
    )

    assert response.status_code == 200, response.text
    assert (await kept_file(archive, "1.1")).EncapsulatedDocument.rstrip(b"\0") == document


async def test_bulk_data_that_did_not_come_fails_its_instance_alone(
    web: httpx.AsyncClient,
) -> None:
    metadata, _ = taken_apart(image("1.1", PixelData=bytes(100)))

    response = await post(web, as_json(metadata, image("1.2").to_json_dict()))

    assert response.status_code == 202
    assert failures(response) == [0xC000]
    (failed,) = Dataset.from_json(response.text).FailedSOPSequence
    assert failed.ReferencedSOPInstanceUID == "1.1"


async def test_a_uid_too_long_to_be_written_fails_its_instance_alone(
    web: httpx.AsyncClient,
) -> None:
    metadata, _ = taken_apart(image("1.1"), threshold=1 << 20)
    longest = copy.deepcopy(metadata)
    longest["00080018"]["Value"] = ["1" * 70_000]  # a UI has a length of 16 bits (PS3.5 7.1.2)

    response = await post(web, as_json(longest, metadata))

    assert response.status_code == 202
    assert failures(response) == [0xC000]


async def test_bulk_data_that_nobody_refers_to_is_told(web: httpx.AsyncClient) -> None:
    stray = ({"Content-Type": OCTETS, "Content-Location": "nowhere"}, b"1234")

    response = await post(web, as_json(image("1.1").to_json_dict()), stray)

    assert response.status_code == 202
    assert len(Dataset.from_json(response.text).OtherFailuresSequence) == 1


@pytest.mark.parametrize("kind", ["image/png", "image/gif"])
async def test_what_would_have_to_be_decoded_is_refused(web: httpx.AsyncClient, kind: str) -> None:
    _, metadata, ((headers, _),) = compressed(*COMPRESSED[0])

    response = await post(web, as_json(metadata), ({**headers, "Content-Type": kind}, b"\x89PNG"))

    assert response.status_code == 409
    assert failures(response) == [0xC122]


async def test_frames_that_are_too_few_are_refused(web: httpx.AsyncClient) -> None:
    _, metadata, frames = compressed(*COMPRESSED[5])

    response = await post(web, as_json(metadata), frames[0])

    assert response.status_code == 400
    assert failures(response) == [0xC000]


def _changed(**attributes: Any) -> dict[str, Any]:
    metadata = image("1.1").to_json_dict()
    metadata.update({key[1:]: value for key, value in attributes.items()})
    return metadata


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([], 400),
        ([({"Content-Type": JSON}, b"")], 400),
        ([({"Content-Type": JSON}, b"{")], 400),
        ([({"Content-Type": JSON}, b"[1]")], 400),
        ([({"Content-Type": JSON}, b"[]")], 400),
        ([({"Content-Type": OCTETS, "Content-Location": "x"}, b"1")], 400),
        ([as_json({}), ({"Content-Type": OCTETS}, b"1")], 400),
        ([as_json({})], 409),
        ([as_json(_changed(_00100010={"vr": "PN", "Value": 3}))], 400),
        ([as_json(_changed(_00080060={"vr": "XX", "Value": ["CT"]}))], 400),
        ([as_json(_changed(_7FE00010={"vr": "OW", "BulkDataURI": 3}))], 400),
        ([as_json(_changed(_7FE00010={"vr": "OW", "InlineBinary": "?"}))], 400),
        ([as_json(_changed(_0020000D=None))], 400),
        ([({"Content-Type": XML}, b"<a/>")], 400),
        ([({"Content-Type": JSON, "Content-Transfer-Encoding": "base64"}, b"e30=")], 400),
    ],
)
async def test_nonsense_is_refused(web: httpx.AsyncClient, parts: list[Part], status: int) -> None:
    response = await post(web, *parts)

    assert response.status_code == status, response.text


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
)
TAGS = st.sampled_from(["00080016", "00080018", "0020000D", "7FE00010", "00081140", "00100010"])
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "vr": st.sampled_from(["UI", "SQ", "OW", "PN", "US", "xx"]) | LEAVES,
        "Value": st.lists(LEAVES, max_size=2) | LEAVES,
        "BulkDataURI": st.sampled_from(["bulk/0", "none"]) | LEAVES,
        "InlineBinary": LEAVES,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(changes=st.dictionaries(TAGS, MEMBERS | LEAVES, max_size=4))
async def test_whatever_the_metadata_says_it_is_answered(
    web: httpx.AsyncClient, changes: dict[str, Any]
) -> None:
    metadata = image("1.1").to_json_dict() | changes
    bulk = ({"Content-Type": "image/jpeg", "Content-Location": "bulk/0"}, b"\xff\xd8\xff\xd9")

    response = await post(web, as_json(metadata), bulk)

    assert response.status_code in (200, 202, 400, 409)
