"""Matches as a table: columns as wide as the first page needs, rows as they come."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from isocenter.cli.progress import plain

PAGE: Final = 50
"""Rows that decide how wide the columns are."""
WIDEST: Final = 64
GAP: Final = "  "

Document = dict[str, Any]


class Table:
    """Prints rows of cells; the first ``PAGE`` of them together."""

    def __init__(self, headings: list[str], write: Callable[[str], None]) -> None:
        self._headings = headings
        self._write = write
        self._waiting: list[list[str]] = []
        self._widths: list[int] | None = None

    def add(self, cells: list[str]) -> None:
        """Add a row."""
        if self._widths is not None:
            self._write(_line(cells, self._widths))
            return
        self._waiting.append(cells)
        if len(self._waiting) >= PAGE:
            self.flush()

    def flush(self) -> None:
        """Print what waits; the heading comes with the first row."""
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        self._widths = [
            min(max(map(width, column)), WIDEST)
            for column in zip(self._headings, *rows, strict=True)
        ]
        for row in (self._headings, *rows):
            self._write(_line(row, self._widths))


def _line(cells: Iterable[str], widths: list[int]) -> str:
    padded = (cell + " " * (wide - width(cell)) for cell, wide in zip(cells, widths, strict=True))
    return GAP.join(padded).rstrip()


def width(text: str) -> int:
    """Columns that ``text`` takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cell(attribute: Document | None) -> str:
    """What a table shows of an attribute of the DICOM JSON model."""
    values = (attribute or {}).get("Value", ())
    return plain("\\".join(_text(value) for value in values))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        if value.keys() <= {"Alphabetic", "Ideographic", "Phonetic"} and value:
            groups = [value.get(name, "") for name in ("Alphabetic", "Ideographic", "Phonetic")]
            return "=".join(groups).rstrip("=")
        return "{" + ", ".join(cell(inner) for inner in value.values()) + "}"
    return str(value)
