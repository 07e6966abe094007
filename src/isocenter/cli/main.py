"""The program ``isocenter``."""

import os
import sys
from importlib import import_module

import typer

import isocenter
from isocenter.cli.network import FAILED, NO_ASSOCIATION, NoAssociation
from isocenter.cli.output import complain
from isocenter.errors import IsocenterError

COMMANDS = {
    "serve": ("serve", "serve"),
    "import": ("holdings", "import_"),
    "export": ("holdings", "export"),
    "remove": ("holdings", "remove"),
    "verify": ("holdings", "verify"),
    "reindex": ("holdings", "reindex"),
    "compress": ("compress", "compress"),
    "peers": ("peers", "peers"),
    "jobs": ("jobs", "jobs"),
    "echo": ("network", "echo"),
    "send": ("send", "send"),
    "find": ("find", "find"),
    "get": ("retrieve", "get"),
    "move": ("retrieve", "move"),
    "explain": ("explain", "explain"),
    "dump": ("dump", "dump"),
    "undump": ("undump", "undump"),
    "convert": ("convert", "convert"),
    "render": ("render", "render"),
    "viewer": ("viewer", "viewer"),
}
"""The module of this package and the function in it, by the command's name."""
INTERRUPTED = 130
BROKEN_PIPE = 141

program = typer.Typer(
    name="isocenter",
    help="A vendor-neutral DICOM archive and communication platform.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@program.callback(invoke_without_command=True)
def options(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """A vendor-neutral DICOM archive and communication platform."""
    if version:
        typer.echo(f"isocenter {isocenter.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command the command line names; what was refused is one clear line."""
    named = sys.argv[1] if len(sys.argv) > 1 else ""
    # Only what is wanted is imported: the others would cost more time than a short command.
    for name in (named,) if named in COMMANDS else COMMANDS:
        module, function = COMMANDS[name]
        program.command(name)(getattr(import_module(f"isocenter.cli.{module}"), function))
    try:
        program()
    except IsocenterError as error:
        for line in str(error).splitlines():
            complain(f"isocenter: {line}")
        sys.exit(NO_ASSOCIATION if isinstance(error, NoAssociation) else FAILED)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        complain(f"isocenter: {error}")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
