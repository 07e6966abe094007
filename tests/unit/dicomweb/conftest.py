"""An application over a real archive, without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config
from isocenter.dicomweb.routing import application


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    yield archive
    await archive.close()


@pytest.fixture
async def client(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(archive, Config()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client
