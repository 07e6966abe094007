"""What is to be retrieved: the unique keys of a C-GET or C-MOVE, looked up by C-FIND if need be.

Source: PS3.4 C.4.2.2.1, C.4.3.2.1.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from isocenter.dimse.association import Association
from isocenter.errors import Malformed
from isocenter.services.keys import Document
from isocenter.services.models import MODELS, UNIQUE_KEYS, Model
from isocenter.services.querying import Search, find
from isocenter.storage.attributes import ATTRIBUTES, Held, Level

MOST_UIDS: Final = 500
"""UIDs in one request: as many as fit the length of an explicit VR, and some to spare."""
BY_TAG: Final = {f"{tag:08X}": level for level, tag in UNIQUE_KEYS.items()}


@dataclass(frozen=True, slots=True)
class Target:
    """One request: a value for each level above, and one or several for its own."""

    level: Level
    keys: Mapping[str, Any]

    def values(self, level: Level) -> list[str]:
        """What is given for a level's unique key."""
        return list(self.keys.get(f"{UNIQUE_KEYS[level]:08X}", {}).get("Value", ()))


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user asked for."""

    model: Model
    level: Level
    keys: Document

    @property
    def is_direct(self) -> bool:
        """Whether nothing has to be looked up."""
        if f"{UNIQUE_KEYS[self.level]:08X}" not in self.keys:
            return False
        for tag, attribute in self.keys.items():
            values = attribute.get("Value", ())
            if BY_TAG.get(tag) not in self.model.levels or not values:
                return False
            if any(not value or set(value) & set("*?") for value in values):
                return False
        return True

    @property
    def is_hierarchical(self) -> bool:
        """Whether every level above is named."""
        above = [level for level in self.model.levels if level < self.level]
        return all(f"{UNIQUE_KEYS[level]:08X}" in self.keys for level in above)


def wish(keys: Document, level: Level | None = None, model: Model | None = None) -> Wish:
    """Fill in what was not said: the lowest level that a key names, and a model that has it.

    Raises: Malformed, if there is nothing to go by, or a key below the level.
    """
    if not keys:
        raise Malformed("say what to retrieve")
    named = [BY_TAG[tag] for tag in keys if tag in BY_TAG]
    lowest = max(
        each for each in (*map(_level_of, keys), *named, Level.PATIENT) if each is not None
    )
    if not named:
        lowest = max(lowest, Level.STUDY)  # what every peer can look up
    level = lowest if level is None else level
    if lowest > level:
        raise Malformed(f"a key of level {lowest.name.lower()} is below level {level.name.lower()}")
    if model is None:
        patient_root, study_root, _ = MODELS
        model = patient_root if Level.PATIENT in (level, *named) else study_root
    if level not in model.levels:
        raise Malformed(f"{model.name} has no level {level.name.lower()}")
    return Wish(model, level, keys)


def _level_of(tag8: str) -> Level | None:
    """The level a key belongs to; None for what is not known."""
    known = ATTRIBUTES.get(int(tag8, 16))
    return known.level if known and known.held is not Held.GIVEN else None


def direct(asked: Wish) -> Iterator[Target]:
    """Yield the requests for a wish that names everything itself."""
    above = [level for level in asked.model.levels if level < asked.level]
    lists = [
        [(level, value) for value in _values(asked.keys, level)]
        for level in above
        if _values(asked.keys, level)
    ]
    own = _values(asked.keys, asked.level)
    for chosen in product(*lists):
        yield from _targets(asked.level, dict(chosen), own)


async def looked_up(association: Association, asked: Wish) -> AsyncIterator[Target]:
    """Ask the peer what matches, and yield the requests for it. Raises: as ``find``."""
    above = [level for level in asked.model.levels if level < asked.level]
    # One that matches twice (a study of two patients) is retrieved once.
    found: dict[tuple[str, ...], dict[str, None]] = {}
    async for match in find(association, Search(asked.model, asked.level, asked.keys)):
        own = next(iter(_values(match, asked.level)), "")
        parents = tuple(next(iter(_values(match, level)), "") for level in above)
        if own:
            found.setdefault(parents, {})[own] = None
    for parents, values in found.items():
        named = {level: value for level, value in zip(above, parents, strict=True) if value}
        for target in _targets(asked.level, named, list(values)):
            yield target


def _targets(level: Level, above: Mapping[Level, str], own: list[str]) -> Iterator[Target]:
    # Of patients, only one goes into a request.
    step = 1 if level is Level.PATIENT else MOST_UIDS
    for start in range(0, len(own), step):
        keys = {_tag(each): _model(each, [value]) for each, value in above.items()}
        yield Target(level, {**keys, _tag(level): _model(level, own[start : start + step])})


def _tag(level: Level) -> str:
    return f"{UNIQUE_KEYS[level]:08X}"


def _model(level: Level, values: list[str]) -> dict[str, Any]:
    return {"vr": "LO" if level is Level.PATIENT else "UI", "Value": values}


def _values(keys: Document, level: Level) -> list[str]:
    return [str(value) for value in keys.get(_tag(level), {}).get("Value", ()) if value]
