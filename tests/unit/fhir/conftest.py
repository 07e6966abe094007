"""The services of FHIR over a real archive, called without a socket."""

from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from fhir_checks import check
from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config, FhirConfig
from isocenter.fhir import routing
from made_instances import Kept

Resource = dict[str, Any]
Get = Callable[..., Coroutine[Any, Any, Resource]]


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=4))
    yield archive
    await archive.close()


@pytest.fixture
def kept(archive: Archive) -> Kept:
    return Kept(archive)


@pytest.fixture
def settings() -> FhirConfig:
    """Overridden where a test needs others."""
    return FhirConfig()


@pytest.fixture
async def web(archive: Archive, settings: FhirConfig) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server; paths are those of users."""
    served = Starlette(routes=[Mount("/fhir", routing.application(archive, Config(fhir=settings)))])
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client


@pytest.fixture(params=["R4", "R5"])
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def get(web: httpx.AsyncClient, release: str) -> Get:
    """Ask for a path of one release, and have the answer checked."""

    async def ask(path: str, status: int = 200, **more: Any) -> Resource:
        url = path if path.startswith("http") else f"/fhir/{release}/{path}"
        answer = await web.get(url, **more)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/fhir+json"
        return check(answer.json(), release)

    return ask
