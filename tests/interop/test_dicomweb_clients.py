"""DICOMweb by clients of others: dcmjs' dicomweb-client under Node, wsidicom for slides."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import UID
from wsidicom import WsiDicom, WsiDicomWebClient

from instances import make_study, write_files
from peers import Isocenter
from slides import TILE, colour, make_slide

NODE = Path(__file__).parents[1] / "node"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def javascript(server: Isocenter) -> Any:
    """Run the script with all calls of the JavaScript client; return what it printed."""
    node = shutil.which("node")
    if not node or not (NODE / "node_modules").exists():
        told = "Node, or what tests/node needs, is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)

    def run(*files: Path) -> dict[str, Any]:
        command = [node, NODE / "dicomweb_client.mjs", f"{server.url}/dicom-web", *files]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[:4000]
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def test_the_javascript_client_makes_all_its_calls(tmp_path: Path, javascript: Any) -> None:
    study = make_study(3)
    files = write_files(study, tmp_path / "files")
    sent = {digest(path.read_bytes()): pydicom.dcmread(path) for path in files}
    uids = sorted(each.SOPInstanceUID for each in sent.values())

    found = javascript(*files)

    assert found["study"]["00201208"]["Value"] == [3]
    assert found["series"]["00201209"]["Value"] == [3]
    assert sorted(found["instances"]) == uids
    assert found["metadata"] == {"study": 3, "series": 3, "instance": 1}
    assert found["name"]["Alphabetic"] == str(next(iter(sent.values())).PatientName)
    first = next(each for each in sent.values() if each.SOPInstanceUID == found["instances"][0])
    assert found["frames"] == [digest(first.PixelData)]
    assert found["bulk"] == [digest(first.PixelData)]
    assert len(set(found["ofSeries"])) == len(set(found["ofStudy"])) == 3
    assert found["instance"] in found["ofStudy"]
    assert found["rendered"] is None, "not refused"
    assert found["thumbnail"] is None
    assert found["missing"] == 404


def test_wsidicom_opens_a_slide_and_reads_across_its_tiles(server: Isocenter) -> None:
    slide = make_slide()
    client = DICOMwebClient(f"{server.url}/dicom-web")
    client.store_instances([slide.read()])

    with WsiDicom.open_web(
        WsiDicomWebClient(client), UID(slide.study), [UID(slide.series)]
    ) as opened:
        size = opened.size
        region = np.asarray(opened.read_region((TILE, TILE), 0, (2 * TILE, TILE))).astype(int)
        tile = np.asarray(opened.read_tile(0, (3, 2))).astype(int)

    assert (size.width, size.height) == (4 * TILE, 3 * TILE)
    assert np.abs(region[:, :TILE] - colour(1, 1)).max() <= 4
    assert np.abs(region[:, TILE:] - colour(1, 2)).max() <= 4
    assert np.abs(tile - colour(2, 3)).max() <= 4
