"""How keys are read (PS3.4 C.2.2.2)."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from isocenter.errors import Malformed
from isocenter.storage.matching import (
    AllOf,
    AnyOf,
    Between,
    Empty,
    Named,
    OneOf,
    Pattern,
    Rules,
    Wild,
    Words,
    matcher_of,
)

PLAIN = Rules()


@pytest.mark.parametrize("vr", ["LO", "PN", "DA", "TM", "UI", "IS", "CS"])
@pytest.mark.parametrize("value", ["", " ", "\0"])
def test_an_empty_value_matches_everything(vr: str, value: str) -> None:
    assert matcher_of(vr, value, PLAIN) is None


@pytest.mark.parametrize("vr", ["LO", "PN", "SH", "CS", "AE", "UI", "DA", "IS"])
def test_a_lone_asterisk_matches_everything(vr: str) -> None:
    assert matcher_of(vr, "*", PLAIN) is None
    assert matcher_of(vr, "**", PLAIN) is None


@pytest.mark.parametrize("value", ["^", "^^^^", "=", "^=^", " ^ ^ "])
def test_a_name_without_letters_matches_everything(value: str) -> None:
    # Empty components may be left out (PS3.5 6.2.1): it is an empty value.
    assert matcher_of("PN", value, PLAIN) is None


def test_a_list_of_uids_matches_any_of_them() -> None:
    assert matcher_of("UI", "1.2\\1.3\\1.2", PLAIN) == OneOf(("1.2", "1.3"))


def test_wild_cards_are_read_from_left_to_right() -> None:
    assert matcher_of("LO", "A?B**", PLAIN) == Pattern(("A", Wild.ONE, "B", Wild.ANY))


@pytest.mark.parametrize("vr", ["UI", "AS"])
def test_some_representations_have_no_wild_cards(vr: str) -> None:
    assert matcher_of(vr, "1?3", PLAIN) == OneOf(("1?3",))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("20200101-20200131", Between("20200101", "20200131")),
        ("20200101 - 20200131", Between("20200101", "20200131")),
        ("-20200131", Between(None, "20200131")),
        ("20200101-", Between("20200101", None)),
        ("20200101", OneOf(("20200101",))),
    ],
)
def test_ranges_of_dates_may_be_open(value: str, expected: object) -> None:
    assert matcher_of("DA", value, PLAIN) == expected


def test_the_end_of_a_range_of_times_reaches_as_far_as_it_is_precise() -> None:
    assert matcher_of("TM", "1000-1800", PLAIN) == Between("100000.000000", "180059.999999")


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("2006-2007", "20060101000000.000000", "20071231235959.999999"),
        ("20060101120000-0500-20060102", "20060101170000.000000", "20060102235959.999999"),
        ("20060101-20060102-0500", "20060101000000.000000", "20060103045959.999999"),
        ("-20060102120000+0200", None, "20060102100000.999999"),
        ("20060101120000-0500-", "20060101170000.000000", None),
    ],
)
def test_ranges_of_date_times_part_at_the_dash_that_is_no_offset(
    value: str, low: str | None, high: str | None
) -> None:
    assert matcher_of("DT", value, PLAIN) == Between(low, high)


def test_a_date_time_with_an_offset_alone_is_no_range() -> None:
    assert matcher_of("DT", "20060101120000-0500", PLAIN) == OneOf(("20060101170000.000000",))


@pytest.mark.parametrize(
    ("vr", "value"),
    [("DA", "yesterday"), ("DA", "-"), ("DA", "20200101-x"), ("TM", "25h"), ("IS", "one")],
)
def test_what_cannot_be_read_is_malformed(vr: str, value: str) -> None:
    with pytest.raises(Malformed):
        matcher_of(vr, value, PLAIN)


def test_two_quotation_marks_ask_for_what_is_empty() -> None:
    assert matcher_of("LO", '""', PLAIN) == Empty()
    assert matcher_of("LO", '""', Rules(empty_values=False)) == OneOf(('""',))


def test_a_backslash_separates_alternatives() -> None:
    assert matcher_of("CS", "CT\\MR", PLAIN) == OneOf(("CT", "MR"))
    assert matcher_of("CS", "CT\\M*", PLAIN) == AnyOf((OneOf(("CT",)), Pattern(("M", Wild.ANY))))
    assert matcher_of("CS", "CT\\MR", Rules(multiple_values=False)) == OneOf(("CT\\MR",))


def test_a_component_group_of_a_name_is_matched_on_its_own() -> None:
    assert matcher_of("PN", "Wang^XiaoDong=王^小東", PLAIN) == AllOf(
        (Named((OneOf(("wang^xiaodong",)),), 1), Named((OneOf(("王^小東",)),), 2))
    )
    assert matcher_of("PN", "=王^小東", PLAIN) == AllOf((Named((OneOf(("王^小東",)),), 2),))
    assert matcher_of("PN", "*=*", PLAIN) is None


def test_components_that_may_be_empty_need_not_be_there() -> None:
    assert matcher_of("PN", "Doe^*", PLAIN) == Named((Pattern(("doe^", Wild.ANY)), OneOf(("doe",))))


def test_fuzzy_matching_adds_words_and_keeps_the_literal_match() -> None:
    assert matcher_of("PN", "Smith^Mary", Rules(fuzzy=True)) == Named(
        (OneOf(("smith^mary",)), Words(("smith", "mary")))
    )


@given(
    st.sampled_from(["DA", "TM", "DT", "PN", "LO", "UI", "IS", "DS", "CS", "LT", "AS"]),
    st.text(max_size=30) | st.text(alphabet='0123456789-+.\\*?=^ "', max_size=30),
    st.booleans(),
)
def test_any_text_is_read_or_malformed(vr: str, value: str, fuzzy: bool) -> None:
    with contextlib.suppress(Malformed):
        matcher_of(vr, value, Rules(fuzzy=fuzzy))
