"""What we make of the corpus' images, judged by programs that are not ours.

One image of each kind: of each SOP class, pixel format and transfer syntax.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from corpus_files import name, paths
from isocenter.dicom import part10
from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN
from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.codecs import CODECS
from oracles import by_dcmtk, by_gdcm, by_pydicom, difference
from transcoded import Transcoder, read, transcoder

LARGEST = 1_000_000
INEVITABLE = {
    # PS3.5 Tables 8.2.1-1 and 8.2.2-1 say what it is in JPEG and RLE; some IODs know of one only.
    "attribute <Planar Configuration>": "compressed colours",
    "<YBR_FULL> for value 1 of attribute <Photometric Interpretation>": "ultrasound as JPEG-LS",
    # The IOD has acquisition attributes in ORIGINAL images only; they still hold, and are kept.
    "Module=<MRPulseSequence>": "an enhanced MR image that became DERIVED",
    "Module=<BulkMotionSynchronization>": "an enhanced MR image that became DERIVED",
    # None of the kinds of derivation that ophthalmic photography names is compression.
    "Value 3 is required for DERIVED images": "an ophthalmic photograph that became DERIVED",
}
ENCODED = sorted(
    uid
    for uid, codec in CODECS.items()
    if codec.encode and (uid.startswith("1.2.840.10008.1.2.4.") or uid == "1.2.840.10008.1.2.5")
)
LOSSLESS = [uid for uid in ENCODED if not CODECS[uid].is_lossy]
UNKNOWN_TO_DCIODVFY = ("201", "202", "203", "110", "111")
"""It takes HTJ2K and JPEG XL for uncompressed."""
KNOWN = [uid for uid in ENCODED if not uid.endswith(UNKNOWN_TO_DCIODVFY)]


def kinds() -> dict[tuple[str, ...], Path]:
    """An image of each kind, the smallest one."""
    found: dict[tuple[str, ...], Path] = {}
    for path in sorted(paths(), key=lambda each: each.stat().st_size):
        if name(path).startswith("malformed/") or path.stat().st_size > LARGEST:
            continue
        try:
            header = part10.read(path.read_bytes())
        except Malformed:
            continue
        image = read(path.read_bytes())
        if "PixelData" not in image or "Rows" not in image:
            continue
        wanted = ("SOPClassUID", "PhotometricInterpretation", "BitsAllocated", "BitsStored")
        said = (str(image.get(each, "")) for each in (*wanted, "PixelRepresentation"))
        found.setdefault((header.syntax.uid, *said), path)
    return found


IMAGES = list(kinds().values())


@pytest.fixture(scope="module")
def transcode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transcoder]:
    with transcoder(tmp_path_factory.mktemp("scratch")) as made:
        yield made


def made_of(path: Path, target: str, transcode: Transcoder) -> bytes:
    """The file in another transfer syntax; skips what cannot be had in it."""
    data = path.read_bytes()
    if part10.read(data).syntax.uid == target:
        pytest.skip("it is in that transfer syntax")
    try:
        return transcode(data, target, is_loss_allowed=True)
    except (Unsupported, Malformed):
        pytest.skip("not to be had in that transfer syntax")


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize("path", IMAGES, ids=name)
def test_others_decode_what_we_encode_to_the_same_bits(
    path: Path, target: str, transcode: Transcoder, tmp_path: Path
) -> None:
    made, plain = tmp_path / "made.dcm", tmp_path / "plain.dcm"
    made.write_bytes(made_of(path, target, transcode))
    plain.write_bytes(transcode(path.read_bytes(), EXPLICIT_VR_LITTLE_ENDIAN))
    expected = by_pydicom(plain)
    if expected is None:
        pytest.skip("pydicom does not read it uncompressed")

    told = {
        "pydicom": by_pydicom(made),
        "DCMTK": by_dcmtk(made, target, tmp_path),
        "GDCM": by_gdcm(made, target, tmp_path),
    }

    if read(path.read_bytes()).BitsAllocated > 16 and read(path.read_bytes()).SamplesPerPixel > 1:
        del told["GDCM"]  # in RLE it finds other colours than pydicom and DCMTK do
    differing = {
        who: difference(found, expected)
        for who, found in told.items()
        if found is not None and difference(found, expected) != 0
    }
    assert not differing


@pytest.mark.parametrize("target", KNOWN)
@pytest.mark.parametrize("path", IMAGES, ids=name)
def test_dciodvfy_finds_no_error_that_was_not_in_the_source(
    path: Path, target: str, transcode: Transcoder, tmp_path: Path
) -> None:
    made = tmp_path / "made.dcm"
    made.write_bytes(made_of(path, target, transcode))

    known = errors_of_source(path)
    more = errors(made) - known

    uid = str(read(path.read_bytes()).get("SOPInstanceUID", ""))
    # What is wrong with the UID of the source is so where it is referred to, too.
    found = {each for each in more if "Referenced SOP Instance UID" not in each or uid not in each}
    assert not {each for each in found if not any(one in each for one in INEVITABLE)}


@cache
def errors_of_source(path: Path) -> set[str]:
    """Those of the file, and of what DCMTK makes of it: some show in explicit VR only."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.dcm"
        run = [shutil.which("dcmconv", path="/usr/bin") or "dcmconv", "+te", path, plain]
        subprocess.run(run, check=False, capture_output=True, timeout=60)
        return errors(path) | (errors(plain) if plain.exists() else set())


def errors(path: Path) -> set[str]:
    tool = shutil.which("dciodvfy", path="/usr/bin")
    if tool is None:
        assert not os.environ.get("CI"), "dicom3tools are not installed"
        pytest.skip("dicom3tools are not installed")
    run = subprocess.run([tool, path], check=False, capture_output=True, timeout=60)
    if run.returncode < 0:
        pytest.skip("dciodvfy ends amid pixels of 32 bits")
    printed = (run.stdout + run.stderr).decode("latin-1")
    return {line for line in printed.splitlines() if line.startswith("Error")}
