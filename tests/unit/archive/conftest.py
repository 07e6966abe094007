"""An archive in a folder of its own, and what to put into it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig
from made_instances import Kept, Slab


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    yield archive
    await archive.close()


@pytest.fixture
def kept(archive: Archive) -> Kept:
    return Kept(archive)


@pytest.fixture(autouse=True)
def every_part_comes_back() -> Iterator[None]:
    Slab.lent = 0
    yield
    assert Slab.lent == 0, "parts of data sets were never given back"
