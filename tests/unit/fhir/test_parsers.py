"""What is read from strangers: dates, tokens, places of pages, names and times of data sets."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from fhir_checks import check
from isocenter.errors import Malformed, Unsupported
from isocenter.fhir import dates, demands, places
from isocenter.fhir.datatypes import human_names
from isocenter.fhir.registry import Place

# The one of https://hl7.org/fhir/R4/datatypes.html#dateTime
DATE_TIME = re.compile(
    r"([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
    r"(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])"
    r"(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?"
    r"(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?"
)
BERLIN = ZoneInfo("Europe/Berlin")


@given(st.text(max_size=40), st.sampled_from([None, UTC, BERLIN]))
def test_any_text_is_an_interval_or_refused(text: str, zone: Any) -> None:
    try:
        found = dates.interval(text, zone)
    except (Malformed, Unsupported):
        return
    assert found.low is not None or found.high is not None


@given(st.dates(min_value=date(1000, 1, 1)), st.sampled_from([4, 7, 10]))
def test_a_day_is_within_each_date_that_names_it(day: date, length: int) -> None:
    text = day.isoformat()[:length]
    try:
        found = dates.interval(text, None)
    except Malformed:
        assert day.year == 9999  # what follows is no date
        return

    at = datetime(day.year, day.month, day.day, 12)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= at <= found.high
    assert found.is_of_days
    assert dates.interval(f"ge{text}", None).low == found.low
    assert dates.interval(f"le{text}", None).high == found.high
    assert dates.interval(f"gt{text}", None).low == found.high + timedelta(microseconds=1)


@given(
    st.text(max_size=14) | st.from_regex(r"\A\d{8}\Z"),
    st.text(max_size=14) | st.from_regex(r"\A\d{2,6}(\.\d{1,6})?\Z"),
    st.text(max_size=6) | st.from_regex(r"\A[+-]\d{4}\Z"),
    st.sampled_from([None, UTC, BERLIN]),
)
def test_whatever_a_data_set_says_becomes_a_fhir_date_or_nothing(
    day: str, time: str, offset: str, zone: Any
) -> None:
    found = dates.moment(day, time, offset, zone)

    assert found is None or DATE_TIME.fullmatch(found), found


@pytest.mark.parametrize("offset", ["+1430", "-1459", "+9999"])
def test_offsets_that_fhir_does_not_have_leave_the_day(offset: str) -> None:
    assert dates.moment("20240229", "1011", offset, None) == "2024-02-29"


@given(st.text(max_size=60), st.sampled_from([(int,), (str, str, int), (int, int, int, int)]))
def test_any_text_is_a_place_or_refused(text: str, kinds: tuple[type, ...]) -> None:
    try:
        found = places.read(text, kinds)
    except Malformed:
        return
    assert found == Place() or len(found.after) == len(kinds)


@given(
    st.integers(0, 1 << 40),
    st.tuples(st.from_regex(r"\A\d{8}\Z"), st.from_regex(r"\A\d{6}\Z"), st.integers(0, 1 << 60)),
)
def test_a_place_is_read_as_it_was_written(shown: int, after: tuple[str, str, int]) -> None:
    place = Place(shown, after)

    assert places.read(places.written(place), (str, str, int)) == place


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_issuers_never_have_one_system(one: str, other: str) -> None:
    if one != other:
        systems = {demands.system_of(each) for each in (one, other)}
        assert len(systems) == 2
    for issuer in filter(None, (one, other)):
        system = demands.system_of(issuer)
        assert system is not None
        assert demands.issuer_of_system(system) == issuer


@pytest.mark.parametrize("issuer", ["1.2.840", "urn:oid:1.2.840", "https://x.org/ids", "House A"])
def test_the_system_of_an_issuer_leads_back_to_it(issuer: str) -> None:
    system = demands.system_of(issuer)

    assert system is not None
    assert demands.issuer_of_system(system) == issuer


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        (r"a\,b,c", ["a,b", "c"]),
        (r"a\\,b", ["a\\", "b"]),
        (r"a\|b", ["a|b"]),
        (",", []),
        ("", []),
    ],
)
def test_values_are_parted_by_commas_that_are_not_escaped(text: str, values: list[str]) -> None:
    assert [demands.plain(each) for each in demands.split(text)] == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", (None, "a")), ("|a", ("", "a")), ("s|a", ("s", "a")), (r"s\|t", (None, "s|t"))],
)
def test_a_token_is_a_system_and_a_code(text: str, expected: tuple[str | None, str]) -> None:
    assert demands.token(text) == expected


@given(
    st.fixed_dictionaries(
        {},
        optional={
            group: st.text(alphabet="aZ^ =\\*\x00\x1b\u00e4\u592a", max_size=12)
            for group in ("Alphabetic", "Ideographic", "Phonetic")
        },
    )
)
def test_any_name_makes_a_patient(name: dict[str, str]) -> None:
    names = human_names({"00100010": {"vr": "PN", "Value": [name]}}, "00100010")

    for release in ("R4", "R5"):
        told = {"name": names} if names else {}
        check({"resourceType": "Patient", "active": True, **told}, release)
