"""Making pictures: jobs of the workers that go all the way from a frame's bytes to a file's."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.imaging import animation, annotations, pictures, profiles
from isocenter.imaging.native import Buffer
from isocenter.imaging.pictures import DEFAULT_QUALITY, Viewport
from isocenter.imaging.presentations import Presented
from isocenter.imaging.recipes import Recipe

Bytes = NDArray[np.uint8]

NO_PROFILE, OWN_PROFILE = "no", "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What is done with a picture once it is shown, and what it is written as."""

    media_type: str = "image/jpeg"
    quality: int = DEFAULT_QUALITY
    viewport: Viewport | None = None
    left: tuple[str, ...] = ()
    """Text in the upper left corner."""
    right: tuple[str, ...] = ()
    profile: str = NO_PROFILE
    """Whether the file has the picture's own ICC profile, or of which colour space it is to be."""
    source: bytes = field(default=b"", repr=False)
    """The ICC profile of the image; empty, if there is none."""
    delay: float | None = None
    """Of a frame of an animation: seconds for which it is shown."""


def drawn(frame: memoryview, recipe: Recipe | Presented, finish: Finish) -> Buffer:
    """Give a frame as a picture in a file, or as a block of an animation.

    Raises: Malformed, Unsupported.
    """
    return finished(_sized(frame, recipe, finish), finish)


def pictured(frame: memoryview, recipe: Recipe | Presented, finish: Finish) -> Bytes:
    """Give a frame as it is to be seen. Raises: Malformed, Unsupported."""
    return annotated(_sized(frame, recipe, finish), finish)


def _sized(frame: memoryview, recipe: Recipe | Presented, finish: Finish) -> Bytes:
    return recipe.sized(frame, finish.viewport)


def card(_: memoryview, lines: tuple[str, ...], finish: Finish) -> Buffer:
    """Give a picture that says what there is."""
    viewport = finish.viewport or Viewport()
    width = viewport.width or CARD_SIDE
    return finished(annotations.card(lines, width, viewport.height or CARD_SIDE), finish)


CARD_SIDE: Final = 200


def finished(picture: Bytes, finish: Finish) -> Buffer:
    """Give a picture that has its size as a file, or as a block of an animation."""
    profile = b""
    if finish.profile != NO_PROFILE:
        picture, profile = _profiled(picture, finish)
    picture = annotated(picture, finish)
    made = pictures.written(picture, finish.media_type, finish.quality, profile)
    return made if finish.delay is None else animation.block(made, finish.delay)


def annotated(picture: Bytes, finish: Finish) -> Bytes:
    """Give the picture with the text that is asked for."""
    if finish.left or finish.right:
        return annotations.written(picture, finish.left, finish.right)
    return picture


def _profiled(picture: Bytes, finish: Finish) -> tuple[Bytes, bytes]:
    """Give the picture in the colours that are asked for, with their profile."""
    if picture.ndim == 2:  # profiles are of RGB
        grey = np.repeat(picture[..., None], 3, 2)
        name = profiles.SRGB if finish.profile == OWN_PROFILE else finish.profile
        return profiles.converted(grey, b"", name), profiles.named(name)
    if finish.profile == OWN_PROFILE:
        return picture, finish.source or profiles.named(profiles.SRGB)
    return profiles.converted(picture, finish.source, finish.profile), profiles.named(
        finish.profile
    )
