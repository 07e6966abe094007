"""Finding what a query asks for: which index leads, page after page, and the rows that come back.

The most selective condition leads if it has few enough hits (counted no further than `FEW`); else
the level's order is walked and every condition is tested on the way, which finds a page soon because
the hits are many. A page continues behind the last position, never at an offset.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, func, select, true, tuple_

from isocenter.storage import schema
from isocenter.storage.attributes import Level
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


def search(run: Run, query: Query, local_offset: int = 0) -> Iterator[list[Match]]:
    """Pages of matches: studies newest first, patients by name, series and instances by number.

    Raises: Malformed, for a key that cannot be read, before the first page.
    """
    conditions = conditions_of(query, local_offset)
    return _limited(_pages(run, query, conditions), query.limit)


def count(run: Run, query: Query, local_offset: int = 0) -> int:
    """How many match. Raises: Malformed."""
    conditions = conditions_of(query, local_offset)
    table = TABLES[query.level]
    lead = _lead(run, conditions)
    statement = select(func.count()).select_from(table)
    if lead is not None:
        statement = statement.where(_led(query.level, lead))
    filters = _filters(query.level, [each for each in conditions if each is not lead])
    return int(run(statement.where(*filters))[0][0])


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


def _pages(run: Run, query: Query, conditions: list[Condition]) -> Iterator[list[Match]]:
    size = min(FIRST_PAGE, query.limit or FIRST_PAGE)
    after = query.after
    lead = _lead(run, conditions)
    rest = [each for each in conditions if each is not lead]
    if lead is not None and query.level is Level.IMAGE and lead.level < Level.IMAGE:
        keys = _keys_by_series(run, lead, rest, after)
        yield from _fetched(run, query, keys)
        return
    while True:
        statement = _page(query.level, lead, rest).limit(size)
        if after is not None:
            statement = statement.where(_behind(query.level, after))
        found = run(statement)
        if found:
            yield fetch(run, query, [tuple(row) for row in found])
        if len(found) < size:
            return
        after, size = tuple(found[-1]), PAGE


def _fetched(run: Run, query: Query, keys: Iterable[list[Any]]) -> Iterator[list[Match]]:
    for page in keys:
        if page:
            yield fetch(run, query, page)


# --- what leads


def _lead(run: Run, conditions: list[Condition]) -> Condition | None:
    """The condition with the fewest hits, None if there are many of all."""
    candidates = [each for each in conditions if each.hits is not None]
    if unique := [each for each in candidates if each.is_unique]:
        return max(unique, key=lambda each: each.level)
    fewest, lead = FEW + 1, None
    for each in candidates:
        assert each.hits is not None
        bounded = each.hits.limit(fewest).subquery()
        hits = run(select(func.count()).select_from(bounded))[0][0]
        if hits < fewest:
            fewest, lead = hits, each
    return lead


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


def _page(level: Level, lead: Condition | None, rest: list[Condition]) -> Select[Any]:
    """The positions of what matches, in order."""
    table = TABLES[level]
    statement = select(*(table.c[name] for name in _ORDERS[level]))
    if lead is not None:
        statement = statement.where(_led(level, lead))
        if lead.level >= level:
            statement = statement.with_hint(table, "NOT INDEXED", "sqlite")
        return _ordered(level, statement.where(*_filters(level, rest)))
    for each in rest:
        if each.in_order_of is not None and each.level is level:
            return _walk_by(level, each, [other for other in rest if other is not each])
    statement = statement.with_hint(table, f"INDEXED BY {table.name}_order_ix", "sqlite")
    return _ordered(level, statement.where(*_filters(level, rest)))


def _walk_by(level: Level, leader: Condition, rest: list[Condition]) -> Select[Any]:
    """Walk an index that holds one value's rows in the level's order."""
    table = TABLES[level]
    assert leader.in_order_of is not None
    name, value = leader.in_order_of
    if level is not Level.STUDY:
        statement = select(*(table.c[name] for name in _ORDERS[level])).where(
            table.c[name] == value
        )
        index = f"{table.name}_{name}_ix"
        statement = statement.with_hint(table, f"INDEXED BY {index}", "sqlite")
        return _ordered(level, statement.where(*_filters(level, rest)))
    modality = schema.study_modality
    statement = (
        select(modality.c.study_date, modality.c.study_time, modality.c.study_fk)
        .select_from(modality.join(table, table.c.pk == modality.c.study_fk))
        .with_hint(table, "NOT INDEXED", "sqlite")
        .where(modality.c.modality == value, *_filters(level, rest))
    )
    order = (modality.c.study_date, modality.c.study_time, modality.c.study_fk)
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
    found = [each.where(table) for each in conditions if each.level is level]
    above = [each for each in conditions if each.level < level]
    below = [each for each in conditions if each.level > level]
    if above:
        found.append(_has_above(level, above))
    if below:
        found.append(_has_below(level, below))
    return found


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


def _keys_by_series(
    run: Run, lead: Condition, rest: list[Condition], after: tuple[Any, ...] | None
) -> Iterator[list[Any]]:
    """Positions of instances: what leads finds the series, small ones are read together."""
    series, instance = schema.series, schema.instance
    above = [each for each in rest if each.level < Level.IMAGE]
    filters = [each.where(instance) for each in rest if each.level is Level.IMAGE]
    statement = select(series.c.pk, series.c.instances).where(_led(Level.SERIES, lead))
    statement = statement.where(*_filters(Level.SERIES, above)).order_by(series.c.pk)
    if after is not None:
        statement = statement.where(series.c.pk >= after[0])
    for chunk in _chunks(run(statement)):
        found = _in_series(chunk, filters)
        behind = after if after is not None and after[0] in chunk else None
        while True:
            page = found if behind is None else found.where(_behind(Level.IMAGE, behind))
            rows = [tuple(row) for row in run(page.limit(PAGE))]
            yield rows
            if len(rows) < PAGE:
                break
            behind = rows[-1]


def _in_series(chunk: list[int], filters: list[ColumnElement[bool]]) -> Select[Any]:
    instance = schema.instance
    statement = select(*(instance.c[name] for name in _ORDERS[Level.IMAGE]))
    wanted = (
        instance.c.series_fk == chunk[0] if len(chunk) == 1 else instance.c.series_fk.in_(chunk)
    )
    return _ordered(Level.IMAGE, statement.where(and_(wanted, *filters)))


def _chunks(series: Iterable[Any]) -> Iterator[list[int]]:
    """Keys of series to be read together: one large one, or several of up to a page in all."""
    chunk: list[int] = []
    total = 0
    for pk, instances in series:
        if chunk and total + instances > PAGE:
            yield chunk
            chunk, total = [], 0
        chunk.append(pk)
        total += instances
    if chunk:
        yield chunk
