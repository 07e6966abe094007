"""What Weasis does with our links: it reads the manifest and fetches, or searches by itself.

Its requests are those of its source: LoadSeries (WADO-URI) and RsQueryParams (DICOMweb).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from pathlib import Path
from urllib.parse import unquote

import httpx
import pydicom
import pytest

import weasis
from instances import make_study, write_files
from peers import Isocenter
from tabs import store


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=30) as opened:
        yield opened


def kept(server: Isocenter, tmp_path: Path) -> tuple[str, set[str]]:
    """Store a study; return its UID, and the digests of its data sets."""
    files = write_files(make_study(3), tmp_path)
    for path in files:
        store(server, path.read_bytes())
    return pydicom.dcmread(files[0]).StudyInstanceUID, {pixels(each.read_bytes()) for each in files}


def pixels(file: bytes) -> str:
    return hashlib.sha256(pydicom.dcmread(io.BytesIO(file)).PixelData).hexdigest()


def test_the_link_leads_to_a_manifest_whose_instances_can_be_fetched(
    shared_server: Isocenter, tmp_path: Path, client: httpx.Client
) -> None:
    study, digests = kept(shared_server, tmp_path)
    link = client.get(f"{shared_server.url}/studies/{study}/open/weasis").headers["location"]
    command = unquote(link.removeprefix("weasis://"))
    manifest = command.removeprefix('$dicom:get -w "').removesuffix('"')

    urls = weasis.downloads(weasis.read(client.get(manifest).content))

    fetched = [client.get(url) for url in urls]
    assert {each.headers["content-type"] for each in fetched} == {"application/dicom"}
    assert {pixels(each.content) for each in fetched} == digests
    # The picture of a series in its list.
    picture = urls[0].partition("&contentType")[0]
    shown = client.get(f"{picture}&contentType=image/jpeg&imageQuality=70&rows=256&columns=256")
    assert shown.headers["content-type"] == "image/jpeg"


def test_the_searches_that_it_makes_by_itself_are_answered(
    shared_server: Isocenter, tmp_path: Path, client: httpx.Client
) -> None:
    study, digests = kept(shared_server, tmp_path)
    base = f"{shared_server.url}/dicom-web"
    json = {"accept": "application/dicom+json"}
    asked = "&includefield=00080020,00080030,00080050,00081030,00080090,00200010"

    found = client.get(f"{base}/studies?0020000D={study}{asked}", headers=json).json()
    assert found[0]["0020000D"]["Value"] == [study]
    (series,) = client.get(
        f"{base}/studies/{study}/series?includefield=0008103E,00200011,00081190", headers=json
    ).json()
    place = series["00081190"]["Value"][0]
    instances = client.get(f"{place}/instances?includefield=00200013,00081190", headers=json).json()
    assert sorted(each["00200013"]["Value"][0] for each in instances) == [1, 2, 3]

    accept = 'multipart/related;type="application/dicom";transfer-syntax=*'
    fetched = [
        _only_part(client.get(each["00081190"]["Value"][0], headers={"accept": accept}))
        for each in instances
    ]
    assert {pixels(each) for each in fetched} == digests
    thumbnail = client.get(f"{place}/thumbnail", headers={"accept": "image/jpeg"})
    assert thumbnail.headers["content-type"] == "image/jpeg"


def _only_part(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200
    head = f"content-type: {answer.headers['content-type']}\r\n\r\n".encode()
    boundary = BytesHeaderParser().parsebytes(head).get_param("boundary")
    (part,) = answer.content.split(f"--{boundary}".encode())[1:-1]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
