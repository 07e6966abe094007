"""Values of an instance as parts of an answer: what each is, and where it is had by itself.

Source: PS3.18 8.6.1.2, 8.7.3.3, 10.4.3.3.5, 10.4.3.3.6.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from isocenter.archive.frames import NoFrames, OpenInstance
from isocenter.dicom import paths
from isocenter.dicom.layout import PIXEL_DATA_TAGS
from isocenter.dicom.values import BYTES_VRS
from isocenter.dicom.windowed import Place
from isocenter.dicomweb import frame_types
from isocenter.dicomweb.negotiation import OCTET_STREAM
from isocenter.imaging.frame_bytes import Frame

FRAMES_AT_A_TIME: Final = 64


@dataclass(frozen=True, slots=True)
class Representation:
    """One part."""

    media_type: str
    transfer_syntax: str | None
    """None where that means nothing."""
    location: str
    """Below the instance."""
    frame: Frame

    @property
    def content_type(self) -> str:
        """As a header field has it."""
        syntax = self.transfer_syntax
        return f"{self.media_type}; transfer-syntax={syntax}" if syntax else self.media_type


async def of_bulk(opened: OpenInstance, inline_size: int) -> AsyncGenerator[Representation]:
    """Give every value that metadata refers to: binary ones of more than ``inline_size`` bytes."""

    def is_bulk(place: Place) -> bool:
        if place.vr not in BYTES_VRS:
            return False
        return place.length is None or place.length > inline_size

    async for path, place in opened.places(is_bulk):
        if is_pixel_data(place):
            async for each in of_pixels(opened, place):
                yield each
        else:
            yield await of_value(opened, path, place)


async def of_pixel_data(opened: OpenInstance) -> AsyncGenerator[Representation]:
    """Give the pixel data: native as one value, compressed frame by frame, a video as a whole.

    Raises: NotFound, where there is none.
    """
    async for each in of_pixels(opened, await opened.pixel_data()):
        yield each


async def of_value(opened: OpenInstance, path: paths.AttributePath, place: Place) -> Representation:
    """Give one value that is not the image's pixel data."""
    name, syntax = OCTET_STREAM, None
    if place.is_encapsulated:
        name = frame_types.media_type_of(opened.syntax)
        syntax = frame_types.transfer_syntax_of(opened.syntax)
    return Representation(name, syntax, location(path), await opened.value(place))


def is_pixel_data(place: Place) -> bool:
    """Whether it is the image's, rather than an icon's."""
    return place.tag in PIXEL_DATA_TAGS and not place.depth


async def is_one(opened: OpenInstance, place: Place) -> bool:
    """Whether pixel data is given as one representation."""
    if not place.is_encapsulated:
        return True
    try:
        found = await opened.frame_map()
    except NoFrames:
        return True
    return found.is_video or found.count == 1


async def of_pixels(opened: OpenInstance, place: Place) -> AsyncGenerator[Representation]:
    """Give the pixel data at ``place``."""
    name = frame_types.media_type_of(opened.syntax)
    syntax = frame_types.transfer_syntax_of(opened.syntax)
    alone = location((place.tag,))
    try:
        found = await opened.frame_map()
    except NoFrames:
        # What cannot be told apart can still be given as it lies.
        yield Representation(name, syntax, alone, await opened.value(place))
        return
    if not found.is_encapsulated:
        yield Representation(name, syntax, alone, await opened.value(place))
    elif found.is_video:
        yield Representation(name, syntax, alone, await opened.whole())
    elif found.count == 1:
        (frame,) = await opened.frames((1,))
        yield Representation(name, syntax, alone, frame)
    else:
        for first in range(1, found.count + 1, FRAMES_AT_A_TIME):
            numbers = range(first, min(first + FRAMES_AT_A_TIME, found.count + 1))
            for number, frame in zip(numbers, await opened.frames(numbers), strict=True):
                yield Representation(name, syntax, f"/frames/{number}", frame)


def location(path: paths.AttributePath) -> str:
    """Where an attribute's value is had, below its instance."""
    return f"/bulkdata/{paths.written(path)}"
