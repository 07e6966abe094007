"""Files that a person sends, one after the other as they come, zip archives among them.

The rule is that of ``importing``. A DICOM file goes on as it comes; a zip archive, whose list of
members stands at its end, is put on disk first.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from isocenter.archive import zips
from isocenter.archive.backpressure import Owner, Share
from isocenter.archive.importing import Imported, Sender, conclude, import_found
from isocenter.archive.media import is_named_zip
from isocenter.archive.upload import Expected, Upload
from isocenter.storage.scratch import FileScratch

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive

GATHERED: Final = 1 << 20
"""Bytes that are put on disk together."""


class Arriving(Protocol):
    """One file on its way in."""

    name: str
    is_unpacked: bool
    """Whether it is looked into for members."""

    async def write(self, data: memoryview, owner: Owner | None = None) -> None:
        """Take the next bytes; return when more may come. Raises: Unavailable."""

    def finish(self) -> AsyncGenerator[Imported]:
        """Say that it is complete; yields what became of what was in it. Raises: Unavailable."""

    async def close(self) -> None:
        """Leave nothing of what is not complete."""


def arriving(archive: "Archive", name: str, sender: Sender, limits: zips.Limits) -> Arriving:
    """Begin to take in the file ``name``."""
    share = archive.budget.share()
    if is_named_zip(name):
        return _Packed(archive, name, sender, limits)
    return _Plain(archive, name, sender, share)


class _Plain:
    is_unpacked = False

    def __init__(self, archive: "Archive", name: str, sender: Sender, share: Share) -> None:
        self.name = name
        self._share = share
        self._size = 0
        by, to = sender.sent_by, sender.received_by
        self._upload: Upload = archive.upload(share, Expected(), sent_by=by, received_by=to)
        self._is_complete = False

    async def write(self, data: memoryview, owner: Owner | None = None) -> None:
        self._size += len(data)
        self._upload.write(data, owner)
        await self._share.room()

    async def finish(self) -> AsyncGenerator[Imported]:
        self._is_complete = True
        yield await conclude(self._upload, self.name, self._size)

    async def close(self) -> None:
        if not self._is_complete:
            self._upload.abandon()


class _Packed:
    is_unpacked = True

    def __init__(self, archive: "Archive", name: str, sender: Sender, limits: zips.Limits) -> None:
        self._archive = archive
        self.name = name
        self._sender = sender
        self._limits = limits
        self._scratch: FileScratch | None = None
        self._file: BinaryIO | None = None
        self._held: list[bytes] = []
        self._size = 0

    async def write(self, data: memoryview, owner: Owner | None = None) -> None:
        self._held.append(bytes(data))
        self._size += len(data)
        if self._size >= GATHERED:
            await self._put()

    async def finish(self) -> AsyncGenerator[Imported]:
        archive, scratch = self._archive, await self._put()
        self._file = file = await archive.in_worker(scratch.file)
        found = zips.look_into(self.name, scratch, file, self._limits)
        outcomes = import_found(archive.ingest, found, self._sender, archive.budget)
        async with aclosing(outcomes):
            async for imported in outcomes:
                yield imported

    async def close(self) -> None:
        self._held.clear()
        file, self._file = self._file, None
        scratch, self._scratch = self._scratch, None
        for each in (file, scratch):
            if each is not None:
                with suppress(RuntimeError):  # the workers have gone, and it with the process
                    await self._archive.in_worker(each.close)

    async def _put(self) -> FileScratch:
        if self._scratch is None:
            self._scratch = await self._archive.in_worker(self._archive.store.scratch)
        held, self._held, self._size = self._held, [], 0
        await self._archive.in_worker(partial(self._scratch.write, held))
        return self._scratch
