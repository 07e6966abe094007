"""Series of CT slices that lie behind each other, with a picture that tells one from the other."""

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset

from made_pictures import Pixels, grey

CENTER, WIDTH = 500, 1000
SPACING = 1.5
"""Millimetres between pixels, and between slices."""
DARK, BRIGHT = 200, 800
"""Values of the halves of each slice: left and right."""
MARK = 500
"""The value of a bar, four rows high, that stands lower with each slice."""


def slice_of(number: int, slices: int, pixels: int) -> Pixels:
    """The slice of a number, the first being 0: rows and columns."""
    picture = np.full((pixels, pixels), DARK, np.uint16)
    picture[:, pixels // 2 :] = BRIGHT
    top = number * (pixels - 4) // max(slices - 1, 1)
    picture[top : top + 4] = MARK
    return picture


def ct_volume(study: str, slices: int, pixels: int, **attributes: str) -> Iterator[Dataset]:
    """Yield the slices of a series, from the feet to the head."""
    for number in range(slices):
        yield grey(
            slice_of(number, slices, pixels),
            f"{study}.1.{number + 1}",
            StudyInstanceUID=study,
            SeriesInstanceUID=f"{study}.1",
            FrameOfReferenceUID=f"{study}.2",
            SeriesNumber=1,
            InstanceNumber=number + 1,
            StudyTime="101112",
            StudyDescription="of the test",
            SeriesDescription="slices",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, number * SPACING],
            PixelSpacing=[SPACING, SPACING],
            SliceThickness=SPACING,
            WindowCenter=CENTER,
            WindowWidth=WIDTH,
            RescaleSlope=1,
            RescaleIntercept=0,
            **attributes,
        )


def as_shown(value: float) -> float:
    """The brightness, 0 to 255, that the window gives a value (PS3.3 C.11.2.1.2.1)."""
    return min(max((value - (CENTER - 0.5)) / (WIDTH - 1) + 0.5, 0), 1) * 255


def bar_of(number: int, slices: int, pixels: int) -> float:
    """Where the middle of the bar of a slice is: 0 is the top of the picture, 1 its foot."""
    return (number * (pixels - 4) // max(slices - 1, 1) + 2) / pixels
