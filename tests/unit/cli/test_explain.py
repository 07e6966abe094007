"""``isocenter explain``: expected is what PS3.5, PS3.6, PS3.7 and PS3.4 have, typed from there."""

import json
import re

import pytest
import typer
from hypothesis import given, settings, strategies as some
from pydicom.datadict import DicomDictionary, keyword_for_tag
from typer.testing import CliRunner, Result

from isocenter.cli.explain import explain
from isocenter.cli.explaining import meanings
from isocenter.dicom.layout import LONG_VRS, SHORT_VRS
from isocenter.dicom.vrs import VRS
from isocenter.imaging.codecs import CODECS

program = typer.Typer()
program.command("explain")(explain)


def run(*terms: str) -> Result:
    return CliRunner().invoke(program, [*terms])


def found(*terms: str) -> list[dict[str, str]]:
    done = run(*terms, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "term",
    [
        *("(0010,0010)", "0010,0010", "00100010", "PatientName", "patientname"),
        *("patient name", "Patient's Name", "PATIENT\u2019S NAME"),
    ],
)
def test_an_attribute_is_known_by_tag_keyword_and_name(term: str) -> None:
    (one,) = found(term)

    assert one["title"] == "(0010,0010) PatientName"
    assert (one["name"], one["VR"], one["VM"]) == ("Patient's Name", "PN (Person Name)", "1")
    assert one["source"] == "PS3.6 6"


def test_words_on_the_command_line_may_be_one_name() -> None:
    assert found("Echo", "Time") == found("EchoTime")
    assert [each["title"] for each in found("PatientID", "EchoTime")] == [
        "(0010,0020) PatientID",
        "(0018,0081) EchoTime",
    ]


def test_every_attribute_that_pydicom_knows_is_found_by_its_tag() -> None:
    for tag in DicomDictionary:
        titles = {each.title for each in meanings(f"{tag:08X}") if each.kind == "attribute"}
        keyword = keyword_for_tag(tag) or DicomDictionary[tag][2]
        assert f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}" in titles


def test_what_is_newer_than_pydicoms_dictionary_is_known() -> None:
    (attribute,) = found("(0006,0001)")
    (segmentation,) = found("LabelMapSegmentationStorage")
    (syntax,) = found("1.2.840.10008.1.2.4.110")

    assert attribute["VR"] == "SQ (Sequence of Items)"
    assert segmentation["UID"] == "1.2.840.10008.5.1.4.1.1.66.7"
    assert syntax["name"] == "JPEG XL Lossless"


def test_a_repeating_group_is_known_by_its_mask_and_by_each_of_its_tags() -> None:
    assert found("60xx,3000")[0]["title"] == "(60xx,3000) OverlayData"
    assert found("(6002,3000)")[0]["title"] == "(6002,3000) OverlayData"
    assert found("xxxx,3000")[0]["kind"] == "attribute"


def test_a_private_tag_is_known_by_its_creator() -> None:
    (one,) = found("(0019,100C)", "--creator", "SIEMENS MR HEADER")

    assert (one["name"], one["VR"]) == ("B_value", "IS (Integer String)")
    assert one["private creator"] == "SIEMENS MR HEADER"
    assert len(found("(0019,100C)")) > 1
    assert found("(0019,0010)")[0]["reserves"] == "0019,1000 to 10FF"
    assert found("(0019,10EF)", "--creator", "nobody")[0]["title"] == "(0019,10EF) private"


def test_every_vr_of_a_data_set_is_explained() -> None:
    assert set(VRS) == {*SHORT_VRS.values(), *LONG_VRS.values()}
    assert found("PN")[0]["name"] == "Person Name"


@pytest.mark.parametrize(
    ("uid", "kind", "name"),
    [
        ("1.2.840.10008.1.1", "SOP Class", "Verification SOP Class"),
        ("1.2.840.10008.1.20.1.1", "Well-known SOP Instance", None),
        ("1.2.840.10008.2.16.4", "Coding Scheme", "DICOM Controlled Terminology"),
        ("1.2.840.10008.3.1.1.1", "Application Context Name", None),
        ("1.2.840.10008.15.1.1", "Synchronization Frame of Reference", None),
        ("1.2.840.10008.1.4.1.1", "Well-known frame of reference", None),
        ("2.25.1", "UID", None),
    ],
)
def test_uids_of_every_kind_are_known(uid: str, kind: str, name: str | None) -> None:
    (one,) = found(uid)

    assert one["kind"] == kind
    assert name in (None, one.get("name"))


def test_what_is_retired_is_said_to_be() -> None:
    assert found("1.2.840.10008.5.1.4.1.1.6")[0]["retired"] == "yes"
    assert "retired" not in found("1.2.840.10008.5.1.4.1.1.6.1")[0]


def test_a_transfer_syntax_tells_what_is_done_with_it() -> None:
    for uid, codec in CODECS.items():
        (one,) = found(uid)
        assert codec.library.name in one["decoded"]
        assert codec.library.licence in one["decoded"]
    (htj2k,) = found("HTJ2KLossless")
    assert htj2k["convert"].endswith("--to htj2k")
    assert htj2k["encoding"] == "explicit VR, little endian, encapsulated"
    (ours_not,) = found("1.2.840.10008.1.2.4.94")
    assert (ours_not["decoded"], ours_not["encoded"]) == ("no", "no")


def test_a_sop_class_tells_whether_it_is_kept_and_rendered() -> None:
    assert found("CT Image Storage")[0]["rendered"].startswith("as a picture")
    assert "document" in found("1.2.840.10008.5.1.4.1.1.104.1")[0]["rendered"]
    assert "kept" not in found("1.2.840.10008.1.1")[0]
    assert "refers" in found("1.2.840.10008.5.1.4.1.1.11.1")[0]["rendered"]
    assert "rendered" not in found("1.2.840.10008.5.1.4.1.1.88.11")[0]


@pytest.mark.parametrize("term", ["A701", "a701", "0xA701", "A701H"])
def test_a_status_is_explained(term: str) -> None:
    kinds = {(each["of"], each["category"]) for each in found(term)}

    assert kinds == {("C-STORE", "failure"), ("C-MOVE, C-GET", "failure")}


def test_a_status_code_of_the_web_services_is_explained() -> None:
    assert any("Store" in each["of"] for each in found("409"))


def test_a_context_group_is_known_by_its_number() -> None:
    assert found("CID 29")[0]["title"] == "CID 29 Acquisition Modality"


def test_a_slip_is_answered_with_what_is_near() -> None:
    done = run("PatinetName")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "PatientName" in done.stderr


def test_part_of_a_name_gives_what_has_it_the_shortest_first() -> None:
    titles = [each["title"] for each in found("photometric")]

    assert titles[0] == "(0028,0004) PhotometricInterpretation"
    assert re.search("… and [0-9]+ more", found("sequenc")[-1]["title"])


@settings(deadline=None)  # words are looked for in thousands of names
@given(some.text(max_size=40))
def test_no_term_brings_it_down(term: str) -> None:
    for each in meanings(term):
        assert each.title
