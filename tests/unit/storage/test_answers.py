"""The first page of an answer, what is left out before it and how much there is behind it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isocenter.storage import search
from isocenter.storage.attributes import NON_PATIENT_STUDY, Level
from isocenter.storage.index import Index
from isocenter.storage.query import Query
from unit.storage.made import found, incoming, query, store

STUDIES = 130
EACH = 2
"""Instances of every study, each in a series of its own."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, empty_index: Path) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("answers") / "index.sqlite"
    path.write_bytes(empty_index.read_bytes())
    index = Index.open(path, readers=1)
    futures = [
        index.submit(
            incoming(
                PatientID=f"P{study}",
                PatientName=f"Name{study}",
                StudyInstanceUID=f"1.{study}",
                SeriesInstanceUID=f"1.{study}.{number}",
                SOPInstanceUID=f"1.{study}.{number}.1",
                StudyDate=f"2020{1 + study % 12:02d}01",
                Modality=("CT", "MR")[number],
                StudyDescription="odd" if study % 2 else "even",
            )
        )
        for study in range(STUDIES)
        for number in range(EACH)
    ]
    for future in futures:
        future.result(10)
    yield index
    index.close()


ASKED: list[dict[str, Any]] = [
    {},
    {"Modality": "CT"},
    {"ModalitiesInStudy": "MR"},
    {"PatientName": "name1*"},
    {"StudyDate": "20200101-20200601"},
    {"StudyDate": "20200301", "ModalitiesInStudy": "CT"},
    {"StudyDescription": "odd"},
    {"PatientID": "P77"},
]


async def positions(index: Index, wanted: Query) -> list[Any]:
    answer = await index.answer(wanted)
    pages = list(answer.first)
    async for page in answer.pages:
        pages += page
    return [match.position for match in pages]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
@pytest.mark.parametrize("step", [7, 60])
async def test_pages_by_limit_and_skip_are_the_whole_without_gaps(
    filled: Index, level: Level, asked: dict[str, Any], step: int
) -> None:
    whole = [match.position for match in await found(filled, query(level, **asked))]

    pieces: list[Any] = []
    while more := await positions(filled, query(level, skip=len(pieces), limit=step, **asked)):
        assert len(more) == min(step, len(whole) - len(pieces))
        pieces += more

    assert pieces == whole
    assert len(whole) == len(set(whole)) > 0


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
@pytest.mark.parametrize("limit", [1, 20, 100, 110, 129, 130, 1000])
async def test_what_is_behind_the_first_page_is_counted_or_known_to_be_there(
    filled: Index, level: Level, asked: dict[str, Any], limit: int
) -> None:
    there = await filled.count(query(level, **asked))

    answer = await filled.answer(query(level, limit=limit, **asked))

    told = len(answer.first) + answer.behind
    if answer.is_counted:
        assert told == there
    else:
        assert told == limit + 1 <= there


async def test_more_than_is_counted_is_told_as_at_least(
    filled: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "COUNTED", 5)

    answer = await filled.answer(query(limit=10))

    assert (len(answer.first), answer.behind, answer.is_counted) == (10, 5, False)


async def test_many_are_left_out_in_steps(filled: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [match.position for match in await found(filled, query())]
    monkeypatch.setattr(search, "STEP", 7)

    assert await positions(filled, query(skip=50, limit=3)) == whole[50:53]


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
@pytest.mark.parametrize("skip", [10**6, 2**62])
async def test_nothing_is_left_of_what_is_left_out_wholly(
    filled: Index, level: Level, skip: int
) -> None:
    for asked in ({}, {"PatientID": "P77"}, {"PatientName": "name1*"}):
        answer = await filled.answer(query(level, skip=skip, limit=5, **asked))

        assert (answer.first, answer.behind, answer.is_counted) == ([], 0, True)


async def test_a_limit_of_none_finds_nothing(filled: Index) -> None:
    assert await positions(filled, query(limit=0)) == []


PALETTE = "1.2.840.10008.5.1.4.39.1"
HANGING = "1.2.840.10008.5.1.4.38.1"


def of_none(uid: str, sop_class: str, **given: Any) -> Any:
    """An instance of no patient."""
    nowhere = {"StudyInstanceUID": NON_PATIENT_STUDY, "SeriesInstanceUID": NON_PATIENT_STUDY}
    nobody = {"PatientID": None, "PatientName": None, "Modality": None}
    uids = {"SOPClassUID": sop_class, "SOPInstanceUID": uid}
    return incoming(**(nowhere | nobody | uids | given))


async def test_instances_of_no_patient_are_found_by_their_class_and_keep_their_attributes(
    index: Index,
) -> None:
    store(
        index,
        of_none("1.1", HANGING, HangingProtocolName="CHEST", Manufacturer="A"),
        of_none("1.2", HANGING, HangingProtocolName="HEAD", Manufacturer="B"),
        of_none("1.3", PALETTE, ContentLabel="HOT"),
        incoming(),
    )

    every = await found(index, query(Level.IMAGE, non_patient=(HANGING,)))
    chests = await found(
        index, query(Level.IMAGE, HangingProtocolName="CH*", non_patient=(HANGING,))
    )
    made = await found(index, query(Level.IMAGE, Manufacturer="B", non_patient=(HANGING, PALETTE)))

    assert {match.attributes["00080018"]["Value"][0] for match in every} == {"1.1", "1.2"}
    assert [match.attributes["00720002"]["Value"] for match in chests] == [["CHEST"]]
    assert [match.attributes["00080070"]["Value"] for match in made] == [["B"]]
    assert len(await found(index, query(Level.IMAGE))) == 1


async def test_a_patients_instance_of_such_a_class_is_none_of_them(index: Index) -> None:
    store(index, incoming(SOPClassUID=HANGING))

    assert await found(index, query(Level.IMAGE, non_patient=(HANGING,))) == []
    assert len(await found(index, query(Level.IMAGE))) == 1


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
async def test_what_is_left_out_is_not_counted_as_behind(
    filled: Index, level: Level, asked: dict[str, Any]
) -> None:
    there = await filled.count(query(level, **asked))
    skip = there // 3

    answer = await filled.answer(query(level, skip=skip, limit=1, **asked))

    told = skip + len(answer.first) + answer.behind
    assert told == there if answer.is_counted else told == skip + 2 <= there
