"""Retrieving instances (PS3.18 10.4): what is given, in which media type, whole or in part."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from struct import pack
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ColorPaletteStorage, HangingProtocolStorage

from isocenter.archive.archive import Archive
from isocenter.dicom import part10
from isocenter.dicomweb import targets, zipping
from isocenter.storage.attributes import NON_PATIENT_STUDY
from isocenter.storage.records import InstanceRef, Selection
from made_instances import EXPLICIT, JPEG, Kept, encoded, image
from multiparts import parts

IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
VIDEO = "1.2.840.10008.1.2.4.100"
RLE, JPEG_LS = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"
STUDY = "/studies/1.2"
SERIES = f"{STUDY}/series/1.2.3"
INSTANCE = f"{SERIES}/instances/1.2.3.4"
IN_PARTS = 'multipart/related; type="application/dicom"'


def accept(media_type: str, syntax: str | None = None) -> dict[str, str]:
    return {"accept": media_type + (f"; transfer-syntax={syntax}" if syntax else "")}


def file_of(archive: Archive, instance: InstanceRef) -> bytes:
    return Path(archive.store.path(instance.blob_key)).read_bytes()


async def store_in(kept: Kept, dataset: Dataset, syntax: str) -> bytes:
    """Keep ``dataset`` in a transfer syntax; return its bytes."""
    buffer = io.BytesIO()
    if syntax in (EXPLICIT, JPEG, VIDEO, DEFLATED):
        data = encoded(dataset)
        if syntax == DEFLATED:
            deflater = zlib.compressobj(wbits=-15)
            data = deflater.compress(data) + deflater.flush()
    else:
        dataset.save_as(buffer, implicit_vr=syntax == IMPLICIT, little_endian=syntax == IMPLICIT)
        data = buffer.getvalue()
    uid, sop_class = str(dataset.SOPInstanceUID), str(dataset.SOPClassUID)
    await kept.begin(data, syntax=syntax, sop_class=sop_class, sop_instance=uid).finish()
    return data


def jpeg(uid: str = "1.2.3.4", **attributes: Any) -> Dataset:
    dataset = image(uid, **attributes)
    del dataset[0x7FE00010]
    return dataset


async def test_a_study_is_given_in_parts_each_the_file_that_is_kept(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])

    answer = await web.get(STUDY)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("multipart/related; type=")
    assert "application/dicom" in answer.headers["content-type"]
    assert int(answer.headers["content-length"]) == len(answer.content)
    found = parts(answer)
    assert [part.content for part in found] == [
        file_of(archive, each) for each in await kept.refs()
    ]
    assert found[0].headers == {
        "content-type": f"application/dicom; transfer-syntax={EXPLICIT}",
        "content-location": f"http://archive{INSTANCE}",
        "content-length": str(len(found[0].content)),
    }


async def test_a_series_has_its_own_instances_only(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("1.2.3.4"))
    await kept.store(image("1.2.9.4", SeriesInstanceUID="1.2.9"))

    answer = await web.get("/studies/1.2/series/1.2.9")

    (part,) = parts(answer)
    assert pydicom.dcmread(io.BytesIO(part.content)).SOPInstanceUID == "1.2.9.4"


async def test_one_instance_can_be_had_alone_or_in_a_part(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store(image())
    (ref,) = await kept.refs()

    alone = await web.get(INSTANCE, headers=accept("application/dicom"))
    in_part = await web.get(INSTANCE, headers=accept(IN_PARTS))

    assert alone.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    assert alone.content == file_of(archive, ref)
    assert int(alone.headers["content-length"]) == len(alone.content)
    assert [part.content for part in parts(in_part)] == [alone.content]


@pytest.mark.parametrize("resource", [STUDY, SERIES, INSTANCE])
async def test_bulk_data_asked_of_instances_is_that_of_the_bulk_data_resource(
    web: httpx.AsyncClient, kept: Kept, resource: str
) -> None:
    # PS3.18 Table 10.4.4-1, note 2.
    large = {"Rows": 32, "Columns": 32, "BitsAllocated": 16, "PixelData": bytes(range(256)) * 8}
    await kept.store_all(("1.2.3.4", "1.2.3.5"), **large)
    asked = accept('multipart/related; type="application/octet-stream"')

    of_instances = await web.get(resource, headers=asked)

    of_bulk = await web.get(f"{resource}/bulkdata", headers=asked)
    assert of_instances.status_code == of_bulk.status_code == 200
    assert [part.content for part in parts(of_instances)] == [
        part.content for part in parts(of_bulk)
    ]


async def test_only_one_instance_can_be_had_alone(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    answer = await web.get(STUDY, headers=accept("application/dicom"))

    assert answer.status_code == 406
    assert "multipart/related" in answer.json()["detail"]


async def test_the_query_says_what_is_accepted_too(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    answer = await web.get(INSTANCE, params={"accept": "application/dicom"})

    assert answer.headers["content-type"].startswith("application/dicom;")


# --- transfer syntaxes (8.7.3.4, 8.7.8.2)


@pytest.mark.parametrize("kept_in", [IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("media_type", ["application/dicom", IN_PARTS])
async def test_who_does_not_say_gets_explicit_little_endian(
    web: httpx.AsyncClient, kept: Kept, kept_in: str, media_type: str
) -> None:
    # Words that read the same either way: pydicom takes them as they come.
    dataset = image(PixelData=b"\1\1\2\2\3\3\4\4")
    await store_in(kept, dataset, kept_in)

    answer = await web.get(INSTANCE, headers=accept(media_type))

    content = answer.content if media_type == "application/dicom" else parts(answer)[0].content
    read = pydicom.dcmread(io.BytesIO(content))
    assert answer.status_code == 200
    assert read.file_meta.TransferSyntaxUID == EXPLICIT
    assert read.to_json_dict() == dataset.to_json_dict()


@pytest.mark.parametrize("kept_in", [IMPLICIT, BIG, DEFLATED, EXPLICIT, JPEG])
async def test_who_takes_any_gets_what_is_kept(
    web: httpx.AsyncClient, kept: Kept, archive: Archive, kept_in: str
) -> None:
    data = await store_in(kept, image() if kept_in != JPEG else jpeg(), kept_in)

    answer = await web.get(STUDY, headers=accept(IN_PARTS, "*"))

    (part,) = parts(answer)
    assert part.content.endswith(data)
    assert part.headers["content-type"] == f"application/dicom; transfer-syntax={kept_in}"
    assert f"transfer-syntax={kept_in}" in answer.headers["content-type"]


async def test_what_is_compressed_is_given_so_to_who_does_not_say(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    data = await store_in(kept, jpeg(), JPEG)

    answer = await web.get(INSTANCE, headers=accept("application/dicom"))

    assert answer.content.endswith(data)
    assert answer.headers["content-type"].endswith(JPEG)


async def test_another_uncompressed_syntax_can_be_asked_for(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image())

    answer = await web.get(INSTANCE, headers=accept("application/dicom", DEFLATED))

    read = pydicom.dcmread(io.BytesIO(answer.content))
    assert read.file_meta.TransferSyntaxUID == DEFLATED
    assert read.to_json_dict() == image().to_json_dict()
    assert "content-length" not in answer.headers


@pytest.mark.parametrize("media_type", ["application/dicom", IN_PARTS])
@pytest.mark.parametrize("syntax", [None, EXPLICIT, JPEG_LS, DEFLATED])
async def test_what_is_compressed_is_decoded_and_compressed_as_is_asked_for(
    web: httpx.AsyncClient, kept: Kept, media_type: str, syntax: str | None
) -> None:
    original = get_testdata_file("MR_small_RLE.dcm", read=True, download=False)
    await store_compressed(kept, original)

    answer = await web.get(INSTANCE, headers=accept(media_type, syntax))

    content = parts(answer)[0].content if media_type == IN_PARTS else answer.content
    given = pydicom.dcmread(io.BytesIO(content))
    assert given.file_meta.TransferSyntaxUID == (syntax or EXPLICIT)
    assert given.SOPInstanceUID == original.SOPInstanceUID
    assert np.array_equal(given.pixel_array, original.pixel_array)


async def test_what_would_lose_something_is_refused(web: httpx.AsyncClient, kept: Kept) -> None:
    await store_compressed(kept, get_testdata_file("MR_small_RLE.dcm", read=True, download=False))

    answer = await web.get(INSTANCE, headers=accept("application/dicom", JPEG))

    assert answer.status_code == 406


async def test_what_is_broken_is_given_as_it_is_kept_unless_something_else_is_asked_for(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    original = get_testdata_file("MR_small_RLE.dcm", read=True, download=False)
    original.PixelData = encapsulate([b"nonsense"])
    original["PixelData"].is_undefined_length = True
    await store_compressed(kept, original)

    unsaid = await web.get(INSTANCE, headers=accept("application/dicom"))
    insisted = await web.get(INSTANCE, headers=accept("application/dicom", EXPLICIT))

    given = pydicom.dcmread(io.BytesIO(unsaid.content))
    assert given.file_meta.TransferSyntaxUID == RLE
    assert insisted.status_code == 406
    assert "transfer-syntax=*" in insisted.json()["detail"]


async def store_compressed(kept: Kept, dataset: Dataset) -> None:
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientID = "P1"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    header = part10.read(buffer.getvalue())
    await kept.begin(
        buffer.getvalue()[header.dataset_offset :],
        syntax=header.syntax.uid,
        sop_class=str(dataset.SOPClassUID),
        sop_instance="1.2.3.4",
    ).finish()


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG, "1.2.840.10008.1.2.4.70", "1.2.3"])
@pytest.mark.parametrize("media_type", ["application/dicom", IN_PARTS])
async def test_what_cannot_be_had_is_refused_saying_what_can(
    web: httpx.AsyncClient, kept: Kept, syntax: str, media_type: str
) -> None:
    await kept.store(image())

    answer = await web.get(INSTANCE, headers=accept(media_type, syntax))

    assert answer.status_code == 406
    assert answer.headers["content-type"] == "application/problem+json"
    assert "transfer-syntax=*" in answer.json()["detail"]


async def test_the_second_choice_is_taken_if_the_first_cannot_be_had(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image())
    ranges = f"{IN_PARTS}; transfer-syntax={JPEG}, application/dicom; transfer-syntax=*; q=0.1"

    answer = await web.get(INSTANCE, headers={"accept": ranges})

    assert answer.headers["content-type"].startswith("application/dicom;")


async def test_what_cannot_be_given_is_left_out_and_told(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await store_in(kept, jpeg("1.2.3.4"), VIDEO)
    await kept.store(image("1.2.3.5"))

    answer = await web.get(STUDY, headers=accept(IN_PARTS, EXPLICIT))

    assert answer.status_code == 206
    assert answer.headers["warning"] == '299 isocenter "1 of 2 instances are missing here"'
    assert "etag" not in answer.headers
    (part,) = parts(answer)
    assert pydicom.dcmread(io.BytesIO(part.content)).SOPInstanceUID == "1.2.3.5"


@pytest.mark.parametrize("media_type", ["application/dicom", IN_PARTS])
async def test_what_turns_out_not_to_be_convertible_is_given_as_it_is_kept(
    web: httpx.AsyncClient, kept: Kept, media_type: str
) -> None:
    data = await store_in(kept, image(), IMPLICIT)
    # A sequence with an item that says it is longer than the sequence.
    wrong = pack("<HHI", 0x0040, 0xA730, 8) + pack("<HHI", 0xFFFE, 0xE000, 100)
    at = data.index(pack("<HHI", 0x7FE0, 0x0010, 8))
    broken = (data[:at] + wrong + data[at:]).replace(b"1.2.3.4\0", b"1.2.3.5\0")
    await kept.begin(broken, syntax=IMPLICIT, sop_instance="1.2.3.5").finish()
    path = f"{SERIES}/instances/1.2.3.5"

    unsaid = await web.get(path, headers=accept(media_type))
    insisted = await web.get(path, headers=accept(media_type, EXPLICIT))

    content = unsaid.content if media_type == "application/dicom" else parts(unsaid)[0].content
    assert content.endswith(broken)
    assert insisted.status_code == 406
    assert "cannot be turned into Explicit VR Little Endian" in insisted.json()["detail"]


# --- zip


async def test_a_zip_has_the_files_named_as_an_export_names_them(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])

    answer = await web.get(STUDY, headers=accept("application/zip"))

    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="1.2.zip"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in read.namelist()} == {
            f"1.2/1.2.3/{each.sop_instance_uid}.dcm": file_of(archive, each)
            for each in await kept.refs()
        }


async def test_a_zip_has_what_is_kept_whatever_it_is(web: httpx.AsyncClient, kept: Kept) -> None:
    await store_in(kept, jpeg("1.2.3.4"), JPEG)
    await store_in(kept, image("1.2.3.5"), IMPLICIT)

    whole = await web.get(STUDY, headers=accept("application/zip"))
    some = await web.get(STUDY, headers=accept("application/zip", JPEG))
    none = await web.get(STUDY, headers=accept("application/zip", DEFLATED))

    assert len(zipfile.ZipFile(io.BytesIO(whole.content)).namelist()) == 2
    assert some.status_code == 206
    assert zipfile.ZipFile(io.BytesIO(some.content)).namelist() == ["1.2/1.2.3/1.2.3.4.dcm"]
    assert none.status_code == 406


async def test_a_zip_with_large_files_is_whole_too(
    web: httpx.AsyncClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipping, "SUMMED_AFTER", 100)
    await kept.store_all(["1.2.3.4", "1.2.3.5"])

    answer = await web.get(SERIES, headers=accept("application/zip"))

    assert zipfile.ZipFile(io.BytesIO(answer.content)).testzip() is None
    assert answer.headers["content-disposition"] == 'attachment; filename="1.2.3.zip"'


async def test_a_hostile_uid_leads_nowhere_in_a_zip(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image("../../evil", StudyInstanceUID='1"2'))

    answer = await web.get('/studies/1"2', headers=accept("application/zip"))

    (name,) = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert ".." not in name
    assert '"' not in name + answer.headers["content-disposition"].removeprefix(
        'attachment; filename="'
    ).removesuffix('"')


# --- again, and in part (RFC 9110 13, 14; PS3.18 8.6.1)


@pytest.mark.parametrize("media_type", ["application/dicom", IN_PARTS, "application/zip"])
async def test_what_the_client_has_is_not_given_again(
    web: httpx.AsyncClient, kept: Kept, media_type: str
) -> None:
    await kept.store(image())
    first = await web.get(INSTANCE, headers=accept(media_type))

    again = await web.get(
        INSTANCE, headers={**accept(media_type), "if-none-match": first.headers["etag"]}
    )
    await kept.store(image("1.2.3.5"))
    study = await web.get(STUDY, headers={"if-none-match": first.headers["etag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert study.status_code == 200


@pytest.mark.parametrize("media_type", ["application/dicom", IN_PARTS, "application/zip"])
@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED])
async def test_an_entity_tag_is_of_one_representation(
    web: httpx.AsyncClient, kept: Kept, media_type: str, syntax: str
) -> None:
    await kept.store(image())
    others = [
        (other, to)
        for other in ("application/dicom", IN_PARTS, "application/zip")
        for to in (EXPLICIT, DEFLATED)
        if (other, to) != (media_type, syntax) and (other, to) != ("application/zip", DEFLATED)
    ]
    tags = {(await web.get(INSTANCE, headers=accept(*other))).headers["etag"] for other in others}

    mine = (await web.get(INSTANCE, headers=accept(media_type, syntax))).headers.get("etag")

    assert len(tags) == len(others)
    assert mine not in tags


@pytest.mark.parametrize("media_type", [IN_PARTS, "application/zip"])
async def test_every_part_of_a_study_can_be_had(
    web: httpx.AsyncClient, kept: Kept, media_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipping, "SUMMED_AFTER", 400)
    await kept.store_all(["1.2.3.4", "1.2.3.5"])
    await kept.store(image("1.2.3.6", PixelData=bytes(range(256))))
    whole = (await web.get(STUDY, headers=accept(media_type))).content

    for start in range(0, len(whole), 37):
        for length in (1, 100, 999, len(whole)):
            span = {"range": f"bytes={start}-{start + length - 1}"}
            answer = await web.get(STUDY, headers={**accept(media_type), **span})

            last = min(start + length, len(whole)) - 1
            assert answer.status_code == 206
            assert answer.headers["content-range"] == f"bytes {start}-{last}/{len(whole)}"
            assert answer.content == whole[start : last + 1]


async def test_a_transfer_is_resumed_only_if_it_is_still_the_same(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image())
    whole = await web.get(STUDY)
    rest = {"range": "bytes=500-", "if-range": whole.headers["etag"]}

    same = await web.get(STUDY, headers=rest)
    await kept.store(image("1.2.3.5"))
    other = await web.get(STUDY, headers=rest)

    assert same.status_code == 206
    assert same.content == whole.content[500:]
    assert other.status_code == 200
    assert len(parts(other)) == 2


async def test_bytes_that_are_not_there_are_refused(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())
    size = (await web.get(STUDY)).headers["content-length"]

    answer = await web.get(STUDY, headers={"range": f"bytes={size}-"})

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{size}"


async def test_the_last_bytes_can_be_asked_for(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    answer = await web.get(INSTANCE, headers={**accept("application/dicom"), "range": "bytes=-8"})

    assert answer.content == b"\1\2\3\4\5\6\7\10"


async def test_what_has_to_be_converted_is_given_whole(web: httpx.AsyncClient, kept: Kept) -> None:
    await store_in(kept, image(), IMPLICIT)

    answer = await web.get(INSTANCE, headers={**accept("application/dicom"), "range": "bytes=0-9"})

    assert answer.status_code == 200
    assert answer.headers["etag"].startswith("W/")
    assert "accept-ranges" not in answer.headers


async def test_head_says_what_get_would_but_for_the_content(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image())

    for media_type in (IN_PARTS, "application/dicom", "application/zip"):
        get = await web.get(INSTANCE, headers=accept(media_type))
        head = await web.head(INSTANCE, headers=accept(media_type))

        assert head.status_code == 200
        assert head.headers == get.headers
        assert head.content == b""


# --- what is not there


@pytest.mark.parametrize(
    "path",
    [
        "/studies/9.9",
        "/studies/1.2/series/9.9",
        "/studies/1.2/series/1.2.3/instances/9.9",
        "/studies/9.9/series/1.2.3/instances/1.2.3.4",
        "/studies/1.2/series/9.9/instances/1.2.3.4",
        "/studies/9.9/series/1.2.3",
    ],
)
async def test_what_is_not_there_is_not_found(
    web: httpx.AsyncClient, kept: Kept, path: str
) -> None:
    await kept.store(image())

    answer = await web.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("uid", ["abc", "1..2", "01.2", "1." + "2" * 63, "1.2%00", "1.2%0a", "*"])
@pytest.mark.parametrize(
    "place", ["{}", "{}/series/1.2.3", "1.2/series/{}", "1.2/series/3/instances/{}"]
)
async def test_what_is_no_uid_is_told(
    web: httpx.AsyncClient, kept: Kept, uid: str, place: str
) -> None:
    await kept.store(image())

    answer = await web.get(f"/studies/{place.format(uid)}")

    assert answer.status_code == 400
    assert "UID" in answer.json()["detail"]


async def test_uids_that_break_the_rules_but_are_kept_are_found(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image("1.02.3", StudyInstanceUID="my study"))

    answer = await web.get("/studies/my%20study")

    (part,) = parts(answer)
    assert part.headers["content-location"].startswith("http://archive/studies/my%20study/")


async def test_what_was_removed_is_gone(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())
    await kept.archive.removals.remove(targets.selection_of({"study": "1.2"}))

    assert (await web.get(STUDY)).status_code == 404


@pytest.mark.parametrize("entered", [{"PatientID": "4711"}, {"PatientName": "Roe^Richard"}])
async def test_a_study_that_is_corrected_while_it_is_gathered_is_given_whole_and_of_one_patient(
    web: httpx.AsyncClient,
    kept: Kept,
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    entered: dict[str, str],
) -> None:
    monkeypatch.setattr("isocenter.storage.retrieving.PAGE", 2)
    await kept.store_all([f"1.2.3.{number}" for number in range(4, 10)])
    read, corrected = archive.index.instances, []

    async def instances(selection: Selection) -> AsyncIterator[list[InstanceRef]]:
        async for page in read(selection):
            yield page
            if not corrected:
                corrected.append(entered)
                study = await archive.corrections.study("1.2")
                seen = (await archive.corrections.preview(study, entered, is_of_patient=False)).seen
                await archive.corrections.correct(
                    study, entered, is_of_patient=False, reason="mixed up", by="me", seen=seen
                )

    monkeypatch.setattr(archive.index, "instances", instances)

    answer = await web.get(STUDY, headers=accept(IN_PARTS, "*"))

    given = [pydicom.dcmread(io.BytesIO(part.content)) for part in parts(answer)]
    assert len(given) == 6
    (keyword,) = entered
    assert {str(each[keyword].value) for each in given} == {entered[keyword]}


async def test_more_instances_than_an_answer_takes_are_refused(
    web: httpx.AsyncClient, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "MOST_INSTANCES", 1)
    await kept.store_all(["1.2.3.4", "1.2.3.5"])

    answer = await web.get(STUDY)

    assert answer.status_code == 413
    assert (await web.get(INSTANCE)).status_code == 200


# --- what cannot be read


async def test_lost_bytes_of_one_instance_do_not_keep_the_others_back(
    web: httpx.AsyncClient, kept: Kept, archive: Archive
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])
    first, second = await kept.refs()
    archive.store.delete(first.blob_key)

    study = await web.get(STUDY)
    alone = await web.get(INSTANCE, headers=accept("application/dicom"))

    assert study.status_code == 206
    assert "1 of 2" in study.headers["warning"]
    assert [part.content for part in parts(study)] == [file_of(archive, second)]
    assert alone.status_code == 503
    assert first.blob_key not in alone.text


async def test_an_answer_that_cannot_be_ended_is_broken_off(
    web: httpx.AsyncClient, kept: Kept, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store_all(["1.2.3.4", "1.2.3.5"])
    _, second = await kept.refs()

    async def nobody(_: object) -> set[str]:
        archive.store.delete(second.blob_key)  # right after it was looked after
        return set()

    monkeypatch.setattr(archive, "lost", nobody)

    with pytest.raises(AssertionError):  # of the transport: the answer has no end
        await web.get(STUDY)


# --- of no patient (12.4)


async def test_only_its_own_category_gives_an_instance(web: httpx.AsyncClient, kept: Kept) -> None:
    palette = image(
        "1.5.1",
        SOPClassUID=ColorPaletteStorage,
        StudyInstanceUID=None,
        SeriesInstanceUID=None,
        PatientID=None,
        PatientName=None,
    )
    await kept.store(palette)

    found = await web.get("/color-palettes/1.5.1", headers=accept("application/dicom"))
    elsewhere = await web.get("/hanging-protocols/1.5.1", headers=accept("application/dicom"))

    assert pydicom.dcmread(io.BytesIO(found.content)).SOPClassUID == ColorPaletteStorage
    assert elsewhere.status_code == 404
    assert HangingProtocolStorage != ColorPaletteStorage
    for path in (f"/studies/{NON_PATIENT_STUDY}", "/studies/1.2", "/color-palettes/9.9"):
        assert (await web.get(path)).status_code == 404
    assert (await web.get("/color-palettes/x")).status_code == 400


@pytest.mark.parametrize(
    "accepted", ["*/*", "application/dicom+json", 'multipart/related; type="application/dicom+xml"']
)
async def test_its_metadata_is_what_is_given_by_default(
    web: httpx.AsyncClient, kept: Kept, accepted: str
) -> None:
    nobody = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName"))
    palette = image("1.5.1", SOPClassUID=ColorPaletteStorage, **nobody)
    await kept.store(palette)

    answer = await web.get("/color-palettes/1.5.1", headers={"accept": accepted})

    assert answer.status_code == 200
    if "xml" in accepted:
        assert b"<NativeDicomModel" in parts(answer)[0].content
    else:
        assert answer.json() == [palette.to_json_dict()]


async def test_an_image_is_in_no_category(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(image())

    assert (await web.get("/color-palettes/1.2.3.4")).status_code == 404
