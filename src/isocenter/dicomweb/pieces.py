"""A body put together of bytes at hand and of parts of one instance."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from isocenter.archive.archive import Archive
from isocenter.imaging.frame_bytes import Frame
from isocenter.storage.records import InstanceRef
from isocenter.web.delivery import Buffer


class Pieces:
    """Pieces one after another; their size is known, so that any part of the whole can be given."""

    def __init__(
        self, archive: Archive, instance: InstanceRef, pieces: Sequence[bytes | Frame]
    ) -> None:
        self._archive = archive
        self._instance = instance
        self._pieces = pieces
        self.size: int | None = sum(map(_size, pieces))

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give bytes ``start`` to ``end`` (exclusive). Raises: Unavailable, NoFrames."""
        opened = await self._archive.opened.open(self._instance)
        try:
            at = 0
            for piece in self._pieces:
                size = _size(piece)
                first, last = max(start - at, 0), size if end is None else min(end - at, size)
                at += size
                if first >= last:
                    continue
                if isinstance(piece, bytes):
                    yield piece[first:last]
                    continue
                async with aclosing(opened.content(piece, first, last)) as content:
                    async for part in content:
                        yield part
        finally:
            opened.release()


def _size(piece: bytes | Frame) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.size
