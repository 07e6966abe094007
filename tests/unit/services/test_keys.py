"""Keys as people write them, against what PS3.6 and PS3.18 F say they mean."""

import pytest
from hypothesis import given, strategies as st
from pydicom.datadict import DicomDictionary

from isocenter.errors import Malformed
from isocenter.services.keys import document, parse

TEXT_KEYWORDS = sorted(
    row[4]
    for tag, row in DicomDictionary.items()
    if row[0] in ("LO", "SH", "PN", "UC") and row[4] and tag >> 16 > 2
)


def test_a_keyword_with_a_value_is_matched_by_it() -> None:
    assert document([parse("PatientID=AB-1")]) == {"00100020": {"vr": "LO", "Value": ["AB-1"]}}


def test_a_keyword_alone_is_universal() -> None:
    assert document([parse("PatientName")]) == {"00100010": {"vr": "PN"}}
    assert document([parse("PatientName=")]) == {"00100010": {"vr": "PN"}}


@pytest.mark.parametrize("name", ["0010,0020", "00100020", "(0010,0020)", "PatientID"])
def test_a_tag_is_as_good_as_a_keyword(name: str) -> None:
    assert document([parse(f"{name}=X")]) == {"00100020": {"vr": "LO", "Value": ["X"]}}


def test_backslashes_divide_alternatives() -> None:
    found = document([parse(r"StudyInstanceUID=1.2\1.3")])

    assert found["0020000D"]["Value"] == ["1.2", "1.3"]


def test_an_equals_sign_in_a_value_stays_there() -> None:
    assert parse("PatientName=Yamada^Tarou=\u5c71\u7530^\u592a\u90ce").value.count("=") == 1


def test_dots_lead_into_sequences() -> None:
    keys = [
        parse("ScheduledProcedureStepSequence.Modality=CT"),
        parse("0040,0100.ScheduledStationAETitle"),
    ]

    assert document(keys) == {
        "00400100": {
            "vr": "SQ",
            "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}, "00400001": {"vr": "AE"}}],
        }
    }


def test_a_sequence_alone_is_universal_and_may_also_be_led_into() -> None:
    assert document([parse("RequestAttributesSequence")]) == {"00400275": {"vr": "SQ"}}
    both = [parse("RequestAttributesSequence.StudyInstanceUID"), parse("RequestAttributesSequence")]
    assert document(both)["00400275"]["Value"] == [{"0020000D": {"vr": "UI"}}]


def test_a_private_tag_needs_its_vr() -> None:
    assert document([parse("0009,1001:LO=x")]) == {"00091001": {"vr": "LO", "Value": ["x"]}}
    with pytest.raises(Malformed, match="private"):
        parse("0009,1001=x")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither"),
        ("=x", "neither"),
        ("PatientNam=x", "neither"),
        ("PatientID.StudyDate=x", "no sequence"),
        ("RequestAttributesSequence=x", "is a sequence"),
        ("PixelData=x", "cannot be matched"),
        ("0010,0000=1", "cannot stand"),
        ("0002,0010=1", "cannot stand"),
        ("FFFE,E000=1", "cannot stand"),
        ("PatientID:ZZ=x", "no value representation"),
        ("PatientID.=x", "neither|no sequence"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse(text)


def test_a_key_may_stand_once() -> None:
    with pytest.raises(Malformed, match="twice"):
        document([parse("PatientID=1"), parse("0010,0020=2")])


@given(st.text(max_size=60))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        document([parse(text)])
    except Malformed:
        return


@pytest.mark.parametrize("text", ["Rows=many", "Rows=99999", "0009,1001:FD=x", "Modality=\u0100"])
def test_a_value_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="value"):
        document([parse(text)])


@given(st.sampled_from(TEXT_KEYWORDS), st.text(min_size=1, max_size=30))
def test_values_come_through_as_they_are(keyword: str, value: str) -> None:
    (attribute,) = document([parse(f"{keyword}={value}")]).values()

    assert "\\".join(attribute["Value"]) == value
