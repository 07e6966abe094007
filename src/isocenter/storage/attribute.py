"""What an attribute of the index is, and how its sequences are written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum


class Level(IntEnum):
    """The levels of the Query/Retrieve information models, from the top (PS3.4 C.3)."""

    PATIENT = 0
    STUDY = 1
    SERIES = 2
    IMAGE = 3


class Held(Enum):
    """Where the value an attribute is matched against comes from."""

    COLUMN = "a column of its own, normalised and indexed"
    DOCUMENT = "the level's JSON"
    COMPUTED = "counted or gathered by the index"
    GIVEN = "filled in by the archive above; not matched here"


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute that can be asked for."""

    tag: int
    keyword: str
    vr: str
    level: Level
    held: Held = Held.DOCUMENT
    items: Mapping[int, "Attribute"] = field(default_factory=dict)
    """The item keys of a sequence, by tag."""
    also: tuple[Level, ...] = ()
    """Further levels that keep the first value they meet."""

    @property
    def tag8(self) -> str:
        """The tag as the DICOM JSON model spells it (PS3.18 F.2.2)."""
        return f"{self.tag:08X}"

    @property
    def captured(self) -> bool:
        """Whether ingest has to read it from the data set."""
        return self.held in (Held.COLUMN, Held.DOCUMENT)


Row = tuple[int, str, str]
Nested = tuple[Row, ...]

REFERENCE: Nested = (
    (0x00081150, "ReferencedSOPClassUID", "UI"),
    (0x00081155, "ReferencedSOPInstanceUID", "UI"),
)
CODE: Nested = (
    (0x00080100, "CodeValue", "SH"),
    (0x00080102, "CodingSchemeDesignator", "SH"),
    (0x00080103, "CodingSchemeVersion", "SH"),
    (0x00080104, "CodeMeaning", "LO"),
    (0x00080119, "LongCodeValue", "UC"),
    (0x00080120, "URNCodeValue", "UR"),
)
ENTITY: Nested = (
    (0x00400031, "LocalNamespaceEntityID", "UT"),
    (0x00400032, "UniversalEntityID", "UT"),
    (0x00400033, "UniversalEntityIDType", "CS"),
)


def keys_of(level: Level, *groups: Nested | tuple[Attribute, ...]) -> dict[int, Attribute]:
    """The keys of a sequence's items, by tag."""
    found: dict[int, Attribute] = {}
    for row in (row for group in groups for row in group):
        key = row if isinstance(row, Attribute) else Attribute(*row, level)
        found[key.tag] = key
    return found


def code(level: Level, tag: int, keyword: str) -> Attribute:
    """A sequence of codes."""
    return Attribute(tag, keyword, "SQ", level, items=keys_of(level, CODE))


def sequence(
    level: Level, tag: int, keyword: str, *keys: Nested | tuple[Attribute, ...]
) -> Attribute:
    """A sequence whose items have ``keys``."""
    return Attribute(tag, keyword, "SQ", level, items=keys_of(level, *keys))
