"""Lookup tables and windows: from stored values to what is shown (PS3.3 C.11, PS3.4 N.2)."""

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed
from isocenter.imaging.attributes import Dataset, number, numbers, text, words
from isocenter.imaging.pixel_format import PixelFormat

Values = NDArray[np.float64]

DESCRIPTOR: Final = "00283002"
DATA: Final = "00283006"
SMALLEST_WIDTH: Final = 1e-9

Span = tuple[float, float]
"""The least and the greatest value that can be."""
EVERYTHING: Final[Span] = (-inf, inf)
_WORDS: Final = 1 << 16
_LARGEST_SIGNED: Final = (1 << 15) - 1


class Function(Enum):
    """How a window maps (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """A window; ``apply`` gives values from 0 to 1."""

    center: float
    width: float
    function: Function = Function.LINEAR

    def __post_init__(self) -> None:
        """Raises: Malformed."""
        least = 1.0 if self.function is Function.LINEAR else SMALLEST_WIDTH
        if not (np.isfinite(self.center) and np.isfinite(self.width) and self.width >= least):
            raise Malformed(f"a window of width {self.width:g}")

    def apply(self, values: Values) -> Values:
        """Map ``values``."""
        if self.function is Function.SIGMOID:
            with np.errstate(over="ignore"):
                sigmoid: Values = 1 / (1 + np.exp(-4 * (values - self.center) / self.width))
            return sigmoid
        if self.function is Function.LINEAR_EXACT:
            mapped = (values - self.center) / self.width + 0.5
        elif self.width == 1:
            return (values > self.center - 0.5).astype(np.float64)
        else:
            mapped = (values - (self.center - 0.5)) / (self.width - 1) + 0.5
        clipped: Values = np.clip(mapped, 0, 1)
        return clipped


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A Modality, VOI or Presentation LUT (PS3.3 C.11.1.1)."""

    first: float
    """The input that the first entry is for; what is below takes it, too."""
    entries: NDArray[np.generic]
    bits: int

    @classmethod
    def of(cls, item: Dataset, inputs: Span = EVERYTHING) -> "Table":
        """Read a table from a sequence item; ``inputs``: what can be looked up in it.

        Raises: Malformed.
        """
        described = numbers(item, DESCRIPTOR)
        if len(described) != 3:
            raise Malformed("a lookup table without its three descriptor values")
        count = int(described[0]) & 0xFFFF or _WORDS  # 0 stands for 65,536
        bits = int(described[2])
        entries = words(item, DATA, bits)
        if bits > 8 and len(entries) * 2 == count:
            entries = entries.view("u1")  # Peer quirk: 16 bits announced, bytes written
        elif bits <= 8 and len(entries) >= 2 * count:
            entries = entries.view("<u2")
        if not 1 <= bits <= 16 or len(entries) < count:
            raise Malformed(f"a lookup table of {count} entries that has {len(entries)}")
        return cls(_first(described[1], count, inputs), entries[:count], bits)

    def apply(self, values: Values) -> Values:
        """Look ``values`` up."""
        at = np.clip(values - self.first, 0, len(self.entries) - 1).astype(np.int64)
        found: Values = self.entries[at].astype(np.float64)
        return found

    def apply_scaled(self, values: Values) -> Values:
        """Look ``values`` up; the largest that an entry can be is 1."""
        return self.apply(values) / ((1 << self.bits) - 1)


def _first(told: float, count: int, inputs: Span) -> float:
    """Give the first input of a table, signed or not: that by which it is reached.

    Of US or SS, implicit VR tells nothing, and Pixel Representation only of stored values; others
    write US for either (PS3.3 C.11.1.1, C.11.2.1.1).
    """
    least, greatest = inputs
    if told > max(greatest, _LARGEST_SIGNED):
        return told - _WORDS
    if told < 0 and told + count - 1 < least:
        return told + _WORDS
    return told


@dataclass(frozen=True, slots=True)
class Rescale:
    """Rescale Slope and Intercept (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, values: Values) -> Values:
        """Map ``values``."""
        if self.slope == 1 and not self.intercept:
            return values
        return values * self.slope + self.intercept


def outputs(form: PixelFormat, modality: Rescale | Table | None = None) -> Span:
    """Give what stored values can be, or what they can become."""
    if isinstance(modality, Table):
        return 0.0, float((1 << modality.bits) - 1)
    if form.is_float:
        return EVERYTHING
    least = -(1 << (form.bits_stored - 1)) if form.is_signed else 0
    ends = np.array((least, least + (1 << form.bits_stored) - 1), np.float64)
    ends = ends if modality is None else modality.apply(ends)
    return float(ends.min()), float(ends.max())


def windows(dataset: Dataset, *, is_float: bool = False) -> list[Window]:
    """Give the windows of a data set or functional group item; impossible ones are left out.

    ``is_float``: they are for floating point pixels.
    """
    named = text(dataset, "00281056")
    function = Function(named) if named in Function.__members__ else Function.LINEAR
    found = []
    for center, width in zip(
        numbers(dataset, "00281050"), numbers(dataset, "00281051"), strict=False
    ):
        # Peer quirk: maps of fractions say LINEAR, which is for whole numbers: all were white.
        is_exact = is_float and function is Function.LINEAR and 0 < width <= 1
        try:
            found.append(Window(center, width, Function.LINEAR_EXACT if is_exact else function))
        except Malformed:
            continue
    return found


def rescale(dataset: Dataset) -> Rescale:
    """Give what maps stored values to the modality's; the identity, if nothing is said."""
    slope, intercept = number(dataset, "00281053"), number(dataset, "00281052")
    return Rescale(1.0 if slope is None else slope, intercept or 0.0)
