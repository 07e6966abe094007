"""Pictures of DICOM files, made in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from isocenter.dicom.opened import Opened, opened
from isocenter.dicom.windowed import Walk
from isocenter.errors import NotFound, Unsupported
from isocenter.imaging import animation, finishing, frame_bytes, frames
from isocenter.imaging.description import describe
from isocenter.imaging.frames import FrameMap
from isocenter.imaging.image import Image
from isocenter.imaging.looks import GIF, Look, Subject, finish_of, syntax_of_frames
from isocenter.imaging.native import Buffer
from isocenter.imaging.recipes import recipe


def rendered(path: Path, look: Look, frame: int | None = None) -> Iterator[Buffer]:
    """Give a picture of a file piece by piece: of a frame from 1, or the one that stands for all.

    As GIF, if no frame is named, all of them. Raises: Malformed, NotFound, Unsupported; OSError.
    """
    with opened_image(path) as image:
        if look.media_type != GIF or frame is not None:
            yield image.drawn(frame or image.subject.representative, look)
            return
        look = replace(look, is_block=True)
        for number in range(1, image.subject.count + 1):
            block = bytes(image.drawn(number, look))
            if number == 1:
                yield animation.opening(block)
            yield animation.content(block)
        yield animation.TRAILER


@contextmanager
def opened_image(path: Path) -> Iterator["ImageFile"]:
    """Open the image in a file. Raises: Malformed, NotFound, Unsupported; OSError."""
    with opened(path) as file:
        yield ImageFile(file)


class ImageFile:
    """The image in a file."""

    def __init__(self, file: Opened) -> None:
        self._reader = file.reader
        self._syntax = syntax_of_frames(file.header.syntax)
        self._map: FrameMap = frames.locate(Walk(file.reader, file.syntax), file.header.syntax)
        if self._map.is_video:
            raise Unsupported("videos are not rendered yet")
        self.subject = Subject(Image(describe(file.reader, file.syntax)), self._map.count)

    def drawn(self, number: int, look: Look) -> Buffer:
        """Give a frame as a picture in a file."""
        if number > self.subject.count:
            raise NotFound(f"there is no frame {number}: the image has {self.subject.count}")
        frame = self._map.frame(self._reader, number)
        data = memoryview(b"".join(frame_bytes.content(self._reader, frame)))
        followed = recipe(self.subject.image, number, self._syntax, look.window)
        return finishing.drawn(data, followed, finish_of(self.subject, number, look))
