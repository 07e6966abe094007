"""Every image of the corpus, kept compressed by a rule, comes back as it was."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pydicom
import pytest

from corpus_files import REASON, ROOT, name, paths
from isocenter.archive.archive import Archive
from isocenter.archive.candidates import is_turned
from isocenter.archive.compression import Fate
from isocenter.archive.importing import Fate as Import, import_files
from isocenter.config import ArchiveConfig
from isocenter.dicom.syntax import EXPLICIT_LE, lookup
from isocenter.imaging.targets import NAMES
from isocenter.imaging.workers import Workers
from isocenter.storage.records import InstanceRef

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

LARGEST = 4_000_000
FILES = [
    path
    for path in paths()
    if not name(path).startswith(("malformed/", "media/")) and path.stat().st_size < LARGEST
]
TARGETS = ("htj2k", "jpeg-ls", "jpeg-2000", "jpeg-xl", "rle", "jpeg-lossless", "jpeg-xl-jpeg")


async def given(archive: Archive, instance: InstanceRef) -> dict[int, Any]:
    """The values of an instance in Explicit VR Little Endian."""
    opened = await archive.read(instance)
    try:
        work = opened.transcoding(EXPLICIT_LE)
        data = b"".join([bytes(piece) async for piece in work.pieces()])
    finally:
        opened.close()
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    return {tag: dataset.get_item(tag) for tag in dataset.keys()}  # noqa: SIM118


async def compressed(folder: Path, target: str) -> dict[Fate, int]:
    """Import everything, compress it, and compare; the fates, counted."""
    uid = NAMES[target]
    fates: dict[Fate, int] = {}
    codecs = Workers()
    archive = await Archive.open(folder, ArchiveConfig())
    try:
        async for imported in import_files(archive.ingest, FILES, "ISOCENTER"):
            assert imported.fate is not Import.REFUSED or imported.reason
        work = archive.compression(codecs, grace=0)
        before = [each async for page in archive.index.all_instances() for each in page]
        for instance in before:
            if not is_turned(instance.transfer_syntax, uid):
                continue
            try:
                original = await given(archive, instance)
            except Exception:
                original = {}
            outcome = await work.compress(instance, lookup(uid))
            fates[outcome.fate] = fates.get(outcome.fate, 0) + 1
            after = await archive.index.lookup(instance.sop_instance_uid)
            if outcome.fate is not Fate.COMPRESSED:
                assert after == instance
                continue
            found = await given(archive, after)
            assert {tag: each.value for tag, each in found.items()} == {
                tag: each.value for tag, each in original.items()
            }
        await archive.delete_blobs()
    finally:
        await archive.close()
        codecs.close()
    return fates


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_what_is_compressed_comes_back(target: str, tmp_path: Path) -> None:
    fates = asyncio.run(compressed(tmp_path, target))

    assert fates[Fate.COMPRESSED] > 0
