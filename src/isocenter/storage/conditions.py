"""A query's keys as conditions on the rows of the four levels, with the index that answers each.

A patient's attributes are looked up in the study's row, unless patients are asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    exists,
    func,
    not_,
    or_,
    select,
    true,
    union,
    union_all,
)

from isocenter.storage import schema, sqlite, values
from isocenter.storage.attributes import (
    ATTRIBUTES,
    DATE_TIME_PAIRS,
    NEVER_MATCHED,
    Attribute,
    Held,
    Level,
)
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
    Words,
    matcher_of,
)
from isocenter.storage.names import GROUPS, sound
from isocenter.storage.predicates import in_document, matcher_of_key, matches, prefixed
from isocenter.storage.query import Key, Query
from isocenter.storage.schema import PATIENT_PART, REFERRING_PART

TABLES: Final = {
    Level.PATIENT: schema.patient,
    Level.STUDY: schema.study,
    Level.SERIES: schema.series,
    Level.IMAGE: schema.instance,
}

_COLUMNS: Final[dict[Level, dict[int, str]]] = {
    Level.PATIENT: {
        0x00100020: "patient_id",
        0x00100021: "issuer",
        0x00100030: "birth_date",
        0x00100040: "sex",
        0x00201200: "studies",
        0x00201202: "series",
        0x00201204: "instances",
    },
    Level.STUDY: {
        0x00080020: "study_date",
        0x00080030: "study_time",
        0x00080050: "accession_number",
        0x0020000D: "study_uid",
        0x00200010: "study_id",
        0x00201206: "series",
        0x00201208: "instances",
        0x00100020: "patient_id",
        0x00100021: "issuer",
        0x00100030: "birth_date",
        0x00100040: "sex",
    },
    Level.SERIES: {
        0x00080060: "modality",
        0x0020000E: "series_uid",
        0x00200011: "series_number",
        0x00201209: "instances",
    },
    Level.IMAGE: {
        0x00080016: "sop_class_uid",
        0x00080018: "sop_instance_uid",
        0x00200013: "instance_number",
        0x00083002: "transfer_syntax",
    },
}
_NUMBERED: Final = frozenset({"series_number", "instance_number"})

_UNIQUE: Final = frozenset({"study_uid", "series_uid", "sop_instance_uid", "handle"})
_INDEXED: Final = _UNIQUE | {
    "patient_id",
    "birth_date",
    "study_date",
    "accession_number",
    "study_id",
    "modality",
    "sop_class_uid",
}

_TEXTS: Final = {0x00081030: "description", 0x00080080: "institution"}
"""Columns of texts of which any part is searched for."""
_OF_FEW: Final = frozenset({"institution"})
"""Those that have few different values, which are gone through instead of all rows'."""
_STUDY_DATE: Final = 0x00080020
_PATIENT_ID: Final = 0x00100020
TIMEZONE: Final = "00080201"
_NAME_PARTS: Final = {0x00100010: PATIENT_PART, 0x00080090: REFERRING_PART}
_GATHERED: Final = {
    0x00080061: (schema.study_modality, "modality"),
    0x00080062: (schema.study_sop_class, "sop_class_uid"),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A demand on the rows of one level."""

    level: Level
    where: Callable[[FromClause], ColumnElement[bool]]
    """The demand on a row, over the level's table or an alias of it."""
    hits: Select[tuple[int]] | None = None
    """The keys of all rows that meet it, by index."""
    is_unique: bool = False
    """Whether ``hits`` are few for certain."""
    is_scan: bool = False
    """Whether all of an index has to be gone through to find ``hits``."""
    in_order_of: tuple[str, str] | None = None
    """Column and value if an index gives what meets it in the level's order."""
    is_in_order: bool = False
    """Whether what meets it stands together in the order of studies: their dates."""
    is_name: bool = False
    """Whether it is on a name, so that what meets it stands together among patients."""


def conditions_of(query: Query, local_offset: int) -> list[Condition]:
    """All that the query's keys demand; ``local_offset`` of the archive, minutes east of UTC.

    Raises: Malformed, for a key that cannot be read.
    """
    rules = Rules(
        fuzzy=query.fuzzy,
        empty_values=query.empty_values,
        multiple_values=query.multiple_values,
        offset=local_offset if query.offset is None else query.offset,
        any_case=query.any_case,
    )
    known = ATTRIBUTES.keys() - NEVER_MATCHED
    wanted = [key for key in query.keys if key.tag in known and not key.is_universal]
    keys = {key.tag: key for key in reversed(wanted)}
    further = [key for key in wanted if keys[key.tag] is not key]
    found = [*_by_handles(query)]
    if query.combined_date_time:
        for date_tag, time_tag in DATE_TIME_PAIRS.items():
            if combined := _combined(keys, (date_tag, time_tag), query, rules):
                found.append(combined)
                del keys[date_tag], keys[time_tag]
    found += [each for key in (*keys.values(), *further) for each in _conditions(key, query, rules)]
    if query.non_patient:
        found.append(_on_column(Level.IMAGE, "sop_class_uid", OneOf(query.non_patient)))
    return found


def _by_handles(query: Query) -> Iterator[Condition]:
    for level, handles in ((Level.PATIENT, query.patients), (Level.STUDY, query.studies)):
        if handles is not None:
            yield _on_column(level, "handle", OneOf(tuple(sorted(handles))))


def _home(attribute: Attribute, query: Query) -> Level:
    """The level whose table holds what an attribute is matched against."""
    asked = query.level
    if query.non_patient:
        return Level.IMAGE
    if attribute.level is Level.PATIENT and asked is not Level.PATIENT:
        return Level.PATIENT if attribute.held is Held.COMPUTED else Level.STUDY
    if asked in attribute.also:
        return asked
    return attribute.level


def _conditions(key: Key, query: Query, rules: Rules) -> Iterator[Condition]:
    attribute = ATTRIBUTES[key.tag]
    level = _home(attribute, query)
    if attribute.held is Held.GIVEN:
        return
    if attribute.held is Held.DOCUMENT:
        matcher = matcher_of_key(attribute, key, rules) if key.tag in _TEXTS else None
        if isinstance(matcher, OneOf | Pattern | Empty):
            yield _texted(level, attribute, key, (rules, matcher))
        elif in_document(TABLES[level].c.compared, attribute, key, rules) is not None:
            yield _documented(level, attribute, key, rules)
        return
    matcher = matcher_of_key(attribute, key, replace(rules, any_case=False))
    if matcher is None:
        return
    if key.tag == _PATIENT_ID and isinstance(matcher, OneOf):
        # One ID with a backslash in it is none that the standard allows, and there are such.
        matcher = OneOf(tuple(dict.fromkeys((*matcher.wanted, values.text("LO", key.value)))))
    if key.tag in _NAME_PARTS:
        yield from _named(level, _NAME_PARTS[key.tag], matcher)
    elif key.tag in _GATHERED:
        yield _gathered(key.tag, matcher)
    else:
        yield _on_column(level, _COLUMNS[level][key.tag], matcher)


def _documented(level: Level, attribute: Attribute, key: Key, rules: Rules) -> Condition:
    def where(row: FromClause) -> ColumnElement[bool]:
        found = in_document(row.c.compared, attribute, key, rules)
        return true() if found is None else found

    return Condition(level, where)


def _texted(
    level: Level, attribute: Attribute, key: Key, how: tuple[Rules, OneOf | Pattern | Empty]
) -> Condition:
    """A demand on a text that has a column, as it has one value nearly always."""
    rules, matcher = how
    name = _TEXTS[key.tag]

    def one(row: FromClause) -> ColumnElement[bool]:
        return and_(not_(prefixed(row.c[name], schema.SEVERAL)), matches(row.c[name], matcher))

    def several(row: FromClause) -> ColumnElement[bool]:
        held = in_document(row.c.compared, attribute, key, rules)
        return and_(prefixed(row.c[name], schema.SEVERAL), true() if held is None else held)

    def where(row: FromClause) -> ColumnElement[bool]:
        return or_(one(row), several(row))

    row = TABLES[level].alias()
    of_one = one(row)
    if name in _OF_FEW and not _by_index(matcher):
        of_one = row.c[name].in_(_values(TABLES[level].c[name], matcher))
    # Each by the index: the first reads no rows, and the second hardly any.
    both = union_all(*(select(row.c.pk).where(each) for each in (of_one, several(row)))).subquery()
    return Condition(level, where, select(both.c[0]), is_scan=not _by_index(matcher))


def _values(column: ColumnElement[str], matcher: OneOf | Pattern | Empty) -> Select[tuple[str]]:
    """The different values of an indexed column that match, from each one to the next."""
    each = select(func.min(column).label("text")).cte("each_text", recursive=True)
    behind = select(func.min(column)).where(column > each.c.text).scalar_subquery()
    each = each.union_all(select(behind).where(each.c.text.is_not(None)))
    is_one = not_(prefixed(each.c.text, schema.SEVERAL))
    return select(each.c.text).where(is_one, matches(each.c.text, matcher))


def _on_column(level: Level, name: str, matcher: Matcher) -> Condition:
    def where(row: FromClause) -> ColumnElement[bool]:
        if name in _NUMBERED and isinstance(matcher, Empty):
            return row.c[name] == schema.UNNUMBERED
        return matches(row.c[name], matcher)

    row = TABLES[level].alias()
    hits = select(row.c.pk).where(where(row)) if name in _INDEXED and _by_index(matcher) else None
    single = matcher.wanted[0] if isinstance(matcher, OneOf) and len(matcher.wanted) == 1 else None
    ordered = name in {"modality", "sop_class_uid"} and isinstance(single, str)
    return Condition(
        level,
        where,
        hits,
        is_unique=name in _UNIQUE,
        in_order_of=(name, str(single)) if ordered else None,
        is_in_order=name == "study_date" and not isinstance(matcher, AnyOf),
    )


def _by_index(matcher: Matcher) -> bool:
    """Whether a sorted index finds what matches."""
    match matcher:
        case Pattern(parts):
            return isinstance(parts[0], str)
        case AnyOf(each):
            return all(_by_index(one) for one in each)
        case _:
            return True


def _gathered(tag: int, matcher: Matcher) -> Condition:
    table, name = _GATHERED[tag]

    def where(row: FromClause) -> ColumnElement[bool]:
        held = table.alias()
        of_row = select(true()).select_from(held).where(held.c.study_fk == row.c.pk)
        if isinstance(matcher, Empty):
            return ~exists(of_row)
        return exists(of_row.where(matches(held.c[name], matcher)))

    if isinstance(matcher, Empty):
        return Condition(Level.STUDY, where)
    held = table.alias()
    hits = select(held.c.study_fk).where(matches(held.c[name], matcher))
    match matcher:
        case OneOf((str(single),)) if table is schema.study_modality:
            return Condition(Level.STUDY, where, hits, in_order_of=(name, single))
        case _:
            return Condition(Level.STUDY, where, hits)


# --- names


def _named(level: Level, base: int, matcher: Matcher) -> Iterator[Condition]:
    match matcher:
        case Named():
            yield _one_name(level, base, matcher)
        case AllOf(each):
            for demand in each:
                yield _one_name(level, base, demand)
        case AnyOf(each):
            alternatives = [list(_named(level, base, one)) for one in each]

            def where(row: FromClause) -> ColumnElement[bool]:
                return or_(*(and_(*(one.where(row) for one in ways)) for ways in alternatives))

            yield Condition(level, where, _union(alternatives), is_name=True)
        case _:
            yield _nameless(level, base)


def _union(alternatives: list[list[Condition]]) -> Select[tuple[int]] | None:
    """The hits of any of the alternatives; None where one has several demands or no index."""
    each = [ways[0].hits for ways in alternatives if len(ways) == 1]
    found = [hits for hits in each if hits is not None]
    if len(found) < len(alternatives):
        return None
    together = union(*found).subquery()
    return select(together.c[0])


def _links(level: Level) -> tuple[FromClause, str]:
    if level is Level.PATIENT:
        return schema.patient_name.alias(), "patient_fk"
    return schema.study_name.alias(), "study_fk"


def _parts(base: int, group: int | None) -> list[int]:
    return [base + place for place in range(1, len(GROUPS) + 1) if group in (None, place)]


def _nameless(level: Level, base: int) -> Condition:
    def where(row: FromClause) -> ColumnElement[bool]:
        link, holder = _links(level)
        named = select(true()).select_from(link).where(link.c[holder] == row.c.pk)
        return ~exists(named.where(link.c.part.in_(_parts(base, None))))

    return Condition(level, where)


def _one_name(level: Level, base: int, named: Named) -> Condition:
    parts = _parts(base, named.group)

    def where(row: FromClause) -> ColumnElement[bool]:
        link, holder = _links(level)
        name = schema.person_name.alias()
        borne = link.join(name, name.c.pk == link.c.name_fk)
        found = select(true()).select_from(borne).where(link.c[holder] == row.c.pk)
        return exists(found.where(link.c.part.in_(parts), _meets(name, named)))

    link, holder = _links(level)
    hits = select(link.c[holder]).where(link.c.part.in_(parts))
    match named.ways:
        case (OneOf() | Pattern() as way,) if _by_index(way):
            # A join, not a list of all such names: who wants only some hits pays for no more.
            name = schema.person_name.alias()
            hits = hits.join(name, name.c.pk == link.c.name_fk).where(matches(name.c.folded, way))
        case _:
            hits = hits.where(link.c.name_fk.in_(_names(named)))
    return Condition(level, where, hits, is_name=True)


def _meets(name: FromClause, named: Named) -> ColumnElement[bool]:
    """Whether a row of ``person_name`` meets a demand."""
    ways: list[ColumnElement[bool]] = []
    for way in named.ways:
        if isinstance(way, Words):
            ways.append(and_(*(name.c.pk.in_(_names_with_word(word)) for word in way.words)))
        else:
            ways.append(matches(name.c.folded, way))
    return or_(*ways)


def _names(named: Named) -> Any:
    """The keys of the names that meet a demand, by index as far as there is one."""
    each = [found for way in named.ways for found in [_names_by(way)]]
    return each[0] if len(each) == 1 else each[0].union(*each[1:])


def _names_by(way: OneOf | Pattern | Words) -> Select[tuple[int]]:
    name = schema.person_name.alias()
    found = select(name.c.pk)
    match way:
        case Words(words):
            return found.where(*(name.c.pk.in_(_names_with_word(word)) for word in words))
        case Pattern(parts) if not isinstance(parts[0], str):
            literals = tuple(
                each for each in parts if isinstance(each, str) and len(each) >= sqlite.GRAM
            )
            if literals:
                found = found.where(name.c.pk.in_(sqlite.name_holds(literals)))
            return found.where(matches(name.c.folded, way))
        case _:
            return found.where(matches(name.c.folded, way))


def _names_with_word(word: str) -> Any:
    held = schema.name_word.alias()
    by_prefix = select(held.c.name_fk).where(prefixed(held.c.word, word))
    heard = sound(word)
    if not heard:
        return by_prefix
    sounding = schema.name_word.alias()
    return by_prefix.union(select(sounding.c.name_fk).where(sounding.c.sound == heard))


# --- dates with their times


def _combined(
    keys: dict[int, Key], pair: tuple[int, int], query: Query, rules: Rules
) -> Condition | None:
    """A date's and its time's ranges as one interval, if both are given in the same form.

    In the asker's timezone, if that was told: what says its own is turned into that one. What does
    not is local time, of the house that both are in, and stays.
    """
    if not all(tag in keys for tag in pair):
        return None
    dates, times = (matcher_of(ATTRIBUTES[tag].vr, keys[tag].value, rules) for tag in pair)
    if not isinstance(dates, Between) or not isinstance(times, Between):
        return None
    if (dates.low is None, dates.high is None) != (times.low is None, times.high is None):
        return None
    level = _home(ATTRIBUTES[pair[0]], query)
    days = 0 if query.offset is None else 1  # by which another timezone is ahead or behind

    def where(row: FromClause) -> ColumnElement[bool]:
        date, time = (_value(row, level, ATTRIBUTES[tag]) for tag in pair)
        moment = date.concat(time)
        if query.offset is not None:
            zone = sqlite.value_at(row.c.compared, TIMEZONE)
            moment = func.coalesce(sqlite.moved(date, time, zone, query.offset), moment)
        demands: list[ColumnElement[bool]] = [date > ""]
        # The first of each two lets an index find the days.
        if dates.low is not None and times.low is not None:
            demands += [date >= _day(dates.low, -days), moment >= dates.low + times.low]
        if dates.high is not None and times.high is not None:
            demands += [date <= _day(dates.high, days), moment <= dates.high + times.high]
        return and_(*demands)

    row = TABLES[level].alias()
    is_of_study = pair[0] == _STUDY_DATE
    hits = select(row.c.pk).where(where(row)) if is_of_study else None
    return Condition(level, where, hits, is_in_order=is_of_study)


def _value(row: FromClause, level: Level, attribute: Attribute) -> ColumnElement[Any]:
    name = _COLUMNS[level].get(attribute.tag)
    if name is not None:
        return row.c[name]
    return func.coalesce(sqlite.value_at(row.c.compared, attribute.tag8), "")


def _day(date: str, days: int) -> str:
    """The date so many days later; itself, where there is none such."""
    if not days:
        return date
    try:
        moved = datetime.strptime(date, "%Y%m%d") + timedelta(days=days)
    except (ValueError, OverflowError):
        return date
    return f"{moved.year:04d}{moved:%m%d}"
