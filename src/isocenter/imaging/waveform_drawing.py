"""Sheets of waveforms as files: SVG for people, small pictures for lists. Jobs of the workers."""

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor
from typing import Final

import numpy as np
from PIL import Image as Pillow, ImageDraw, ImageFont

from isocenter.imaging.finishing import Finish, finished
from isocenter.imaging.native import Buffer
from isocenter.imaging.waveform_samples import Samples
from isocenter.imaging.waveform_strips import (
    LEFT,
    PULSE,
    SCALE,
    Curve,
    Points,
    Sheet,
    Strip,
    laid,
)
from isocenter.imaging.waveforms import Multiplex, clock

MEDIA_TYPE: Final = "image/svg+xml"
PAPER, FINE, THICK, INK = "#fff8f5", "#f7d3cb", "#e8a090", "#14181c"
TEXT: Final = 3.4
"""Millimetres of the font."""
TICK: Final = 1.5
_CARD: Final = 200
_FEW: Final = 3
"""Leads on a small picture."""
_FEW_LEADS: Final = ("II", "V1", "V5")


def svg(
    data: memoryview | bytes,
    group: Multiplex,
    sop_class: str,
    strip: Strip,
    above: Sequence[str] = (),
) -> Buffer:
    """Draw samples, of which the first is the strip's. Raises: Malformed, Unsupported.

    ``above``: what is written at the top.
    """
    return _written(laid(Samples(data, group), group, sop_class, strip), above)


def _written(sheet: Sheet, above: Sequence[str]) -> bytes:
    width, height = f"{sheet.width:g}", f"{sheet.height:g}"
    names = ", ".join(curve.name for curve in sheet.curves)
    parts = [
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
            f'viewBox="0 0 {width} {height}">\n'
        ),
        f"<title>{_safe(names)}</title>\n",
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>\n',
        _grid(sheet, 1, FINE, 0.1),
        _grid(sheet, 5, THICK, 0.18),
        f'<g font-family="Helvetica, Arial, sans-serif" font-size="{TEXT}" fill="{INK}">\n',
        *_texts(sheet, above),
        "</g>\n",
        (
            f'<g fill="none" stroke="{INK}" stroke-width="0.28" stroke-linejoin="round"'
            ' stroke-linecap="round">\n'
        ),
        _ticks(sheet),
        *(_pulse(curve) for curve in sheet.curves if curve.pulse),
        f'<g transform="scale({1 / SCALE:g})" stroke-width="{0.28 * SCALE:g}">\n',
        *(_path(curve) for curve in sheet.curves),
        "</g>\n</g>\n</svg>\n",
    ]
    return "".join(parts).encode()


def _grid(sheet: Sheet, step: int, colour: str, width: float) -> str:
    across = "".join(f"M{x} 0V{sheet.height:g}" for x in range(0, ceil(sheet.width) + 1, step))
    down = "".join(f"M0 {y}H{sheet.width:g}" for y in range(0, ceil(sheet.height) + 1, step))
    return f'<path d="{across}{down}" fill="none" stroke="{colour}" stroke-width="{width}"/>\n'


def _texts(sheet: Sheet, above: Sequence[str]) -> Iterator[str]:
    if above:
        yield _text(2, 5.5, "  ·  ".join(filter(None, above)))
    for curve in sheet.curves:
        yield _text(1.5, curve.at - 1, curve.name, is_bold=True)
        if curve.told:
            yield _text(1.5, curve.at + TEXT, curve.told)
    bottom = sheet.height - 2
    yield _text(1.5, bottom, "  ·  ".join(sheet.told))
    for second, x in _seconds(sheet):
        told = clock(second)
        if x + TEXT * 0.6 * len(told) < sheet.width:
            yield _text(x + 0.6, sheet.height - 6.2, told)


def _text(x: float, y: float, text: str, *, is_bold: bool = False) -> str:
    weight = ' font-weight="bold"' if is_bold else ""
    return f'<text x="{x:.6g}" y="{y:.6g}"{weight}>{_safe(text)}</text>\n'


def _seconds(sheet: Sheet) -> Iterator[tuple[int, float]]:
    """Whole seconds that have room, and where they are."""
    for second in range(ceil(sheet.start - 1e-9), floor(sheet.start + sheet.seconds) + 1):
        yield second, LEFT + (second - sheet.start) * sheet.speed


def _ticks(sheet: Sheet) -> str:
    y = sheet.height - 6
    found = "".join(f"M{x:.6g} {y:g}v{-TICK:g}" for _, x in _seconds(sheet))
    return f'<path d="{found}"/>\n' if found else ""


def _pulse(curve: Curve) -> str:
    begin, end = PULSE
    up = curve.at - curve.pulse
    return (
        f'<path d="M{begin - 1.5} {curve.at:g}H{begin}V{up:g}H{end}V{curve.at:g}H{end + 1.5}"/>\n'
    )


def _path(curve: Curve) -> str:
    steps = "".join(map(_run, curve.runs))
    return f'<path d="{steps}"><title>{_safe(curve.name)}</title></path>\n' if steps else ""


def _run(points: Points) -> str:
    first = points[0].tolist()
    if len(points) == 1:
        return f"M{first[0]} {first[1]}h0"
    steps = np.diff(points, axis=0).ravel().tolist()
    return f"M{first[0]} {first[1]}l{' '.join(map(str, steps))}"


def _safe(text: str) -> str:
    return escape("".join(each for each in text if each.isprintable()), quote=True)


# --- small pictures


def picture(
    data: memoryview, group: Multiplex, sop_class: str, strip: Strip, finish: Finish
) -> Buffer:
    """Draw a few leads in a picture, each as high as there is room. Nothing else is written."""
    sheet = laid(Samples(data, group), group, sop_class, strip)
    viewport = finish.viewport
    width = (viewport.width if viewport else 0) or _CARD
    height = (viewport.height if viewport else 0) or _CARD
    canvas = Pillow.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    across = width / max(sheet.seconds * sheet.speed, 1)
    _grid_into(draw, width, height, 5 * across)
    curves = few(sheet.curves)
    band = height / len(curves)
    font = ImageFont.load_default(max(height // 12, 9))
    for place, curve in enumerate(curves):
        for line in _banded(curve, across, band):
            draw.line([(x, place * band + y) for x, y in line], INK, max(round(width / 160), 1))
        draw.text((3, place * band + 1), curve.name[:6], INK, font)
    return finished(np.asarray(canvas), finish)


def few(curves: Sequence[Curve]) -> list[Curve]:
    """Choose those that are known best, or the first."""
    named = [curve for curve in curves if curve.name in _FEW_LEADS]
    return (named if len(named) == _FEW else list(curves))[:_FEW]


def _banded(curve: Curve, across: float, band: float) -> Iterator[list[list[float]]]:
    """Give the lines of a curve in pixels, as high as a band of the picture."""
    if not curve.runs:
        return
    heights = np.concatenate([run[:, 1] for run in curve.runs]) / SCALE
    top, bottom = float(heights.min()), float(heights.max())
    down = min(0.8 * band / max(bottom - top, 1e-9), across)
    for run in curve.runs:
        at = (run / SCALE - (LEFT, top)) * (across, down) + (0, 0.15 * band)
        yield at.tolist()


def _grid_into(draw: ImageDraw.ImageDraw, width: int, height: int, step: float) -> None:
    step = max(step, 4)
    for number in range(ceil(width / step) + 1):
        draw.line((number * step, 0, number * step, height), FINE)
    for number in range(ceil(height / step) + 1):
        draw.line((0, number * step, width, number * step), FINE)
