"""Names of patients and studies that stay, and what only their users ask of a search."""

from pathlib import Path

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st

from isocenter.storage import sqlite
from isocenter.storage.attributes import BY_KEYWORD, Level
from isocenter.storage.engine import alembic_config
from isocenter.storage.handles import patient_handle, study_handle
from isocenter.storage.index import Index
from isocenter.storage.query import Key, Order, Query
from unit.storage.made import MR, found, incoming, query, store, values
from unit.storage.test_plans import plans_of, studies

__all__ = ["studies"]  # a fixture

_TEXTS = st.text(max_size=8)


@given(st.lists(st.tuples(_TEXTS, _TEXTS, _TEXTS), unique=True, max_size=20))
def test_no_two_patients_have_one_handle(keys: list[tuple[str, str, str]]) -> None:
    assert len({patient_handle(*key) for key in keys}) == len(keys)
    assert len({study_handle(key, "1.2") for key in keys}) == len(keys)


async def test_matches_have_the_handles_of_what_they_belong_to(index: Index) -> None:
    store(index, incoming(PatientID="P1", IssuerOfPatientID="A"))

    patient = patient_handle("P1", "A", "")
    study = study_handle(("P1", "A", ""), "1.2.3.1")
    for level in Level:
        (match,) = await found(index, query(level))
        assert match.patient == patient
        assert match.study == ("" if level is Level.PATIENT else study)


async def test_what_is_asked_for_by_handle_is_of_these_alone(index: Index) -> None:
    for number in range(3):
        store(
            index,
            incoming(
                PatientID=f"P{number}",
                StudyInstanceUID="1.7",  # one UID with three patients
                SeriesInstanceUID=f"1.{number}",
                SOPInstanceUID=f"1.{number}.1",
            ),
        )

    for number in range(3):
        key = (f"P{number}", "", "")
        for level in Level:
            of_patient = Query(level=level, patients=frozenset({patient_handle(*key)}))
            (match,) = await found(index, of_patient)
            assert match.attributes["00100020"]["Value"] == [f"P{number}"]
        of_study = Query(level=Level.IMAGE, studies=frozenset({study_handle(key, "1.7")}))
        assert await values(index, of_study, "SOPInstanceUID") == [f"1.{number}.1"]
    nobody = Query(level=Level.STUDY, patients=frozenset())
    assert await found(index, nobody) == []
    assert await index.count(nobody) == 0


@pytest.mark.parametrize("level", list(Level))
def test_handles_are_found_by_index(studies: Index, level: Level) -> None:
    key = ("P17", "", "")
    for wanted in (
        Query(level=level, patients=frozenset({patient_handle(*key)})),
        Query(level=level, studies=frozenset({study_handle(key, "1.17")})),
    ):
        number, explainer = plans_of(studies, wanted)
        assert number == 1
        assert explainer.scans() == []


async def test_an_index_from_before_handles_is_given_them(index_path: Path) -> None:
    index = Index.open(index_path)
    store(index, incoming(), incoming(PatientID=None, SOPInstanceUID="2", StudyInstanceUID="9"))
    before = {(each.patient, each.study) for each in await found(index, query(Level.STUDY))}
    index.close()
    engine = sqlite.writing_engine(index_path)
    command.downgrade(alembic_config(engine), "0006")
    engine.dispose()

    index = Index.open(index_path)

    assert {(each.patient, each.study) for each in await found(index, query())} == before
    assert len(before) == 2
    index.close()


# --- further ways to ask


async def test_what_is_given_as_it_stands_has_no_wild_cards(index: Index) -> None:
    store(
        index,
        incoming(PatientID="P*"),
        incoming(PatientID="PX", StudyInstanceUID="2", SeriesInstanceUID="3", SOPInstanceUID="4"),
    )
    tag = BY_KEYWORD["PatientID"].tag

    literal = Query(level=Level.STUDY, keys=(Key(tag, any_of=("P*", "none")),))

    assert await values(index, literal, "PatientID") == ["P*"]
    assert await values(index, query(PatientID="P*"), "PatientID") == ["P*", "PX"]


async def test_several_keys_of_one_tag_have_all_to_be_met(index: Index) -> None:
    store(
        index,
        incoming(),
        incoming(SeriesInstanceUID="3", SOPInstanceUID="4", Modality="MR", SOPClassUID=MR),
        incoming(StudyInstanceUID="2", SeriesInstanceUID="5", SOPInstanceUID="6", PatientID="P2"),
    )
    tag = BY_KEYWORD["ModalitiesInStudy"].tag

    both = Query(level=Level.STUDY, keys=(Key(tag, "CT"), Key(tag, "MR")))

    assert await values(index, both, "StudyInstanceUID") == ["1.2.3.1"]
    assert await index.count(both) == 1


async def test_keys_below_are_met_by_one_entity_or_each_by_any(index: Index) -> None:
    store(
        index,
        incoming(SeriesDescription="head", Modality="CT"),
        incoming(
            SeriesInstanceUID="3", SOPInstanceUID="4", Modality="MR", SeriesDescription="neck"
        ),
    )
    asked = {"Modality": "CT", "SeriesDescription": "neck"}

    assert await found(index, query(**asked)) == []
    assert len(await found(index, query(**asked, is_each_apart=True))) == 1


@pytest.mark.parametrize("asked", [{}, {"ModalitiesInStudy": "CT"}, {"PatientID": "P*"}])
async def test_studies_come_in_both_orders_and_pages(index: Index, asked: dict[str, str]) -> None:
    for number in range(7):
        store(
            index,
            incoming(
                StudyInstanceUID=f"1.{number}",
                SeriesInstanceUID=f"2.{number}",
                SOPInstanceUID=f"3.{number}",
                StudyDate=f"2020010{1 + number // 2}",
            ),
        )
    newest = [each.position for each in await found(index, query(**asked))]

    oldest = []
    after = None
    while page := await found(index, query(**asked, order=Order.OLDEST, after=after, limit=3)):
        oldest += [each.position for each in page]
        after = oldest[-1]

    assert oldest == newest[::-1] == sorted(newest)


async def test_an_outline_has_all_series_in_order_whatever_their_size(index: Index) -> None:
    sizes = {1: 3, 2: 1203, 3: 0, 4: 499}
    for series, size in sizes.items():
        for number in reversed(range(size)):
            index.submit(
                incoming(
                    SeriesInstanceUID=f"1.{series}",
                    SeriesNumber=series,
                    SOPInstanceUID=f"1.{series}.{number}",
                    InstanceNumber=number,
                )
            )
    store(index, incoming(StudyInstanceUID="2", SeriesInstanceUID="2.1", SOPInstanceUID="2.2"))
    pks = {each.study: each.position[-1] for each in await found(index, query())}
    asked = [pks[study_handle(("P1", "", ""), uid)] for uid in ("2", "1.2.3.1")]

    parts = [part async for page in index.outline(asked, with_instances=True) for part in page]
    heads = [part async for page in index.outline(asked, with_instances=False) for part in page]

    assert [each.study_pk for each in heads] == [asked[0], asked[1], asked[1], asked[1]]
    assert [each.count for each in heads] == [1, 3, 1203, 499]
    assert all(each.is_first and each.is_last and not each.instances for each in heads)
    assert [each.series_pk for each in parts if each.is_first] == [each.series_pk for each in heads]
    assert sum(each.is_last for each in parts) == 4
    for head in heads:
        told = [
            one.number
            for part in parts
            if part.series_pk == head.series_pk
            for one in part.instances
        ]
        assert len(told) == head.count
        assert told == sorted(told, key=lambda number: -1 if number is None else number)


async def test_a_place_is_known_while_its_row_is_there(index: Index) -> None:
    store(index, incoming())
    (match,) = await found(index, query(Level.PATIENT))

    assert await index.place(Level.PATIENT, match.position[-1]) == match.position
    assert await index.place(Level.PATIENT, match.position[-1] + 1) is None
