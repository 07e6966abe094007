"""Media types as clients write them."""

import pytest
from hypothesis import given, strategies as st

from isocenter.errors import Malformed
from isocenter.web.media_types import MediaType, quoted


@pytest.mark.parametrize(
    "text",
    [
        'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50',
        "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50",
        'Multipart/Related;TYPE="application/dicom" ;Transfer-Syntax="1.2.840.10008.1.2.4.50"',
        "multipart/related ; type=application/dicom;;transfer-syntax=1.2.840.10008.1.2.4.50;",
    ],
)
def test_quotes_case_and_space_make_no_difference(text: str) -> None:
    read = MediaType.parse(text)

    assert read.is_multipart
    assert read.of_parts == "application/dicom"
    assert read.parameters["transfer-syntax"] == "1.2.840.10008.1.2.4.50"
    assert read.q == 1


def test_a_list_is_split_only_outside_of_quotes() -> None:
    # The example of RFC 9110 12.5.1, and a parameter with a comma in it.
    read = MediaType.parse_list('text/*;q=0.3, a/b;c="d,\\"e";q=0.7, text/plain;format=flowed, */*')

    assert [each.type for each in read] == ["text/*", "a/b", "text/plain", "*/*"]
    assert [each.q for each in read] == [0.3, 0.7, 1, 1]
    assert read[1].parameters == {"c": 'd,"e'}


@pytest.mark.parametrize(
    "text", ["", "text", "text/", "/x", "a/b;c", "a/b;q=2", "a/b;q=x", 'a/b;c="d', "a/b;c=1;C=2"]
)
def test_what_is_no_media_type_is_refused_alone_and_left_out_of_a_list(text: str) -> None:
    with pytest.raises(Malformed):
        MediaType.parse(text)

    assert [each.type for each in MediaType.parse_list(f"x/y, {text}")] == ["x/y"]


@given(st.text())
def test_nothing_that_is_sent_breaks_the_reading(text: str) -> None:
    MediaType.parse_list(text)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_is_written_can_be_read(value: str) -> None:
    assert MediaType.parse(f"a/b;c={quoted(value)}").parameters["c"] == value
