"""Single frames in another transfer syntax than they are kept in."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from isocenter.archive.frames import OpenInstance
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Reader, Walk
from isocenter.errors import Unsupported
from isocenter.imaging import subject, transcoding
from isocenter.imaging.native import Buffer
from isocenter.imaging.subject import Subject
from isocenter.imaging.transcoding import Conversion
from isocenter.imaging.workers import Workers

MOST_REMEMBERED: Final = 1_000
"""Instances of which it is known what their frames are."""
MOST_MEMORY: Final = 64 << 20
"""Bytes of the frames of one answer that are worked on at once, unless one takes more."""


class FrameConversions:
    """Converts frames. Belongs to one event loop."""

    def __init__(self, codecs: Workers) -> None:
        self._codecs = codecs
        self._subjects: OrderedDict[str, Subject] = OrderedDict()

    async def begin(self, opened: OpenInstance, target: str) -> Conversion:
        """Say how frames of an instance get into ``target``, without a loss.

        Raises: Unsupported, Malformed, NotFound, Unavailable.
        """
        if not transcoding.can_convert(opened.syntax.uid, target):
            raise Unsupported(f"{opened.syntax.name} is not turned into {target}")
        if not transcoding.is_lossless(opened.syntax.uid, target):
            raise Unsupported(f"{target} would lose something")
        found = await self._subject(opened)
        return transcoding.conversion(found, opened.syntax.uid, target)

    async def frames(
        self, opened: OpenInstance, way: Conversion, numbers: Sequence[int]
    ) -> AsyncGenerator[bytes]:
        """Give frames in the order of ``numbers``, the next ones being worked on meanwhile.

        Raises: Unsupported, Malformed, NotFound, Unavailable.
        """
        at_once = max(1, min(self._codecs.count, MOST_MEMORY // way.form.size))
        working: deque[asyncio.Task[bytes]] = deque()
        try:
            for number in numbers:
                working.append(asyncio.create_task(self._frame(opened, way, number)))
                if len(working) >= at_once:
                    yield await working.popleft()
            while working:
                yield await working.popleft()
        finally:
            for left in working:
                left.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    async def _frame(self, opened: OpenInstance, way: Conversion, number: int) -> bytes:
        (frame,) = await opened.frames((number,))
        async with aclosing(opened.content(frame)) as pieces:
            data: list[Buffer] = [piece async for piece in pieces]
        return await self._codecs.run(transcoding.converted, data, way)

    async def _subject(self, opened: OpenInstance) -> Subject:
        key = opened.instance.blob_key
        found = self._subjects.get(key)
        if found is None:
            found = await opened.read(_described)
            self._subjects[key] = found
            if len(self._subjects) > MOST_REMEMBERED:
                self._subjects.popitem(last=False)
        return found


def _described(reader: Reader, syntax: TransferSyntax) -> Subject:
    return subject.describe(Walk(reader, syntax), syntax)
