"""``isocenter undump``: a file of what ``isocenter dump --json`` or ``--xml`` told."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from isocenter.errors import Conflict, Unsupported

if TYPE_CHECKING:
    from isocenter.dicom.encoding import Dataset
    from isocenter.dicom.syntax import TransferSyntax

STANDARD: Path = Path("-")
"""Stands for standard input and output."""


def undump(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="JSON or XML; - for standard input."),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="[OUT]",
            help="The file to write; a folder, where IN holds several; - for standard output.",
        ),
    ] = STANDARD,
    transfer_syntax: Annotated[
        str,
        typer.Option(
            metavar="UID",
            help="The transfer syntax, by UID or name; without it, the one IN names, "
            "or Explicit VR Little Endian.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over what is there.")] = False,
) -> None:
    """Make DICOM files of the DICOM JSON model or the Native DICOM Model."""
    from isocenter.dicom.restoring import read_models, sop_instance_of, syntax_named

    syntax = syntax_named(transfer_syntax) if transfer_syntax else None
    folder = Path.cwd() if source == STANDARD else source.absolute().parent
    with _input(source) as stream:
        models = list(read_models(stream))
    if len(models) == 1 and not target.is_dir():
        _write(models[0], target, syntax, folder, force=force)
        return
    if target == STANDARD:
        raise typer.BadParameter(f"IN holds {len(models)} data sets: name a folder for them")
    for model in models:
        target.mkdir(parents=True, exist_ok=True)
        _write(model, target / f"{sop_instance_of(model)}.dcm", syntax, folder, force=force)


@contextmanager
def _input(source: Path) -> Iterator[BinaryIO]:
    if source == STANDARD:
        yield sys.stdin.buffer
    else:
        with source.open("rb") as file:
            yield file


def _write(
    model: "Dataset", target: Path, syntax: "TransferSyntax | None", folder: Path, *, force: bool
) -> None:
    from isocenter.dicom.file_bulk import fetch
    from isocenter.dicom.restoring import file_pieces, syntax_of

    syntax = syntax or syntax_of(model)
    pieces = file_pieces(model, syntax, partial(fetch, folder=folder))
    if target == STANDARD:
        if sys.stdout.isatty():
            raise Unsupported("a file is nothing for a terminal: name one to write to")
        _copy(pieces, sys.stdout.buffer)
        return
    if target.exists() and not target.is_file():
        with target.open("wb") as device:
            _copy(pieces, device)
        return
    if target.exists() and not force:
        raise Conflict(f"{target} is there already; --force writes over it")
    # Whole or not at all; and what is written over may be what is read from.
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as file:
            _copy(pieces, file)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _copy(pieces: Iterable[bytes | memoryview], out: BinaryIO) -> None:
    out.writelines(pieces)
    out.flush()
