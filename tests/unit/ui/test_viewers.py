"""Ways from the pages to the viewer, where there is one."""

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.ui.application import application
from made_instances import Kept, image


@pytest.mark.parametrize("is_installed", [True, False])
async def test_links_to_the_viewer_are_there_when_it_is(
    archive: Archive, kept: Kept, is_installed: bool
) -> None:
    await kept.store(image(StudyInstanceUID="9.1", PatientName='"><b>Doe'))
    await kept.store(image("1.2.9", StudyInstanceUID="9.2", SeriesInstanceUID="9.2.1"))
    pages = application(archive, Config(), has_ohif=lambda: is_installed)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(pages), base_url="http://archive"
    ) as browser:
        for path in ("/", "/studies/9.1"):
            text = (await browser.get(path)).text
            assert ('href="/ohif/viewer?StudyInstanceUIDs=9.1"' in text) == is_installed
            assert "<b>Doe" not in text


async def test_without_a_viewer_its_address_says_how_to_install_it(
    browser: httpx.AsyncClient,
) -> None:
    page = await browser.get("/ohif", headers={"accept-language": "de"})

    assert page.status_code == 404
    assert "Der Viewer ist nicht installiert" in page.text
    assert "isocenter viewer install --from FILE" in page.text
