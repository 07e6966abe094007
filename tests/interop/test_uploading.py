"""What browsers send and hear, against the real server: large, alone in memory, and to its end."""

from __future__ import annotations

import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
from pydicom.data import get_testdata_file

from instances import ct_template
from made_instances import part10
from peers import Isocenter

MEMBERS = 96
ROWS = 1024
GROWS = 96 << 20


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            yield data


def send(server: Isocenter, path: Path, name: str) -> list[dict[str, str]]:
    answer = httpx.post(
        f"{server.url}/upload/file",
        params={"name": name},
        content=chunks(path),
        headers={"content-length": str(path.stat().st_size)},
        trust_env=False,
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    return [httpx.Response(200, content=line).json() for line in answer.text.splitlines()]


def test_a_large_zip_archive_takes_no_memory(server: Isocenter, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    image = ct_template(ROWS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
        for number in range(MEMBERS):
            image.SOPInstanceUID = f"1.2.90.{number}"
            packed.writestr(f"{number}.dcm", part10(image))
    assert path.stat().st_size > 2 * GROWS
    send(server, path, "first.zip")
    before = server.process.resident_bytes()

    told = send(server, path, "large.zip")

    assert {each["fate"] for each in told} == {"already_there"}
    assert len(told) == MEMBERS
    assert server.process.resident_bytes() - before < GROWS


def test_pydicom_reads_what_was_uploaded_as_it_was(server: Isocenter, tmp_path: Path) -> None:
    source = Path(str(get_testdata_file("MR_small.dcm")))
    (told,) = send(server, source, "MR/small.dcm")
    instance = pydicom.dcmread(source)

    url = f"{server.url}/dicom-web/studies/{told['study']}/series/{instance.SeriesInstanceUID}"
    answer = httpx.get(
        f"{url}/instances/{instance.SOPInstanceUID}",
        headers={"accept": "application/dicom; transfer-syntax=*"},
        trust_env=False,
    )

    path = tmp_path / "back.dcm"
    path.write_bytes(answer.content)
    back = pydicom.dcmread(path)
    assert told["fate"] == "stored"
    assert back == instance
    assert back.file_meta.SourceApplicationEntityTitle == "127.0.0.1"


def test_a_stop_does_not_wait_for_pages_that_listen(server: Isocenter) -> None:
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=20) as page:
        page.sendall(b"GET /events?topic=worklist&topic=jobs HTTP/1.1\r\nHost: x\r\n\r\n")
        told = b""
        while b"event: jobs" not in told:
            told += page.recv(1 << 16)
        started = time.monotonic()

        server.stop(timeout=10)

        assert time.monotonic() - started < 8
        while data := page.recv(1 << 16):
            told += data
        assert told.endswith(b"0\r\n\r\n")  # the last chunk: it was ended, not broken off
