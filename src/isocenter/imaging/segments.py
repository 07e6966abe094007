"""Segmentations by themselves, each segment in a colour of its own (PS3.3 C.8.20).

Over the images they are of, they are shown elsewhere: this is the picture of the object alone.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.imaging.attributes import integer, items, nearest, number, text
from isocenter.imaging.cielab import Colour, recommended
from isocenter.imaging.image import Image

Bytes = NDArray[np.uint8]

SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP: Final = "1.2.840.10008.5.1.4.1.1.66.7"

SEGMENTS: Final = "00620002"
SEGMENT_NUMBER: Final = "00620004"
RECOMMENDED_COLOUR: Final = "0062000D"
_IDENTIFICATION: Final = "0062000A"
_REFERENCED_NUMBER: Final = "0062000B"

_GOLDEN: Final = 0.61803398875
"""Of a turn: neighbours in number are far apart in hue, however many there are."""


def is_segmentation(image: Image) -> bool:
    """Whether stored values are segments, not greys."""
    return text(image.dataset, "00080016") in (SEGMENTATION, LABEL_MAP) and image.is_grey


def palette(image: Image, frame: int) -> Bytes:
    """Give the colour of each stored value from 0 on, ``(values, 3)``, for ``frame`` (from 1)."""
    if text(image.dataset, "00080016") == LABEL_MAP:
        return _of_labels(image)
    named = nearest(image.dataset, _IDENTIFICATION, frame, _REFERENCED_NUMBER)
    segment = integer(named, _REFERENCED_NUMBER, 1)
    colour = np.array(_recommended(image).get(segment) or distinct(segment)[-1], np.float64)
    highest = 1
    if text(image.dataset, "00620001") == "FRACTIONAL":
        highest = min(max(integer(image.dataset, "0062000E", 255), 1), 255)
    parts = np.arange(highest + 1)[:, None] / highest
    return np.rint(parts * colour).astype(np.uint8)


def distinct(last: int) -> Bytes:
    """Give colours that are easily told apart for the numbers from 0 to ``last``; 0 is black."""
    numbers = np.arange(last + 1)
    hue = (numbers - 1) * _GOLDEN % 1.0 * 6
    # Lighter and darker rings, for where hues come close.
    value = np.array((1.0, 0.78, 0.9))[numbers // 7 % 3]
    saturation = np.array((0.85, 0.6))[numbers // 21 % 2]
    bands = np.stack([np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4)], axis=1)
    pure = np.clip(bands, 0, 1)
    colours = (value * 255)[:, None] * (1 - saturation[:, None] * (1 - pure))
    colours[0] = 0
    rounded: Bytes = np.rint(colours).astype(np.uint8)
    return rounded


def _of_labels(image: Image) -> Bytes:
    colours = distinct((1 << min(image.form.bits_stored, 16)) - 1)
    for segment, colour in _recommended(image).items():
        if 0 <= segment < len(colours):
            colours[segment] = colour
    background = number(image.dataset, "00280120")
    if background is not None and 0 <= background < len(colours):
        colours[int(background)] = 0
    return colours


def _recommended(image: Image) -> dict[int, Colour]:
    found = {}
    for item in items(image.dataset, SEGMENTS):
        colour = recommended(item, RECOMMENDED_COLOUR)
        if colour is not None:
            found[integer(item, SEGMENT_NUMBER, 0)] = colour
    return found
