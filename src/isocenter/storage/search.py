"""Finding what a query asks for: which index leads, page after page, and the rows that come back.

The most selective condition leads if it has few enough hits (counted no further than `FEW`); else
the level's order is walked and every condition is tested on the way, which finds a page soon
because the hits are many. A page continues behind the last position; to leave out matches, an
index is walked without reading rows.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, select

from isocenter.storage import schema
from isocenter.storage.attributes import Level
from isocenter.storage.conditions import TABLES, Condition, conditions_of
from isocenter.storage.paging import (
    BY_DATE,
    ORDERS,
    Plan,
    comes_behind,
    filters_of,
    led,
    ordered,
    page_of,
)
from isocenter.storage.query import Order, Query
from isocenter.storage.records import Match
from isocenter.storage.rows import fetch

FEW: Final = 5_000
"""Hits that may be gathered and sorted for one page."""

FIRST_PAGE: Final = 100
PAGE: Final = 500

COUNTED: Final = 10_000
"""Matches behind a limit that are counted."""
SCANNED: Final = 10_000
"""Rows of a level of which all may be looked at to count."""

STEP: Final = 50_000
"""Matches left out by one statement."""

_OF_INSTANCES: Final = Query(level=Level.IMAGE)

Run = Callable[[Select[Any]], Sequence[Any]]
"""Runs a statement on a connection of its own and returns all rows."""


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
    return _limited(_pages(reader.run, _plan(reader, query)), query.limit)


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer of which the first page is there."""

    first: list[Match]
    pages: Iterator[list[Match]]
    """What follows, up to the query's limit."""
    behind: int
    """Matches behind the first page; at least so many, if they are not counted to the end."""
    is_counted: bool


def begin(reader: Reader, query: Query) -> Begun:
    """Find the first page, and how many match behind it. Raises: Malformed.

    They are counted beyond the query's limit as far as an index does it quickly, or where there are
    few rows in all; of others it is only told whether there are any beyond.
    """
    plan = _plan(reader, query)
    if plan.lead is not None and not plan.is_by_series and query.limit != 0:
        return _begin_gathered(reader.run, plan)
    pages = _limited(_pages(reader.run, plan), query.limit)
    first: list[Match] = []
    wanted = min(FIRST_PAGE, query.limit or FIRST_PAGE)
    while len(first) < wanted and (page := next(pages, None)) is not None:
        first += page
    if query.limit is None or len(first) < wanted:
        return Begun(first, pages, 0, len(first) < wanted)
    is_quick = plan.counts_quickly or reader.size(query.level) <= SCANNED
    bound = query.limit - len(first) + (COUNTED if is_quick else 1)
    if query.after is None and not query.skip:
        behind = _count_all(reader.run, plan, bound + len(first)) - len(first)
    else:
        behind = _count_behind(reader.run, plan, first[-1].position, bound)
    return Begun(first, pages, behind, behind < bound)


def _begin_gathered(run: Run, plan: Plan) -> Begun:
    """What leads has few hits, and all of them are looked at to be sorted: count them as well."""
    query = plan.query
    size = next(_sizes(query))
    statement = page_of(plan, query.after).add_columns(func.count().over())
    rows = run(statement.limit(size).offset(query.skip))
    if not rows:
        return Begun([], iter(()), 0, True)
    positions = [tuple(row[:-1]) for row in rows]
    limit = None if query.limit is None else query.limit - len(rows)
    rest = replace(query, after=positions[-1], skip=0, limit=limit)
    pages = _limited(_pages(run, replace(plan, query=rest)), limit)
    behind = rows[0][-1] - query.skip - len(rows)
    return Begun(fetch(run, query, positions), pages if behind else iter(()), behind, True)


def count(reader: Reader, query: Query) -> int:
    """How many match. Raises: Malformed."""
    conditions = conditions_of(query, reader.offset)
    table = TABLES[query.level]
    lead = _fewest(_counted(reader.run, conditions))
    statement = select(func.count()).select_from(table)
    if lead is not None:
        statement = statement.where(led(query.level, lead))
    demands = filters_of(query, _rest(query.level, lead, conditions))
    return int(reader.run(statement.where(*demands))[0][0])


def place_of(run: Run, level: Level, pk: int) -> tuple[Any, ...] | None:
    """The position of a row in its level's order, None where it has gone."""
    table = TABLES[level]
    row = run(select(*(table.c[name] for name in ORDERS[level])).where(table.c.pk == pk))
    return tuple(row[0]) if row else None


def _plan(reader: Reader, query: Query) -> Plan:
    conditions = conditions_of(query, reader.offset)
    lead = _lead(reader, query, conditions)
    return Plan(query, lead, _rest(query.level, lead, conditions))


def _limited(pages: Iterator[list[Match]], limit: int | None) -> Iterator[list[Match]]:
    if limit == 0:
        return
    for page in pages:
        if limit is None:
            yield page
            continue
        if page[:limit]:
            yield page[:limit]
        limit -= len(page)
        if limit <= 0:
            return


def _pages(run: Run, plan: Plan) -> Iterator[list[Match]]:
    positions = _by_series(run, plan) if plan.is_by_series else _in_order(run, plan)
    for page in positions:
        if page:
            yield fetch(run, plan.query, page)


def _sizes(query: Query) -> Iterator[int]:
    """How many matches to look for at a time."""
    yield min(FIRST_PAGE, query.limit or FIRST_PAGE)
    yield from itertools.repeat(PAGE)


def _in_order(run: Run, plan: Plan) -> Iterator[list[tuple[Any, ...]]]:
    after = plan.query.after
    if plan.query.skip:
        after = _skipped(run, plan)
        if after is None:
            return
    for size in _sizes(plan.query):
        statement = page_of(plan, after).limit(size)
        found = [tuple(row) for row in run(statement)]
        yield found
        if len(found) < size:
            return
        after = found[-1]


def _skipped(run: Run, plan: Plan) -> tuple[Any, ...] | None:
    """The position of the last match to be left out; None where there are not as many.

    An index is walked without reading rows, in steps, so that no statement takes long.
    """
    after, left = plan.query.after, plan.query.skip
    while left:
        step = min(left, STEP)
        row = run(page_of(plan, after).limit(1).offset(step - 1))
        if not row:
            return None
        after = tuple(row[0])
        left -= step
    return after


def _count_all(run: Run, plan: Plan, bound: int) -> int:
    """How many match, counted no further than ``bound``: in whatever order that is quickest."""
    if plan.is_by_series:
        statement = _instances_of_series(plan)
    else:
        statement = page_of(replace(plan, query=replace(plan.query, order=Order.NEWEST)), None)
    bounded = statement.limit(bound).subquery()
    return int(run(select(func.count()).select_from(bounded))[0][0])


def _count_behind(run: Run, plan: Plan, after: tuple[Any, ...], bound: int) -> int:
    """How many match behind a position, counted no further than ``bound``."""
    statement = _instances_of_series(plan, after) if plan.is_by_series else page_of(plan, after)
    bounded = statement.limit(bound).subquery()
    return int(run(select(func.count()).select_from(bounded))[0][0])


# --- what leads


def _counted(run: Run, conditions: list[Condition]) -> list[tuple[int, Condition]]:
    """How many hits the conditions have that an index answers, counted no further than `FEW`.

    Where one has few, no index is gone through for another.
    """
    counted: list[tuple[int, Condition]] = []
    for each in sorted(conditions, key=lambda one: one.is_scan):
        if each.is_scan and _fewest(counted) is not None:
            break
        if each.is_unique:
            counted.append((-each.level, each))  # the lower, the fewer
        elif each.hits is not None:
            bounded = each.hits.limit(FEW + 1).subquery()
            counted.append((run(select(func.count()).select_from(bounded))[0][0], each))
    return counted


def _fewest(counted: list[tuple[int, Condition]]) -> Condition | None:
    hits, lead = min(counted, key=lambda each: each[0], default=(FEW + 1, None))
    return lead if hits <= FEW else None


def _lead(reader: Reader, query: Query, conditions: list[Condition]) -> Condition | None:
    """The condition whose hits are gathered and sorted; None if it is quicker to walk the order."""
    level = query.level
    counted = _counted(reader.run, conditions)
    lead = _fewest(counted)
    if level is Level.PATIENT and lead is None:
        # In the order of names a walk to a name may be long: sort rather more.
        named = (each for _, each in counted if each.is_name and each.level is level)
        return next(named, None)
    if lead is None or lead.is_unique or level is not Level.STUDY:
        return lead
    if lead.is_in_order and lead.level is level and query.order in BY_DATE:
        return None
    if len(counted) < len(conditions):
        return lead  # how many meet the others is not known: a walk may be long
    rows = max(reader.size(level), 1)
    share = math.prod(min(hits / rows, 1.0) for hits, _ in counted)
    walked = FIRST_PAGE / share if share else rows
    return None if walked < min(hits for hits, _ in counted) else lead


def _rest(level: Level, lead: Condition | None, conditions: list[Condition]) -> list[Condition]:
    """The conditions that the leading one's hits do not settle."""
    others = [each for each in conditions if each is not lead]
    if lead is not None and lead.level > level and any(each.level > level for each in others):
        # One and the same entity below has to meet it together with the others.
        return conditions
    return others


# --- instances, series by series


def _by_series(run: Run, plan: Plan) -> Iterator[list[tuple[Any, ...]]]:
    """Positions of instances: what leads finds the series, small ones are read together."""
    series = schema.series
    filters = _of_instances(plan)
    statement = _series_of(plan, series.c.pk, series.c.instances).order_by(series.c.pk)
    after, left, sizes = plan.query.after, plan.query.skip, _sizes(plan.query)
    if after is not None:
        statement = statement.where(series.c.pk >= after[0])
    for chunk in chunks(run(statement), PAGE):
        found = _in_series(chunk, filters)
        behind = after if after is not None and after[0] in chunk else None
        if left:
            behind, left = _skipped_in(run, found, behind, left)
            if left:
                continue
        while True:
            size = next(sizes)
            rows = [tuple(row) for row in run(_from(found, behind).limit(size))]
            yield rows
            if len(rows) < size:
                break
            behind = rows[-1]


def _from(found: Select[Any], behind: tuple[Any, ...] | None) -> Select[Any]:
    return found if behind is None else found.where(comes_behind(_OF_INSTANCES, behind))


def _skipped_in(
    run: Run, found: Select[Any], behind: tuple[Any, ...] | None, left: int
) -> tuple[tuple[Any, ...] | None, int]:
    """Leave out ``left`` matches of those in ``found``: the last of them, and how many remain."""
    there = _from(found, behind)
    if row := run(there.limit(1).offset(left - 1)):
        return tuple(row[0]), 0
    return None, left - int(run(select(func.count()).select_from(there.subquery()))[0][0])


def _series_of(plan: Plan, *columns: ColumnElement[Any]) -> Select[Any]:
    """The series that the leading condition finds."""
    assert plan.lead is not None
    above = [each for each in plan.rest if each.level < Level.IMAGE]
    of_series = Query(level=Level.SERIES)
    return select(*columns).where(led(Level.SERIES, plan.lead), *filters_of(of_series, above))


def _of_instances(plan: Plan) -> list[ColumnElement[bool]]:
    return [each.where(schema.instance) for each in plan.rest if each.level is Level.IMAGE]


def _instances_of_series(plan: Plan, after: tuple[Any, ...] | None = None) -> Select[Any]:
    """All that `_by_series` finds, or finds behind a position, in no order."""
    series, instance = schema.series, schema.instance
    wanted = _series_of(plan, series.c.pk)
    if after is not None:
        wanted = wanted.where(series.c.pk >= after[0])
    found = select(instance.c.pk).where(instance.c.series_fk.in_(wanted), *_of_instances(plan))
    return _from(found, after)


def _in_series(chunk: list[int], filters: list[ColumnElement[bool]]) -> Select[Any]:
    instance = schema.instance
    statement = select(*(instance.c[name] for name in ORDERS[Level.IMAGE]))
    wanted = (
        instance.c.series_fk == chunk[0] if len(chunk) == 1 else instance.c.series_fk.in_(chunk)
    )
    return ordered(_OF_INSTANCES, statement.where(and_(wanted, *filters)))


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
