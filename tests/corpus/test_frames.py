"""Every frame of every file of the corpus and of pydicom: the bytes that pydicom finds."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRBigEndian

from corpus_files import REASON, ROOT, name, paths
from isocenter.dicom import part10
from isocenter.dicom.windowed import Walk
from isocenter.errors import IsocenterError, Malformed, NotFound
from isocenter.imaging import frames
from isocenter.imaging.frame_bytes import content
from made_pixels import InMemory

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"
CORPUS = [path for path in paths() if not name(path).startswith("malformed/")]
MALFORMED = [path for path in paths() if name(path).startswith("malformed/")]
OF_PYDICOM = sorted(PYDICOM.rglob("*.dcm"))
NOT_WHOLE = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
WORDS = {"OB": 1, "UN": 1, "OF": 4, "OD": 8}


def ours(path: Path) -> list[bytes]:
    data = path.read_bytes()
    header = part10.read(data)
    walk = Walk(InMemory(memoryview(data)[header.dataset_offset :]), header.syntax)
    found = frames.locate(walk, header.syntax)
    assert frames.FrameMap.from_bytes(found.to_bytes()) == found
    reader = walk.reader
    if found.is_video:
        return [b"".join(content(reader, found.whole(reader)))]
    numbers = range(1, found.count + 1)
    return [b"".join(content(reader, found.frame(reader, number))) for number in numbers]


def theirs(path: Path) -> list[bytes] | None:
    """What pydicom finds; None for no pixels."""
    image = pydicom.dcmread(path, force=True)
    tags = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
    element = next((image[tag] for tag in tags if tag in image), None)
    if element is None:
        return None
    count = int(image.get("NumberOfFrames", 1) or 1)
    if element.is_undefined_length:
        return _encapsulated(image, count)
    bits = {"OF": 32, "OD": 64}.get(str(element.VR)) or image.BitsAllocated
    samples = image.get("SamplesPerPixel", 1)
    if image.get("PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2
    value = element.value
    if image.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        word = WORDS.get(element.VR) or max(2, bits // 8)
        value = np.frombuffer(value, f">u{word}").astype(f"<u{word}").tobytes()
    size = image.Rows * image.Columns * samples * bits
    if size % 8 == 0:
        return [value[number * size // 8 : (number + 1) * size // 8] for number in range(count)]
    all_bits = np.unpackbits(np.frombuffer(value, np.uint8), bitorder="little")
    apart = [all_bits[number * size : (number + 1) * size] for number in range(count)]
    return [np.packbits(each, bitorder="little").tobytes() for each in apart]


def _encapsulated(image: Any, count: int) -> list[bytes]:
    extended = None
    if "ExtendedOffsetTable" in image:
        extended = (image.ExtendedOffsetTable, image.ExtendedOffsetTableLengths)
    return list(generate_frames(image.PixelData, number_of_frames=count, extended_offsets=extended))


def compare(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = theirs(path)
        except Exception:  # what pydicom cannot read tells nothing
            expected = []
    if expected is None:
        with pytest.raises((NotFound, Malformed)):
            ours(path)
    elif expected:
        assert ours(path) == expected


@pytest.mark.parametrize("path", OF_PYDICOM, ids=lambda path: path.name)
def test_frames_of_pydicoms_files_are_pydicoms(path: Path) -> None:
    if path.name in NOT_WHOLE:
        with pytest.raises(Malformed, match="cut short"):
            ours(path)
    else:
        compare(path)


@pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)
@pytest.mark.parametrize("path", CORPUS, ids=name)
def test_frames_of_the_corpus_are_pydicoms(path: Path) -> None:
    compare(path)


@pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)
@pytest.mark.parametrize("path", MALFORMED, ids=name)
def test_frames_of_what_is_malformed_are_refused_or_given(path: Path) -> None:
    with suppress(IsocenterError):
        assert all(ours(path))
