"""Removal, its undoing, and the end of what was removed: one rule for every front door.

What is removed is gone at once for all who ask; its bytes stay until a deadline, and until then it
can be put back as it was. Then, or when somebody says so, they are deleted.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from isocenter.archive.bell import Bell
from isocenter.archive.catalogue import Catalogue
from isocenter.archive.ingest import Announced
from isocenter.config import Config
from isocenter.dicom import part10
from isocenter.dicom.layout import Limits
from isocenter.dicom.scanner import Scanner
from isocenter.errors import Conflict, Denied, IsocenterError, Malformed, NotFound
from isocenter.storage.attributes import WANTED
from isocenter.storage.blobs import BlobStore
from isocenter.storage.entry import Entry, entry_of
from isocenter.storage.records import Incoming, Removed, Selection
from isocenter.storage.removal_records import Order, Removal, RemovedBlob
from isocenter.storage.removals import Position, Return

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive

log = logging.getLogger(__name__)

CODES: Final = {
    "113001": "Rejected for Quality Reasons",
    "113037": "Rejected for Patient Safety Reasons",
    "113038": "Incorrect Modality Worklist Entry",
    "113039": "Data Retention Policy Expired",
}
"""Why something is removed: code values of DCM and their meanings (PS3.16 CID 7011)."""
LONGEST_REASON: Final = 1024
PAGE: Final = 200
"""Blobs that are put back at a time."""
WINDOW: Final = 1 << 16
LONGEST_NAP: Final = 24 * 3600.0
"""Seconds after which a deadline is looked at again: clocks are set."""
PAUSE: Final = 60.0
"""Seconds before deleting is tried again, after it failed."""
_ADDED: Final = "removal"


def refuse_if_forbidden(config: Config) -> None:
    """Raises: Denied, where the settings keep who calls over HTTP from removing."""
    if not may_remove(config):
        raise Denied(
            "nothing is removed from here on this server"
            f' (its setting [dicomweb] removal is "{config.dicomweb.removal}")'
        )


def may_remove(config: Config) -> bool:
    """Whether who calls over HTTP may remove, put back, and delete for good."""
    return config.permits(config.dicomweb.removal)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of undoing a removal."""

    removal: Removal
    instances: int
    """That are back."""
    there: int = 0
    """That had been stored again meanwhile, as they were."""


class Removals:
    """Takes out, puts back, and lets go. Belongs to one event loop."""

    def __init__(self, archive: "Archive", retention: float, limits: Limits) -> None:
        self._archive = archive
        self._store = archive.index.removals
        self._retention = retention
        self._limits = limits
        self._catalogue = Catalogue()
        self._bell = Bell()
        self._busy = asyncio.Lock()
        self._going: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Delete what is due from now on, when it is."""
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Leave what is not due yet to the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def remove(
        self,
        selection: Selection,
        *,
        who: str = "",
        code: str = "",
        reason: str = "",
        is_final: bool = False,
    ) -> Removed:
        """Take instances out; ``is_final``: with no way back.

        Raises: Malformed, for a code that is not in ``CODES``; Conflict, where the selection does
        not tell several patients apart; Unavailable.
        """
        if code and code not in CODES:
            raise Malformed("there is no such code for a reason")
        order = Order(who=who, code=code, reason=reason[:LONGEST_REASON], retention=self._retention)
        removed = await self._remove(selection, order)
        if not removed.instances:
            return removed
        told = {"instances": removed.instances, "removal": removed.removal, "by": who}
        log.warning("removed", extra=told)
        async for page in self._pages(removed.removal):
            self._archive.opened.drop([blob.blob_key for blob in page])
        if is_final or not self._retention:
            await self.purge(removed.removal)
        else:
            self._bell.ring((_ADDED,))
        return removed

    async def _remove(self, selection: Selection, order: Order) -> Removed:
        """Take them out, some at a time; what is put back meanwhile waits for the rest."""
        ended = asyncio.Event()
        self._going.add(ended)
        try:
            return await self._archive.index.remove(selection, order)
        finally:
            self._going.discard(ended)
            ended.set()

    async def find(self, number: int) -> Removal:
        """Raises: NotFound, Unavailable."""
        return await self._store.find(number)

    async def page(self, limit: int, after: Position | None = None) -> list[Removal]:
        """The newest removals, or those behind ``after``. Raises: Unavailable."""
        return await self._store.page(limit, after)

    async def of_study(self, study_uid: str) -> Removal | None:
        """The newest removal that can be undone and took from a study. Raises: Unavailable."""
        return await self._store.of_study(study_uid)

    async def of_blobs(self, blob_keys: Sequence[str]) -> dict[str, int]:
        """Which removals took blobs, of those that can be undone. Raises: Unavailable."""
        return await self._store.of_blobs(blob_keys)

    async def restore(self, number: int) -> Restored:
        """Put back all that a removal took out, as it was.

        Done again after a crash, it goes on. Raises: NotFound; Conflict, where its bytes are gone,
        or another instance is in the way of one: the others are back then; Unavailable.
        """
        tally = dict.fromkeys(Return, 0)
        for ended in tuple(self._going):  # it may be among them, and not all be gone yet
            await ended.wait()
        async with self._busy:  # not while it is being deleted
            if (await self._store.find(number)).purged_at:
                raise Conflict("its bytes have been deleted: nothing can be put back")
            async for page in self._pages(number):
                for blob, fate in zip(page, await self._put_back(page), strict=True):
                    tally[fate] += not blob.replaced_at
            removal = await self._store.settle(number)
        log.warning("put back", extra={"instances": tally[Return.BACK], "removal": number})
        if tally[Return.THERE]:
            await self._archive.delete_blobs()
        if tally[Return.IN_THE_WAY]:
            raise Conflict(
                f"{tally[Return.BACK]} instances are back, {tally[Return.IN_THE_WAY]} are not:"
                " others with their SOP Instance UIDs were stored meanwhile. Remove those first"
            )
        return Restored(removal, tally[Return.BACK], tally[Return.THERE])

    async def purge(self, number: int) -> None:
        """Delete the bytes of what a removal took out.

        Raises: NotFound; Conflict, where it was put back; Unavailable.
        """
        async with self._busy:  # not while it is being put back
            if (await self._store.find(number)).restored_at:
                raise Conflict("it was put back: there is nothing to delete")
            await self._store.purge(number)
        log.warning("deleted for good", extra={"removal": number})
        await self._archive.delete_blobs()

    # --- putting back

    async def _pages(self, number: int) -> AsyncIterator[list[RemovedBlob]]:
        after = (-1, "")
        while page := await self._store.blobs(number, PAGE, after):
            yield page
            after = (page[-1].stored_at, page[-1].blob_key)

    async def _put_back(self, page: Sequence[RemovedBlob]) -> list[Return]:
        """Enter instances in their order: what a study is called, its first one says."""
        entries = await asyncio.gather(*map(self._entry, page))
        puts = map(self._store.put_back, page, entries)
        # They reach the one writer in this order, and are committed together.
        return await asyncio.gather(*puts)

    async def _entry(self, blob: RemovedBlob) -> Entry | None:
        if blob.replaced_at:
            return None
        try:
            return await self._archive.in_worker(partial(self._read, self._archive.store, blob))
        except NotFound as error:
            raise Conflict("bytes of an instance are missing: not all can be put back") from error

    def _read(self, store: BlobStore, blob: RemovedBlob) -> Entry:
        """Read what the index is told; of pixel data, and what is behind it, nothing."""
        opened = store.open(blob.blob_key)
        try:
            header = part10.read(opened.window(0, WINDOW))
            scanner = Scanner(header.syntax, WANTED, limits=self._limits)
            at = header.dataset_offset
            while at < opened.size and scanner.pixel_data is None:
                scanner.feed(opened.window(at, at + WINDOW))
                at += WINDOW
            if scanner.pixel_data is None:
                scanner.finish()
            drawn = self._catalogue.draw(scanner, Announced(header.syntax.uid))
        finally:
            opened.close()
        return entry_of(
            Incoming(
                attributes=drawn.attributes,
                upper=drawn.upper,
                transfer_syntax=header.syntax.uid,
                blob_key=blob.blob_key,
                size=blob.size,
                digest=blob.digest,
                dataset_offset=header.dataset_offset,
                received_digest=blob.received_digest,
            )
        )

    # --- letting go

    async def _follow(self) -> None:
        with self._bell.listening(_ADDED) as rung:
            while True:
                rung.clear()
                try:
                    rest = await self._let_go()
                except IsocenterError as error:
                    log.error("what was removed is not deleted", extra={"why": str(error)})
                    rest = PAUSE
                try:
                    async with asyncio.timeout(None if rest is None else min(rest, LONGEST_NAP)):
                        await rung.wait()
                except TimeoutError:
                    continue

    async def _let_go(self) -> float | None:
        """Delete what is due; return the seconds until there is more, None for never."""
        while (removal := await self._store.next_due()) is not None:
            rest = removal.due_at / 1_000_000 - time.time()
            if rest > 0 and not removal.purged_at:
                return rest
            await self.purge(removal.number)
        return None
