"""Rendered resources before there is rendering: 501, unless the request is wrong anyway."""

from __future__ import annotations

import httpx
import pytest

from made_instances import Kept, image

STUDY = "/studies/1.2"
INSTANCE = f"{STUDY}/series/1.2.3/instances/1.2.3.4"
PLACES = [STUDY, f"{STUDY}/series/1.2.3", INSTANCE, f"{INSTANCE}/frames/1,2"]
KINDS = ["rendered", "thumbnail", "renderedmpr", "rendered3d"]


@pytest.fixture(autouse=True)
async def one(kept: Kept) -> None:
    await kept.store(image())


async def test_what_is_not_rendered_yet_is_told_so(web: httpx.AsyncClient) -> None:
    paths = [f"{place}/{kind}" for place in PLACES for kind in KINDS]

    for path in [*paths, f"{STUDY}/series/rendered3d"]:
        for media_type in ("image/jpeg", "*/*", "image/*", 'multipart/related; type="image/png"'):
            answer = await web.get(path, headers={"accept": media_type})

            assert answer.status_code == 501, path
            assert answer.headers["content-type"] == "application/problem+json"


async def test_what_no_rendering_is_cannot_be_had(web: httpx.AsyncClient) -> None:
    for place in PLACES:
        answer = await web.get(f"{place}/rendered", headers={"accept": "application/dicom"})

        assert answer.status_code == 406
        assert "image/jpeg" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/studies/9.9/rendered", 404),
        ("/studies/9.9/series/1.2.3/rendered", 404),
        (f"{STUDY}/series/1.2.3/instances/9.9/thumbnail", 404),
        ("/studies/x/rendered", 400),
        (f"{INSTANCE}/frames/0/rendered", 400),
        (f"{INSTANCE}/frames/1,,2/rendered", 400),
        (f"{INSTANCE}/frames/a/thumbnail", 400),
    ],
)
async def test_what_is_not_there_or_wrong_is_told(
    web: httpx.AsyncClient, path: str, status: int
) -> None:
    assert (await web.get(path, headers={"accept": "image/jpeg"})).status_code == status
