"""What to retrieve, drawn from the keys given (PS3.4 C.4.2.2.1, C.6)."""

import pytest

from isocenter.errors import Malformed
from isocenter.services.keys import document, parse
from isocenter.services.models import MODELS
from isocenter.services.targets import MOST_UIDS, Target, Wish, direct, wish
from isocenter.storage.attributes import Level

PATIENT_ROOT, STUDY_ROOT, _ = MODELS


def wished(*texts: str, level: Level | None = None) -> Wish:
    return wish(document(parse(text) for text in texts), level)


def values(targets: list[Target], level: Level) -> list[list[str]]:
    return [target.values(level) for target in targets]


def test_the_lowest_key_gives_the_level() -> None:
    assert wished("StudyInstanceUID=1.2").level is Level.STUDY
    assert wished("StudyInstanceUID=1.2", "SeriesInstanceUID=1.3").level is Level.SERIES
    assert wished("AccessionNumber=A").level is Level.STUDY
    assert wished("PatientID=P").level is Level.PATIENT


def test_what_is_asked_of_a_study_is_not_fetched_of_the_whole_patient() -> None:
    assert wished("PatientID=P", "StudyDate=20010101-").level is Level.STUDY
    assert wished("StudyInstanceUID=1.2", "Modality=CT").level is Level.SERIES
    assert wished("PatientID=P", "PatientName=N").level is Level.PATIENT
    assert wished("PatientName=N").level is Level.STUDY
    assert wished("PatientName=N").model is STUDY_ROOT


def test_a_patient_needs_the_model_that_has_patients() -> None:
    assert wished("PatientID=P", "StudyInstanceUID=1.2").model is PATIENT_ROOT
    assert wished("StudyInstanceUID=1.2").model is STUDY_ROOT


def test_a_key_below_the_level_is_refused() -> None:
    with pytest.raises(Malformed):
        wished("SeriesInstanceUID=1.3", level=Level.STUDY)


def test_nothing_to_go_by_is_refused() -> None:
    with pytest.raises(Malformed):
        wished()


@pytest.mark.parametrize(
    "text", ["AccessionNumber=1", "PatientID=A*", "StudyInstanceUID=", "StudyDate=20200101-"]
)
def test_what_is_no_plain_unique_key_has_to_be_looked_up(text: str) -> None:
    assert not wished(text).is_direct


def test_uids_go_into_one_request_as_a_list() -> None:
    asked = wished(r"StudyInstanceUID=1.2\1.3")

    assert asked.is_direct
    assert values(list(direct(asked)), Level.STUDY) == [["1.2", "1.3"]]


def test_of_patients_one_goes_into_a_request() -> None:
    assert values(list(direct(wished(r"PatientID=A\B"))), Level.PATIENT) == [["A"], ["B"]]


def test_of_the_levels_above_one_value_goes_into_a_request() -> None:
    asked = wished(r"StudyInstanceUID=1.2\1.3", r"SeriesInstanceUID=1.4\1.5")

    targets = list(direct(asked))

    assert values(targets, Level.STUDY) == [["1.2"], ["1.3"]]
    assert values(targets, Level.SERIES) == [["1.4", "1.5"]] * 2


def test_a_long_list_is_divided_and_nothing_is_lost() -> None:
    uids = [f"1.2.{number}" for number in range(2 * MOST_UIDS + 1)]

    parts = values(list(direct(wished("SOPInstanceUID=" + "\\".join(uids)))), Level.IMAGE)

    assert [len(part) for part in parts] == [MOST_UIDS, MOST_UIDS, 1]
    assert [uid for part in parts for uid in part] == uids


def test_a_hierarchy_with_a_gap_is_told_from_one_without() -> None:
    assert wished("StudyInstanceUID=1.2", "SeriesInstanceUID=1.3").is_hierarchical
    assert not wished("SeriesInstanceUID=1.3").is_hierarchical
