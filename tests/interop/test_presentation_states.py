"""Presentation states, held against what DCMTK makes of the same (PS3.4 N.2).

dcmp2pgm draws neither graphics nor shutters but bitmaps, and gives the whole image, not the
displayed area: it is the witness for greys.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.dataset import Dataset

from made_instances import part10
from made_pictures import grey
from made_states import area, made, overlay, state, table, with_elements
from programs import Command, Tool

TURNING = [65535 - each * 16 for each in range(4096)]
FALLING = list(range(255, -1, -1))
"""Smooth: how more values than entries share these is nobody's business."""
SAWTOOTH = [each * 37 % 256 for each in range(256)]


def pixels(signed: bool) -> Any:
    values = np.random.default_rng(4).integers(0, 4096, (48, 64))
    return (values - 2048).astype(np.int16).view(np.uint16) if signed else values


def image(*, signed: bool = False, **attributes: Any) -> Dataset:
    """All of 12 bits."""
    return grey(
        pixels(signed),
        **{
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
            "Modality": "OT",
            "BitsStored": 12,
            "HighBit": 11,
            "PixelRepresentation": int(signed),
            "ImageType": ["DERIVED", "SECONDARY"],
            "ConversionType": "WSD",
            "SeriesNumber": 3,
            "InstanceNumber": 1,
            "StudyTime": "",
            "StudyID": "1",
            "AccessionNumber": "",
            "ReferringPhysicianName": "",
            "PatientBirthDate": "",
            "PatientSex": "",
            **attributes,
        },
    )


def said(shown: Dataset, **attributes: Any) -> Dataset:
    """A state that DCMTK takes, too: it insists on what is mandatory."""
    rows, columns = shown.Rows, shown.Columns
    return state(
        shown,
        **{
            "PatientBirthDate": "",
            "PatientSex": "",
            "ReferringPhysicianName": "",
            "Manufacturer": "",
            "ContentDescription": "",
            "ContentCreatorName": "",
            "PresentationCreationDate": "20240229",
            "PresentationCreationTime": "120000",
            "DisplayedAreaSelectionSequence": [area(1, 1, columns, rows)],
            **attributes,
        },
    )


def voi(**attributes: Any) -> dict[str, Any]:
    return {"SoftcopyVOILUTSequence": [made(**attributes)]}


def without_shape(dataset: Dataset) -> Dataset:
    del dataset.PresentationLUTShape
    return dataset


STATES: dict[str, tuple[Dataset, Dataset]] = {}
for is_signed in (False, True):
    shown = image(signed=is_signed)
    kind = "signed" if is_signed else "unsigned"
    STATES |= {
        f"{kind}, identity": (shown, said(shown)),
        f"{kind}, inverse": (shown, said(shown, PresentationLUTShape="INVERSE")),
        f"{kind}, rescaled": (
            shown,
            said(shown, RescaleSlope="2.5", RescaleIntercept="-100", RescaleType="US"),
        ),
        f"{kind}, negative slope": (
            shown,
            said(shown, RescaleSlope="-1", RescaleIntercept="0", RescaleType="US"),
        ),
        f"{kind}, window": (shown, said(shown, **voi(WindowCenter="900", WindowWidth="1000"))),
        f"{kind}, narrow": (shown, said(shown, **voi(WindowCenter="100", WindowWidth="1"))),
        f"{kind}, rescaled window": (
            shown,
            said(
                shown,
                RescaleSlope="2",
                RescaleIntercept="-1024",
                RescaleType="HU",
                PresentationLUTShape="INVERSE",
                **voi(WindowCenter="40", WindowWidth="400"),
            ),
        ),
        f"{kind}, presentation table": (
            shown,
            without_shape(said(shown, **table("PresentationLUTSequence", FALLING))),
        ),
        f"{kind}, window, presentation table": (
            shown,
            without_shape(
                said(
                    shown,
                    **table("PresentationLUTSequence", FALLING),
                    **voi(WindowCenter="900", WindowWidth="1000"),
                )
            ),
        ),
    }
plain = image(PhotometricInterpretation="MONOCHROME1", WindowCenter="3", WindowWidth="9")
STATES |= {
    "an image of MONOCHROME1": (plain, said(plain)),
    "modality table": (
        plain,
        said(plain, **table("ModalityLUTSequence", TURNING, bits=16)),
    ),
    "VOI table": (
        plain,
        said(plain, **voi(**table("VOILUTSequence", TURNING, bits=16))),
    ),
    "short VOI table": (
        plain,
        said(plain, **voi(**table("VOILUTSequence", SAWTOOTH, first=1000))),
    ),
    "all tables": (
        plain,
        without_shape(
            said(
                plain,
                **table("ModalityLUTSequence", [each // 16 for each in range(4096)]),
                **voi(**table("VOILUTSequence", SAWTOOTH)),
                **table("PresentationLUTSequence", SAWTOOTH),
            )
        ),
    ),
    "bitmap shutter": (
        plain,
        with_elements(
            said(
                plain,
                ShutterShape="BITMAP",
                ShutterOverlayGroup=0x6000,
                ShutterPresentationValue=0x8000,
            ),
            overlay(0x6000, np.eye(48, 64)),
        ),
    ),
    **{
        f"turned by {rotation}, {flip}": (
            plain,
            said(plain, ImageRotation=rotation, ImageHorizontalFlip=flip),
        )
        for rotation in (0, 90, 180, 270)
        for flip in "NY"
    },
}


@pytest.mark.parametrize("name", STATES)
def test_dcmtk_shows_the_same(dcmtk: Tool, isocenter: Command, tmp_path: Path, name: str) -> None:
    shown, presentation = STATES[name]
    paths = tmp_path / "image.dcm", tmp_path / "state.dcm"
    for path, dataset in zip(paths, (shown, presentation), strict=True):
        path.write_bytes(part10(dataset))

    isocenter("render", paths[0], tmp_path / "ours.png", "--presentation", paths[1])
    dcmtk("dcmp2pgm", "-p", paths[1], paths[0], tmp_path / "theirs.pgm")

    ours, theirs = (
        np.asarray(Pillow.open(io.BytesIO((tmp_path / file).read_bytes()))).astype(int)
        for file in ("ours.png", "theirs.pgm")
    )
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
