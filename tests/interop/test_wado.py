"""Retrieving and removing over HTTP, by clients that we did not write (PS3.18 9.4, 10.4)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from instances import (
    Instance,
    as_file,
    as_instance,
    corpus_instances,
    corpus_rows,
    ct_template,
    data_set_start,
    make_study,
    new_uid,
    write_files,
)
from made_study import electrocardiogram
from multiparts import parts
from peers import Isocenter, eventually
from programs import Command, ServerFactory
from questions import store_all

ROOT = Path(__file__).parents[2]
IN_PARTS = 'multipart/related; type="application/dicom"'
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
LOSSLESS = {
    *(f"1.2.840.10008.1.2.4.{last}" for last in (57, 70, 80, 90, 110, 201, 202)),
    *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"),
}
NATIVE = {IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
MULTI_FRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"


def study_url(server: Isocenter, study: str) -> str:
    return f"{server.url}/dicom-web/studies/{study}"


def instance_url(server: Isocenter, one: Instance) -> str:
    return f"{study_url(server, one.study)}/series/{one.series}/instances/{one.sop_instance}"


def client_of(server: Isocenter) -> DICOMwebClient:
    return DICOMwebClient(f"{server.url}/dicom-web")


def run(*command: str | Path) -> str:
    if not (path := shutil.which(str(command[0]))):
        pytest.skip(f"{command[0]} is not installed")
    done = subprocess.run([path, *command[1:]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def data_set(file: bytes) -> bytes:
    """The data set of a Part 10 file, as encoded in it."""
    return file[data_set_start(BytesIO(file)) :]


def by_uid(images: list[Dataset]) -> dict[str, dict[str, Any]]:
    return {image.SOPInstanceUID: image.to_json_dict() for image in images}


# --- dicomweb-client


@pytest.fixture(scope="module")
def study(shared_server: Isocenter) -> list[Instance]:
    """Two series, kept."""
    instances = make_study(6, series=2)
    store_all(shared_server, instances)
    return instances


def test_dicomweb_client_retrieves_a_study(shared_server: Isocenter, study: list[Instance]) -> None:
    got = client_of(shared_server).retrieve_study(study[0].study)
    streamed = list(client_of(shared_server).iter_study(study[0].study))

    assert by_uid(got) == by_uid([one.read() for one in study]) == by_uid(streamed)


def test_dicomweb_client_retrieves_a_series(
    shared_server: Isocenter, study: list[Instance]
) -> None:
    one = study[0]

    got = client_of(shared_server).retrieve_series(one.study, one.series)

    expected = [each.read() for each in study if each.series == one.series]
    assert by_uid(got) == by_uid(expected)


@pytest.mark.parametrize(
    "media_types",
    [
        None,
        ("application/dicom",),
        (("application/dicom", "*"),),
        (("application/dicom", EXPLICIT),),
    ],
)
def test_dicomweb_client_retrieves_an_instance(
    shared_server: Isocenter, study: list[Instance], media_types: Any
) -> None:
    one = study[3]

    got = client_of(shared_server).retrieve_instance(
        one.study, one.series, one.sop_instance, media_types
    )

    assert got.to_json_dict() == one.read().to_json_dict()
    assert got.file_meta.TransferSyntaxUID == EXPLICIT


def test_dicomweb_client_gets_what_was_kept_implicit(shared_server: Isocenter) -> None:
    one = as_instance(ct_template(16, SOPInstanceUID=new_uid()), IMPLICIT)
    store_all(shared_server, [one])

    got = client_of(shared_server).retrieve_instance(
        one.study, one.series, one.sop_instance, (("application/dicom", EXPLICIT),)
    )

    assert got.file_meta.TransferSyntaxUID == EXPLICIT
    assert got.PixelData == one.read().PixelData


def test_dicomweb_client_removes(server: Isocenter) -> None:
    instances = make_study(4, series=2)
    store_all(server, instances)
    client = client_of(server)
    one, other = instances[0], instances[1]

    client.delete_instance(one.study, one.series, one.sop_instance)
    assert len(client.retrieve_study(one.study)) == 3
    client.delete_series(one.study, other.series)
    assert len(client.retrieve_study(one.study)) == 1
    client.delete_study(one.study)

    with pytest.raises(Exception, match="404"):
        client.retrieve_study(one.study)
    assert client.search_for_studies(search_filters={"StudyInstanceUID": one.study}) == []


# --- curl, unzip


def test_curl_resumes_a_study_that_broke_off(
    shared_server: Isocenter, study: list[Instance], tmp_path: Path
) -> None:
    url = study_url(shared_server, study[0].study)
    for number, accept in enumerate((IN_PARTS, "application/zip")):
        whole, resumed = tmp_path / f"whole{number}", tmp_path / f"resumed{number}"
        run("curl", "-sfS", "-H", f"Accept: {accept}", "-o", whole, url)
        resumed.write_bytes(whole.read_bytes()[:77_777])

        run("curl", "-sfS", "-H", f"Accept: {accept}", "-C", "-", "-o", resumed, url)

        assert resumed.read_bytes() == whole.read_bytes()


def test_unzip_finds_nothing_wrong_with_a_zip(
    shared_server: Isocenter, study: list[Instance], tmp_path: Path
) -> None:
    url, file = study_url(shared_server, study[0].study), tmp_path / "study.zip"
    run("curl", "-sfS", "-H", "Accept: application/zip", "-o", file, url)

    assert "No errors detected" in run("unzip", "-t", file)
    with zipfile.ZipFile(file) as archive:
        files = [archive.read(name) for name in archive.namelist()]
    assert sorted(map(data_set, files)) == sorted(one.data_set for one in study)


def test_curl_reads_by_the_uri_service(
    shared_server: Isocenter, study: list[Instance], tmp_path: Path
) -> None:
    one, file = study[0], tmp_path / "one.dcm"
    asked = f"requestType=WADO&studyUID={one.study}&seriesUID={one.series}"
    asked += f"&objectUID={one.sop_instance}&contentType=application%2Fdicom"

    run("curl", "-sfS", "-o", file, f"{shared_server.url}/wado?{asked}")

    assert data_set(file.read_bytes()) == one.data_set


def test_the_examples_of_the_documentation_work(
    server: Isocenter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    image = ct_template(SOPInstanceUID="1.2.5", SeriesInstanceUID="1.2.4", StudyInstanceUID="1.2.3")
    image.InstanceNumber = 1
    other = as_instance(image)
    image.SOPInstanceUID = "1.2.6"
    recording = electrocardiogram("1.2.8", 1)
    recording.SeriesInstanceUID, recording.SOPInstanceUID = "1.2.8.1", "1.2.8.1.1"
    store_all(server, [other, as_instance(image), as_instance(recording)])
    page = (ROOT / "docs" / "howto" / "retrieve-over-the-web.md").read_text(encoding="utf-8")
    examples = re.findall(r"^    (curl .+)$", page, re.MULTILINE)
    of_images = [each for each in examples if "1.2.7" not in each]  # that is a whole slide

    for example in of_images:
        if "-C -" in example:
            os.truncate("study.zip", 50_000)
        run(*shlex.split(example.replace("http://localhost:8080", server.url)))

    assert len(examples) == 27
    assert ">aVR<" in Path("ecg.svg").read_text(encoding="utf-8")
    assert len(json.loads(Path("series.json").read_text())) == 2
    assert json.loads(Path("some.json").read_text())[0]["00200013"]["Value"] == [1]
    assert Path("series.xml.multipart").read_text().count("</NativeDicomModel>") == 2
    assert data_set(Path("instance.dcm").read_bytes()) == other.data_set
    pixels = other.read().PixelData
    assert Path("frame.raw").read_bytes() == Path("pixels.raw").read_bytes() == pixels
    assert Path("start.raw").read_bytes() == pixels[:1000]
    assert Path("old.dcm").read_bytes() == Path("kept.dcm").read_bytes()
    assert Path("linked.zip").read_bytes() == Path("study.zip").read_bytes()
    assert zipfile.ZipFile("study.zip").testzip() is None
    assert httpx.get(study_url(server, "1.2.3"), trust_env=False).status_code == 404


# --- the corpus


@pytest.fixture(scope="module")
def corpus() -> list[Instance]:
    """Each instance once; of those that share a UID, the first."""
    if not corpus_rows():
        pytest.skip("the corpus is not here")
    kept: dict[str, Instance] = {}
    for one in corpus_instances(without="malformed"):
        if one.study and one.series:
            kept.setdefault(one.sop_instance, one)
    return list(kept.values())


@pytest.fixture(scope="module")
def with_corpus(
    start_module_server: ServerFactory,
    isocenter: Command,
    corpus: list[Instance],
    tmp_path_factory: pytest.TempPathFactory,
) -> Isocenter:
    """A server that keeps the corpus."""
    server = start_module_server()
    folder = tmp_path_factory.mktemp("corpus")
    write_files(corpus, folder)
    isocenter("send", server.address, folder, "--jobs", "2", timeout=110)
    return server


def test_every_file_of_the_corpus_comes_back_bit_for_bit(
    with_corpus: Isocenter, corpus: list[Instance]
) -> None:
    wrong = []
    with httpx.Client(timeout=60, trust_env=False) as client:
        for one in corpus:
            url = instance_url(with_corpus, one)
            alone = client.get(url, headers={"accept": "application/dicom; transfer-syntax=*"})
            in_parts = client.get(url, headers={"accept": f"{IN_PARTS}; transfer-syntax=*"})
            zipped = client.get(url, headers={"accept": "application/zip"})
            with zipfile.ZipFile(BytesIO(zipped.content)) as archive:
                (name,) = archive.namelist()
                files = [alone.content, parts(in_parts)[0].content, archive.read(name)]
            padded = one.data_set + bytes(len(one.data_set) % 2)
            if [data_set(file) for file in files] != [padded] * 3:
                wrong.append(one.sop_instance)

    assert wrong == []


def test_who_does_not_say_gets_explicit_little_endian_but_of_what_was_lossy(
    with_corpus: Isocenter, corpus: list[Instance]
) -> None:
    got, expected = {}, {}
    with httpx.Client(timeout=60, trust_env=False) as client:
        for one in corpus:
            url = instance_url(with_corpus, one)
            answer = client.get(url, headers={"accept": "application/dicom"})
            meta = pydicom.dcmread(BytesIO(answer.content), specific_tags=[]).file_meta
            got[one.sop_instance] = (answer.status_code, meta.TransferSyntaxUID)
            is_plain = one.transfer_syntax in (*NATIVE, *LOSSLESS)
            expected[one.sop_instance] = (200, EXPLICIT if is_plain else one.transfer_syntax)

    assert got == expected


# --- large


def test_a_gigabyte_comes_out_with_flat_memory(
    server: Isocenter, isocenter: Command, tmp_path: Path
) -> None:
    file, one = _large(tmp_path / "large.dcm", 1 << 30)
    isocenter("send", server.address, file, timeout=110)
    url = instance_url(server, one)
    before = server.process.resident_bytes()

    with _peak(server) as seen:
        alone = _digest(url, "application/dicom", skip=0)
        in_zip = _size(url, "application/zip")
        end = _digest(url, "application/dicom", skip=1 << 29)

    with file.open("rb") as stream:
        stream.seek(data_set_start(stream))
        stored = hashlib.file_digest(stream, "sha256").hexdigest()
    assert alone == stored
    assert end == hashlib.sha256(bytes(1 << 20)).hexdigest()
    assert in_zip > 1 << 30
    assert max(seen) - before < 100e6


def _large(path: Path, size: int) -> tuple[Path, Instance]:
    """A sparse file of one instance with ``size`` bytes of pixel data."""
    image = ct_template(
        8, SOPClassUID=MULTI_FRAME_BYTE, SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid()
    )
    image.Rows = image.Columns = 1024
    image.NumberOfFrames = size >> 20
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    del image.PixelData
    head = as_file(image)
    with path.open("wb") as file:
        file.write(head)
        file.write(struct.pack("<HH2sxxI", 0x7FE0, 0x0010, b"OB", size))
        file.truncate(file.tell() + size)
    return path, as_instance(image)


def _digest(url: str, accept: str, *, skip: int) -> str:
    """The SHA-256 of the data set that is given; after ``skip``, of the last megabyte alone."""
    headers = {"accept": accept} | ({"range": f"bytes=-{1 << 20}"} if skip else {})
    digest, start = hashlib.sha256(), b""
    is_begun = bool(skip)
    with httpx.stream("GET", url, headers=headers, timeout=60, trust_env=False) as answer:
        assert answer.status_code == (206 if skip else 200)
        for piece in answer.iter_bytes(1 << 20):
            if not is_begun:
                start += piece
                is_begun, piece = True, data_set(start)
            digest.update(piece)
    return digest.hexdigest()


def _size(url: str, accept: str) -> int:
    with httpx.stream("GET", url, headers={"accept": accept}, timeout=60, trust_env=False) as got:
        total = sum(map(len, got.iter_bytes(1 << 20)))
        assert total == int(got.headers["content-length"])
    return total


@contextmanager
def _peak(server: Isocenter) -> Iterator[list[int]]:
    """Collect the server's resident memory while the block runs."""
    seen = [server.process.resident_bytes()]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            seen.append(server.process.resident_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


# --- clients that go


def test_a_client_that_leaves_midway_costs_nothing(server: Isocenter) -> None:
    instances = make_study(40, pixels=512)
    store_all(server, instances)
    files = _open_files(server)

    for _ in range(20):
        with httpx.stream(
            "GET", study_url(server, instances[0].study), timeout=10, trust_env=False
        ) as answer:
            next(answer.iter_bytes(100_000))
    whole = httpx.get(study_url(server, instances[0].study), timeout=30, trust_env=False)

    assert len(parts(whole)) == 40
    assert eventually(lambda: _open_files(server) <= files + 2)
    assert "Traceback" not in server.log.read_text()


def _open_files(server: Isocenter) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def test_a_study_with_lost_bytes_midway_is_not_ended_well(server: Isocenter) -> None:
    instances = make_study(30, pixels=512)
    store_all(server, instances)
    blobs = sorted((server.data / "blobs").glob("*/*/*"))

    def read() -> None:
        url = study_url(server, instances[0].study)
        with httpx.stream("GET", url, timeout=30, trust_env=False) as answer:
            assert answer.status_code == 200
            for number, _ in enumerate(answer.iter_raw(10_000)):
                if number == 0:  # they were there, and of the right size, when it began
                    for blob in blobs:
                        blob.unlink()

    with pytest.raises(httpx.RemoteProtocolError):
        read()
