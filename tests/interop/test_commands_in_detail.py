"""The user's commands beyond their first purpose: exit codes, resumption, limits, odd files."""

import json
import shutil
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from instances import (
    Instance,
    as_instance,
    ct_template,
    data_set_of,
    make_study,
    read_data_set,
    write_files,
)
from peers import Isocenter, Orthanc, Peer, free_port
from programs import Command, PeerFactory, ServerFactory, Tool
from questions import store_all

DONE, FAILED, USAGE, NO_ASSOCIATION = 0, 1, 2, 3
CODES = ("echo", "find", "send", "get", "move")


def arguments(command: str, peer: str, folder: Path) -> list[str | Path]:
    """A command line that would work, if the peer were there."""
    more: dict[str, list[str | Path]] = {
        "send": [folder],
        "get": ["--study", "1.2.3", "--out", folder / "out"],
        "move": ["--study", "1.2.3", "--dest", "ELSEWHERE"],
    }
    return [command, peer, *more.get(command, [])]


class TestExitCodes:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write_files(make_study(), tmp_path / "in")
        return tmp_path / "in"

    @pytest.mark.parametrize("command", CODES)
    def test_nobody_there_is_3_and_one_line(
        self, isocenter: Command, folder: Path, command: str
    ) -> None:
        nobody = f"NOBODY@127.0.0.1:{free_port()}"

        done = isocenter(*arguments(command, nobody, folder), expect=NO_ASSOCIATION)

        assert len(done.stderr.splitlines()) == 1
        assert nobody in done.stderr

    @pytest.mark.parametrize("command", CODES)
    def test_a_rejection_is_3_and_says_why(
        self, isocenter: Command, shared_server: Isocenter, folder: Path, command: str
    ) -> None:
        misnamed = f"WRONG@127.0.0.1:{shared_server.dicom_port}"

        done = isocenter(*arguments(command, misnamed, folder), expect=NO_ASSOCIATION)

        assert len(done.stderr.splitlines()) == 1
        assert "called" in done.stderr.lower()

    @pytest.mark.parametrize("peer", ["noat", "A@", "@host", "A@h:0", "A@h:x", "A" * 17 + "@h"])
    def test_a_bad_address_is_2(self, isocenter: Command, peer: str) -> None:
        isocenter("echo", peer, expect=USAGE)

    def test_a_bad_key_is_2(self, isocenter: Command) -> None:
        done = isocenter("find", "A@localhost:1", "-k", "PatientNam=X", expect=USAGE)

        assert "PatientNam" in done.stderr

    def test_a_value_that_does_not_fit_is_2(self, isocenter: Command) -> None:
        isocenter("find", "A@localhost:1", "-k", "Rows=many", expect=USAGE)

    def test_a_path_that_is_not_there_is_2(self, isocenter: Command, tmp_path: Path) -> None:
        isocenter("send", "A@localhost:1", tmp_path / "nothing", expect=USAGE)

    def test_saying_nothing_of_what_to_get_is_2(self, isocenter: Command, tmp_path: Path) -> None:
        isocenter("get", "A@localhost:1", "--out", tmp_path, expect=USAGE)

    def test_a_model_without_the_level_is_2(self, isocenter: Command) -> None:
        isocenter(
            *("find", "A@localhost:1", "--model", "study", "--level", "patient"), expect=USAGE
        )

    @pytest.mark.parametrize("command", ["find", "get"])
    def test_nothing_found_is_0(
        self, isocenter: Command, shared_server: Isocenter, tmp_path: Path, command: str
    ) -> None:
        out = ["--out", tmp_path] if command == "get" else []

        isocenter(command, shared_server.address, "-k", "PatientID=NOBODY", *out, expect=DONE)

    def test_a_refused_query_is_1(self, isocenter: Command, shared_server: Isocenter) -> None:
        done = isocenter("find", shared_server.address, "-k", "StudyDate=soon", expect=FAILED)

        assert len(done.stderr.splitlines()) == 1


class TestEcho:
    def test_to_dcmtk(self, isocenter: Command, storescp: Peer) -> None:
        assert storescp.address in isocenter("echo", storescp.address).stdout

    def test_to_orthanc_by_another_name(self, isocenter: Command, orthanc: Orthanc) -> None:
        isocenter("echo", orthanc.address, "--aet", "SOMEBODY")


class TestSend:
    def test_again_with_resume_sends_only_what_is_new(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        study = make_study(4)
        files = write_files(study[:3], tmp_path / "in")
        notes = tmp_path / "notes"
        isocenter("send", storescp.address, tmp_path / "in", "--resume", notes)
        for path in storescp.files():
            path.unlink()
        (tmp_path / "in" / "new").write_bytes(study[3].file)
        files[0].touch()

        done = isocenter("send", storescp.address, tmp_path / "in", "--resume", notes)

        assert sorted(data_set_of(path) for path in storescp.files()) == sorted(
            one.data_set for one in (study[0], study[3])
        )
        assert "2 sent" in done.stderr
        assert "2 skipped" in done.stderr

    def test_what_failed_is_not_noted(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        write_files(make_study(1), tmp_path / "in")
        (tmp_path / "in" / "letter.txt").write_text("no DICOM " * 100)
        notes = tmp_path / "notes"

        isocenter("send", storescp.address, tmp_path / "in", "--resume", notes, expect=FAILED)

        assert len(notes.read_text().splitlines()) == 1
        assert "letter" not in notes.read_text()

    def test_to_a_peer_that_takes_implicit_vr_only(
        self, isocenter: Command, start_storescp: PeerFactory, tmp_path: Path
    ) -> None:
        (one,) = make_study()
        write_files([one], tmp_path / "in")
        receiver = start_storescp("+xi", "+B")

        isocenter("send", receiver.address, tmp_path / "in")

        (file,) = receiver.files()
        got = read_data_set(data_set_of(file), "1.2.840.10008.1.2")
        assert got == read_data_set(one.data_set, one.transfer_syntax)

    def test_a_file_without_meta_information(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        (one,) = make_study()
        (tmp_path / "bare").write_bytes(one.data_set)

        isocenter("send", storescp.address, tmp_path / "bare")

        assert [data_set_of(path) for path in storescp.files()] == [one.data_set]

    def test_several_jobs_to_a_peer_that_serves_one_at_a_time(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        study = make_study(12)
        write_files(study, tmp_path / "in")

        isocenter("send", storescp.address, tmp_path / "in", "--jobs", "4")

        assert len(storescp.files()) == 12

    def test_a_large_file_goes_window_by_window(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        study = make_study(2, pixels=3000)  # 18 MB each
        write_files(study, tmp_path / "in")

        isocenter("send", storescp.address, tmp_path / "in")

        assert sorted(data_set_of(path) for path in storescp.files()) == sorted(
            one.data_set for one in study
        )

    def test_a_summary_counts_and_names_what_failed(
        self, isocenter: Command, start_storescp: PeerFactory, tmp_path: Path
    ) -> None:
        receiver = start_storescp("+xi")
        write_files(make_study(2), tmp_path / "in")
        image = ct_template()
        image.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
        image["PixelData"].is_undefined_length = True
        write_files([as_instance(image, JPEG2000Lossless)], tmp_path / "in" / "compressed")

        done = isocenter("send", receiver.address, tmp_path / "in", expect=FAILED)

        assert "compressed" in done.stderr
        assert "JPEG 2000" in done.stderr
        assert "2 sent" in done.stderr
        assert "1 failed" in done.stderr

    def test_quiet_says_nothing_when_all_is_well(
        self, isocenter: Command, storescp: Peer, tmp_path: Path
    ) -> None:
        write_files(make_study(2), tmp_path / "in")

        done = isocenter("send", "--quiet", storescp.address, tmp_path / "in")

        assert done.stdout + done.stderr == ""


@pytest.fixture(scope="module")
def archive(start_module_server: ServerFactory) -> Isocenter:
    return start_module_server()


@pytest.fixture(scope="module")
def studies(archive: Isocenter) -> list[list[Instance]]:
    """Three studies of a patient that only this module knows."""
    made = [
        make_study(4, series=2, PatientID="DETAIL", PatientName="Müller^Jörg", StudyID=str(number))
        for number in range(3)
    ]
    for study in made:
        store_all(archive, study)
    return made


def lines(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


class TestFind:
    def test_a_table_has_a_column_for_each_key_in_their_order(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]]
    ) -> None:
        keys = ["-k", "StudyID", "-k", "PatientID=DETAIL", "-k", "PatientName"]

        heading, *rows = isocenter("find", archive.address, *keys).stdout.splitlines()

        assert heading.split() == ["StudyID", "PatientID", "PatientName"]
        assert sorted(row.split() for row in rows) == [
            [str(number), "DETAIL", "Müller^Jörg"] for number in range(3)
        ]

    def test_names_beyond_ascii_can_be_asked_for(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]]
    ) -> None:
        keys = ["-k", "PatientName=Müller*", "-k", "PatientID"]

        found = lines(isocenter("find", archive.address, *keys, "--json").stdout)

        assert len(found) == 3
        assert found[0]["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]

    def test_a_limit_ends_the_query(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]]
    ) -> None:
        keys = ["-k", "PatientID=DETAIL", "--limit", "2", "--json"]

        assert len(lines(isocenter("find", archive.address, *keys).stdout)) == 2

    def test_tags_are_as_good_as_keywords(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]]
    ) -> None:
        keys = ["-k", "0010,0020=DETAIL", "-k", "0020,0010=1", "--json"]

        (found,) = lines(isocenter("find", archive.address, *keys).stdout)

        assert found["0020000D"]["Value"] == [studies[1][0].study]

    def test_a_gap_in_the_hierarchy_asks_for_relational_queries(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]]
    ) -> None:
        wanted = studies[0][0].sop_instance

        found = lines(
            isocenter(
                *("find", archive.address, "--level", "image"),
                *("-k", f"SOPInstanceUID={wanted}", "-k", "InstanceNumber", "--json"),
            ).stdout
        )

        assert [one["00080018"]["Value"] for one in found] == [[wanted]]

    def test_patients_by_the_model_that_has_them(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]]
    ) -> None:
        keys = ["--level", "patient", "-k", "PatientID=DETAIL", "-k", "PatientSex"]

        (found,) = lines(isocenter("find", archive.address, *keys, "--json").stdout)

        assert found["00080052"]["Value"] == ["PATIENT"]

    @pytest.mark.parametrize("level", ["study", "series", "image"])
    def test_the_usual_attributes_where_none_is_named(
        self, isocenter: Command, archive: Isocenter, studies: list[list[Instance]], level: str
    ) -> None:
        uid = f"StudyInstanceUID={studies[0][0].study}"

        heading, *rows = isocenter(
            "find", archive.address, "--level", level, "-k", uid
        ).stdout.splitlines()

        assert len(rows) == {"study": 1, "series": 2, "image": 4}[level]
        assert "InstanceUID" in heading


class TestGet:
    def test_by_series(
        self,
        isocenter: Command,
        archive: Isocenter,
        studies: list[list[Instance]],
        tmp_path: Path,
    ) -> None:
        wanted = studies[0][0]
        uids = ["--study", wanted.study, "--series", wanted.series]

        isocenter("get", archive.address, *uids, "--out", tmp_path)

        assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.dcm")} == {
            f"{one.study}/{one.series}/{one.sop_instance}.dcm"
            for one in studies[0]
            if one.series == wanted.series
        }

    def test_by_instances(
        self,
        isocenter: Command,
        archive: Isocenter,
        studies: list[list[Instance]],
        tmp_path: Path,
    ) -> None:
        wanted = studies[0][:2]
        uids = [text for one in wanted for text in ("--instance", one.sop_instance)]

        isocenter("get", archive.address, *uids, "--out", tmp_path)

        assert sorted(data_set_of(path) for path in tmp_path.rglob("*.dcm")) == sorted(
            one.data_set for one in wanted
        )

    def test_by_what_a_query_finds(
        self,
        isocenter: Command,
        archive: Isocenter,
        studies: list[list[Instance]],
        tmp_path: Path,
    ) -> None:
        keys = ["-k", "PatientID=DETAIL", "-k", r"StudyID=2", "--level", "study"]

        done = isocenter("get", archive.address, *keys, "--out", tmp_path)

        assert "4 received" in done.stderr
        assert {path.parent.parent.name for path in tmp_path.rglob("*.dcm")} == {
            studies[2][0].study
        }

    def test_a_patient(
        self,
        isocenter: Command,
        archive: Isocenter,
        studies: list[list[Instance]],
        tmp_path: Path,
    ) -> None:
        isocenter("get", archive.address, "--patient", "DETAIL", "--out", tmp_path)

        assert len(list(tmp_path.rglob("*.dcm"))) == 12

    def test_a_study_of_another_patient_is_not_got(
        self,
        isocenter: Command,
        archive: Isocenter,
        studies: list[list[Instance]],
        tmp_path: Path,
    ) -> None:
        uids = ["--patient", "SOMEBODY-ELSE", "--study", studies[0][0].study]

        isocenter("get", archive.address, *uids, "--out", tmp_path, expect=None)

        assert list(tmp_path.rglob("*.dcm")) == []

    def test_each_transfer_syntax_as_it_is_kept(
        self, isocenter: Command, archive: Isocenter, tmp_path: Path
    ) -> None:
        made = []
        study = make_study()[0].study
        for syntax in (JPEG2000Lossless, JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless):
            (model,) = make_study(StudyInstanceUID=study)
            image = model.read()
            image.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9" * 8])
            image["PixelData"].is_undefined_length = True
            made.append(as_instance(image, syntax))
        assert store_all(archive, made) == [0] * 4

        isocenter("get", archive.address, "--study", study, "--out", tmp_path)

        assert sorted(data_set_of(path) for path in tmp_path.rglob("*.dcm")) == sorted(
            one.data_set for one in made
        )

    def test_an_instance_larger_than_any_buffer(
        self, isocenter: Command, archive: Isocenter, tmp_path: Path
    ) -> None:
        study = make_study(2, pixels=4000)  # 32 MB each
        assert store_all(archive, study) == [0, 0]

        isocenter("get", archive.address, "--study", study[0].study, "--out", tmp_path)

        assert sorted(data_set_of(path) for path in tmp_path.rglob("*.dcm")) == sorted(
            one.data_set for one in study
        )

    def test_nothing_but_whole_files_is_left(
        self,
        isocenter: Command,
        archive: Isocenter,
        studies: list[list[Instance]],
        tmp_path: Path,
    ) -> None:
        isocenter("get", archive.address, "--study", studies[0][0].study, "--out", tmp_path)

        assert [path for path in tmp_path.rglob("*") if path.is_file()] == list(
            tmp_path.rglob("*.dcm")
        )

    def test_from_dcmqrscp_what_pydicom_can_read(
        self, isocenter: Command, start_dcmqrscp: PeerFactory, dcmtk: Tool, tmp_path: Path
    ) -> None:
        peer = start_dcmqrscp()
        study = make_study(3, series=2)
        files = write_files(study, tmp_path / "in")
        dcmtk("storescu", "-aec", peer.aet, "127.0.0.1", str(peer.port), *files)

        isocenter(
            "get",
            peer.address,
            "-k",
            f"PatientID={study[0].patient_id}",
            "--level",
            "study",
            "--out",
            tmp_path / "out",
        )

        got = [pydicom.dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
        assert {str(one.SOPInstanceUID) for one in got} == {one.sop_instance for one in study}


class TestMove:
    def test_a_destination_that_is_down_is_1_and_tells_how_many(
        self, isocenter: Command, start_server: ServerFactory
    ) -> None:
        server = start_server(peers=(f"DOWN@127.0.0.1:{free_port()}",))
        study = make_study(3)
        store_all(server, study)

        done = isocenter(
            "move", server.address, "--study", study[0].study, "--dest", "DOWN", expect=FAILED
        )

        assert "3 failed" in done.stderr
        assert all(one.sop_instance in done.stderr for one in study)

    def test_to_storescp_through_us(
        self, isocenter: Command, start_server: ServerFactory, storescp: Peer
    ) -> None:
        server = start_server(peers=(storescp.address,))
        study = make_study(3)
        store_all(server, study)

        done = isocenter("move", server.address, "--study", study[0].study, "--dest", storescp.aet)

        assert "3 moved" in done.stderr
        assert len(storescp.files()) == 3


class TestDump:
    def test_several_files_and_one_that_is_none(self, isocenter: Command, tmp_path: Path) -> None:
        files = write_files(make_study(2), tmp_path)
        (tmp_path / "letter").write_text("no DICOM")

        done = isocenter("dump", *files, tmp_path / "letter", expect=FAILED)

        assert done.stdout.count("SOPInstanceUID") >= 2
        assert "letter" in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_empty_file(self, isocenter: Command, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()

        done = isocenter("dump", tmp_path / "empty", expect=FAILED)

        assert "Traceback" not in done.stderr

    def test_tells_the_values_dcmdump_tells(
        self, isocenter: Command, dcmtk: Tool, tmp_path: Path
    ) -> None:
        (file,) = write_files(make_study(1, PatientID="DUMP-ME"), tmp_path)
        theirs = dcmtk("dcmdump", "-s", "+P", "0020,000d", "+P", "0010,0020", file)

        ours = isocenter("dump", file).stdout

        for value in (part.split("]")[0] for part in theirs.split("[")[1:]):
            assert value in ours

    def test_whoever_reads_it_may_stop(self, tmp_path: Path) -> None:
        from peers import isocenter_command, run_tool

        (file,) = write_files(make_study(), tmp_path)
        command = " ".join([*isocenter_command(), "dump", *[str(file)] * 50])
        if not shutil.which("sh"):
            pytest.skip("there is no shell")

        done = run_tool("sh", "-c", f"{command} | head -1")

        assert "Traceback" not in done.stdout
