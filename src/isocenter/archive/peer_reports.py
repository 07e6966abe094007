"""What an application answered when it was asked whether it is there, and what it takes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

ECHO: Final = "echo"
ACCEPTS: Final = "accepts"
"""Kinds of reports, as they are kept."""


class Outcome(StrEnum):
    """How it went."""

    ANSWERED = "answered"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    ABORTED = "aborted"
    SILENT = "silent"
    DECLINED = "declined"
    """There was an association, and no Success on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Echoed:
    """The answer to a C-ECHO (PS3.7 9.1.5), or why there was none."""

    outcome: Outcome
    reason: str = ""
    connected: float = 0.0
    """Seconds until there was an association."""
    answered: float = 0.0
    """Seconds from the request to the answer."""
    implementation_class: str = ""
    implementation_version: str = ""
    maximum_length: int = 0
    """Bytes of a PDU that it takes; 0 is no maximum."""

    @property
    def document(self) -> bytes:
        """As it is kept."""
        return orjson.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, document: bytes) -> "Echoed":
        """Read what ``document`` gave."""
        held: dict[str, Any] = orjson.loads(document)
        return cls(**{**held, "outcome": Outcome(held["outcome"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Which storage SOP classes an application takes, and how encoded."""

    outcome: Outcome
    reason: str = ""
    """Why not all could be asked."""
    proposed: int = 0
    """SOP classes it was asked about."""
    associations: int = 0
    """As many as that took."""
    syntaxes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Transfer syntaxes by SOP class; UIDs."""

    @property
    def document(self) -> bytes:
        """As it is kept."""
        return orjson.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, document: bytes) -> "Accepted":
        """Read what ``document`` gave."""
        held: dict[str, Any] = orjson.loads(document)
        syntaxes = {name: tuple(given) for name, given in held["syntaxes"].items()}
        return cls(**{**held, "outcome": Outcome(held["outcome"]), "syntaxes": syntaxes})
