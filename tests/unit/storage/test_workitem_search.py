"""Searches of the worklist: by index, and none is left out by it."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from isocenter.archive import workitems
from isocenter.storage.index import Index
from isocenter.storage.query import Key
from isocenter.storage.workitem_search import INDEXED, WorkitemQuery, conditions, matching_keys
from made_workitems import code, element, workitem

STATE, START, STATION = 0x00741000, 0x00404005, 0x00404025


def nested(path: str, value: str) -> Key:
    tag, _, below = path.partition(".")
    if below:
        return Key(int(tag, 16), items=(nested(below, value),))
    return Key(int(tag, 16), value)


VALUES = {"DT": "20240101", "DA": "20240101", "UI": "1.2"}


def plan(index: Index, statement: Any) -> str:
    dialect = index._reading.dialect
    compiled = statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    with index._reading.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}").all()
    return "\n".join(row[3] for row in rows)


@pytest.mark.parametrize(("path", "vr"), INDEXED.items())
def test_every_required_key_is_found_by_index(index: Index, path: str, vr: str) -> None:
    query = WorkitemQuery(keys=(nested(path, VALUES.get(vr, "X")),))

    [found] = conditions(query, 0)

    assert found.hits is not None
    said = plan(index, found.hits)
    assert "SCAN workitem_value" not in said
    assert "PRIMARY KEY (path=?" in said


def test_the_required_keys_of_the_standard_are_there() -> None:
    for path in (
        "00741200",
        "00741204",
        "00741202",
        "00404025.00080100",
        "00404034.00404009.00080100",
        "00404005",
        "00404018.00080100",
        "00404041",
        "00100010",
        "00100020",
        "0040A370.00080050",
        "0040A370.00401001",
        "00741224.00081155",
        "00741000",
        "00080018",
    ):
        assert path in INDEXED


@pytest.fixture
def filled(index: Index) -> Iterator[tuple[Index, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        for number, station in enumerate(["CT1", "CT2", "MR*1", "mr[1", "", "\u00c9COLE"]):
            more = {"t00404025": element("SQ", code(station))} if station else {}
            name = {"Alphabetic": f"N{number}^{station}", "Ideographic": "\u5c71\u7530"}
            dataset = workitem(t00100010=element("PN", name), **more)
            made = workitems.create(f"1.2.{number}", dataset, 0)
            runner.run(index.worklist.create(made.workitem, ()))
        yield index, runner


def test_what_the_index_leads_to_is_what_a_scan_finds(
    filled: tuple[Index, asyncio.Runner],
) -> None:
    index, _ = filled

    @given(
        where=st.sampled_from(["00404025.00080100", "00100010", "00080018", "00741204"]),
        value=st.text("CTMR12*?[\u00c9N^= \\.", max_size=6),
        fuzzy=st.booleans(),
        multiple=st.booleans(),
    )
    @settings(max_examples=300, deadline=None, database=None)
    def check(where: str, value: str, fuzzy: bool, multiple: bool) -> None:
        query = WorkitemQuery(
            keys=(nested(where, value),), fuzzy=fuzzy, multiple_values=multiple, empty_values=True
        )
        led = matching_keys(index._run, query, 0, 0, 100)
        scanned = [
            row[0]
            for each in [conditions(query, 0)]
            for row in index._run(_all().where(*(one.where for one in each)))
        ]
        assert led == sorted(scanned)

    check()


def _all() -> Any:
    from sqlalchemy import select

    from isocenter.storage import schema

    return select(schema.workitem.c.pk)
