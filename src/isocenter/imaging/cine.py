"""Frames one after another as a video: a job of the workers (PS3.3 C.7.6.5; PS3.18 8.7.2).

The worker reads the files itself, frame by frame, so that neither frames nor pictures pile up.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isocenter.dicom.overlay import Overlay
from isocenter.errors import IsocenterError, Malformed, NotFound, Unavailable, Unsupported
from isocenter.imaging.from_files import ImageFile, opened_image
from isocenter.imaging.looks import Look, played
from isocenter.imaging.mp4_writing import LONGEST_INTERVAL, TICKS, Coder, written
from isocenter.imaging.native import Buffer
from isocenter.imaging.pictures import Bytes, Viewport, scaled
from isocenter.imaging.workers import alive


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames of one instance."""

    path: str
    """Of the DICOM file."""
    numbers: tuple[int, ...] = ()
    """From 1; none: those that are to be played."""
    overlay: Overlay | None = None
    """What is laid over what the file says of itself."""


def made(_: memoryview, scenes: Sequence[Scene], look: Look, path: str, limit: int) -> Buffer:
    """Make an MP4 file of frames at ``path``, of up to ``limit`` bytes; the answer is empty.

    Of several scenes, those without pictures are left out. All frames have the size of the first.
    Raises: Malformed, NotFound, Unsupported, Unavailable.
    """
    at = 0
    coder: Coder | None = None
    with written(path, limit) as file:
        for picture, seconds in _pictures(scenes, look):
            duration = max(1, round(min(seconds, LONGEST_INTERVAL) * TICKS))
            if coder is None:
                rows, columns = picture.shape[:2]
                coder = Coder(file, columns, rows, duration / TICKS, look.quality)
            coder.add_picture(_fitted(picture, rows, columns), at, duration)
            at += duration
            alive()
        if coder is None:
            raise NotFound("there is no frame to be shown")
        coder.finish()
    return b""


def _pictures(scenes: Sequence[Scene], look: Look) -> Iterator[tuple[Bytes, float]]:
    """Give pictures, and the seconds for which each is shown."""
    first: IsocenterError | None = None
    is_any = False
    for scene in scenes:
        try:
            with _opened(scene) as image:
                for number in scene.numbers or played(image.subject, look):
                    yield image.pictured(number, look), image.subject.delay(number)
                    is_any = True
        except (Malformed, NotFound, Unsupported) as error:
            if len(scenes) == 1:
                raise
            first = first or error
    if not is_any and first is not None:
        raise first


@contextmanager
def _opened(scene: Scene) -> Iterator[ImageFile]:
    """Raises: Unavailable, where the file is not there; as ``opened_image``."""
    try:
        with opened_image(Path(scene.path), scene.overlay) as image:
            if image.is_video:
                raise Unsupported("a video is not a frame among others")
            yield image
    except OSError as error:
        raise Unavailable(f"storage: {error.strerror or error}") from error


def _fitted(picture: Bytes, rows: int, columns: int) -> Bytes:
    """Give the picture on a field of a size, in its middle."""
    if picture.shape[:2] == (rows, columns):
        return picture
    picture = scaled(picture, Viewport(width=columns, height=rows))
    field = np.zeros((rows, columns, *picture.shape[2:]), np.uint8)
    top, left = (rows - picture.shape[0]) // 2, (columns - picture.shape[1]) // 2
    field[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return field
