"""``isocenter viewer``: OHIF, installed so that the server serves it at ``/ohif``."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from isocenter.cli.output import progress, say
from isocenter.cli.serve import ConfigOption, load_settings


class Action(StrEnum):
    """What to do with the viewer."""

    INSTALL = "install"
    STATUS = "status"
    REMOVE = "remove"


def viewer(
    action: Annotated[Action, typer.Argument(help="install, status or remove.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The package, fetched elsewhere (npm pack).")
    ] = None,
    registry: Annotated[
        str | None,
        typer.Option(help="URL of a registry of npm packages. [the one npm is set to]"),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Install the viewer OHIF, say whether it is there, or remove it."""
    from isocenter.ohif import installation

    folder = load_settings(config).viewer.folder
    if action is Action.INSTALL:
        _install(folder, source, registry)
    elif action is Action.REMOVE:
        say("removed" if installation.remove(folder) else "nothing is installed")
    else:
        _status(folder)


def _install(folder: Path, source: Path | None, registry: str | None) -> None:
    from isocenter.ohif import installation
    from isocenter.ohif.package import PACKAGE

    with progress("fetching", PACKAGE.size) as steps:
        installation.install(folder, source, registry, step=steps.step)
    _status(folder)


def _status(folder: Path) -> None:
    from isocenter.ohif import installation
    from isocenter.ohif.package import VERSION

    installed = installation.find(folder)
    if installed is None:
        say(f"OHIF {VERSION} is not installed")
        raise typer.Exit(1)
    say(f"OHIF {VERSION} is installed: {installed.size / 1e6:.0f} MB in {installed.folder}")
