"""What a person sees while a command works: progress on a terminal, and one line a failure."""

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from isocenter.services.delivery import Fate, Outcome

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

REDRAW: Final = 0.1
"""Seconds between two looks of the bar."""
MOST_REASONS: Final = 50
"""Reasons that are counted singly."""


def plain(text: str) -> str:
    """Return ``text`` without what a terminal would obey: it may come from a stranger."""
    return "".join(each if each.isprintable() else "." for each in text)


class Bar:
    """A progress bar on standard error; nothing at all where that is no terminal."""

    def __init__(self, label: str, *, is_hidden: bool = False) -> None:
        self._label = label
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._drawn = 0.0
        if not is_hidden and sys.stderr.isatty():
            self._progress = _progress()
            self._task = self._progress.add_task(label, total=None)

    @property
    def is_shown(self) -> bool:
        """Whether anybody sees it."""
        return self._progress is not None

    def __enter__(self) -> "Bar":
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done: int, *, total: int | None = None, is_final: bool = False) -> None:
        """Say how far it is; drawn only now and then."""
        if self._progress is None or self._task is None:
            return
        now = time.monotonic()
        if is_final or now - self._drawn >= REDRAW:
            self._drawn = now
            self._progress.update(self._task, completed=done, total=total)

    def tell(self, line: str) -> None:
        """Print a line on standard error, above the bar."""
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            sys.stderr.write(f"{line}\n")


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        refresh_per_second=5,
        transient=True,
    )


class Tally:
    """Counts what became of files, tells of those that failed, and sums up."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._counts: Counter[Fate] = Counter()
        self._reasons: Counter[str] = Counter()
        self._size = 0
        self._begun = time.monotonic()
        self.total: int | None = None

    @property
    def failed(self) -> int:
        """How many files failed."""
        return self._counts[Fate.FAILED]

    def count(self, outcome: Outcome) -> None:
        """Take note of a file's fate."""
        self._counts[outcome.fate] += 1
        if outcome.reason:
            self._tell(outcome)
        if outcome.found is not None and outcome.is_acknowledged:
            self._size += outcome.found.size
        if self._bar.is_shown:
            self._bar.show(self._counts.total(), total=self.total)

    def _tell(self, outcome: Outcome) -> None:
        verb = "failed" if outcome.fate is Fate.FAILED else "warning"
        self._bar.tell(plain(f"{verb}: {outcome.name}: {outcome.reason}"))
        reason = f"{verb}: {outcome.reason}"
        if reason in self._reasons or len(self._reasons) < MOST_REASONS:
            self._reasons[reason] += 1

    def summary(self) -> list[str]:
        """What to say at the end."""
        counts = self._counts
        sent = counts[Fate.SENT] + counts[Fate.WARNED]
        took = max(time.monotonic() - self._begun, 1e-6)
        line = f"{sent} sent, {self._size / 1e6:.1f} MB in {took:.1f} s ({sent / took:.0f}/s)"
        for fate, words in (
            (Fate.WARNED, "of them with a warning"),
            (Fate.SKIPPED, "skipped, sent before"),
            (Fate.FAILED, "failed"),
        ):
            if counts[fate]:
                line += f"; {counts[fate]} {words}"
        lines = [line]
        if sum(self._reasons.values()) > len(self._reasons):
            lines += [plain(f"  {n} x {reason}") for reason, n in self._reasons.most_common()]
        return lines
