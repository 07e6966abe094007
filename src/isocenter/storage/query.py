"""A query as a value: keys at a level, and how they are to be matched.

Source: PS3.4 C.2.2.2 (matching), C.4.1 (C-FIND), C.5.1.1 (extended negotiation).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from isocenter.storage.attributes import ATTRIBUTES, NEVER_MATCHED, Attribute, Held, Level


class Order(Enum):
    """What studies are sorted by; each is served by an index, walked forwards or backwards."""

    NEWEST = "newest"
    """By date and time, against it."""
    OLDEST = "oldest"
    NAME = "name"
    """By the patient's name, then in the order of arrival."""
    NAME_BACKWARDS = "name-backwards"
    ARRIVED_LAST = "arrived-last"
    """By when the first instance of the study arrived, the latest first."""
    ARRIVED_FIRST = "arrived-first"


@dataclass(frozen=True, slots=True)
class Key:
    """One attribute to match.

    ``value`` is as it came: text with its wild cards, ranges and backslashes, ``""`` for universal
    matching. A name may hold its component groups apart by ``=``. A sequence has ``items``, the
    keys of its one item, in place of a value. ``any_of`` in place of a value are values of which
    one has to be there, each taken as it stands, without wild cards.
    """

    tag: int
    value: str = ""
    items: tuple["Key", ...] = ()
    any_of: tuple[str, ...] = ()

    @property
    def is_universal(self) -> bool:
        """Whether everything matches (PS3.4 C.2.2.2.3)."""
        if self.any_of:
            return False
        return not self.value.strip(" \0") and all(item.is_universal for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to find.

    Keys of any level may be given (a relational query); whether the asker negotiated that is for
    the caller to check. Several of one tag have all to be met. Keys that are not supported, see
    `unsupported`, match everything.
    """

    level: Level
    keys: tuple[Key, ...] = ()
    returns: frozenset[int] | None = None
    """The attributes to return, None for all that are known."""
    fuzzy: bool = False
    """Match names also by sound and in any order of their words."""
    any_case: bool = False
    """Match texts with wild cards without regard to case, where no index answers anyway."""
    combined_date_time: bool = False
    """Match ranges of a date and its time as one interval (PS3.4 C.2.2.2.5)."""
    offset: int | None = None
    """Minutes east of UTC in which the asker's times are; None where that was not said."""
    empty_values: bool = True
    """Two quotation marks match what is empty or absent (PS3.4 C.2.2.2.7, since 2021)."""
    multiple_values: bool = True
    """A backslash separates alternatives, for UIDs always (PS3.4 C.2.2.2.8, since 2021)."""
    is_each_apart: bool = False
    """Keys of levels below may each be met by another entity: not, as in DICOM, all by one."""
    patients: frozenset[str] | None = None
    """Only of these patients, by their handles."""
    studies: frozenset[str] | None = None
    """Only of these studies, by their handles."""
    order: Order = Order.NEWEST
    """Of studies; everything else has an order of its own."""
    limit: int | None = None
    """Matches, at most."""
    after: tuple[Any, ...] | None = None
    """Continue behind the match that had this ``position``."""
    skip: int = 0
    """Matches to leave out before the first. ``after`` costs less, where it is known."""
    non_patient: tuple[str, ...] = ()
    """SOP classes: find instances of these that belong to no patient. ``level`` is then IMAGE."""

    @property
    def unsupported(self) -> frozenset[int]:
        """Tags of keys that ask for a match the index cannot make."""
        return frozenset(
            key.tag
            for key in self.keys
            if not (key.is_universal or key.tag in NEVER_MATCHED or is_matched(key))
        )


def is_matched(key: Key) -> bool:
    """Whether a key can be matched, with all the keys of its item."""
    attribute = ATTRIBUTES.get(key.tag)
    return attribute is not None and attribute.held is not Held.GIVEN and _fits(key, attribute)


def _fits(key: Key, attribute: Attribute) -> bool:
    return all(
        item.is_universal
        or (item.tag in attribute.items and _fits(item, attribute.items[item.tag]))
        for item in key.items
    )
