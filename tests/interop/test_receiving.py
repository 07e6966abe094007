"""C-STORE to us, by everyone."""

from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE

import wire
from instances import (
    Instance,
    as_file,
    as_instance,
    ct_template,
    make_study,
    new_uid,
    read_data_set,
    write_files,
)
from peers import Isocenter, Orthanc
from programs import ServerFactory, Tool
from questions import count_instances, fetch

SYNTAX_OPTIONS = ["-x=", "-xe", "-xb", "-xi", "-xd"]
COMPRESSED = {
    "-xs": "SC_rgb_jpeg_gdcm.dcm",
    "-xy": "SC_rgb_jpeg_dcmtk.dcm",
    "-xv": "MR_small_jp2klossless.dcm",
    "-xx": "JPGExtended.dcm",
    "-xw": "JPEG2000.dcm",
    "-xt": "MR_small_jpeg_ls_lossless.dcm",
    "-xr": "MR_small_RLE.dcm",
}


def store(server: Isocenter, instance: Instance) -> int:
    syntax = (instance.sop_class, instance.transfer_syntax)
    with wire.storing(server.dicom_port, syntax) as association:
        return association.store(*syntax[:1], instance.sop_instance, syntax[1], instance.data_set)


@pytest.mark.parametrize("option", SYNTAX_OPTIONS)
def test_storescu_stores_in_each_uncompressed_syntax(
    shared_server: Isocenter, dcmtk: Tool, tmp_path: Path, option: str
) -> None:
    study = make_study(3, series=2)
    files = write_files(study, tmp_path)

    dcmtk("storescu", option, *shared_server.at, *files)

    assert count_instances(shared_server, study[0].study) == 3


@pytest.mark.parametrize(("option", "sample"), COMPRESSED.items())
def test_storescu_stores_compressed_images(
    shared_server: Isocenter, dcmtk: Tool, tmp_path: Path, option: str, sample: str
) -> None:
    image = pydicom.dcmread(str(get_testdata_file(sample, download=False)))
    image.StudyInstanceUID, image.SeriesInstanceUID = new_uid(), new_uid()
    image.SOPInstanceUID = new_uid()
    compressed = as_instance(image, image.file_meta.TransferSyntaxUID)
    files = write_files([compressed], tmp_path)

    dcmtk("storescu", option, *shared_server.at, *files)

    # storescu recalculates group and sequence lengths, so values are compared, not bytes.
    ((syntax, data_set),) = fetch(shared_server, compressed.study).values()
    assert syntax == compressed.transfer_syntax
    assert read_data_set(data_set, syntax) == read_data_set(compressed.data_set, syntax)


def test_storescu_with_every_context_it_knows(
    shared_server: Isocenter, dcmtk: Tool, tmp_path: Path
) -> None:
    study = make_study(2)
    files = write_files(study, tmp_path)

    dcmtk("storescu", "+C", *shared_server.at, *files)

    assert count_instances(shared_server, study[0].study) == 2


@pytest.mark.parametrize("size", [4096, 16384, 131072])
def test_storescu_with_its_own_pdu_length(
    shared_server: Isocenter, dcmtk: Tool, tmp_path: Path, size: int
) -> None:
    (one,) = make_study(pixels=512)
    (file,) = write_files([one], tmp_path)

    options = ["-pdu", str(size), "--max-send-pdu", str(size)]
    dcmtk("storescu", *options, *shared_server.at, file)

    assert fetch(shared_server, one.study)[one.sop_instance][1] == one.data_set


def test_dcmsend_with_its_defaults(shared_server: Isocenter, dcmtk: Tool, tmp_path: Path) -> None:
    study = make_study(5, series=2)
    files = write_files(study, tmp_path)

    dcmtk("dcmsend", *shared_server.at, *files)

    assert count_instances(shared_server, study[0].study) == 5


def test_dcmsend_with_a_folder_of_many_kinds(
    shared_server: Isocenter, dcmtk: Tool, tmp_path: Path
) -> None:
    study_uid = new_uid()
    samples = []
    for name in (*COMPRESSED.values(), "CT_small.dcm", "rtplan.dcm", "waveform_ecg.dcm"):
        image = pydicom.dcmread(str(get_testdata_file(name, download=False)))
        image.PatientID, image.PatientName = "MANY", "Kinds^Many"
        image.StudyInstanceUID, image.SeriesInstanceUID = study_uid, new_uid()
        image.SOPInstanceUID = new_uid()
        samples.append(as_instance(image, image.file_meta.TransferSyntaxUID))
    write_files(samples, tmp_path)

    options = ["+sd", "-dn", "-nuc"]
    dcmtk("dcmsend", *options, *shared_server.at, tmp_path)

    got = fetch(shared_server, study_uid)
    assert {uid: read_data_set(data, syntax) for uid, (syntax, data) in got.items()} == {
        one.sop_instance: read_data_set(one.data_set, one.transfer_syntax) for one in samples
    }


def test_orthanc_sends_us_a_study(shared_server: Isocenter, orthanc: Orthanc) -> None:
    study = make_study(4, series=2)
    for one in study:
        orthanc.upload(one.file)
    orthanc.introduce("archive", shared_server.aet, shared_server.dicom_port)

    (found,) = orthanc.find("Study", StudyInstanceUID=study[0].study)
    answer = orthanc.call("/modalities/archive/store", found)

    assert answer["FailedInstancesCount"] == 0
    assert count_instances(shared_server, study[0].study) == 4


def test_pynetdicom_stores_with_a_user_identity(shared_server: Isocenter) -> None:
    from pynetdicom.pdu_primitives import UserIdentityNegotiation

    (one,) = make_study()
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.positive_response_requested = True
    identity.primary_field, identity.secondary_field = b"nobody", b"secret"
    ae = AE()
    ae.add_requested_context(one.sop_class, one.transfer_syntax)

    association = ae.associate(
        "127.0.0.1", shared_server.dicom_port, ae_title=shared_server.aet, ext_neg=[identity]
    )
    assert association.is_established
    status = association.send_c_store(one.read())
    association.release()

    assert status.Status == wire.SUCCESS
    assert "secret" not in shared_server.process.output()


def test_many_stores_in_flight_are_all_answered(shared_server: Isocenter) -> None:
    study = make_study(20)
    syntax = (study[0].sop_class, study[0].transfer_syntax)
    window = wire.operations_window(8, 1)

    with wire.Association(
        shared_server.dicom_port, [(syntax[0], syntax[1:])], user_items=window
    ) as association:
        allowed = _granted_window(association.answer)
        answered, sent = [], []
        for one in study:
            if len(sent) - len(answered) >= allowed:
                answered.append(association.receive_message())
            number = association.send_store(1, one.sop_class, one.sop_instance, one.data_set)
            sent.append(number)
        while len(answered) < len(sent):
            answered.append(association.receive_message())

    assert {message.status for message in answered} == {wire.SUCCESS}
    assert sorted(int(message.command[wire.ANSWERED_ID]) for message in answered) == sorted(sent)


def _granted_window(answer: bytes) -> int:
    """Operations the peer lets us have in flight: 1, if it says nothing (PS3.7 D.3.3.3)."""
    for kind, body in wire.split_items(answer[68:]):
        if kind == 0x50:
            for sub_kind, sub_body in wire.split_items(body):
                if sub_kind == 0x53:
                    return int.from_bytes(sub_body[:2], "big")
    return 1


def test_the_same_bytes_again_are_a_success(server: Isocenter) -> None:
    (one,) = make_study()

    statuses = [store(server, one), store(server, one)]

    assert statuses == [wire.SUCCESS, wire.SUCCESS]
    assert count_instances(server, one.study) == 1


@pytest.mark.parametrize(
    ("policy", "succeeds", "kept"), [("keep", True, 0), ("replace", True, 1), ("reject", False, 0)]
)
def test_other_bytes_under_the_same_uid_follow_the_policy(
    start_server: ServerFactory, policy: str, succeeds: bool, kept: int
) -> None:
    server = start_server(config=f'[archive]\non_conflict = "{policy}"\n')
    first = ct_template(SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid())
    versions = [as_instance(first)]
    first.ImageComments = "another version"
    versions.append(as_instance(first))

    statuses = [store(server, one) for one in versions]

    assert statuses[0] == wire.SUCCESS
    assert (statuses[1] == wire.SUCCESS) is succeeds
    (stored,) = fetch(server, versions[0].study).values()
    assert stored[1] == versions[kept].data_set


def test_a_data_set_that_is_another_instance_is_refused(shared_server: Isocenter) -> None:
    (one,) = make_study()

    with wire.storing(shared_server.dicom_port, (one.sop_class, wire.EXPLICIT)) as association:
        status = association.store(one.sop_class, new_uid(), wire.EXPLICIT, one.data_set)

    assert status == 0xA900  # data set does not match SOP class (PS3.4 B.2.3)
    assert count_instances(shared_server, one.study) == 0


def test_a_data_set_of_another_class_is_refused(shared_server: Isocenter) -> None:
    (one,) = make_study()
    mr = "1.2.840.10008.5.1.4.1.1.4"

    with wire.storing(shared_server.dicom_port, (mr, wire.EXPLICIT)) as association:
        status = association.store(mr, one.sop_instance, wire.EXPLICIT, one.data_set)

    assert status == 0xA900
    assert count_instances(shared_server, one.study) == 0


@pytest.mark.parametrize(
    "data_set",
    [b"", b"\0", b"\xff" * 1000, b"\x08\x00\x18\x00UI\xff\xff1.2", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["empty", "one byte", "ones", "cut short", "HTTP"],
)
def test_garbage_is_not_understood(shared_server: Isocenter, data_set: bytes) -> None:
    (one,) = make_study()
    syntax = (one.sop_class, wire.EXPLICIT)

    with wire.storing(shared_server.dicom_port, syntax) as association:
        refused = association.store(one.sop_class, one.sop_instance, wire.EXPLICIT, data_set)
        stored = association.store(one.sop_class, one.sop_instance, wire.EXPLICIT, one.data_set)

    assert refused >> 12 == 0xC or refused == 0xA900  # cannot understand, or not what was said
    assert stored == wire.SUCCESS


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_data_set_without_an_identifier_is_refused(
    shared_server: Isocenter, keyword: str
) -> None:
    image = make_study()[0].read()
    sop_class, uid, study = image.SOPClassUID, image.SOPInstanceUID, image.StudyInstanceUID
    file = as_file(image)
    start = as_instance(image).data_set_start
    tag = pydicom.datadict.tag_for_keyword(keyword)
    assert tag is not None
    data_set = _without(file[start:], tag)

    with wire.storing(shared_server.dicom_port, (sop_class, wire.EXPLICIT)) as association:
        status = association.store(sop_class, uid, wire.EXPLICIT, data_set)

    assert status >> 12 == 0xC or status == 0xA900
    assert count_instances(shared_server, study) == 0


def _without(data_set: bytes, tag: int) -> bytes:
    """``data_set`` (explicit little endian) without one short element."""
    mark = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + b"UI"
    at = data_set.index(mark)
    length = int.from_bytes(data_set[at + 6 : at + 8], "little")
    return data_set[:at] + data_set[at + 8 + length :]


def test_a_store_on_a_context_for_echo_is_refused(shared_server: Isocenter) -> None:
    (one,) = make_study()

    with wire.Association(shared_server.dicom_port) as association:
        association.send_store(1, one.sop_class, one.sop_instance, one.data_set)
        status = association.receive_message().status

    assert status in (0x0122, 0x0211)  # SOP class not supported, unrecognised operation
    assert count_instances(shared_server, one.study) == 0


def test_a_private_sop_class_is_kept_too(shared_server: Isocenter) -> None:
    image = ct_template(SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid())
    image.SOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    private = as_instance(image)

    assert store(shared_server, private) == wire.SUCCESS
    assert fetch(shared_server, private.study)[private.sop_instance][1] == private.data_set


def test_a_private_sop_class_is_refused_when_it_must_be(start_server: ServerFactory) -> None:
    server = start_server(config="[archive]\nunknown_sop_classes = false\n")

    contexts = (("1.2.276.0.7230010.3.1.0.1", wire.EXPLICIT),)
    with wire.storing(server.dicom_port, *contexts) as association:
        pass

    assert association.results == {1: 3}


def test_an_abort_in_mid_transfer_leaves_nothing(shared_server: Isocenter) -> None:
    (one,) = make_study(pixels=512)
    association = wire.storing(shared_server.dicom_port, (one.sop_class, one.transfer_syntax))
    association.connect()
    whole = b"".join(association.fragments(1, one.data_set, is_command=False))
    command: dict[int, int | str] = {
        wire.SOP_CLASS: one.sop_class,
        wire.COMMAND: wire.C_STORE_RQ,
        wire.MESSAGE_ID: 1,
        wire.PRIORITY: 0,
        wire.DATA_SET_TYPE: 1,
        wire.SOP_INSTANCE: one.sop_instance,
    }
    start = b"".join(association.fragments(1, wire.encode_command(command), is_command=True))

    association.socket.sendall(start + whole[: len(whole) // 2])
    association.abort()

    assert count_instances(shared_server, one.study) == 0


def test_implicit_instances_come_back_implicit(shared_server: Isocenter) -> None:
    image = ct_template(SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid())
    implicit = as_instance(image, ImplicitVRLittleEndian)

    assert store(shared_server, implicit) == wire.SUCCESS
    assert fetch(shared_server, implicit.study) == {
        implicit.sop_instance: (ImplicitVRLittleEndian, implicit.data_set)
    }
