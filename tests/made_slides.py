"""Slides made of a picture: levels, gaps, focal planes, optical paths, concatenations."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from slides import described_slide, item

Bytes = NDArray[np.uint8]
SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def picture(columns: int = 200, rows: int = 150) -> Bytes:
    """Smooth, and nowhere the same: ``(rows, columns, 3)``."""
    down, across = np.mgrid[0:rows, 0:columns]
    red, green = across * 255 // columns, down * 255 // rows
    blue = (np.sin(across / 9) * np.cos(down / 7) * 100 + 128).astype(int)
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def halved(whole: Bytes, factor: int = 2) -> Bytes:
    """A level with fewer pixels; what does not fill a pixel counts as part of one."""
    rows, columns = -(-whole.shape[0] // factor), -(-whole.shape[1] // factor)
    padding = ((0, rows * factor - whole.shape[0]), (0, columns * factor - whole.shape[1]), (0, 0))
    padded = np.pad(whole, padding, mode="edge").astype(np.float64)
    shaped = padded.reshape(rows, factor, columns, factor, 3).mean(axis=(1, 3))
    return np.rint(shaped).astype(np.uint8)


def tiles_of(whole: Bytes, tile: int) -> list[tuple[int, int, Bytes]]:
    """Column, row and pixels of each, from the upper left."""
    rows, columns = whole.shape[:2]
    found = []
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            cell = np.full((tile, tile, *whole.shape[2:]), 255, whole.dtype)
            part = whole[top : top + tile, left : left + tile]
            cell[: part.shape[0], : part.shape[1]] = part
            found.append((left, top, cell))
    return found


def level(instance: str, whole: Bytes, tile: int = 32, **attributes: Any) -> Dataset:
    """A level without gaps, of native tiles; several planes or paths if ``whole`` is a list."""
    frames = [cell for each in _stack(whole) for _, _, cell in tiles_of(each, tile)]
    first = _stack(whole)[0]
    return _level(instance, first, tile, frames, attributes)


def sparse_level(
    instance: str,
    whole: Bytes,
    kept: list[int],
    tile: int = 32,
    depths: tuple[float, ...] = (0.0,),
    **attributes: Any,
) -> Dataset:
    """Only the tiles of the numbers ``kept``, each saying where it lies, once for each depth."""
    every = tiles_of(whole, tile)
    chosen = [every[number] for number in kept]
    frames = [cell if depth == 0 else 255 - cell for depth in depths for _, _, cell in chosen]
    made = _level(instance, whole, tile, frames, attributes)
    made.DimensionOrganizationType = "TILED_SPARSE"
    made.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSlideSequence=[
                item(
                    XOffsetInSlideCoordinateSystem=0,
                    YOffsetInSlideCoordinateSystem=0,
                    ZOffsetInSlideCoordinateSystem=depth,
                    ColumnPositionInTotalImagePixelMatrix=left + 1,
                    RowPositionInTotalImagePixelMatrix=top + 1,
                )
            ]
        )
        for depth in depths
        for left, top, _ in chosen
    ]
    return made


def concatenated(whole: Dataset, first_frames: int) -> list[Dataset]:
    """The same in two instances, the first of which has ``first_frames`` frames."""
    size = whole.Rows * whole.Columns * whole.SamplesPerPixel * whole.BitsAllocated // 8
    parts = []
    for number, (start, end) in enumerate(
        ((0, first_frames), (first_frames, int(whole.NumberOfFrames)))
    ):
        part = deepcopy(whole)
        part.SOPInstanceUID = f"{whole.SOPInstanceUID}.{number + 1}"
        part.ConcatenationUID = f"{whole.SOPInstanceUID}.9"
        part.InConcatenationNumber = number + 1
        part.ConcatenationFrameOffsetNumber = start
        part.NumberOfFrames = end - start
        part.PixelData = whole.PixelData[start * size : end * size]
        part["PixelData"].VR = "OB"
        parts.append(part)
    return parts


def as_file(made: Dataset) -> bytes:
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _stack(whole: Bytes | list[Bytes]) -> list[Bytes]:
    return whole if isinstance(whole, list) else [whole]


def _level(
    instance: str, whole: Bytes, tile: int, frames: list[Bytes], attributes: dict[str, Any]
) -> Dataset:
    made = described_slide(whole.shape[0], whole.shape[1], tile)
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    is_grey = whole.ndim == 2
    values: dict[str, Any] = {
        "SOPInstanceUID": instance,
        "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": "1.2.3",
        "FrameOfReferenceUID": "1.2.4",
        "NumberOfFrames": len(frames),
        "PhotometricInterpretation": "MONOCHROME2" if is_grey else "RGB",
        "SamplesPerPixel": 1 if is_grey else 3,
        "BitsAllocated": 8 * whole.dtype.itemsize,
        "BitsStored": 8 * whole.dtype.itemsize,
        "HighBit": 8 * whole.dtype.itemsize - 1,
        "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        **attributes,
    }
    del made.LossyImageCompressionRatio, made.LossyImageCompressionMethod
    if is_grey:
        del made.PlanarConfiguration
    made.LossyImageCompression = "00"
    for keyword, value in values.items():
        setattr(made, keyword, value)
    made.PixelData = b"".join(each.tobytes() for each in frames)
    made["PixelData"].VR = "OB" if whole.dtype.itemsize == 1 else "OW"
    return made
