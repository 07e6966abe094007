"""Instances of the archive that are to be sent, opened while others are on their way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import Current, Opened, opened
from isocenter.errors import IsocenterError, NotFound
from isocenter.services.feed import Prepared, Ready, Refused
from isocenter.services.sending import Kind
from isocenter.storage.records import InstanceRef, Selection

AT_A_TIME: Final = 500
"""Instances of which it is asked together whether they are done."""

DoneOf = Callable[[Sequence[str]], Awaitable[set[str]]]


class SelectionFeed:
    """Gives out what is selected, less what is done already."""

    def __init__(self, archive: Archive, selection: Selection, done_of: DoneOf) -> None:
        self.kinds: dict[Kind, None] = {}
        self.gone = 0
        """Instances that were removed from the archive before their turn came."""
        self.met = 0
        """Instances of the selection, those that are done already among them."""
        self.is_through = False
        """Nothing is left to be given out."""
        self._is_given_up = False
        self._archive = archive
        self._selection = selection
        self._done_of = done_of
        self._turn = asyncio.Lock()
        self._opened: AsyncGenerator[tuple[InstanceRef, Opened | IsocenterError], None] = opened(
            Current(archive), self._pages()
        )

    async def scout(self) -> None:
        """Get to know all kinds, so that one association serves them."""
        kinds = await self._archive.index.kinds(self._selection)
        self.kinds = dict.fromkeys(kinds)

    async def next(self) -> Prepared | None:
        """Return the next instance, or None after the last."""
        async with self._turn:
            while not self._is_given_up:
                try:
                    instance, found = await anext(self._opened)
                except StopAsyncIteration:
                    self.is_through = True
                    return None
                uid = instance.sop_instance_uid
                if isinstance(found, Opened):
                    return Ready(uid, found)
                if isinstance(found, NotFound) and not await self._is_here(instance):
                    self.gone += 1
                    continue
                return Refused(uid, str(found), found)
        return None

    def prepare(self) -> None:
        """Nothing: instances are opened ahead anyway."""

    def give_up(self, reason: str) -> None:
        """Give out nothing more: what is not sent is told by its absence."""
        self._is_given_up = True

    async def close(self) -> None:
        """Let go of what was opened and not given out."""
        await self._opened.aclose()

    async def _is_here(self, instance: InstanceRef) -> bool:
        uid, key = instance.sop_instance_uid, instance.blob_key
        return await self._archive.index.has_blob(uid, key)

    async def _pages(self) -> AsyncIterator[list[InstanceRef]]:
        async for page in self._archive.instances(self._selection):
            self.met += len(page)
            for start in range(0, len(page), AT_A_TIME):
                some = page[start : start + AT_A_TIME]
                done = await self._done_of([each.sop_instance_uid for each in some])
                yield [each for each in some if each.sop_instance_uid not in done]
