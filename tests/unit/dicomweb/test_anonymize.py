"""anonymize=yes of the URI service (PS3.18 9.4.1.2.1, 9.4.2.3; PS3.15 Annex E)."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest

from isocenter.archive.anonymize import SECRET_FILE
from made_instances import Kept, image
from made_pictures import grey, ramp, seen

QUERY = {
    "requestType": "WADO",
    "studyUID": "1.2",
    "seriesUID": "1.2.3",
    "objectUID": "1.2.3.4",
    "contentType": "application/dicom",
    "anonymize": "yes",
}
TARGETS = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.90", "*"]


async def get(web: httpx.AsyncClient, **query: str) -> httpx.Response:
    return await web.get("/wado", params={**QUERY, **query})


def read(answer: httpx.Response) -> pydicom.Dataset:
    assert answer.status_code == 200, answer.text
    return pydicom.dcmread(io.BytesIO(answer.content))


@pytest.mark.parametrize("syntax", TARGETS)
async def test_an_instance_is_given_without_what_says_whose_it_is(
    web: httpx.AsyncClient, kept: Kept, syntax: str
) -> None:
    await kept.store(grey(ramp(), BurnedInAnnotation="NO"))

    answer = await get(web, transferSyntax=syntax)

    found = read(answer)
    assert b"Doe" not in answer.content
    assert b"1.2.3.4" not in answer.content.replace(b"1.2.840", b"")
    assert "1.2.3.4" not in answer.headers["content-disposition"]
    assert "warning" not in answer.headers
    assert found.file_meta.MediaStorageSOPInstanceUID == found.SOPInstanceUID
    assert found.PatientIdentityRemoved == "YES"
    if syntax != "*":
        assert found.file_meta.TransferSyntaxUID == syntax
    original = grey(ramp())
    size = original.Rows * original.Columns
    if not found.file_meta.TransferSyntaxUID.is_compressed and syntax.endswith("1.2.1"):
        assert found.PixelData[:size] == original["PixelData"].value[:size]


async def test_uids_become_others_that_stay_together(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store_all(("1.2.3.4", "1.2.3.5"))

    one, two = read(await get(web)), read(await get(web, objectUID="1.2.3.5"))
    again = read(await get(web))

    assert one.StudyInstanceUID == two.StudyInstanceUID != "1.2"
    assert one.SOPInstanceUID == again.SOPInstanceUID != two.SOPInstanceUID
    assert one.PatientID == two.PatientID != "P1"
    assert str(one.SOPInstanceUID).startswith("2.25.")


async def test_the_secret_is_made_once_and_for_nobody_else(
    web: httpx.AsyncClient, kept: Kept, tmp_path: Path
) -> None:
    await kept.store(image())
    path = tmp_path / "data" / SECRET_FILE
    assert not path.exists()

    await get(web)

    assert path.stat().st_mode & 0o077 == 0
    assert len(path.read_bytes()) == 32


async def test_pixels_of_which_nothing_is_said_come_with_a_warning(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    await kept.store(image())

    assert "pixels" in (await get(web)).headers["warning"]


@pytest.mark.parametrize("content_type", ["application/dicom", "image/png"])
@pytest.mark.parametrize(
    "told",
    [
        {"BurnedInAnnotation": "YES"},
        {"RecognizableVisualFeatures": "YES"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]},
    ],
)
async def test_what_shows_who_it_is_is_not_given(
    web: httpx.AsyncClient, kept: Kept, told: dict[str, str], content_type: str
) -> None:
    await kept.store(grey(ramp(), **told))

    answer = await get(web, contentType=content_type)

    assert answer.status_code == 403
    assert "anonymized" in answer.json()["detail"]


async def test_a_picture_is_given_without_overlays(web: httpx.AsyncClient, kept: Kept) -> None:
    made = grey(ramp())
    for element, vr, value in (
        (0x10, "US", 16),  # rows
        (0x11, "US", 16),
        (0x40, "CS", "G"),
        (0x50, "SS", [1, 1]),
        (0x100, "US", 1),
        (0x102, "US", 0),
        (0x3000, "OW", b"\xff" * 32),
    ):
        made.add_new(0x60000000 + element, vr, value)
    await kept.store(made)

    plain = await web.get("/wado", params={**QUERY, "contentType": "image/png", "anonymize": "yes"})
    query = {name: value for name, value in QUERY.items() if name != "anonymize"}
    overlaid = await web.get("/wado", params={**query, "contentType": "image/png"})

    assert not np.array_equal(seen(plain.content), seen(overlaid.content))


async def test_overlays_within_the_pixels_are_not_given(web: httpx.AsyncClient, kept: Kept) -> None:
    made = grey(ramp())
    made.add_new(0x60000100, "US", 16)
    made.add_new(0x60000102, "US", 12)
    await kept.store(made)

    assert (await get(web)).status_code == 403


async def test_an_annotated_picture_is_not_anonymous(web: httpx.AsyncClient, kept: Kept) -> None:
    await kept.store(grey(ramp()))

    answer = await get(web, contentType="image/png", imageAnnotation="patient")

    assert answer.status_code == 400


async def test_a_document_is_not_given_anonymized_as_it_is(
    web: httpx.AsyncClient, kept: Kept
) -> None:
    pdf = "1.2.840.10008.5.1.4.1.1.104.1"
    await kept.store(
        image(
            SOPClassUID=pdf,
            PixelData=None,
            EncapsulatedDocument=b"%PDF Doe",
            EncapsulatedDocumentLength=8,
        )
    )

    shown = await get(web, contentType="application/pdf")
    instance = await get(web)

    assert shown.status_code == 403
    assert b"Doe" not in instance.content
    assert "EncapsulatedDocumentLength" not in read(instance)
