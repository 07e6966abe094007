"""A parsed key as SQL, over a column or over the values in a level's ``compared`` JSON."""

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, true

from isocenter.storage import names, sqlite, values
from isocenter.storage.attributes import Attribute
from isocenter.storage.matching import (
    AllOf,
    AnyOf,
    Between,
    Empty,
    Matcher,
    Named,
    OneOf,
    Pattern,
    Rules,
    Wild,
    Words,
    matcher_of,
)
from isocenter.storage.query import Key

_LAST: Final = "\U0010ffff"


def prefixed(value: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """Whether text begins with ``prefix``, as a range that an index answers."""
    return and_(value >= prefix, value < _after(prefix))


def _after(prefix: str) -> str:
    """The least text above all that begin with ``prefix``."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return prefix + _LAST
    following = ord(kept[-1]) + 1
    # No text holds a surrogate.
    return kept[:-1] + chr(0xE000 if 0xD800 <= following < 0xE000 else following)


def glob_of(pattern: Pattern) -> str:
    """The pattern as the database spells it."""
    spelled = {Wild.ANY: sqlite.GLOB_ANY, Wild.ONE: sqlite.GLOB_ONE}
    return "".join(
        spelled[each]
        if isinstance(each, Wild)
        else sqlite.glob_literal(each, any_case=pattern.any_case)
        for each in pattern.parts
    )


def matches(value: ColumnElement[Any], matcher: Matcher) -> ColumnElement[bool]:
    """Whether a normalised value, ``""`` if unknown, matches."""
    match matcher:
        case OneOf(wanted):
            return value == wanted[0] if len(wanted) == 1 else value.in_(wanted)
        case Pattern():
            return _matches_pattern(value, matcher)
        case Between(low, high):
            # What is unknown is in no range.
            above = value >= low if low is not None else value > ""
            return above if high is None else and_(above, value <= high)
        case Empty():
            return value == ""
        case AnyOf(each):
            return or_(*(matches(value, one) for one in each))
        case Named() | AllOf():
            raise TypeError("a name is matched by its folded groups")


def _matches_pattern(value: ColumnElement[Any], pattern: Pattern) -> ColumnElement[bool]:
    if pattern.prefix is not None:
        return prefixed(value, pattern.prefix)
    globbed = sqlite.glob(value, glob_of(pattern))
    match pattern.parts:
        case (str(literal), *_) if not pattern.any_case:
            return and_(prefixed(value, literal), globbed)
        case _ if pattern.any_case:
            return and_(sqlite.resembles(value, _roughly(pattern)), globbed)
        case _:
            return globbed


def _roughly(pattern: Pattern) -> list[str | None]:
    """The pattern with nothing for any characters, and any character for one."""
    rough: dict[Wild, str | None] = {Wild.ANY: None, Wild.ONE: "_"}
    return [rough[each] if isinstance(each, Wild) else each for each in pattern.parts]


def matches_folded(folded: ColumnElement[Any], named: Named) -> ColumnElement[bool]:
    """Whether one folded component group meets a demand, without looking up sounds."""
    ways: list[ColumnElement[bool]] = []
    for way in named.ways:
        if isinstance(way, Words):
            ways.append(and_(*(_has_word(folded, word) for word in way.words)))
        else:
            ways.append(matches(folded, way))
    return or_(*ways)


def _has_word(folded: ColumnElement[Any], word: str) -> ColumnElement[bool]:
    inside = f"{sqlite.GLOB_ANY}[ ^.,;-]{sqlite.glob_literal(word)}{sqlite.GLOB_ANY}"
    return or_(prefixed(folded, word), sqlite.glob(folded, inside))


# --- values in JSON


def in_document(
    document: ColumnElement[Any], attribute: Attribute, key: Key, rules: Rules
) -> ColumnElement[bool] | None:
    """Whether a ``compared`` document matches a key; None for universal matching.

    Raises: Malformed.
    """
    if attribute.vr == "SQ":
        return _in_items(document, attribute, key, rules)
    matcher = matcher_of_key(attribute, key, rules)
    return None if matcher is None else _any_value(document, attribute, matcher)


def matcher_of_key(attribute: Attribute, key: Key, rules: Rules) -> Matcher | None:
    """What a key asks of its attribute; None for universal matching. Raises: Malformed."""
    if key.any_of and attribute.vr == "PN":
        return Named((OneOf(tuple(names.fold_group(each) for each in key.any_of)),))
    if key.any_of:
        return OneOf(tuple(values.text(attribute.vr, each) for each in key.any_of))
    return matcher_of(attribute.vr, key.value, rules)


def _in_items(
    document: ColumnElement[Any], attribute: Attribute, key: Key, rules: Rules
) -> ColumnElement[bool] | None:
    """At least one item that matches all of the item's keys (PS3.4 C.2.2.2.6)."""
    item = sqlite.each_value(document, attribute.tag8)
    demands = [
        found
        for nested in key.items
        if nested.tag in attribute.items
        for found in [in_document(item.c.value, attribute.items[nested.tag], nested, rules)]
        if found is not None
    ]
    if not demands:
        return None
    return exists(select(true()).select_from(item).where(*demands))


def _any_value(
    document: ColumnElement[Any], attribute: Attribute, matcher: Matcher
) -> ColumnElement[bool]:
    match matcher:
        case Empty():
            return sqlite.value_at(document, attribute.tag8).is_(None)
        case AllOf(each):
            return and_(*(_any_value(document, attribute, one) for one in each))
        case AnyOf(each):
            return or_(*(_any_value(document, attribute, one) for one in each))
    held = sqlite.each_value(document, attribute.tag8)
    value = held.c.value
    if isinstance(matcher, Named):
        found = matches_folded(func.substr(value, 2), matcher)
        if matcher.group is not None:
            found = and_(found, func.substr(value, 1, 1) == str(matcher.group))
    else:
        found = matches(value, matcher)
    return exists(select(true()).select_from(held).where(found))
