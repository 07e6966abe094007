"""Images whose pictures are known beforehand, and what programs that are not ours see in one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset

from made_instances import image

Pixels = NDArray[Any]


def ramp(rows: int = 16, columns: int = 32) -> Pixels:
    """Values from 0 on, row by row."""
    return np.arange(rows * columns, dtype=np.uint16).reshape(rows, columns)


def grey(pixels: Pixels, instance: str = "1.2.3.4", **attributes: Any) -> Dataset:
    """A CT image of one frame, or of several if ``pixels`` are (frames, rows, columns)."""
    frames = pixels.shape[0] if pixels.ndim == 3 else None
    described: dict[str, Any] = {
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "NumberOfFrames": frames,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": pixels.astype("<u2").tobytes(),
    }
    return image(instance, **{**described, **attributes})


def coloured(pixels: Pixels, instance: str = "1.2.3.4", **attributes: Any) -> Dataset:
    """An image of (rows, columns, 3)."""
    described: dict[str, Any] = {
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "NumberOfFrames": None,
        "SamplesPerPixel": 3,
        "PlanarConfiguration": 0,
        "PhotometricInterpretation": "RGB",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": pixels.astype(np.uint8).tobytes(),
    }
    return image(instance, **{**described, **attributes})


def seen(file: bytes) -> Pixels:
    """What Pillow sees in a file."""
    with Pillow.open(io.BytesIO(file)) as opened:
        return np.asarray(opened)


def frames_of(file: bytes) -> list[tuple[int, Pixels]]:
    """The frames of an animation, with the milliseconds for which each is shown."""
    found = []
    with Pillow.open(io.BytesIO(file)) as opened:
        for number in range(getattr(opened, "n_frames", 1)):
            opened.seek(number)
            found.append((opened.info.get("duration", 0), np.asarray(opened.convert("L"))))
    return found


def pdf_of(drawing: bytes, width: int, height: int) -> bytes:
    """A PDF document of one page, with ``drawing`` as its content."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids [3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R/Resources<<>>>>"
        % (width, height),
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
    )
    written, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj%s endobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(written)
    return written + b"xref\n0 5\n0000000000 65535 f \n" + table + end
