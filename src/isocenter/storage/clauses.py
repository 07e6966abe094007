"""Plain statements on one table, with the names of their parameters in order."""

from sqlalchemy import ClauseElement, Table, bindparam, delete, insert, select, update

Clause = tuple[ClauseElement, tuple[str, ...]]
"""A statement, and its parameters in the order in which they are given."""


def insert_into(table: Table, *columns: str) -> Clause:
    """Insert one row; parameters in the order of the columns."""
    return insert(table).values({each: bindparam(each) for each in columns}), _ordered(
        table, columns
    )


def _ordered(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    if columns != tuple(each.name for each in table.columns if each.name in columns):
        raise ValueError(f"columns of {table.name} are out of order")
    return columns


def update_row(table: Table, *columns: str) -> Clause:
    """Set columns of the row with a key, which is the last parameter."""
    clause = update(table).where(table.c.pk == bindparam("key"))
    changed = clause.values({each: bindparam(each) for each in columns})
    return changed, (*_ordered(table, columns), "key")


def select_from(table: Table, *columns: str, by: tuple[str, ...]) -> Clause:
    """Read columns of the rows that have certain values."""
    clause = select(*(table.c[each] for each in columns))
    return clause.where(*(table.c[each] == bindparam(each) for each in by)), by


def delete_from(table: Table, *by: str) -> Clause:
    """Delete the rows that have certain values."""
    return delete(table).where(*(table.c[each] == bindparam(each) for each in by)), by
