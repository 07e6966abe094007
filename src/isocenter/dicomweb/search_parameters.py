"""What the query of a search asks for, read from the URI (PS3.18 8.3.4, 10.6.1.2).

A parameter that is not supported is left out and named in a warning; a value that cannot be is
refused (PS3.18 8.3).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from isocenter.dicom.dictionary import dictionary_vr, tag_of
from isocenter.dicomweb.resources import Parameter
from isocenter.errors import Malformed
from isocenter.storage.attributes import NEVER_MATCHED, Attribute, Held
from isocenter.storage.query import Key
from isocenter.storage.values import offset_minutes

PARAMETERS: Final = (
    Parameter(name="{attribute}", source="PS3.18 8.3.4.1"),
    Parameter(name="fuzzymatching", source="PS3.18 8.3.4.2"),
    Parameter(name="includefield", source="PS3.18 8.3.4.3"),
    Parameter(name="limit", source="PS3.18 8.3.4.4"),
    Parameter(name="offset", source="PS3.18 8.3.4.4"),
    Parameter(name="emptyvaluematching", source="PS3.18 8.3.4.5"),
    Parameter(name="multiplevaluematching", source="PS3.18 8.3.4.6"),
    Parameter(name="accept", source="PS3.18 8.3.3.1"),
)
"""What every search understands; for the registry."""
MAX_PARAMETERS: Final = 1_000
MAX_ALTERNATIVES: Final = 10_000
"""Values to match, in all."""
MOST: Final = 2**62
"""A limit or offset beyond this is this."""

TIMEZONE: Final = 0x00080201
SWITCHES: Final = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")
NUMBERS: Final = ("limit", "offset")
_NEGOTIATION: Final = frozenset({"accept", "charset"})  # PS3.18 8.3.3: for others to read

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_ATTRIBUTE: Final = re.compile(r"[0-9A-Fa-f]{8}|[A-Z][A-Za-z0-9]{0,63}", re.ASCII)
_UINT: Final = re.compile(r"[0-9]{1,1000}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a search asks for."""

    keys: tuple[Key, ...] = ()
    """What to match."""
    returns: tuple[Key, ...] = ()
    """What to return beyond the default; of a sequence without items, all of it."""
    is_all: bool = False
    """Whether all available attributes are asked for."""
    fuzzy: bool = False
    empty_values: bool = False
    multiple_values: bool = False
    limit: int | None = None
    offset: int = 0
    timezone: int | None = None
    """Minutes east of UTC in which dates and times of the keys are; None where that is not said."""
    ignored: tuple[str, ...] = ()
    """Parameters that are not supported."""


@dataclass(slots=True)
class _Node:
    """Attributes that are asked for, on their way to keys."""

    value: str = ""
    is_whole: bool = False
    items: "dict[int, _Node]" = field(default_factory=dict)

    def at(self, path: tuple[int, ...]) -> "_Node":
        node = self
        for tag in path:
            node = node.items.setdefault(tag, _Node())
        return node

    def keys(self) -> tuple[Key, ...]:
        return tuple(
            Key(tag, node.value, () if node.is_whole else node.keys())
            for tag, node in sorted(self.items.items())
        )


def read(query: bytes, known: Mapping[int, Attribute]) -> Asked:
    """Read the query of a URI; ``known`` are the attributes of what is searched.

    Raises: Malformed, with what is wrong.
    """
    reading = _Reading(known)
    for name, value in _pairs(query):
        reading.take(name, value)
    return reading.asked()


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    parts = [part for part in query.split(b"&") if part]
    if len(parts) > MAX_PARAMETERS:
        raise Malformed(f"more than {MAX_PARAMETERS} query parameters")
    for part in parts:
        name, _, value = part.partition(b"=")
        yield _decoded(name), _decoded(value)


def _decoded(text: bytes) -> str:
    # Browsers and most libraries write a space as a plus.
    try:
        found = unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the query is not percent-encoded UTF-8") from None
    if "\0" in found:
        raise Malformed("a query parameter holds a NULL character")
    return found


class _Reading:
    """Takes parameters one by one."""

    def __init__(self, known: Mapping[int, Attribute]) -> None:
        self._known = known
        self._settings: dict[str, str] = {}
        self._seen: set[tuple[int, ...]] = set()
        self._matched = _Node()
        self._returned = _Node()
        self._is_all = False
        self._timezone: int | None = None
        self._ignored: dict[str, None] = {}
        self._alternatives = 0

    def take(self, name: str, value: str) -> None:
        """Raises: Malformed."""
        if name in SWITCHES or name in NUMBERS:
            if name in self._settings:
                raise Malformed(f"{name} is given twice")
            self._settings[name] = value
        elif name == "includefield":
            for each in value.split(","):
                self._include(each.strip())
        elif name not in _NEGOTIATION:
            self._match(name, value)

    def asked(self) -> Asked:
        """Raises: Malformed."""
        fuzzy, empty_values, multiple_values = (self._switch(name) for name in SWITCHES)
        return Asked(
            keys=self._matched.keys(),
            returns=self._returned.keys(),
            is_all=self._is_all,
            fuzzy=fuzzy,
            empty_values=empty_values,
            multiple_values=multiple_values,
            limit=self._number("limit"),
            offset=self._number("offset") or 0,
            timezone=self._timezone,
            ignored=tuple(self._ignored),
        )

    def _switch(self, name: str) -> bool:
        value = self._settings.get(name, "false")
        if value not in {"true", "false"}:
            raise Malformed(f"{name} is true or false")
        return value == "true"

    def _number(self, name: str) -> int | None:
        value = self._settings.get(name)
        if value is None:
            return None
        if not _UINT.fullmatch(value):
            raise Malformed(f"{name} is a whole number, 0 or more")
        return min(int(value), MOST)

    def _include(self, name: str) -> None:
        if name == "all":
            self._is_all = True
            return
        path = _path(name)
        if path is None or _attribute(path, self._known) is None:
            return  # PS3.18 10.6.3.3: those that are supported are returned
        self._returned.at(path).is_whole = True

    def _match(self, name: str, value: str) -> None:
        path = _path(name)
        if path is None:
            self._ignored[name] = None
            return
        if path in self._seen:
            raise Malformed(f"{name} is given twice")
        self._seen.add(path)
        if path == (TIMEZONE,):
            self._timezone = _offset(value)
            return
        attribute = _attribute(path, self._known)
        if attribute is None or (value and attribute.held is Held.GIVEN):
            self._ignored[name] = None
            return
        self._returned.at(path).is_whole = True
        if value and path[0] not in NEVER_MATCHED:
            self._matched.at(path).value = self._value(name, value, attribute)

    def _value(self, name: str, value: str, attribute: Attribute) -> str:
        if attribute.vr == "SQ":
            raise Malformed(f"{name} is a sequence: ask for {name}.KEYWORD")
        if attribute.vr == "UI":
            value = value.replace(",", "\\")
        elif attribute.vr == "DT":
            value = value.replace(" ", "+")  # an offset, whose plus was not encoded
        self._alternatives += 1 + value.count("\\")
        if self._alternatives > MAX_ALTERNATIVES:
            raise Malformed(f"more than {MAX_ALTERNATIVES} values to match")
        return value


def _path(name: str) -> tuple[int, ...] | None:
    """The tags that lead to an attribute; None for what is none that we know.

    Raises: Malformed, for what cannot be the name of a parameter (PS3.18 8.3.1.1).
    """
    parts = name.split(".")
    if not all(_ATTRIBUTE.fullmatch(part) for part in parts):
        if _NAME.fullmatch(name):
            return None
        raise Malformed(
            f"{name[:64]!a} is neither a keyword nor a tag GGGGEEEE, nor several with dots between"
        )
    path = []
    for place, part in enumerate(parts, 1):
        tag = tag_of(part)
        if tag is None:
            return None
        if place < len(parts) and dictionary_vr(tag) not in {"SQ", None}:
            raise Malformed(f"{part} is no sequence: there is nothing in it to match")
        path.append(tag)
    return tuple(path)


def _attribute(path: tuple[int, ...], known: Mapping[int, Attribute]) -> Attribute | None:
    found: Attribute | None = None
    for tag in path:
        found = known.get(tag)
        if found is None:
            return None
        known = found.items
    return found


def _offset(value: str) -> int | None:
    if not value.strip():
        return None
    # A plus that was not encoded reads as a space.
    minutes = offset_minutes(value.replace(" ", "+"))
    if minutes is None or not -720 <= minutes <= 840:
        raise Malformed("TimezoneOffsetFromUTC is an offset such as +0100")
    return minutes
