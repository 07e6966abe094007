"""Dumps, and file-sets."""

from datasets import Node, encode, header, marker
from isocenter.dicom import directory, part10
from isocenter.dicom.dump import lines
from isocenter.dicom.elements import elements
from isocenter.dicom.syntax import EXPLICIT_LE


def test_a_dump_shows_tag_vr_value_length_multiplicity_and_name():
    data = encode(
        [
            Node(0x00080008, "CS", b"ORIGINAL\\PRIMARY"),
            Node(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
            Node(0x00090010, "LO", b"GEMS_IDEN_01"),
            Node(0x00091001, "LO", b"x\n"),
            Node(0x0040A730, "SQ", items=[[Node(0x00100010, "PN", b"A^B ")]]),
            Node(0x00420011, "OB", bytes(20)),
        ]
    )

    assert list(lines(elements(data, EXPLICIT_LE))) == [
        "(0008,0008) CS [ORIGINAL\\PRIMARY]  # 16, 2 ImageType",
        "(0008,0016) UI [1.2.840.10008.5.1.4.1.1.2 =CT Image Storage]  # 26, 1 SOPClassUID",
        "(0009,0010) LO [GEMS_IDEN_01]  # 12, 1 Private Creator",
        "(0009,1001) LO [x.]  # 2, 1 Full fidelity [GEMS_IDEN_01]",
        "(0040,A730) SQ 1 item  # 20, 1 ContentSequence",
        "  item 1",
        "    (0010,0010) PN [A^B]  # 4, 1 PatientName",
        f"(0042,0011) OB {'00 ' * 15}00…  # 20, 1 EncapsulatedDocument",
    ]


def test_a_dump_shows_fragments():
    data = header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True)
    data += marker(0xFFFEE000, 2, little=True) + b"ab" + marker(0xFFFEE0DD, 0, little=True)

    assert list(lines(elements(data, EXPLICIT_LE))) == [
        "(7FE0,0010) OB encapsulated  # undefined, 1 PixelData",
        "  fragment 0: 61 62  # 2",
    ]


def record(kind, file_id=b"", instance=b""):
    return [
        Node(0x00041430, "CS", kind),
        Node(0x00041500, "CS", file_id),
        Node(0x00041510, "UI", b"1.2.840.10008.5.1.4.1.1.2\0"),
        Node(0x00041511, "UI", instance),
    ]


def dicomdir(*records):
    head = part10.header("1.2.840.10008.1.3.10", "1.2.3", EXPLICIT_LE.uid)
    return head + encode([Node(0x00041220, "SQ", items=list(records))])


def test_a_directory_names_the_files_of_its_records(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "im000001").write_bytes(b"")

    found = directory.read(
        dicomdir(
            record(b"PATIENT "),
            record(b"IMAGE ", b"IMAGES\\IM000001 ", b"1.2.3.4\0"),
            record(b"IMAGE ", b"IMAGES\\IM000002 ", b"1.2.3.5\0"),
        )
    )

    first, second = found.references
    assert found.fault is None
    assert (first.record_type, first.sop_instance) == ("IMAGE", "1.2.3.4")
    assert first.path(tmp_path) == tmp_path / "images" / "im000001"
    assert found.missing(tmp_path) == (second,)


def test_a_file_id_cannot_lead_out_of_the_file_set(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret").write_bytes(b"")
    (tmp_path / "inside" / "link").symlink_to(tmp_path)

    found = directory.read(
        dicomdir(
            record(b"IMAGE ", b"..\\secret "),
            record(b"IMAGE ", b"../secret "),
            record(b"IMAGE ", b"/secret "),
            record(b"IMAGE ", b"LINK\\SECRET "),
        )
    )

    assert [each.path(tmp_path / "inside") for each in found.references] == [None] * 4


def test_a_directory_that_is_cut_short_gives_what_it_has():
    whole = dicomdir(record(b"IMAGE ", b"A "), record(b"IMAGE ", b"B "))
    length = len(whole)
    short = bytearray(whole)
    # The second item claims more than there is.
    at = whole.rindex(b"\xfe\xff\x00\xe0")
    short[at + 4 : at + 8] = length.to_bytes(4, "little")

    found = directory.read(bytes(short))

    assert [each.file_id for each in found.references] == [("A",)]
    assert found.fault is not None
