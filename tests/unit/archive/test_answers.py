"""What an answer keeps of a sequence: what was asked for, and no more (PS3.4 C.4.1.1.3.2)."""

from typing import Any

import pytest

from isocenter.archive.answers import only
from isocenter.storage.attributes import BY_KEYWORD
from isocenter.storage.query import Key

REQUESTS = BY_KEYWORD["RequestAttributesSequence"]
STEP, CODES, MEANING = 0x00400009, 0x00321064, 0x00080104

KNEE = {"00080100": {"vr": "SH", "Value": ["T1"]}, "00080104": {"vr": "LO", "Value": ["Knee"]}}
SEQUENCE: dict[str, Any] = {
    "vr": "SQ",
    "Value": [
        {
            "00080050": {"vr": "SH", "Value": ["A1"]},
            "00321064": {"vr": "SQ", "Value": [KNEE]},
        },
        {"00400009": {"vr": "SH", "Value": ["S2"]}},
    ],
}


def kept(*items: Key) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = only(SEQUENCE, REQUESTS, Key(REQUESTS.tag, items=items))["Value"]
    return found


def test_a_sequence_asked_for_without_items_is_whole() -> None:
    assert kept() == SEQUENCE["Value"]


def test_of_each_item_there_is_what_was_asked_for_empty_if_it_is_absent() -> None:
    assert kept(Key(STEP)) == [
        {"00400009": {"vr": "SH"}},
        {"00400009": {"vr": "SH", "Value": ["S2"]}},
    ]


def test_sequences_within_are_cut_likewise() -> None:
    assert kept(Key(CODES, items=(Key(MEANING),))) == [
        {"00321064": {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": ["Knee"]}}]}},
        {"00321064": {"vr": "SQ"}},
    ]


def test_sequences_within_are_whole_if_nothing_of_them_was_asked_for() -> None:
    assert kept(Key(CODES))[0] == {"00321064": {"vr": "SQ", "Value": [KNEE]}}


@pytest.mark.parametrize("empty", [{"vr": "SQ"}, {"vr": "SQ", "Value": []}])
def test_an_empty_sequence_stays_empty(empty: dict[str, Any]) -> None:
    assert only(empty, REQUESTS, Key(REQUESTS.tag, items=(Key(STEP),))) == {"vr": "SQ"}
