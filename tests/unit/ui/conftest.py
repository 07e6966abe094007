"""The pages over a real archive, called without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config
from isocenter.ui.application import application
from made_instances import Kept


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    yield archive
    await archive.close()


@pytest.fixture
def kept(archive: Archive) -> Kept:
    return Kept(archive)


@pytest.fixture
async def browser(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """Asks for pages as a browser does, without running what is on them."""
    transport = httpx.ASGITransport(application(archive, Config()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client
