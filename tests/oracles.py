"""Stored values of images, as we and as other programs decode them: ``(frames, rows, columns, …)``.

Each gives None, or nothing, for what it does not decode.
"""

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from pydicom.pixels import iter_pixels

from isocenter.dicom.opened import opened
from isocenter.dicom.syntax import lookup
from isocenter.dicom.windowed import Walk
from isocenter.imaging import frames, subject
from isocenter.imaging.codecs import codec
from isocenter.imaging.frame_bytes import content
from isocenter.imaging.looks import syntax_of_frames

MOST: Final = 40
"""Frames that are compared of one file: as many, evenly."""
DCMTK: Final = {
    **{f"1.2.840.10008.1.2.4.{process}": "dcmdjpeg" for process in (50, 51, 53, 55, 57, 70)},
    "1.2.840.10008.1.2.4.80": "dcmdjpls",
    "1.2.840.10008.1.2.4.81": "dcmdjpls",
    "1.2.840.10008.1.2.5": "dcmdrle",
}
"""Which of its programs decompresses a transfer syntax."""


def chosen(count: int) -> list[int]:
    """Numbers of frames, from 1: all, or some of very many."""
    if count <= MOST:
        return list(range(1, count + 1))
    return [1 + each * (count - 1) // (MOST - 1) for each in range(MOST)]


def ours(path: Path) -> Any:
    """Raises: what reading and decoding raise."""
    with opened(path) as file:
        walk = Walk(file.reader, file.syntax)
        found = frames.locate(walk, file.header.syntax)
        form = subject.describe(walk, file.syntax).form
        decode = codec(syntax_of_frames(file.header.syntax)).decode
        assert decode is not None
        return np.stack(
            [
                decode(b"".join(content(file.reader, found.frame(file.reader, number))), form)
                for number in chosen(found.count)
            ]
        )


def by_pydicom(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = pydicom.dcmread(path, force=True)
            count = int(image.get("NumberOfFrames", 1) or 1)
            indices = [number - 1 for number in chosen(count)]
            return np.stack(list(iter_pixels(image, indices=indices, raw=True)))
        except Exception:  # whatever pydicom raises
            return None


def by_dcmtk(path: Path, syntax: str, folder: Path) -> Any:
    tool = DCMTK.get(syntax)
    return _by_program(tool, ["+cn"] if tool == "dcmdjpeg" else [], path, folder)


def by_gdcm(path: Path, syntax: str, folder: Path) -> Any:
    """By its program: within our process, what is broken would take that down."""
    is_compressed = lookup(syntax).is_encapsulated
    return _by_program("gdcmconv", ["--raw"], path, folder) if is_compressed else None


def _by_program(tool: str | None, options: list[str], path: Path, folder: Path) -> Any:
    program = shutil.which(tool, path="/usr/bin") if tool else None
    if program is None:
        return None
    made = folder / "plain.dcm"
    subprocess.run([program, *options, path, made], check=False, capture_output=True, timeout=60)
    try:
        return by_pydicom(made) if made.exists() else None
    finally:
        made.unlink(missing_ok=True)


def difference(one: Any, other: Any) -> int | None:
    """The largest difference of two values; None, if the shapes are not the same."""
    if one.shape != other.shape:
        return None
    if one.dtype.kind == "f":
        return int(not np.array_equal(one, other, equal_nan=True))
    return int(np.abs(one.astype(np.int64) - other.astype(np.int64)).max(initial=0))
