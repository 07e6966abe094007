"""What became of files that were sent: as lines for a script, as a table, as CSV."""

import csv
import io
from collections import Counter
from typing import Final
from urllib.parse import quote

import orjson
from starlette.exceptions import HTTPException

from isocenter.archive.importing import Fate, Imported

MOST_LISTED: Final = 2_000
"""Files that are listed one by one: all are counted."""
NOT_DICOM: Final = "not DICOM"
"""What is told of refused files that do not even begin as DICOM files do."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would compute (OWASP: CSV injection)."""


class Report:
    """Counts, and lists what was not taken."""

    def __init__(self) -> None:
        self.counts: Counter[Fate] = Counter()
        self.not_dicom = 0
        self.listed: list[Imported] = []
        self.studies: dict[str, None] = {}
        self._parts = 0

    def count(self, most: int) -> None:
        """One more part comes. Raises: HTTPException 413."""
        self._parts += 1
        if self._parts > most:
            raise HTTPException(413, f"there are more than {most} files: send less at once")

    def add(self, imported: Imported) -> None:
        """Note an outcome."""
        if is_other(imported):
            self.not_dicom += 1
        else:
            self.counts[imported.fate] += 1
        if imported.fate in (Fate.REFUSED, Fate.PASSED_OVER) and len(self.listed) < MOST_LISTED:
            self.listed.append(imported)
        if imported.study:
            self.studies[imported.study] = None

    @property
    def refused(self) -> list[Imported]:
        """What was refused and is a DICOM file."""
        return [each for each in self.listed if not is_other(each) and each.fate is Fate.REFUSED]

    @property
    def by_name(self) -> dict[str, int]:
        """How many files had each fate."""
        counts = {fate.name.lower(): count for fate, count in self.counts.items()}
        return counts | {"not_dicom": self.not_dicom}

    @property
    def link(self) -> str:
        """The list as CSV, in a URL of its own."""
        return "data:text/csv;charset=utf-8," + quote(self.csv())

    def csv(self) -> str:
        """The list as CSV (RFC 4180)."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("name", "size", "outcome", "reason", "study"))
        for each in self.listed:
            row = (each.name, each.size, told(each), each.reason, each.study)
            writer.writerow([_harmless(str(value)) for value in row])
        return text.getvalue()


def is_other(imported: Imported) -> bool:
    """Whether it is something else than a DICOM file, as there is much in folders."""
    return imported.fate is Fate.REFUSED and not imported.is_dicom


def told(imported: Imported) -> str:
    """What became of it, in a word."""
    return NOT_DICOM if is_other(imported) else imported.fate.value


def line(imported: Imported) -> bytes:
    """An outcome as a line of JSON."""
    content = {
        "name": imported.name.encode("utf-8", "replace").decode("utf-8"),
        "size": imported.size,
        "fate": "not_dicom" if is_other(imported) else imported.fate.name.lower(),
        "reason": imported.reason,
        "study": imported.study,
    }
    return orjson.dumps(content) + b"\n"


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULA) else value
