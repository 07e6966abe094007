"""One page of what the archive finds."""

from dataclasses import dataclass

from isocenter.archive.archive import Archive
from isocenter.storage.query import Query
from isocenter.storage.records import Match


@dataclass(frozen=True, slots=True)
class Gathered:
    """A page, whole, and how much is behind it."""

    matches: list[Match]
    behind: int
    """At least so many, if they are not counted."""
    is_counted: bool


async def gather(archive: Archive, query: Query) -> Gathered:
    """Find as many as ``query.limit`` asks for. Raises: Malformed, Unavailable."""
    answer = await archive.answer(query)
    matches = list(answer.first)
    async for page in answer.pages:
        matches += page
    behind = max(0, answer.behind - (len(matches) - len(answer.first)))
    return Gathered(matches, behind, answer.is_counted)
