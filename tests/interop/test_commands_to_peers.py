"""Isocenter's own commands against archives and receivers we did not write."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import wire
from instances import Instance, data_set_of, make_study, new_uid, write_files
from peers import Isocenter, Orthanc, Peer, free_port
from programs import Command, PeerFactory, Tool
from questions import count_instances, fetch, store_all

ACCESSION, INSTANCE = "00080050", "00080018"


def matches(output: str) -> list[dict[str, Any]]:
    """What `find --json` printed: DICOM JSON objects, in a list or one a line."""
    text = output.strip()
    if not text:
        return []
    if text.startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def values(output: str, tag: str) -> list[str]:
    return sorted(str(match[tag]["Value"][0]) for match in matches(output))


def received(peer: Peer) -> list[bytes]:
    return sorted(data_set_of(path) for path in peer.files())


class TestSending:
    def test_a_folder_goes_to_storescp_bit_for_bit(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        study = make_study(7, series=3)
        write_files(study, tmp_path / "sent")

        isocenter("send", storescp.address, tmp_path / "sent")

        assert received(storescp) == sorted(one.data_set for one in study)

    def test_files_go_over_several_associations(
        self, isocenter: Command, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        study = make_study(20)
        files = write_files(study, tmp_path)

        isocenter("send", orthanc.address, *files, "--jobs", "3")

        assert orthanc.instance_uids(study[0].study) == {one.sop_instance for one in study}

    def test_a_zip_goes_too(self, isocenter: Command, storescp: Peer, tmp_path: Path) -> None:
        study = make_study(3)
        with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
            for number, one in enumerate(study):
                archive.writestr(f"folder/{number}", one.file)

        isocenter("send", storescp.address, tmp_path / "study.zip")

        assert received(storescp) == sorted(one.data_set for one in study)

    def test_a_dicomdir_leads_to_its_files(
        self, isocenter: Command, dcmtk: Tool, storescp: Peer, tmp_path: Path
    ) -> None:
        study = make_study(3)
        for number, one in enumerate(study):
            (tmp_path / f"IM{number}").write_bytes(one.file)
        names = [f"IM{number}" for number in range(3)]
        directory = tmp_path / "DICOMDIR"
        dcmtk("dcmgpdir", "+I", "-W", "+id", tmp_path, "+D", directory, *names, expect=None)
        assert directory.exists()

        isocenter("send", storescp.address, directory)

        assert received(storescp) == sorted(one.data_set for one in study)

    def test_to_dcmqrscp(
        self, isocenter: Command, start_dcmqrscp: PeerFactory, tmp_path: Path
    ) -> None:
        archive = start_dcmqrscp()
        files = write_files(make_study(3), tmp_path)

        isocenter("send", archive.address, *files)

        assert len([path for path in archive.files() if path.name.startswith("CT")]) == 3

    def test_to_ourselves_and_again(
        self, isocenter: Command, shared_server: Isocenter, tmp_path: Path
    ) -> None:
        study = make_study(5)
        files = write_files(study, tmp_path)

        isocenter("send", shared_server.address, *files)
        isocenter("send", shared_server.address, *files)

        assert count_instances(shared_server, study[0].study) == 5

    def test_what_is_no_dicom_is_told_and_the_rest_goes(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        (one,) = make_study()
        (tmp_path / "b.dcm").write_bytes(one.file)
        (tmp_path / "a.dcm").write_bytes(b"not DICOM at all" * 20)

        done = isocenter(
            "send", storescp.address, tmp_path / "a.dcm", tmp_path / "b.dcm", expect=None
        )

        assert done.returncode != 0
        assert "a.dcm" in done.stdout + done.stderr
        assert received(storescp) == [one.data_set]

    def test_to_nobody_fails(self, isocenter: Command, tmp_path: Path) -> None:
        files = write_files(make_study(), tmp_path)

        done = isocenter("send", f"NOBODY@127.0.0.1:{free_port()}", *files, expect=None)

        assert done.returncode != 0
        assert "Traceback" not in done.stderr

    def test_a_receiver_that_aborts_fails(
        self, isocenter: Command, start_storescp: PeerFactory, tmp_path: Path
    ) -> None:
        aborting = start_storescp("--abort-after")
        files = write_files(make_study(2), tmp_path)

        done = isocenter("send", aborting.address, *files, expect=None)

        assert done.returncode != 0
        assert "Traceback" not in done.stderr


@pytest.fixture
def held(orthanc: Orthanc) -> list[Instance]:
    """A study that Orthanc holds."""
    accession = new_uid()[-12:]
    study = make_study(4, series=2, AccessionNumber=accession, PatientID=f"P{accession}")
    for one in study:
        orthanc.upload(one.file)
    return study


class TestAskingOrthanc:
    def test_find_studies(self, isocenter: Command, orthanc: Orthanc, held: list[Instance]) -> None:
        keys = ["-k", f"PatientID={held[0].patient_id}", "-k", "AccessionNumber"]

        done = isocenter("find", orthanc.address, "--level", "study", *keys, "--json")

        assert values(done.stdout, ACCESSION) == [held[0].patient_id[1:]]

    def test_find_instances(
        self, isocenter: Command, orthanc: Orthanc, held: list[Instance]
    ) -> None:
        keys = ["-k", f"StudyInstanceUID={held[0].study}", "-k", "SOPInstanceUID="]

        done = isocenter("find", orthanc.address, "--level", "image", *keys, "--json")

        assert values(done.stdout, INSTANCE) == sorted(one.sop_instance for one in held)

    def test_find_nothing(self, isocenter: Command, orthanc: Orthanc) -> None:
        keys = ["-k", "PatientID=IS-NOT-THERE"]

        done = isocenter("find", orthanc.address, "--level", "study", *keys, "--json", expect=None)

        assert matches(done.stdout) == []

    def test_get(
        self, isocenter: Command, orthanc: Orthanc, held: list[Instance], tmp_path: Path
    ) -> None:
        key = f"StudyInstanceUID={held[0].study}"

        isocenter("get", orthanc.address, "--level", "study", "-k", key, "--out", tmp_path)

        got = [data_set_of(path) for path in tmp_path.rglob("*") if path.is_file()]
        assert sorted(got) == sorted(one.data_set for one in held)

    def test_move(
        self, isocenter: Command, orthanc: Orthanc, held: list[Instance], storescp: Peer
    ) -> None:
        orthanc.introduce("movedto", storescp.aet, storescp.port)
        key = f"StudyInstanceUID={held[0].study}"

        isocenter(*("move", orthanc.address, "--level", "study", "-k", key, "--dest", storescp.aet))

        assert len(storescp.files()) == 4


class TestAskingDcmqrscp:
    @pytest.fixture
    def archive(
        self,
        start_dcmqrscp: PeerFactory,
        storescp: Peer,
        dcmtk: Tool,
        held: list[Instance],
        tmp_path: Path,
    ) -> Peer:
        """A dcmqrscp that holds the study, and may send to storescp."""
        archive = start_dcmqrscp([storescp])
        files = write_files(held, tmp_path / "held")
        dcmtk("storescu", "-aec", archive.aet, "127.0.0.1", str(archive.port), *files)
        return archive

    def test_find(self, isocenter: Command, archive: Peer, held: list[Instance]) -> None:
        keys = ["-k", f"PatientID={held[0].patient_id}", "-k", "AccessionNumber"]

        done = isocenter("find", archive.address, "--level", "study", *keys, "--json")

        assert values(done.stdout, ACCESSION) == [held[0].patient_id[1:]]

    def test_get(
        self, isocenter: Command, archive: Peer, held: list[Instance], tmp_path: Path
    ) -> None:
        key = f"StudyInstanceUID={held[0].study}"
        out = tmp_path / "got"

        isocenter("get", archive.address, "--level", "study", "-k", key, "--out", out)

        assert len([path for path in out.rglob("*") if path.is_file()]) == 4

    def test_move(
        self, isocenter: Command, archive: Peer, held: list[Instance], storescp: Peer
    ) -> None:
        key = f"StudyInstanceUID={held[0].study}"

        isocenter(*("move", archive.address, "--level", "study", "-k", key, "--dest", storescp.aet))

        assert len(storescp.files()) == 4

    def test_a_move_to_a_stranger_fails(
        self, isocenter: Command, archive: Peer, held: list[Instance]
    ) -> None:
        key = f"StudyInstanceUID={held[0].study}"

        done = isocenter(
            *("move", archive.address, "--level", "study", "-k", key, "--dest", "STRANGER"),
            expect=None,
        )

        assert done.returncode != 0


def test_what_we_get_from_ourselves_is_what_was_stored(
    isocenter: Command, shared_server: Isocenter, tmp_path: Path
) -> None:
    study = make_study(4, series=2)
    assert set(store_all(shared_server, study)) == {wire.SUCCESS}
    key = f"StudyInstanceUID={study[0].study}"

    isocenter("get", shared_server.address, "--level", "study", "-k", key, "--out", tmp_path)

    got = [data_set_of(path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(got) == sorted(one.data_set for one in study)


def test_dump_names_the_elements(isocenter: Command, tmp_path: Path) -> None:
    (one,) = make_study(PatientID="DUMPED")
    (file,) = write_files([one], tmp_path)

    done = isocenter("dump", file)

    assert "DUMPED" in done.stdout
    assert "PatientID" in done.stdout or "Patient ID" in done.stdout


class TestTheDataFolder:
    """Commands on the folder of a server that does not run, and what it then serves."""

    def test_what_is_imported_is_served(
        self, isocenter: Command, server: Isocenter, tmp_path: Path
    ) -> None:
        study = make_study(5, series=2)
        write_files(study, tmp_path / "in")
        (tmp_path / "in" / "notes.txt").write_text("no DICOM")
        server.stop()

        isocenter("import", tmp_path / "in", "--data", server.data, expect=None)
        server.restart()

        assert {uid: data for uid, (_, data) in fetch(server, study[0].study).items()} == {
            one.sop_instance: one.data_set for one in study
        }

    def test_what_is_exported_is_what_was_stored(
        self, isocenter: Command, server: Isocenter, tmp_path: Path
    ) -> None:
        study = make_study(3)
        store_all(server, study)
        server.stop()

        out = tmp_path / "out"
        isocenter("export", "--data", server.data, "--study", study[0].study, "--out", out)

        exported = [path for path in out.rglob("*") if path.is_file()]
        images = [path for path in exported if path.name != "DICOMDIR"]
        assert sorted(map(data_set_of, images)) == sorted(one.data_set for one in study)

    def test_an_index_is_rebuilt_from_the_blobs(
        self, isocenter: Command, server: Isocenter
    ) -> None:
        study = make_study(4, series=2)
        store_all(server, study)
        server.stop()

        isocenter("reindex", "--data", server.data)
        server.restart()

        assert {uid: data for uid, (_, data) in fetch(server, study[0].study).items()} == {
            one.sop_instance: one.data_set for one in study
        }

    def test_verify_finds_nothing_wrong(self, isocenter: Command, server: Isocenter) -> None:
        store_all(server, make_study(3))
        server.stop()

        isocenter("verify", "--data", server.data)

    def test_verify_finds_a_flipped_bit(self, isocenter: Command, server: Isocenter) -> None:
        (one,) = make_study()
        store_all(server, [one])
        server.stop()
        (blob,) = [
            path
            for path in server.data.rglob("*")
            if path.is_file() and one.data_set[-4096:] in path.read_bytes()
        ]
        flipped = bytearray(blob.read_bytes())
        flipped[-100] ^= 1
        blob.chmod(0o600)
        blob.write_bytes(flipped)

        done = isocenter("verify", "--data", server.data, expect=None)

        assert done.returncode != 0
        assert one.sop_instance in done.stdout + done.stderr

    def test_what_is_removed_is_gone_and_the_rest_stays(
        self, isocenter: Command, server: Isocenter
    ) -> None:
        goes, stays = make_study(2), make_study(2)
        store_all(server, [*goes, *stays])
        server.stop()

        isocenter("remove", "--data", server.data, "--study", goes[0].study, "--yes")
        server.restart()

        assert count_instances(server, goes[0].study) == 0
        assert count_instances(server, stays[0].study) == 2
