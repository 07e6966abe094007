"""STOW-RS by clients that are not ours, beside C-STORE: what comes by either is kept alike.

Source: PS3.18 10.5, 13.
"""

import hashlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

import web
import wire
from instances import (
    Instance,
    as_file,
    as_instance,
    corpus_files,
    corpus_instances,
    corpus_rows,
    ct_template,
    make_study,
    new_uid,
)
from peers import Isocenter, Missing, eventually, find_program, run_tool
from programs import Command, ServerFactory
from questions import fetch, instance_uids, store_all

MIB = 1 << 20


@pytest.fixture
def client(server: Isocenter) -> DICOMwebClient:
    return DICOMwebClient(f"{server.url}/dicom-web")


def fetched(server: Isocenter, study: list[Instance]) -> dict[str, bytes]:
    kinds = {(one.sop_class, one.transfer_syntax) for one in study}
    return {uid: data for uid, (_, data) in fetch(server, study[0].study, kinds).items()}


def sent(study: list[Instance]) -> dict[str, bytes]:
    return {one.sop_instance: one.data_set for one in study}


# --- dicomweb-client, curl


def test_dicomweb_client_stores(server: Isocenter, client: DICOMwebClient) -> None:
    study = make_study(5, PatientID="STOW01")

    answer = client.store_instances([one.read() for one in study], study[0].study)

    assert {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence} == {
        one.sop_instance for one in study
    }
    # That client leaves the port out of Host.
    assert answer.RetrieveURL.endswith(f"/dicom-web/studies/{study[0].study}")
    assert set(instance_uids(server, study[0].study)) == {one.sop_instance for one in study}


def test_what_the_answer_names_can_be_retrieved(server: Isocenter) -> None:
    (one,) = make_study(1)
    _, answer = web.store(server.http_port, [one.file])

    url = answer.ReferencedSOPSequence[0].RetrieveURL

    accept = {"Accept": "application/dicom; transfer-syntax=*"}
    response = httpx.get(str(url), headers=accept, trust_env=False)
    assert response.status_code == 200
    assert response.content.endswith(one.data_set)


def test_dicomweb_client_is_told_of_conflicts(server: Isocenter, client: DICOMwebClient) -> None:
    (one,) = make_study(1)

    with pytest.raises(Exception, match="409"):
        client.store_instances([one.read()], new_uid())

    assert instance_uids(server, one.study) == []


def curl(*arguments: str) -> str:
    """What curl prints, and what it says besides."""
    try:
        return run_tool("curl", "-sv", *arguments).stdout
    except Missing as error:
        pytest.skip(str(error))


HOWTO = Path(__file__).parents[2] / "docs" / "howto" / "store-over-the-web.md"
SHOWN = re.findall(r"^    (curl .+)$", HOWTO.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def shown_files(tmp_path: Path) -> Path:
    """The files that the documentation's commands read."""
    image = ct_template(16)
    image.StudyInstanceUID, image.SOPInstanceUID = "1.2.3", "1.2.3.4.5"
    file = as_file(image)
    (tmp_path / "image.dcm").write_bytes(file)
    head, end = b"--here\r\nContent-Type: %b\r\n%b\r\n%b\r\n", b"--here--\r\n"
    (tmp_path / "body").write_bytes(head % (b"application/dicom", b"", file) + end)
    palette = Dataset()
    palette.SOPClassUID, palette.SOPInstanceUID = "1.2.840.10008.5.1.4.39.1", new_uid()
    (tmp_path / "palette.dcm").write_bytes(as_file(palette))
    metadata = image.to_json_dict()
    del metadata["7FE00010"]["InlineBinary"]
    metadata["7FE00010"]["BulkDataURI"] = "pixels"
    text = str([metadata]).replace("'", '"').replace("None", "null").encode()
    (tmp_path / "apart").write_bytes(
        head % (b"application/dicom+json", b"", text)
        + head
        % (b"application/octet-stream", b"Content-Location: pixels\r\n", bytes(image.PixelData))
        + end
    )
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    commit = Dataset()
    commit.ReferencedSOPSequence = [reference]
    (tmp_path / "commit.json").write_text(commit.to_json())
    return tmp_path


def test_what_the_documentation_shows_is_answered(server: Isocenter, shown_files: Path) -> None:
    find_program("curl")
    assert len(SHOWN) > 5
    for line in SHOWN:
        there = line.replace("http://localhost:8080", server.url)
        options = "--silent --show-error --output answer --write-out '%{http_code}'"
        done = subprocess.run(
            ["bash", "-c", f"{there} {options}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=shown_files,
        )

        assert done.returncode == 0, done.stderr
        answer = (shown_files / "answer").read_text()
        # What is sent apart is not written as pydicom writes it: the first one is kept.
        assert done.stdout == ("202" if "@apart" in line else "200"), (line, answer)
    assert '"00081199"' in answer, "commitment is given"


def test_curl_waits_for_leave_to_send_much(server: Isocenter, tmp_path: Path) -> None:
    (one,) = make_study(1, pixels=1024)
    (tmp_path / "image.dcm").write_bytes(one.file)
    what = ["-H", "Expect: 100-continue", "--data-binary", f"@{tmp_path / 'image.dcm'}"]
    url = f"{server.url}/dicom-web/studies"

    taken = curl("-H", "Content-Type: application/dicom", *what, url)
    refused = curl("-H", "Content-Type: text/plain", *what, url)

    assert "100 Continue" in taken
    assert " 200 OK" in taken
    assert "100 Continue" not in refused
    assert " 415 " in refused


def test_a_body_may_be_chunked_and_compressed(server: Isocenter, tmp_path: Path) -> None:
    (one,) = make_study(1)
    (tmp_path / "image.dcm").write_bytes(one.file)
    subprocess.run(["gzip", "--keep", str(tmp_path / "image.dcm")], check=True)
    headers = ["Content-Type: application/dicom", "Content-Encoding: gzip"]
    told = [word for header in (*headers, "Transfer-Encoding: chunked") for word in ("-H", header)]

    answer = curl(
        *told,
        "--data-binary",
        f"@{tmp_path / 'image.dcm.gz'}",
        f"{server.url}/dicom-web/studies",
    )

    assert " 200 OK" in answer
    assert fetched(server, [one]) == sent([one])


# --- beside C-STORE


def blobs(server: Isocenter) -> dict[str, str]:
    """Digests of the data sets that are kept, by SOP Instance UID."""
    found = {}
    for path in (server.data / "blobs").rglob("*"):
        if path.is_file():
            image = dcmread(path, stop_before_pixels=True)
            data = path.read_bytes()
            start = 144 + image.file_meta.FileMetaInformationGroupLength
            uid = str(image.file_meta.MediaStorageSOPInstanceUID)
            found[uid] = hashlib.sha256(data[start:]).hexdigest()
    return found


def test_the_same_object_is_kept_alike_by_either_way(start_server: ServerFactory) -> None:
    by_dimse, by_web = start_server(), start_server()
    study = make_study(4, series=2)
    image = ct_template(32)
    image.StudyInstanceUID = study[0].study
    study.append(as_instance(image, DeflatedExplicitVRLittleEndian))

    assert set(store_all(by_dimse, study)) == {wire.SUCCESS}
    status, _ = web.store(by_web.http_port, [one.file for one in study])

    assert status == 200
    assert blobs(by_dimse) == blobs(by_web)
    questions = ("/dicom-web/studies?includefield=all", "/dicom-web/instances?includefield=all")
    for path in questions:
        one, other = (
            # Stored side by side, they may be numbered otherwise.
            sorted(
                httpx.get(f"{server.url}{path}", trust_env=False).json(),
                key=lambda match: str(match.get("00080018")),
            )
            for server in (by_dimse, by_web)
        )
        assert str(one).replace(by_dimse.url, "") == str(other).replace(by_web.url, "")


def test_what_came_by_one_way_is_a_duplicate_by_the_other(server: Isocenter) -> None:
    study = make_study(2)
    assert set(store_all(server, study[:1])) == {wire.SUCCESS}

    status, answer = web.store(server.http_port, [one.file for one in study])

    assert status == 200
    assert web.stored(answer) == {one.sop_instance for one in study}
    assert set(store_all(server, study)) == {wire.SUCCESS}
    assert len(instance_uids(server, study[0].study)) == 2


def test_a_file_that_pydicom_writes_without_meta_information_is_taken(
    server: Isocenter, tmp_path: Path
) -> None:
    (one,) = make_study(1)
    (tmp_path / "bare").write_bytes(one.data_set)

    status, _ = web.store(server.http_port, [(tmp_path / "bare").read_bytes()])

    assert status == 200
    assert fetched(server, [one]) == sent([one])


@pytest.mark.skipif(not corpus_rows(), reason="the corpus is not here")
@pytest.mark.timeout(600)
def test_the_corpus_comes_by_web_and_goes_as_it_came(
    start_server: ServerFactory, isocenter: Command
) -> None:
    server = start_server()
    kept: dict[str, Instance] = {}
    for one in corpus_instances(without="malformed"):
        if one.study and one.series:
            kept.setdefault(one.sop_instance, one)
    everything = list(kept.values())

    for start in range(0, len(everything), 50):
        some = everything[start : start + 50]
        status, answer = web.store(server.http_port, [one.file for one in some])
        assert status == 200, answer
        assert web.stored(answer) == {one.sop_instance for one in some}

    found = blobs(server)
    for one in everything:
        assert found[one.sop_instance] == hashlib.sha256(one.data_set).hexdigest()
    server.stop()
    isocenter("verify", "--data", server.data)


@pytest.mark.skipif(not corpus_rows(), reason="the corpus is not here")
@pytest.mark.timeout(600)
def test_what_is_malformed_is_answered_one_by_one(server: Isocenter) -> None:
    for path in corpus_files("malformed"):
        status, _ = web.store(server.http_port, [path.read_bytes()])

        assert status in (200, 202, 400, 409), path.name
    assert server.health() == 200
    assert "Traceback" not in server.log.read_text()


# --- large, slow, many


def test_memory_does_not_grow_with_what_is_sent(server: Isocenter) -> None:
    image = ct_template(16)
    del image.PixelData
    image.SOPInstanceUID = new_uid()
    head = as_file(image)
    size = 1024 * MIB
    element = b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")
    chunk = bytes(range(256)) * (MIB // 256)

    def pieces() -> Iterator[bytes]:
        yield web.HEAD
        yield head + element
        for _ in range(size // MIB):
            yield chunk
        yield b"\r\n" + web.END

    warm, _ = web.store(server.http_port, [as_file(ct_template(512))])
    before = server.process.resident_bytes()
    most = before
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, server.process.resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status, _ = web.send(server.http_port, pieces(), {})
    finally:
        done.set()
        watcher.join()

    assert (warm, status) == (200, 200)
    assert most - before < 100 * MIB


def test_two_hundred_store_at_once(server: Isocenter) -> None:
    studies = [make_study(3, PatientID=f"WEB{n:04d}") for n in range(200)]
    results: list[int] = [0] * len(studies)

    def store(number: int) -> None:
        files = [one.file for one in studies[number]]
        results[number], _ = web.store(server.http_port, files)

    threads = [threading.Thread(target=store, args=(n,)) for n in range(len(studies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert results == [200] * len(studies)
    for study in studies[::20]:
        assert fetched(server, study) == sent(study)


def test_the_slow_do_not_hold_up_the_quick(server: Isocenter) -> None:
    study = make_study(1, pixels=512)
    body = b"".join(web.parts([study[0].file]))
    slow = [web.begin(server, body[: 300_000 + n], len(body)) for n in range(50)]
    try:
        quick = make_study(3)
        started = time.monotonic()

        status, _ = web.store(server.http_port, [one.file for one in quick])

        assert status == 200
        assert time.monotonic() - started < 10
    finally:
        for connection in slow:
            connection.close()
    assert instance_uids(server, study[0].study) == []


def test_who_breaks_off_leaves_what_was_whole(server: Isocenter) -> None:
    study = make_study(2, pixels=256)
    body = b"".join(web.parts([one.file for one in study]))

    connection = web.begin(server, body[:-50_000], len(body))
    connection.close()

    assert eventually(lambda: instance_uids(server, study[0].study))
    assert instance_uids(server, study[0].study) == [study[0].sop_instance]
    server.stop()
    assert not list(server.data.rglob("*.part"))


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"5\r\nhello", b"ffffffffffffffffff\r\n", b"-1\r\n\r\n"]
)
def test_broken_chunks_are_refused_and_harm_nobody(server: Isocenter, chunks: bytes) -> None:
    head = (
        f"POST {web.STUDIES} HTTP/1.1\r\nHost: x\r\nContent-Type: {web.CONTENT_TYPE}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.http_port), 10) as connection:
        connection.sendall(head.encode() + chunks)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(100)

    assert answer == b"" or answer.split()[1].startswith(b"4")
    assert server.health() == 200


# --- commitment


def test_commitment_is_given_for_what_was_stored(server: Isocenter) -> None:
    study = make_study(3)
    web.store(server.http_port, [one.file for one in study[:2]])
    module = Dataset()
    module.ReferencedSOPSequence = []
    for one in study:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class, one.sop_instance
        module.ReferencedSOPSequence.append(item)
    url = f"{server.url}/dicom-web/commitment-requests/{new_uid()}"
    headers = {"Content-Type": "application/dicom+json"}

    asked = httpx.post(url, content=module.to_json(), headers=headers, trust_env=False)
    server.restart()
    checked = httpx.get(url, trust_env=False)

    assert (asked.status_code, checked.status_code) == (200, 200)
    answer = Dataset.from_json(checked.text)
    assert web.stored(answer) == {one.sop_instance for one in study[:2]}
    (failed,) = answer.FailedSOPSequence
    assert failed.ReferencedSOPInstanceUID == study[2].sop_instance
