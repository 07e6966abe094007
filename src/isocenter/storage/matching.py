"""What a key's value asks for, parsed: the kinds of matching, free of any database.

Source: PS3.4 C.2.2.2.1 to C.2.2.2.8.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from isocenter.errors import Malformed
from isocenter.storage import names, values

WILD_CARD_VRS: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
RANGE_VRS: Final = frozenset({"DA", "TM", "DT"})
_EMPTY: Final = '""'
_RUN_OF_ANY: Final = re.compile(r"\*+")
_OFFSET_AT_END: Final = re.compile(r"-\d{4}\Z", re.ASCII)
MAX_ALTERNATIVES: Final = 10_000
"""Values in one key."""

LONGEST_PATTERN: Final = 10_240
"""Characters of a value with wild cards: as long as LT may be (PS3.5 6.2)."""


class Wild(Enum):
    """A wild card in a pattern."""

    ANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class OneOf:
    """Single values and lists of UIDs: equal to one of these."""

    wanted: tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Wild card matching: literals, folded where names are meant, and wild cards in order."""

    parts: tuple[str | Wild, ...]
    any_case: bool = False
    """Literals stand for themselves in capitals and in small letters."""

    @property
    def prefix(self) -> str | None:
        """The literal, if the pattern is that and then anything."""
        match self.parts:
            case (str(literal), Wild.ANY) if not self.any_case:
                return literal
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Between:
    """Range matching, both ends included; None is open."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Empty:
    """Empty value matching: there is no value."""


@dataclass(frozen=True, slots=True)
class Words:
    """Fuzzy matching: each word of the query is in the name, from its beginning or by its sound."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """Name matching.

    A name matches if one component group, or group ``group``, meets one of ``ways``.
    """

    ways: tuple[OneOf | Pattern | Words, ...]
    group: int | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Several demands on one name, each on its component group."""

    each: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Multiple value matching."""

    each: tuple["Matcher", ...]


Matcher = OneOf | Pattern | Between | Empty | Named | AllOf | AnyOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How keys are to be read."""

    fuzzy: bool = False
    empty_values: bool = True
    multiple_values: bool = True
    offset: int = 0
    """Minutes east of UTC for a date and time that does not say."""
    any_case: bool = False
    """Whether wild card matching ignores the case."""


def matcher_of(vr: str, value: str, rules: Rules) -> Matcher | None:
    """What ``value`` asks of an attribute; None for universal matching.

    Raises: Malformed, for a date, time or number that is none.
    """
    value = value.strip(" \0") if vr != "UT" else value.rstrip(" \0")
    # A lone asterisk where the VR has no wild cards is many an asker's way to say the same.
    if not value.strip("*"):
        return None
    if rules.empty_values and value == _EMPTY:
        return Empty()
    if vr == "UI":
        return _uids(value)
    if "\\" in value and rules.multiple_values and vr not in {"LT", "ST", "UT", "UR"}:
        return _alternatives(vr, value, rules)
    return _single(vr, value, rules)


def _uids(value: str) -> OneOf | None:
    uids = tuple(dict.fromkeys(uid for each in value.split("\\") if (uid := each.strip(" \0"))))
    if len(uids) > MAX_ALTERNATIVES:
        raise Malformed(f"a list of more than {MAX_ALTERNATIVES} UIDs")
    return None if not uids or "*" in uids else OneOf(uids)


def _alternatives(vr: str, value: str, rules: Rules) -> Matcher | None:
    found = value.split("\\")
    if len(found) > MAX_ALTERNATIVES:
        raise Malformed(f"a list of more than {MAX_ALTERNATIVES} values")
    plain = replace(rules, multiple_values=False)
    each = [matcher_of(vr, one, plain) for one in found if one.strip(" \0")]
    if any(one is None for one in each) or not each:
        return None
    if all(isinstance(one, OneOf) for one in each):
        return OneOf(tuple(want for one in each if isinstance(one, OneOf) for want in one.wanted))
    return AnyOf(tuple(one for one in each if one is not None))


def _single(vr: str, value: str, rules: Rules) -> Matcher | None:
    if vr in RANGE_VRS:
        return _temporal(vr, value, rules.offset)
    if vr in values.NUMBERS:
        number = values.number(value)
        if number is None:
            raise Malformed(f"a key of VR {vr} is no number")
        return OneOf((number,))
    if vr == "PN":
        return _name(value, rules.fuzzy)
    if vr in WILD_CARD_VRS and ("*" in value or "?" in value):
        return _pattern(value, folded=False, any_case=rules.any_case)
    return OneOf((values.text(vr, value),))


# --- dates and times


def _temporal(vr: str, value: str, offset: int) -> OneOf | Between:
    value = value.replace(" ", "")
    if vr == "DT":
        low, high = _date_time_ends(value)
    else:
        low, dash, high = value.partition("-")
        if not dash:
            return OneOf((_moment(vr, value, offset, latest=False),))
    if high is None:
        return OneOf((_moment(vr, low, offset, latest=False),))
    if not low and not high:
        raise Malformed("a range without ends")
    return Between(
        _moment(vr, low, offset, latest=False) if low else None,
        _moment(vr, high, offset, latest=True) if high else None,
    )


def _date_time_ends(value: str) -> tuple[str, str | None]:
    """Part a range of date-times, whose dashes may also be those of offsets west of UTC."""
    dashes = [place for place, each in enumerate(value) if each == "-"]
    for dash in dashes:
        low, high = value[:dash], value[dash + 1 :]
        if all(not end or values.date_time(end) for end in (low, high)) and not _is_west(
            value, dash
        ):
            return low, high
    return value, None


def _is_west(value: str, dash: int) -> bool:
    """Whether a dash begins an offset: hours and minutes follow, and then an end."""
    following = value[dash:]
    offset = following[:5]
    if not _OFFSET_AT_END.fullmatch(offset) or not dash:
        return False
    rest = following[5:]
    minutes = values.offset_minutes(offset)
    if minutes is None or minutes < -12 * 60 or int(offset[3:]) >= 60:
        return False
    # The whole rest must still read as the end of a range, or be nothing.
    return rest == "" or (
        rest.startswith("-") and (rest == "-" or bool(values.date_time(rest[1:])))
    )


def _moment(vr: str, text: str, offset: int, *, latest: bool) -> str:
    if vr == "DA":
        found = values.date(text)
    elif vr == "TM":
        found = values.time(text, latest=latest)
    else:
        found = values.date_time(text, latest=latest, default_offset=offset)
    if found is None:
        raise Malformed(f"a key of VR {vr} is none and no range of any")
    return found


# --- wild cards


def _pattern(value: str, *, folded: bool, any_case: bool = False) -> Pattern | None:
    if len(value) > LONGEST_PATTERN:
        raise Malformed(f"wild cards in a value of more than {LONGEST_PATTERN} characters")
    parts: list[str | Wild] = []
    for each in re.split(r"([*?])", _RUN_OF_ANY.sub("*", value)):
        if each in {"*", "?"}:
            parts.append(Wild(each))
        elif each:
            parts.append(names.fold_letters(each) if folded else each)
    return None if parts == [Wild.ANY] else Pattern(tuple(parts), any_case)


# --- names


def _name(value: str, fuzzy: bool) -> Named | AllOf | None:
    if not value.strip("^= "):
        return None  # all of it may be left out (PS3.5 6.2.1): a form that nobody filled in
    if "=" not in value:
        ways = _ways(value, fuzzy)
        return None if ways is None else Named(ways)
    demands = []
    for place, group in enumerate(value.split("=")[: len(names.GROUPS)], 1):
        ways = _ways(group, fuzzy) if group.strip() else None
        if ways is not None:
            demands.append(Named(ways, place))
    return AllOf(tuple(demands)) if demands else None


def _ways(value: str, fuzzy: bool) -> tuple[OneOf | Pattern | Words, ...] | None:
    """The ways a component group may match; None for anything."""
    ways: list[OneOf | Pattern | Words] = []
    exact = []
    for variant in _variants(value):
        if "*" not in variant and "?" not in variant:
            exact.append(names.fold_group(variant))
        elif (pattern := _pattern(_trimmed(variant), folded=True)) is None:
            return None
        else:
            ways.append(pattern)
    if exact:
        ways.append(OneOf(tuple(exact)))
    if fuzzy and "?" not in value and (words := names.words(names.fold_letters(value))):
        ways.append(Words(tuple(words)))
    return tuple(ways)


def _trimmed(pattern: str) -> str:
    components = (re.sub(r"\s+", " ", each).strip() for each in pattern.split("^"))
    return "^".join(components).rstrip("^")


def _variants(value: str) -> list[str]:
    """The value, and what it is without components at its end that may be empty.

    A name may leave out empty components at its end, so ``DOE^*`` also means ``DOE``.
    """
    found = [value.rstrip(" ^")]
    while True:
        shorter = found[-1].rstrip("*")
        if shorter == found[-1] or not shorter.rstrip(" ").endswith("^"):
            return found
        found.append(shorter.rstrip(" ^"))
