"""Slides of the corpus: regions of them are what wsidicom reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from wsidicom import WsiDicom

from corpus_files import REASON, ROOT
from isocenter.archive.archive import Archive
from isocenter.config import ArchiveConfig, Config
from isocenter.dicomweb import routing
from made_pictures import seen

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

COLOURED = ["sm-tiled-25frame.dcm", "sm-tiled-control.dcm", "sm-jpegls.dcm"]
PHILIPS = "sm-philips-j2k-15tiles.dcm"
REGIONS = [
    *((each, region) for each in COLOURED for region in ((0, 0, 50, 50), (7, 13, 30, 21))),
    *(
        (PHILIPS, region)
        for region in ((0, 0, 1216, 2368), (500, 490, 100, 100), (900, 2200, 300, 150))
    ),
]


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    archive = await Archive.open(tmp_path / "data", ArchiveConfig(file_threads=2))
    serving = httpx.ASGITransport(routing.application(archive, Config()))
    async with httpx.AsyncClient(transport=serving, base_url="http://archive") as client:
        yield client
    await archive.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("file", "region"), REGIONS)
async def test_a_region_is_what_wsidicom_reads(
    web: httpx.AsyncClient, file: str, region: tuple[int, int, int, int]
) -> None:
    path = ROOT / "wsi" / file
    headers = {"content-type": "application/dicom"}
    answer = await web.post("/studies", content=path.read_bytes(), headers=headers)
    place = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    left, top, columns, rows = region

    ours = await web.get(
        f"{place}/rendered",
        params={"viewport": f"{columns},{rows},{left},{top},{columns},{rows}"},
        headers={"accept": "image/png"},
    )

    with WsiDicom.open(path) as slide:
        theirs = np.asarray(slide.read_region((left, top), 0, (columns, rows))).astype(int)
    difference = np.abs(seen(ours.content).astype(int) - theirs)
    assert difference.max() <= 1
