"""De-identification by the Basic Profile (PS3.15 Annex E), held against the standard's table."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from isocenter.dicom.confidentiality import Action, action
from isocenter.dicom.deidentify import Deidentifier
from isocenter.dicom.dictionary import dictionary_vr
from isocenter.dicom.syntax import EXPLICIT_LE, IMPLICIT_LE
from isocenter.errors import Malformed

TABLE = Path(__file__).parents[2] / "data" / "basic_profile.txt"
ROWS = dict(line.split() for line in TABLE.read_text().splitlines() if not line.startswith("#"))
ALLOWED = {
    "X": {Action.REMOVE},
    "Z": {Action.EMPTY},
    "D": {Action.DUMMY},
    "U": {Action.UID},
    "X/Z": {Action.REMOVE, Action.EMPTY},
    "X/D": {Action.REMOVE, Action.DUMMY},
    "Z/D": {Action.EMPTY, Action.DUMMY},
    "X/Z/D": {Action.REMOVE, Action.EMPTY, Action.DUMMY},
    "X/Z/U*": {Action.REMOVE, Action.EMPTY, Action.UID},
}
OF_ANOTHER_EDITION = {"00100020": {Action.DUMMY}}
"""2024e has Z/D for Patient ID."""
TO_STAY_CONFORMANT = {
    "00700082": {Action.DUMMY},
    "00700083": {Action.DUMMY},
    "00401001": {Action.EMPTY},
    "0040100A": {Action.EMPTY},
}
"""Removed says the table, where IODs have type 1 or 2."""


@pytest.mark.parametrize("tag", ROWS)
def test_every_attribute_of_the_table_is_treated_as_it_says(tag: str) -> None:
    number = int(tag, 16)
    if dictionary_vr(number) is None:
        expected = {Action.REMOVE}  # nobody knows what it is
    else:
        expected = {**OF_ANOTHER_EDITION, **TO_STAY_CONFORMANT}.get(tag) or ALLOWED[ROWS[tag]]

    assert action(number, str(dictionary_vr(number)).split(" or ")[-1]) in expected


@pytest.mark.parametrize("tag", [0x00091001, 0x50000010, 0x60003000, 0x60004000, 0x601E3000])
def test_private_attributes_curves_and_overlays_are_removed(tag: int) -> None:
    assert action(tag, "OB") is Action.REMOVE


def person() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2"
    dataset.StudyDate = "20240229"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "P1"
    dataset.PatientBirthDate = "19700101"
    dataset.Manufacturer = "Maker"
    dataset.SeriesDate = "20240301"
    dataset.add_new(0x00090010, "LO", "DOE MEDICAL")
    dataset.add_new(0x00091001, "SQ", [_item(PatientName="Doe^Jane")])
    dataset.ReferencedImageSequence = [
        _item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID="1.2.3.5")
    ]
    dataset.FrameOfReferenceUID = "1.2.840.10008.1.4.1.1"
    code = {"CodeValue": "121005", "CodingSchemeDesignator": "DCM", "CodeMeaning": "Observer"}
    dataset.ContentSequence = [
        _item(
            ConceptNameCodeSequence=[_item(**code)],
            TextValue="Jane Doe was here",
            PersonName="Doe^Jane",
            ContentSequence=[_item(TextValue="so was P1", UID="1.2.3.6")],
        )
    ]
    dataset.OperatorIdentificationSequence = [
        _item(PersonIdentificationCodeSequence=[_item(**{**code, "CodeMeaning": "Dr. Doe"})])
    ]
    return dataset


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def encoded(dataset: Dataset, *, is_implicit: bool = False) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, implicit_vr=is_implicit, little_endian=True)
    return out.getvalue()


def treated(data: bytes, *, is_implicit: bool = False, step: int = 1 << 20) -> bytes:
    work = Deidentifier(
        IMPLICIT_LE if is_implicit else EXPLICIT_LE,
        lambda uid: f"2.25.9{len(uid)}",
        "ANON-{}".format,
    )
    given = b"".join(work.feed(data[at : at + step]) for at in range(0, len(data), step))
    return given + work.finish()


def read(data: bytes) -> Dataset:
    return read_dataset(DicomBytesIO(data), is_implicit_VR=False, is_little_endian=True)


@pytest.mark.parametrize("is_implicit", [False, True])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_nothing_says_whose_it_is(step: int, is_implicit: bool) -> None:
    made = treated(encoded(person(), is_implicit=is_implicit), is_implicit=is_implicit, step=step)

    assert b"Doe" not in made
    assert b"DOE" not in made
    assert b"was" not in made
    assert b"2024" not in made
    assert b"1.2.3" not in made
    found = read(made)
    assert found.PatientName == ""
    assert found.PatientID == "ANON-P1"
    assert found.StudyDate == ""
    assert found.SeriesDate == "19000101"
    assert found.Manufacturer == "Maker"
    assert found.SOPInstanceUID == "2.25.97"
    assert found.FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"
    image = found.ReferencedImageSequence[0]
    assert image.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert image.ReferencedSOPInstanceUID == "2.25.97"


def test_what_a_report_means_stays_and_what_it_tells_does_not() -> None:
    content = read(treated(encoded(person()))).ContentSequence[0]

    assert content.ConceptNameCodeSequence[0].CodeMeaning == "Observer"
    assert content.TextValue == "ANONYMIZED"
    assert content.ContentSequence[0].TextValue == "ANONYMIZED"


def test_it_says_what_was_done() -> None:
    found = read(treated(encoded(person())))

    assert found.PatientIdentityRemoved == "YES"
    method = found.DeidentificationMethodCodeSequence[0]
    assert (method.CodeValue, method.CodingSchemeDesignator) == ("113100", "DCM")
    assert found.LongitudinalTemporalInformationModified == "REMOVED"


def test_pixels_pass_as_they_are_and_pieces_are_given_on_the_way() -> None:
    dataset = Dataset()
    dataset.PatientName = "Doe^Jane"
    dataset.add_new(0x7FE00010, "OW", bytes(range(256)) * 8192)
    data = encoded(dataset)
    work = Deidentifier(EXPLICIT_LE, str, str)

    largest, given = 0, []
    for at in range(0, len(data), 4096):
        given.append(work.feed(data[at : at + 4096]))
        largest = max(largest, len(given[-1]))
    given.append(work.finish())

    assert largest <= 8192
    assert read(b"".join(given)).PixelData == dataset.PixelData


def test_what_hides_a_sequence_is_removed() -> None:
    hidden = encoded(_item(PatientName="Doe^Jane"), is_implicit=True)
    unknown = b"\x08\x00\x40\x11UN\0\0" + len(hidden).to_bytes(4, "little") + hidden

    assert b"Doe" not in treated(unknown)


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_treated(data: bytes) -> None:
    try:
        treated(data)
    except Malformed:
        return


@given(st.binary(max_size=60), st.integers(0, 800))
def test_a_data_set_with_garbage_in_it_never_gives_the_name(garbage: bytes, at: int) -> None:
    data = encoded(pydicom.Dataset(_item(PatientName="Doe^Jane", OtherPatientIDs="Doe^Jane")))
    mixed = data[: at % len(data)] + garbage + data[at % len(data) :]
    try:
        treated(mixed)
    except Malformed:
        return
