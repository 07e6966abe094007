"""Files of instances, whole and in part."""

import io
import zlib
from pathlib import Path

import pydicom
import pytest

from isocenter.archive import retrieve
from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import Opened, each
from isocenter.dicom.syntax import DEFLATED_LE, EXPLICIT_LE
from made_instances import Kept, image


@pytest.fixture(params=[8 << 20, 100], ids=["in one window", "in several"])
async def opened(
    request: pytest.FixtureRequest, archive: Archive, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> Opened:
    monkeypatch.setattr(retrieve, "WINDOW", request.param)
    await kept.store(image(PixelData=bytes(range(256)) * 4))
    (instance,) = await kept.refs()
    return await archive.read(instance)


async def whole(pieces: retrieve.Pieces) -> bytes:
    return b"".join([bytes(piece) async for piece in each(pieces)])


async def test_a_file_is_given_as_it_is_kept(opened: Opened, archive: Archive) -> None:
    content = Path(archive.store.path(opened.instance.blob_key)).read_bytes()

    assert await whole(opened.file()) == content
    assert pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID == "1.2.3.4"
    opened.close()


async def test_any_part_of_a_file_can_be_had(opened: Opened) -> None:
    content = await whole(opened.file())

    for start in (0, 1, 50, 700, len(content) - 1, len(content)):
        for end in (start, start + 1, start + 150, len(content), len(content) + 10, None):
            assert await whole(opened.file(start, end)) == content[start:end]
    opened.close()


async def test_the_checksum_is_that_of_the_whole_file(opened: Opened) -> None:
    assert await opened.checksum() == zlib.crc32(await whole(opened.file()))
    opened.close()


@pytest.mark.parametrize("target", [EXPLICIT_LE, DEFLATED_LE])
async def test_a_file_in_another_syntax_says_so_and_means_the_same(
    opened: Opened, target: retrieve.TransferSyntax
) -> None:
    before = pydicom.dcmread(io.BytesIO(await whole(opened.file())))

    after = pydicom.dcmread(io.BytesIO(await whole(opened.file_in(target))))

    assert after.file_meta.TransferSyntaxUID == target.uid
    assert after == before
    opened.close()
