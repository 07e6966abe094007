"""Every image of the corpus and of pydicom, uncompressed: pydicom finds the same pixels in it."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from corpus_files import name, paths
from isocenter.dicom import part10
from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.codecs import CODECS
from transcoded import Transcoder, pixels, read, transcoder

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"


def is_image(path: Path) -> bool:
    image = read(path.read_bytes())
    return "PixelData" in image and "Rows" in image


IMAGES = [path for path in paths() if not name(path).startswith("malformed/")]
OF_PYDICOM = sorted(PYDICOM.rglob("*.dcm"))


SMALL = [
    path for path in [*IMAGES, *OF_PYDICOM] if path.stat().st_size < 300_000 and is_image(path)
]
UNREADABLE = {
    "JPEG2000-embedded-sequence-delimiter.dcm",  # a stream that says 3.7 billion columns
}
LOSSLESS = {
    *(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 90, 110, 201, 202)),
    *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1", "1.2.840.10008.1.2.1.98"),
}
TARGETS = sorted(
    uid for uid, each in CODECS.items() if each.encode and not each.is_lossy and uid in LOSSLESS
)


@pytest.fixture(scope="module")
def transcode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transcoder]:
    with transcoder(tmp_path_factory.mktemp("scratch")) as made:
        yield made


def compressed(path: Path) -> bytes | None:
    data = path.read_bytes()
    try:
        header = part10.read(data)
    except Malformed:
        return None
    return data if header.syntax.is_encapsulated else None


def by_others(path: Path, data: bytes, folder: Path) -> np.ndarray | None:
    """The pixels as pydicom, else DCMTK, finds them; None where neither can."""
    found = pixels(data)
    if found is None and (tool := shutil.which("dcmdjpeg", path="/usr/bin")):
        made = folder / "plain.dcm"
        subprocess.run([tool, "+cn", path, made], check=False, capture_output=True)
        if made.exists():
            found = pixels(made.read_bytes())
    return found


@pytest.mark.parametrize("path", [*IMAGES, *OF_PYDICOM], ids=lambda path: path.name)
def test_what_is_compressed_is_the_same_image_uncompressed(
    path: Path, transcode: Transcoder, tmp_path: Path
) -> None:
    data = compressed(path)
    if data is None or path.name in UNREADABLE:
        pytest.skip("not compressed, or not to be read by anybody")
    syntax = part10.read(data).syntax
    if syntax.uid not in CODECS:
        with pytest.raises(Unsupported):
            transcode(data, EXPLICIT_VR_LITTLE_ENDIAN)
        return
    expected = by_others(path, data, tmp_path)

    made = transcode(data, EXPLICIT_VR_LITTLE_ENDIAN)

    if expected is not None:
        found = pixels(made)
        allowed = 0 if syntax.uid in LOSSLESS else 1
        assert found.shape == expected.shape
        assert np.abs(found.astype(np.int64) - expected.astype(np.int64)).max() <= allowed
    assert lossy(data) in ("", lossy(made))
    assert read(made).get("SOPInstanceUID") == read(data).get("SOPInstanceUID")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_what_is_compressed_without_loss_comes_back(
    path: Path, target: str, transcode: Transcoder
) -> None:
    data = path.read_bytes()
    try:
        made = transcode(data, target)
    except (Unsupported, Malformed):
        return  # some bits would be lost, or there is no pixel data

    back = transcode(made, EXPLICIT_VR_LITTLE_ENDIAN)

    plain = transcode(data, EXPLICIT_VR_LITTLE_ENDIAN)
    assert np.array_equal(pixels(back), pixels(plain))
    if (by_pydicom := pixels(made)) is not None:
        assert np.array_equal(by_pydicom, pixels(plain))


def lossy(data: bytes) -> str:
    return str(read(data).get("LossyImageCompression", "") or "")
