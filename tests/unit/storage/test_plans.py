"""Searches go by index: a plan that scans would be right in every other test and useless."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select

from isocenter.storage import search
from isocenter.storage.attributes import Level
from isocenter.storage.index import Index
from isocenter.storage.query import Order, Query
from isocenter.storage.records import Match
from unit.storage.made import MR, incoming, query

STUDIES = 400


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, empty_index: Path) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("plans") / "index.sqlite"
    path.write_bytes(empty_index.read_bytes())
    index = Index.open(path, readers=1)
    futures = [
        index.submit(
            incoming(
                PatientID=f"P{number}",
                PatientName=f"Name{number}^Jane",
                PatientBirthDate=f"19700{1 + number % 9}01",
                StudyInstanceUID=f"1.{number}",
                SeriesInstanceUID=f"1.{number}.1",
                SOPInstanceUID=f"1.{number}.1.1",
                StudyDate=f"20200{1 + number % 9}01",
                StudyID=f"S{number}",
                AccessionNumber=f"A{number}",
                Modality="CT" if number % 100 else "PT",
                ReferringPhysicianName=f"Doctor{number}",
            )
        )
        for number in range(STUDIES)
    ]
    for future in futures:
        future.result(10)
    yield index
    index.close()


class Explainer:
    """Runs statements and keeps what the database says it does for them."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.plans: list[str] = []

    def __call__(self, statement: Select[Any]) -> Sequence[Any]:
        compiled = statement.compile(
            dialect=self._index._reading.dialect, compile_kwargs={"literal_binds": True}
        )
        sql = str(compiled)
        with self._index._reading.connect() as connection:
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()
        self.plans += [row.detail for row in explained]
        return self._index._run(statement)

    def scans(self) -> list[str]:
        """The steps that go through a whole table or index."""
        harmless = ("SCAN CONSTANT ROW", "SCAN json_each", "SCAN (", "SCAN anon", "VIRTUAL TABLE")
        return [
            step
            for step in self.plans
            if step.startswith("SCAN") and not any(each in step for each in harmless)
        ]


def plans_of(index: Index, wanted: Query) -> tuple[int, Explainer]:
    explainer = Explainer(index)
    reader = search.Reader(explainer, lambda _level: STUDIES)
    return sum(len(page) for page in search.search(reader, wanted)), explainer


INDEXED = [
    ({"PatientID": "P17"}, 1),
    ({"PatientID": "P17*"}, 11),
    ({"PatientName": "Name17^Jane"}, 1),
    ({"PatientName": "name17*"}, 11),
    ({"PatientName": "*me17^*"}, 1),
    ({"PatientName": "*17*jane"}, 14),
    ({"PatientName": "Name17 Jane", "fuzzy": True}, 11),
    ({"ReferringPhysicianName": "doctor17"}, 1),
    ({"PatientBirthDate": "19700301"}, 45),
    ({"AccessionNumber": "A17"}, 1),
    ({"StudyID": "S17"}, 1),
    ({"StudyInstanceUID": "1.17\\1.18"}, 2),
    ({"SeriesInstanceUID": "1.17.1"}, 1),
    ({"SOPInstanceUID": "1.17.1.1"}, 1),
    ({"ModalitiesInStudy": "PT"}, 4),
    ({"ModalitiesInStudy": "XA"}, 0),
    ({"SOPClassesInStudy": MR}, 0),
    ({"StudyDate": "20200301"}, 45),
    ({"StudyDate": "20200301", "ModalitiesInStudy": "PT"}, 1),
    ({"PatientName": "name17*", "StudyDate": "20200101-20200930", "ModalitiesInStudy": "CT"}, 11),
    ({"PatientID": "P17", "StudyDescription": "*x*"}, 0),
    ({"StudyDescription": "Thorax*"}, 0),
    ({"InstitutionName": "Here"}, 0),
]


@pytest.mark.parametrize(("asked", "expected"), INDEXED)
@pytest.mark.parametrize("level", list(Level))
def test_a_search_by_a_key_that_is_indexed_scans_nothing(
    studies: Index, level: Level, asked: dict[str, Any], expected: int
) -> None:
    number, explainer = plans_of(studies, query(level, **asked))

    assert number == expected
    scans = explainer.scans()
    if "*17*jane" in asked.values():
        # Fewer characters than a trigram: the names, each once, are gone through.
        scans = [step for step in scans if "person_name" not in step]
    assert scans == []


@pytest.mark.parametrize(
    ("keyword", "how"),
    [
        ("StudyDescription", "SCAN study_1 USING COVERING INDEX study_description_ix"),
        ("InstitutionName", "SCAN each_text"),
    ],
)
def test_a_search_by_part_of_a_text_reads_an_index_and_no_rows(
    studies: Index, keyword: str, how: str
) -> None:
    number, explainer = plans_of(studies, query(any_case=True, **{keyword: "*ora*"}))

    assert number == 0
    assert set(explainer.scans()) == {how}


@pytest.mark.parametrize(
    ("level", "asked", "index"),
    [
        (Level.PATIENT, {}, "patient_order_ix"),
        (Level.STUDY, {}, "study_order_ix"),
        (Level.SERIES, {}, "series_order_ix"),
        (Level.IMAGE, {}, "instance_order_ix"),
        (Level.STUDY, {"StudyDate": "20200101-20201231"}, "study_order_ix"),
        (Level.SERIES, {"Modality": "CT"}, "series_modality_ix"),
        (Level.IMAGE, {"SOPClassUID": MR}, "instance_sop_class_uid_ix"),
    ],
)
def test_what_many_match_is_walked_in_order_and_never_sorted(
    studies: Index,
    level: Level,
    asked: dict[str, Any],
    index: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "FEW", -1)

    _, explainer = plans_of(studies, query(level, **asked, limit=100))

    assert any(index in step for step in explainer.plans)
    assert not any("ORDER BY" in step for step in explainer.plans)


@pytest.mark.parametrize(
    ("order", "index"),
    [
        (Order.NAME, "patient_order_ix"),
        (Order.NAME_BACKWARDS, "patient_order_ix"),
        (Order.ARRIVED_LAST, "study_when_ix"),
        (Order.ARRIVED_FIRST, "study_when_ix"),
        (Order.OLDEST, "study_order_ix"),
    ],
)
@pytest.mark.parametrize("asked", [{}, {"ModalitiesInStudy": "CT"}])
def test_every_order_of_studies_is_walked_and_at_most_a_patients_own_are_sorted(
    studies: Index,
    order: Order,
    index: str,
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "FEW", -1)

    number, explainer = plans_of(studies, query(**asked, order=order, limit=100))

    if order is Order.OLDEST and asked:
        index = "sqlite_autoindex_study_modality_1"  # newest first, so oldest last
        explainer.plans = [each.replace("PRIMARY KEY", index) for each in explainer.plans]
    sorts = [step for step in explainer.plans if "ORDER BY" in step]
    assert number == 100
    assert any(index in step for step in explainer.plans)
    assert all("LAST TERM" in step or "RIGHT PART" in step for step in sorts)


@pytest.mark.parametrize("few", [-1, search.FEW])
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("asked", [{}, {"PatientName": "*name1*"}, {"ModalitiesInStudy": "PT"}])
async def test_studies_come_in_the_order_that_is_asked_for_page_by_page(
    studies: Index,
    order: Order,
    few: int,
    asked: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "FEW", few)
    everything = [match async for page in studies.search(query(**asked)) for match in page]

    matches: list[Match] = []
    wanted = query(**asked, order=order, limit=7)
    while (page := await studies.answer(wanted)).first:
        behind = len(everything) - len(matches) - len(page.first)
        assert page.behind == (behind if page.is_counted else min(behind, 1))
        matches += page.first
        wanted = query(**asked, order=order, limit=7, after=matches[-1].position)

    keys = [_sorting(order, match) for match in matches]
    assert sorted(each.study for each in matches) == sorted(each.study for each in everything)
    assert keys == sorted(keys, reverse=order in BACKWARDS)


BACKWARDS = {Order.NEWEST, Order.NAME_BACKWARDS, Order.ARRIVED_LAST}


def _sorting(order: Order, match: Match) -> Any:
    if order in (Order.NAME, Order.NAME_BACKWARDS):
        return match.attributes["00100010"]["Value"][0]["Alphabetic"].lower()
    if order in (Order.ARRIVED_LAST, Order.ARRIVED_FIRST):
        # They were stored in the order of their numbers.
        return int(match.attributes["0020000D"]["Value"][0].removeprefix("1."))
    return match.attributes["00080020"]["Value"][0]


def test_a_dense_modality_is_walked_newest_first_within_its_dates(
    studies: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW", -1)
    asked = query(ModalitiesInStudy="CT", StudyDate="20200101-20200401", limit=100)

    number, explainer = plans_of(studies, asked)

    assert number == 100
    assert not any("ORDER BY" in step for step in explainer.plans)
    assert any("PRIMARY KEY (modality=? AND study_date>" in step for step in explainer.plans)


@pytest.mark.parametrize(("asked", "expected"), INDEXED)
@pytest.mark.parametrize("level", list(Level))
def test_walking_finds_the_same_as_gathering(
    studies: Index,
    level: Level,
    asked: dict[str, Any],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "FEW", -1)

    number, _ = plans_of(studies, query(level, **asked))

    assert number == expected


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"PatientID": "P17*"}, "study_when_ix"),
        ({"PatientName": "name17*"}, "study_when_ix"),
        ({}, "study_order_ix"),
        ({"StudyDate": "20200101-20200930"}, "study_order_ix"),
    ],
)
def test_studies_are_put_in_order_without_reading_their_rows(
    studies: Index, asked: dict[str, Any], index: str
) -> None:
    _, explainer = plans_of(studies, query(Level.STUDY, **asked))

    assert any(f"study USING COVERING INDEX {index}" in step for step in explainer.plans), (
        explainer.plans
    )
