"""Values as people read them (PS3.5 6.2)."""

import pytest

from isocenter.ui.formats import Formats, text_of
from isocenter.ui.language import LANGUAGES

ENGLISH, GERMAN = Formats(LANGUAGES["en"]), Formats(LANGUAGES["de"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Doe^Jane", "Doe, Jane"),
        (
            "Adams^John Robert Quincy^^Rev.^B.A. M.Div.",
            "Adams, John Robert Quincy (Rev., B.A. M.Div.)",
        ),
        ("^Bob^^Dr.", "Bob (Dr.)"),
        ("=山田^太郎=やまだ^たろう", "山田, 太郎"),
        ("^^^^", ""),
        ("", ""),
    ],
)
def test_a_name_is_read_as_it_is_said(value: str, said: str) -> None:
    assert ENGLISH.name(value) == said


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        ("20240229", "2024-02-29", "29.02.2024"),
        ("00010101", "0001-01-01", "01.01.0001"),
        ("2024.02.29", "2024-02-29", "29.02.2024"),
        ("20240230", "20240230", "20240230"),
        ("soon", "soon", "soon"),
    ],
)
def test_a_date_is_written_as_the_reader_writes_it(value: str, english: str, german: str) -> None:
    assert (ENGLISH.date(value), GERMAN.date(value)) == (english, german)


def test_a_time_of_days_has_decimals_only_where_they_say_something() -> None:
    assert [ENGLISH.days(each * 86_400) for each in (7, 0.5, 400)] == ["7", "0.5", "400"]
    assert [GERMAN.days(each * 86_400) for each in (7, 0.5)] == ["7", "0,5"]


def test_a_time_is_told_to_the_minute() -> None:
    assert [ENGLISH.time(each) for each in ("134501.25", "13:45", "13", "")] == [
        "13:45",
        "13:45",
        "13",
        "",
    ]


def test_counts_and_sizes_are_easy_to_read() -> None:
    assert (ENGLISH.number(1234567), GERMAN.number(1234567)) == ("1,234,567", "1.234.567")
    assert [ENGLISH.size(each) for each in (0, 999, 1500, 2.5e9, 3e17)] == [
        "0 bytes",
        "999 bytes",
        "1.5 KB",
        "2.5 GB",
        "300 PB",
    ]


def test_what_has_no_value_says_nothing() -> None:
    assert text_of({}, 0x00100010) == ""
    assert text_of({"00100010": {"vr": "PN"}}, 0x00100010) == ""
    assert text_of({"00080061": {"vr": "CS", "Value": ["CT", None, "SR"]}}, 0x00080061) == "CT, SR"
