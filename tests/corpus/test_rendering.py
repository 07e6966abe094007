"""Every image of the corpus can be seen, as a file, and in every media type of stills."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from PIL import Image as Pillow

import made_videos
from corpus_files import REASON, ROOT, name, paths
from isocenter.archive.archive import Archive
from isocenter.archive.films import Films
from isocenter.archive.rendering import Renderings
from isocenter.config import ArchiveConfig, Config
from isocenter.dicom import part10
from isocenter.dicom.elements import elements
from isocenter.dicomweb import rendered, routing
from isocenter.errors import IsocenterError
from isocenter.imaging.from_files import rendered as rendered_file
from isocenter.imaging.looks import Look
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.workers import Workers

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# Published as headers: the pixel data is empty.
WITHOUT_PIXELS = {
    "images/dx-cr/px-newtom-panoramic-header.dcm",
    "images/nm/nm-siemens-68frame-header.dcm",
}
FILES = [path for path in paths() if not name(path).startswith("media/")]


def has_pictures(path: Path) -> bool:
    """Whether a person should see something."""
    with path.open("rb") as file:
        header = part10.read(file)
        data = path.read_bytes()[header.dataset_offset :]
    if name(path) in WITHOUT_PIXELS:
        return False
    return any(each.tag in PIXELS for each in elements(data, header.syntax))


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    workers = Workers(2)
    yield workers
    workers.close()


@pytest.fixture
async def web(tmp_path: Path, workers: Workers) -> AsyncIterator[httpx.AsyncClient]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=2))
    archive.renderings = Renderings(archive.index, archive.opened, workers)
    archive.films = Films(
        archive.renderings, archive.store, archive.films.files, workers, archive.ingest.workers
    )
    serving = httpx.ASGITransport(routing.application(archive, Config()))
    async with httpx.AsyncClient(transport=serving, base_url="http://archive") as client:
        yield client
    await archive.close()


async def stored(web: httpx.AsyncClient, path: Path) -> list[str]:
    """Where it is: the study, the series, the instance, a frame; nothing, if it is refused."""
    headers = {"content-type": "application/dicom"}
    answer = await web.post("/studies", content=path.read_bytes(), headers=headers)
    if answer.status_code != 200:
        return []
    place = str(answer.json()["00081199"]["Value"][0].get("00081190", {}).get("Value", [""])[0])
    if "/instances/" not in place:
        return []
    series, study = place.rpartition("/instances/")[0], place.rpartition("/series/")[0]
    return [study, series, place, f"{place}/frames/1"]


def test_every_file_is_rendered_without_a_server() -> None:
    """Those too that no archive would keep, for want of an identifier."""
    look = Look(media_type="image/png", viewport=Viewport(width=32, height=32))
    seen = 0
    for path in FILES:
        if not name(path).startswith("malformed/") and has_pictures(path):
            file = b"".join(bytes(piece) for piece in rendered_file(path, look))
            with Pillow.open(io.BytesIO(file)) as picture:
                assert max(picture.size) == 32, path
            seen += 1
    assert seen > 340


@pytest.mark.parametrize("accept", [each for each in rendered.STILLS if each != "image/png"])
async def test_the_other_media_types_are_written(web: httpx.AsyncClient, accept: str) -> None:
    for folder in ("images/us", "images/sc-ot", "parametric-map"):
        for path in sorted((ROOT / folder).glob("*.dcm"))[:6]:
            try:
                is_seen = has_pictures(path)
            except IsocenterError:
                is_seen = False
            if is_seen:
                (_, _, place, _) = await stored(web, path)
                answer = await web.get(f"{place}/rendered", headers={"accept": accept})

                assert answer.status_code == 200, path
                assert answer.headers["content-type"] == accept


def frames_of(path: Path) -> int:
    """Frames that are to be played; 0, where that is not told, or they are a slide's tiles."""
    told = ["NumberOfFrames", "TotalPixelMatrixRows"]
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=told)
        count = int(header.get("NumberOfFrames", 1) or 1)
    except Exception:
        return 0
    return 0 if header.get("TotalPixelMatrixRows") else count


@pytest.mark.parametrize("path", [each for each in FILES if 1 < frames_of(each) <= 200], ids=name)
async def test_what_moves_is_played(web: httpx.AsyncClient, path: Path) -> None:
    (*_, place, _) = await stored(web, path) or ["", ""]
    if not place:
        return

    answer = await web.get(f"{place}/rendered", headers={"accept": "video/mp4"}, timeout=60)

    if name(path).startswith("malformed/") or not has_pictures(path):
        assert answer.status_code in (200, 404, 406), answer.text
        return
    assert answer.status_code == 200, answer.text
    played = made_videos.read(answer.content)
    assert len(played.times) == frames_of(path)
    assert played.codec == "h264"
