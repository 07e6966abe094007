"""The harness, proven on programs we did not write: what fails here is no fault of Isocenter."""

from pathlib import Path

import pytest

import wire
from instances import data_set_of, make_study, write_files
from peers import Orthanc, Peer
from programs import PeerFactory, Tool


def test_dcmtk_stores_to_orthanc(orthanc: Orthanc, dcmtk: Tool, tmp_path: Path) -> None:
    study = make_study(3)
    files = write_files(study, tmp_path / "sent")

    dcmtk("storescu", "127.0.0.1", str(orthanc.port), *files)

    assert orthanc.instance_uids(study[0].study) == {one.sop_instance for one in study}


def test_the_bare_requestor_stores_bit_for_bit(storescp: Peer) -> None:
    (one,) = make_study()

    with wire.storing(storescp.port, (one.sop_class, one.transfer_syntax)) as association:
        status = association.store(
            one.sop_class, one.sop_instance, one.transfer_syntax, one.data_set
        )

    assert status == wire.SUCCESS
    assert [data_set_of(path) for path in storescp.files()] == [one.data_set]


def test_the_bare_requestor_finds_and_gets(orthanc: Orthanc) -> None:
    study = make_study(2)
    for one in study:
        orthanc.upload(one.file)
    keys = wire.identifier({0x00080052: "IMAGE", 0x0020000D: study[0].study, 0x00080018: ""})
    contexts = [
        (wire.STUDY_ROOT_FIND, (wire.IMPLICIT,)),
        (wire.STUDY_ROOT_GET, (wire.IMPLICIT,)),
        (study[0].sop_class, (study[0].transfer_syntax,)),
    ]
    roles = wire.role_selection(study[0].sop_class, user=False, provider=True)

    with wire.Association(orthanc.port, contexts, user_items=roles) as association:
        found = list(association.find(keys))
        study_key = wire.identifier({0x00080052: "STUDY", 0x0020000D: study[0].study})
        got = list(association.get(study_key))

    assert [message.status for message in found] == [0xFF00, 0xFF00, 0]
    stored = [message for message in got if message.command[wire.COMMAND] == wire.C_STORE_RQ]
    assert {message.command[wire.SOP_INSTANCE] for message in stored} == {
        one.sop_instance for one in study
    }
    assert got[-1].status == wire.SUCCESS


def test_dcmqrscp_finds_and_moves(
    storescp: Peer, start_dcmqrscp: PeerFactory, dcmtk: Tool, tmp_path: Path
) -> None:
    archive = start_dcmqrscp([storescp])
    study = make_study(2)
    files = write_files(study, tmp_path / "sent")
    dcmtk("storescu", "-aec", archive.aet, "127.0.0.1", str(archive.port), *files)

    query = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study[0].study}"]
    found = dcmtk("findscu", *query, "-aec", archive.aet, "127.0.0.1", str(archive.port))
    move = ["-aec", archive.aet, "-aem", storescp.aet, "127.0.0.1", str(archive.port)]
    dcmtk("movescu", *query, *move)

    assert found.count("Find Response:") == 1
    assert len(storescp.files()) == 2


def test_a_refusal_is_told(start_storescp: PeerFactory) -> None:
    refusing = start_storescp("--refuse")

    with pytest.raises(wire.Refused), wire.Association(refusing.port):
        pass
