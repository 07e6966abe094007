"""What 3D Slicer and Slim ask for, as their public sources have it, answered rightly.

Slicer: DICOMUtils.importFromDICOMWeb and the DICOMwebBrowser extension, both by dicomweb-client.
Slim: its own searches, and the requests that dicom-microscopy-viewer makes by dicomweb-client.js.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_frames

from instances import make_study, write_files
from peers import Isocenter
from slides import make_slide
from tabs import store

JSON = {"accept": "application/dicom+json"}

# The order in which dicom-microscopy-viewer names what it can decode.
TILE_TYPES = (
    ("image/jls", "1.2.840.10008.1.2.4.80"),
    ("image/jls", "1.2.840.10008.1.2.4.81"),
    ("image/jp2", "1.2.840.10008.1.2.4.90"),
    ("image/jp2", "1.2.840.10008.1.2.4.91"),
    ("image/jpx", "1.2.840.10008.1.2.4.92"),
    ("image/jpx", "1.2.840.10008.1.2.4.93"),
    ("image/jpeg", "1.2.840.10008.1.2.4.50"),
    ("application/octet-stream", "1.2.840.10008.1.2.1"),
)


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=30) as opened:
        yield opened


@pytest.fixture
def study(shared_server: Isocenter, tmp_path: Path) -> list[pydicom.Dataset]:
    files = write_files(make_study(3), tmp_path)
    for path in files:
        store(shared_server, path.read_bytes())
    return [pydicom.dcmread(path) for path in files]


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """The media type and content of each part."""
    assert answer.status_code == 200, answer.text
    head = Message()
    head["content-type"] = answer.headers["content-type"]
    boundary = f"--{head.get_param('boundary')}".encode()
    found = []
    for part in answer.content.split(boundary)[1:-1]:
        fields, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
        kind = next(
            line for line in fields.decode().splitlines() if line.lower().startswith("content-type")
        )
        found.append((kind.partition(":")[2].strip().lower(), content))
    return found


# --- 3D Slicer


def test_slicer_opens_the_study_of_its_link(
    shared_server: Isocenter, study: list[pydicom.Dataset], client: httpx.Client
) -> None:
    uid = study[0].StudyInstanceUID
    link = client.get(f"{shared_server.url}/studies/{uid}/open/slicer").headers["location"]
    asked = parse_qs(urlsplit(link).query)
    slicer = DICOMwebClient(url=asked["dicomweb_endpoint"][0])

    (series,) = slicer.search_for_series(study_instance_uid=asked["studyUID"][0])
    named = series["0020000E"]["Value"][0]
    described = slicer.retrieve_series_metadata(uid, named)
    instances = list(slicer.iter_series(uid, named))

    uids = {each.SOPInstanceUID for each in study}
    assert {each["00080018"]["Value"][0] for each in described} == uids
    assert {each.SOPInstanceUID for each in instances} == uids
    # With bulk_retrieve=0, instance by instance.
    for each in study:
        alone = slicer.retrieve_instance(uid, named, each.SOPInstanceUID)
        assert alone.PixelData == each.PixelData


def test_slicers_browser_pages_through_all_studies(
    shared_server: Isocenter, study: list[pydicom.Dataset]
) -> None:
    """It asks for what is behind what it has until there is nothing, or the same comes again."""
    browser = DICOMwebClient(url=f"{shared_server.url}/dicom-web")
    studies: list[dict[str, object]] = []
    while subset := browser.search_for_studies(offset=len(studies)):
        assert subset[0] not in studies
        studies.extend(subset)
    found = next(
        each for each in studies if each["0020000D"]["Value"] == [study[0].StudyInstanceUID]
    )  # type: ignore[index]
    # The columns of its tables.
    assert {"00100010", "00100020", "00080061", "00080020", "00201208"} <= set(found)
    (series,) = browser.search_for_series(study[0].StudyInstanceUID)
    assert {"0020000E", "00200011", "00080060", "00201209"} <= set(series)


# --- Slim


@pytest.fixture
def slide(shared_server: Isocenter) -> pydicom.Dataset:
    made = make_slide()
    dataset = made.read()
    DICOMwebClient(f"{shared_server.url}/dicom-web").store_instances([dataset])
    return dataset


def test_slim_finds_slides_and_reads_what_they_are(
    shared_server: Isocenter, slide: pydicom.Dataset, client: httpx.Client
) -> None:
    base, uid = f"{shared_server.url}/dicom-web", slide.StudyInstanceUID
    listed = client.get(
        f"{base}/studies",
        params={"ModalitiesInStudy": "SM", "limit": 10, "offset": 0},
        headers=JSON,
    ).json()
    assert uid in [each["0020000D"]["Value"][0] for each in listed]
    (series,) = client.get(
        f"{base}/studies/{uid}/series", params={"Modality": "SM"}, headers=JSON
    ).json()
    (told,) = client.get(
        f"{base}/studies/{uid}/series/{series['0020000E']['Value'][0]}/metadata", headers=JSON
    ).json()
    assert told["00480006"]["Value"] == [slide.TotalPixelMatrixColumns]
    assert told["00280008"]["Value"] == [slide.NumberOfFrames]
    # Nothing was measured or annotated yet: an empty answer, not a fault.
    for modality in ("SR", "ANN", "SEG"):
        found = client.get(
            f"{base}/studies/{uid}/instances",
            params={"Modality": modality, "includefield": "0008103E"},
            headers=JSON,
        )
        assert found.status_code in (200, 204)
        assert not found.content.strip() or found.json() == []


def test_slim_gets_its_tiles_as_they_are_kept(
    shared_server: Isocenter, slide: pydicom.Dataset, client: httpx.Client
) -> None:
    """What it can decode is there without coding anew, whatever else it would take."""
    accept = ", ".join(
        f'multipart/related; type="{kind}"; transfer-syntax={syntax}' for kind, syntax in TILE_TYPES
    )
    path = (
        f"{shared_server.url}/dicom-web/studies/{slide.StudyInstanceUID}/series/"
        f"{slide.SeriesInstanceUID}/instances/{slide.SOPInstanceUID}/frames"
    )
    kept = list(generate_frames(slide.PixelData, number_of_frames=slide.NumberOfFrames))

    for number in (1, 7):
        ((kind, content),) = parts(client.get(f"{path}/{number}", headers={"accept": accept}))
        assert kind.startswith("image/jpeg")
        assert content.rstrip(b"\0") == kept[number - 1].rstrip(b"\0")
    only = 'multipart/related; type="image/jpeg"; transfer-syntax=1.2.840.10008.1.2.4.50'
    several = parts(client.get(f"{path}/2,3,4", headers={"accept": only}))
    assert [content.rstrip(b"\0") for _, content in several] == [
        each.rstrip(b"\0") for each in kept[1:4]
    ]
