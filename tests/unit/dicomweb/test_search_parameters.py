"""What the query of a search asks for (PS3.18 8.3.4)."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from isocenter.dicomweb.search_parameters import MAX_ALTERNATIVES, MOST, Asked, read
from isocenter.errors import Malformed
from isocenter.storage.attributes import ATTRIBUTES
from isocenter.storage.query import Key

NAME, PATIENT_ID, STUDY_UID, REQUESTS = 0x00100010, 0x00100020, 0x0020000D, 0x00400275


def asked(query: str) -> Asked:
    return read(query.encode(), ATTRIBUTES)


def keys(query: str) -> tuple[Key, ...]:
    return asked(query).keys


def test_nothing_asked_is_nothing_matched() -> None:
    assert asked("") == Asked()


@pytest.mark.parametrize("name", ["PatientName", "00100010"])
def test_an_attribute_is_named_by_keyword_or_tag(name: str) -> None:
    assert keys(f"{name}=DOE*") == (Key(NAME, "DOE*"),)


@pytest.mark.parametrize(
    "name",
    ["RequestAttributesSequence.AccessionNumber", "00400275.00080050", "00400275.AccessionNumber"],
)
def test_an_attribute_in_a_sequence_is_named_by_its_path(name: str) -> None:
    assert keys(f"{name}=A1") == (Key(REQUESTS, items=(Key(0x00080050, "A1"),)),)


def test_paths_into_one_sequence_ask_for_one_item() -> None:
    # PS3.4 C.2.2.2.6: all of an item's keys are met by one and the same item.
    found = keys("00400275.00080050=A1&00400275.00401001=R1")

    assert found == (Key(REQUESTS, items=(Key(0x00080050, "A1"), Key(0x00401001, "R1"))),)


@pytest.mark.parametrize("listed", ["1.2,1.3", "1.2\\1.3", "1.2%2C1.3", "1.2%5C1.3"])
def test_uids_are_listed_with_commas_or_backslashes(listed: str) -> None:
    assert keys(f"StudyInstanceUID={listed}") == (Key(STUDY_UID, "1.2\\1.3"),)


def test_a_comma_in_a_name_is_itself() -> None:
    assert keys("PatientName=DOE%2CJANE") == (Key(NAME, "DOE,JANE"),)


@pytest.mark.parametrize("encode", [quote, quote_plus])
@pytest.mark.parametrize("name", ["Müller^Jörg", "山田^太郎", "Yamada^Tarou=山田^太郎", "A&B=C+D"])
def test_names_are_percent_encoded_utf_8(encode: type[str], name: str) -> None:
    assert keys(f"PatientName={encode(name)}") == (Key(NAME, name),)


def test_a_plus_is_a_space_but_for_offsets() -> None:
    found = asked("StudyDescription=KNEE+LEFT&TimezoneOffsetFromUTC=+0130")

    assert found.keys == (Key(0x00081030, "KNEE LEFT"),)
    assert found.timezone == 90


def test_no_value_matches_everything_and_is_returned() -> None:
    found = asked("StudyDescription=&00081048")

    assert found.keys == ()
    assert found.returns == (Key(0x00081030), Key(0x00081048))


@pytest.mark.parametrize(
    "fields",
    [
        "includefield=StudyDescription,00081048",
        "includefield=StudyDescription&includefield=00081048",
        "includefield=StudyDescription%2C00081048",
    ],
)
def test_fields_to_include_are_repeated_or_listed(fields: str) -> None:
    assert asked(fields).returns == (Key(0x00081030), Key(0x00081048))


def test_a_field_within_a_sequence_is_included_alone() -> None:
    found = asked("includefield=RequestAttributesSequence.AccessionNumber")

    assert found.returns == (Key(REQUESTS, items=(Key(0x00080050),)),)


def test_a_whole_sequence_includes_what_is_within() -> None:
    found = asked("includefield=00400275.00080050&includefield=00400275")

    assert found.returns == (Key(REQUESTS),)


def test_all_fields_may_be_asked_for() -> None:
    assert asked("includefield=all").is_all


def test_switches_are_false_unless_they_are_true() -> None:
    plain = asked("fuzzymatching=false")
    found = asked("fuzzymatching=true&emptyvaluematching=true&multiplevaluematching=true")

    assert (plain.fuzzy, plain.empty_values, plain.multiple_values) == (False, False, False)
    assert (found.fuzzy, found.empty_values, found.multiple_values) == (True, True, True)


def test_limit_and_offset_are_read() -> None:
    assert (asked("limit=5&offset=10").limit, asked("limit=5&offset=10").offset) == (5, 10)
    assert asked("limit=0").limit == 0
    assert asked(f"offset={'9' * 500}").offset == MOST


def test_negotiation_is_for_others_to_read() -> None:
    assert asked("accept=application/dicom%2Bjson&charset=utf-8") == Asked()


@pytest.mark.parametrize(
    "query",
    ["foo=1", "PatientNam=DOE", "00091001=x", "00091001.00080050=x", "QueryRetrieveLevel=STUDY"],
)
def test_what_is_not_supported_is_left_out_and_named(query: str) -> None:
    # PS3.18 8.3: ignored, perhaps with a warning.
    found = asked(query)

    assert found.keys == ()
    assert found.ignored == (query.partition("=")[0],)


def test_fields_that_are_not_supported_are_not_returned() -> None:
    assert asked("includefield=00231002,NoSuchKeyword").returns == ()


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=",
        "limit=1.5",
        "limit=%D9%A1",  # a digit of another script
        "offset=x",
        "limit=1&limit=1",
        "fuzzymatching=yes",
        "fuzzymatching=TRUE",
        "emptyvaluematching=1",
        "multiplevaluematching",
        "fuzzymatching=true&fuzzymatching=true",
        "PatientID=1&PatientID=2",
        "PatientID=1&00100020=1",
        "00400275.00080050=1&RequestAttributesSequence.AccessionNumber=2",
        "PatientName=a%00b",
        "PatientName=%FF",
        "%FF=1",
        "=1",
        "0010001=x",
        "001000100=x",
        "Patient-Name=x",
        "PatientName..PatientID=x",
        "PatientName.PatientID=x",
        "RequestAttributesSequence=A1",
        "includefield=",
        "includefield=a b",
        "includefield=PatientName,",
        "TimezoneOffsetFromUTC=noon",
        "TimezoneOffsetFromUTC=%2B9900",
        "'; DROP TABLE study; --=1",
        "&".join(["x=1"] * 1001),
        "StudyInstanceUID=" + ",".join(["1"] * (MAX_ALTERNATIVES + 1)),
    ],
)
def test_what_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(Malformed):
        asked(query)


def test_a_refusal_does_not_repeat_values() -> None:
    with pytest.raises(Malformed) as refused:
        asked("PatientName=SECRET&PatientName=SECRET")

    assert "SECRET" not in str(refused.value)


@given(st.binary(max_size=200))
def test_any_query_is_read_or_refused(query: bytes) -> None:
    try:
        read(query, ATTRIBUTES)
    except Malformed:
        return


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(each.keyword for each in ATTRIBUTES.values())),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        ),
        unique_by=lambda pair: pair[0],
    )
)
def test_every_attribute_takes_any_text(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={quote(value)}" for name, value in pairs)
    try:
        found = read(query.encode(), ATTRIBUTES)
    except Malformed:
        return

    told = {key.tag for key in found.keys} | {key.tag for key in found.returns}
    assert told <= ATTRIBUTES.keys()
