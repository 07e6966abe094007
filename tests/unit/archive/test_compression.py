"""Keeping instances compressed: proved, in one step, and told apart from what came again."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from isocenter.archive import upkeep
from isocenter.archive.archive import INDEX_NAME, Archive
from isocenter.archive.compression import Compression, Fate, Outcome
from isocenter.archive.compression_policy import CompressionPolicy
from isocenter.archive.retrieve import Opened
from isocenter.config import ArchiveConfig, CompressionRule, Lossless
from isocenter.dicom.syntax import EXPLICIT_LE, lookup
from isocenter.errors import Unavailable
from isocenter.imaging.codecs import codec
from isocenter.imaging.targets import NAMES
from isocenter.imaging.workers import Workers
from isocenter.storage.records import (
    ChangeKind,
    InstanceRef,
    OnConflict,
    Outcome as Stored,
    Selection,
)
from made_instances import MR, Kept, image
from made_pictures import coloured, grey, ramp

HTJ2K = lookup("1.2.840.10008.1.2.4.201")
JPEG_LS = lookup("1.2.840.10008.1.2.4.80")
SIZE = 64
ALL = Selection(studies=("1.2",))


@pytest.fixture(scope="module")
def codecs() -> Iterator[Workers]:
    workers = Workers(2)
    yield workers
    workers.close()


@pytest.fixture
def compression(archive: Archive, codecs: Workers) -> Compression:
    return archive.compression(codecs, grace=0)


def slice_of(instance: str = "1.2.3.4", **attributes: Any) -> Dataset:
    return grey(ramp(SIZE, SIZE), instance, **attributes)


async def only(kept: Kept) -> InstanceRef:
    (found,) = await kept.refs()
    return found


async def file_of(opened: Opened) -> bytes:
    pieces = opened.file()
    found = pieces if not isinstance(pieces, AsyncIterator) else [each async for each in pieces]
    return b"".join(map(bytes, found))


async def read(archive: Archive, instance: InstanceRef) -> Dataset:
    opened = await archive.read(instance)
    try:
        return pydicom.dcmread(io.BytesIO(await file_of(opened)))
    finally:
        opened.close()


async def explicit(archive: Archive, instance: InstanceRef) -> dict[int, Any]:
    """The values of the data set as it is given to who takes nothing else."""
    opened = await archive.read(instance)
    try:
        pieces = opened.pieces(EXPLICIT_LE)
        found = pieces if not isinstance(pieces, AsyncIterator) else [each async for each in pieces]
        data = io.BytesIO(b"".join(map(bytes, found)))
        return {each.tag: each.value for each in pydicom.dcmread(data, force=True)}
    finally:
        opened.close()


@pytest.mark.parametrize(
    "name", ["rle", "jpeg-lossless", "jpeg-ls", "jpeg-2000", "htj2k", "jpeg-xl"]
)
@pytest.mark.parametrize("kind", ["grey", "coloured", "several frames"])
async def test_what_is_compressed_is_what_it_was(
    archive: Archive, kept: Kept, compression: Compression, name: str, kind: str
) -> None:
    made = {
        "grey": slice_of(),
        "coloured": coloured(np.arange(SIZE * SIZE * 3).reshape(SIZE, SIZE, 3) // 97 % 256),
        "several frames": grey(np.stack([ramp(SIZE, SIZE) + each for each in range(5)])),
    }[kind]
    await kept.store(made)
    before = await only(kept)
    original = await explicit(archive, before)

    outcome = await compression.compress(before, lookup(NAMES[name]))

    after = await only(kept)
    assert outcome.fate is Fate.COMPRESSED, outcome.reason
    assert (after.transfer_syntax, after.size) == (NAMES[name], outcome.made)
    assert after.size < before.size
    assert after.sop_instance_uid == before.sop_instance_uid
    assert await explicit(archive, after) == original
    if name not in ("jpeg-xl", "jpeg-lossless"):  # pydicom decodes them with more libraries only
        assert (await read(archive, after)).pixel_array.tolist() == made_array(made)


def made_array(made: Dataset) -> Any:
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return made.pixel_array.tolist()


async def test_who_sent_it_is_still_known(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(slice_of())
    before = await read(archive, await only(kept))

    await compression.compress(await only(kept), HTJ2K)

    after = await read(archive, await only(kept))
    assert after.file_meta.SourceApplicationEntityTitle == "SENDER"
    assert after.file_meta.ReceivingApplicationEntityTitle == "ISOCENTER"
    received = bytes(before.file_meta.PrivateInformation).rstrip(b"\0")
    assert bytes(after.file_meta.PrivateInformation).startswith(received)


async def test_the_same_file_sent_again_is_the_same(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(slice_of())
    await compression.compress(await only(kept), HTJ2K)
    compressed = await only(kept)

    again = await kept.store(slice_of())
    other = await kept.store(slice_of(PatientName="Doe^John"))

    assert again.outcome is Stored.DUPLICATE
    assert other.outcome is Stored.KEPT
    assert await only(kept) == compressed


async def test_the_counters_the_feed_and_the_fingerprint_follow(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(slice_of())
    before = await archive.index.within_snapshot(lambda found: found.series(ALL))

    await compression.compress(await only(kept), HTJ2K)

    after = await archive.index.within_snapshot(lambda found: found.series(ALL))
    ref = await only(kept)
    changes = await archive.index.changes()
    assert [each.kind for each in changes] == [ChangeKind.STORED, ChangeKind.RECODED]
    assert changes[-1].blob_key == ref.blob_key
    assert (before[0].instances, after[0].instances) == (1, 1)
    assert before[0].fingerprint != after[0].fingerprint
    assert await archive.index.lookup(ref.sop_instance_uid) == ref


async def test_the_index_made_anew_is_the_same(
    archive: Archive, kept: Kept, compression: Compression, tmp_path: Path
) -> None:
    await kept.store(slice_of())
    await compression.compress(await only(kept), HTJ2K)
    await archive.delete_blobs()
    ref = await only(kept)
    folder = tmp_path / "data"
    await archive.close()

    found = list(upkeep.reindex(folder, folder / f"{INDEX_NAME}.new"))
    upkeep.put_in_place(folder / f"{INDEX_NAME}.new", folder / INDEX_NAME)

    reopened = await Archive.open(folder, ArchiveConfig(file_threads=4))
    again = Kept(reopened)
    try:
        assert [each.fault for each in found] == [None]
        assert await only(again) == ref
        assert (await again.store(slice_of())).outcome is Stored.DUPLICATE
        assert [each.fault async for each in upkeep.verify(reopened)] == [None]
    finally:
        await reopened.close()


async def test_an_original_stays_until_nobody_may_be_about_to_open_it(
    archive: Archive, kept: Kept, codecs: Workers
) -> None:
    await kept.store(slice_of())
    before = await only(kept)
    opened = await archive.read(before)

    await archive.compression(codecs, grace=0.2).compress(before, HTJ2K)
    await archive.delete_blobs()
    late = await archive.read(before)
    late.close()
    verified = [each.fault async for each in upkeep.verify(archive)]
    await asyncio.sleep(0.25)
    await archive.delete_blobs()

    assert verified == [None]
    assert len(await file_of(opened)) == before.size
    opened.close()
    with pytest.raises(Unavailable, match="ask again"):
        await archive.read(before)
    assert [each.fault async for each in upkeep.verify(archive)] == [None]


async def test_who_reads_a_large_one_meanwhile_gets_all_of_the_original(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(grey(np.zeros((40, 512, 512), np.uint16)))
    before = await only(kept)
    opened = await archive.read(before)
    pieces = opened.file()
    assert isinstance(pieces, AsyncIterator)
    received = bytes(await anext(pieces))

    await compression.compress(before, HTJ2K)
    await archive.delete_blobs()
    received += b"".join([bytes(each) async for each in pieces])

    opened.close()
    assert len(received) == before.size
    assert pydicom.dcmread(io.BytesIO(received)).NumberOfFrames == 40


@pytest.mark.parametrize("tag", [0x4FFE0001, 0xFFFAFFFA])
async def test_what_is_signed_stays(
    archive: Archive, kept: Kept, compression: Compression, tag: int
) -> None:
    signed = slice_of()
    signed.add_new(tag, "SQ", [Dataset()])
    await kept.store(signed)
    before = await only(kept)

    outcome = await compression.compress(before, HTJ2K)

    assert outcome.fate is Fate.UNFIT
    assert "signed" in outcome.reason
    assert await only(kept) == before


async def test_what_cannot_get_smaller_stays(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    noise = np.random.default_rng(1).integers(0, 1 << 16, (SIZE, SIZE), np.uint16)
    await kept.store(grey(noise))
    before = await only(kept)

    outcome = await compression.compress(before, HTJ2K)

    assert outcome.fate is Fate.NO_SMALLER
    assert await only(kept) == before
    assert list(archive.store.all_keys()) == [before.blob_key]


async def test_pixels_with_bytes_behind_them_stay(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(slice_of(PixelData=ramp(SIZE, SIZE).tobytes() + b"more"))

    outcome = await compression.compress(await only(kept), HTJ2K)

    assert outcome.fate is Fate.UNFIT


async def test_what_has_no_pixels_stays(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    report = image()
    del report.PixelData
    await kept.store(report)

    assert (await compression.compress(await only(kept), HTJ2K)).fate is Fate.UNFIT


async def test_a_private_class_is_compressed_like_any_other(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(slice_of(SOPClassUID="1.2.840.113619.4.26"))

    assert (await compression.compress(await only(kept), HTJ2K)).fate is Fate.COMPRESSED


async def test_what_does_not_come_back_as_it_was_is_not_kept(
    archive: Archive, kept: Kept, compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept.store(slice_of())
    before = await only(kept)
    decoded = Compression._decoded

    async def wrong(self: Compression, instance: InstanceRef) -> bytes:
        found = await decoded(self, instance)
        return found if instance.transfer_syntax == EXPLICIT_LE.uid else b"other"

    monkeypatch.setattr(Compression, "_decoded", wrong)
    outcome = await compression.compress(before, HTJ2K)

    assert outcome.fate is Fate.FAILED
    assert await only(kept) == before
    assert list(archive.store.all_keys()) == [before.blob_key]


async def test_what_was_replaced_meanwhile_is_not_touched(
    archive: Archive, kept: Kept, compression: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.ingest.on_conflict = OnConflict.REPLACE
    await kept.store(slice_of())
    before = await only(kept)
    prove = Compression._prove

    async def slowly(self: Compression, *arguments: Any) -> None:
        await kept.store(slice_of(PatientName="Doe^John"))
        await prove(self, *arguments)

    monkeypatch.setattr(Compression, "_prove", slowly)
    outcome = await compression.compress(before, HTJ2K)

    after = await only(kept)
    assert outcome.fate is Fate.SUPERSEDED
    assert (await read(archive, after)).PatientName == "Doe^John"
    assert {each.fault async for each in upkeep.verify(archive)} == {None}


async def test_what_is_given_up_leaves_nothing(
    archive: Archive, kept: Kept, compression: Compression
) -> None:
    await kept.store(grey(np.stack([ramp(256, 256)] * 30)))
    before = await only(kept)

    for wait in (0.0, 0.01, 0.02, 0.05, 0.1):
        task = asyncio.create_task(compression.compress(before, HTJ2K))
        await asyncio.sleep(wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await archive.delete_blobs()

    after = await only(kept)  # however far it came in that time
    assert (await read(archive, after)).NumberOfFrames == 30
    assert list(archive.store.all_keys()) == [after.blob_key]
    incoming = Path(archive.store.path(before.blob_key)).parents[3] / "incoming"
    assert not list(incoming.glob("*/*.part"))


# --- the policy


class Followed:
    """A policy that runs, and what it logs."""

    def __init__(self, archive: Archive, codecs: Workers, *rules: CompressionRule) -> None:
        self._archive = archive
        compression = archive.compression(codecs, grace=0)
        self.policy = CompressionPolicy(archive, compression, rules, grace=0)

    async def until(self, count: int, seconds: float = 20) -> list[str]:
        """The transfer syntaxes of what is kept, once so many are compressed."""
        async with asyncio.timeout(seconds):
            while True:
                found = [
                    each.transfer_syntax
                    async for page in self._archive.index.all_instances()
                    for each in page
                ]
                if sum(each != EXPLICIT_LE.uid for each in found) >= count:
                    return found
                await asyncio.sleep(0.02)


@pytest.fixture
async def follow(archive: Archive, codecs: Workers) -> AsyncIterator[Any]:
    begun: list[CompressionPolicy] = []

    async def start(*rules: CompressionRule) -> Followed:
        followed = Followed(archive, codecs, *rules)
        begun.append(followed.policy)
        await followed.policy.start()
        return followed

    yield start
    for each in begun:
        await each.close()


async def test_what_comes_is_compressed_and_what_was_there_is_not(
    archive: Archive, kept: Kept, follow: Any
) -> None:
    await kept.store(slice_of("1.1"))
    followed = await follow(CompressionRule(to="htj2k"))

    await kept.store(slice_of("1.2"))

    assert sorted(await followed.until(1)) == sorted([EXPLICIT_LE.uid, HTJ2K.uid])


async def test_the_first_rule_that_fits_counts(archive: Archive, kept: Kept, follow: Any) -> None:
    followed = await follow(
        CompressionRule(to="jpeg-xl-jpeg"),
        CompressionRule(to="rle", sop_classes=(MR,)),
        CompressionRule(to="jpeg-ls", modalities=("CT",), peers=("SENDER",)),
        CompressionRule(to="jpeg-2000", peers=("ELSEWHERE",)),
        CompressionRule(to="htj2k"),
    )

    await kept.store(slice_of("1.1", SOPClassUID=MR, Modality="MR"))
    await kept.store(slice_of("1.2"))
    await kept.store(slice_of("1.3", Modality="CR", SeriesInstanceUID="1.9"))

    assert sorted(await followed.until(3)) == sorted([NAMES["rle"], JPEG_LS.uid, HTJ2K.uid])


async def test_what_is_to_be_compressed_later_waits(
    archive: Archive, kept: Kept, follow: Any
) -> None:
    await kept.store(slice_of("1.1"))
    followed = await follow(CompressionRule(to="htj2k", when="later", age=1.0))

    with pytest.raises(TimeoutError):
        await followed.until(1, 0.5)
    await kept.store(slice_of("1.2"))

    assert await followed.until(2) == [HTJ2K.uid, HTJ2K.uid]


async def test_a_failure_is_told_once_and_not_tried_again(
    archive: Archive,
    kept: Kept,
    codecs: Workers,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[str] = []

    async def fails(self: Compression, instance: InstanceRef, _: object) -> Outcome:
        tried.append(instance.sop_instance_uid)
        return Outcome(instance, Fate.FAILED, reason="frame 1: cannot be")

    monkeypatch.setattr(Compression, "compress", fails)
    for _ in range(2):
        followed = Followed(archive, codecs, CompressionRule(to="htj2k"))
        await followed.policy.start()
        if not tried:
            await kept.store(slice_of(PatientName="Doe^Jane"))
        with caplog.at_level(logging.WARNING), pytest.raises(TimeoutError):
            await followed.until(1, 0.3)
        await followed.policy.close()

    told = [each for each in caplog.records if each.message == "kept as it came"]
    assert tried == ["1.2.3.4"]
    assert len(told) == 1
    assert "Doe" not in str(told[0].__dict__)


async def test_what_was_begun_is_taken_up_after_a_restart(
    archive: Archive, kept: Kept, codecs: Workers
) -> None:
    first = Followed(archive, codecs, CompressionRule(to="htj2k"))
    await first.policy.start()
    await first.policy.close()
    await kept.store(slice_of())

    second = Followed(archive, codecs, CompressionRule(to="htj2k"))
    await second.policy.start()

    assert await second.until(1) == [HTJ2K.uid]
    await second.policy.close()


def test_every_lossless_target_of_convert_can_be_named_in_a_rule() -> None:
    lossless = {
        name
        for name, uid in NAMES.items()
        if lookup(uid).is_encapsulated and (name == "jpeg-xl-jpeg" or not codec(uid).is_lossy)
    }
    assert set(get_args(Lossless)) == lossless
