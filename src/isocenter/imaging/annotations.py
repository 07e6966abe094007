"""Text on pictures: who and what is shown, or what there is instead of a picture.

Source: PS3.18 8.3.5.1.1.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow, ImageDraw, ImageFont

from isocenter.imaging.attributes import Dataset, numbers, text, values

Bytes = NDArray[np.uint8]

PATIENT, TECHNIQUE = "patient", "technique"
KINDS: Final = (PATIENT, TECHNIQUE)
LONGEST: Final = 64
"""Characters of a line."""
SMALLEST_TEXT: Final = 9
LARGEST_TEXT: Final = 40

_CAPTION: Final = 13
_CARD: Final = (0x22, 0x2B, 0x36)
_ON_CARD: Final = (0xE8, 0xEE, 0xF4)


def of_patient(dataset: Dataset) -> tuple[str, ...]:
    """Name, ID, birth date and sex."""
    found = values(dataset, "00100010")
    name = found[0] if found and isinstance(found[0], dict) else {}
    named = str(name.get("Alphabetic") or next(iter(name.values()), ""))
    lines = (
        " ".join(part for part in named.replace("^", ", ", 1).replace("^", " ").split()),
        text(dataset, "00100020"),
        " ".join((_date(text(dataset, "00100030")), text(dataset, "00100040"))),
    )
    return _lines(lines)


def of_technique(dataset: Dataset, frame: int, count: int) -> tuple[str, ...]:
    """Date, modality, series and image, where it was taken and how."""
    series, image = (_number(dataset, tag) for tag in ("00200011", "00200013"))
    place = numbers(dataset, "00200032")
    lines = (
        " ".join((_date(text(dataset, "00080020")), _time(text(dataset, "00080030")))),
        " ".join((text(dataset, "00080060"), text(dataset, "0008103E"))),
        " ".join((_told("Se", series), _told("Im", image))),
        f"Frame {frame}/{count}" if count > 1 else "",
        "Pos " + " ".join(f"{each:.1f}" for each in place) if len(place) == 3 else "",
        _told("Slice", _number(dataset, "00180050"), "mm"),
        " ".join(
            (
                _told("", _number(dataset, "00180060"), "kV"),
                _told("", _number(dataset, "00181151"), "mA"),
            )
        ),
        " ".join(
            (
                _told("TR", _number(dataset, "00180080")),
                _told("TE", _number(dataset, "00180081")),
            )
        ),
    )
    return _lines(lines)


def written(picture: Bytes, left: Sequence[str], right: Sequence[str]) -> Bytes:
    """Give the picture with lines of text in its upper corners, white within black."""
    canvas = Pillow.fromarray(picture)
    height, width = picture.shape[:2]
    lines = max(len(left), len(right), 1)
    size = min(max(min(height, width) // 32, SMALLEST_TEXT), LARGEST_TEXT)
    size = max(min(size, height // (lines + 1)), SMALLEST_TEXT)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size)
    white, black = (255, 0) if picture.ndim == 2 else ((255,) * 3, (0,) * 3)
    margin = max(size // 3, 2)
    options: dict[str, Any] = {
        "font": font,
        "fill": white,
        "stroke_fill": black,
        "stroke_width": max(size // 12, 1),
    }
    for lines_of, at, anchor in ((left, margin, "la"), (right, width - margin, "ra")):
        for number, line in enumerate(lines_of):
            draw.text((at, margin + number * round(size * 1.25)), line, anchor=anchor, **options)
    return np.asarray(canvas)


def captioned(canvas: Pillow.Image, lines: Sequence[str], left: int, top: int) -> None:
    """Write lines of small text on a white page."""
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_CAPTION)
    for number, line in enumerate(lines):
        draw.text((left, top + number * round(_CAPTION * 1.2)), line, "black", font)


def card(lines: Sequence[str], width: int, height: int) -> Bytes:
    """Give a picture that says what there is, where there is nothing to be seen."""
    canvas = Pillow.new("RGB", (width, height), _CARD)
    draw = ImageDraw.Draw(canvas)
    places: list[tuple[str, int]] = []
    for number, line in enumerate(lines):
        size = max(min(width, height) // (4 if number == 0 else 11), SMALLEST_TEXT)
        places += [(part, size) for part in _folded(line, size, width * 0.9)]
    top = (height - sum(size * 1.3 for _, size in places)) / 2
    for line, size in places:
        font = ImageFont.load_default(size)
        draw.text((width / 2, top + size * 0.65), line, _ON_CARD, font, anchor="mm")
        top += size * 1.3
    return np.asarray(canvas)


def _folded(line: str, size: int, width: float) -> list[str]:
    """Break a line where words end, to be no wider than ``width``."""
    font = ImageFont.load_default(size)
    folded: list[str] = []
    for word in line.split():
        longer = f"{folded[-1]} {word}" if folded else word
        if folded and font.getlength(longer) <= width:
            folded[-1] = longer
        else:
            folded.append(word)
    return folded


def _lines(lines: Sequence[str]) -> tuple[str, ...]:
    printable = ("".join(each for each in line if each.isprintable()) for line in lines)
    return tuple(line.strip()[:LONGEST] for line in printable if line.strip())


def _number(dataset: Dataset, tag: str) -> str:
    found = numbers(dataset, tag)
    return f"{found[0]:g}" if found else ""


def _told(name: str, value: str, unit: str = "") -> str:
    return " ".join(part for part in (name, value, unit) if part) if value else ""


def _date(text: str) -> str:
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def _time(text: str) -> str:
    return f"{text[:2]}:{text[2:4]}" if text[:4].isdigit() and len(text) >= 4 else ""
