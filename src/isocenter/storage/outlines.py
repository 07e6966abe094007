"""What studies hold, series by series and without end: what a description of a study is made of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import orjson
from sqlalchemy import select, tuple_

from isocenter.storage.schema import UNNUMBERED, instance, series
from isocenter.storage.search import PAGE, Run, chunks

Document = dict[str, Any]

_ORDER: Final = (instance.c.series_fk, instance.c.instance_number, instance.c.pk)


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance of a series."""

    sop_instance_uid: str
    sop_class_uid: str
    number: int | None
    document: bytes
    """Its attributes in the DICOM JSON model."""


@dataclass(frozen=True, slots=True)
class Part:
    """A series with some of its instances; those of a large one come in several parts."""

    study_pk: int
    series_pk: int
    attributes: Document
    """Of the series, in the DICOM JSON model."""
    count: int
    """Instances of the whole series."""
    instances: tuple[Listed, ...] = ()
    is_first: bool = True
    is_last: bool = True


def parts(run: Run, study_pks: Sequence[int], *, with_instances: bool) -> Iterator[list[Part]]:
    """All series of some studies, in parts: in the order of ``study_pks``, by series number.

    Memory does not grow with what a study holds, but for three numbers a series.
    """
    place = {pk: number for number, pk in enumerate(study_pks)}
    found = run(
        select(series.c.study_fk, series.c.pk, series.c.instances)
        .where(series.c.study_fk.in_(place))
        .order_by(series.c.study_fk, series.c.series_number, series.c.pk)
    )
    rows = sorted(found, key=lambda row: place[row[0]])  # stable: the series stay in order
    for chunk in chunks(((row[1], row[2] if with_instances else 1) for row in rows), PAGE):
        heads = _heads(run, chunk)
        if not with_instances:
            yield heads
        elif len(heads) == 1:
            yield from _long(run, heads[0])
        elif heads:
            yield _short(run, heads)


def _heads(run: Run, chunk: Sequence[int]) -> list[Part]:
    """Series without their instances, in the order of ``chunk``; less those gone meanwhile."""
    columns = (series.c.study_fk, series.c.pk, series.c.document, series.c.instances)
    held = {row[1]: row for row in run(select(*columns).where(series.c.pk.in_(chunk)))}
    found = (held[pk] for pk in chunk if pk in held)
    return [Part(row[0], row[1], orjson.loads(row[2]), row[3]) for row in found]


def _short(run: Run, heads: list[Part]) -> list[Part]:
    """Several series, each with all its instances."""
    wanted = instance.c.series_fk.in_([each.series_pk for each in heads])
    rows = run(_listing().where(wanted))
    held = {pk: tuple(map(_listed, some)) for pk, some in groupby(rows, lambda row: row[0])}
    return [replace(each, instances=held.get(each.series_pk, ())) for each in heads]


def _long(run: Run, head: Part) -> Iterator[list[Part]]:
    """One series, page by page."""
    statement = _listing().where(instance.c.series_fk == head.series_pk).limit(PAGE)
    after: tuple[int, ...] | None = None
    while True:
        behind = () if after is None else (tuple_(*_ORDER) > tuple_(*after),)
        rows = run(statement.where(*behind))
        is_last = len(rows) < PAGE
        listed = tuple(map(_listed, rows))
        yield [replace(head, instances=listed, is_first=after is None, is_last=is_last)]
        if is_last:
            return
        after = tuple(rows[-1][: len(_ORDER)])


def _listing() -> Any:
    columns = (instance.c.sop_instance_uid, instance.c.sop_class_uid, instance.c.document)
    hint = "INDEXED BY instance_order_ix"
    statement = select(*_ORDER, *columns).with_hint(instance, hint, "sqlite")
    return statement.order_by(*_ORDER)


def _listed(row: Any) -> Listed:
    number = None if row[1] == UNNUMBERED else row[1]
    return Listed(row[3], row[4], number, row[5])
