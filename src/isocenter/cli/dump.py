"""``isocenter dump``: the elements of files, to read."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from isocenter.errors import IsocenterError


def dump(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Files.")
    ],
) -> None:
    """Show the elements of DICOM files."""
    failed = False
    for path in files:
        if len(files) > 1:
            typer.echo(f"# {path}")
        try:
            _dump(path)
        except BrokenPipeError:
            raise
        except (IsocenterError, OSError) as error:
            sys.stdout.flush()
            reason = (error.strerror or error) if isinstance(error, OSError) else error
            typer.echo(f"isocenter: {path}: {reason}", err=True)
            failed = True
    if failed:
        raise typer.Exit(1)


def _dump(path: Path) -> None:
    import mmap

    from isocenter.dicom import dump as dumping
    from isocenter.dicom import part10
    from isocenter.dicom.elements import elements
    from isocenter.dicom.syntax import EXPLICIT_LE

    with path.open("rb") as file:
        header = part10.read(file)
        # Mapped, not read: only what is shown comes into memory.
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    start = part10.PREAMBLE_SIZE if header.has_preamble else 0
    if bytes(data[start : start + 4]) == part10.PREFIX:
        start += 4
    for line in dumping.lines(elements(data[start : header.dataset_offset], EXPLICIT_LE)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"# data set in {header.syntax.name}, at byte {header.dataset_offset}\n")
    for line in dumping.lines(elements(data[header.dataset_offset :], header.syntax)):
        sys.stdout.write(f"{line}\n")
