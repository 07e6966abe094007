"""The pages over a real archive, called without a socket."""

from collections.abc import AsyncIterator

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.ui.application import application


@pytest.fixture
async def browser(archive: Archive) -> AsyncIterator[httpx.AsyncClient]:
    """Asks for pages as a browser does, without running what is on them."""
    transport = httpx.ASGITransport(application(archive, Config()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://archive") as client:
        yield client
