"""The web services over a real archive, called without a socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.archive.films import Films
from isocenter.archive.rendering import Renderings
from isocenter.config import ArchiveConfig, Config, DicomwebConfig
from isocenter.dicomweb import routing
from isocenter.imaging.workers import Workers


@pytest.fixture
async def archive(tmp_path: Path, workers: Workers) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    archive.renderings = Renderings(archive.index, archive.opened, workers)
    archive.films = Films(
        archive.renderings, archive.store, archive.films.files, workers, archive.ingest.workers
    )
    yield archive
    await archive.close()


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
