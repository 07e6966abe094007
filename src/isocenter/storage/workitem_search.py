"""Finding workitems: which attributes can be matched, by index where the standard asks for them.

Workitems come in the order of their scheduled start. The condition with the fewest hits leads if
these are few; else that order is walked.

Source: PS3.4 CC.2.8.3.1 and the key columns of Table CC.2.5-3.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Select, bindparam, func, select, true, tuple_, union_all
from sqlalchemy.engine import Dialect

from isocenter.dicom.procedure_step import TABLE, Requirement
from isocenter.storage import schema, values
from isocenter.storage.attributes import Attribute, Held, Level
from isocenter.storage.matching import (
    AllOf,
    AnyOf,
    Empty,
    Matcher,
    Named,
    OneOf,
    Pattern,
    Rules,
    Words,
    matcher_of,
)
from isocenter.storage.names import GROUPS
from isocenter.storage.predicates import in_document, matches
from isocenter.storage.query import Key
from isocenter.storage.workitem_records import Dataset

FEW: Final = 5_000
"""Hits that may be gathered and sorted for one page."""

PAGE: Final = 200
"""Workitems read at a time."""

_TIMEZONE: Final = "00080201"
START: Final = "00404005"
_UNINDEXED_VRS: Final = frozenset({"UC", "UR", "UT", "ST", "LT"})
"""Text that may be too long for an index."""

Run = Callable[[Select[Any]], Sequence[Any]]
_table: Final = schema.workitem
_held: Final = schema.workitem_value


def _attribute(each: Requirement) -> Attribute:
    held = Held.GIVEN if each.match == "-" else Held.DOCUMENT
    items = {tag: _attribute(item) for tag, item in each.items.items()}
    # A workitem has no levels: which one is given here means nothing.
    return Attribute(each.tag, each.keyword, each.vr, Level.STUDY, held, items)


def _matched(known: Mapping[int, Attribute]) -> dict[int, Attribute]:
    return {
        tag: replace(each, items=_matched(each.items))
        for tag, each in known.items()
        if each.held is Held.DOCUMENT
    }


KNOWN: Final = {tag: _attribute(each) for tag, each in TABLE.items()}
"""What a workitem has; what it cannot be found by is ``GIVEN``."""
MATCHED: Final = _matched(KNOWN)
"""What a workitem can be found by."""


def _paths(table: Mapping[int, Requirement], above: str = "") -> Iterator[tuple[str, str]]:
    for each in table.values():
        path = above + each.tag8
        if each.match in ("U", "R") and each.vr != "SQ" and each.vr not in _UNINDEXED_VRS:
            yield path, each.vr
        yield from _paths(each.items, f"{path}.")


INDEXED: Final = dict(_paths(TABLE))
"""Paths of the attributes that are found by index, unique and required keys, with their VRs."""

_COLUMNS: Final = {0x00741000: _table.c.state, 0x00404005: _table.c.start_at}
"""What most searches narrow, in the index of the order itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkitemQuery:
    """What to find."""

    keys: tuple[Key, ...] = ()
    fuzzy: bool = False
    empty_values: bool = False
    multiple_values: bool = False
    skip: int = 0
    """Matches to leave out, from the first."""
    limit: int | None = None
    offset: int | None = None
    """Minutes east of UTC in which the asker's times are; None for the archive's own."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One demand on a workitem."""

    where: ColumnElement[bool]
    hits: Select[tuple[int]] | None
    """The keys of all workitems that meet it, or of more, by index."""


# --- what is kept for it


def compared(dataset: Dataset, offset: int) -> dict[str, list[values.Comparable]]:
    """The values to match against.

    ``offset``: minutes east of UTC, where the data set does not say (PS3.3 C.12.1.1.8).
    """
    own = values.offset_minutes(values.first_text(dataset, _TIMEZONE))
    return values.compared(MATCHED, dataset, offset if own is None else own)


def indexed(held: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Paths and values for the index, out of what `compared` gave."""
    for tag8, each in held.items():
        path = above + tag8
        is_name = INDEXED.get(path) == "PN"
        for value in each:
            if isinstance(value, dict):
                yield from indexed(value, f"{path}.")
            elif path in INDEXED and isinstance(value, str):
                yield (f"{path}={value[0]}", value[1:]) if is_name else (path, value)


# --- conditions


def conditions(query: WorkitemQuery, offset: int) -> list[Condition]:
    """All that the query's keys demand. Keys that cannot be matched match everything.

    Raises: Malformed, for a key that cannot be read.
    """
    rules = Rules(
        fuzzy=query.fuzzy,
        empty_values=query.empty_values,
        multiple_values=query.multiple_values,
        offset=offset if query.offset is None else query.offset,
    )
    found = []
    for key in query.keys:
        attribute = MATCHED.get(key.tag)
        if attribute is None:
            continue
        where = _where(attribute, key, rules)
        if where is not None:
            found.append(Condition(where, _hits(attribute, key, rules)))
    return found


def _where(attribute: Attribute, key: Key, rules: Rules) -> ColumnElement[bool] | None:
    column = _COLUMNS.get(attribute.tag)
    if column is None:
        return in_document(_table.c.compared, attribute, key, rules)
    matcher = matcher_of(attribute.vr, key.value, rules)
    return None if matcher is None else matches(column, matcher)


def _hits(
    attribute: Attribute, key: Key, rules: Rules, above: str = ""
) -> Select[tuple[int]] | None:
    """The narrowest hits an index gives for a key, or for one of those in its item."""
    path = above + attribute.tag8
    if attribute.vr == "SQ":
        nested = (
            _hits(attribute.items[each.tag], each, rules, f"{path}.")
            for each in key.items
            if each.tag in attribute.items
        )
        return next((each for each in nested if each is not None), None)
    matcher = matcher_of(attribute.vr, key.value, rules)
    if matcher is None or path not in INDEXED:
        return None
    if isinstance(matcher, Named):
        return _named(path, matcher)
    if _is_sorted(matcher):
        return _by_value(path, matcher)
    return None


def _by_value(path: str, matcher: Matcher) -> Select[tuple[int]]:
    return select(_held.c.workitem_fk).where(_held.c.path == path, matches(_held.c.value, matcher))


def _is_sorted(matcher: Matcher) -> bool:
    """Whether what matches stands together in the order of values."""
    match matcher:
        case Pattern(parts):
            return isinstance(parts[0], str)
        case AnyOf(each):
            return all(_is_sorted(one) for one in each)
        case Empty() | Named() | AllOf():
            return False
        case _:
            return True


def _named(path: str, named: Named) -> Select[tuple[int]] | None:
    ways: list[OneOf | Pattern] = []
    for way in named.ways:
        if isinstance(way, Words) or not _is_sorted(way):
            return None
        ways.append(way)
    groups = range(1, len(GROUPS) + 1) if named.group is None else (named.group,)
    each = [_by_value(f"{path}={group}", way) for group in groups for way in ways]
    if len(each) == 1:
        return each[0]
    return select(union_all(*each).subquery().c.workitem_fk)


# --- searching


def search(run: Run, query: WorkitemQuery, offset: int) -> Iterator[list[Dataset]]:
    """What matches, in pages, in the order of the scheduled start.

    Raises: Malformed, before the first page.
    """
    order = (_table.c.start_at, _table.c.pk)
    found = _matching(run, conditions(query, offset), *order, _table.c.document).order_by(*order)
    left, skip = query.limit, query.skip
    while left is None or left > 0:
        size = PAGE if left is None else min(left, PAGE)
        # Pages are asked for by number (PS3.18 8.3.4.4): the first is counted off, others follow.
        rows = run(found.limit(size).offset(skip))
        if rows:
            yield [orjson.loads(row[2]) for row in rows]
        if len(rows) < size:
            return
        found, skip = found.where(tuple_(*order) > tuple_(*rows[-1][:2])), 0
        left = None if left is None else left - size


def count(run: Run, query: WorkitemQuery, offset: int, most: int) -> int:
    """How many match in all, counted no further than ``most``. Raises: Malformed."""
    found = _matching(run, conditions(query, offset), _table.c.pk)
    return int(run(select(func.count()).select_from(found.limit(most).subquery()))[0][0])


def matching_keys(run: Run, query: WorkitemQuery, offset: int, after: int, size: int) -> list[int]:
    """Up to ``size`` keys of workitems that match, above ``after``, from the lowest."""
    found = _matching(run, conditions(query, offset), _table.c.pk)
    found = found.where(_table.c.pk > after).order_by(_table.c.pk).limit(size)
    return [row[0] for row in run(found)]


def _matching(run: Run, demands: list[Condition], *columns: Any) -> Select[Any]:
    lead = _lead(run, demands)
    statement = select(*columns).select_from(_table).where(*(each.where for each in demands))
    if lead is not None and lead.hits is not None:
        statement = statement.where(_table.c.pk.in_(lead.hits))
    return statement


def _lead(run: Run, demands: list[Condition]) -> Condition | None:
    counted = []
    for place, each in enumerate(demands):
        if each.hits is not None:
            bounded = select(func.count()).select_from(each.hits.limit(FEW + 1).subquery())
            counted.append((run(bounded)[0][0], place))
    hits, place = min(counted, default=(FEW + 1, 0))
    return demands[place] if hits <= FEW else None


# --- filters of subscriptions


def filter_text(keys: Sequence[Key]) -> str:
    """Keys as they are kept with a subscription."""

    def plain(key: Key) -> list[Any]:
        return [key.tag, key.value, [plain(item) for item in key.items]]

    return orjson.dumps([plain(key) for key in keys]).decode()


def filter_keys(text: str) -> tuple[Key, ...]:
    """The keys that `filter_text` wrote."""

    def key(plain: list[Any]) -> Key:
        return Key(plain[0], plain[1], tuple(key(item) for item in plain[2]))

    return tuple(key(each) for each in orjson.loads(text))


@lru_cache(maxsize=1024)
def filter_statement(text: str, dialect: Dialect, offset: int) -> tuple[str, tuple[Any, ...], int]:
    """A filter compiled for one workitem: its SQL, its parameters, and which of them is the key."""
    demands = conditions(WorkitemQuery(keys=filter_keys(text)), offset)
    statement = select(true()).where(
        _table.c.pk == bindparam("workitem"), *(each.where for each in demands)
    )
    compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    names = tuple(compiled.positiontup or ())
    parameters = tuple(compiled.params.get(name) for name in names)
    return str(compiled), parameters, names.index("workitem")
