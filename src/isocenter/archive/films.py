"""MP4 files for players: of videos, of multi-frame images, of series (PS3.18 8.7.2, 8.7.4).

A video that can be played as it is kept is handed out so. All else is made once, into a file that
the next who asks finds; whoever asks meanwhile waits for the same. It is made in worker processes
apart from those of stills, so that these need not wait. When nobody waits for it any more, it is
given up: at once if they left, after a while if they were told to come back.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from isocenter.archive.not_rendered import NotRendered
from isocenter.archive.rendering import Renderings
from isocenter.errors import Malformed, NotFound, Unavailable, Unsupported
from isocenter.imaging import cine, pyramids, video, video_making
from isocenter.imaging.cine import Scene
from isocenter.imaging.finishing import Finish
from isocenter.imaging.frame_bytes import Frame
from isocenter.imaging.looks import Look, Subject, played
from isocenter.imaging.video import Video
from isocenter.imaging.workers import Job, Workers
from isocenter.storage.blobs import BlobStore
from isocenter.storage.made_files import MadeFile, MadeFiles
from isocenter.storage.records import InstanceRef

T = TypeVar("T")

VERSION: Final = 1
"""Of how films are made: what was made otherwise is not found any more."""
MOST_MAKINGS: Final = 32
"""Films that are being made, or wait for it."""
MOST_REMEMBERED: Final = 1_024
PATIENCE: Final = 50.0
"""Seconds that somebody waits before being told to come back; proxies rarely wait for longer."""
GRACE: Final = 120.0
"""Seconds in which whoever was told to come back finds the making still under way."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A film that lies in the instance as it is to be given."""

    instance: InstanceRef
    frame: Frame


Film = Kept | MadeFile


class Films:
    """Gives MP4 files. Belongs to one event loop."""

    def __init__(
        self,
        renderings: Renderings,
        store: BlobStore,
        files: MadeFiles,
        workers: Workers,
        threads: Executor,
        *,
        patience: float = PATIENCE,
        grace: float = GRACE,
    ) -> None:
        self._renderings = renderings
        self._store = store
        self.files = files
        self._workers = workers
        self._threads = threads
        self.patience = patience
        self._grace = grace
        self._makings: dict[tuple[str, str], _Making] = {}
        self._ends: OrderedDict[str, int | None] = OrderedDict()
        self._refused: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def of_instance(
        self, instance: InstanceRef, look: Look, frames: Sequence[int] = ()
    ) -> Film:
        """Give a video, or the frames of an image, all if none are named.

        Raises: NotRendered; Unavailable, also while it is being made.
        """
        subject = await self._renderings.subject(instance)
        if subject.video is not None:
            if frames:
                raise NotRendered("frames of a video are given as pictures, such as image/jpeg")
            return await self._of_video(instance, subject, subject.video, look)
        if pyramids.slide(subject.image) is not None:
            raise NotRendered("the tiles of a slide do not move")
        listed = tuple(frames) or tuple(played(subject, look))
        if len(listed) < 2:
            raise NotRendered("one frame is no film: to be had is a picture, such as image/jpeg")
        self._renderings.check(subject, look, listed)
        return await self._of_scenes(
            [instance], [Scene(self._path(instance), tuple(frames), instance.overlay)], look
        )

    async def of_series(self, instances: Sequence[InstanceRef], look: Look) -> Film:
        """Give the images of a series one after another, in the order given. Raises: as above."""
        if len(instances) < 2:
            return await self.of_instance(instances[0], look)
        scenes = [Scene(self._path(each), (), each.overlay) for each in instances]
        return await self._of_scenes(instances, scenes, look)

    async def close(self) -> None:
        """Give up what is being made."""
        tasks = [making.task for making in self._makings.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _path(self, instance: InstanceRef) -> str:
        return self._store.path(instance.blob_key)

    async def _of_video(
        self, instance: InstanceRef, subject: Subject, kept: Video, look: Look
    ) -> Film:
        self._renderings.check(subject, look, ())
        finish: Finish | None = subject.change(look)
        if finish is None and (end := await self._end(instance, kept)) is not None:
            return Kept(instance, await self._renderings.whole(instance, end))
        name = f"{VERSION} {instance.state} {finish}"
        return await self.made(instance, name, video_making.made, kept, finish)

    async def _of_scenes(
        self, instances: Sequence[InstanceRef], scenes: Sequence[Scene], look: Look
    ) -> Film:
        keys = " ".join(each.state for each in instances)
        numbers = [scene.numbers for scene in scenes if scene.numbers]
        name = f"{VERSION} {keys} {numbers} {look}"
        return await self.made(instances[0], name, cine.made, tuple(scenes), look)

    async def _end(self, instance: InstanceRef, kept: Video) -> int | None:
        """Up to where a video can be handed out as it is kept; None, if it cannot."""
        key = instance.blob_key
        if key not in self._ends:
            try:
                told = await self._workers.run(video_making.examined, [], kept)
            except (Malformed, Unsupported) as error:
                raise NotRendered(f"the video cannot be rendered: {error}") from error
            if len(self._ends) >= MOST_REMEMBERED:
                self._ends.popitem(last=False)
            self._ends[key] = json.loads(told)
        return self._ends[key]

    @property
    def count(self) -> int:
        """Films that are being made."""
        return len(self._makings)

    async def made(
        self, instance: InstanceRef, name: str, job: Job, *arguments: object
    ) -> MadeFile:
        """Give the file that ``job`` makes, which is given where, and how large it may become.

        ``name`` says all that it is made of, in the study of ``instance``. Raises: NotRendered;
        Unavailable, also while it is being made.
        """
        group = group_of(instance.blob_key)
        key = (group, name)
        if (why := self._refused.get(key)) is not None:
            raise NotRendered(why)
        if (found := await self._in_thread(partial(self.files.open, *key))) is not None:
            return found
        if not video.is_at_hand():
            raise NotRendered(video.MISSING)
        await self._wait(key, job, arguments)
        if (found := await self._in_thread(partial(self.files.open, *key))) is None:
            raise Unavailable("the video was made, but is gone again: ask once more")
        return found

    async def _wait(self, key: tuple[str, str], job: Job, arguments: Sequence[object]) -> None:
        """Wait until it is made. Raises: NotRendered, Unavailable."""
        making = self._makings.get(key)
        if making is None:
            if len(self._makings) >= MOST_MAKINGS:
                raise Unavailable("many videos are being made: ask again in a while")
            making = _Making(asyncio.create_task(self._make(key, job, arguments)))
            self._makings[key] = making
            making.task.add_done_callback(partial(self._end_making, key))
        making.join()
        grace = 0.0
        try:
            async with asyncio.timeout(self.patience):
                await asyncio.shield(making.task)
        except TimeoutError as error:
            grace = self._grace
            raise Unavailable("the video is being made: ask again in a while") from error
        except asyncio.CancelledError:
            if (asking := asyncio.current_task()) is not None and asking.cancelling():
                raise
            raise Unavailable("the video was given up: ask again") from None
        finally:
            making.leave(grace)

    async def _make(self, key: tuple[str, str], job: Job, arguments: Sequence[object]) -> None:
        group, name = key
        draft = await self._in_thread(partial(self.files.draft, group))
        try:
            await self._workers.run(job, [], *arguments, str(draft), self.files.limit)
            await self._in_thread(partial(self.files.keep, draft, group, name))
        except (Malformed, Unsupported, NotFound) as error:
            why = f"no video can be made of it: {error}"
            if len(self._refused) >= MOST_REMEMBERED:
                self._refused.popitem(last=False)
            self._refused[key] = why
            raise NotRendered(why) from error
        finally:
            self._threads.submit(self.files.discard, draft)

    def _end_making(self, key: tuple[str, str], task: "asyncio.Task[None]") -> None:
        del self._makings[key]
        if not task.cancelled():
            task.exception()  # told to those who wait, if there are any

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class _Making:
    """A film that is being made, and how many wait for it."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self.task = task
        self._waiting = 0
        self._end: asyncio.TimerHandle | None = None

    def join(self) -> None:
        """Wait for it."""
        self._waiting += 1
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def leave(self, grace: float) -> None:
        """Do not wait any more; it goes on for ``grace``, if nobody else does."""
        self._waiting -= 1
        if not self._waiting and not self.task.done():
            loop = asyncio.get_running_loop()
            self._end = loop.call_later(grace, self.task.cancel)


def group_of(blob_key: str) -> str:
    """What is made of a study lies together, and goes when something of the study does."""
    return blob_key.rpartition("/")[0]
