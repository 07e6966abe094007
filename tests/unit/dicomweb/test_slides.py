"""Whole slides over the web: regions of them, what is too large, what a thumbnail may show."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from made_instances import Kept
from made_pictures import seen
from made_slides import concatenated, halved, level, picture

WHOLE = picture()
SERIES = "/studies/1.2/series/1.2.3"
SLIDE = f"{SERIES}/instances/1.2.5.1"
URI = {"requestType": "WADO", "studyUID": "1.2", "seriesUID": "1.2.3", "objectUID": "1.2.5.1"}


@pytest.fixture
async def slide(kept: Kept) -> None:
    await kept.store(level("1.2.5.2", halved(WHOLE)))
    await kept.store(level("1.2.5.1", WHOLE))


async def get(web: httpx.AsyncClient, path: str, **query: str) -> httpx.Response:
    return await web.get(path, headers={"accept": "image/png"}, params=query)


@pytest.mark.usefixtures("slide")
@pytest.mark.parametrize("path", [SLIDE, SERIES])
async def test_a_viewport_is_in_pixels_of_the_finest_total_matrix(
    web: httpx.AsyncClient, path: str
) -> None:
    answer = await get(web, f"{path}/rendered", viewport="60,50,120,40,60,50")

    assert answer.status_code == 200, answer.text
    assert np.array_equal(seen(answer.content), WHOLE[40:90, 120:180])


@pytest.mark.usefixtures("slide")
async def test_the_uri_service_takes_the_region_as_part_of_the_whole(
    web: httpx.AsyncClient,
) -> None:
    answer = await get(web, "/wado", **URI, region="0.5,0.2,1,0.6", columns="50")

    assert answer.status_code == 200, answer.text
    assert np.array_equal(seen(answer.content), halved(WHOLE)[15:45, 50:])


@pytest.mark.usefixtures("slide")
@pytest.mark.parametrize("path", [SLIDE, SERIES, "/studies/1.2"])
async def test_a_thumbnail_shows_all_of_the_slide(web: httpx.AsyncClient, path: str) -> None:
    answer = await get(web, f"{path}/thumbnail", viewport="100,100")

    assert answer.status_code == 200, answer.text
    assert np.array_equal(seen(answer.content), halved(WHOLE))


@pytest.mark.usefixtures("slide")
async def test_a_frame_is_still_a_tile(web: httpx.AsyncClient) -> None:
    answer = await get(web, f"{SLIDE}/frames/2/rendered")

    assert np.array_equal(seen(answer.content), WHOLE[:32, 32:64])


@pytest.mark.parametrize("path", [SLIDE, SERIES])
async def test_what_is_too_large_is_told_with_what_to_do(
    web: httpx.AsyncClient, kept: Kept, path: str
) -> None:
    sizes = {"TotalPixelMatrixColumns": 100_000, "TotalPixelMatrixRows": 100_000}
    await kept.store(level("1.2.5.1", WHOLE, **sizes))

    answer = await get(web, f"{path}/rendered")

    assert answer.status_code == 413
    assert "viewport" in answer.json()["detail"]


async def test_a_picture_of_a_slide_is_another_when_more_of_it_arrives(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    first, second = concatenated(level("1.2.5.1", WHOLE), 20)
    await kept.store(first)
    before = await get(web, f"{SERIES}/instances/1.2.5.1.1/rendered")
    await kept.store(second)

    after = await web.get(
        f"{SERIES}/instances/1.2.5.1.1/rendered",
        headers={"accept": "image/png", "if-none-match": before.headers["etag"]},
    )

    assert after.status_code == 200
    assert np.array_equal(seen(after.content), WHOLE)
