import pytest
from hypothesis import given, strategies as st

from isocenter.storage import values
from isocenter.storage.attributes import ATTRIBUTES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20200131", "20200131"),
        ("2020.01.31", "20200131"),
        ("2020-01-31", None),
        ("2020", None),
        ("", None),
        ("\uff12\uff10\uff12\uff10\uff10\uff11\uff13\uff11", None),
    ],
)
def test_dates_have_eight_digits_or_the_old_dots(text: str, expected: str | None) -> None:
    assert values.date(text) == expected


@pytest.mark.parametrize(
    ("text", "earliest", "latest"),
    [
        ("2230", "223000.000000", "223059.999999"),
        ("223000", "223000.000000", "223000.999999"),
        ("22:30:15", "223015.000000", "223015.999999"),
        ("07", "070000.000000", "075959.999999"),
        ("101501.12", "101501.120000", "101501.129999"),
        ("1015013", None, None),
        ("10.5", None, None),
    ],
)
def test_times_are_filled_up_to_the_microsecond(
    text: str, earliest: str | None, latest: str | None
) -> None:
    assert values.time(text) == earliest
    assert values.time(text, latest=True) == latest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The examples of PS3.4 C.2.2.2.1, note 1.
        ("19980128103000.0000", "19980128103000"),
        ("19980128103000", "19980128073000-0300"),
        ("20200101", "20200101000000"),
    ],
)
def test_date_times_are_compared_by_their_meaning(one: str, other: str) -> None:
    assert values.date_time(one) == values.date_time(other) is not None


def test_the_end_of_a_date_time_is_the_end_of_what_it_names() -> None:
    assert values.date_time("2020", latest=True) == "20201231235959.999999"
    assert values.date_time("202002", latest=True) == "20200229235959.999999"
    assert values.date_time("2020022823", latest=True) == "20200228235959.999999"


@given(st.text(alphabet="0123456789.:+- ", max_size=30))
def test_anything_may_be_asked_whether_it_is_a_date_or_a_time(text: str) -> None:
    for found, length in (
        (values.date(text), values.DATE_LENGTH),
        (values.time(text), values.TIME_LENGTH),
        (values.date_time(text), values.DATE_LENGTH + values.TIME_LENGTH),
        (values.date_time(text, latest=True), values.DATE_LENGTH + values.TIME_LENGTH),
    ):
        assert found is None or len(found) == length


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
elements = st.fixed_dictionaries({"vr": st.text(max_size=2)}, optional={"Value": json})


@given(st.dictionaries(st.sampled_from([each.tag8 for each in ATTRIBUTES.values()]), elements))
def test_values_of_any_shape_are_taken_or_left(attributes: values.Attributes) -> None:
    compared = values.compared(ATTRIBUTES, attributes)

    assert compared.keys() <= attributes.keys()
    assert all(compared.values())
