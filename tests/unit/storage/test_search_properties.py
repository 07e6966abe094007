"""Matching in the database against matching written down as plainly as can be."""

import asyncio
import itertools
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from isocenter.storage.index import Index
from unit.storage.made import incoming, query, store, values

SYLLABLES = ("do", "Doe", "Ó", "é", "a", "[x", "?", "%")
NAMES = [
    "^".join(parts).rstrip("^")
    for parts in itertools.product(
        ("Do", "dÓe", "Doe Do", "a[", "李"), ("", "Ana", "É", "明 a"), ("", "b")
    )
]
TEXTS = ["A", "a", "AB", "A*B", "A[B]", "Äb", "A B", "%", "A_B", "ÀB", "AAAB", "BA"]
SEVERAL = 7
"""Every so many studies have two descriptions, as none should have."""
DATES = ["19991231", "20000101", "20000229", "20001231", ""]
TIMES = ["", "000000", "0930", "093000.5", "235959.999999", "12"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, empty_index: Path) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("properties") / "index.sqlite"
    path.write_bytes(empty_index.read_bytes())
    opened = Index.open(path, readers=1)
    for number, name in enumerate(NAMES):
        store(
            opened,
            incoming(
                PatientID=f"P{number:03}",
                PatientName=name,
                StudyInstanceUID=f"1.{number}",
                SOPInstanceUID=f"2.{number}",
                StudyDescription=texts_of(number),
                InstitutionName=texts_of(number),
                AccessionNumber=TEXTS[number % len(TEXTS)],
                StudyDate=DATES[number % len(DATES)],
                StudyTime=TIMES[number % len(TIMES)],
                PerformedProcedureStepStartTime=TIMES[number % len(TIMES)],
                OtherPatientNames=name,
            ),
        )
    yield opened
    opened.close()


def texts_of(number: int) -> list[str]:
    """What a study is called."""
    count = 1 if number % SEVERAL else 2
    return [TEXTS[(number + more) % len(TEXTS)] for more in range(count)]


def ids(index: Index, **asked: str | bool) -> list[int]:
    found = asyncio.run(values(index, query(**asked), "PatientID"))
    return [int(each[1:]) for each in found]


def wild(pattern: str, text: str, flags: re.RegexFlag = re.NOFLAG) -> bool:
    """PS3.4 C.2.2.2.4."""
    spelled = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(spelled, text, re.DOTALL | flags) is not None


def plain(text: str) -> str:
    """Without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each))


patterns = st.lists(st.sampled_from([*"AaBÄ*?[]%_ ", "À", "AB"]), min_size=1, max_size=5).map(
    "".join
)


@given(patterns.filter(lambda each: each.strip()))
def test_wild_cards_match_as_a_regular_expression_does(index: Index, pattern: str) -> None:
    wanted = pattern.strip()
    expected = [
        number
        for number in range(len(NAMES))
        if (wild if set(wanted) & set("*?") else str.__eq__)(wanted, TEXTS[number % len(TEXTS)])
    ]

    assert ids(index, AccessionNumber=pattern) == expected


@given(patterns.filter(lambda each: each.strip()), st.booleans())
def test_texts_match_in_any_case_if_that_is_asked_and_by_any_of_several_values(
    index: Index, pattern: str, any_case: bool
) -> None:
    wanted = pattern.strip()
    is_wild = bool(set(wanted) & set("*?"))
    flags = re.IGNORECASE if any_case and is_wild else re.NOFLAG
    expected = [
        number
        for number in range(len(NAMES))
        if any(
            wild(wanted, each, flags) if is_wild else each == wanted for each in texts_of(number)
        )
    ]

    assert ids(index, StudyDescription=pattern, any_case=any_case) == expected
    assert ids(index, InstitutionName=pattern, any_case=any_case) == expected


name_patterns = st.lists(
    st.sampled_from(["*", "?", "^", "do", "DÓE", "e", "ana", "é", "[", "李", "明", " ", "b", "a"]),
    min_size=1,
    max_size=5,
).map("".join)


@given(name_patterns.filter(lambda each: each.strip(" ^")))
def test_names_match_without_case_and_accents_and_with_empty_components(
    index: Index, pattern: str
) -> None:
    wanted = "^".join(" ".join(part.split()) for part in plain(pattern).split("^"))
    wanted = wanted.strip()
    # A name may end in any number of empty components; no ``?`` stands for one that is not there.
    spelled = {"*": ".*", "?": "[^\0]", "^": "[\\^\0]"}
    wanted = "".join(spelled.get(each, re.escape(each)) for each in wanted)
    expected = [
        number
        for number, name in enumerate(NAMES)
        if any(re.fullmatch(wanted, plain(name) + "\0" * more) for more in range(8))
    ]

    assert ids(index, PatientName=pattern) == expected
    assert ids(index, OtherPatientNames=pattern) == expected


@given(name_patterns.filter(lambda each: each.strip(" ^")))
def test_fuzzy_matching_loses_nothing(index: Index, pattern: str) -> None:
    assert set(ids(index, PatientName=pattern)) <= set(ids(index, PatientName=pattern, fuzzy=True))


ends = st.sampled_from([*DATES, "20000228", "19000101", "99991231"])


@given(ends, ends)
def test_ranges_of_dates_include_their_ends(index: Index, low: str, high: str) -> None:
    if not low and not high:
        return
    dates = [DATES[number % len(DATES)] for number in range(len(NAMES))]
    expected = [
        number
        for number, date in enumerate(dates)
        if date and (not low or low <= date) and (not high or date <= high)
    ]

    assert ids(index, StudyDate=f"{low}-{high}") == expected


def microseconds(time: str) -> int:
    whole, _, fraction = time.partition(".")
    hour, minute, second = (int(whole[at : at + 2] or 0) for at in (0, 2, 4))
    return ((hour * 60 + minute) * 60 + second) * 10**6 + int(fraction.ljust(6, "0"))


moments = st.times().map(lambda each: each.strftime("%H%M%S.%f"))


@given(moments, moments)
def test_ranges_of_times_include_their_ends(index: Index, low: str, high: str) -> None:
    times = [TIMES[number % len(TIMES)] for number in range(len(NAMES))]
    expected = [
        number
        for number, time in enumerate(times)
        if time and microseconds(low) <= microseconds(time) <= microseconds(high)
    ]

    assert ids(index, StudyTime=f"{low}-{high}") == expected
    assert ids(index, PerformedProcedureStepStartTime=f"{low}-{high}") == expected


@given(ends.filter(bool), ends.filter(bool), moments, moments)
def test_combined_ranges_are_one_interval(
    index: Index, first: str, last: str, begin: str, end: str
) -> None:
    rows = [(DATES[n % len(DATES)], TIMES[n % len(TIMES)]) for n in range(len(NAMES))]
    expected = [
        number
        for number, (date, time) in enumerate(rows)
        # A time that is unknown is before all others of its day.
        if date
        and (first, microseconds(begin))
        <= (date, microseconds(time) if time else -1)
        <= (last, microseconds(end))
    ]

    asked = {"StudyDate": f"{first}-{last}", "StudyTime": f"{begin}-{end}"}
    assert ids(index, **asked, combined_date_time=True) == expected
