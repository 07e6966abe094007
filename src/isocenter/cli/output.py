"""What commands print: results on standard output, progress and faults on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress(verb: str, total: int | None = None) -> Iterator["Steps"]:
    """Show how far it is, where somebody watches."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TransferSpeedColumn,
    )

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]} files"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    bar = Progress(*columns, console=errors, transient=True, disable=not sys.stderr.isatty())
    task = bar.add_task(verb, total=total, count=0)
    with bar:
        yield Steps(bar, task)


class Steps:
    """A progress bar that is stepped a file at a time."""

    def __init__(self, bar: "Progress", task: object) -> None:
        self._bar = bar
        self._task = task
        self.count = 0
        self.size = 0

    def step(self, size: int) -> None:
        """One more file, of ``size`` bytes."""
        self.count += 1
        self.size += size
        self._bar.update(self._task, advance=size, count=self.count)  # type: ignore[arg-type]


def say(line: str) -> None:
    """Print a result."""
    sys.stdout.write(f"{line}\n")


def complain(line: str) -> None:
    """Print what went wrong. What a stranger named breaks no line and moves no cursor."""
    sys.stderr.write(f"{printable(line)}\n")


def printable(text: str) -> str:
    """Give ``text`` with what a terminal would obey, or cannot write, spelt out."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
