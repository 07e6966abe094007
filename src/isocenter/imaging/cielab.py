"""CIELab values as the standard encodes them, as colours of a screen (PS3.3 C.10.7.1.1)."""

from typing import Final

from isocenter.imaging.attributes import Dataset, numbers

Colour = tuple[int, int, int]
"""Red, green, blue: sRGB of 8 bits."""

# The profile connection space is D50; what sRGB makes of it (IEC 61966-2-1), adapted after
# Bradford.
_WHITE: Final = (0.9642, 1.0, 0.8249)
_TO_LINEAR: Final = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)


def recommended(dataset: Dataset, tag: str) -> Colour | None:
    """Give the colour that ``tag`` holds, as three numbers up to 65535; None, if there is none."""
    encoded = numbers(dataset, tag)
    if len(encoded) != 3 or not all(0 <= each <= 0xFFFF for each in encoded):
        return None
    light, a, b = encoded
    return to_srgb(light * 100 / 0xFFFF, a * 255 / 0xFFFF - 128, b * 255 / 0xFFFF - 128)


def to_srgb(light: float, a: float, b: float) -> Colour:
    """Give the nearest colour of a screen; ``light`` up to 100, the others from -128 to 127."""
    y = (light + 16) / 116
    parts = (y + a / 500, y, y - b / 200)
    xyz = [white * _cubed(part) for white, part in zip(_WHITE, parts, strict=True)]
    red, green, blue = (
        _encoded(sum(factor * each for factor, each in zip(row, xyz, strict=True)))
        for row in _TO_LINEAR
    )
    return red, green, blue


def _cubed(part: float) -> float:
    return part**3 if part > 6 / 29 else 3 * (6 / 29) ** 2 * (part - 4 / 29)


def _encoded(linear: float) -> int:
    linear = min(max(linear, 0.0), 1.0)
    shown = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * shown)
