"""Options that say what of a peer's holdings a command is about."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from isocenter.errors import Malformed

if TYPE_CHECKING:
    from isocenter.services.keys import Key
    from isocenter.services.models import Model
    from isocenter.storage.attributes import Level


class LevelName(StrEnum):
    """The levels as options name them."""

    patient = "patient"
    study = "study"
    series = "series"
    image = "image"


class ModelName(StrEnum):
    """The information models as options name them."""

    patient = "patient"
    study = "study"
    patient_study = "patient-study"


LevelOption = Annotated[
    LevelName | None, typer.Option("--level", case_sensitive=False, help="What to look for.")
]
ModelOption = Annotated[
    ModelName | None,
    typer.Option("--model", help="The information model. [study, above it patient]"),
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        "-k",
        metavar="KEYWORD[=VALUE]",
        help="A keyword or GGGG,EEEE, within sequences divided by dots. Repeatable.",
    ),
]


def level_of(name: LevelName) -> "Level":
    """The level an option names."""
    from isocenter.storage.attributes import Level

    return Level[name.name.upper()]


def model_of(name: ModelName | None, level: "Level") -> "Model":
    """The model an option names, or the one that has the level. Raises: BadParameter."""
    from isocenter.services.models import MODELS
    from isocenter.storage.attributes import Level

    if name is None:
        name = ModelName.patient if level is Level.PATIENT else ModelName.study
    model = dict(zip(ModelName, MODELS, strict=True))[name]
    if level not in model.levels:
        raise typer.BadParameter(f"model {name.value} has no level {level.name.lower()}")
    return model


def parse_keys(texts: list[str] | None) -> "list[Key]":
    """Read the keys. Raises: BadParameter."""
    from isocenter.services import keys

    try:
        return [keys.parse(text) for text in texts or ()]
    except Malformed as error:
        raise typer.BadParameter(str(error), param_hint="'--key' / '-k'") from error
