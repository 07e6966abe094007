"""Pictures and videos of DICOM files, made in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from isocenter.dicom import part10
from isocenter.dicom.opened import FileReader
from isocenter.dicom.overlay import Overlay
from isocenter.dicom.part10 import FileHeader
from isocenter.dicom.syntax import EXPLICIT_LE
from isocenter.dicom.windowed import Inflated, Reader, Walk
from isocenter.errors import NotFound, Unsupported
from isocenter.imaging import (
    animation,
    finishing,
    frame_bytes,
    frames,
    states,
    video_making,
    video_stills,
)
from isocenter.imaging.description import describe
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
from isocenter.imaging.pictures import Bytes
from isocenter.imaging.presentations import Presented
from isocenter.imaging.recipes import Recipe
from isocenter.imaging.spans import Spans
from isocenter.imaging.states import State
from isocenter.imaging.video import Video

UNLIMITED: Final = 1 << 62
NOTHING: Final = memoryview(b"")


def rendered(path: Path, look: Look, frame: int | None = None) -> Iterator[Buffer]:
    """Give a picture of a file piece by piece: of a frame from 1, or the one that stands for all.

    As GIF, if no frame is named, all of them. Raises: Malformed, NotFound, Unsupported; OSError.
    """
    with opened_image(path) as image:
        if look.media_type != GIF or frame is not None or image.is_video:
            yield image.drawn(frame or stands_for(image.subject, look), look)
            return
        look = replace(look, is_block=True)
        is_first = True
        for number in played(image.subject, look):
            block = bytes(image.drawn(number, look))
            if is_first:
                yield animation.opening(block)
                is_first = False
            yield animation.content(block)
        yield animation.TRAILER


def filmed(path: Path, look: Look, target: Path) -> None:
    """Make an MP4 file of a video or of a multi-frame image. Raises: as ``rendered``."""
    from isocenter.imaging import cine

    with opened_image(path) as image:
        if image.is_video:
            finish = image.subject.change(look)
            video_making.made(NOTHING, image.video, finish, str(target), UNLIMITED)
            return
    cine.made(NOTHING, (cine.Scene(str(path)),), look, str(target), UNLIMITED)


def state_of(path: Path) -> State:
    """Read the presentation state in a file. Raises: Malformed, Unsupported; OSError."""
    with path.open("rb") as file:
        header = part10.read(file)
        reader: Reader = FileReader(file, header.dataset_offset)
        if header.syntax.is_deflated:
            return State(states.read(Inflated(reader), EXPLICIT_LE), str(path))
        return State(states.read(reader, header.syntax), str(path))


@contextmanager
def opened_image(path: Path, overlay: Overlay | None = None) -> Iterator["ImageFile"]:
    """Open the image in a file, ``overlay`` laid over its attributes.

    Raises: Malformed, NotFound, Unsupported; OSError.
    """
    with path.open("rb") as file:
        header = part10.read(file)
        reader: Reader = FileReader(file, header.dataset_offset)
        if header.syntax.is_deflated:
            reader = Inflated(reader)
        yield ImageFile(path, header, reader, overlay)


class ImageFile:
    """The image in a file."""

    def __init__(
        self, path: Path, header: FileHeader, reader: Reader, overlay: Overlay | None = None
    ) -> None:
        self._path = path
        self._header = header
        self._reader = reader
        syntax = EXPLICIT_LE if header.syntax.is_deflated else header.syntax
        self._syntax = syntax_of_frames(header.syntax)
        self._map: FrameMap = frames.locate(Walk(reader, syntax), header.syntax)
        told = describe(reader, syntax)
        told = told if overlay is None else overlay.laid_over(told)
        self.subject = Subject(Image(told), self._map.count)

    @property
    def is_video(self) -> bool:
        """Its frames are one stream."""
        return self._map.is_video

    @cached_property
    def video(self) -> Video:
        """The stream, for a video."""
        whole = self._map.whole(self._reader)
        spans = Spans.of(str(self._path), whole.spans, self._header.dataset_offset)
        return video_of(self.subject, spans, self._header.syntax.uid)

    def drawn(self, number: int, look: Look) -> Buffer:
        """Give a frame as a picture in a file."""
        finish = finish_of(self.subject, number, look)
        if self.is_video:
            if look.state is not None:
                raise Unsupported("presentation states are not applied to videos")
            return video_stills.still(NOTHING, self.video, number, finish)
        return finishing.drawn(*self._frame(number, look), finish)

    def pictured(self, number: int, look: Look) -> Bytes:
        """Give a frame as it is to be seen."""
        finish = finish_of(self.subject, number, look)
        return finishing.pictured(*self._frame(number, look), finish)

    def _frame(self, number: int, look: Look) -> tuple[memoryview, Recipe | Presented]:
        if number > self.subject.count:
            raise NotFound(f"there is no frame {number}: the image has {self.subject.count}")
        recipe = followed(self.subject, number, self._syntax, look)
        if isinstance(recipe, Recipe):
            return memoryview(self._bytes(number)), recipe
        frames = [self._bytes(each) for each in (number, *recipe.frames)]
        return memoryview(b"".join(frames)), replace(recipe, sizes=tuple(map(len, frames)))

    def _bytes(self, number: int) -> bytes:
        frame = self._map.frame(self._reader, number)
        return b"".join(frame_bytes.content(self._reader, frame))
