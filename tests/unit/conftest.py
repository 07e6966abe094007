"""An archive in a folder of its own, what to put into it, and who works on pixels."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig
from isocenter.imaging.workers import Workers
from made_instances import Kept


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    yield archive
    await archive.close()


@pytest.fixture
def kept(archive: Archive) -> Kept:
    return Kept(archive)


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    """One process for all tests: to start it takes longer than most of them."""
    workers = Workers(1)
    yield workers
    workers.close()
