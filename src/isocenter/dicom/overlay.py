"""What is laid over data sets that stay as they came: attributes that a person corrected.

A value; ``amending`` writes it into the bytes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

Attribute = Mapping[str, Any]
"""In the DICOM JSON model."""
Changes = Mapping[str, Attribute | None]
"""New values by tag, as in the model; None takes an attribute out."""

MOST_REMEMBERED: Final = 1024


@dataclass(frozen=True, slots=True)
class Step:
    """What was corrected at one time."""

    at: int
    """Microseconds since 1970, UTC."""
    changes: Changes


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """Corrections in their order. Two of the same ``token`` are the same."""

    token: str
    steps: tuple[Step, ...]
    final: Changes
    """What all of them come to."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Overlay) and other.token == self.token

    def __hash__(self) -> int:
        return hash(self.token)

    def laid_over(self, model: Mapping[str, Any], among: frozenset[str] | None = None) -> Any:
        """Give a data set in the model with the attributes that have a value now.

        ``among``: only these are laid over it, where that is given.
        """
        given = dict(model)
        for tag8, attribute in self.final.items():
            if among is not None and tag8 not in among:
                continue
            if attribute and attribute.get("Value"):
                given[tag8] = dict(attribute)
            else:
                given.pop(tag8, None)
        return given


def written(steps: Sequence[tuple[int, Changes]]) -> bytes:
    """Write corrections, with the times they were made at; nothing for none."""
    if not steps:
        return b""
    return orjson.dumps([{"at": at, "changes": changes} for at, changes in steps])


@lru_cache(MOST_REMEMBERED)
def read(document: bytes) -> Overlay | None:
    """Read what ``written`` wrote."""
    if not document:
        return None
    steps = tuple(Step(each["at"], each["changes"]) for each in orjson.loads(document))
    final = {tag8: each for step in steps for tag8, each in step.changes.items()}
    token = hashlib.blake2b(document, digest_size=12).hexdigest()
    return Overlay(token, steps, final)
