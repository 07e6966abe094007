"""Identifiers as pydicom writes them, read; and as nobody should, refused."""

import contextlib
import struct

import pytest
from hypothesis import example, given, strategies as st
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from isocenter.dicom.encoding import deflate
from isocenter.dicom.syntax import lookup
from isocenter.errors import IsocenterError, Malformed, Mismatch
from isocenter.services import identifier as identifiers
from isocenter.services.identifier import check_hierarchy, read
from isocenter.services.models import MODELS, Negotiated, answer_find, answer_retrieve
from isocenter.services.suboperations import selection_of
from isocenter.storage.attributes import Level
from made_instances import element
from made_operations import encoded

EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY = MODELS
NAMES = {
    "ISO_IR 192": "\u738b^\u5c0f\u6771",
    "ISO_IR 100": "M\u00fcller^J\u00f6rg",
    "ISO_IR 144": "\u041b\u044e\u043acencko".replace("cencko", "\u0441\u0435\u043c"),
    "ISO_IR 126": "\u0394\u03b9\u03bf\u03bd\u03c5\u03c3\u03b9\u03bf\u03c2",
    "ISO_IR 138": "\u05e9\u05e8\u05d5\u05df^\u05d3\u05d1\u05d5\u05e8\u05d4",
    "ISO_IR 13": "\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73",
    "GB18030": "\u738b^\u5c0f\u4e1c",
}


def query(**keys: object) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    for keyword, value in keys.items():
        setattr(dataset, keyword, value)
    return dataset


def written(dataset: Dataset, syntax: str) -> bytes:
    if syntax == DEFLATED:
        return deflate(encoded(dataset, EXPLICIT))
    return encoded(dataset, syntax)


def value_of(found: identifiers.Identifier, tag: int) -> str | None:
    return next((key.value for key in found.keys if key.tag == tag), None)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("charset", sorted(NAMES))
def test_a_name_is_read_in_every_encoding(syntax: str, charset: str) -> None:
    dataset = query(SpecificCharacterSet=charset, PatientName=NAMES[charset], PatientID="4711")

    found = read(written(dataset, syntax), lookup(syntax), STUDY_ROOT)

    assert value_of(found, 0x00100010) == NAMES[charset]
    assert value_of(found, 0x00100020) == "4711"
    assert found.character_set == charset
    assert found.level is Level.STUDY


printable = st.text(
    st.characters(codec="ascii", exclude_categories=["C"], exclude_characters="\\ ^="), max_size=16
)


@given(
    st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]),
    st.fixed_dictionaries(
        {},
        optional={
            "PatientID": printable,
            "AccessionNumber": printable,
            "StudyID": printable,
            "StudyDate": st.sampled_from(["", "20240101", "20240101-20241231", "-20240101"]),
            "StudyInstanceUID": st.sampled_from(["", "1.2", ["1.2", "1.3"]]),
            "ModalitiesInStudy": st.sampled_from(["", "CT", ["CT", "MR"]]),
            "NumberOfStudyRelatedInstances": st.sampled_from(["", "12"]),
            "PatientName": st.sampled_from(["", "DOE*", "A^B=C^D=E^F", "?"]),
        },
    ),
)
def test_what_pydicom_writes_is_what_is_read(syntax: str, keys: dict[str, object]) -> None:
    dataset = query(**keys)

    found = read(written(dataset, syntax), lookup(syntax), STUDY_ROOT)

    asked = {each.tag: each for each in dataset if each.keyword != "QueryRetrieveLevel"}
    assert {key.tag for key in found.keys} == set(asked)
    for key in found.keys:
        value = asked[key.tag].value
        several = value if isinstance(value, MultiValue) else [value]
        assert key.value == "\\".join("" if each is None else str(each) for each in several)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_sequences_are_read_with_their_item(syntax: str) -> None:
    inner = Dataset()
    inner.CodeValue = "T-D1100"
    empty = Dataset()

    filled = read(written(query(ProcedureCodeSequence=[inner]), syntax), lookup(syntax), STUDY_ROOT)
    hollow = read(written(query(ProcedureCodeSequence=[empty]), syntax), lookup(syntax), STUDY_ROOT)
    none = read(written(query(ProcedureCodeSequence=[]), syntax), lookup(syntax), STUDY_ROOT)

    assert [(key.tag, key.value) for key in filled.keys[0].items] == [(0x00080100, "T-D1100")]
    assert hollow.keys[0].is_universal
    assert none.keys[0].is_universal


def test_a_deflated_identifier_that_unfolds_to_too_much_is_refused() -> None:
    size = 17 << 20
    bomb = deflate(struct.pack("<HH2sHI", 0x0020, 0x000D, b"UN", 0, size) + bytes(size))

    assert len(bomb) < 1 << 16
    with pytest.raises(Malformed, match="unfolds to too much"):
        read(bomb, lookup(DEFLATED), STUDY_ROOT)


def test_private_and_unknown_keys_are_read_and_harmless() -> None:
    dataset = query()
    dataset.add_new(0x00110010, "LO", "SOMEBODY")
    dataset.add_new(0x00111001, "UN", b"\xff\xfe\0")
    dataset.add_new(0x00191002, "OB", b"")

    found = read(encoded(dataset), lookup(EXPLICIT), STUDY_ROOT)

    assert {0x00111001, 0x00191002} <= {key.tag for key in found.keys}


@pytest.mark.parametrize("level", ["", "study", "PATIENT", "FRAME", "STUDY\\SERIES", "\u00df"])
def test_a_level_the_model_has_not_is_refused(level: str) -> None:
    dataset = element(0x00080052, "CS", level.encode("latin-1").ljust(8))

    with pytest.raises(Mismatch):
        read(dataset, lookup(EXPLICIT), STUDY_ROOT)


@example(b"\x08\x00\x05\x00CS\x02\x00\\\\")
@example(struct.pack("<HH2sH", 8, 0x51, b"SQ", 0) + struct.pack("<I", 0xFFFFFFFF) * 3)
@example((struct.pack("<HHI", 8, 0x1140, 0xFFFFFFFF) + b"\xfe\xff\0\xe0\xff\xff\xff\xff") * 3000)
@given(st.binary(max_size=200))
def test_garbage_is_refused_or_read_but_never_a_surprise(data: bytes) -> None:
    level = element(0x00080052, "CS", b"STUDY ")
    for syntax in (EXPLICIT, IMPLICIT, BIG, DEFLATED):
        for dataset in (data, level + data):
            with contextlib.suppress(IsocenterError):
                read(dataset, lookup(syntax), STUDY_ROOT)


VRS = ["US", "SS", "UL", "SL", "FL", "FD", "AT", "OB", "OW", "UN", "DS", "IS", "DA", "PN", "UI"]


@given(st.lists(st.tuples(st.integers(9, 0x7FDF), st.sampled_from(VRS), st.binary(max_size=9))))
def test_values_that_are_none_of_their_vr_are_no_surprise(
    given_elements: list[tuple[int, str, bytes]],
) -> None:
    data = element(0x00080052, "CS", b"STUDY ")
    for group, vr, value in sorted(given_elements):
        if vr in ("OB", "OW", "UN"):
            header = struct.pack("<HH2sHI", group, 0x11, vr.encode(), 0, len(value))
            data += header + value
        else:
            data += element(group << 16 | 0x11, vr, value)

    read(data, lookup(EXPLICIT), STUDY_ROOT)


# PS3.4 C.4.1.2.1: each level above the one of the query is named by a single value.
@pytest.mark.parametrize(
    ("model", "level", "keys", "is_allowed"),
    [
        (PATIENT_ROOT, "PATIENT", {}, True),
        (PATIENT_ROOT, "STUDY", {"PatientID": "1"}, True),
        (PATIENT_ROOT, "STUDY", {}, False),
        (PATIENT_ROOT, "STUDY", {"PatientID": ""}, False),
        (PATIENT_ROOT, "STUDY", {"PatientID": "1*"}, False),
        (PATIENT_ROOT, "SERIES", {"PatientID": "1", "StudyInstanceUID": "1.2"}, True),
        (PATIENT_ROOT, "SERIES", {"StudyInstanceUID": "1.2"}, False),
        (STUDY_ROOT, "STUDY", {}, True),
        (STUDY_ROOT, "SERIES", {"StudyInstanceUID": "1.2"}, True),
        (STUDY_ROOT, "SERIES", {"StudyInstanceUID": ["1.2", "1.3"]}, False),
        (STUDY_ROOT, "IMAGE", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"}, True),
        (STUDY_ROOT, "IMAGE", {"StudyInstanceUID": "1.2"}, False),
        (PATIENT_STUDY, "STUDY", {"PatientID": "1"}, True),
    ],
)
def test_the_levels_above_are_named(
    model: object, level: str, keys: dict[str, object], is_allowed: bool
) -> None:
    dataset = query(**keys)
    dataset.QueryRetrieveLevel = level
    asked = read(encoded(dataset), lookup(EXPLICIT), model)  # type: ignore[arg-type]

    check_hierarchy(asked, model, Negotiated(relational=True))  # type: ignore[arg-type]
    if is_allowed:
        check_hierarchy(asked, model, Negotiated())  # type: ignore[arg-type]
    else:
        with pytest.raises(Mismatch):
            check_hierarchy(asked, model, Negotiated())  # type: ignore[arg-type]


def test_a_retrieval_names_what_it_means() -> None:
    dataset = query(PatientID="1", StudyInstanceUID=["1.2", "1.3"], IssuerOfPatientID="HERE")

    selection = selection_of(read(encoded(dataset), lookup(EXPLICIT), PATIENT_ROOT))

    assert (selection.patient_id, selection.issuer) == ("1", "HERE")
    assert selection.studies == ("1.2", "1.3")


def test_several_patients_at_once_are_not_retrieved_in_part() -> None:
    dataset = query(PatientID=["1", "2"])
    dataset.QueryRetrieveLevel = "PATIENT"

    with pytest.raises(Mismatch):
        selection_of(read(encoded(dataset), lookup(EXPLICIT), PATIENT_ROOT))


# PS3.4 Tables C.5-1 and C.5-2; C.5.2.
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (b"", b""),
        (b"\1", b"\1"),
        (b"\1\1\1\1", b"\1\1\1\1"),
        (b"\0\1\0\1", b"\0\1\0\1"),
        (b"\2\xff\1", b"\0\0\1"),
        (b"\1\1\1\1\1\1", b"\1\1\1\1"),
    ],
)
def test_what_is_asked_for_is_agreed_to(asked: bytes, answered: bytes) -> None:
    assert answer_find(asked) == answered
    assert answer_retrieve(asked) == answered[:1]
    options = Negotiated.of(asked)
    assert bytes(
        (options.relational, options.combined_date_time, options.fuzzy, options.timezone)
    ) == answered.ljust(4, b"\0")
