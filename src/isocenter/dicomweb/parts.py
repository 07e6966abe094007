"""Instances in the parts of a multipart (PS3.18 8.6.1.2).

Where every file is given as it is kept, what the whole will be is known before: its length, and
each of its bytes again when it is asked for once more. So a transfer that broke off can be resumed.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import tee
from urllib.parse import quote

from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import Buffer, each
from isocenter.dicom.syntax import TransferSyntax, lookup
from isocenter.dicomweb import addresses
from isocenter.dicomweb.files import content_type as type_of
from isocenter.dicomweb.files import each_opened, file_of
from isocenter.dicomweb.syntaxes import Plan
from isocenter.storage.records import InstanceRef
from isocenter.web import multipart


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is wanted of one part."""

    head: bytes
    instance: InstanceRef
    start: int
    end: int


class Parts:
    """Each instance in a part of its own."""

    def __init__(
        self,
        archive: Archive,
        instances: Sequence[InstanceRef],
        plan: Plan,
        boundary: str,
        base: str,
    ) -> None:
        """``base``: the address of the service, to tell where each instance is."""
        self._archive = archive
        self._instances = instances
        self._plan = plan
        self._boundary = boundary
        self._base = base
        self._end = multipart.end(boundary)
        self._series = ("", "", "")  # the last one's UIDs and address: most are like those before
        self.size = self._measured() if plan.is_as_kept else None

    def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give bytes ``start`` to ``end``; all of it, if its size is not known."""
        if self.size is None:
            return self._made()
        return self._kept(start, self.size if end is None else min(end, self.size))

    def _measured(self) -> int:
        before = sum(len(head) + each.size for head, each in self._heads())
        return before + len(self._end)

    def _heads(self) -> Iterator[tuple[bytes, InstanceRef]]:
        for instance in self._instances:
            yield self._head(instance, lookup(instance.transfer_syntax), instance.size), instance

    def _head(self, instance: InstanceRef, syntax: TransferSyntax, size: int | None) -> bytes:
        headers = {"Content-Type": type_of(syntax), "Content-Location": self._location(instance)}
        if size is not None:
            headers["Content-Length"] = str(size)
        is_first = instance is self._instances[0]
        return multipart.part_head(self._boundary, headers, is_first)

    def _location(self, instance: InstanceRef) -> str:
        study, series = instance.study_instance_uid, instance.series_instance_uid
        if self._series[:2] != (study, series):
            self._series = (study, series, addresses.series_of(self._base, study, series))
        return f"{self._series[2]}/instances/{quote(instance.sop_instance_uid, safe='')}"

    async def _kept(self, start: int, end: int) -> AsyncGenerator[Buffer]:
        cuts, wanted = tee(self._cuts(start, end))
        async with aclosing(
            each_opened(self._archive, (cut.instance for cut in wanted))
        ) as instances:
            async for instance in instances:
                try:
                    cut = next(cuts)
                    yield cut.head
                    async for piece in each(instance.file(cut.start, cut.end)):
                        yield piece
                finally:
                    instance.close()
        assert self.size is not None
        behind = self.size - len(self._end)
        if end > behind:
            yield self._end[max(start - behind, 0) : end - behind]

    def _cuts(self, start: int, end: int) -> Iterator[_Cut]:
        """What is wanted of the parts that bytes ``start`` to ``end`` of the whole are in."""
        at = 0
        for head, instance in self._heads():
            after = at + len(head) + instance.size
            if after > start:
                file = at + len(head)
                yield _Cut(
                    head[max(start - at, 0) : end - at],
                    instance,
                    max(start - file, 0),
                    min(max(end - file, 0), instance.size),
                )
            if after >= end:
                return
            at = after

    async def _made(self) -> AsyncGenerator[Buffer]:
        async with aclosing(each_opened(self._archive, self._instances, self._plan)) as instances:
            async for instance in instances:
                try:
                    file = await file_of(instance, self._plan)
                    yield self._head(instance.instance, file.syntax, file.size)
                    async for piece in each(file.pieces):
                        yield piece
                finally:
                    instance.close()
        yield self._end
