"""``isocenter dump``: the elements of files, to read; or in the models of PS3.18 and PS3.19."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isocenter.errors import IsocenterError

if TYPE_CHECKING:
    from isocenter.dicom.opened import Opened


def dump(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Files.")
    ],
    full: Annotated[
        bool, typer.Option("--full", help="Show values and fragments whole, however long.")
    ] = False,
    width: Annotated[
        int, typer.Option(metavar="N", min=8, help="Characters of a value that are shown.")
    ] = 64,
    depth: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Sequences within each other that are opened."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="In the DICOM JSON model; several files as an array.")
    ] = False,
    as_xml: Annotated[
        bool, typer.Option("--xml", help="In the Native DICOM Model, of one file.")
    ] = False,
    inline: Annotated[
        bool,
        typer.Option("--inline", help="Write large values too, instead of where they are."),
    ] = False,
) -> None:
    """Show the elements of DICOM files."""
    if as_json and as_xml:
        raise typer.BadParameter("choose one of --json and --xml")
    if as_xml and len(files) > 1:
        raise typer.BadParameter("an XML document holds one data set: name one file")
    if as_json or as_xml:
        failed = _dump_models(files, as_xml=as_xml, inline=inline)
    else:
        failed = _dump_lines(files, None if full else width, depth)
    if failed:
        raise typer.Exit(1)


def _dump_lines(files: list[Path], width: int | None, depth: int | None) -> bool:
    from isocenter.cli.dumping import file_lines

    failed = False
    for path in files:
        if len(files) > 1:
            typer.echo(f"# {path}")
        try:
            for line in file_lines(path, width, depth):
                sys.stdout.write(f"{line}\n")
        except BrokenPipeError:
            raise
        except (IsocenterError, OSError) as error:
            sys.stdout.flush()
            _complain(path, error)
            failed = True
    return failed


def _complain(path: Path, error: IsocenterError | OSError) -> None:
    reason = (error.strerror or error) if isinstance(error, OSError) else error
    typer.echo(f"isocenter: {path}: {reason}", err=True)


def _dump_models(files: list[Path], *, as_xml: bool, inline: bool) -> bool:
    """Write what can be read whole; what cannot leaves nothing behind."""
    from isocenter.dicom.opened import opened

    out = sys.stdout.buffer
    written, failed = 0, False
    for path in files:
        try:
            with opened(path) as file:
                file.check()
                if len(files) > 1:
                    out.write(b",\n" if written else b"[\n")
                for piece in _pieces(path, file, as_xml=as_xml, inline=inline):
                    out.write(piece)
                written += 1
        except BrokenPipeError:
            raise
        except (IsocenterError, OSError) as error:
            _complain(path, error)
            failed = True
    if len(files) > 1:
        out.write(b"]\n" if written else b"[]\n")
    out.flush()
    return failed


def _pieces(path: Path, file: "Opened", *, as_xml: bool, inline: bool) -> Iterator[bytes]:
    from isocenter.dicom import json_text, xml_model

    pairs = _pairs(path, file, is_exact=as_xml, inline=inline)
    return xml_model.write(pairs) if as_xml else json_text.write(pairs)


def _pairs(
    path: Path, file: "Opened", *, is_exact: bool, inline: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the file meta information and the data set, attribute by attribute."""
    from isocenter.dicom import file_bulk
    from isocenter.dicom.json_model import Offer, unfolding

    uri, offset = path.resolve().as_uri(), file.header.dataset_offset
    offer = Offer(lambda element: file_bulk.uri(uri, element, offset))
    # What is deflated is nowhere in the file as it is.
    is_whole = inline or file.is_deflated
    yield from unfolding(file.meta(), is_exact=is_exact)
    yield from unfolding(file.elements(), offer=None if is_whole else offer, is_exact=is_exact)
