"""Videos and moving images over HTTP and from the command line, read back with PyAV."""

from __future__ import annotations

import io
import socket
import subprocess
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from made_instances import part10
from made_pictures import grey
from made_videos import H264, MPEG2, read, stream, video
from peers import LOCALHOST, Isocenter, eventually, find_program
from programs import Command

MOST_MEMORY = 100 << 20


def file_of(dataset: Dataset, syntax: str = H264) -> bytes:
    """As a file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def store(server: Isocenter, data: bytes) -> str:
    """Where it is then."""
    headers = {"content-type": "application/dicom"}
    answer = httpx.post(
        f"{server.url}/dicom-web/studies", content=data, headers=headers, trust_env=False,
        timeout=120,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return str(answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0])


def of_own(number: int) -> dict[str, str]:
    """Where no other test looks."""
    return {
        "StudyInstanceUID": f"1.2.77.{number}",
        "SeriesInstanceUID": f"1.2.77.{number}.1",
        "SOPInstanceUID": f"1.2.77.{number}.1.1",
    }


def test_curl_gets_a_video_and_goes_on_in_its_middle(
    shared_server: Isocenter, tmp_path: Path
) -> None:
    place = store(shared_server, file_of(video(stream(container="mpegts"), **of_own(1))))
    whole, resumed = tmp_path / "whole.mp4", tmp_path / "resumed.mp4"
    ask = [find_program("curl"), "-sSf", "-H", "Accept: video/mp4", f"{place}/rendered", "-o"]

    subprocess.run([*ask, whole], check=True)
    resumed.write_bytes(whole.read_bytes()[:1000])
    subprocess.run([*ask, resumed, "-C", "-"], check=True)
    last = subprocess.run([*ask, "-", "-r", "-100"], check=True, capture_output=True).stdout

    assert len(read(whole.read_bytes()).times) == 30
    assert resumed.read_bytes() == whole.read_bytes()
    assert last == whole.read_bytes()[-100:]


@pytest.mark.parametrize(("syntax", "container"), [(H264, "mpegts"), (MPEG2, "mpeg")])
def test_the_command_makes_a_film_of_a_video(
    isocenter: Command, tmp_path: Path, syntax: str, container: str
) -> None:
    source, target = tmp_path / "in.dcm", tmp_path / "out.mp4"
    source.write_bytes(file_of(video(stream(syntax, container)), syntax))

    isocenter("render", source, target)
    isocenter("render", source, tmp_path / "still.png", "--frame", "9")

    assert len(read(target.read_bytes()).times) == 30
    assert (tmp_path / "still.png").stat().st_size > 100


def test_the_command_makes_a_film_of_frames(isocenter: Command, tmp_path: Path) -> None:
    source, target = tmp_path / "in.dcm", tmp_path / "out.mp4"
    flat = np.stack([np.full((17, 31), 40 * n, np.uint16) for n in range(6)])
    source.write_bytes(part10(grey(flat, WindowCenter=128, WindowWidth=256, FrameTime=200)))

    isocenter("render", source, target, "--size", "62x34")

    found = read(target.read_bytes())
    assert [each.mean() for each in found.pictures] == pytest.approx(range(0, 240, 40), abs=2)
    assert found.pictures[0].shape == (34, 62, 3)
    assert found.duration == pytest.approx(1.2, abs=0.01)
    isocenter("render", source, target, expect=None)  # it is there: not written over
    assert read(target.read_bytes()).duration == found.duration


def long_cine(number: int) -> Dataset:
    frames = np.random.default_rng(1).integers(0, 4096, (20, 256, 256), np.uint16)
    return grey(np.tile(frames, (25, 1, 1)), FrameTime=40, **of_own(number))


def drafts_of(server: Isocenter) -> list[Path]:
    """Videos that are being made."""
    return list((server.data / "videos").glob("*/*.part"))


def test_when_the_client_leaves_the_making_ends(shared_server: Isocenter) -> None:
    place = store(shared_server, part10(long_cine(2)))
    path = place.partition(f":{shared_server.http_port}")[2]

    with socket.create_connection((LOCALHOST, shared_server.http_port)) as connection:
        head = f"GET {path}/rendered HTTP/1.1\r\nHost: {LOCALHOST}\r\nAccept: video/mp4\r\n\r\n"
        connection.sendall(head.encode())
        assert eventually(lambda: drafts_of(shared_server))

    assert eventually(lambda: not drafts_of(shared_server))
    answer = httpx.get(f"{place}/thumbnail", trust_env=False, timeout=30)
    assert answer.status_code == 200


def test_a_large_video_takes_little_memory(shared_server: Isocenter, tmp_path: Path) -> None:
    content = stream(container="mpegts", frames=30)
    noise = np.random.default_rng(1).integers(0, 255, 64 << 20, np.uint8).tobytes()
    junk = bytearray(188 * (len(noise) // 184))
    view = np.frombuffer(junk, np.uint8).reshape(-1, 188)
    view[:, 0], view[:, 1], view[:, 2], view[:, 3] = 0x47, 0x1F, 0xFF, 0x10  # null packets
    view[:, 4:] = np.frombuffer(noise[: len(view) * 184], np.uint8).reshape(-1, 184)
    place = store(shared_server, file_of(video(content + bytes(junk) * 3, **of_own(3))))
    server = psutil.Process(shared_server.process.pid)
    before = server.memory_info().rss

    answer = httpx.get(
        f"{place}/rendered", headers={"accept": "video/mp4"}, trust_env=False, timeout=60
    )
    kept = httpx.get(
        f"{place}/frames/1", headers={"accept": "video/mp4"}, trust_env=False, timeout=60
    )

    assert len(read(answer.content).times) == 30
    assert len(kept.content) >= len(junk) * 3
    assert server.memory_info().rss - before < MOST_MEMORY
