"""Pictures over HTTP, held against what DCMTK makes of the same images (PS3.4 N.2)."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from peers import Isocenter
from programs import Command, Tool

SAMPLES = ("CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "examples_rgb_color.dcm")
COLOURED = {"examples_rgb_color.dcm"}
LINEAR = (100.0, 700.0)


def sample(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


@pytest.fixture(scope="module")
def stored(shared_server: Isocenter) -> dict[str, str]:
    """Where each sample is."""
    places = {}
    for name in SAMPLES:
        answer = httpx.post(
            f"{shared_server.url}/dicom-web/studies",
            content=sample(name).read_bytes(),
            headers={"content-type": "application/dicom"},
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        places[name] = answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    return places


def pixels_of(picture: bytes) -> Any:
    with Pillow.open(io.BytesIO(picture)) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def ours(place: str, **query: str) -> Any:
    headers = {"accept": "image/png"}
    answer = httpx.get(f"{place}/rendered", headers=headers, params=query, trust_env=False)
    assert answer.status_code == 200, answer.text
    return pixels_of(answer.content)


@pytest.mark.parametrize("name", SAMPLES)
def test_dcmtk_shows_the_same(
    stored: dict[str, str], dcmtk: Tool, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "theirs.png"
    query: dict[str, str] = {}
    options: list[str] = []
    if name not in COLOURED:
        center, width = LINEAR
        query = {"window": f"{center},{width},linear"}
        options = ["+Ww", str(center), str(width)]

    dcmtk("dcm2pnm", "--write-png", *options, sample(name), target)

    theirs = pixels_of(target.read_bytes())
    assert np.abs(ours(stored[name], **query) - theirs).max() <= 1


def test_dicomweb_client_retrieves_pictures(
    stored: dict[str, str], shared_server: Isocenter
) -> None:
    dataset = pydicom.dcmread(sample("CT_small.dcm"), stop_before_pixels=True)
    client = DICOMwebClient(f"{shared_server.url}/dicom-web")
    uids = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)

    picture = client.retrieve_instance_rendered(*uids, media_types=("image/png",))
    frame = client.retrieve_instance_frames_rendered(*uids, [1], media_types=("image/jpeg",))

    assert pixels_of(picture).shape == (128, 128, 3)
    assert pixels_of(frame).shape == (128, 128, 3)


def test_the_command_renders_what_the_server_renders(
    stored: dict[str, str], isocenter: Command, tmp_path: Path
) -> None:
    target = tmp_path / "picture.png"

    isocenter("render", sample("CT_small.dcm"), target, "--window", "40,400")

    same = ours(stored["CT_small.dcm"], window="40,400,linear")
    assert np.array_equal(pixels_of(target.read_bytes()), same)


def test_many_clients_at_once_are_served(stored: dict[str, str]) -> None:
    statuses: list[int] = []

    def ask() -> None:
        headers = {"accept": "image/jpeg"}
        for place in stored.values():
            answer = httpx.get(f"{place}/rendered", headers=headers, timeout=60, trust_env=False)
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 20 * len(stored)


def test_no_worker_outlives_the_server(start_server: Any, stored: dict[str, str]) -> None:
    import psutil

    server = start_server()
    with sample("CT_small.dcm").open("rb") as file:
        answer = httpx.post(
            f"{server.url}/dicom-web/studies",
            content=file.read(),
            headers={"content-type": "application/dicom"},
            trust_env=False,
        )
    ours(answer.json()["00081199"]["Value"][0]["00081190"]["Value"][0])
    children = psutil.Process(server.process.pid).children(recursive=True)

    server.stop()

    assert children
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
