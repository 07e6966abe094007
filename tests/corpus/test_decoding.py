"""Every image of the corpus and of pydicom: decoded as pydicom, DCMTK and GDCM decode it."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import oracles
from corpus_files import paths
from isocenter.dicom import part10
from isocenter.errors import IsocenterError, Malformed

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = [*paths(), *sorted(PYDICOM.rglob("*.dcm"))]
VIDEO = "1.2.840.10008.1.2.4.10"
LOSSY = {f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55, 81, 91, 112, 203)}
WRONG_IN_GDCM = {  # it mixes up the bytes of such RLE
    *("rle__SC_rgb_rle_32bit.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm")
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_decoded_as_others_decode_it(path: Path, tmp_path: Path) -> None:
    try:
        syntax = part10.read(path.read_bytes()).syntax.uid
        found = oracles.ours(path)
    except IsocenterError as error:
        found, syntax = None, "" if isinstance(error, Malformed) else syntax
    if found is None:
        is_told = syntax.startswith(VIDEO) or oracles.by_pydicom(path) is None
        assert is_told, "pydicom decodes it"
        return
    theirs = {
        "pydicom": oracles.by_pydicom(path),
        "DCMTK": oracles.by_dcmtk(path, syntax, tmp_path),
        "GDCM": None if path.name in WRONG_IN_GDCM else oracles.by_gdcm(path, syntax, tmp_path),
    }
    allowed = 1 if syntax in LOSSY else 0
    for program, expected in theirs.items():
        if expected is not None:
            assert found.shape == expected.shape, program
            stored = _within(path, found, expected)
            assert oracles.difference(*stored) in range(allowed + 1), program


def _within(path: Path, found: Any, expected: Any) -> tuple[Any, Any]:
    """Only the bits that are stored: others may have an overlay, which some leave and some do not.

    What a lossy stream has beyond them, DCMTK and GDCM cut off.
    """
    if found.dtype.kind == "f":
        return found, expected
    stored = int(pydicom.dcmread(path, force=True, stop_before_pixels=True).BitsStored)
    unsigned = f"u{found.dtype.itemsize}"
    mask = np.array((1 << stored) - 1, unsigned)
    return found.view(unsigned) & mask, expected.astype(found.dtype).view(unsigned) & mask


@pytest.mark.parametrize("tool", ["dcmdjpeg", "gdcmconv"])
def test_the_other_programs_are_there(tool: str) -> None:
    if shutil.which(tool, path="/usr/bin") is None:
        assert os.environ.get("CI") != "true", f"{tool} is not installed"
        pytest.skip(f"{tool} is not installed")
