"""What statements are made of: SQL, and the names of its parameters in their order."""

from sqlalchemy import ClauseElement, Table, bindparam, delete, insert, select, update

Clause = tuple[ClauseElement, tuple[str, ...]]


def insert_into(table: Table, *columns: str) -> Clause:
    """Insert a row of ``columns``, which are in the table's order."""
    return insert(table).values({each: bindparam(each) for each in columns}), _ordered(
        table, columns
    )


def _ordered(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    if columns != tuple(each.name for each in table.columns if each.name in columns):
        raise ValueError(f"columns of {table.name} are out of order")
    return columns


def update_at(table: Table, *columns: str) -> Clause:
    """Change ``columns`` of the row with a key."""
    clause = update(table).where(table.c.pk == bindparam("key"))
    changed = clause.values({each: bindparam(each) for each in columns})
    return changed, (*_ordered(table, columns), "key")


def select_by(table: Table, *columns: str, by: tuple[str, ...]) -> Clause:
    """Read ``columns`` of the rows whose values ``by`` are those given."""
    clause = select(*(table.c[each] for each in columns))
    return clause.where(*(table.c[each] == bindparam(each) for each in by)), by


def delete_by(table: Table, *by: str) -> Clause:
    """Delete the rows whose values ``by`` are those given."""
    return delete(table).where(*(table.c[each] == bindparam(each) for each in by)), by
