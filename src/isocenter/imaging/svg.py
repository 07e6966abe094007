"""A picture in an SVG file, with text that stays text."""

from base64 import b64encode
from html import escape
from typing import Final

from isocenter.imaging.pages import Page

LINES: Final = 32
"""Lines of text that the picture's shorter side is high."""


def written(page: Page, media_type: str, width: int, height: int, title: str) -> bytes:
    """Give the file; ``width`` and ``height`` of the picture in pixels."""
    across, down = (f"{side:g}mm" for side in page.size) if page.size else (str(width), str(height))
    size = max(min(width, height) / LINES, 4)
    margin = size / 2
    text = _lines(page.left, margin, size, "start") + _lines(
        page.right, width - margin, size, "end"
    )
    data = b64encode(page.picture).decode()
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}"'
        f' viewBox="0 0 {width} {height}">\n'
        f"<title>{_safe(title)}</title>\n"
        f'<image width="{width}" height="{height}" href="data:{media_type};base64,{data}"/>\n'
        f'<g font-family="sans-serif" font-size="{size:g}" fill="#fff" stroke="#000"'
        f' stroke-width="{size / 8:g}" paint-order="stroke">\n{text}</g>\n</svg>\n'
    ).encode()


def _lines(lines: tuple[str, ...], at: float, size: float, anchor: str) -> str:
    return "".join(
        f'<text x="{at:g}" y="{size * (1.25 * number + 1.3):g}" text-anchor="{anchor}">'
        f"{_safe(line)}</text>\n"
        for number, line in enumerate(lines)
    )


def _safe(text: str) -> str:
    return escape("".join(each for each in text if each.isprintable()), quote=True)
