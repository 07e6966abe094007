"""What the web is given of an instance that is kept compressed instead of as it came."""

import io

import httpx
import numpy as np
import pydicom

from isocenter.archive.archive import Archive
from isocenter.archive.compression import Fate
from isocenter.dicom.syntax import lookup
from isocenter.imaging.workers import Workers
from made_instances import Kept
from made_pictures import coloured
from multiparts import parts

KEPT = "1.2.840.10008.1.2.4.90"
EXPLICIT = "1.2.840.10008.1.2.1"
COLOURS = np.arange(64 * 64 * 3).reshape(64, 64, 3) // 97 % 256
INSTANCE = "/studies/1.2/series/1.2.3/instances/1.2.3.4"


async def compress(archive: Archive, workers: Workers) -> None:
    instance = await archive.index.lookup("1.2.3.4")
    work = archive.compression(workers, grace=0)
    assert (await work.compress(instance, lookup(KEPT))).fate is Fate.COMPRESSED
    await archive.delete_blobs()


async def test_search_metadata_tags_and_pixels_follow(
    archive: Archive, kept: Kept, web: httpx.AsyncClient, workers: Workers
) -> None:
    await kept.store(coloured(COLOURS))
    search = "/instances?includefield=00083002"
    uncompressed = (await web.get(search)).json()[0]
    before = await web.get(f"{INSTANCE}/metadata")
    frame = await web.get(f"{INSTANCE}/frames/1", headers={"accept": "application/octet-stream"})

    await compress(archive, workers)

    (match,) = (await web.get(search)).json()
    after = await web.get(f"{INSTANCE}/metadata", headers={"if-none-match": before.headers["etag"]})
    again = await web.get(f"{INSTANCE}/frames/1", headers={"accept": "application/octet-stream"})
    assert uncompressed["00083002"]["Value"] == [EXPLICIT]
    assert match["00083002"]["Value"] == [KEPT, EXPLICIT]
    assert after.status_code == 200
    assert after.json()[0]["00280004"]["Value"] == ["YBR_RCT"]  # PS3.5 8.2.4
    assert before.json()[0]["00280004"]["Value"] == ["RGB"]
    assert again.headers["etag"] != frame.headers["etag"]
    assert again.content == frame.content


async def test_every_transfer_syntax_that_search_tells_can_be_had(
    archive: Archive, kept: Kept, web: httpx.AsyncClient, workers: Workers
) -> None:
    await kept.store(coloured(COLOURS))
    await compress(archive, workers)
    (match,) = (await web.get("/instances?includefield=00083002")).json()

    for syntax in match["00083002"]["Value"]:
        accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
        answer = await web.get(INSTANCE, headers={"accept": accept})
        (part,) = parts(answer)
        found = pydicom.dcmread(io.BytesIO(part.content))
        assert found.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(pydicom.pixels.pixel_array(found), COLOURS)
