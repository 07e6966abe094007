"""The web services over a real archive, called without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.dicomweb import routing
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
def limits() -> DicomwebConfig:
    """Overridden where a test needs others."""
    return DicomwebConfig()


@pytest.fixture
async def web(archive: Archive, limits: DicomwebConfig) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the services; paths are below their root."""
    served = routing.application(archive, Config(dicomweb=limits))
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client
