"""``isocenter convert``: files in another transfer syntax."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from isocenter.cli.network import FAILED, run

if TYPE_CHECKING:
    from isocenter.cli.progress import Bar
    from isocenter.services.converting import Outcome

READERS: Final = 4
"""Threads that read and write files."""


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", exists=True, help="A file, folder, DICOMDIR or zip archive."),
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The file to write; the folder, if IN holds several."),
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The transfer syntax: explicit, implicit, big-endian, deflated, rle, "
            "jpeg-lossless, jpeg-ls, jpeg-2000, htj2k, htj2k-rpcl, jpeg-xl, jpeg-xl-jpeg, "
            "deflated-frames; with loss, and so as other instances: jpeg, jpeg-ls-near, "
            "jpeg-2000-lossy, htj2k-lossy. Or its keyword, name or UID.",
        ),
    ],
    jobs: Annotated[
        int, typer.Option(min=0, max=256, help="Frames to work on at a time; 0: one a processor.")
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell of failures only.")] = False,
) -> None:
    """Turn DICOM files into another transfer syntax."""
    from isocenter.archive.media import walk
    from isocenter.cli.progress import Bar
    from isocenter.imaging.targets import target_named
    from isocenter.imaging.workers import Workers
    from isocenter.services.converting import Conversions, place_below

    syntax = target_named(to)
    is_single = source.is_file() and not target.is_dir() and not _holds_several(source)
    place = (lambda _: target) if is_single else place_below(source, target)
    with (
        Bar("converting", is_hidden=quiet) as bar,
        closing(Workers(jobs)) as codecs,
        ThreadPoolExecutor(READERS, "files") as files,
    ):
        tally = _Tally(bar, sum(1 for _ in walk([source])) if bar.is_shown else None)
        work = Conversions(syntax, codecs, files, may_replace=force)
        run(work.run(walk([source]), place, tally.count))
    if not quiet:
        for line in tally.summary():
            typer.echo(line, err=True)
    if tally.has_failures:
        raise typer.Exit(FAILED)


def _holds_several(source: Path) -> bool:
    import zipfile

    return source.name.upper() == "DICOMDIR" or zipfile.is_zipfile(source)


class _Tally:
    """Counts what became of files, and tells of those that failed."""

    def __init__(self, bar: "Bar", total: int | None) -> None:
        self._bar = bar
        self._total = total
        self._counts: Counter[str] = Counter()
        self._before = self._after = 0
        self.has_failures = False

    def count(self, outcome: "Outcome") -> None:
        from isocenter.cli.progress import plain

        self._counts[outcome.fate.value] += 1
        self._before += outcome.size
        self._after += outcome.made
        if outcome.reason:
            self.has_failures = True
            self._bar.tell(plain(f"{outcome.fate.value}: {outcome.name}: {outcome.reason}"))
        self._bar.show(self._counts.total(), total=self._total)

    def summary(self) -> list[str]:
        lines = [f"{count} {fate}" for fate, count in self._counts.most_common()]
        if self._after:
            sizes = f"{self._before / 1e6:.1f} MB became {self._after / 1e6:.1f} MB"
            lines.append(f"{sizes} ({self._before / self._after:.2f}:1)")
        return lines or ["there is nothing to convert"]
