"""PDF files of pictures (ISO 32000-1), written page by page: a page is a JPEG file, as it is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

POINTS: Final = 72 / 25.4
"""Of a millimetre."""
SMALLEST: Final = 3.0
LARGEST: Final = 14_400.0
"""Points that a side may have (ISO 32000-1 Annex C.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page: a JPEG file that fills it."""

    jpeg: bytes
    columns: int
    rows: int
    is_grey: bool
    size: tuple[float, float]
    """Width and height in mm."""


def written(sheets: Iterable[Sheet]) -> Iterator[bytes]:
    """Give the file, piece by piece. Nothing but where its objects are is remembered."""
    file = _File()
    yield b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    file.at = 15
    catalogue, tree = file.number(), file.number()
    pages = []
    for sheet in sheets:
        image, content, page = file.number(), file.number(), file.number()
        width, height = _media_box(sheet.size)
        drawing = f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /I Do Q".encode()
        space = "DeviceGray" if sheet.is_grey else "DeviceRGB"
        head = (
            f"/Type /XObject /Subtype /Image /Width {sheet.columns} /Height {sheet.rows}"
            f" /ColorSpace /{space} /BitsPerComponent 8 /Filter /DCTDecode"
        )
        yield file.stream(image, head, sheet.jpeg)
        yield file.stream(content, "", drawing)
        yield file.object(
            page,
            f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 {width:.2f} {height:.2f}]"
            f" /Resources << /XObject << /I {image} 0 R >> >> /Contents {content} 0 R >>",
        )
        pages.append(f"{page} 0 R")
    yield file.object(tree, f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(pages)}] >>")
    yield file.object(catalogue, f"<< /Type /Catalog /Pages {tree} 0 R >>")
    yield file.end(catalogue)


def _media_box(size: tuple[float, float]) -> tuple[float, float]:
    """Give points; what is too large or too small is scaled in proportion."""
    width, height = (side * POINTS for side in size)
    scale = min(1.0, LARGEST / max(width, height))
    return max(width * scale, SMALLEST), max(height * scale, SMALLEST)


class _File:
    """Where the objects are."""

    def __init__(self) -> None:
        self.at = 0
        self._places: list[int] = []

    def number(self) -> int:
        """Take the next number for an object."""
        self._places.append(0)
        return len(self._places)

    def object(self, number: int, text: str) -> bytes:
        return self._placed(number, b"%d 0 obj\n%s\nendobj\n" % (number, text.encode()))

    def stream(self, number: int, head: str, data: bytes) -> bytes:
        start = f"<< {head} /Length {len(data)} >>\nstream\n".encode()
        return self._placed(number, b"%d 0 obj\n%s%s\nendstream\nendobj\n" % (number, start, data))

    def _placed(self, number: int, data: bytes) -> bytes:
        self._places[number - 1] = self.at
        self.at += len(data)
        return data

    def end(self, catalogue: int) -> bytes:
        """Give the cross-reference table and the trailer."""
        size = len(self._places) + 1
        rows = "".join(f"{place:010d} 00000 n \n" for place in self._places)
        table = f"xref\n0 {size}\n0000000000 65535 f \n{rows}"
        root = f"trailer\n<< /Size {size} /Root {catalogue} 0 R >>\n"
        return f"{table}{root}startxref\n{self.at}\n%%EOF\n".encode()
