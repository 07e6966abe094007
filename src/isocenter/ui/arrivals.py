"""What pages that show studies are told: one reader of the change feed, for all of them.

Those who look at the same list in the same language share one search and one rendering.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Final
from urllib.parse import parse_qsl

from isocenter.archive.archive import Archive
from isocenter.archive.live import Listener
from isocenter.errors import IsocenterError
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Change
from isocenter.ui import asking, language
from isocenter.ui.filters import Filters
from isocenter.ui.language import Language
from isocenter.ui.page import made
from isocenter.ui.worklist import StudyRow, query_of, rows_of

log = logging.getLogger(__name__)

GATHER: Final = 1.0
"""Seconds for which changes are gathered after some were told: a study comes in many instances."""
PAGE: Final = 1_000
"""Changes that are read at once."""
MOST_STUDIES: Final = 100
"""Studies that are told one by one; of more, only that there are."""
MOST_MISSED: Final = 5_000
"""Changes that are told to somebody who was away."""
PAUSE: Final = 30.0
"""Seconds before the feed is read again, after it could not be."""
AGAIN: Final = {"again": True}
"""What tells a page to ask for everything anew."""
WORKLIST, STUDY, CHANGES = "worklist", "study", "changes"


def worklist_topic(filters: Filters, tongue: Language) -> str:
    """The topic of those who look at such a list."""
    return f"{WORKLIST}:{tongue.code}:{filters.in_any_order.parameters}"


def study_topic(uid: str) -> str:
    """The topic of those who look at a study."""
    return f"{STUDY}:{uid}"


class Arrivals:
    """Follows the change feed while somebody listens. Belongs to one event loop."""

    def __init__(self, archive: Archive, viewers: Callable[[], dict[str, bool]]) -> None:
        self._archive = archive
        self._viewers = viewers
        self._live = archive.live
        self._listening = 0
        self._following: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._begun = asyncio.Event()
        self._telling = asyncio.Lock()
        self.seen = 0
        """All that changed up to this was told."""

    @contextmanager
    def _followed(self) -> Iterator[None]:
        """Have the feed followed meanwhile."""
        self._listening += 1
        if self._following is None:
            self._begun.clear()
            self._following = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self._listening -= 1
            if not self._listening:
                self._following.cancel()
                self._following = None

    @asynccontextmanager
    async def listening(self, topics: Sequence[str]) -> AsyncIterator[tuple[Listener, int]]:
        """One more who listens; and the change behind which all will be told."""
        with self._followed(), ExitStack() as leaving:
            await self._begun.wait()
            async with self._telling:
                listener = leaving.enter_context(self._live.listening(topics))
                known = self.seen
            yield listener, known

    async def missed(self, topic: str, since: int, until: int) -> Any:
        """What was to be told of ``topic`` between two changes; None, if nothing."""
        found: list[Change] = []
        if since > until:
            return AGAIN  # the index was made anew, and counts from the beginning
        while since < until:
            if len(found) >= MOST_MISSED:
                return AGAIN
            page = await self._archive.index.changes(since, PAGE)
            found += page
            since = page[-1].seq if page else until
        return await self._content(topic, _studies(found))

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        changed = self._changed

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(changed.set)

        self._archive.index.on_change.append(tell)
        try:
            while True:
                try:
                    await self._read()
                except IsocenterError as error:
                    log.warning("live pages wait", extra={"why": str(error)})
                    await asyncio.sleep(PAUSE)
        finally:
            self._archive.index.on_change.remove(tell)

    async def _read(self) -> None:
        if not self._begun.is_set():
            self.seen = await self._archive.index.last_change()
            self._begun.set()
        while True:
            self._changed.clear()
            changes = await self._archive.index.changes(self.seen, PAGE)
            if not changes:
                await self._changed.wait()
                continue
            async with self._telling:  # nobody comes in between, to miss half of it
                await self._tell(changes)
                self.seen = changes[-1].seq
            if len(changes) < PAGE:
                await asyncio.sleep(GATHER)

    async def _tell(self, changes: Sequence[Change]) -> None:
        studies = _studies(changes)
        for topic in self._live.topics:
            try:
                content = await self._content(topic, studies)
            except IsocenterError as error:
                log.warning("a live page is not told", extra={"why": str(error)})
                content = AGAIN
            if content is not None:
                self._live.tell(topic, content, changes[-1].seq)

    async def _content(self, topic: str, studies: Sequence[str]) -> Any:
        """What is told of ``topic`` when ``studies`` have changed; None, if nothing."""
        kind, _, rest = topic.partition(":")
        if kind == STUDY:
            return {} if rest in studies else None
        if kind == CHANGES:
            return {} if studies else None
        if kind != WORKLIST or not studies:
            return None
        if len(studies) > MOST_STUDIES:
            return AGAIN
        code, _, parameters = rest.partition(":")
        filters = Filters.read(dict(parse_qsl(parameters)))
        return await self._rows(filters, language.LANGUAGES[code], studies)

    async def _rows(
        self, filters: Filters, tongue: Language, studies: Sequence[str]
    ) -> dict[str, Any]:
        """The rows of those that the list shows: others of the ``changed`` UIDs it does not."""
        wanted = Key(asking.STUDY_UID, any_of=tuple(studies))
        query: Query = query_of(filters, wanted)
        assert query.level is Level.STUDY
        found = [match async for page in self._archive.search(query) for match in page]
        rows = await rows_of(self._archive, found)
        return {
            "rows": [
                {
                    "study": row.uid,
                    "of": row.handle,
                    "key": match.position[-1],
                    "row": self._made(row, tongue),
                }
                for row, match in zip(rows, found, strict=True)
            ],
            "changed": list(studies),
        }

    def _made(self, row: StudyRow, tongue: Language) -> str:
        """A row as the list has it."""
        return made("_study_row.html", tongue, {"row": row, **self._viewers()})


def _studies(changes: Sequence[Change]) -> list[str]:
    return list(dict.fromkeys(each.study_instance_uid for each in changes))
