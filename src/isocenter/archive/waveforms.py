"""Waveforms of what is kept, drawn: only the samples that are seen are read.

What an instance says of its waveforms is read once and remembered; the samples become a drawing in
a worker process.
"""

from asyncio import Semaphore
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from isocenter.archive.frames import OpenInstance, OpenInstances
from isocenter.archive.not_rendered import NotRendered
from isocenter.errors import Malformed, NotFound, Unsupported
from isocenter.imaging import waveform_drawing
from isocenter.imaging.finishing import Finish
from isocenter.imaging.waveform_description import describe
from isocenter.imaging.waveform_samples import lying
from isocenter.imaging.waveform_strips import Strip
from isocenter.imaging.waveforms import Recording
from isocenter.imaging.workers import Job, Workers
from isocenter.storage.records import InstanceRef

MOST_MEMORY: Final = 16 << 20
"""Bytes that what is known of recordings may take, roughly."""
GLANCE: Final = 2.0
"""Seconds that a small picture shows."""


class Waveforms:
    """Draws waveforms. Belongs to one event loop. Everything may raise Unavailable."""

    def __init__(self, opened: OpenInstances, workers: Workers, slots: Semaphore) -> None:
        self._opened = opened
        self._workers = workers
        self._slots = slots
        self._known: OrderedDict[str, Recording] = OrderedDict()
        self._memory = 0

    async def recording(self, instance: InstanceRef) -> Recording:
        """Read what an instance says of its waveforms. Raises: NotRendered."""
        opened = await self._opened.open(instance)
        try:
            return await self._described(opened)
        finally:
            opened.release()

    async def svg(self, instance: InstanceRef, strip: Strip, above: Sequence[str] = ()) -> bytes:
        """Draw what ``strip`` asks for as SVG; ``above``: what is written at its top.

        Raises: NotRendered; NotFound, Malformed, Unsupported, for what cannot be asked for.
        """
        return await self._drawn(waveform_drawing.svg, instance, strip, tuple(above))

    async def picture(self, instance: InstanceRef, finish: Finish) -> bytes:
        """Draw the beginning, small. Raises: NotRendered."""
        try:
            return await self._drawn(
                waveform_drawing.picture, instance, Strip(seconds=GLANCE), finish
            )
        except Unsupported as error:
            raise NotRendered(str(error)) from error

    async def _drawn(
        self, job: Job, instance: InstanceRef, strip: Strip, more: Finish | tuple[str, ...]
    ) -> bytes:
        opened = await self._opened.open(instance)
        try:
            recording = await self._described(opened)
            group = recording.group(strip.group)
            frame = lying(group, *strip.span(group))
            async with self._slots:
                try:
                    data = [piece async for piece in opened.content(frame)]
                    told = (group, recording.sop_class, strip, more)
                    return await self._workers.run(job, data, *told)
                except Malformed as error:
                    raise NotRendered(f"it cannot be drawn: {error}") from error
        finally:
            opened.release()

    async def _described(self, opened: OpenInstance) -> Recording:
        key = opened.instance.state
        if (known := self._known.get(key)) is None:
            try:
                known = await opened.read(describe)
            except (Malformed, Unsupported, NotFound) as error:
                raise NotRendered(f"it cannot be drawn: {error}") from error
            self._remember(key, known)
        self._known.move_to_end(key)
        return known

    def _remember(self, key: str, recording: Recording) -> None:
        if (former := self._known.pop(key, None)) is not None:
            self._memory -= former.memory
        self._known[key] = recording
        self._memory += recording.memory
        while len(self._known) > 1 and self._memory > MOST_MEMORY:
            self._memory -= self._known.popitem(last=False)[1].memory
