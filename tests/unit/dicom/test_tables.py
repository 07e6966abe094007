"""The tables of the standard, beside pydicom's."""

import subprocess
import sys

import pytest
from hypothesis import given, strategies as st
from pydicom import charset as pydicom_charset
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._private_dict import private_dictionaries
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import keyword_dict, mask_match

from isocenter.dicom import charset, charset_tables, dictionary, tables

NEWER = {"ISO_IR 203", "ISO 2022 IR 203"}
"""In the standard, and not in pydicom 3.0."""


def test_the_dictionaries_are_pydicoms() -> None:
    # pynetdicom, where a test has loaded it, adds UIDs of its own.
    assert {uid: UID_dictionary[uid] for uid in tables.UID_ROWS} == tables.UID_ROWS
    assert DicomDictionary == tables.ATTRIBUTES
    assert RepeatersDictionary == tables.REPEATED
    assert private_dictionaries == tables.PRIVATE


@pytest.mark.parametrize("module", ["isocenter.app.node", "isocenter.cli.send"])
def test_pydicom_is_not_loaded_by_what_can_do_without(module: str) -> None:
    look = f"import sys, {module}; print(sorted(set(sys.modules) & {{'pydicom', 'requests'}}))"

    found = subprocess.run(
        [sys.executable, "-c", look], check=True, capture_output=True, text=True, timeout=60
    )

    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("keyword", sorted(keyword_dict)[::50])
def test_keywords_have_the_tags_that_pydicom_knows(keyword: str) -> None:
    if keyword:
        assert dictionary.tag_of(keyword) == keyword_dict[keyword]


@given(st.integers(0x5000_0000, 0x7FFF_FFFF) | st.integers(0, 0xFFFF_FFFF))
def test_tags_of_repeating_groups_are_told_as_pydicom_tells_them(tag: int) -> None:
    tag &= ~0x0001_0000
    mask = mask_match(tag)
    expected = DicomDictionary.get(tag) or (RepeatersDictionary[mask] if mask else None)

    found = dictionary.public_attribute(tag)

    if expected is not None:
        assert found is not None
        assert (found.vr, found.vm, found.name) == expected[:3]
    else:
        assert found is None or found.keyword == "CurrentFrameFunctionalGroupsSequence"


def test_character_sets_are_those_that_pydicom_knows_and_newer_ones() -> None:
    ours = charset_tables.ENCODINGS

    assert {term: ours.get(term) for term in pydicom_charset.python_encoding} == (
        pydicom_charset.python_encoding
    )
    assert set(ours) - set(pydicom_charset.python_encoding) == NEWER
    assert set(charset_tables.ALONE) == set(pydicom_charset.STAND_ALONE_ENCODINGS)


def test_escape_sequences_are_those_that_pydicom_knows_and_newer_ones() -> None:
    ours = dict(charset_tables.ENCODINGS_BY_ESCAPE)

    assert ours.pop(b"\x1b-b") == "iso8859_15"
    assert ours == pydicom_charset.CODES_TO_ENCODINGS


def test_latin_9_has_the_euro() -> None:
    latin_9 = charset.of_terms("ISO_IR 203")

    assert latin_9.decode(b"\xa4uro") == "€uro"
    assert latin_9.encode("€uro") == b"\xa4uro"
