"""The table of a procedure step's attributes, against a second reading of the standard's."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from isocenter.dicom.procedure_step import TABLE, Requirement, Usage

READING = Path(__file__).parents[2] / "data" / "workitem_attributes.txt"
OF_THE_WIRE = {"00080005"}  # the character set is a matter of the encoding


def rows() -> Iterator[tuple[tuple[str, ...], list[str]]]:
    path: list[str] = []
    for line in READING.read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        tag, *codes = line.split()
        depth = len(tag) - len(tag.lstrip(">"))
        path[depth:] = [tag.lstrip(">")]
        yield tuple(path), codes


def held(path: tuple[str, ...]) -> Requirement:
    table: Mapping[int, Requirement] = TABLE
    for tag8 in path:
        found = table[int(tag8, 16)]
        table = found.items
    return found


@pytest.mark.parametrize(("path", "codes"), list(rows()), ids=lambda each: ".".join(map(str, each)))
def test_the_table_says_what_the_standard_does(path: tuple[str, ...], codes: list[str]) -> None:
    if path[0] in OF_THE_WIRE:
        return
    create, change, final, match, returned = codes
    found = held(path)

    if path != ("00081195",):  # the Transaction UID has rules of its own
        if not (found.on_create.is_ours or not found.on_create.may_have_value):
            assert found.on_create == Usage.parse(create)
        if not found.on_set.is_ours:
            assert found.on_set == Usage.parse(change)
    assert found.final.removesuffix("2") == final
    if match != "?":
        assert found.match == match
    if returned != "?":
        assert found.returned == returned


def test_no_attribute_of_the_standard_is_missing() -> None:
    read = {path for path, _ in rows() if len(path) == 1}
    ours = {each.tag8 for each in TABLE.values()}
    macros = {"00100021", "00100024"}  # Issuer of Patient ID
    newer = {"00404008"}  # Scheduled Procedure Step Expiration DateTime

    assert {tag8 for (tag8,) in read} - OF_THE_WIRE == ours - macros - newer


@pytest.mark.parametrize(
    ("code", "is_required", "may_be_empty"),
    [
        # PS3.4 5.4
        ("1/1", True, False),
        ("3/1", False, False),
        ("-/1", False, False),
        ("2/2", True, True),
        ("3/2", False, True),
        ("-/2", False, True),
        ("3/3", False, True),
        # CC.2.5: a value that is not given is filled in
        ("2/1", True, True),
        # conditions are not for us to judge
        ("1C/1C", False, False),
        ("1C/2", False, True),
        ("2C/2C", False, True),
    ],
)
def test_codes_of_usage_mean_what_the_standard_says(
    code: str, is_required: bool, may_be_empty: bool
) -> None:
    usage = Usage.parse(code)

    assert (usage.is_required, usage.may_be_empty) == (is_required, may_be_empty)
