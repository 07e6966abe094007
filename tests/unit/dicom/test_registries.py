"""Transfer syntaxes, SOP classes and the data dictionary."""

import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.uid import UID, AllTransferSyntaxes

from isocenter.dicom import dictionary, sop_classes, syntax

# Where pixel data is elsewhere or there is no data set, pydicom's answer is but a default.
WITHOUT_PIXEL_DATA = ("1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.7.")


@pytest.mark.parametrize(
    "uid", [uid for uid in AllTransferSyntaxes if not uid.startswith(WITHOUT_PIXEL_DATA)]
)
def test_transfer_syntaxes_agree_with_pydicom(uid):
    found = syntax.lookup(uid)

    assert found.name == UID(uid).name
    assert found.is_implicit == uid.is_implicit_VR
    assert found.is_little_endian == uid.is_little_endian
    assert found.is_deflated == uid.is_deflated
    assert found.is_encapsulated == uid.is_encapsulated


@pytest.mark.parametrize(
    "uid",
    ["1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.8.1", "1.2.3.4", "", "1.2.840.10008.1.2.99"],
)
def test_what_is_newer_private_or_unknown_counts_as_encapsulated_explicit_little_endian(uid):
    found = syntax.lookup(uid)

    assert found.is_encapsulated
    assert found.is_little_endian
    assert not found.is_implicit
    assert not found.is_deflated


def test_four_syntaxes_are_native():
    assert {known.uid for known in syntax.UNCOMPRESSED} == {
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.2",
    }


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.1.2",  # CT
        "1.2.840.10008.5.1.4.1.1.66.7",  # label map segmentation
        "1.2.840.10008.5.1.4.1.1.66.8",  # height map segmentation
        "1.2.840.10008.5.1.4.38.1",  # hanging protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # inventory
        "1.2.840.10008.5.1.1.29",  # hardcopy greyscale, retired
        "1.2.840.10008.5.1.4.34.7",  # RT beams delivery instruction
    ],
)
def test_storage_classes_of_all_kinds_are_known(uid):
    assert uid in sop_classes.STORAGE


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.1.1",  # verification
        "1.2.840.10008.1.3.10",  # DICOMDIR
        "1.2.840.10008.1.20.1",  # storage commitment
        "1.2.840.10008.5.1.4.1.2.2.1",  # study root find
        "1.2.840.10008.5.1.4.1.1.200.4",  # protocol approval find
    ],
)
def test_services_are_not_storage(uid):
    assert uid in sop_classes.SOP_CLASSES
    assert uid not in sop_classes.STORAGE


def test_unknown_sop_classes_are_called_by_their_uid():
    assert sop_classes.name_of("1.2.3") == "1.2.3"
    assert sop_classes.name_of("1.2.840.10008.5.1.4.1.1.2") == "CT Image Storage"


@pytest.mark.parametrize("tag", [0x00100010, 0x7FE00010, 0x60020010, 0x00280106, 0x0040A730])
def test_the_dictionary_is_pydicoms(tag):
    assert dictionary.dictionary_vr(tag) == dictionary_VR(tag)
    assert dictionary.keyword_of(tag) == keyword_for_tag(tag)


def test_tags_are_found_by_keyword_and_by_number():
    for written in ("PatientName", "00100010", "(0010,0010)", "0010,0010"):
        assert dictionary.tag_of(written) == 0x00100010
    for nonsense in ("", "PatientNames", "0010001", "0010001x"):
        assert dictionary.tag_of(nonsense) is None


def test_private_tags_are_named_by_their_creator():
    assert dictionary.name_of(0x00091001, "GEMS_IDEN_01") == "[Full fidelity]".strip("[]")
    assert dictionary.name_of(0x00091001) == ""
    assert dictionary.name_of(0x00090010) == "Private Creator"


def test_a_group_length_is_a_number_in_any_group():
    # PS3.5 7.2
    assert dictionary.plain_vr(0x00090000) == dictionary.plain_vr(0x00080000) == "UL"
