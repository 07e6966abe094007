"""Instances in a zip archive, each as the file it is kept as and named as an export names it."""

import asyncio
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Final
from zlib import crc32

from isocenter.archive.archive import Archive
from isocenter.archive.exporting import name_of
from isocenter.archive.retrieve import Buffer, Opened, each
from isocenter.dicomweb.files import each_opened
from isocenter.dicomweb.zipping import File, Layout
from isocenter.storage.records import InstanceRef

TOGETHER: Final = 1 << 16
"""Bytes of the directory that are given at once."""


class Zipped:
    """A zip archive of ``instances``, which are measured."""

    def __init__(self, archive: Archive, instances: Sequence[InstanceRef]) -> None:
        self._archive = archive
        self._instances = instances
        self._files = [File(name_of(each), each.file_size) for each in instances]
        self._layout = Layout(self._files)
        self.size: int | None = self._layout.size

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give bytes ``start`` to ``end``.

        What is before them is read as well: the directory at the end has everybody's checksums.
        """
        end = self._layout.size if end is None else end
        at = 0
        async with aclosing(self._whole()) as pieces:
            async for piece in pieces:
                after = at + len(piece)
                if after > start:
                    yield memoryview(piece)[max(start - at, 0) : end - at]
                if after >= end:
                    return
                at = after

    async def _whole(self) -> AsyncGenerator[Buffer]:
        checksums = array("L")
        async with aclosing(each_opened(self._archive, self._instances)) as instances:
            async for instance in instances:
                try:
                    async for piece in self._file(len(checksums), instance, checksums):
                        yield piece
                finally:
                    instance.close()
        for part in _joined(self._layout.directory(checksums)):
            yield part

    async def _file(
        self, number: int, instance: Opened, checksums: "array[int]"
    ) -> AsyncIterator[Buffer]:
        """Give one file with what is around it, and note its checksum."""
        follows = self._files[number].is_summed_after
        checksum = 0 if follows else await instance.checksum()
        yield self._layout.before(number, checksum)
        async for piece in each(instance.file()):
            if follows:
                checksum = await asyncio.to_thread(crc32, piece, checksum)
            yield piece
        yield self._layout.behind(number, checksum)
        checksums.append(checksum)


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= TOGETHER:
            yield bytes(held)
            held.clear()
    yield bytes(held)
