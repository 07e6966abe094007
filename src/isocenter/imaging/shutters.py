"""Display shutters: what is not to be shown (PS3.3 C.7.6.11, C.7.6.15, C.7.6.16.2.16)."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.imaging.attributes import Dataset, integer, nearest, numbers, values

Mask = NDArray[np.bool_]

FRAME_DISPLAY_SHUTTER: Final = "00189472"


@dataclass(frozen=True, slots=True)
class Shutter:
    """What remains is inside of all shapes; rows and columns from 1."""

    rectangle: tuple[int, int, int, int] | None = None
    """Left, right, upper and lower edge."""
    circle: tuple[int, int, int] | None = None
    """Row and column of the centre, radius."""
    polygon: tuple[tuple[int, int], ...] = ()
    """Row and column of each vertex."""
    value: int = 0
    """The grey of what is hidden, of 65,535."""

    @classmethod
    def of(cls, dataset: Dataset, frame: int = 1) -> "Shutter | None":
        """Read the Display Shutter module, or the Frame Display Shutter macro for ``frame``.

        None, if there is none that can be read.
        """
        dataset = nearest(dataset, FRAME_DISPLAY_SHUTTER, frame, "00181600")
        shapes = {each for each in values(dataset, "00181600") if isinstance(each, str)}
        if not shapes:
            return None
        rectangle = circle = None
        polygon: tuple[tuple[int, int], ...] = ()
        edges = [integer(dataset, f"0018160{digit}", -1) for digit in (2, 4, 6, 8)]
        if "RECTANGULAR" in shapes and min(edges) >= 0:
            rectangle = (edges[0], edges[1], edges[2], edges[3])
        centre = [int(each) for each in numbers(dataset, "00181610")]
        radius = integer(dataset, "00181612", 0)
        if "CIRCULAR" in shapes and len(centre) == 2 and radius > 0:
            circle = (centre[0], centre[1], radius)
        points = [int(each) for each in numbers(dataset, "00181620")]
        if "POLYGONAL" in shapes and len(points) >= 6:
            polygon = tuple(zip(points[::2], points[1::2], strict=False))
        if not (rectangle or circle or polygon):
            return None
        return cls(rectangle, circle, polygon, integer(dataset, "00181622", 0))

    def hidden(self, rows: int, columns: int) -> Mask:
        """Give ``(rows, columns)``, true where nothing is to be seen."""
        hides = np.zeros((rows, columns), bool)
        row, column = np.ogrid[1 : rows + 1, 1 : columns + 1]
        if self.rectangle is not None:
            left, right, upper, lower = self.rectangle
            hides |= (column < left) | (column > right) | (row < upper) | (row > lower)
        if self.circle is not None:
            middle_row, middle_column, radius = self.circle
            hides |= (row - middle_row) ** 2 + (column - middle_column) ** 2 > radius**2
        if self.polygon:
            hides |= ~_inside(self.polygon, rows, columns)
        return hides


def _inside(polygon: tuple[tuple[int, int], ...], rows: int, columns: int) -> Mask:
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (columns, rows))
    ImageDraw.Draw(canvas).polygon([(column - 1, row - 1) for row, column in polygon], 1, 1)
    return np.asarray(canvas, bool)
