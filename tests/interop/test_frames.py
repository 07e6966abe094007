"""Frames and bulk data over HTTP, by clients that we did not write (PS3.18 10.4.1.1.5 and .6)."""

from __future__ import annotations

import random
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import MPEG4HP41, UID

from instances import Instance, as_instance, ct_template, new_uid, read_instance
from made_pixels import item
from peers import Isocenter
from questions import store_all

NATIVE = ("rtdose.dcm", "MR_small.dcm", "rtdose_expb.dcm", "image_dfl.dcm")
COMPRESSED = ("SC_rgb_rle_2frame.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPEG2000.dcm")
OCTETS = "application/octet-stream"


def client_of(server: Isocenter) -> DICOMwebClient:
    return DICOMwebClient(f"{server.url}/dicom-web")


def uids(one: Instance) -> tuple[str, str, str]:
    return one.study, one.series, one.sop_instance


def url_of(server: Isocenter, one: Instance) -> str:
    study, series, instance = uids(one)
    return f"{server.url}/dicom-web/studies/{study}/series/{series}/instances/{instance}"


def image_of(pixels: int, **attributes: Any) -> Dataset:
    """An instance that is none of those of other tests."""
    fresh = {"SOPInstanceUID": new_uid(), "SeriesInstanceUID": new_uid(), "InstanceNumber": 1}
    return ct_template(pixels, **fresh, **attributes)


def known(name: str) -> Instance:
    return read_instance(Path(str(get_testdata_file(name, download=False))).read_bytes())


def frames_of(image: Any) -> list[bytes]:
    """As pydicom finds them."""
    count = int(image.get("NumberOfFrames", 1))
    if image["PixelData"].is_undefined_length:
        return list(generate_frames(image.PixelData, number_of_frames=count))
    frames = image.pixel_array.reshape(count, image.Rows, -1)
    return [frame.astype(frame.dtype.newbyteorder("<")).tobytes() for frame in frames]


@pytest.mark.parametrize("name", NATIVE)
def test_dicomweb_client_retrieves_native_frames(shared_server: Isocenter, name: str) -> None:
    one = known(name)
    image = one.read()
    store_all(shared_server, [one])
    expected = frames_of(image)
    numbers = list(range(1, len(expected) + 1))

    for media_types in (None, (OCTETS,), ((OCTETS, "*"),), ("*/*",)):
        given = client_of(shared_server).retrieve_instance_frames(
            *uids(one), numbers, media_types=media_types
        )

        assert given == expected


def test_dicomweb_client_retrieves_frames_of_single_bits(shared_server: Isocenter) -> None:
    size, count = 51 * 53, 3  # no frame but the first begins at a byte
    whole = random.Random(3).getrandbits(size * count)
    image = image_of(8, Rows=51, Columns=53, NumberOfFrames=count)
    image.BitsAllocated = image.BitsStored = 1
    image.HighBit = image.PixelRepresentation = 0
    image.PixelData = whole.to_bytes((size * count + 15) // 16 * 2, "little")
    one = as_instance(image)
    store_all(shared_server, [one])

    given = client_of(shared_server).retrieve_instance_frames(*uids(one), [1, 2, 3])

    for number, frame in enumerate(given):
        bits = whole >> number * size & (1 << size) - 1
        assert frame == bits.to_bytes((size + 7) // 8, "little")


@pytest.mark.parametrize("name", COMPRESSED)
def test_dicomweb_client_retrieves_compressed_frames(shared_server: Isocenter, name: str) -> None:
    one = known(name)
    store_all(shared_server, [one])
    expected = frames_of(one.read())
    numbers = list(range(1, len(expected) + 1))
    client = client_of(shared_server)
    media_type = {
        "1.2.840.10008.1.2.5": "image/x-dicom-rle",
        "1.2.840.10008.1.2.4.90": "image/jp2",
        "1.2.840.10008.1.2.4.91": "image/jp2",
    }.get(one.transfer_syntax, "image/jpeg")

    for media_types in (
        None,
        ((OCTETS, "*"),),
        ("*/*",),
        ((media_type, one.transfer_syntax),),
        (media_type,),
    ):
        given = client.retrieve_instance_frames(*uids(one), numbers, media_types=media_types)

        assert given == expected


@pytest.mark.parametrize("name", [*NATIVE, *COMPRESSED])
def test_dicomweb_client_follows_what_metadata_refers_to(
    shared_server: Isocenter, name: str
) -> None:
    one = known(name)
    image = one.read()
    store_all(shared_server, [one])
    client = client_of(shared_server)
    metadata = client.retrieve_instance_metadata(*uids(one))

    # Peer quirk: dicomweb-client leaves the port out of Host, so that the URI has none.
    _, _, path = metadata["7FE00010"]["BulkDataURI"].partition("/dicom-web/")

    given = client.retrieve_bulkdata(f"{shared_server.url}/dicom-web/{path}")

    if image["PixelData"].is_undefined_length:
        assert given == frames_of(image)
    else:
        pixels = b"".join(frames_of(image))
        assert given == [pixels + bytes(len(pixels) % 2)]


def test_many_readers_get_the_tiles_that_they_ask_for(shared_server: Isocenter) -> None:
    image = image_of(64)
    count = 500
    image.NumberOfFrames = count
    image.PixelData = b"".join(number.to_bytes(4, "little") * 2048 for number in range(count))
    one = as_instance(image)
    store_all(shared_server, [one])
    numbers = random.Random(1).sample(range(1, count + 1), 200)

    def read(chunk: list[int]) -> list[bytes]:
        client = client_of(shared_server)
        alone = client.retrieve_instance_frames(*uids(one), chunk[:1])
        return alone + client.retrieve_instance_frames(*uids(one), chunk[1:])

    with ThreadPoolExecutor(8) as pool:
        given = pool.map(read, [numbers[start : start + 10] for start in range(0, 200, 10)])
        found = [int.from_bytes(frame[:4], "little") + 1 for chunk in given for frame in chunk]

    assert found == numbers


def test_curl_gets_a_video_and_goes_on_in_its_middle(
    shared_server: Isocenter, tmp_path: Path
) -> None:
    curl = shutil.which("curl")
    if not curl:
        pytest.skip("curl is not installed")
    stream = random.Random(2).randbytes(300_000)
    image = image_of(8)
    image.NumberOfFrames = 100
    image.PixelData = item(b"") + item(stream[:100_000]) + item(stream[100_000:])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    one = as_instance(image, UID(MPEG4HP41))
    store_all(shared_server, [one])
    out = tmp_path / "video.mp4"
    out.write_bytes(stream[:123_456])
    url = f"{url_of(shared_server, one)}/pixeldata"

    done = subprocess.run(
        [curl, "-sf", "-C", "-", "-o", out, "-H", "Accept: video/mp4", url],
        check=False,
        timeout=30,
    )

    assert done.returncode == 0
    assert out.read_bytes() == stream
