"""A DICOM file as a stream: however it is cut, the same is kept."""

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

from isocenter.archive.admission import SyntaxNotTaken
from isocenter.archive.archive import Archive
from isocenter.archive.backpressure import Budget
from isocenter.archive.upload import Expected, Upload
from isocenter.config import ArchiveConfig
from isocenter.dicom.part10 import header
from isocenter.errors import IsocenterError, Malformed, Mismatch, Unsupported
from isocenter.storage.records import Outcome
from made_instances import CT, EXPLICIT, Kept, encoded, image, part10

PALETTE = "1.2.840.10008.5.1.4.39.1"
FINDINGS = "1.2.840.10008.5.1.4.1.2.1.1"
ANYTHING = Expected()


def upload(archive: Archive, expected: Expected = ANYTHING) -> Upload:
    share = Budget().share()
    return Upload(archive.ingest, share, expected, sent_by="10.0.0.1", received_by="ISOCENTER")


async def take(archive: Archive, file: bytes, size: int = 1 << 16) -> Outcome:
    coming = upload(archive)
    for start in range(0, len(file), size):
        coming.write(file[start : start + size])
    return (await coming.finish()).outcome


def with_syntax(dataset: Dataset, syntax: str) -> bytes:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


async def kept_bytes(archive: Archive, kept: Kept) -> bytes:
    (ref,) = await kept.refs()
    return (archive.store.open(ref.blob_key).window(ref.dataset_offset, ref.size)).tobytes()


@pytest.mark.parametrize("size", [1, 7, 131, 4096, 1 << 20])
async def test_however_a_file_is_cut_its_data_set_is_kept_bit_by_bit(
    archive: Archive, kept: Kept, size: int
) -> None:
    data = encoded(image(PixelData=os.urandom(20_000)))
    file = header(CT, "1.2.3.4", EXPLICIT, source_ae="ELSEWHERE") + data

    assert await take(archive, file, size) is Outcome.STORED

    assert await kept_bytes(archive, kept) == data


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
async def test_every_encoding_is_taken(archive: Archive, kept: Kept, syntax: str) -> None:
    file = with_syntax(image(PixelData=bytes(range(256)) * 64), syntax)

    assert await take(archive, file, 100) is Outcome.STORED

    (ref,) = await kept.refs()
    assert ref.transfer_syntax == syntax
    assert file.endswith(await kept_bytes(archive, kept))


async def test_what_is_kept_says_who_sent_it(archive: Archive, kept: Kept) -> None:
    await take(archive, part10(image()))

    (ref,) = await kept.refs()
    meta = pydicom.dcmread(io.BytesIO(archive.store.open(ref.blob_key).window(0, ref.size)))
    assert meta.file_meta.SourceApplicationEntityTitle == "10.0.0.1"


async def test_meta_information_of_another_instance_does_no_harm(
    archive: Archive, kept: Kept
) -> None:
    file = header("1.2.840.10008.5.1.4.1.1.4", "9.9.9", EXPLICIT) + encoded(image())

    assert await take(archive, file) is Outcome.STORED

    (ref,) = await kept.refs()
    assert (ref.sop_class_uid, ref.sop_instance_uid) == (CT, "1.2.3.4")


BROKEN: dict[str, tuple[Callable[[], bytes], type[IsocenterError]]] = {
    "nothing": (lambda: b"", Malformed),
    "a picture": (lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(5000), Malformed),
    "text": (lambda: b"<html>" * 2000, Malformed),
    "a header only": (lambda: header(CT, "1.2.3.4", EXPLICIT), Mismatch),
    "half a header": (lambda: part10(image())[:200], Malformed),
    "no instance": (lambda: part10(image())[:132] + _without_uids(), Mismatch),
    "cut short": (lambda: part10(image())[:-3], Malformed),
    "no study": (lambda: part10(image(StudyInstanceUID=None)), Mismatch),
    "print": (lambda: part10(image(SOPClassUID=FINDINGS)), Unsupported),
    "strange syntax": (lambda: header(CT, "1.2.3.4", "1.2.3") + encoded(image()), SyntaxNotTaken),
}


def _without_uids() -> bytes:
    dataset = image()
    del dataset.SOPClassUID, dataset.SOPInstanceUID
    return header(CT, "1.2.3.4", EXPLICIT)[132:] + encoded(dataset)


@pytest.mark.parametrize("name", BROKEN)
async def test_what_cannot_be_kept_is_refused_and_leaves_nothing(
    archive: Archive, tmp_path: Path, name: str
) -> None:
    made, error = BROKEN[name]

    with pytest.raises(error):
        await take(archive, made(), 1000)

    assert not list((tmp_path / "data").rglob("*.part"))
    assert not list(archive.store.all_keys())


@pytest.mark.parametrize(
    "expected",
    [
        Expected(study="1.9"),
        Expected(sop_instance="1.9"),
        Expected(sop_classes=frozenset({PALETTE})),
    ],
)
async def test_what_belongs_elsewhere_is_refused(archive: Archive, expected: Expected) -> None:
    coming = upload(archive, expected)
    coming.write(part10(image()))

    with pytest.raises(Mismatch):
        await coming.finish()

    assert (coming.sop_class, coming.sop_instance) == (CT, "1.2.3.4")


async def test_what_belongs_here_is_taken(archive: Archive) -> None:
    expected = Expected(study="1.2", sop_instance="1.2.3.4", sop_classes=frozenset({CT}))
    coming = upload(archive, expected)
    coming.write(part10(image()))

    await coming.finish()

    assert coming.identity is not None
    assert coming.identity.series == "1.2.3"


async def test_classes_nobody_knows_are_refused_where_that_is_wanted(tmp_path: Path) -> None:
    archive = await Archive.open(tmp_path / "strict", ArchiveConfig(unknown_sop_classes=False))
    try:
        with pytest.raises(Unsupported):
            await take(archive, part10(image(SOPClassUID="1.2.276.0.99.1")))
    finally:
        await archive.close()


async def test_an_abandoned_upload_leaves_nothing(archive: Archive, tmp_path: Path) -> None:
    coming = upload(archive)
    coming.write(part10(image(PixelData=bytes(3_000_000)))[:-10])

    coming.abandon()
    await archive.close()

    assert not list((tmp_path / "data").rglob("*.part"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
async def test_damage_never_ends_in_anything_but_our_own_errors(
    archive: Archive, data: st.DataObject
) -> None:
    damaged = bytearray(part10(image(PixelData=b"\0\1" * 3000)))
    for at in data.draw(st.lists(st.integers(0, 700), max_size=6)):
        damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))

    with contextlib.suppress(IsocenterError):
        await take(archive, bytes(damaged[:cut]), data.draw(st.integers(1, 5000)))
