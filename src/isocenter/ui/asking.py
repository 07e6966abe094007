"""What the pages ask of the archive."""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.archive.archive import Archive
from isocenter.dicom.identity import may_be_uid
from isocenter.errors import NotFound
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Match

_PLACE: Final = re.compile(r"(\d{1,18})-(\d{1,18})")
STUDY_UID, SERIES_UID, INSTANCE_UID = 0x0020000D, 0x0020000E, 0x00080018


def archive_of(request: Request) -> Archive:
    """The archive whose pages these are."""
    archive: Archive = request.app.state.archive
    return archive


def uid_of(request: Request, name: str) -> str:
    """The UID that a path gives for ``name``. Raises: NotFound."""
    given = str(request.path_params[name])
    if not is_uid(given):
        raise NotFound("that is not a UID")
    return given


async def study(request: Request) -> Match:
    """The study that a path names; where several patients have its UID, ``of`` says whose.

    Raises: NotFound; Conflict, where it does not.
    """
    handle = request.query_params.get("of", "")
    return await archive_of(request).corrections.study(uid_of(request, "study"), handle)


def place(request: Request) -> tuple[int, int] | None:
    """The place in a list behind which to go on: a moment and a number.

    Raises: HTTPException 400.
    """
    text = request.query_params.get("after")
    if text is None:
        return None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise HTTPException(400, "the place in the list cannot be read")
    return int(found[1]), int(found[2])


def is_uid(given: str) -> bool:
    """Whether that may be asked for: wild cards are none in a UID, but would be in a query."""
    return may_be_uid(given) and not any(each in given for each in '*?\\"')


async def every(
    archive: Archive,
    level: Level,
    *keys: Key,
    of: Match | None = None,
    returns: frozenset[int] | None = None,
) -> AsyncIterator[dict[str, Any]]:
    """The attributes of all that matches, in the order of the level; ``of`` a study, if given."""
    studies = None if of is None else frozenset((of.study,))
    query = Query(level=level, keys=keys, returns=returns, studies=studies)
    async for page in archive.search(query):
        for match in page:
            yield match.attributes


async def some(archive: Archive, level: Level, keys: Sequence[Key], limit: int) -> list[Match]:
    """The first that match."""
    return (await archive.answer(Query(level=level, keys=tuple(keys), limit=limit))).first
