"""What the quick look shows of a series: each instance, what it is and how many frames it has."""

import re
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.archive.archive import Archive
from isocenter.errors import NotFound
from isocenter.imaging.waveforms import is_waveform
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key
from isocenter.storage.records import Match
from isocenter.ui import asking
from isocenter.ui.formats import text_of

MOST: Final = 20_000
"""Instances of one answer: a series with more opens with the first of them."""

_VIDEO: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.77.1.{each}.1" for each in (1, 2, 4))
_DOCUMENTS: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.104.{each}" for each in (1, 2))
_COUNT: Final = re.compile(r"\+?([0-9]{1,9})(?![0-9.])", re.ASCII)
"""The first of several, if it is a whole number."""
_RETURNED: Final = frozenset((0x00080016, 0x00080018, 0x00280008, 0x00280010, 0x00280011))


async def listed(request: Request) -> Response:
    """GET /studies/{study}/series/{series}/images: a JSON array of what there is to see."""
    study = await asking.study(request)
    return await answer(asking.archive_of(request), study, asking.uid_of(request, "series"))


async def answer(archive: Archive, study: Match, series: str) -> Response:
    """What there is to see of a series of a study. Raises: NotFound."""
    keys = (
        Key(asking.STUDY_UID, text_of(study.attributes, asking.STUDY_UID)),
        Key(asking.SERIES_UID, series),
    )
    found: list[dict[str, Any]] = []
    async for each in asking.every(archive, Level.IMAGE, *keys, of=study, returns=_RETURNED):
        found.append(_seen(each))
        if len(found) == MOST:
            break
    if not found:
        raise NotFound("the study has no such series")
    return Response(orjson.dumps(found), media_type="application/json")


def _seen(attributes: dict[str, Any]) -> dict[str, Any]:
    columns = _count(attributes, 0x00280011)
    return {
        "uid": text_of(attributes, asking.INSTANCE_UID),
        "kind": _kind(text_of(attributes, 0x00080016), is_image=columns > 0),
        "frames": max(1, _count(attributes, 0x00280008)),
        "rows": _count(attributes, 0x00280010),
        "columns": columns,
    }


def _count(attributes: dict[str, Any], tag: int) -> int:
    """A number of an instance; 0 where it is none, as in what some devices send (PS3.5 6.2)."""
    found = _COUNT.match(text_of(attributes, tag))
    return int(found[1]) if found else 0


def _kind(sop_class: str, *, is_image: bool) -> str:
    if sop_class in _VIDEO:
        return "video"
    if sop_class in _DOCUMENTS:
        return "document"
    if is_waveform(sop_class):
        return "waveform"
    return "image" if is_image else "card"


ROUTES = (Route("/studies/{study}/series/{series}/images", listed, name="images"),)
