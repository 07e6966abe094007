"""Numbers written as text."""

import pytest
from hypothesis import given, strategies as st
from pydicom.valuerep import DSfloat

from isocenter.dicom.decimals import decimal_string, integer, number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_decimal_string_has_no_more_than_sixteen_characters(value):
    written = decimal_string(value)

    assert len(written) <= 16
    assert float(written) == pytest.approx(value, rel=1e-8)


@given(
    st.from_regex(r"\A-?[0-9]{1,7}(\.[0-9]{1,6})?(e-?[0-9])?\Z").filter(
        lambda text: len(text) <= 16
    )
)
def test_what_fits_comes_back_exactly(text):
    value = float(text)

    assert float(decimal_string(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_it_is_at_least_as_exact_as_pydicoms(value):
    theirs = str(DSfloat(value, auto_format=True))

    assert abs(float(decimal_string(value)) - value) <= abs(float(theirs) - value)


@pytest.mark.parametrize(
    "value", [-0.12345678901234, 1.23456789012e-5, 1.2345678901234e22, -1.7e308, 5e-324]
)
def test_each_notation_is_used_where_it_saves_a_digit(value):
    assert float(decimal_string(value)) == value


def test_what_is_not_finite_is_no_decimal_string():
    for value in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match="not finite"):
            decimal_string(value)


def test_text_that_is_no_number_stays_text():
    for text in ("1A", "1_0", "nan", "inf", "", "1e999", "²", "--1", "."):
        assert number(text) == text
    assert number("007") == 7
    assert number("+1.50") == 1.5
    assert number("-3") == -3


def test_an_integer_is_one():
    assert integer("7") == integer(7.0) == 7
    for wrong in (1.5, True, None, "x"):
        with pytest.raises((ValueError, TypeError)):
            integer(wrong)
