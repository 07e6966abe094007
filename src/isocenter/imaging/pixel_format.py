"""What the frames of an instance are made of, and what they would be like as an array."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from isocenter.errors import Malformed, Unsupported

LARGEST_FRAME: Final = 1 << 31
"""Bytes of one frame, decoded, that are worked with; what is larger is refused unread."""

WIDTHS: Final = (1, 8, 16, 32, 64)
FLOAT_WIDTHS: Final = (32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """The Image Pixel attributes that decoding needs (PS3.3 C.7.6.3). Checked when made.

    Raises: Malformed, for what contradicts itself; Unsupported, for what is too large or strange.
    """

    rows: int
    columns: int
    samples_per_pixel: int = 1
    bits_allocated: int
    bits_stored: int
    is_signed: bool = False
    photometric_interpretation: str = "MONOCHROME2"
    planar_configuration: int = 0
    """1: all of one colour, then all of the next (PS3.3 C.7.6.3.1.3)."""
    is_float: bool = False
    """Float or Double Float Pixel Data (PS3.3 C.7.6.24, C.7.6.25)."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or self.rows > 0xFFFF or self.columns > 0xFFFF:
            raise Malformed(f"an image of {self.rows} rows and {self.columns} columns")
        if not 1 <= self.samples_per_pixel <= 0xFF:
            raise Malformed(f"{self.samples_per_pixel} samples per pixel")
        widths = FLOAT_WIDTHS if self.is_float else WIDTHS
        if self.bits_allocated not in widths:
            raise Unsupported(f"{self.bits_allocated} bits allocated")
        if not 1 <= self.bits_stored <= self.bits_allocated:
            raise Malformed(
                f"{self.bits_stored} bits stored where {self.bits_allocated} are allocated"
            )
        if self.size > LARGEST_FRAME:
            raise Unsupported(f"a frame of {self.size} bytes")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a decoded frame: ``(rows, columns)`` or ``(rows, columns, samples)``."""
        if self.samples_per_pixel == 1:
            return (self.rows, self.columns)
        return (self.rows, self.columns, self.samples_per_pixel)

    @property
    def samples(self) -> int:
        """Samples of a frame."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def size(self) -> int:
        """Bytes of a frame as an array; one bit becomes one byte."""
        return self.samples * max(self.bits_allocated // 8, 1)

    @property
    def dtype(self) -> "np.dtype[np.generic]":
        """Of a decoded frame, in the machine's byte order."""
        kind = "f" if self.is_float else "i" if self.is_signed else "u"
        return np.dtype(f"{kind}{max(self.bits_allocated // 8, 1)}")
