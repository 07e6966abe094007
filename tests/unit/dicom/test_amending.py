"""Corrections in the bytes of data sets, held against pydicom's editing of the same."""

import io
from contextlib import suppress
from typing import Any

import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite

from isocenter.dicom.amending import amended
from isocenter.dicom.layout import Buffer
from isocenter.dicom.overlay import Overlay, read, written
from isocenter.dicom.syntax import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    TransferSyntax,
)
from isocenter.errors import IsocenterError

SYNTAXES = (IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
AT = 1_700_000_000_000_000


class Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def window(self, start: int, end: int) -> memoryview:
        return memoryview(self._data)[start:end]


def overlay(*steps: dict[str, Any]) -> Overlay:
    found = read(written([(AT + number, step) for number, step in enumerate(steps)]))
    assert found is not None
    return found


def amend(data: Buffer, syntax: TransferSyntax, laid: Overlay) -> bytes:
    data = bytes(data)
    parts, at = [], 0
    for splice in amended(Reader(data), syntax, laid):
        assert splice.start >= at
        parts += [data[at : splice.start], splice.content]
        at = splice.end
    return b"".join((*parts, data[at:]))


def encoded(dataset: Dataset, syntax: TransferSyntax) -> bytes:
    buffer = io.BytesIO()
    dcmwrite(
        buffer,
        dataset,
        implicit_vr=syntax.is_implicit,
        little_endian=syntax.is_little_endian,
        force_encoding=True,
    )
    return buffer.getvalue()


def decoded(data: bytes, syntax: TransferSyntax) -> Dataset:
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = syntax.uid
    return pydicom.filereader.read_dataset(
        io.BytesIO(data), syntax.is_implicit, syntax.is_little_endian
    )


def name(text: str) -> dict[str, Any]:
    return {"00100010": {"vr": "PN", "Value": [{"Alphabetic": text}]}}


def image(**more: Any) -> Dataset:
    made = Dataset()
    made.PatientName, made.PatientID = "Doe^Jane", "P1"
    made.StudyDate = "20200101"
    made.SOPInstanceUID = "1.2.3"
    made.Rows = 2
    made.PixelData = b"\1\2\3\4"
    made["PixelData"].VR = "OW"
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_name_is_another_and_the_former_one_is_told(syntax: TransferSyntax) -> None:
    data = amend(encoded(image(), syntax), syntax, overlay(name("Roe^Richard")))

    found = decoded(data, syntax)
    assert found.PatientName == "Roe^Richard"
    (item,) = found.OriginalAttributesSequence
    assert item.AttributeModificationDateTime == "20231114221320.000000+0000"
    assert (item.ModifyingSystem, item.SourceOfPreviousValues) == ("Isocenter", "")
    assert item.ReasonForTheAttributeModification == "CORRECT"
    (modified,) = item.ModifiedAttributesSequence
    assert [element.keyword for element in modified] == ["PatientName"]
    assert modified.PatientName == "Doe^Jane"
    assert found.PixelData == b"\1\2\3\4"


def test_each_correction_tells_what_it_changed() -> None:
    data = encoded(image(), EXPLICIT_LE)
    steps = overlay(name("Roe"), {"00100040": {"vr": "CS", "Value": ["F"]}}, name("Poe"))

    first, second, third = decoded(
        amend(data, EXPLICIT_LE, steps), EXPLICIT_LE
    ).OriginalAttributesSequence

    assert first.ModifiedAttributesSequence[0].PatientName == "Doe^Jane"
    assert second.ModifiedAttributesSequence[0].PatientSex == ""  # there was none
    assert third.ModifiedAttributesSequence[0].PatientName == "Roe"


def test_what_says_so_already_stays_as_it_is() -> None:
    data = encoded(image(), EXPLICIT_LE)

    assert amended(Reader(data), EXPLICIT_LE, overlay(name("Doe^Jane"))) == []
    assert amended(Reader(data), EXPLICIT_LE, overlay({"00100024": None})) == []


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_attribute_is_taken_out(syntax: TransferSyntax) -> None:
    issuer = Dataset()
    issuer.UniversalEntityID = "1.2.3"
    made = image(IssuerOfPatientIDQualifiersSequence=[issuer])

    found = decoded(amend(encoded(made, syntax), syntax, overlay({"00100024": None})), syntax)

    assert "IssuerOfPatientIDQualifiersSequence" not in found
    (modified,) = found.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert modified.IssuerOfPatientIDQualifiersSequence[0].UniversalEntityID == "1.2.3"


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("is_undefined", [False, True])
def test_former_original_attributes_are_kept(syntax: TransferSyntax, is_undefined: bool) -> None:
    modified, former = Dataset(), Dataset()
    modified.PatientID = "P0"
    former.ModifiedAttributesSequence = [modified]
    former.ModifyingSystem = "another"
    made = image(OriginalAttributesSequence=[former])
    made["OriginalAttributesSequence"].is_undefined_length = is_undefined

    found = decoded(amend(encoded(made, syntax), syntax, overlay(name("Roe"))), syntax)

    first, second = found.OriginalAttributesSequence
    assert first == former
    assert second.ModifyingSystem == "Isocenter"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_the_character_set_cannot_express_makes_all_text_utf_8(
    syntax: TransferSyntax,
) -> None:
    inner, own = Dataset(), Dataset()
    inner.CodeMeaning = "größer"
    own.SpecificCharacterSet, own.CodeMeaning = "ISO_IR 144", "Иван"
    deeper = Dataset()
    deeper.ConceptNameCodeSequence = [inner]
    made = image(
        SpecificCharacterSet="ISO_IR 100",
        StudyDescription="Schädel",
        AnatomicRegionSequence=[inner, own],
        ContentSequence=[deeper],
        PatientComments="plain",
    )

    data = amend(encoded(made, syntax), syntax, overlay(name("Иванов^Иван")))

    found = decoded(data, syntax)
    found.decode()
    assert found.SpecificCharacterSet == "ISO_IR 192"
    assert str(found.PatientName) == "Иванов^Иван"
    assert found.StudyDescription == "Schädel"
    assert [each.CodeMeaning for each in found.AnatomicRegionSequence] == ["größer", "Иван"]
    assert found.ContentSequence[0].ConceptNameCodeSequence[0].CodeMeaning == "größer"
    assert b"\xc3\xa4" in data
    assert found.PixelData == b"\1\2\3\4"


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO_IR 100", "Müller^Jürg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("ISO_IR 144", "Иванов"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_a_name_that_the_character_set_has_leaves_it(charset: Any, text: str) -> None:
    groups = dict(zip(("Alphabetic", "Ideographic"), text.split("="), strict=False))
    changes = {"00100010": {"vr": "PN", "Value": [groups]}}
    made = image(SpecificCharacterSet=charset)

    found = decoded(amend(encoded(made, EXPLICIT_LE), EXPLICIT_LE, overlay(changes)), EXPLICIT_LE)

    found.decode()
    assert str(found.PatientName) == text
    assert found.SpecificCharacterSet == charset


def test_an_element_that_is_there_twice_misleads_nobody() -> None:
    data = encoded(image(), EXPLICIT_LE)
    again = b"\x10\x00\x10\x00PN\x04\x00Doe "

    made = amend(again + data, EXPLICIT_LE, overlay(name("Roe")))

    assert made.count(b"Doe") == 1  # among the original attributes
    assert made.count(b"\x10\x00\x10\x00PN") == 2


def test_lengths_of_groups_that_are_not_right_any_more_are_left_out() -> None:
    data = encoded(image(), EXPLICIT_LE)
    first, second = (data.index(each) for each in (b"\x10\x00\x10\x00PN", b"\x28\x00\x10\x00US"))
    lengths = [
        group + b"\x00\x00UL\x04\x00\x10\x00\x00\x00" for group in (b"\x10\x00", b"\x28\x00")
    ]
    data = data[:first] + lengths[0] + data[first:second] + lengths[1] + data[second:]

    made = amend(data, EXPLICIT_LE, overlay(name("Roe")))

    assert lengths[0] not in made
    assert lengths[1] in made  # nothing in that group is another
    assert lengths[1] not in amend(data, EXPLICIT_LE, overlay(name("Иван")))


def test_encapsulated_pixel_data_is_not_looked_at() -> None:
    head = encoded(image(), EXPLICIT_LE)
    start = head.index(b"\xe0\x7f\x10\x00")
    pixels = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"whatever"

    made = amend(head[:start] + pixels, EXPLICIT_LE, overlay(name("Roe")))

    assert made.endswith(pixels)


TEXT = st.text("ABCdef^ é", max_size=12).map(lambda each: each.strip(" ^"))
VALUES = {
    "PatientName": TEXT,
    "PatientID": TEXT,
    "PatientBirthDate": st.sampled_from(["", "19700101"]),
    "StudyDescription": TEXT,
    "AccessionNumber": TEXT,
    "Rows": st.integers(0, 65535),
    "PatientComments": TEXT,
    "PixelData": st.binary(max_size=8).map(lambda each: each * 2),
}
TAGS = {
    "PatientName": ("00100010", "PN"),
    "PatientID": ("00100020", "LO"),
    "PatientBirthDate": ("00100030", "DA"),
    "StudyDescription": ("00081030", "LO"),
    "AccessionNumber": ("00080050", "SH"),
}


def contents(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    optional: dict[str, Any] = dict(VALUES)
    if depth:
        optional["ContentSequence"] = st.lists(contents(depth - 1), max_size=2)
        optional["PixelData"] = st.nothing()
        del optional["PixelData"]
    return st.fixed_dictionaries({}, optional=optional)


def made_of(given_values: dict[str, Any]) -> Dataset:
    made = Dataset()
    for keyword, value in given_values.items():
        if keyword == "ContentSequence":
            value = [made_of(each) for each in value]
        setattr(made, keyword, value)
        if keyword == "PixelData":
            made["PixelData"].VR = "OW"
    return made


CHANGED = st.dictionaries(st.sampled_from(sorted(TAGS)), TEXT, min_size=1)


@given(
    contents(2),
    st.booleans(),
    st.lists(CHANGED, min_size=1, max_size=3),
    st.sampled_from(SYNTAXES),
    st.booleans(),
)
def test_it_is_what_pydicom_gives_by_editing(
    values: dict[str, Any],
    has_charset: bool,
    steps: list[dict[str, str]],
    syntax: TransferSyntax,
    is_undefined: bool,
) -> None:
    values = dict(values)
    before = made_of(values)
    before.SpecificCharacterSet = "ISO_IR 100"
    before.PixelData = b"\1\2"
    before["PixelData"].VR = "OW"
    if is_undefined and "ContentSequence" in before:
        before["ContentSequence"].is_undefined_length = True
    if not has_charset:
        steps = [*steps, {"PatientName": "Иван"}]
    changes = [
        {TAGS[word][0]: _attribute(word, text) for word, text in step.items()} for step in steps
    ]
    expected = decoded(encoded(before, syntax), syntax)
    expected.decode()
    for step in steps:
        for word, text in step.items():
            setattr(expected, word, text)

    found = decoded(amend(encoded(before, syntax), syntax, overlay(*changes)), syntax)

    if "OriginalAttributesSequence" in found:
        del found.OriginalAttributesSequence
    found.decode()
    for each in (found, expected):
        each.walk(_without_charset)
    for word in TAGS:
        assert str(found.get(word, "")) == str(expected.get(word, "")).strip()
        for each in (found, expected):
            each.pop(word, None)
    assert found == expected


def _without_charset(dataset: Dataset, element: Any) -> None:
    if element.keyword == "SpecificCharacterSet":
        element.value = ""


def _attribute(word: str, text: str) -> dict[str, Any]:
    vr = TAGS[word][1]
    if not text:
        return {"vr": vr}
    return {"vr": vr, "Value": [{"Alphabetic": text} if vr == "PN" else text]}


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_garbage_gives_nothing_worse_than_an_error_of_ours(
    data: bytes, syntax: TransferSyntax
) -> None:
    with suppress(IsocenterError):
        amend(data, syntax, overlay(name("Иван"), {"00100020": {"vr": "LO", "Value": ["x"]}}))


@given(st.binary(max_size=60), st.integers(0, 300))
def test_a_damaged_data_set_gives_nothing_worse(garbage: bytes, at: int) -> None:
    inner = Dataset()
    inner.CodeMeaning = "größer"
    made = image(SpecificCharacterSet="ISO_IR 100", AnatomicRegionSequence=[inner])
    data = encoded(made, EXPLICIT_LE)
    with suppress(IsocenterError):
        amend(data[:at] + garbage + data[at:], EXPLICIT_LE, overlay(name("Иван")))
