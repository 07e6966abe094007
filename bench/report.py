"""Results: printed as they come, and written to the documentation when asked."""

import os
import platform
import sqlite3
import subprocess
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

import psutil

from peers import Missing, find_program

DOCUMENT = Path("docs/benchmarks.md")
START_MARK, END_MARK = "<!-- record -->", "<!-- end of record -->"


@dataclass(frozen=True)
class Result:
    """One line: what was measured, against whom, and what was asked for."""

    what: str
    ours: float
    unit: str
    rival: str = ""
    theirs: float | None = None
    asked: str = ""
    is_met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.theirs else None

    def cells(self) -> list[str]:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f} x"
        theirs = "" if self.theirs is None else f"{_number(self.theirs)} ({self.rival})"
        met = "" if self.is_met is None else ("yes" if self.is_met else "NO")
        return [self.what, f"{_number(self.ours)} {self.unit}", theirs, ratio, self.asked, met]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _line_of(cells: list[str]) -> tuple[str, str]:
    """What tells a line from the others: what was measured, and beside whom."""
    return cells[0], cells[2].rpartition("(")[2]


HEADINGS = ["measured", "Isocenter", "the other", "ratio", "asked", "met"]


@dataclass
class Report:
    """Every result of this run, and the remarks that explain them."""

    results: list[Result] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.results.append(result)
        print("  ".join(cell for cell in result.cells() if cell), flush=True)

    def compare(
        self, what: str, ours: list[float], rival: str, theirs: list[float], at_least: float | None
    ) -> None:
        """Add the medians of rates (per second), and whether their ratio is as asked."""
        mine, other = median(ours), median(theirs)
        asked = "" if at_least is None else f">= {at_least:g} x"
        is_met = None if at_least is None else mine / other >= at_least
        self.add(Result(what, mine, "/s", rival, other, asked, is_met))

    def limit(self, what: str, value: float, unit: str, at_most: float) -> None:
        """Add a value that should not be more than ``at_most``."""
        self.add(Result(what, value, unit, asked=f"<= {at_most:g} {unit}", is_met=value <= at_most))

    def remark(self, text: str) -> None:
        self.remarks.append(text)
        print(text, flush=True)

    def table(self, earlier: list[list[str]] | None = None) -> str:
        """This run's lines, in the places of those of earlier runs that they are new values of."""
        lines_of = {_line_of(row): row for row in earlier or []}
        lines_of |= {_line_of(cells): cells for cells in (each.cells() for each in self.results)}
        rows = [HEADINGS, *lines_of.values()]
        widths = [max(len(row[n]) for row in rows) for n in range(len(HEADINGS))]
        lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
                 for row in rows]  # fmt: skip
        lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
        return "\n".join(lines)

    def record(self, document: Path = DOCUMENT) -> None:
        """Put this run's lines into the table of the document; what it left out stays."""
        text = document.read_text(encoding="utf-8")
        before, _, rest = text.partition(START_MARK)
        recorded, _, after = rest.partition(END_MARK)
        earlier = [
            [cell.strip() for cell in line.strip("| ").split(" |")] + [""] * len(HEADINGS)
            for line in recorded.splitlines()
            if line.startswith("| ") and not line.startswith(("| -", f"| {HEADINGS[0]}"))
        ]
        table = self.table([row[: len(HEADINGS)] for row in earlier])
        kept = [line[2:] for line in recorded.splitlines() if line.startswith("- ")]
        remarks = "".join(f"\n- {remark}" for remark in self.remarks or kept)
        parts = [before, START_MARK, "\n", surroundings(), "\n\n", table, "\n", remarks]
        document.write_text("".join([*parts, "\n", END_MARK, after]), encoding="utf-8")


def surroundings() -> str:
    """The machine and the programs, in one sentence."""
    memory = psutil.virtual_memory().total / (1 << 30)
    return (
        f"Recorded {date.today().isoformat()}: {os.cpu_count()} processors, {memory:.0f} GB memory,"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()},"
        f" SQLite {sqlite3.sqlite_version}, {_version('Orthanc')}, DCMTK {_version('storescp')}."
    )


def _version(name: str) -> str:
    try:
        command = [find_program(name), "--version"]
    except Missing:
        return f"no {name}"
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    words = done.stdout.splitlines()[0].split()
    return f"Orthanc {words[1]}" if name == "Orthanc" else words[2]
