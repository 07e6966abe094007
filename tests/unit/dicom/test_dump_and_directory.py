"""Dumps, and file-sets."""

from hypothesis import given, settings, strategies as some

from datasets import Node, encode, header, marker
from isocenter.dicom import directory, part10
from isocenter.dicom.dump import Dump, lines
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
        "(0008,0008) CS ImageType                          ORIGINAL\\PRIMARY  # 16, 2",
        "(0008,0016) UI SOPClassUID                        1.2.840.10008.5.1.4.1.1.2 = CT Image Storage  # 26",  # noqa: E501
        "(0009,0010) LO Private Creator                    GEMS_IDEN_01  # 12",
        "(0009,1001) LO [GEMS_IDEN_01] Full fidelity       x\\n  # 2",
        "(0040,A730) SQ ContentSequence                    1 item  # 20",
        "  item 1",
        "    (0010,0010) PN PatientName                    A^B  # 4",
        f"(0042,0011) OB EncapsulatedDocument               {'00 ' * 15}00…  # 20",
    ]


def test_a_dump_shows_fragments():
    data = header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True)
    data += marker(0xFFFEE000, 2, little=True) + b"ab" + marker(0xFFFEE0DD, 0, little=True)

    assert list(lines(elements(data, EXPLICIT_LE))) == [
        "(7FE0,0010) OB PixelData                          encapsulated  # undefined",
        "  offset table: 61 62  # 2",
    ]


def test_values_are_shortened_unless_all_is_asked_for():
    data = encode(
        [
            Node(0x00081030, "LO", b"x" * 64),
            Node(0x00091010, "FL", bytes(400)),
            Node(0x00091011, "LO", b"a\\" * 99 + b"b "),
        ]
    )

    short = list(Dump(width=10).lines(elements(data, EXPLICIT_LE)))
    full = list(Dump(width=None).lines(elements(data, EXPLICIT_LE)))

    assert [line.split()[-3:] for line in short] == [
        ["xxxxxxxxx…", "#", "64"],
        ["#", "400,", "100"],
        ["#", "200,", "100"],
    ]
    assert f" {'x' * 64}  # 64" in full[0]
    assert " " + "\\".join(["0"] * 100) + "  # 400, 100" in full[1]
    assert " " + "a\\" * 99 + "b  # 200, 100" in full[2]


def test_sequences_are_opened_as_deep_as_is_asked_for():
    inner = [Node(0x00081199, "SQ", items=[[Node(0x00081150, "UI", b"1.2\0")]])]
    data = encode([Node(0x00081115, "SQ", items=[inner])])

    depths = [
        len(list(Dump(depth=depth).lines(elements(data, EXPLICIT_LE)))) for depth in (0, 1, 2, None)
    ]

    assert depths == [1, 3, 5, 5]


def test_what_is_cut_short_is_shown_as_far_as_it_goes():
    whole = encode(
        [
            Node(0x00100010, "PN", b"A^B "),
            Node(0x00081115, "SQ", items=[[Node(0x00081150, "UI", b"1.2\0" * 4)]]),
        ]
    )
    for cut in range(9, len(whole)):
        view = memoryview(whole[:cut])
        dump = Dump()

        lines = list(dump.lines(elements(view, EXPLICIT_LE), content=view))

        assert any("! " in line for line in lines) == bool(dump.faults)
        assert cut <= 12 or any("PatientName" in line for line in lines)
        if cut > 12 + 12 + 8 + 8 + 4:
            assert any("(0008,1150) UI ReferencedSOPClassUID" in line for line in lines)
            assert any("! a value of 16 bytes is cut short" in line for line in lines)


@settings(deadline=None)
@given(some.binary(max_size=300))
def test_no_bytes_bring_a_dump_down(data):
    view = memoryview(data)
    dump = Dump(width=20)

    for line in dump.lines(elements(view, EXPLICIT_LE), content=view):
        assert line.isprintable()


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
