"""What becomes of each attribute when a data set is de-identified: the Basic Profile.

Where the table leaves a choice that hangs on the IOD, that is taken which never breaks one: a dummy
rather than nothing, nothing rather than removal. What the table does not name, and may name a
person or a day all the same, is treated by its VR. Options of the profile would be tables laid over
this one. Source: PS3.15 Annex E, Table E.1-1 and E.1.1.
"""

from enum import Enum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from isocenter.dicom.dictionary import dictionary_vr, is_private, keyword_of


class Action(Enum):
    """What is done with an attribute (PS3.15 Table E.1-1a)."""

    KEEP = "K"
    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    """A value that says nothing; of a sequence, the items with nothing but such values."""
    UID = "U"
    """Another UID, the same wherever the old one stood; of a sequence, those in its items."""


_CHOSEN: Final = MappingProxyType(
    {
        "X": Action.REMOVE,
        "Z": Action.EMPTY,
        "D": Action.DUMMY,
        "U": Action.UID,
        "X/Z": Action.EMPTY,
        "X/D": Action.DUMMY,
        "Z/D": Action.DUMMY,
        "X/Z/D": Action.DUMMY,
        "X/Z/U*": Action.UID,
    }
)
"""By what the table says."""

_SETTLED: Final = MappingProxyType(
    {
        # Removed says the table, where IODs must have them (type 1 or 2).
        0x00700082: Action.DUMMY,  # Presentation Creation Date
        0x00700083: Action.DUMMY,  # Presentation Creation Time
        0x00401001: Action.EMPTY,  # Requested Procedure ID
        0x0040100A: Action.EMPTY,  # Reason for Requested Procedure Code Sequence
    }
)
"""What stays, saying nothing, so that objects stay what they are."""
NOT_ON_TOP: Final = frozenset({0x00081110})
"""Left open by the table: to be removed from the outermost data set, where it is optional and may
not be empty (Referenced Study Sequence; PS3.3 C.7.2.1), but emptied in items of requests."""
_BY_VR: Final = MappingProxyType(
    dict.fromkeys(("DA", "DT", "PN", "TM"), Action.DUMMY) | {"UI": Action.UID}
)
_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_OF_CODES: Final = frozenset(
    {0x00080100, 0x00080102, 0x00080103, 0x00080104, 0x00080119, 0x00080120}
)
"""A code, its scheme and its meaning (PS3.3 8.8)."""
CONTENT: Final = frozenset({0x0040A730, 0x00700001})
"""Sequences of content: codes in them say what is meant, not who (PS3.3 C.17.3, C.10.5)."""
_CONTENT_LENGTH: Final = 0x00420015
"""Encapsulated Document Length: of what is replaced."""
_NAMES_OF_KINDS: Final = (
    "SOPClass",
    "ClassUID",
    "CodingScheme",
    "ContextUID",
    "ContextGroup",
    "MappingResource",
    "TransferSyntax",
)
"""In keywords of UIDs that name a kind of thing, not a thing."""
CURVES, OVERLAYS = 0x5000, 0x6000


class Place(Enum):
    """Where an attribute stands, as far as it changes what becomes of it."""

    PLAIN = 0
    CONTENT = 1
    """In the items of a content sequence whose values are to say nothing."""
    IDENTITY = 2
    """In the items of another such sequence: its codes may name a person."""


@cache
def basic_profile() -> "MappingProxyType[int, Action]":
    """Give what Table E.1-1 says, by tag."""
    text = (files("isocenter.dicom") / "standard" / "basic_profile.txt").read_text("ascii")
    rows = (line.split() for line in text.splitlines())
    told = {int(tag, 16): _CHOSEN[action] for tag, action in rows}
    return MappingProxyType({**told, **_SETTLED})


def action(tag: int, vr: str, place: Place = Place.PLAIN) -> Action:
    """Say what becomes of an attribute."""
    if is_private(tag) or tag >> 16 & 0xFF00 in (CURVES, OVERLAYS) or tag == _CONTENT_LENGTH:
        return Action.REMOVE
    known = dictionary_vr(tag)
    if known is None or (vr == "UN" and known == "SQ"):
        return Action.REMOVE  # nobody knows what is in it
    told = basic_profile().get(tag)
    if told is not None:
        return told
    vr = known if vr == "UN" else vr
    if place is not Place.PLAIN and vr in _TEXT:
        is_code = tag in _OF_CODES and place is Place.CONTENT
        return Action.KEEP if is_code else Action.DUMMY
    if vr == "UI" and any(each in keyword_of(tag) for each in _NAMES_OF_KINDS):
        return Action.KEEP
    return _BY_VR.get(vr, Action.KEEP)


def place_within(tag: int, done: Action, around: Place) -> Place:
    """Say where the items of a sequence stand, with which ``done`` is to be done."""
    if tag in CONTENT and around is not Place.IDENTITY and done is not Action.KEEP:
        return Place.CONTENT
    if done is Action.DUMMY:
        return Place.IDENTITY
    return around


DUMMIES: Final = MappingProxyType(
    {
        **dict.fromkeys(("LO", "LT", "PN", "SH", "ST", "UC", "UT", "AE", "CS"), b"ANONYMIZED"),
        "AS": b"000D",
        "DA": b"19000101",
        "DT": b"19000101000000",
        "TM": b"000000",
        "DS": b"0 ",
        "IS": b"0 ",
        "UR": b"urn:x-anonymized",
    }
)
"""Values that say nothing, by VR, of even length; of the others, zeros."""
