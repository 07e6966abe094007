"""What a Unified Procedure Step holds: UIDs, states, and the table of its attributes.

Source: PS3.4 CC.2.5.1.3; the table itself is ``standard/workitem.txt``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import resources
from types import MappingProxyType
from typing import Final

from isocenter.dicom.dictionary import plain_vr, tag_of

UPS_PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"
"""The SOP class of every workitem (PS3.4 CC.3.1)."""
WORKLIST: Final = "1.2.840.10008.5.1.4.34.5"
"""Stands for all workitems in subscriptions (PS3.4 CC.3.1.2)."""
FILTERED_WORKLIST: Final = "1.2.840.10008.5.1.4.34.5.1"
"""Stands for all workitems that match a filter (PS3.18 11.1.1)."""


class StepState(Enum):
    """The states of a procedure step (PS3.4 Table CC.1.1-1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def is_final(self) -> bool:
        """Whether nothing can change any more."""
        return self in (StepState.COMPLETED, StepState.CANCELED)


@dataclass(frozen=True, slots=True)
class Usage:
    """What may be given of an attribute in one service (PS3.4 5.4)."""

    is_required: bool = False
    """It has to be there."""
    may_be_empty: bool = True
    may_have_value: bool = True
    is_allowed: bool = True
    is_ours: bool = False
    """The provider sets it, whatever is sent."""

    @classmethod
    def parse(cls, code: str) -> "Usage":
        """Read a code of the table's, such as ``1C/1``."""
        match code:
            case "no":
                return cls(is_allowed=False)
            case "empty":
                return cls(is_required=True, may_have_value=False)
            case "blank":
                return cls(may_have_value=False)
            case "self":
                return cls(is_ours=True)
        user, _, provider = code.partition("/")
        is_null_supported = not provider.startswith("1") and user != "1"
        return cls(user in ("1", "2"), user == "2" or is_null_supported)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One attribute of a procedure step, or of an item in it."""

    tag: int
    keyword: str
    vr: str
    on_create: Usage
    on_set: Usage
    final: str
    """``R``, ``P``, ``X``, ``O``, ``RC``, ``P2`` (as P, but without a value) or ``-``: PS3.4
    Table CC.2.5-1."""
    match: str
    """``U``, ``R``, ``O`` or ``-`` (PS3.4 C.2.2.1)."""
    returned: str
    values: frozenset[str] = frozenset()
    """The enumerated values; empty if there are none."""
    items: dict[int, "Requirement"] = field(default_factory=dict)
    """What an item of the sequence holds, by tag."""

    @property
    def tag8(self) -> str:
        """The tag as the DICOM JSON model spells it (PS3.18 F.2.2)."""
        return f"{self.tag:08X}"


ONE_OF: Final[tuple[frozenset[str], ...]] = (
    frozenset({"CodeValue", "LongCodeValue", "URNCodeValue"}),
    frozenset({"LocalNamespaceEntityID", "UniversalEntityID"}),
)
"""Attributes of which an item that may hold all of them has to hold one (PS3.3 8.8, 10.14)."""

_Line = tuple[int, list[str]]


def _lines() -> Iterator[_Line]:
    text = resources.files("isocenter.dicom").joinpath("standard/workitem.txt").read_text("utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            bare = line.lstrip(">")
            yield len(line) - len(bare), bare.split()


def _sections() -> dict[str, list[_Line]]:
    """The lines of the table, under ``""``, and of each macro."""
    found: dict[str, list[_Line]] = {"": []}
    section = found[""]
    for depth, words in _lines():
        if words[0] == "macro":
            section = found.setdefault(words[1], [])
        else:
            section.append((depth, words))
    return found


def _expanded(section: str, sections: dict[str, list[_Line]], base: int = 0) -> Iterator[_Line]:
    for depth, words in sections[section]:
        if words[0] == "include":
            yield from _expanded(words[1], sections, base + depth)
        else:
            yield base + depth, words


def _table() -> dict[int, Requirement]:
    root: dict[int, Requirement] = {}
    around: list[Requirement] = []
    for depth, words in _expanded("", _sections()):
        keyword, create, change, final, match, returned, *values = words
        tag = tag_of(keyword)
        assert tag is not None, keyword
        del around[depth:]
        made = Requirement(
            tag,
            keyword,
            plain_vr(tag),
            Usage.parse(create),
            Usage.parse(change),
            final,
            around[-1].match if match == "*" else match,
            returned,
            frozenset(values),
        )
        (around[-1].items if around else root)[tag] = made
        around.append(made)
    return root


TABLE: Final[Mapping[int, Requirement]] = MappingProxyType(_table())
"""The attributes of a procedure step, by tag."""
