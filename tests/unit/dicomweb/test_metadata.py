"""Retrieving metadata (PS3.18 10.4): what is in it, in which media type, compressed, again."""

from __future__ import annotations

import gzip
import json
import warnings
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pydicom
import pydicom.data
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import HangingProtocolStorage

from instances import data_set_start
from isocenter.archive.archive import Archive
from isocenter.config import DicomwebConfig
from isocenter.storage.attributes import NON_PATIENT_STUDY
from isocenter.storage.records import Selection
from made_instances import EXPLICIT, Kept, encoded, image
from made_videos import H264, store as store_video, video
from multiparts import parts

STUDY = "/studies/1.2"
SERIES = f"{STUDY}/series/1.2.3"
INSTANCE = f"{SERIES}/instances/1.2.3.4"
JSON = "application/dicom+json"
XML = 'multipart/related; type="application/dicom+xml"'
UIDS = {"00080016", "00080018", "0020000D", "0020000E"}
# Without the UIDs or the meta information that an archive goes by; cut short; of a number that
# pydicom cannot read; and those in big endian, of which pydicom leaves the binary values as such.
LEFT_OUT = {
    *("ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "JPEGLSNearLossless_08.dcm"),
    *("JPEGLSNearLossless_16.dcm", "SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm"),
    *("UN_sequence.dcm", "empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "no_meta.dcm"),
    *("nested_priv_SQ.dcm", "no_meta_group_length.dcm", "priv_SQ.dcm", "rtstruct.dcm"),
    *("MR_truncated.dcm", "rtplan_truncated.dcm", "badVR.dcm"),
    *("ExplVR_BigEnd.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "rtdose_expb.dcm"),
    *("SC_rgb_small_odd_big_endian.dcm", "liver_expb_1frame.dcm", "rtdose_expb_1frame.dcm"),
}
FILES = sorted(
    Path(path)
    for path in pydicom.data.get_testdata_files("*.dcm")
    if Path(path).is_relative_to(Path(pydicom.__file__).parent) and Path(path).name not in LEFT_OUT
)


def by_pydicom(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def model_of(dataset: Dataset) -> dict[str, Any]:
    """The model as pydicom has it, with all that is binary inline."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = dataset.to_json_dict(1 << 40, lambda _: "")
    # Group lengths are no part of it (PS3.18 F.2.2); what text there is, is UTF-8 now.
    return {tag: value for tag, value in found.items() if tag[4:] != "0000" and tag != "00080005"}


def alike(tag: str, ours: dict[str, Any]) -> tuple[set[str], ...]:
    """VRs that may stand for each other: pydicom mends that of compressed pixels (PS3.5 A.4)."""
    return ({ours["vr"]}, {"OB", "OW"}) if tag == "7FE00010" else ({ours["vr"]},)


def differences(ours: dict[str, Any], theirs: dict[str, Any], bulk: str) -> Iterator[str]:
    """Tell where models differ; ``bulk`` is where bulk data should be."""
    for tag in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(tag), theirs.get(tag)
        if mine == other or tag == "00080005":
            continue
        if mine is None or other is None or {mine["vr"], other["vr"]} not in alike(tag, mine):
            yield f"{tag}: {mine} is not {other}"
        elif mine["vr"] == "SQ":
            pairs = zip(mine.get("Value", ()), other.get("Value", ()), strict=True)
            for number, (one, another) in enumerate(pairs):
                yield from differences(one, another, f"{bulk}/{tag}/{number}")
        elif "BulkDataURI" in mine:
            size = len(b64decode(other["InlineBinary"]))
            if mine["BulkDataURI"] != f"{bulk}/{tag}" or (size <= 1024 and tag != "7FE00010"):
                yield f"{tag}: {size} bytes are at {mine}"
        # pydicom leaves the padding of all values but the last (PS3.5 6.2), and "" for no value.
        elif mine.get("Value") != [
            (each.strip() or None) if isinstance(each, str) else each for each in other["Value"]
        ]:
            yield f"{tag}: {mine} is not {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_metadata_is_what_pydicom_makes_of_the_file(
    path: Path, web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    data = path.read_bytes()
    dataset = by_pydicom(path)
    uids = [str(dataset.SOPInstanceUID), str(dataset.StudyInstanceUID)]
    reception = kept.begin(
        data[data_set_start(BytesIO(data)) :],
        syntax=str(dataset.file_meta.TransferSyntaxUID),
        sop_class=str(dataset.SOPClassUID),
        sop_instance=uids[0],
    )
    await reception.finish()
    (ref,) = await kept.refs(uids[1])
    address = f"/studies/{uids[1]}/series/{ref.series_instance_uid}/instances/{uids[0]}"

    answers = [
        await web.get(f"{address[: address.index(level)]}{level}{below}/metadata")
        for level, below in (
            ("/instances/", uids[0]),
            ("/series/", ref.series_instance_uid),
            ("/studies/", uids[1]),
        )
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    models = [answer.json() for answer in answers]
    assert models[0] == models[1] == models[2]
    bulk = f"http://archive{address}/bulkdata"
    assert list(differences(models[0][0], model_of(dataset), bulk)) == []


async def test_the_default_is_json(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    for accepted, told in (
        (None, JSON),
        ("*/*", JSON),
        (JSON, JSON),
        ("application/json", "application/json"),
        (f"{XML};q=0.5, {JSON}", JSON),
    ):
        headers = {} if accepted is None else {"accept": accepted}
        answer = await web.get(f"{SERIES}/metadata", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == told
        assert answer.json()[0]["00100020"] == {"vr": "LO", "Value": ["P1"]}
        assert "accept-encoding" in answer.headers["vary"]


@pytest.mark.parametrize("accepted", ["application/dicom", "image/jpeg", "application/dicom+xml"])
async def test_other_media_types_are_not_acceptable(
    web: httpx.AsyncClient, kept: Kept, accepted: str
) -> None:
    await kept.store(image())

    answer = await web.get(f"{STUDY}/metadata", headers={"accept": accepted})

    assert answer.status_code == 406
    assert JSON in answer.json()["detail"]


@pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE])
async def test_xml_has_a_part_for_each_instance(
    web: httpx.AsyncClient, kept: Kept, path: str
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])

    answer = await web.get(f"{path}/metadata", headers={"accept": XML})

    assert answer.status_code == 200
    found = parts(answer)
    assert [part.headers["content-type"] for part in found] == ["application/dicom+xml"] * len(
        found
    )
    names = [
        element.findtext("{*}PersonName/{*}Alphabetic/{*}FamilyName")
        for part in found
        for element in ElementTree.fromstring(part.content).iterfind("*[@tag='00100010']")
    ]
    assert names == ["Doe"] * (1 if path == INSTANCE else 2)
    again = await web.get(f"{path}/metadata", params={"accept": XML})
    assert again.content == answer.content


async def test_what_is_not_there_is_not_found(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    for path in (
        "/studies/1.3",
        "/studies/1.3/series/1.2.3",
        "/studies/1.2/series/1.3",
        f"{SERIES}/instances/9",
        "/studies/1.2/series/1.9/instances/1.2.3.4",
        f"/studies/{NON_PATIENT_STUDY}" if NON_PATIENT_STUDY else "/studies/9",
    ):
        answer = await web.get(f"{path}/metadata")
        assert answer.status_code in (400, 404), path
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await web.get("/studies/1.3/metadata")).status_code == 404


async def test_bulk_data_is_named_by_the_address_that_was_asked(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image(PixelData=bytes(2000)))

    for host in ("archive", "pacs.example:8443", "archive"):
        for _ in range(2):
            answer = await web.get(f"{SERIES}/metadata", headers={"host": host})
            assert answer.json()[0]["7FE00010"] == {
                "vr": "OW",
                "BulkDataURI": f"http://{host}{INSTANCE}/bulkdata/7FE00010",
            }


@pytest.fixture
def limits(request: pytest.FixtureRequest) -> DicomwebConfig:
    return DicomwebConfig(**getattr(request, "param", {}))


@pytest.mark.parametrize(
    ("limits", "name"),
    [({"inline_size": 2000}, "InlineBinary"), ({"inline_size": 1999}, "BulkDataURI")],
    indirect=["limits"],
)
async def test_the_settings_say_what_is_written_inline(
    web: httpx.AsyncClient, kept: Kept, name: str
) -> None:
    await kept.store(image(PixelData=bytes(2000)))

    answer = await web.get(f"{SERIES}/metadata")

    assert answer.json()[0]["7FE00010"].keys() == {"vr", name}


@pytest.mark.parametrize(
    ("asked", "is_gzip"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", True),
        ("*", True),
        ("GZIP", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, *", False),
        ("identity", False),
        ("", False),
        ("deflate", False),
    ],
)
async def test_it_is_compressed_for_who_takes_gzip(
    web: httpx.AsyncClient, kept: Kept, asked: str, is_gzip: bool
) -> None:
    await kept.store_all(f"1.{number}" for number in range(20))

    for path in (STUDY, SERIES, f"{SERIES}/instances/1.7"):
        async with web.stream(
            "GET", f"{path}/metadata", headers={"accept-encoding": asked}
        ) as answer:
            raw = b"".join([piece async for piece in answer.aiter_raw()])
        assert answer.headers.get("content-encoding") == ("gzip" if is_gzip else None)
        assert int(answer.headers["content-length"]) == len(raw)
        found = json.loads(gzip.decompress(raw) if is_gzip else raw)
        assert len(found) == (1 if "instances" in path else 20)


@pytest.mark.parametrize("path", [STUDY, SERIES, INSTANCE])
async def test_who_has_it_already_is_told_so(web: httpx.AsyncClient, kept: Kept, path: str) -> None:
    await kept.store(image())
    url = f"{path}/metadata"
    seen = set()
    for headers in ({"accept-encoding": "gzip"}, {"accept-encoding": "identity"}, {"accept": XML}):
        first = await web.get(url, headers=headers)
        seen.add(first.headers["etag"])
        again = await web.get(url, headers={**headers, "if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        # What is compressed on its way out has a weak tag.
        assert again.headers["etag"] == first.headers["etag"].removeprefix("W/")
    assert len(seen) == 3

    other = await web.get(url, headers={"if-none-match": '"other"'})
    refused = await web.get(url, headers={"if-match": '"other"'})
    await kept.archive.removals.remove(Selection(studies=("1.2",)))
    gone = await web.get(url, headers={"if-none-match": other.headers["etag"]})

    assert (other.status_code, refused.status_code, gone.status_code) == (200, 412, 404)


async def test_an_instance_more_is_another_answer(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())
    first = await web.get(f"{SERIES}/metadata")
    await kept.store(image("1.2.3.5"))

    second = await web.get(f"{SERIES}/metadata", headers={"if-none-match": first.headers["etag"]})

    assert second.status_code == 200
    assert len(second.json()) == 2


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("includefield=PatientName", {"00100010"}),
        ("includefield=00100010,Modality", {"00100010", "00080060"}),
        ("includefield=PatientName&includefield=00080060", {"00100010", "00080060"}),
        ("includefield=ReferencedStudySequence.ReferencedSOPClassUID", set()),
        ("includefield=PatientComments", set()),
    ],
)
async def test_some_attributes_only(
    web: httpx.AsyncClient, kept: Kept, query: str, expected: set[str]
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])

    for path in (STUDY, INSTANCE):
        answer = await web.get(f"{path}/metadata?{query}")
        assert answer.status_code == 200
        assert [each.keys() for each in answer.json()] == [UIDS | expected] * len(answer.json())
    in_xml = await web.get(f"{STUDY}/metadata?{query}", headers={"accept": XML})
    tags = {each.get("tag") for each in ElementTree.fromstring(parts(in_xml)[0].content)}
    assert tags == UIDS | expected


@pytest.mark.parametrize("query", ["", "?includefield=all", "?charset=utf-8", "?other=1"])
async def test_all_attributes(web: httpx.AsyncClient, kept: Kept, query: str) -> None:
    await kept.store(image())

    answer = await web.get(f"{SERIES}/metadata{query}")

    assert len(answer.json()[0]) == len(image())


async def test_an_attribute_nobody_knows_is_refused(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    answer = await web.get(f"{SERIES}/metadata?includefield=Nonsense")

    assert answer.status_code == 400
    assert "Nonsense" in answer.json()["detail"]


async def test_what_cannot_be_read_is_left_out_with_a_warning(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5", "1.2.3.6"])
    refs = await kept.refs()
    Path(archive.store.path(refs[1].blob_key)).unlink()

    for accepted in (JSON, XML):
        answer = await web.get(f"{SERIES}/metadata", headers={"accept": accepted})
        assert answer.status_code == 206
        assert "1 instances" in answer.headers["warning"]
        assert "etag" not in answer.headers
        assert b"1.2.3.6" in answer.content
        assert b"1.2.3.5" not in answer.content
    alone = await web.get(f"{SERIES}/instances/1.2.3.5/metadata")
    assert alone.status_code == 503


async def test_compressed_pixel_data_is_bulk_data(web: httpx.AsyncClient, kept: Kept) -> None:
    dataset = image()
    del dataset[0x7FE00010]
    pixels = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\0\0\0\0"
    pixels += b"\xfe\xff\x00\xe0\4\0\0\0\xff\xd8\xff\xd9\xfe\xff\xdd\xe0\0\0\0\0"
    await kept.begin(encoded(dataset) + pixels, syntax="1.2.840.10008.1.2.4.50").finish()

    answer = await web.get(f"{SERIES}/metadata")

    assert answer.json()[0]["7FE00010"] == {
        "vr": "OB",
        "BulkDataURI": f"http://archive{INSTANCE}/bulkdata/7FE00010",
    }


async def test_head_tells_without_giving(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    get = await web.get(f"{SERIES}/metadata")
    head = await web.head(f"{SERIES}/metadata")

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == get.headers


async def test_instances_of_no_patient_have_metadata_too(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    protocol = image(
        SOPClassUID=HangingProtocolStorage,
        StudyInstanceUID=None,
        SeriesInstanceUID=None,
        PatientID=None,
        PatientName=None,
        PixelData=bytes(5000),
    )
    data = encoded(protocol)
    await kept.begin(data, syntax=EXPLICIT, sop_class=HangingProtocolStorage).finish()

    answer = await web.get("/hanging-protocols/1.2.3.4", headers={"accept": JSON})
    in_xml = await web.get("/hanging-protocols/1.2.3.4", headers={"accept": XML})
    as_file = await web.get("/hanging-protocols/1.2.3.4", headers={"accept": "application/dicom"})

    assert answer.json()[0]["00080016"]["Value"] == [HangingProtocolStorage]
    assert "InlineBinary" in answer.json()[0]["7FE00010"]
    assert len(parts(in_xml)) == 1
    assert as_file.headers["content-type"].startswith("application/dicom")


async def test_only_a_video_says_its_transfer_syntax(web: httpx.AsyncClient, kept: Kept) -> None:
    await store_video(kept, video(b"of no matter", SOPInstanceUID="1.2.3.4"))
    await kept.store(image("1.2.3.5"))

    answer = await web.get("/studies/1.2/metadata")

    told = {each["00080018"]["Value"][0]: each for each in answer.json()}
    assert told["1.2.3.4"]["00083002"] == {"vr": "UI", "Value": [H264]}
    assert list(told["1.2.3.4"]) == sorted(told["1.2.3.4"])
    assert "00083002" not in told["1.2.3.5"]
