"""Finding what a query asks for: which index leads, page after page, and the rows that come back.

The most selective condition leads if it has few enough hits (counted no further than `FEW`); else
the level's order is walked and every condition is tested on the way, which finds a page soon
because the hits are many. A page continues behind the last position, never at an offset.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, select, true, tuple_

from isocenter.storage import schema
from isocenter.storage.attributes import NON_PATIENT_STUDY, Level
from isocenter.storage.conditions import TABLES, Condition, conditions_of
from isocenter.storage.query import Query
from isocenter.storage.records import Match
from isocenter.storage.rows import fetch

FEW: Final = 5_000
"""Hits that may be gathered and sorted for one page."""

FIRST_PAGE: Final = 100
PAGE: Final = 500

Run = Callable[[Select[Any]], Sequence[Any]]
"""Runs a statement on a connection of its own and returns all rows."""

_ORDERS: Final[dict[Level, tuple[str, ...]]] = {
    Level.PATIENT: ("sort_name", "pk"),
    Level.STUDY: ("study_date", "study_time", "pk"),
    Level.SERIES: ("study_fk", "series_number", "pk"),
    Level.IMAGE: ("series_fk", "instance_number", "pk"),
}
_PARENTS: Final = {Level.STUDY: "patient_fk", Level.SERIES: "study_fk", Level.IMAGE: "series_fk"}


@dataclass(frozen=True, slots=True)
class Reader:
    """What searching needs of the index."""

    run: Run
    size: Callable[[Level], int]
    """Roughly how many rows a level has."""
    offset: int = 0
    """Minutes east of UTC of dates and times that do not say."""


def search(reader: Reader, query: Query) -> Iterator[list[Match]]:
    """Pages of matches: studies newest first, patients by name, series and instances by number.

    Raises: Malformed, for a key that cannot be read, before the first page.
    """
    conditions = conditions_of(query, reader.offset)
    return _limited(_pages(reader, query, conditions), query.limit)


def count(reader: Reader, query: Query) -> int:
    """How many match. Raises: Malformed."""
    conditions = conditions_of(query, reader.offset)
    table = TABLES[query.level]
    lead = _fewest(_counted(reader.run, conditions))
    statement = select(func.count()).select_from(table)
    if lead is not None:
        statement = statement.where(_led(query.level, lead))
    filters = _filters(query.level, _rest(query.level, lead, conditions))
    return int(reader.run(statement.where(*filters))[0][0])


def _limited(pages: Iterator[list[Match]], limit: int | None) -> Iterator[list[Match]]:
    for page in pages:
        if limit is None:
            yield page
            continue
        if page[:limit]:
            yield page[:limit]
        limit -= len(page)
        if limit <= 0:
            return


def _pages(reader: Reader, query: Query, conditions: list[Condition]) -> Iterator[list[Match]]:
    lead = _lead(reader, query.level, conditions)
    rest = _rest(query.level, lead, conditions)
    if lead is not None and query.level is Level.IMAGE and lead.level < Level.IMAGE:
        positions = _by_series(reader.run, query, lead, rest)
    else:
        positions = _in_order(reader.run, query, lead, rest)
    for page in positions:
        if page:
            yield fetch(reader.run, query, page)


def _sizes(query: Query) -> Iterator[int]:
    """How many matches to look for at a time."""
    yield min(FIRST_PAGE, query.limit or FIRST_PAGE)
    yield from itertools.repeat(PAGE)


def _in_order(
    run: Run, query: Query, lead: Condition | None, rest: list[Condition]
) -> Iterator[list[tuple[Any, ...]]]:
    after = query.after
    for size in _sizes(query):
        statement = _page(query.level, lead, rest, after).limit(size)
        found = [tuple(row) for row in run(statement)]
        yield found
        if len(found) < size:
            return
        after = found[-1]


# --- what leads


def _counted(run: Run, conditions: list[Condition]) -> list[tuple[int, Condition]]:
    """How many hits the conditions have that an index answers, counted no further than `FEW`."""
    counted: list[tuple[int, Condition]] = []
    for each in conditions:
        if each.is_unique:
            counted.append((-each.level, each))  # the lower, the fewer
        elif each.hits is not None:
            bounded = each.hits.limit(FEW + 1).subquery()
            counted.append((run(select(func.count()).select_from(bounded))[0][0], each))
    return counted


def _fewest(counted: list[tuple[int, Condition]]) -> Condition | None:
    hits, lead = min(counted, key=lambda each: each[0], default=(FEW + 1, None))
    return lead if hits <= FEW else None


def _lead(reader: Reader, level: Level, conditions: list[Condition]) -> Condition | None:
    """The condition whose hits are gathered and sorted; None if it is quicker to walk the order."""
    counted = _counted(reader.run, conditions)
    lead = _fewest(counted)
    if level is Level.PATIENT and lead is None:
        # In the order of names a walk to a name may be long: sort rather more.
        named = (each for _, each in counted if each.is_name and each.level is level)
        return next(named, None)
    if lead is None or lead.is_unique or level is not Level.STUDY:
        return lead
    if lead.is_in_order and lead.level is level:
        return None
    if len(counted) < len(conditions):
        return lead  # how many meet the others is not known: a walk may be long
    rows = max(reader.size(level), 1)
    share = math.prod(min(hits / rows, 1.0) for hits, _ in counted)
    walked = FIRST_PAGE / share if share else rows
    return None if walked < min(hits for hits, _ in counted) else lead


def _rest(level: Level, lead: Condition | None, conditions: list[Condition]) -> list[Condition]:
    """The conditions that the leading one's hits do not settle."""
    if lead is not None and lead.level > level:
        # One and the same entity below has to meet it together with the others.
        return conditions
    return [each for each in conditions if each is not lead]


def _led(level: Level, lead: Condition) -> ColumnElement[bool]:
    """That a row of ``level`` is, holds or belongs to one of the leading condition's hits."""
    table = TABLES[level]
    hits: Any = lead.hits
    at = lead.level
    while at > level:
        child = TABLES[at].alias()
        hits = select(child.c[_PARENTS[at]]).where(child.c.pk.in_(hits))
        at = Level(at - 1)
    while at < level - 1:
        at = Level(at + 1)
        child = TABLES[at].alias()
        hits = select(child.c.pk).where(child.c[_PARENTS[at]].in_(hits))
    return table.c.pk.in_(hits) if at == level else table.c[_PARENTS[level]].in_(hits)


# --- one page


def _page(
    level: Level, lead: Condition | None, rest: list[Condition], after: tuple[Any, ...] | None
) -> Select[Any]:
    """The positions of what matches, in order."""
    table = TABLES[level]
    statement = select(*(table.c[name] for name in _ORDERS[level]))
    if after is not None:
        statement = statement.where(_behind(level, after))
    if lead is not None:
        statement = statement.where(_led(level, lead))
        if lead.level >= level:
            statement = statement.with_hint(table, "NOT INDEXED", "sqlite")
        return _ordered(level, statement.where(*_filters(level, rest)))
    for each in rest:
        if each.in_order_of is not None and each.level is level:
            return _walk_by(level, each, [other for other in rest if other is not each], after)
    statement = statement.with_hint(table, f"INDEXED BY {table.name}_order_ix", "sqlite")
    return _ordered(level, statement.where(*_filters(level, rest)))


def _walk_by(
    level: Level, leader: Condition, rest: list[Condition], after: tuple[Any, ...] | None
) -> Select[Any]:
    """Walk an index that holds one value's rows in the level's order."""
    table = TABLES[level]
    assert leader.in_order_of is not None
    name, value = leader.in_order_of
    if level is Level.STUDY:
        return _walk_modality(value, rest, after)
    statement = select(*(table.c[name] for name in _ORDERS[level])).where(table.c[name] == value)
    statement = statement.with_hint(table, f"INDEXED BY {table.name}_{name}_ix", "sqlite")
    if after is not None:
        statement = statement.where(_behind(level, after))
    return _ordered(level, statement.where(*_filters(level, rest)))


def _walk_modality(value: str, rest: list[Condition], after: tuple[Any, ...] | None) -> Select[Any]:
    modality, table = schema.study_modality, schema.study
    order = (modality.c.study_date, modality.c.study_time, modality.c.study_fk)
    # The date is in this index too, so that a range of dates bounds the walk.
    dated = [each.where(modality) for each in rest if each.is_in_order]
    others = [each for each in rest if not each.is_in_order]
    statement = (
        select(*order)
        .select_from(modality.join(table, table.c.pk == modality.c.study_fk))
        .with_hint(table, "NOT INDEXED", "sqlite")
        .where(modality.c.modality == value, *dated, *_filters(Level.STUDY, others))
    )
    if after is not None:
        statement = statement.where(tuple_(*order) < tuple_(*after))
    return statement.order_by(*(column.desc() for column in order))


def _ordered(level: Level, statement: Select[Any]) -> Select[Any]:
    columns = [TABLES[level].c[name] for name in _ORDERS[level]]
    if level is Level.STUDY:
        return statement.order_by(*(column.desc() for column in columns))
    return statement.order_by(*columns)


def _behind(level: Level, after: tuple[Any, ...]) -> ColumnElement[bool]:
    columns = tuple_(*(TABLES[level].c[name] for name in _ORDERS[level]))
    return columns < tuple_(*after) if level is Level.STUDY else columns > tuple_(*after)


# --- conditions that do not lead


def _filters(level: Level, conditions: list[Condition]) -> list[ColumnElement[bool]]:
    table = TABLES[level]
    found = [
        _of_patients(level),
        *(each.where(table) for each in conditions if each.level is level),
    ]
    above = [each for each in conditions if each.level < level]
    below = [each for each in conditions if each.level > level]
    if above:
        found.append(_has_above(level, above))
    if below:
        found.append(_has_below(level, below))
    return found


def _of_patients(level: Level) -> ColumnElement[bool]:
    """That a row is not where instances of no patient are kept."""
    match level:
        case Level.PATIENT:
            return schema.patient.c.lone_study_uid != NON_PATIENT_STUDY
        case Level.STUDY:
            return schema.study.c.study_uid != NON_PATIENT_STUDY
        case Level.SERIES:
            return schema.series.c.series_uid != NON_PATIENT_STUDY
        case Level.IMAGE:
            elsewhere = schema.series.alias()
            pseudo = select(elsewhere.c.pk).where(elsewhere.c.series_uid == NON_PATIENT_STUDY)
            return schema.instance.c.series_fk.not_in(pseudo)


def _has_above(level: Level, conditions: list[Condition]) -> ColumnElement[bool]:
    """That the entities a row belongs to meet the conditions."""
    at = Level(level - 1)
    row: FromClause = TABLES[at].alias()
    rows = {at: row}
    joined: FromClause = row
    while at > min(each.level for each in conditions):
        parent = TABLES[Level(at - 1)].alias()
        joined = joined.join(parent, parent.c.pk == rows[at].c[_PARENTS[at]])
        at = Level(at - 1)
        rows[at] = parent
    table = TABLES[level]
    demands = [each.where(rows[each.level]) for each in conditions]
    linked = row.c.pk == table.c[_PARENTS[level]]
    return exists(select(true()).select_from(joined).where(linked, *demands).correlate(table))


def _has_below(level: Level, conditions: list[Condition]) -> ColumnElement[bool]:
    """That one and the same entity below a row meets all the conditions, with those above it."""
    at = Level(level + 1)
    row: FromClause = TABLES[at].alias()
    rows = {at: row}
    joined: FromClause = row
    while at < max(each.level for each in conditions):
        child = TABLES[Level(at + 1)].alias()
        joined = joined.join(child, child.c[_PARENTS[Level(at + 1)]] == rows[at].c.pk)
        at = Level(at + 1)
        rows[at] = child
    table = TABLES[level]
    demands = [each.where(rows[each.level]) for each in conditions]
    linked = row.c[_PARENTS[Level(level + 1)]] == table.c.pk
    return exists(select(true()).select_from(joined).where(linked, *demands).correlate(table))


# --- instances, series by series


def _by_series(
    run: Run, query: Query, lead: Condition, rest: list[Condition]
) -> Iterator[list[tuple[Any, ...]]]:
    """Positions of instances: what leads finds the series, small ones are read together."""
    series, instance = schema.series, schema.instance
    above = [each for each in rest if each.level < Level.IMAGE]
    filters = [each.where(instance) for each in rest if each.level is Level.IMAGE]
    statement = select(series.c.pk, series.c.instances).where(_led(Level.SERIES, lead))
    statement = statement.where(*_filters(Level.SERIES, above)).order_by(series.c.pk)
    after, sizes = query.after, _sizes(query)
    if after is not None:
        statement = statement.where(series.c.pk >= after[0])
    for chunk in chunks(run(statement), PAGE):
        found = _in_series(chunk, filters)
        behind = after if after is not None and after[0] in chunk else None
        while True:
            size = next(sizes)
            page = found if behind is None else found.where(_behind(Level.IMAGE, behind))
            rows = [tuple(row) for row in run(page.limit(size))]
            yield rows
            if len(rows) < size:
                break
            behind = rows[-1]


def _in_series(chunk: list[int], filters: list[ColumnElement[bool]]) -> Select[Any]:
    instance = schema.instance
    statement = select(*(instance.c[name] for name in _ORDERS[Level.IMAGE]))
    wanted = (
        instance.c.series_fk == chunk[0] if len(chunk) == 1 else instance.c.series_fk.in_(chunk)
    )
    return _ordered(Level.IMAGE, statement.where(and_(wanted, *filters)))


def chunks(series: Iterable[Any], page: int) -> Iterator[list[int]]:
    """Keys of series to be read together: one large one, or several of up to ``page`` instances.

    ``series``: pairs of key and number of instances.
    """
    chunk: list[int] = []
    total = 0
    for pk, instances in series:
        if chunk and total + instances > page:
            yield chunk
            chunk, total = [], 0
        chunk.append(pk)
        total += instances
    if chunk:
        yield chunk
