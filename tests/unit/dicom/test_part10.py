"""DICOM files: what is read, what is written."""

import io

import pydicom
import pytest
from hypothesis import given, strategies as st

from datasets import Node, encode
from faults_allowed import nothing_worse_than_malformed
from isocenter.dicom import part10
from isocenter.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, UNCOMPRESSED
from isocenter.errors import Malformed

CT = "1.2.840.10008.5.1.4.1.1.2"
DATA = encode([Node(0x00080018, "UI", b"1.2\0"), Node(0x00100010, "PN", b"A^B ")])
uids = st.from_regex(r"[0-2](\.[1-9][0-9]{0,8}){1,6}", fullmatch=True)
titles = st.none() | st.from_regex(r"[A-Z]{1,16}", fullmatch=True)


@given(uids, uids, st.sampled_from(sorted(syntax.uid for syntax in UNCOMPRESSED)), titles)
def test_what_is_written_is_read_back(sop_class, sop_instance, syntax, title):
    head = part10.header(sop_class, sop_instance, syntax, source_ae=title, private=("1.2", b"x"))

    found = part10.read(head + DATA)

    assert (found.sop_class, found.sop_instance, found.syntax.uid) == (
        sop_class,
        sop_instance,
        syntax,
    )
    assert found.dataset_offset == len(head)
    assert found.has_preamble


def test_pydicom_reads_what_is_written_without_complaint():
    head = part10.header(CT, "1.2.3", EXPLICIT_LE.uid, source_ae="SENDER", receiving_ae="US")

    read = pydicom.dcmread(io.BytesIO(head + DATA))

    assert read.file_meta.FileMetaInformationGroupLength == len(head) - 132 - 12
    assert read.file_meta.FileMetaInformationVersion == b"\0\1"
    assert read.file_meta.MediaStorageSOPClassUID == CT
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert read.file_meta.SourceApplicationEntityTitle == "SENDER"
    assert read.PatientName == "A^B"


def test_the_implementation_is_named_within_bounds():
    # PS3.5 B.2 for the root; PS3.7 D.3.3.2 for the lengths.
    assert len(IMPLEMENTATION_CLASS_UID) <= 64
    assert int(IMPLEMENTATION_CLASS_UID.removeprefix("2.25.")) < 1 << 128
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (DATA, EXPLICIT_LE),
        (encode([Node(0x00080018, "UI", b"1.2\0")], implicit=True), IMPLICIT_LE),
        (encode([Node(0x00080018, "UI", b"1.2\0")], little=False), EXPLICIT_BE),
    ],
)
def test_the_syntax_of_a_naked_data_set_is_told_by_its_bytes(data, syntax):
    found = part10.read(data)

    assert (found.syntax, found.dataset_offset, found.has_preamble) == (syntax, 0, False)


@pytest.mark.parametrize("uids", [("1" * 70_000, "1.2"), ("1.2", "1" * 0xFFFF)])
def test_no_meta_information_is_made_of_uids_that_do_not_fit(uids):
    with pytest.raises(Malformed, match="UI of"):
        part10.header(*uids, EXPLICIT_LE.uid)


def test_meta_information_without_a_preamble_is_read():
    head = part10.header(CT, "1.2.3", IMPLICIT_LE.uid)

    found = part10.read(head[132:] + DATA)

    assert (found.sop_class, found.dataset_offset) == (CT, len(head) - 132)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 0xFFFFFFFF])
def test_a_wrong_group_length_does_no_harm(length):
    head = bytearray(part10.header(CT, "1.2.3", EXPLICIT_LE.uid))
    head[140:144] = length.to_bytes(4, "little")

    assert part10.read(bytes(head) + DATA).dataset_offset == len(head)


def test_the_prefix_may_be_a_word_in_a_naked_data_set():
    start = encode([Node(0x00081030, "LO", b"x" * 112)])
    data = start + encode([Node(0x00080050, "SH", b"DICM")])
    assert data[128:132] == b"DICM"

    assert not part10.read(data).has_preamble


class Counting(io.BytesIO):
    taken = 0

    def read(self, size=-1):
        found = super().read(size)
        self.taken += len(found)
        return found


def test_no_more_of_a_file_is_read_than_it_takes():
    file = Counting(part10.header(CT, "1.2.3", EXPLICIT_LE.uid) + bytes(1 << 22))

    part10.read(file)

    assert file.taken <= 8192


@pytest.mark.parametrize("data", [b"", b"plain text, not an image at all", b"%PDF-1.7\n" * 50])
def test_what_is_no_dicom_file_is_malformed(data):
    with pytest.raises(Malformed) as caught:
        part10.read(data)

    assert caught.value.offset is not None


@given(st.binary(max_size=400), st.integers(0, 400))
def test_garbage_gives_nothing_worse_than_malformed(garbage, at):
    head = part10.header(CT, "1.2.3", EXPLICIT_LE.uid)
    with nothing_worse_than_malformed(at + len(garbage)):
        part10.read(head[:at] + garbage)
