"""Providers over a real archive, with associations that are not there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig
from made_instances import Kept


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    yield archive
    await archive.close()


@pytest.fixture
def kept(archive: Archive) -> Kept:
    return Kept(archive)
