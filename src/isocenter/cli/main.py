"""The program ``isocenter``."""

import os
import sys

import typer

import isocenter
from isocenter.cli import holdings
from isocenter.cli.dump import dump
from isocenter.cli.find import find
from isocenter.cli.network import FAILED, NO_ASSOCIATION, NoAssociation, echo
from isocenter.cli.output import complain
from isocenter.cli.retrieve import get, move
from isocenter.cli.send import send
from isocenter.cli.serve import serve
from isocenter.errors import IsocenterError

program = typer.Typer(
    name="isocenter",
    help="A vendor-neutral DICOM archive and communication platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
program.command()(serve)
program.command("import")(holdings.import_)
program.command()(holdings.export)
program.command()(holdings.remove)
program.command()(holdings.verify)
program.command()(holdings.reindex)
for command in (echo, send, find, get, move, dump):
    program.command()(command)


@program.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """A vendor-neutral DICOM archive and communication platform."""
    if version:
        typer.echo(f"isocenter {isocenter.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command the command line names; what was refused is one clear line."""
    try:
        program()
    except IsocenterError as error:
        for line in str(error).splitlines():
            complain(f"isocenter: {line}")
        sys.exit(NO_ASSOCIATION if isinstance(error, NoAssociation) else FAILED)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        complain(f"isocenter: {error}")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
