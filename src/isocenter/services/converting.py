"""Files turned into another transfer syntax, several at a time."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar
from uuid import uuid4

from isocenter.archive.media import Found, Unreadable
from isocenter.archive.retrieve import Buffer, Opened, can_reencode, each
from isocenter.dicom import part10
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax
from isocenter.errors import Conflict, IsocenterError, Unavailable
from isocenter.imaging.workers import Workers
from isocenter.services.files import examine_and_open

T = TypeVar("T")


class Fate(Enum):
    """What became of a file."""

    CONVERTED = "converted"
    COPIED = "copied: in that transfer syntax already"
    WITHOUT_PIXELS = "without pixels to compress: written in Explicit VR Little Endian"
    FAILED = "not converted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file and its fate."""

    fate: Fate
    name: str
    reason: str = ""
    size: int = 0
    made: int = 0
    """Bytes of the file that was written."""


class Conversions:
    """Turns files into one transfer syntax. Every file is reported once."""

    def __init__(
        self,
        target: TransferSyntax,
        codecs: Workers,
        files: Executor,
        *,
        may_replace: bool = False,
    ) -> None:
        self._target = target
        self._codecs = codecs
        self._files = files
        self._may_replace = may_replace

    async def run(
        self,
        entries: Iterable[Found | Unreadable],
        place: Callable[[Found], Path],
        report: Callable[[Outcome], None],
    ) -> None:
        """Convert ``entries``, each to where ``place`` says.

        Twice as many at once as there are workers: while one is read or written, another's frames
        are at hand, and no worker waits for a disk.
        """
        waiting = iter(entries)
        lanes = [self._lane(waiting, place, report) for _ in range(2 * self._codecs.count)]
        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(lane)

    async def _lane(
        self,
        waiting: Iterator[Found | Unreadable],
        place: Callable[[Found], Path],
        report: Callable[[Outcome], None],
    ) -> None:
        for entry in waiting:
            if isinstance(entry, Unreadable):
                report(Outcome(Fate.FAILED, entry.name, entry.reason))
                continue
            try:
                report(await self._convert(entry, place(entry)))
            except IsocenterError as error:
                report(Outcome(Fate.FAILED, entry.name, str(error)))
            except OSError as error:
                report(Outcome(Fate.FAILED, entry.name, error.strerror or str(error)))

    async def _convert(self, found: Found, out: Path) -> Outcome:
        await self._in_file_worker(partial(self._make_room, out))
        opening = partial(examine_and_open, found, self._files, self._codecs, str(out.parent))
        _, opened = await self._in_file_worker(opening)
        # Whole or not at all; and what is written over may be what is read from.
        part = out.with_name(f".{out.name[:200]}.{uuid4().hex}.part")
        try:
            with closing(opened):
                fate = await self._write(opened, part)
            made = await self._in_file_worker(partial(_finish, part, out))
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return Outcome(fate, found.name, "", found.size, made)

    def _make_room(self, out: Path) -> None:
        if out.exists() and not self._may_replace:
            raise Conflict(f"{out} is there already; --force writes over it")
        out.parent.mkdir(parents=True, exist_ok=True)

    async def _write(self, opened: Opened, part: Path) -> Fate:
        fate, pieces = await self._made(opened)
        with part.open("xb") as file:
            async for piece in pieces:
                await self._in_file_worker(partial(file.write, piece))
        return fate

    async def _made(self, opened: Opened) -> tuple[Fate, AsyncIterator[Buffer]]:
        target, kept = self._target, opened.syntax
        if kept == target:
            return Fate.COPIED, each(opened.file())
        if can_reencode(kept, target):
            return Fate.CONVERTED, opened.file_in(target)
        work = opened.transcoding(target, is_loss_allowed=True)
        if target.is_encapsulated and not await work.has_pixels():
            return Fate.WITHOUT_PIXELS, opened.file_in(EXPLICIT_LE)
        await work.begin()
        instance = opened.instance
        uid = work.sop_instance or instance.sop_instance_uid
        head = part10.header(instance.sop_class_uid, uid, target.uid)
        return Fate.CONVERTED, _joined(head, work.pieces())

    async def _in_file_worker(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._files, work)


def _finish(part: Path, out: Path) -> int:
    """Put a file in its place; give its size."""
    size = part.stat().st_size
    part.replace(out)
    return size


def place_below(source: Path, out: Path) -> Callable[[Found], Path]:
    """Say where a file found in ``source`` goes below ``out``."""
    root = source if source.is_dir() else source.parent

    def place(found: Found) -> Path:
        if found.path is not None:
            with suppress(ValueError):
                return out / found.path.relative_to(root)
            return out / found.path.name
        # In a zip archive, names are a stranger's.
        inner = PurePosixPath(found.name.removeprefix(str(root)).replace(os.sep, "/"))
        parts = [part for part in inner.parts if part not in ("/", "..", ".")]
        if not parts:
            raise Unavailable(f"{found.name} has no name to write it under")
        return out.joinpath(*parts)

    return place


async def _joined(head: bytes, pieces: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    yield head
    async for piece in pieces:
        yield piece
