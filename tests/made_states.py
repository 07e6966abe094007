"""Presentation states of ours (PS3.3 A.33), and what is seen of an image by one."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset

from isocenter.imaging.from_files import rendered, state_of
from isocenter.imaging.looks import Look
from made_instances import part10

GRAYSCALE = "1.2.840.10008.5.1.4.1.1.11.1"
COLOR = "1.2.840.10008.5.1.4.1.1.11.2"
PSEUDO_COLOR = "1.2.840.10008.5.1.4.1.1.11.3"
BLENDING = "1.2.840.10008.5.1.4.1.1.11.4"
STATE = "1.2.9.1"
SERIES = "1.2.9"


def made(**attributes: Any) -> Dataset:
    """An item."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def reference(image: Dataset, *frames: int) -> Dataset:
    """An item of a Referenced Image Sequence."""
    item = made(
        ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID
    )
    if frames:
        item.ReferencedFrameNumber = list(frames)
    return item


def state(
    *images: Dataset, sop_class: str = GRAYSCALE, instance: str = STATE, **attributes: Any
) -> Dataset:
    """A presentation state for ``images``, which lie in one series, or for none of them."""
    listed = [reference(each) for each in images]
    series = images[0].SeriesInstanceUID if images else "1.2.3"
    return made(
        **{
            "SOPClassUID": sop_class,
            "SOPInstanceUID": instance,
            "StudyInstanceUID": "1.2",
            "SeriesInstanceUID": SERIES,
            "PatientID": "P1",
            "PatientName": "Doe^Jane",
            "StudyDate": "20240229",
            "StudyTime": "",
            "AccessionNumber": "",
            "StudyID": "1",
            "SeriesNumber": 9,
            "InstanceNumber": 1,
            "Modality": "PR",
            "ContentLabel": "TEST",
            "PresentationLUTShape": "IDENTITY",
            "ReferencedSeriesSequence": [
                made(SeriesInstanceUID=series, ReferencedImageSequence=listed)
            ],
            **attributes,
        }
    )


def area(left: int, top: int, right: int, bottom: int, **attributes: Any) -> Dataset:
    """An item of the Displayed Area Selection Sequence."""
    return made(
        **{
            "DisplayedAreaTopLeftHandCorner": [left, top],
            "DisplayedAreaBottomRightHandCorner": [right, bottom],
            "PresentationSizeMode": "SCALE TO FIT",
            "PresentationPixelAspectRatio": [1, 1],
            **attributes,
        }
    )


def graphic(kind: str, *points: float, units: str = "PIXEL", **attributes: Any) -> Dataset:
    """An item of a Graphic Object Sequence."""
    return made(
        GraphicAnnotationUnits=units,
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(points) // 2,
        GraphicData=list(points),
        GraphicType=kind,
        **attributes,
    )


def note(told: str, box: Sequence[float] = (), units: str = "PIXEL", **attributes: Any) -> Dataset:
    """An item of a Text Object Sequence."""
    item = made(UnformattedTextValue=told, **attributes)
    if box:
        item.BoundingBoxAnnotationUnits = units
        item.BoundingBoxTopLeftHandCorner = list(box[:2])
        item.BoundingBoxBottomRightHandCorner = list(box[2:])
        item.BoundingBoxTextHorizontalJustification = "LEFT"
    return item


def annotation(*drawn: Dataset, layer: str = "ONE", **attributes: Any) -> Dataset:
    """An item of the Graphic Annotation Sequence."""
    item = made(GraphicLayer=layer, **attributes)
    texts = [each for each in drawn if "UnformattedTextValue" in each]
    graphics = [each for each in drawn if "GraphicType" in each]
    if texts:
        item.TextObjectSequence = texts
    if graphics:
        item.GraphicObjectSequence = graphics
    return item


def table(keyword: str, entries: Sequence[int], first: int = 0, bits: int = 8) -> dict[str, Any]:
    """A sequence with a lookup table."""
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, "US", list(entries))
    if keyword == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    return {keyword: [item]}


def overlay(group: int, points: NDArray[Any], layer: str = "") -> dict[int, tuple[str, Any]]:
    """The elements of an overlay plane."""
    packed = np.packbits(points.astype(bool).ravel(), bitorder="little").tobytes()
    elements: dict[int, tuple[str, Any]] = {
        0x0010: ("US", points.shape[0]),
        0x0011: ("US", points.shape[1]),
        0x0040: ("CS", "G"),
        0x0050: ("SS", [1, 1]),
        0x0100: ("US", 1),
        0x0102: ("US", 0),
        0x3000: ("OW", packed + bytes(len(packed) % 2)),
    }
    if layer:
        elements[0x1001] = ("CS", layer)
    return {group << 16 | element: value for element, value in elements.items()}


def with_elements(dataset: Dataset, elements: dict[int, tuple[str, Any]]) -> Dataset:
    """The data set, with elements added."""
    for tag, (vr, value) in elements.items():
        dataset.add_new(tag, vr, value)
    return dataset


def seen_by(folder: Path, image: Dataset, presentation: Dataset, **look: Any) -> NDArray[Any]:
    """What is seen of an image by a presentation state."""
    places = folder / "image.dcm", folder / "state.dcm"
    for place, dataset in zip(places, (image, presentation), strict=True):
        place.write_bytes(part10(dataset))
    frame = look.pop("frame", None)
    asked = Look(**{"media_type": "image/png", "state": state_of(places[1]), **look})
    file = b"".join(map(bytes, rendered(places[0], asked, frame)))
    with Pillow.open(io.BytesIO(file)) as picture:
        return np.asarray(picture)
