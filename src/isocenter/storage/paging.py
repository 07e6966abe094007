"""The statements of one page of a search: which rows match, in the order of their level."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, exists, select, true, tuple_

from isocenter.storage import schema
from isocenter.storage.attributes import NON_PATIENT_STUDY, Level
from isocenter.storage.conditions import TABLES, Condition
from isocenter.storage.query import Order, Query

ORDERS: Final[dict[Level, tuple[str, ...]]] = {
    Level.PATIENT: ("sort_name", "pk"),
    Level.STUDY: ("study_date", "study_time", "pk"),
    Level.SERIES: ("study_fk", "series_number", "pk"),
    Level.IMAGE: ("series_fk", "instance_number", "pk"),
}
_BY_NAME: Final = (schema.patient.c.sort_name, schema.patient.c.pk, schema.study.c.pk)
_BY_ARRIVAL: Final = (schema.study.c.pk,)
"""Keys are made one after the other."""
_STUDY_ORDERS: Final[dict[Order, tuple[ColumnElement[Any], ...]]] = {
    Order.NAME: _BY_NAME,
    Order.NAME_BACKWARDS: _BY_NAME,
    Order.ARRIVED_FIRST: _BY_ARRIVAL,
    Order.ARRIVED_LAST: _BY_ARRIVAL,
}
_DESCENDING: Final = frozenset({Order.NEWEST, Order.NAME_BACKWARDS, Order.ARRIVED_LAST})
BY_DATE: Final = frozenset({Order.NEWEST, Order.OLDEST})
_NAMES_OF_NONE: Final = {
    Level.PATIENT: "lone_study_uid",
    Level.STUDY: "study_uid",
    Level.SERIES: "series_uid",
}
_PARENTS: Final = {Level.STUDY: "patient_fk", Level.SERIES: "study_fk", Level.IMAGE: "series_fk"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How a query is answered: by what leads, testing the rest."""

    query: Query
    lead: Condition | None
    rest: list[Condition]

    @property
    def is_by_series(self) -> bool:
        """Whether instances are gathered series by series."""
        above = self.lead is not None and self.lead.level < Level.IMAGE
        return above and self.query.level is Level.IMAGE

    @property
    def is_usual(self) -> bool:
        """Whether the order is that of the level's own index."""
        return self.query.level is not Level.STUDY or self.query.order in BY_DATE

    @property
    def counts_quickly(self) -> bool:
        """Whether a count reads an index and no rows, or few."""
        level = self.query.level
        return self.lead is not None or all(
            each.level is level and (each.in_order_of or each.is_in_order) for each in self.rest
        )


def page_of(plan: Plan, after: tuple[Any, ...] | None) -> Select[Any]:
    """The positions of what matches, in order."""
    level, lead, rest = plan.query.level, plan.lead, plan.rest
    table = TABLES[level]
    order = _order(plan.query)
    statement = select(*order)
    if after is not None:
        statement = statement.where(_is_behind(plan.query, order, after))
    if order is _BY_NAME:
        statement = _with_patients(plan, statement, after)
    if lead is not None:
        statement = statement.where(led(level, lead))
        if lead.level >= level:
            gathered = "INDEXED BY study_when_ix" if level is Level.STUDY else "NOT INDEXED"
            statement = statement.with_hint(table, gathered, "sqlite")
        return ordered(plan.query, statement.where(*filters_of(plan.query, rest)))
    for each in rest:
        if plan.is_usual and each.in_order_of is not None and each.level is level:
            others = [other for other in rest if other is not each]
            return _walk_by(plan.query, each, others, after)
    if order is not _BY_NAME:  # for that there is but one way
        walked = "study_when_ix" if order is _BY_ARRIVAL else f"{table.name}_order_ix"
        statement = statement.with_hint(table, f"INDEXED BY {walked}", "sqlite")
    return ordered(plan.query, statement.where(*filters_of(plan.query, rest)))


def _with_patients(
    plan: Plan, statement: Select[Any], after: tuple[Any, ...] | None
) -> Select[Any]:
    """Studies as they follow the patients' names: those of a patient stand together."""
    patient, study = schema.patient, schema.study
    statement = statement.where(study.c.patient_fk == patient.c.pk)
    if plan.lead is not None:
        return statement.with_hint(patient, "NOT INDEXED", "sqlite")
    statement = statement.with_hint(patient, "INDEXED BY patient_order_ix", "sqlite")
    if after is None:
        return statement
    # The place is one of patient and study together: where to begin, an index knows of patients.
    of_patient, place = tuple_(*_BY_NAME[:2]), tuple_(*after[:2])
    descends = _descends(plan.query)
    return statement.where(of_patient <= place if descends else of_patient >= place)


def _walk_by(
    query: Query, leader: Condition, rest: list[Condition], after: tuple[Any, ...] | None
) -> Select[Any]:
    """Walk an index that holds one value's rows in the level's order."""
    level = query.level
    table = TABLES[level]
    assert leader.in_order_of is not None
    name, value = leader.in_order_of
    if level is Level.STUDY:
        return _walk_modality(query, value, rest, after)
    statement = select(*(table.c[name] for name in ORDERS[level])).where(table.c[name] == value)
    statement = statement.with_hint(table, f"INDEXED BY {table.name}_{name}_ix", "sqlite")
    if after is not None:
        statement = statement.where(comes_behind(query, after))
    return ordered(query, statement.where(*filters_of(query, rest)))


def _walk_modality(
    query: Query, value: str, rest: list[Condition], after: tuple[Any, ...] | None
) -> Select[Any]:
    modality, table = schema.study_modality, schema.study
    order = (modality.c.study_date, modality.c.study_time, modality.c.study_fk)
    # The date is in this index too, so that a range of dates bounds the walk.
    dated = [each.where(modality) for each in rest if each.is_in_order]
    others = [each for each in rest if not each.is_in_order]
    statement = select(*order).where(modality.c.modality == value, *dated)
    if others:
        statement = (
            statement.select_from(modality.join(table, table.c.pk == modality.c.study_fk))
            .with_hint(table, "NOT INDEXED", "sqlite")
            .where(*filters_of(query, others))
        )
    else:
        # Nothing is asked of the study's own row: it need not be read.
        statement = statement.where(_of_patients(Level.STUDY, modality.c.study_fk))
    if after is not None:
        statement = statement.where(_is_behind(query, order, after))
    return _sorted(query, order, statement)


def ordered(query: Query, statement: Select[Any]) -> Select[Any]:
    return _sorted(query, _order(query), statement)


def comes_behind(query: Query, after: tuple[Any, ...]) -> ColumnElement[bool]:
    return _is_behind(query, _order(query), after)


def _order(query: Query) -> tuple[ColumnElement[Any], ...]:
    level = query.level
    if level is Level.STUDY and query.order in _STUDY_ORDERS:
        return _STUDY_ORDERS[query.order]
    return tuple(TABLES[level].c[name] for name in ORDERS[level])


def _descends(query: Query) -> bool:
    return query.level is Level.STUDY and query.order in _DESCENDING


def _sorted(
    query: Query, order: tuple[ColumnElement[Any], ...], statement: Select[Any]
) -> Select[Any]:
    columns = [each.desc() for each in order] if _descends(query) else order
    return statement.order_by(*columns)


def _is_behind(
    query: Query, order: tuple[ColumnElement[Any], ...], after: tuple[Any, ...]
) -> ColumnElement[bool]:
    columns = tuple_(*order)
    return columns < tuple_(*after) if _descends(query) else columns > tuple_(*after)


# --- conditions that do not lead


def filters_of(query: Query, conditions: list[Condition]) -> list[ColumnElement[bool]]:
    level = query.level
    table = TABLES[level]
    found: list[ColumnElement[bool]] = []
    if query.non_patient:
        found.append(table.c.series_fk.in_(_of_none(Level.SERIES)))
    else:
        found.append(_of_patients(level, table.c.series_fk if level is Level.IMAGE else table.c.pk))
    found += [each.where(table) for each in conditions if each.level is level]
    above = [each for each in conditions if each.level < level]
    below = [each for each in conditions if each.level > level]
    if above:
        found.append(_has_above(level, above))
    if below:
        apart = [[each] for each in below] if query.is_each_apart else [below]
        found += [_has_below(level, together) for together in apart]
    return found


def _of_patients(level: Level, key: ColumnElement[Any]) -> ColumnElement[bool]:
    """That a row is not where instances of no patient are kept.

    ``key``: its own, of an instance that of its series. Rows are not read for it.
    """
    return key.not_in(_of_none(Level(min(level, Level.SERIES))))


@cache
def _of_none(level: Level) -> Select[tuple[int]]:
    """The keys of the rows under which instances of no patient are kept."""
    table = TABLES[level].alias()
    found = select(table.c.pk).where(table.c[_NAMES_OF_NONE[level]] == NON_PATIENT_STUDY)
    if level is Level.PATIENT:
        # Theirs is no Patient ID: so the index of what tells patients apart finds it.
        found = found.where(table.c.patient_id == "", table.c.issuer == "")
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


# --- what leads, and conditions that do not


def led(level: Level, lead: Condition) -> ColumnElement[bool]:
    """That a row of ``level`` is, holds or belongs to one of the leading condition's hits."""
    table = TABLES[level]
    hits: Any = lead.hits
    at = lead.level
    while at > level:
        child = TABLES[at].alias()
        hits = select(child.c[_PARENTS[at]]).where(child.c.pk.in_(hits))
        if at is Level.SERIES:
            hits = hits.with_hint(child, "INDEXED BY series_of_ix", "sqlite")
        at = Level(at - 1)
    while at < level - 1:
        at = Level(at + 1)
        child = TABLES[at].alias()
        hits = select(child.c.pk).where(child.c[_PARENTS[at]].in_(hits))
    return table.c.pk.in_(hits) if at == level else table.c[_PARENTS[level]].in_(hits)
