"""What is kept compressed goes to those who take no compression: send, C-MOVE, C-GET."""

from itertools import product
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import HTJ2KLossless

from instances import Instance, as_file, read_instance
from peers import Peer
from programs import Command, PeerFactory, ServerFactory, Tool
from questions import store_all

KEPT = {
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "RLE": "MR_small_RLE.dcm",
}
PLAIN = {"+xi": "1.2.840.10008.1.2", "+xe": "1.2.840.10008.1.2.1"}


def instances() -> list[Instance]:
    found = []
    images = [pydicom.dcmread(get_testdata_file(name, download=False)) for name in KEPT.values()]
    for number, image in enumerate((*images, high_throughput())):
        image.PatientID = "P1"
        image.StudyInstanceUID = "1.2"
        image.SeriesInstanceUID = f"1.2.{number + 1}"
        image.SOPInstanceUID = f"1.2.3.{number + 1}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        found.append(read_instance(as_file(image, image.file_meta.TransferSyntaxUID)))
    return found


def high_throughput() -> pydicom.FileDataset:
    image = pydicom.dcmread(get_testdata_file("MR_small.dcm", download=False))
    stream = imagecodecs.htj2k_encode(image.pixel_array, reversible=True)
    image.PixelData = encapsulate([bytes(stream)])
    image["PixelData"].is_undefined_length = True
    image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = HTJ2KLossless
    return image


def check(files: list[Path], transfer_syntax: str | None = None) -> None:
    assert len(files) == 4
    originals = {one.sop_instance: one for one in instances()}
    for path in files:
        got = pydicom.dcmread(path, force=True)
        one = originals.pop(got.SOPInstanceUID)
        kept = pydicom.dcmread(pydicom.filebase.DicomBytesIO(one.file))
        if transfer_syntax is not None:
            assert got.file_meta.TransferSyntaxUID == transfer_syntax
        assert np.array_equal(got.pixel_array, kept.pixel_array)


def write(folder: Path) -> Path:
    folder.mkdir()
    for one in instances():
        (folder / f"{one.sop_instance}.dcm").write_bytes(one.file)
    return folder


@pytest.mark.parametrize("option", PLAIN)
def test_files_are_sent_uncompressed_to_who_takes_nothing_else(
    option: str, isocenter: Command, start_storescp: PeerFactory, tmp_path: Path
) -> None:
    receiver = start_storescp(option)

    isocenter("send", receiver.address, write(tmp_path / "in"))

    check(receiver.files())


@pytest.mark.parametrize("option", PLAIN)
def test_a_move_decompresses_for_who_takes_nothing_else(
    option: str, isocenter: Command, start_server: ServerFactory, start_storescp: PeerFactory
) -> None:
    receiver = start_storescp(option)
    server = start_server(peers=(receiver.address,))
    store_all(server, instances())

    isocenter("move", server.address, "--study", "1.2", "--dest", receiver.aet)

    check(receiver.files())


def test_a_move_leaves_compressed_what_the_other_side_takes_so(
    isocenter: Command, start_server: ServerFactory, storescp: Peer
) -> None:
    server = start_server(peers=(storescp.address,))
    (first, *_) = instances()
    store_all(server, [first])

    isocenter("move", server.address, "--study", "1.2", "--dest", storescp.aet)

    (file,) = storescp.files()
    assert pydicom.dcmread(file, force=True).file_meta.TransferSyntaxUID == first.transfer_syntax


@pytest.mark.parametrize("option", ["+xe", "+xi", "+xs", "+xv", "+xt"])
def test_getscu_gets_what_it_proposes(
    option: str, start_server: ServerFactory, dcmtk: Tool, tmp_path: Path
) -> None:
    """Explicit, implicit; also JPEG lossless, JPEG 2000 and JPEG-LS, of what is kept otherwise."""
    server = start_server()
    store_all(server, instances())
    arguments = ["-S", option, "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=1.2"]

    dcmtk(
        "getscu", *arguments, "-od", tmp_path, "-aec", server.aet, "127.0.0.1",
        str(server.dicom_port),
    )  # fmt: skip

    files = [path for path in tmp_path.iterdir() if path.is_file()]
    if option in ("+xe", "+xi"):
        check(files)
    else:
        assert len(files) == 4


ORIGINALS = ("CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm", "examples_palette.dcm")
DECODERS = {
    "rle": ["dcmdrle"],
    "jpeg-lossless": ["dcmdjpeg", "+cn"],
    "jpeg-ls": ["dcmdjpls"],
    "jpeg": ["dcmdjpeg", "+cn"],
}
# dciodvfy knows no HTJ2K: it takes it for uncompressed.
MADE = (*DECODERS, "jpeg-2000", "jpeg-2000-lossy", "jpeg-ls-near")


def convert(isocenter: Command, name: str, target: str, folder: Path) -> Path:
    source = get_testdata_file(name, download=False)
    made = folder / "made.dcm"
    isocenter("convert", str(source), made, "--to", target)
    return made


@pytest.mark.parametrize("target", [target for target in DECODERS if target != "jpeg"])
@pytest.mark.parametrize("name", ORIGINALS)
def test_dcmtk_decodes_what_we_encode_to_the_same_bits(
    name: str, target: str, isocenter: Command, dcmtk: Tool, tmp_path: Path
) -> None:
    made = convert(isocenter, name, target, tmp_path)
    tool, *options = DECODERS[target]

    dcmtk(tool, *options, made, tmp_path / "plain.dcm")

    plain = pydicom.dcmread(tmp_path / "plain.dcm")
    original = pydicom.dcmread(get_testdata_file(name, download=False))
    given, expected = (pixel_array(each, raw=True) for each in (plain, original))
    assert np.array_equal(given, expected)


def can_be_made(name: str, target: str) -> bool:
    """JPEG baseline has 8 bits, and palettes are not compressed with loss."""
    if target == "jpeg":
        return name == "SC_rgb_small_odd.dcm"
    return name != "examples_palette.dcm" or not target.endswith(("-lossy", "-near"))


@pytest.mark.parametrize(
    ("name", "target"), [each for each in product(ORIGINALS, MADE) if can_be_made(*each)]
)
def test_dciodvfy_finds_no_error_that_was_not_there(
    name: str, target: str, isocenter: Command, dcmtk: Tool, tmp_path: Path
) -> None:
    original = get_testdata_file(name, download=False)

    made = convert(isocenter, name, target, tmp_path)

    assert errors(dcmtk, made) <= errors(dcmtk, Path(str(original)))


def errors(dcmtk: Tool, path: Path) -> set[str]:
    printed = dcmtk("dciodvfy", path, expect=None)
    return {line for line in printed.splitlines() if line.startswith("Error")}
