"""Tables: aligned, in columns of characters that may be wide, and harmless on a terminal."""

from isocenter.cli.table import PAGE, Table, cell, width


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    lines: list[str] = []
    table = Table(["A", "Name"], lines.append)

    table.add(["1", "x"])
    table.add(["22222", "yy"])
    table.flush()

    assert lines == ["A      Name", "1      x", "22222  yy"]


def test_wide_characters_take_two_columns() -> None:
    assert width("\u5c71\u7530") == 4


def test_rows_are_printed_as_they_come_once_a_page_is_full() -> None:
    lines: list[str] = []
    table = Table(["A"], lines.append)

    for number in range(PAGE + 1):
        table.add([str(number)])

    assert len(lines) == PAGE + 2


def test_nothing_found_prints_nothing() -> None:
    lines: list[str] = []

    Table(["A"], lines.append).flush()

    assert lines == []


def test_names_show_all_their_groups() -> None:
    name = {"Alphabetic": "Yamada^Tarou", "Ideographic": "\u5c71\u7530^\u592a\u90ce"}

    assert cell({"vr": "PN", "Value": [name]}) == "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"


def test_several_values_are_divided_as_in_dicom() -> None:
    assert cell({"vr": "CS", "Value": ["CT", None, "SR"]}) == "CT\\\\SR"


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    assert "\x1b" not in cell({"vr": "LO", "Value": ["\x1b[2Jgone"]})
    assert "\n" not in cell({"vr": "LT", "Value": ["a\nb"]})


def test_absent_attributes_are_empty() -> None:
    assert cell(None) == cell({"vr": "LO"}) == ""
