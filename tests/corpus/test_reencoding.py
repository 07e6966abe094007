"""Native files of the corpus in every other native syntax: the same to pydicom, valid to DCMTK."""

import os
import shutil
import subprocess
import warnings
import zlib
from array import array

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from corpus_files import REASON, ROOT, name, paths
from isocenter.dicom import part10
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import UNCOMPRESSED
from isocenter.errors import Malformed

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

# The last item claims more than there is.
CUT_SHORT = {"media/dicomdirtests/DICOMDIR-nooffset"}
TARGETS = sorted(UNCOMPRESSED, key=lambda syntax: syntax.uid)
WORDS = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), "H"),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), "I"),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q"),
}


def is_native(path):
    try:
        with path.open("rb") as file:
            return part10.read(file).syntax in UNCOMPRESSED
    except Malformed:
        return False


# Of a series, one slice shows all there is to show.
FILES = [
    path
    for path in paths()
    if "series-" not in name(path) and "bomb" not in path.name and is_native(path)
]


def opened(path):
    data = path.read_bytes()
    header = part10.read(data)
    return header, data[header.dataset_offset :]


def reencode(data, source, target):
    reencoder = Reencoder(source, target)
    out = [reencoder.feed(data[at : at + 65_536]) for at in range(0, len(data), 65_536)]
    return b"".join([*out, reencoder.finish()])


def read(data, syntax):
    if syntax.is_deflated:
        data = zlib.decompress(data, -15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(DicomBytesIO(data), syntax.is_implicit, syntax.is_little_endian)


def vr_of(dataset, tag, raw):
    if raw.VR is not None:
        return raw.VR
    try:
        return str(dataset[tag].VR)
    except Exception:  # pydicom cannot tell
        return "UN"


def in_little_endian(value, vr, is_little):
    code = WORDS.get(vr)
    if is_little or code is None:
        return value
    words = array(code, value[: len(value) // array(code).itemsize * array(code).itemsize])
    words.byteswap()
    return words.tobytes() + value[len(words) * words.itemsize :]


def differences(before, after, is_little_before, is_little_after, where=""):
    tags = {tag for tag in before.keys() if tag.element}  # noqa: SIM118  # no group lengths
    if tags != set(after.keys()):
        yield f"{where}: tags differ"
        return
    # All of them first: asking for one decodes others.
    pairs = [(tag, before.get_item(tag), after.get_item(tag)) for tag in tags]
    for tag, one, other in pairs:
        here = f"{where}{tag}"
        are_raw = isinstance(one, RawDataElement) and isinstance(other, RawDataElement)
        is_sequence = "SQ" in (one.VR, other.VR) or (are_raw and vr_of(before, tag, one) == "SQ")
        if not is_sequence and not are_raw:
            if (before[tag].value or None) != (after[tag].value or None):
                yield f"{here}: decoded values differ"
            continue
        if is_sequence:
            items, others = before[tag].value, after[tag].value
            if len(items) != len(others):
                yield f"{here}: items differ"
                continue
            for number, (item, their) in enumerate(zip(items, others, strict=True)):
                yield from differences(
                    item, their, is_little_before, is_little_after, f"{here}[{number}]"
                )
            continue
        if one.length == 0xFFFFFFFF and is_little_before != is_little_after:
            continue  # fragments: their tags and lengths change with the byte order
        vr = vr_of(before, tag, one)
        value = in_little_endian(one.value or b"", vr, is_little_before)
        # A value of UN or one that became UN for its length stays little endian.
        is_unknown = "UN" in (other.VR, one.VR)
        found = in_little_endian(other.value or b"", other.VR or vr, is_little_after or is_unknown)
        if found[: len(value)] != value or len(found) - len(value) > 1:
            yield f"{here} {vr}: values differ"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_pydicom_reads_the_same_in_every_native_syntax(path):
    header, data = opened(path)

    for target in TARGETS:
        try:
            out = reencode(data, header.syntax, target)
        except Malformed:
            assert name(path) in CUT_SHORT or name(path).startswith("malformed/")
            continue

        before, after = read(data, header.syntax), read(out, target)
        little = header.syntax.is_little_endian
        has_wide_pixels = before.get("BitsAllocated") == 32 and "PixelData" in before
        if has_wide_pixels:  # DCMTK and pydicom disagree on their words in big endian
            assert pixels(before, header.syntax) == pixels(after, target)
            del before.PixelData, after.PixelData
        found = differences(before, after, little, target.is_little_endian)
        assert not list(found), target.name


def pixels(dataset, syntax):
    """The pixels as pydicom finds them; None, where it finds none."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax.uid)
    try:
        return pixel_array(dataset).tolist()
    except (AttributeError, ValueError):
        return None


SAMPLE = [path for path in FILES if not name(path).startswith(("malformed", "media", "charset"))][
    ::6
]


@pytest.mark.parametrize("path", SAMPLE, ids=name)
def test_dcmtk_accepts_what_is_written(path, tmp_path):
    dcmdump = shutil.which("dcmdump", path="/usr/bin")
    if dcmdump is None:
        assert not os.environ.get("CI"), "DCMTK dcmdump is not installed"
        pytest.skip("DCMTK dcmdump is not installed")
    header, data = opened(path)

    for target in TARGETS:
        written = tmp_path / "written.dcm"
        meta = part10.header(header.sop_class, header.sop_instance, target.uid)
        written.write_bytes(meta + reencode(data, header.syntax, target))
        done = subprocess.run([dcmdump, "-q", "-M", written], capture_output=True, timeout=20)

        assert done.returncode == 0, (target.name, done.stderr.decode(errors="replace"))
        assert not [line for line in done.stderr.splitlines() if line.startswith(b"E:")]


def test_there_are_enough_native_files_for_the_above_to_mean_something():
    assert len(FILES) > 200
