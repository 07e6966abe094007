"""The commonest statements that write, and those that look up what they need."""

from sqlalchemy import ClauseElement, Table, bindparam, delete, insert, select, update

Clause = tuple[ClauseElement, tuple[str, ...]]


def insertion(table: Table, *columns: str) -> Clause:
    """Enter a row with these columns."""
    return insert(table).values({each: bindparam(each) for each in columns}), ordered(
        table, columns
    )


def ordered(table: Table, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Give columns, which are to be in the table's order."""
    if columns != tuple(each.name for each in table.columns if each.name in columns):
        raise ValueError(f"columns of {table.name} are out of order")
    return columns


def updating(table: Table, *columns: str) -> Clause:
    """Change columns of the row with a key."""
    clause = update(table).where(table.c.pk == bindparam("key"))
    changed = clause.values({each: bindparam(each) for each in columns})
    return changed, (*ordered(table, columns), "key")


def counting(table: Table, *columns: str) -> Clause:
    """Add to columns of the row with a key."""
    # The parameters are differences.
    clause = update(table).where(table.c.pk == bindparam("key"))
    changed = clause.values({each: table.c[each] + bindparam(f"d_{each}") for each in columns})
    return changed, (*(f"d_{each}" for each in columns), "key")


def selection(table: Table, *columns: str, by: tuple[str, ...]) -> Clause:
    """Find columns of rows that have these values."""
    clause = select(*(table.c[each] for each in columns))
    return clause.where(*(table.c[each] == bindparam(each) for each in by)), by


def deletion(table: Table, *by: str) -> Clause:
    """Delete the rows that have these values."""
    return delete(table).where(*(table.c[each] == bindparam(each) for each in by)), by
