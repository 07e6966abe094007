"""``isocenter serve``: the archive, until it is told to stop."""

import os
from pathlib import Path
from typing import Annotated

import typer

from isocenter import config as settings
from isocenter.config import Config, Loaded

DataOption = Annotated[
    Path | None, typer.Option("--data", help="The folder that holds blobs and index.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="A TOML file of settings.")]


def load_settings(config: Path | None, **options: object) -> Config:
    """Return the settings; what was not given on the command line comes from elsewhere."""
    return load_with_places(config, **options).config


def load_with_places(config: Path | None, **options: object) -> Loaded:
    """As ``load_settings``, and where each was set."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    return settings.load_with_places(config, options=given, environ=os.environ)


def quiet_log() -> None:
    """Log only what needs a hand: a command says the rest itself."""
    from isocenter.app import log

    log.configure("error")


def serve(
    data: DataOption = None,
    aet: Annotated[str | None, typer.Option(help="Our AE title. [ISOCENTER]")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    dicom_port: Annotated[int | None, typer.Option(help="0: the system chooses. [11112]")] = None,
    http_port: Annotated[int | None, typer.Option(help="0: the system chooses. [8080]")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(help="AET@HOST:PORT, a destination of C-MOVE. Repeatable.")
    ] = None,
    allow_anonymous: Annotated[
        bool | None,
        typer.Option("--allow-anonymous", help="Listen beyond loopback, whoever calls."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Receive, keep, find and give back, until SIGTERM or Ctrl-C."""
    loaded = load_with_places(
        config,
        data=data,
        aet=aet,
        host=host,
        dicom_port=dicom_port,
        http_port=http_port,
        peer=peer,
        allow_anonymous=allow_anonymous,
    )
    from isocenter.app import log, node

    log.configure(loaded.config.log_level)
    node.serve(loaded.config, loaded.places)
