"""Pictures of whole slides: a region across tiles and levels, put together by the workers.

Of the levels in a series that show the same, the one is taken that has just enough pixels, and of
that only the tiles that are to be seen. Shown are the first optical path and the middle focal
plane. The parts of a concatenation make one level. Nothing here holds more than the picture.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

import numpy as np

from isocenter.archive.frames import OpenInstance, OpenInstances
from isocenter.archive.not_rendered import NotRendered, TooLarge
from isocenter.dicom.syntax import TransferSyntax, lookup
from isocenter.dicom.windowed import Reader, Walk
from isocenter.errors import Malformed, NotFound, Unavailable, Unsupported
from isocenter.imaging import greys, mosaics, pyramids, tiling
from isocenter.imaging.description import PER_FRAME_GROUPS
from isocenter.imaging.finishing import Finish
from isocenter.imaging.looks import Look, Subject, finish_of, syntax_of_frames
from isocenter.imaging.luts import Function, Window
from isocenter.imaging.mosaics import Block, Box, Piece
from isocenter.imaging.pyramids import LABEL, MOST_PIXELS, OVERVIEW, VOLUME, BlockPlan, Slide, View
from isocenter.imaging.recipes import Recipe, recipe
from isocenter.imaging.segments import is_segmentation
from isocenter.imaging.tiling import Region, Tile, Tiling
from isocenter.imaging.workers import Part, Workers, size_of
from isocenter.storage.index import Index
from isocenter.storage.records import InstanceRef, Selection

MOST_INSTANCES: Final = 256
"""Of a series, that are looked at for levels."""
MOST_REMEMBERED: Final = 16
"""Slides of which it is remembered what levels they have."""
MOST_TILES: Final = 4_096
"""That are decoded for one picture."""
MOST_SAMPLES: Final = 16
"""Tiles in which the lowest and the highest value are looked for."""
LARGEST_GROUPS: Final = 256 << 20
"""Bytes that tell where the tiles of an instance lie."""
HEADROOM: Final = 8 << 20
"""Bytes of the tiles of a block, beyond what they would take uncompressed, that are put up with."""

Read = Callable[[OpenInstance, int, int], Awaitable[Sequence[Part]]]
LookUp = Callable[[InstanceRef], Awaitable[Subject]]


@dataclass(frozen=True, slots=True)
class _Share:
    """An instance that has some of a level's frames."""

    instance: InstanceRef
    before: int
    """Frames of the level that come before its own."""
    count: int


@dataclass(slots=True, eq=False)
class _Level:
    slide: Slide
    shares: tuple[_Share, ...]
    tiling: Tiling | None = None
    spread: Window | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def share(self, frame: int) -> _Share | None:
        """The instance that has a frame; None, if it is not there."""
        for each in self.shares:
            if each.before < frame <= each.before + each.count:
                return each
        return None


class Slides:
    """Makes pictures of slides. Belongs to one event loop. Everything may raise Unavailable."""

    def __init__(
        self, index: Index, opened: OpenInstances, workers: Workers, subject: LookUp, read: Read
    ) -> None:
        """``subject``: what is to be seen in an instance; ``read``: the bytes of a frame."""
        self._index = index
        self._opened = opened
        self._workers = workers
        self._subject = subject
        self._read = read
        self._known: OrderedDict[tuple[str, ...], list[_Level]] = OrderedDict()
        self._slots = asyncio.Semaphore(workers.count + 1)
        self.tiles = 0
        """That were read so far."""

    async def still(self, instance: InstanceRef, look: Look) -> bytes:
        """Give a picture of (a region of) the total matrix of ``instance``.

        Raises: NotRendered, TooLarge; Malformed, for a region outside.
        """
        levels = await self._levels(instance)
        own = next(each for each in levels if _has(each, instance))
        view = pyramids.view(own.slide, look.viewport)
        if view.is_too_large:
            raise TooLarge(
                f"a picture of {view.columns} by {view.rows} pixels is more than the {MOST_PIXELS} "
                f"that are given at once: name a viewport, as in viewport=1024,1024; of "
                f"{own.slide.columns} by {own.slide.rows} pixels it may name a region"
            )
        others = {id(each.slide): each for each in levels}
        below = (each.slide for each in levels if pyramids.is_level(own.slide, each.slide))
        level = others[id(pyramids.sufficient(own.slide, below, view))]
        async with self._slots:
            try:
                return await self._drawn(own, level, view, look)
            except (Malformed, Unsupported, NotFound) as error:
                if isinstance(error, NotRendered | TooLarge):
                    raise
                raise NotRendered(f"the slide cannot be rendered: {error}") from error

    async def finest(self, instance: InstanceRef) -> InstanceRef:
        """Choose what stands for the slide that ``instance`` is of: its finest level.

        Rather than a label, an overview; rather than that, a volume.
        """
        levels = await self._levels(instance)
        best = max(levels, key=lambda each: (_rank(each.slide), each.slide.columns))
        return best.shares[0].instance

    async def sources(self, instance: InstanceRef) -> tuple[str, ...]:
        """Keys of all that a picture of ``instance`` may be made from; none, if it is no slide."""
        if instance.sop_class_uid not in tiling.TILED:
            return ()
        return tuple(each.state for each in await self._series(instance))

    async def _series(self, instance: InstanceRef) -> list[InstanceRef]:
        if instance.sop_class_uid != tiling.WHOLE_SLIDE:
            return [instance]
        selection = Selection(
            studies=(instance.study_instance_uid,), series=(instance.series_instance_uid,)
        )
        found = [instance]
        async for page in self._index.instances(selection):
            found += (
                each
                for each in page
                if each.sop_class_uid == instance.sop_class_uid
                and each.blob_key != instance.blob_key
            )
            if len(found) >= MOST_INSTANCES:
                break
        return sorted(found[:MOST_INSTANCES], key=lambda each: each.blob_key)

    async def _levels(self, instance: InstanceRef) -> list[_Level]:
        """Find the levels of a series, that of ``instance`` among them. Raises: NotRendered."""
        series = await self._series(instance)
        key = tuple(each.state for each in series)
        if (known := self._known.get(key)) is None:
            known = await self._found(instance, series)
            self._known[key] = known
            if len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        if not any(_has(each, instance) for each in known):
            raise NotRendered("its frames are not tiles of a slide")
        return known

    async def _found(self, wanted: InstanceRef, series: Sequence[InstanceRef]) -> list[_Level]:
        together: dict[str, list[tuple[_Share, Slide]]] = {}
        for instance in series:
            try:
                subject = await self._subject(instance)
            except (NotRendered, Unavailable):
                if instance is wanted:
                    raise
                continue
            if (slide := pyramids.slide(subject.image)) is not None:
                uid, before = slide.concatenation
                share = _Share(instance, before if uid else 0, subject.count)
                together.setdefault(uid or instance.blob_key, []).append((share, slide))
        levels = []
        for found in together.values():
            found.sort(key=lambda each: each[0].before)
            levels.append(_Level(found[0][1], tuple(share for share, _ in found)))
        return levels

    # --- putting together

    async def _drawn(self, own: _Level, level: _Level, view: View, look: Look) -> bytes:
        tiles = await self._tiling(level)
        plans = pyramids.plan(own.slide, level.slide, view, mosaics.MARGIN)
        if sum(tiles.count(each.canvas) for each in plans) > MOST_TILES:
            raise TooLarge(
                "that would take too many tiles, for the slide has no smaller level that suffices: "
                "name a viewport with a smaller region"
            )
        window = look.window or await self._window(level, tiles)
        finish = replace(finish_of(Subject(own.slide.image, 1), 1, look), viewport=None)
        viewport = look.viewport
        flips = (
            viewport is not None and viewport.source_width < 0,
            viewport is not None and viewport.source_height < 0,
        )
        with _Held(self._opened) as held:
            making = (
                partial(self._prepared, held, level, tiles, each, window, look) for each in plans
            )
            if len(plans) == 1:
                data, block = await next(making)()
                return await self._workers.run(mosaics.drawn, data, block, flips, finish)
            return await self._joined(making, plans, level, view, flips, finish)

    async def _joined(
        self,
        making: Iterable[Callable[[], Awaitable[tuple[list[Part], Block]]]],
        plans: Sequence[BlockPlan],
        level: _Level,
        view: View,
        flips: tuple[bool, bool],
        finish: Finish,
    ) -> bytes:
        """Have blocks made, a few at a time, and then one picture of them."""
        made: list[bytes] = []
        working: deque[asyncio.Task[bytes]] = deque()
        try:
            for prepare in making:
                data, block = await prepare()
                run = self._workers.run(mosaics.block, data, block)
                working.append(asyncio.create_task(run))
                if len(working) >= self._workers.count:
                    made.append(await working.popleft())
            while working:
                made.append(await working.popleft())
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        parts = [mosaics.Part(each.left, each.top, each.columns, each.rows) for each in plans]
        shape = (view.rows, view.columns) + ((3,) if not _is_grey(level) else ())
        return await self._workers.run(mosaics.joined, made, parts, shape, flips, finish)

    async def _prepared(
        self,
        held: "_Held",
        level: _Level,
        tiles: Tiling,
        plan: BlockPlan,
        window: Window | None,
        look: Look,
    ) -> tuple[list[Part], Block]:
        """Read what a block is made from. Raises: Malformed, NotFound, Unsupported."""
        data: list[Part] = []
        pieces: list[Piece] = []
        recipes: dict[str, Recipe] = {}
        canvas = plan.canvas
        wanted = tiles.tiles(canvas)
        most = 2 * len(wanted) * level.slide.image.form.size + HEADROOM
        for tile in wanted:
            share = level.share(tile.frame)
            if share is None:
                continue
            frame = tile.frame - share.before
            found = await self._tile(held, share.instance, frame, level)
            size = sum(map(size_of, found))
            most -= size
            if most < 0:
                raise Malformed("the tiles have more bytes than their pixels could have")
            syntax = share.instance.transfer_syntax
            if syntax not in recipes:
                recipes[syntax] = self._recipe(level, share, frame, window, look)
            number = list(recipes).index(syntax)
            data += found
            pieces.append(Piece(size, number, tile.left - canvas.left, tile.top - canvas.top))
        return data, Block(
            recipes=tuple(recipes.values()),
            pieces=tuple(pieces),
            canvas=(canvas.right - canvas.left, canvas.bottom - canvas.top),
            box=Box(*plan.box),
            size=(plan.columns, plan.rows),
            absent=level.slide.absent,
            is_grey=_is_grey(level),
        )

    async def _tile(
        self, held: "_Held", instance: InstanceRef, frame: int, level: _Level
    ) -> list[Part]:
        opened = await held.open(instance)
        await opened.frame_map()
        self.tiles += 1
        return list(await self._read(opened, frame, level.slide.image.form.size))

    def _recipe(
        self, level: _Level, share: _Share, frame: int, window: Window | None, look: Look
    ) -> Recipe:
        syntax = syntax_of_frames(_syntax(share.instance))
        found = recipe(level.slide.image, frame, syntax, look.window or window)
        return replace(found, overlays=(), shutter=None)

    # --- where tiles lie

    async def _tiling(self, level: _Level) -> Tiling:
        async with level.lock:
            if level.tiling is None:
                level.tiling = await self._located(level)
            return level.tiling

    async def _located(self, level: _Level) -> Tiling:
        slide = level.slide
        if tiling.is_full(slide.image):
            return tiling.full(slide.image, slide.path)
        places = []
        numbers = []
        for share in level.shares:
            try:
                found = await self._places(share.instance)
            except NotFound:  # nothing is said of frames
                return tiling.full(slide.image, slide.path)
            places.append(found[: share.count])
            numbers.append(np.arange(1, len(places[-1]) + 1) + share.before)
        all_places, all_numbers = np.concatenate(places), np.concatenate(numbers)
        wanted = tiling.chosen(all_places, slide.path)
        return tiling.sparse(slide.image, all_places[wanted], all_numbers[wanted])

    async def _places(self, instance: InstanceRef) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
        opened = await self._opened.open(instance)
        try:
            groups, syntax = await opened.read(_groups)
        finally:
            opened.release()
        return tiling.read_places(await self._workers.run(tiling.places, [groups], syntax))

    # --- greys

    async def _window(self, level: _Level, tiles: Tiling) -> Window | None:
        """Choose one window for all tiles where the image names none; None, if none is needed."""
        image = level.slide.image
        shading = greys.shading(image, 1) if image.is_grey else None
        if shading is None or shading.voi is not None or greys.is_plain(image.form, shading):
            return None
        async with level.lock:
            if level.spread is None:
                low, high = await self._extremes(level, tiles)
                mapped = shading.modality.apply(np.array((low, high)))
                low, high = float(mapped.min()), float(mapped.max())
                width = max(high - low, 1e-6)
                level.spread = Window((low + high) / 2, width, Function.LINEAR_EXACT)
            return level.spread

    async def _extremes(self, level: _Level, tiles: Tiling) -> tuple[float, float]:
        lowest = np.inf
        highest = -np.inf
        whole = Region(0, 0, tiles.columns, tiles.rows)
        with _Held(self._opened) as held:
            for tile in _sampled(tiles, whole):
                share = level.share(tile.frame)
                if share is None:
                    continue
                frame = tile.frame - share.before
                data = await self._tile(held, share.instance, frame, level)
                syntax = syntax_of_frames(_syntax(share.instance))
                followed = recipe(level.slide.image, frame, syntax)
                sizes = [sum(map(size_of, data))]
                found = await self._workers.run(mosaics.extremes, data, followed, sizes)
                low, high = mosaics.read_extremes(found)
                lowest, highest = min(lowest, low), max(highest, high)
        return (lowest, highest) if lowest <= highest else (0.0, 1.0)


class _Held:
    """Instances that stay open while a picture is made of them."""

    def __init__(self, opened: OpenInstances) -> None:
        self._opened = opened
        self._held: dict[str, OpenInstance] = {}

    async def open(self, instance: InstanceRef) -> OpenInstance:
        key = instance.state
        if key not in self._held:
            found = self._opened.known(instance) or await self._opened.open(instance)
            self._held[key] = found
        return self._held[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._held.values():
            each.release()


def _has(level: _Level, instance: InstanceRef) -> bool:
    return any(each.instance.blob_key == instance.blob_key for each in level.shares)


def _rank(slide: Slide) -> int:
    if slide.flavour == VOLUME:
        return 3
    if slide.flavour == LABEL or slide.shows_label:
        return 0
    return 1 if slide.flavour == OVERVIEW else 2


def _is_grey(level: _Level) -> bool:
    image = level.slide.image
    return image.is_grey and not is_segmentation(image) and not image.is_supplemented(1)


def _syntax(instance: InstanceRef) -> TransferSyntax:
    return lookup(instance.transfer_syntax)


def _sampled(tiles: Tiling, whole: Region) -> list[Tile]:
    """Some tiles, evenly spread."""
    there = tiles.tiles(whole) if tiles.frames is not None else None
    count = tiles.count(whole) if there is None else len(there)
    numbers = sorted({int(each) for each in np.linspace(0, count - 1, min(count, MOST_SAMPLES))})
    if there is not None:
        return [there[number] for number in numbers]
    return [Tile(tiles.first + number + 1, 0, 0) for number in numbers]


def _groups(reader: Reader, syntax: TransferSyntax) -> tuple[bytes, str]:
    """Read the Per-Frame Functional Groups as they are encoded. Raises: NotFound, Unsupported."""
    walk = Walk(reader, syntax)
    place = walk.find((PER_FRAME_GROUPS,))
    end = walk.end_of(place) + (8 if place.length is None else 0)
    if end - place.start > LARGEST_GROUPS:
        raise Unsupported(f"{end - place.start} bytes that tell where its tiles lie")
    return bytes(walk.reader.window(place.start, end)), syntax.uid
