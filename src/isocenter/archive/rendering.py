"""Pictures of what is kept: a frame, an animation, one that stands for an instance or a series.

What an image's attributes say is read once and remembered; a frame then goes from its bytes to the
file in a single job of a worker process. No more frames are read than workers will soon take.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from isocenter.archive.frames import NoFrames, OpenInstance, OpenInstances
from isocenter.archive.not_rendered import NoSuchFrame, NotRendered, TooLarge
from isocenter.archive.pages import ENCAPSULATED_PDF, first_page
from isocenter.archive.slides import Slides
from isocenter.archive.states import States
from isocenter.archive.waveforms import Waveforms
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.errors import Malformed, NotFound, Unavailable, Unsupported
from isocenter.imaging import animation, finishing, pyramids, tiling, video_stills, waveforms
from isocenter.imaging.description import describe
from isocenter.imaging.finishing import Finish
from isocenter.imaging.frame_bytes import Frame
from isocenter.imaging.frames import FrameMap
from isocenter.imaging.image import Image
from isocenter.imaging.looks import (
    GIF,
    Look,
    Subject,
    finish_of,
    followed,
    played,
    stands_for,
    syntax_of_frames,
    video_of,
)
from isocenter.imaging.native import Buffer
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.pixel_format import LARGEST_FRAME
from isocenter.imaging.presentations import Presented
from isocenter.imaging.states import APPLIED, State
from isocenter.imaging.video import Video
from isocenter.imaging.workers import Part, Workers, size_of
from isocenter.storage.index import Index
from isocenter.storage.records import InstanceRef, Selection, SeriesOutline

T = TypeVar("T")


MOST_REMEMBERED: Final = 512
"""Images of which it is remembered what their attributes say."""
MOST_MEMORY: Final = 64 << 20
"""Bytes that this may take, roughly."""
AHEAD: Final = 2
"""Frames that are read while all workers are busy."""
THUMBNAIL: Final = Viewport(width=200, height=200)
CANDIDATES: Final = 5
"""Series that are tried for a picture of a study."""
MOST_SPANS: Final = 1 << 20
"""Starts and ends of fragments of a video."""
HEADROOM: Final = 1 << 20
"""Bytes of a compressed frame, beyond what it would take uncompressed, that are put up with."""

NOT_PICTURES: Final = frozenset(
    {"AU", "DOC", "FID", "HC", "KER", "KO", "LEN", "OAM", "PLAN", "PR", "REG", "RTPLAN"}
    | {"RTRECORD", "RTSTRUCT", "SEG", "SMR", "SR", "SRF", "STAIN", "TEXTUREMAP", "VA", "ANN", "ECG"}
    | {"EPS", "HD", "RESP", "EEG", "EMG", "EOG", "POS", "ASMT", "PLAN", "RWV", "M3D", "CTPROTOCOL"}
)
"""Modalities that do not stand for a study if it has others (PS3.3 C.7.3.1.1.1)."""


class Renderings:
    """Makes pictures. Belongs to one event loop. Everything may raise Unavailable."""

    def __init__(self, index: Index, opened: OpenInstances, workers: Workers) -> None:
        self._index = index
        self.states = States(index, opened)
        self._opened = opened
        self._workers = workers
        self._subjects: OrderedDict[str, _Known | NotRendered] = OrderedDict()
        self._memory = 0
        self._slots = asyncio.Semaphore(workers.count + AHEAD)
        self.slides = Slides(index, opened, workers, self.subject, _read)
        self.waveforms = Waveforms(opened, workers, self._slots)

    async def subject(self, instance: InstanceRef) -> Subject:
        """Read what there is to be seen in ``instance``. Raises: NotRendered."""
        opened = self._opened.known(instance) or await self._opened.open(instance)
        try:
            return await self._subject(opened)
        finally:
            opened.release()

    async def still(self, instance: InstanceRef, look: Look, frame: int | None = None) -> bytes:
        """Give one frame, from 1; if none is named, the representative, or the whole of a slide.

        Raises: NotRendered, NoSuchFrame, TooLarge; Malformed, for a region outside.
        """
        opened = self._opened.known(instance) or await self._opened.open(instance)
        try:
            subject = await self._subject(opened)
            if subject.video is not None:
                return await self._of_video(subject, subject.video, frame, look)
            if frame is None and pyramids.slide(subject.image) is not None and look.state is None:
                return await self.slides.still(instance, look)
            return await self._drawn(opened, subject, frame or _standing(subject, look), look)
        finally:
            opened.release()

    async def whole(self, instance: InstanceRef, end: int) -> Frame:
        """Find all the pixel data of ``instance`` up to ``end``. Raises: NotFound."""
        opened = await self._opened.open(instance)
        try:
            found = await opened.whole()
        finally:
            opened.release()
        return Frame(found.spans, min(found.size, end))

    def check(self, subject: Subject, look: Look, frames: Iterable[int]) -> None:
        """Raises: Malformed, for a region outside; NoSuchFrame."""
        if look.viewport is not None and look.state is None:
            look.viewport.region(subject.image.form.rows, subject.image.form.columns)
        for frame in frames:
            if frame > subject.count:
                raise NoSuchFrame(f"there is no frame {frame}: the instance has {subject.count}")

    async def stills(
        self, instance: InstanceRef, look: Look, frames: Sequence[int]
    ) -> AsyncGenerator[bytes]:
        """Give frames, each as a file. Raises: as `still`."""
        opened = await self._opened.open(instance)
        try:
            subject = await self._subject(opened)
            make = partial(self._frame, opened, subject)
            making = (partial(make, frame, look) for frame in frames)
            async with aclosing(self._in_turn(making)) as made:
                async for picture in made:
                    yield picture
        finally:
            opened.release()

    async def each(
        self, instances: Sequence[InstanceRef], look: Look
    ) -> AsyncGenerator[tuple[InstanceRef, bytes]]:
        """Give one picture of each that has any. Raises: NotRendered, if none has; TooLarge."""
        making = (partial(self._of_one, instance, look) for instance in instances)
        is_any = False
        reason: NotRendered | TooLarge = NotRendered("there is nothing that can be rendered")
        async with aclosing(self._in_turn(making)) as made:
            async for instance, picture in made:
                if isinstance(picture, bytes):
                    is_any = True
                    yield instance, picture
                elif isinstance(picture, TooLarge):
                    reason = picture
        if not is_any:
            raise reason

    async def _of_one(
        self, instance: InstanceRef, look: Look
    ) -> tuple[InstanceRef, bytes | NotRendered | TooLarge]:
        try:
            return instance, await self._one(instance, look)
        except (NotRendered, TooLarge) as error:
            return instance, error

    async def state(self, instance: InstanceRef) -> State:
        """Read a presentation state. Raises: NotRendered, if it is not applied."""
        try:
            return await self.states.state(instance)
        except (Malformed, Unsupported, NoFrames) as error:
            why = f"the presentation state cannot be applied: {error}"
            raise NotRendered(why) from error

    async def _one(self, instance: InstanceRef, look: Look, frame: int | None = None) -> bytes:
        """Give one picture: of a presentation state, the first image that it shows."""
        if instance.sop_class_uid not in APPLIED:
            return await self.still(instance, look, frame)
        state = await self.state(instance)
        for shown in (await self.states.shown(state)).instances:
            return await self.still(shown, replace(look, window=None, state=state))
        raise NotRendered("none of the images that it refers to is here")

    async def _in_turn(
        self, making: Iterable[Callable[[], Coroutine[Any, Any, T]]]
    ) -> AsyncGenerator[T]:
        """Give what is made, in order; as much is in the making as keeps the workers busy."""
        pending: deque[asyncio.Task[T]] = deque()
        try:
            for make in making:
                pending.append(asyncio.create_task(make()))
                if len(pending) > self._workers.count:
                    yield await pending.popleft()
            while pending:
                yield await pending.popleft()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def animation(
        self, instance: InstanceRef, look: Look, frames: Sequence[int] = ()
    ) -> AsyncGenerator[Buffer]:
        """Give frames, all if none are named, as an animated GIF. Raises: as `still`."""
        subject = await self.subject(instance)
        if subject.video is not None and not frames:
            raise NotRendered("as GIF a video would be huge: to be had is video/mp4")
        if not frames and pyramids.slide(subject.image) is not None and look.state is None:
            yield await self.slides.still(instance, look)
            return
        numbers = frames or played(subject, look)
        is_first = True
        look = replace(look, media_type=GIF, is_block=True)
        async with aclosing(self.stills(instance, look, numbers)) as made:
            async for block in made:
                if is_first:
                    yield animation.opening(block)
                    is_first = False
                yield animation.content(block)
        yield animation.TRAILER

    async def thumbnail(self, instance: InstanceRef, look: Look, frame: int | None = None) -> bytes:
        """Give a small picture, or one that says what it is. Raises: NoSuchFrame."""
        if look.viewport is None:
            look = Look(media_type=look.media_type, viewport=THUMBNAIL)
        try:
            if instance.sop_class_uid in APPLIED:
                # Text and overlays may name the patient (PS3.18 10.4.3.3.4).
                return await self._one(instance, replace(look, has_overlays=False))
            if await self._is_private(instance):
                return await self._card(instance, look)
            return await self.still(instance, look, frame)
        except TooLarge:
            subject = await self.subject(instance)
            return await self.still(instance, look, subject.representative)
        except NotRendered:
            return await self._card(instance, look)

    async def _is_private(self, instance: InstanceRef) -> bool:
        """Whether a slide's label would be on the picture, and on that the patient's name."""
        slide = pyramids.slide((await self.subject(instance)).image)
        return slide is not None and slide.shows_label

    async def representative(self, selection: Selection) -> InstanceRef | None:
        """Choose what stands for a series or a study: an image, if there is one; None for nothing.

        The middle image by number of the series that has most.
        """
        first = None
        for series in sorted(await self._index.outlines(selection), key=_promise)[:CANDIDATES]:
            for number in dict.fromkeys((series.instances // 2, 0)):
                found = await self._index.nth(series, number)
                if found is None:
                    continue
                first = first or found
                try:
                    await self.subject(found)
                except (NotRendered, Unavailable):
                    continue
                if found.sop_class_uid == tiling.WHOLE_SLIDE:
                    return await self.slides.finest(found)
                return found
        return first

    async def _card(self, instance: InstanceRef, look: Look) -> bytes:
        """What an instance is. Nothing of the patient's is on it (PS3.18 10.4.3.3.4)."""
        finish = Finish(media_type=look.media_type, quality=look.quality, viewport=look.viewport)
        if instance.sop_class_uid == ENCAPSULATED_PDF:
            try:
                return await self._page(instance, finish)
            except (Malformed, Unsupported, NotFound):
                pass  # what cannot be drawn is still a document
        if waveforms.is_waveform(instance.sop_class_uid):
            try:
                return await self.waveforms.picture(instance, finish)
            except NotRendered:
                pass
        known = SOP_CLASSES.get(instance.sop_class_uid)
        name = known.name.removesuffix(" Storage") if known else "Private or unknown SOP class"
        return await self._workers.run(finishing.card, [], (_emblem(name), name), finish)

    async def _page(self, instance: InstanceRef, finish: Finish) -> bytes:
        opened = await self._opened.open(instance)
        try:
            async with self._slots:
                return await first_page(opened, self._workers, finish)
        finally:
            opened.release()

    async def _frame(self, opened: OpenInstance, subject: Subject, frame: int, look: Look) -> bytes:
        if subject.video is not None:
            return await self._of_video(subject, subject.video, frame, look)
        return await self._drawn(opened, subject, frame, look)

    async def _of_video(
        self, subject: Subject, video: Video, frame: int | None, look: Look
    ) -> bytes:
        """Give a frame of a video; a poster, if none is named."""
        if look.state is not None:
            raise NotRendered("presentation states are not applied to videos")
        number = frame or subject.representative
        self.check(subject, look, (number,))
        async with self._slots:
            try:
                finish = finish_of(subject, number, look)
                arguments = (video, number, finish, frame is None)
                return await self._workers.run(video_stills.still, [], *arguments)
            except NotFound as error:
                raise NoSuchFrame(str(error)) from error
            except (Malformed, Unsupported) as error:
                raise NotRendered(f"frame {number} cannot be rendered: {error}") from error

    async def _drawn(self, opened: OpenInstance, subject: Subject, frame: int, look: Look) -> bytes:
        image = subject.image
        self.check(subject, look, (frame,))
        async with self._slots:
            try:
                syntax = syntax_of_frames(opened.syntax)
                follow = partial(followed, subject, frame, syntax, look)
                # What a state says of a frame may be much to look through.
                is_quick = look.state is None
                recipe = follow() if is_quick else await opened.read(lambda *_: follow())
                data = await _read(opened, frame, image.form.size)
                if isinstance(recipe, Presented) and recipe.frames:
                    recipe, data = await _with_others(opened, recipe, data, image.form.size)
                finish = finish_of(subject, frame, look)
                return await self._workers.run(finishing.drawn, data, recipe, finish)
            except (Malformed, Unsupported, NotFound) as error:
                # It is there, and asked for as it should be: what is wrong is wrong with it.
                raise NotRendered(f"frame {frame} cannot be rendered: {error}") from error

    async def _subject(self, opened: OpenInstance) -> Subject:
        key = opened.instance.state
        if (known := self._subjects.get(key)) is None:
            try:
                known = await _described(opened)
            except NotRendered as error:
                known = error
            except (Malformed, Unsupported, NotFound) as error:
                known = NotRendered(f"it cannot be rendered: {error}")
            self._remember(key, known)
        self._subjects.move_to_end(key)
        if isinstance(known, NotRendered):
            raise NotRendered(known.why)
        opened.recall(known.frames)
        return known.subject

    def _remember(self, key: str, known: "_Known | NotRendered") -> None:
        replaced = self._subjects.pop(key, None)
        self._memory += _memory(known) - (_memory(replaced) if replaced else 0)
        self._subjects[key] = known
        while len(self._subjects) > 1 and (
            len(self._subjects) > MOST_REMEMBERED or self._memory > MOST_MEMORY
        ):
            _, oldest = self._subjects.popitem(last=False)
            self._memory -= _memory(oldest)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an image."""

    subject: Subject
    frames: FrameMap
    """Where they lie: to be found out once only, though the instance be closed meanwhile."""
    memory: int
    """Bytes that this takes, roughly."""


async def _described(opened: OpenInstance) -> _Known:
    found = await opened.frame_map()
    dataset = await opened.read(describe)
    subject = Subject(Image(dataset), found.count)
    if found.is_video:
        whole = await opened.whole()
        if len(whole.spans) > MOST_SPANS:
            raise NotRendered("the video is in too many pieces")
        stream = opened.placed(whole)
        subject = replace(subject, video=video_of(subject, stream, opened.syntax.uid))
    return _Known(subject, found, subject.memory + found.memory)


async def _read(opened: OpenInstance, number: int, size: int) -> Sequence[Part]:
    """Give the bytes of a frame. Raises: Malformed, Unsupported, NotFound."""
    if (lying := opened.lying(number)) is not None:
        return [lying]
    if (data := opened.at_hand(number)) is not None:
        return [data]
    (frame,) = await opened.frames((number,))
    _refuse_bloated(frame, size)
    return [piece async for piece in opened.content(frame)]


async def _with_others(
    opened: OpenInstance, recipe: Presented, data: Sequence[Part], size: int
) -> tuple[Presented, Sequence[Part]]:
    """Add the frames that are subtracted. Raises: as `_read`; Unsupported."""
    if size * (1 + len(recipe.frames)) > LARGEST_FRAME:
        raise Unsupported("a mask subtraction of too large frames")
    groups = [data, *[await _read(opened, number, size) for number in recipe.frames]]
    sizes = tuple(sum(map(size_of, group)) for group in groups)
    return replace(recipe, sizes=sizes), [part for group in groups for part in group]


def _standing(subject: Subject, look: Look) -> int:
    """Give the frame that stands for all. Raises: NotRendered."""
    try:
        return stands_for(subject, look)
    except NotFound as error:
        raise NotRendered(str(error)) from error


def _refuse_bloated(frame: Frame, size: int) -> None:
    if frame.size > 2 * size + HEADROOM:
        raise Malformed(f"{frame.size} bytes for a frame that has {size}")


def _promise(series: SeriesOutline) -> tuple[bool, int]:
    return (series.modality in NOT_PICTURES, -series.instances)


def _memory(known: _Known | NotRendered) -> int:
    return known.memory if isinstance(known, _Known) else 1024


_EMBLEMS: Final = {
    "PDF": "PDF",
    "CDA": "CDA",
    "STL": "3D",
    "OBJ": "3D",
    "MTL": "3D",
    "Video": "Video",
    "SR": "SR",
    "Report": "SR",
    "Waveform": "ECG",
    "ECG": "ECG",
    "Softcopy": "PR",
    "Segmentation": "SEG",
    "Structure": "RT",
    "Plan": "RT",
    "Registration": "REG",
    "Key": "KO",
    "CT": "CT",
    "MR": "MR",
    "RT": "RT",
}


def _emblem(name: str) -> str:
    """A few letters for what is written in full below them."""
    words = name.split()
    return next((short for word, short in _EMBLEMS.items() if word in words), "DICOM")
