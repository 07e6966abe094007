"""Corrected instances on every way out of the archive."""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.exporting import export
from isocenter.archive.ingest import Announced
from isocenter.archive.retrieve import each
from isocenter.archive.upkeep import put_in_place, reindex, verify
from isocenter.config import ArchiveConfig, Config
from isocenter.dicom import part10
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TRANSFER_SYNTAXES, lookup
from isocenter.dicomweb import routing
from isocenter.errors import Conflict, Malformed, NotFound, Unavailable
from isocenter.imaging.from_files import opened_image
from isocenter.imaging.looks import Look, finish_of
from isocenter.imaging.workers import Workers
from isocenter.storage.records import InstanceRef, Selection
from made_instances import CT, Kept, Slab, image
from made_pictures import grey

DEFLATED = lookup("1.2.840.10008.1.2.1.99")
NAME = {"PatientName": "Roe^Richard"}
ALL = {"PatientName": "Roe^Richard", "PatientID": "4711", "InstitutionName": "Elsewhere"}
STUDY = "1.2"


async def correct(archive: Archive, entered: dict[str, str] = ALL, **more: Any) -> None:
    study = await archive.corrections.study(STUDY)
    scope = {"is_of_patient": False, **more}
    preview = await archive.corrections.preview(study, entered, **scope)
    options: dict[str, Any] = {"reason": "mixed up", "by": "me", "seen": preview.seen, **scope}
    await archive.corrections.correct(study, entered, **options)


async def only(archive: Archive) -> InstanceRef:
    (found,) = [each async for page in archive.index.all_instances() for each in page]
    return found


async def put(archive: Archive, dataset: Dataset, syntax: Any) -> None:
    """Take in a file in another transfer syntax, as pydicom writes it."""
    buffer = io.BytesIO()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax.uid)
    dataset.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    announced = Announced(syntax.uid, CT, str(dataset.SOPInstanceUID))
    reception = archive.receive(announced)
    reception.write(Slab(data[part10.read(data).dataset_offset :]))
    await reception.finish()


async def read(archive: Archive, target: Any = None) -> Dataset:
    """What is given out, as pydicom reads it."""
    opened = await archive.read(await only(archive))
    try:
        syntax = target or opened.syntax
        data = b"".join([bytes(piece) async for piece in opened.file_in(syntax)])
    finally:
        opened.close()
    return pydicom.dcmread(io.BytesIO(data))


def check(found: Dataset) -> None:
    assert (found.PatientName, found.PatientID) == ("Roe^Richard", "4711")
    assert found.InstitutionName == "Elsewhere"
    (item,) = found.OriginalAttributesSequence
    (modified,) = item.ModifiedAttributesSequence
    assert (modified.PatientName, modified.PatientID) == ("Doe^Jane", "P1")
    assert modified.InstitutionName == ""
    assert found.PixelData == b"\1\2\3\4\5\6\7\10"


@pytest.mark.parametrize("kept_in", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED])
@pytest.mark.parametrize("target", [None, IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE, DEFLATED])
async def test_it_is_given_out_corrected_from_and_in_every_native_encoding(
    archive: Archive, kept: Kept, kept_in: Any, target: Any
) -> None:
    # Words that are the same in either byte order.
    await put(archive, image(PixelData=b"\1\1\2\2\3\3\4\4"), kept_in)
    await correct(archive)

    found = await read(archive, target)

    assert found.PixelData == b"\1\1\2\2\3\3\4\4"
    found.PixelData = b"\1\2\3\4\5\6\7\10"
    check(found)


async def test_the_file_is_what_its_pieces_and_its_checksum_say(
    archive: Archive, kept: Kept
) -> None:
    from zlib import crc32

    await kept.store(image())
    await correct(archive)
    opened = await archive.read(await only(archive))
    try:
        file = b"".join([bytes(piece) async for piece in each(opened.file())])
        part = b"".join([bytes(piece) async for piece in each(opened.file(100, 300))])
        assert len(file) == opened.file_size
        assert part == file[100:300]
        assert await opened.checksum() == crc32(file)
    finally:
        opened.close()
    check(pydicom.dcmread(io.BytesIO(file)))


async def test_what_is_kept_stays_as_it_came(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    before = Path(archive.store.path((await only(archive)).blob_key)).read_bytes()
    await correct(archive)

    assert Path(archive.store.path((await only(archive)).blob_key)).read_bytes() == before
    assert [fault.fault async for fault in verify(archive)] == [None]
    assert not await archive.lost([await only(archive)])


async def test_an_export_is_corrected(archive: Archive, kept: Kept, tmp_path: Path) -> None:
    await kept.store(image())
    await correct(archive)

    (exported,) = [
        each async for each in export(archive, Selection(studies=(STUDY,)), tmp_path / "out")
    ]

    assert not exported.reason
    assert exported.size == exported.path.stat().st_size
    check(pydicom.dcmread(exported.path))


async def test_undone_it_is_given_as_it_came_to_the_byte(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    reference = await only(archive)
    await correct(archive)
    study = await archive.corrections.study(STUDY)
    (entry,) = await archive.corrections.history(study)

    await archive.corrections.revoke(entry.action, "me")

    again = await only(archive)
    assert again == reference
    opened = await archive.read(again)
    file = b"".join([bytes(piece) async for piece in each(opened.file())])
    opened.close()
    assert file == Path(archive.store.path(again.blob_key)).read_bytes()


async def test_what_cannot_be_corrected_is_not_given_out(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    await correct(archive)
    path = Path(archive.store.path((await only(archive)).blob_key))
    data = bytearray(path.read_bytes())
    at = data.index(b"\x10\x00\x10\x00PN")
    data[at + 6 : at + 8] = b"\xff\xff"  # a length that leads nowhere
    path.chmod(0o600)
    path.write_bytes(data)

    with pytest.raises(Unavailable):
        await archive.read(await only(archive))


async def test_a_correction_survives_reindex(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    archive = await Archive.open(folder, ArchiveConfig())
    await Kept(archive).store(image())
    await correct(archive)
    await correct(archive, {"StudyID": "7"})
    study = await archive.corrections.study(STUDY)
    newest = (await archive.corrections.history(study))[0]
    await archive.corrections.revoke(newest.action, "me")
    state = (await only(archive)).state
    await archive.close()

    made = folder / f"{INDEX_NAME}.new"
    for _ in reindex(folder, made):
        pass
    assert put_in_place(made, folder / INDEX_NAME)

    archive = await Archive.open(folder, ArchiveConfig())
    try:
        check(await read(archive))
        assert (await only(archive)).state == state
        study = await archive.corrections.study(STUDY)
        assert study.attributes["00100020"]["Value"] == ["4711"]
        history = await archive.corrections.history(study)
        assert [bool(each.revoked_at) for each in history] == [True, False]
        await archive.corrections.revoke(history[1].action, "me")
        assert (await only(archive)).overlay is None
    finally:
        await archive.close()


async def test_what_is_compressed_is_what_came(archive: Archive, kept: Kept) -> None:
    from isocenter.archive.compression import Fate

    pixels = bytes(128 * 128)
    await kept.store(
        image(
            Rows=128, Columns=128, PixelData=pixels, BitsAllocated=8, BitsStored=8, HighBit=7,
            SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", PixelRepresentation=0,
        )
    )  # fmt: skip
    await correct(archive)
    codecs = Workers(1)
    try:
        target = next(each for each in TRANSFER_SYNTAXES.values() if each.name.startswith("RLE"))
        compression = archive.compression(codecs, grace=0)
        outcome = await compression.compress(await only(archive), target)
    finally:
        codecs.close()

    assert outcome.fate is Fate.COMPRESSED
    blob = pydicom.dcmread(archive.store.path((await only(archive)).blob_key))
    assert blob.PatientName == "Doe^Jane"
    assert (await read(archive)).PatientName == "Roe^Richard"
    assert (await read(archive, EXPLICIT_LE)).PatientName == "Roe^Richard"


async def test_who_is_meant_is_found_or_told(archive: Archive, kept: Kept) -> None:
    corrections = archive.corrections
    with pytest.raises(NotFound):
        await corrections.study(STUDY)
    with pytest.raises(NotFound):
        await corrections.study_of("P1", None)
    await kept.store(image())
    await kept.store(image("1.9", StudyInstanceUID="9", IssuerOfPatientID="NORTH"))
    with pytest.raises(Conflict):
        await corrections.study_of("P1", None)
    assert (await corrections.study_of("P1", "NORTH")).attributes["0020000D"]["Value"] == ["9"]
    study = await corrections.study(STUDY)
    with pytest.raises(Malformed, match="reason"):
        await corrections.correct(study, NAME, is_of_patient=False, reason="", by="", seen="")


async def test_who_comes_after_the_preview_is_not_joined_unseen(
    archive: Archive, kept: Kept
) -> None:
    await kept.store(image())
    study = await archive.corrections.study(STUDY)
    entered = {"PatientID": "4711"}
    preview = await archive.corrections.preview(study, entered, is_of_patient=True)
    assert preview.joined is None

    await kept.store(image("1.9", StudyInstanceUID="9", PatientID="4711", PatientName="Roe"))

    options: dict[str, Any] = {"is_of_patient": True, "reason": "mixed up", "by": "me"}
    with pytest.raises(Conflict):
        await archive.corrections.correct(study, entered, seen=preview.seen, **options)
    again = await archive.corrections.preview(study, entered, is_of_patient=True)
    assert again.joined is not None
    await archive.corrections.correct(study, entered, seen=again.seen, **options)


async def test_of_two_who_correct_at_once_one_has_to_look_again(
    archive: Archive, kept: Kept
) -> None:
    await kept.store(image())
    study = await archive.corrections.study(STUDY)
    options: dict[str, Any] = {"is_of_patient": False, "reason": "mixed up", "by": "me"}
    names = [{"PatientName": name} for name in ("Roe", "Poe")]
    seen = [
        (await archive.corrections.preview(study, each, is_of_patient=False)).seen for each in names
    ]

    done = await asyncio.gather(
        *(
            archive.corrections.correct(study, each, seen=state, **options)
            for each, state in zip(names, seen, strict=True)
        ),
        return_exceptions=True,
    )

    assert sorted(type(each).__name__ for each in done) == ["Conflict", "Preview"]
    assert len(await archive.corrections.history(study)) == 1


async def test_merging_two_patients_makes_one(archive: Archive, kept: Kept) -> None:
    await kept.store(image())
    await kept.store(
        image("1.9", StudyInstanceUID="9", PatientID="4711", PatientName="Roe^Richard")
    )

    study = await archive.corrections.study(STUDY)
    entered = {"PatientName": "Roe^Richard", "PatientID": "4711"}
    preview = await archive.corrections.preview(study, entered, is_of_patient=True)
    assert preview.joined is not None
    assert preview.differs == ()
    await correct(archive, entered, is_of_patient=True)

    merged = await archive.corrections.study_of("4711", None)
    assert len(await archive.corrections.studies(merged, is_of_patient=True)) == 2


async def test_a_patient_without_patient_id_is_given_a_name(archive: Archive, kept: Kept) -> None:
    await kept.store(image(PatientID=""))
    study = await archive.corrections.study(STUDY)

    await correct(archive, {**await archive.corrections.shown(study), **NAME})

    assert (await read(archive)).PatientName == "Roe^Richard"


async def test_what_was_not_touched_need_not_be_a_value(archive: Archive, kept: Kept) -> None:
    await kept.store(image(AccessionNumber="12345678901234567", PatientSex="U"))
    study = await archive.corrections.study(STUDY)
    shown = await archive.corrections.shown(study)

    await correct(archive, {**shown, **NAME})

    found = await read(archive)
    assert (found.PatientName, found.AccessionNumber, found.PatientSex) == (
        "Roe^Richard",
        "12345678901234567",
        "U",
    )


async def test_a_patient_whose_id_looks_like_a_pattern_is_known_to_be_joined(
    archive: Archive, kept: Kept
) -> None:
    await kept.store(image())
    for number in range(60):
        uids = {"StudyInstanceUID": f"7.{number}", "SeriesInstanceUID": f"7.{number}.1"}
        patient = {"PatientID": f"A{number}" if number < 59 else "A*", "PatientName": "Poe"}
        await kept.store(image(f"7.{number}.1.1", **uids, **patient))
    study = await archive.corrections.study(STUDY)

    preview = await archive.corrections.preview(study, {"PatientID": "A*"}, is_of_patient=False)

    assert preview.joined is not None
    assert preview.joined.attributes["00100020"]["Value"] == ["A*"]


# --- over the web


@pytest.fixture
async def web(archive: Archive) -> Any:
    transport = httpx.ASGITransport(routing.application(archive, Config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client


INSTANCE = "/studies/1.2/series/1.2.3/instances/1.2.3.4"
DICOM = {"accept": "application/dicom; transfer-syntax=*"}


async def test_the_web_gives_it_corrected_and_knows_it_for_another(
    archive: Archive, kept: Kept, web: httpx.AsyncClient
) -> None:
    await kept.store(image())
    paths = [INSTANCE, f"{INSTANCE}/metadata", "/studies/1.2/metadata", "/studies/1.2/series/1.2.3"]
    before = [(await web.get(path, headers=_accept(path))).headers["etag"] for path in paths]

    await correct(archive)

    answers = [await web.get(path, headers=_accept(path)) for path in paths]
    assert all(each.status_code == 200 for each in answers)
    assert not {each.headers["etag"] for each in answers} & set(before)
    check(pydicom.dcmread(io.BytesIO(answers[0].content)))
    assert int(answers[0].headers["content-length"]) == len(answers[0].content)
    for answer in answers[1:3]:
        (model,) = answer.json()
        assert model["00100010"]["Value"] == [{"Alphabetic": "Roe^Richard"}]
        assert model["00080080"]["Value"] == ["Elsewhere"]
        (item,) = model["04000561"]["Value"]
        former = item["04000550"]["Value"][0]["00100010"]["Value"]
        assert former == [{"Alphabetic": "Doe^Jane"}]
    assert b"Roe^Richard" in answers[3].content


def _accept(path: str) -> dict[str, str]:
    if path.endswith("metadata"):
        return {"accept": "application/dicom+json"}
    return DICOM if path == INSTANCE else {}


async def test_ranges_of_a_corrected_file_fit_together(
    archive: Archive, kept: Kept, web: httpx.AsyncClient
) -> None:
    await kept.store(image())
    await correct(archive)

    whole = (await web.get(INSTANCE, headers=DICOM)).content
    middle = await web.get(INSTANCE, headers={**DICOM, "range": "bytes=300-450"})

    assert middle.status_code == 206
    assert middle.content == whole[300:451]


async def test_a_zip_archive_has_corrected_files(
    archive: Archive, kept: Kept, web: httpx.AsyncClient
) -> None:
    await kept.store(image())
    await kept.store(image("1.9", StudyInstanceUID=STUDY))
    await correct(archive)

    answer = await web.get("/studies/1.2", headers={"accept": "application/zip"})

    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archived:
        assert archived.testzip() is None
        for name in archived.namelist():
            check(pydicom.dcmread(io.BytesIO(archived.read(name))))


async def test_searches_and_bulk_data_are_of_what_is_corrected(
    archive: Archive, kept: Kept, web: httpx.AsyncClient
) -> None:
    await kept.store(image())
    pixels = f"{INSTANCE}/bulkdata/7FE00010"
    before = (await web.get(pixels, headers={"accept": "application/octet-stream"})).content
    await web.get(f"{INSTANCE}/frames/1", headers={"accept": "application/octet-stream"})
    await correct(archive)

    (found,) = (await web.get("/studies?PatientID=4711")).json()
    assert found["00100010"]["Value"] == [{"Alphabetic": "Roe^Richard"}]
    assert (await web.get("/studies?PatientID=P1")).status_code == 204
    name = await web.get(
        f"{INSTANCE}/bulkdata/00100010", headers={"accept": "application/octet-stream"}
    )
    assert name.content.rstrip() == b"Roe^Richard"
    again = await web.get(pixels, headers={"accept": "application/octet-stream"})
    assert again.content == before == b"\1\2\3\4\5\6\7\10"


async def test_pictures_name_the_corrected_patient(
    archive: Archive, kept: Kept, web: httpx.AsyncClient
) -> None:
    pixels = np.zeros((200, 300), np.uint16)
    await kept.store(grey(pixels))
    right = {"PatientName": "Roe^Richard", "PatientID": "4711", "StudyInstanceUID": "9"}
    await kept.store(grey(pixels, "1.9", **right))

    async def picture(path: str) -> bytes:
        answer = await web.get(f"{path}/rendered?annotation=patient", headers=PNG)
        assert answer.status_code == 200
        return answer.content

    before = await picture(INSTANCE)
    await correct(archive)

    expected = await picture("/studies/9/series/1.2.3/instances/1.9")
    assert await picture(INSTANCE) == expected != before


PNG = {"accept": "image/png"}


async def test_films_name_the_corrected_patient(archive: Archive, kept: Kept) -> None:
    await kept.store(grey(np.zeros((20, 30), np.uint16)))
    await correct(archive)
    instance = await only(archive)
    look = Look(annotations=frozenset({"patient"}))

    with opened_image(Path(archive.store.path(instance.blob_key)), instance.overlay) as film:
        assert finish_of(film.subject, 1, look).left[:2] == ("Roe, Richard", "4711")


async def test_the_uri_service_gives_it_corrected_and_hides_both_names(
    archive: Archive, kept: Kept, web: httpx.AsyncClient
) -> None:
    await kept.store(image(BurnedInAnnotation="NO"))
    await correct(archive)
    asked = {
        "requestType": "WADO", "studyUID": STUDY, "seriesUID": "1.2.3", "objectUID": "1.2.3.4",
        "contentType": "application/dicom", "transferSyntax": EXPLICIT_LE.uid,
    }  # fmt: skip
    plain = await web.get("/wado", params=asked)
    hidden = await web.get("/wado", params={**asked, "anonymize": "yes"})

    check(pydicom.dcmread(io.BytesIO(plain.content)))
    assert hidden.status_code == 200
    for secret in (b"Roe", b"Doe", b"4711", b"Elsewhere"):
        assert secret not in hidden.content
    assert "OriginalAttributesSequence" not in pydicom.dcmread(io.BytesIO(hidden.content))
