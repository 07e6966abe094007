"""Corrected by the pages or the command line; what programs we did not write find and get then."""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path

import httpx
import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from made_instances import image, part10
from peers import Isocenter, Orthanc
from programs import Command, ServerFactory, Tool

CT = "CT_small.dcm"
PIXELS = bytes(range(8))


def store(server: Isocenter, *datasets: Dataset | Path) -> None:
    for each in datasets:
        content = each.read_bytes() if isinstance(each, Path) else part10(each)
        answer = httpx.post(
            f"{server.url}/dicom-web/studies",
            content=content,
            headers={"content-type": "application/dicom"},
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 200, answer.text


def correct(server: Isocenter, study: str = "1.2", **entered: str) -> None:
    """As a person does it: a form, a preview, and what that sends on."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as browser:
        path = f"/studies/{study}/correct"
        said = {"reason": "mixed up", **entered}
        preview = browser.post(path, data={**said, "step": "preview"})
        assert preview.status_code == 200, preview.text
        own = preview.text[preview.text.index("<main") :]
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', own))
        done = browser.post(path, data={**hidden, "step": "apply"})
        assert done.status_code == 303, done.text


def undo(server: Isocenter, study: str = "1.2") -> None:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as browser:
        page = browser.get(f"/studies/{study}").text
        action = re.findall(r'name="action" value="(\w+)"', page)[0]
        done = browser.post(f"/studies/{study}/corrections/undo", data={"action": action})
        assert done.status_code == 303


def found(dcmtk: Tool, server: Isocenter, *keys: str) -> str:
    asked = [word for key in ("QueryRetrieveLevel=STUDY", *keys) for word in ("-k", key)]
    return dcmtk("findscu", "-S", *asked, *server.at)


def test_dcmtk_finds_and_gets_what_was_corrected(
    start_server: ServerFactory, dcmtk: Tool, tmp_path: Path
) -> None:
    server = start_server()
    store(server, image(), image("1.2.3.5"))
    before = found(dcmtk, server, "PatientID=4711", "PatientName")
    assert "Doe" not in before

    correct(server, PatientID="4711", PatientName="Roe^Richard", InstitutionName="Elsewhere")

    assert "Roe^Richard" in found(dcmtk, server, "PatientID=4711", "PatientName")
    assert "1.2" not in found(dcmtk, server, "PatientID=P1", "StudyInstanceUID").split("I: ")[-1]
    study = ("-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2")
    got = tmp_path / "got"
    got.mkdir()
    dcmtk("getscu", "-S", *study, "-od", got, *server.at)
    files = list(got.iterdir())
    assert len(files) == 2
    for path in files:
        dump = dcmtk("dcmdump", path)
        assert "PN [Roe^Richard]" in dump
        assert "LO [Elsewhere]" in dump
        assert "(0400,0561) SQ" in dump
        assert "    (0010,0010) PN [Doe^Jane]" in dump
        assert "CS [CORRECT]" in dump

    undo(server)

    for path in files:
        path.unlink()
    dcmtk("getscu", "-S", *study, "-od", got, *server.at)
    for path in got.iterdir():
        assert "(0400,0561)" not in dcmtk("dcmdump", path)
        assert pydicom.dcmread(path).PatientName == "Doe^Jane"


def test_dicomweb_client_gets_what_was_corrected(server: Isocenter) -> None:
    store(server, image(PixelData=PIXELS))
    correct(server, PatientName="Иванов^Иван", PatientID="4711")
    client = DICOMwebClient(f"{server.url}/dicom-web")

    (study,) = client.search_for_studies(search_filters={"PatientID": "4711"})
    (metadata,) = client.retrieve_study_metadata("1.2")
    (instance,) = client.retrieve_study("1.2")

    for model in (study, metadata):
        assert model["00100010"]["Value"] == [{"Alphabetic": "Иванов^Иван"}]
    assert str(instance.PatientName) == "Иванов^Иван"
    assert instance.SpecificCharacterSet == "ISO_IR 192"
    (modified,) = instance.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert modified.PatientName == "Doe^Jane"
    assert instance.PixelData == PIXELS


def test_orthanc_receives_what_was_corrected(start_server: ServerFactory, orthanc: Orthanc) -> None:
    server = start_server(peers=[orthanc.address])
    study = "1.2.7717"
    store(server, image("1.2.7717.1.1", StudyInstanceUID=study, SeriesInstanceUID="1.2.7717.1"))
    correct(server, study, PatientID="4711", PatientName="Roe^Richard")
    orthanc.introduce("corrected", server.aet, server.dicom_port)
    query = {"Level": "Study", "Query": {"StudyInstanceUID": study, "PatientID": "4711"}}

    answer = orthanc.call("/modalities/corrected/query", query)
    orthanc.call(f"{answer['Path']}/retrieve", {"TargetAet": orthanc.aet, "Synchronous": True})

    (held,) = orthanc.find("Instance", StudyInstanceUID=study)
    tags = orthanc.rest.get(f"/instances/{held}/simplified-tags").json()
    assert (tags["PatientID"], tags["PatientName"]) == ("4711", "Roe^Richard")
    (former,) = tags["OriginalAttributesSequence"][0]["ModifiedAttributesSequence"]
    assert former["PatientID"] == "P1"


def test_dciodvfy_finds_no_error_that_was_not_there(
    server: Isocenter, dcmtk: Tool, tmp_path: Path
) -> None:
    original = Path(str(get_testdata_file(CT, download=False)))
    store(server, original)
    before = pydicom.dcmread(original)
    study = str(before.StudyInstanceUID)
    correct(
        server, study, PatientName="Müller^Jürgen", PatientID="4711", PatientBirthDate="1970-12-31",
        IssuerOfPatientID="NORTH", AccessionNumber="A1",
    )  # fmt: skip

    url = f"{server.url}/dicom-web/studies/{study}/series/{before.SeriesInstanceUID}/instances/"
    accept = {"accept": "application/dicom; transfer-syntax=*"}
    answer = httpx.get(url + str(before.SOPInstanceUID), headers=accept, trust_env=False)
    made = tmp_path / "corrected.dcm"
    made.write_bytes(answer.content)

    assert pydicom.dcmread(made).PixelData == before.PixelData
    assert errors(dcmtk, made) <= errors(dcmtk, original)


def errors(dcmtk: Tool, path: Path) -> set[str]:
    printed = dcmtk("dciodvfy", path, expect=None)
    return {line for line in printed.splitlines() if line.startswith("Error")}


def test_the_command_line_corrects_tells_and_undoes(
    server: Isocenter, isocenter: Command, tmp_path: Path
) -> None:
    store(server, image(), image("1.9", StudyInstanceUID="9", PatientID="P2"))
    server.stop()
    data = ("--data", server.data)

    bare = isocenter("correct", "--study", "1.2", *data, "--set", "PatientID=P2", expect=None)
    assert bare.returncode != 0  # it asks, and nobody answers
    isocenter(
        "correct", "--patient", "P1", *data, "--set", "PatientID=P2", "--reason", "twice", "--yes"
    )
    told = isocenter("correct", "--study", "1.2", *data).stdout
    assert "in force: twice" in told
    assert "Patient ID: P1 -> P2" in told
    out = tmp_path / "out"
    isocenter("export", "--patient", "P2", "--out", out, *data)
    assert {str(pydicom.dcmread(path).PatientID) for path in out.rglob("*.dcm")} == {"P2"}
    isocenter("reindex", *data)
    isocenter("correct", "--undo", told.split()[0], *data)

    again = isocenter("correct", "--study", "1.2", *data).stdout
    assert "undone: twice" in again
    assert isocenter("export", "--patient", "P1", "--out", out, *data).stdout.startswith("1 ")


def test_of_two_patients_with_one_uid_the_command_line_corrects_the_one_that_is_named(
    tmp_path: Path, isocenter: Command
) -> None:
    data = ("--data", tmp_path / "data")
    for number, patient in enumerate(("P1", "P2")):
        (tmp_path / f"{number}.dcm").write_bytes(
            part10(image(f"1.2.3.{number}", PatientID=patient))
        )
        isocenter("import", tmp_path / f"{number}.dcm", *data)
    entered = ("--set", "PatientID=P1", "--reason", "one scan", "--yes")

    unclear = isocenter("correct", "--study", "1.2", *data, *entered, expect=1)
    isocenter("correct", "--study", "1.2", "--patient", "P2", *data, *entered)

    assert "name the patient" in unclear.stderr
    assert isocenter("correct", "--study", "1.2", *data).stdout.count("one scan") == 1


def test_a_correction_is_whole_or_not_at_all_after_kill_9(start_server: ServerFactory) -> None:
    server = start_server()
    store(
        server, *(image(f"1.2.3.{each}", SeriesInstanceUID=f"1.{each % 3}") for each in range(60))
    )
    acknowledged = 0
    for number in range(1, 4):
        done = threading.Event()

        def work(first: int = number * 1000, ended: threading.Event = done) -> None:
            nonlocal acknowledged
            try:
                for count in range(1000):
                    correct(server, PatientID=f"P{first + count}", PatientName=f"N{first + count}")
                    acknowledged = first + count
            except (httpx.TransportError, AssertionError):
                pass  # this is the moment
            ended.set()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        time.sleep(0.3 + 0.17 * number)
        server.kill()
        assert done.wait(30)
        server.restart()

        with httpx.Client(base_url=f"{server.url}/dicom-web", trust_env=False) as http:
            (study,) = http.get("/studies").json()
            patient = study["00100020"]["Value"][0]
            assert int(patient[1:]) >= acknowledged
            assert study["00100010"]["Value"][0]["Alphabetic"] == f"N{patient[1:]}"
            assert study["00201208"]["Value"] == [60]
            for model in http.get("/studies/1.2/metadata").json():
                assert model["00100020"]["Value"] == [patient]
            whole = http.get("/studies/1.2", headers={"accept": "application/zip"})
            assert whole.status_code == 200
            assert io.BytesIO(whole.content).read(2) == b"PK"
