"""Files of instances, ready to be given: as they are kept, or in another transfer syntax."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.exceptions import HTTPException

from isocenter.archive.archive import Archive
from isocenter.archive.retrieve import WINDOW, Buffer, Opened, Pieces, can_reencode, each, opened
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicomweb.syntaxes import Plan
from isocenter.errors import IsocenterError, Malformed, NotFound, Unavailable, Unsupported
from isocenter.storage.records import InstanceRef

DICOM: Final = "application/dicom"


class Body(Protocol):
    """What an answer carries."""

    size: int | None
    """In bytes; None, where it shows only when it is made. Then it is always given whole."""

    def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give bytes ``start`` to ``end`` (exclusive). Raises: Unavailable."""


@dataclass(frozen=True, slots=True)
class File:
    """A DICOM file that can be given now."""

    syntax: TransferSyntax
    size: int | None
    pieces: Pieces


async def file_of(instance: Opened, plan: Plan) -> File:
    """Make a file of ``instance``.

    What turns out not to be convertible is given as it is kept, unless another transfer syntax was
    asked for; of what does not fit in memory that shows too late. Raises: HTTPException 406.
    """
    kept = File(instance.syntax, instance.file_size, instance.file())
    target = plan.target(instance.instance)
    if target is None or target == instance.syntax:
        return kept
    if not can_reencode(instance.syntax, target):
        return await _decoded(instance, target, plan, kept)
    pieces = instance.file_in(target)
    if instance.size > WINDOW or instance.syntax.is_deflated:  # inflated, it may be of any size
        return File(target, None, pieces)
    try:
        made = [piece async for piece in pieces]
    except Malformed as error:
        if plan.is_asked_for:
            raise _refusal(target, error) from error
        return kept
    return File(target, sum(map(len, made)), made)


async def _decoded(instance: Opened, target: TransferSyntax, plan: Plan, kept: File) -> File:
    """Make a file in ``target``; of a large one, as much as shows whether it can be made."""
    pieces = instance.file_in(target)
    made: list[Buffer] = []
    size = 0
    try:
        while size <= WINDOW and (piece := await anext(pieces, None)) is not None:
            made.append(piece)
            size += len(piece)
    except (Malformed, Unsupported) as error:
        if plan.is_asked_for:
            raise _refusal(target, error) from error
        return kept
    return (
        File(target, size, made) if size <= WINDOW else File(target, None, _resumed(made, pieces))
    )


def _refusal(target: TransferSyntax, error: IsocenterError) -> HTTPException:
    told = f"cannot be turned into {target.name}: {error}; transfer-syntax=* gives it as it is kept"
    return HTTPException(406, told)


async def _resumed(begun: Sequence[Buffer], pieces: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    for piece in begun:
        yield piece
    async for piece in pieces:
        yield piece


def content_type(syntax: TransferSyntax) -> str:
    """Return the Content-Type of a file (PS3.18 8.7.9)."""
    return f"{DICOM}; transfer-syntax={syntax.uid}"


async def _read(archive: Archive, instance: InstanceRef) -> Opened:
    """Open an instance that was there a moment ago. Raises: NotFound, Unavailable."""
    try:
        return await archive.read(instance)
    except NotFound as error:
        raise NotFound("no such instance: it was removed meanwhile") from error


async def each_opened(
    archive: Archive, instances: Iterable[InstanceRef], plan: Plan | None = None
) -> AsyncGenerator[Opened]:
    """Yield ``instances``, opened, and prepared for ``plan``; close each. Raises: Unavailable."""

    async def prepare(instance: Opened) -> None:
        if plan is not None:
            await instance.prepare(plan.target(instance.instance))

    async def pages() -> AsyncIterator[Sequence[InstanceRef]]:
        for instance in instances:
            yield (instance,)

    async with aclosing(opened(archive, pages(), prepare)) as files:
        async for instance, file in files:
            if isinstance(file, IsocenterError):
                uid = instance.sop_instance_uid
                raise Unavailable(f"instance {uid} cannot be read: {file}") from file
            yield file


class Single:
    """One instance and nothing around it."""

    def __init__(self, archive: Archive, instance: InstanceRef, plan: Plan) -> None:
        self._archive = archive
        self._instance = instance
        self._plan = plan
        self.size = instance.file_size if plan.is_as_kept else None

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give it. Raises: NotFound, Unavailable; HTTPException 406."""
        opened = await _read(self._archive, self._instance)
        try:
            if self.size is None:
                pieces = (await file_of(opened, self._plan)).pieces
            else:
                pieces = opened.file(start, end)
            async for piece in each(pieces):
                yield piece
        finally:
            opened.close()
