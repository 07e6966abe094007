"""Data sets on their way into another transfer syntax; pydicom judges what arrives."""

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_fragments, parse_basic_offsets
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from isocenter.archive import transcode as module
from isocenter.dicom import part10
from isocenter.dicom.syntax import lookup
from isocenter.errors import Malformed, Unavailable, Unsupported
from isocenter.imaging.workers import Workers
from isocenter.storage.scratch import FileScratch
from made_pixels import InMemory
from transcoded import Transcoder, pixels, read, transcoder

JPEG_XL = "1.2.840.10008.1.2.4.110"
JPEG_XL_RECOMPRESSED = "1.2.840.10008.1.2.4.111"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
LOSSLESS = [
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    RLELossless,
    JPEG_XL,
    DEFLATED_FRAMES,
]
NATIVE = [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


@pytest.fixture(scope="module")
def transcode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transcoder]:
    with transcoder(tmp_path_factory.mktemp("scratch")) as made:
        yield made


def image(
    cells: "np.ndarray[Any, Any]",
    *,
    stored: int | None = None,
    photometric: str = "MONOCHROME2",
    syntax: str = ExplicitVRLittleEndian,
    **attributes: Any,
) -> bytes:
    """A file of ``cells``: (frames, rows, columns) or (frames, rows, columns, samples)."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.4"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3.4"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.PatientName = "Müller^Jürgen"
    made.SpecificCharacterSet = "ISO_IR 100"
    allocated = 8 * cells.dtype.itemsize
    made.NumberOfFrames, made.Rows, made.Columns = cells.shape[:3]
    made.SamplesPerPixel = cells.shape[3] if cells.ndim == 4 else 1
    if cells.ndim == 4:
        made.PlanarConfiguration = 0
    made.BitsAllocated, made.BitsStored = allocated, stored or allocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(cells.dtype.kind == "i")
    made.PhotometricInterpretation = photometric
    value = cells.tobytes()
    made.add_new("PixelData", "OW" if allocated > 8 else "OB", value + bytes(len(value) % 2))
    made.DataSetTrailingPadding = b"behind"
    for keyword, each in attributes.items():
        setattr(made, keyword, each)
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def slopes(frames: int, *shape: int, kind: str = "u2", high: int = 4095) -> Any:
    every = np.arange(frames * int(np.prod(shape))).reshape(frames, *shape)
    return (every * 7 % (high + 1)).astype(kind)


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize("kind", ["u1", "u2", "i2"])
def test_frames_come_back_as_they_were(target: str, kind: str, transcode: Transcoder) -> None:
    cells = slopes(5, 17, 13, kind=kind, high=255 if kind == "u1" else 4095)
    if kind == "i2":
        cells -= 2048
    data = image(cells, stored=8 if kind == "u1" else 12)

    made = transcode(data, target)

    assert read(made).file_meta.TransferSyntaxUID == target
    assert np.array_equal(pixels(transcode(made, ExplicitVRLittleEndian)), cells)
    if target not in (JPEG_XL, DEFLATED_FRAMES, JPEGLosslessSV1):
        assert np.array_equal(pixels(made), cells)


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
def test_colours_come_back_as_they_were(
    target: str, photometric: str, planar: int, transcode: Transcoder
) -> None:
    cells = slopes(2, 16, 14, 3, kind="u1", high=255)
    lying = cells.transpose(0, 3, 1, 2) if planar else cells
    data = image(cells, photometric=photometric, PlanarConfiguration=planar)
    data = data.replace(cells.tobytes(), np.ascontiguousarray(lying).tobytes())

    made = transcode(data, target)

    told = read(made)
    is_reversible = photometric == "RGB" and target in (JPEG2000Lossless, HTJ2KLossless)
    assert told.PhotometricInterpretation == ("YBR_RCT" if is_reversible else photometric)
    assert told.PlanarConfiguration == (1 if target == RLELossless else 0)
    back = transcode(made, ExplicitVRLittleEndian)
    assert read(back).PhotometricInterpretation == photometric
    assert np.array_equal(pixels(back), cells)


def test_the_offset_table_tells_where_frames_are(transcode: Transcoder) -> None:
    made = read(transcode(image(slopes(4, 9, 9)), RLELossless))

    offsets = parse_basic_offsets(made.PixelData)
    fragments = list(generate_fragments(made.PixelData))[1:]

    assert len(fragments) == 4
    starts = np.cumsum([0, *(8 + len(each) for each in fragments[:-1])])
    assert offsets == starts.tolist()
    assert "ExtendedOffsetTable" not in made


def test_offsets_beyond_four_gigabytes_are_in_the_extended_table(
    transcode: Transcoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = slopes(4, 9, 9)
    monkeypatch.setattr(module, "LAST_OFFSET", 100)

    made = read(transcode(image(cells), JPEGLSLossless))

    assert parse_basic_offsets(made.PixelData) == []
    fragments = list(generate_fragments(made.PixelData))[1:]
    starts = np.cumsum([0, *(8 + len(each) for each in fragments[:-1])])
    assert np.frombuffer(made.ExtendedOffsetTable, "<u8").tolist() == starts.tolist()
    lengths = np.frombuffer(made.ExtendedOffsetTableLengths, "<u8")
    assert all(0 <= len(each) - n <= 1 for each, n in zip(fragments, lengths, strict=True))


def test_the_extended_table_goes_with_the_frames_it_tells_of(transcode: Transcoder) -> None:
    cells = slopes(3, 8, 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LAST_OFFSET", 10)
        extended = transcode(image(cells), RLELossless)

    made = transcode(extended, ExplicitVRLittleEndian)

    assert "ExtendedOffsetTable" not in read(made)
    assert "ExtendedOffsetTableLengths" not in read(made)
    assert np.array_equal(pixels(made), cells)


@pytest.mark.parametrize("target", NATIVE)
def test_every_native_transfer_syntax_can_be_had(target: str, transcode: Transcoder) -> None:
    cells = slopes(3, 11, 9)
    compressed = transcode(image(cells), JPEGLSLossless)

    made = transcode(compressed, target)

    assert read(made).file_meta.TransferSyntaxUID == target
    assert np.array_equal(pixels(made), cells)
    assert str(read(made).PatientName) == "Müller^Jürgen"


@pytest.mark.parametrize("source", NATIVE)
def test_every_native_transfer_syntax_can_be_compressed(source: str, transcode: Transcoder) -> None:
    cells = slopes(3, 11, 9)
    plain = transcode(transcode(image(cells), RLELossless), source)

    made = transcode(plain, JPEG2000Lossless)

    assert np.array_equal(pixels(made), cells)


def test_what_stands_behind_the_pixels_stays(transcode: Transcoder) -> None:
    made = transcode(image(slopes(2, 8, 8)), JPEGLSLossless)

    assert read(made).DataSetTrailingPadding == b"behind"
    assert read(transcode(made, ExplicitVRLittleEndian)).DataSetTrailingPadding == b"behind"


def test_single_bits_follow_one_another_across_frames(transcode: Transcoder) -> None:
    bits = np.arange(3 * 7 * 5) % 3 == 0
    packed = np.packbits(bits, bitorder="little")
    whole = np.zeros((3, 7, 5), np.uint8)
    data = read(image(whole))
    data.BitsAllocated = data.BitsStored = 1
    data.HighBit = 0
    data.PixelData = packed.tobytes() + bytes(packed.size % 2)
    file = BytesIO()
    data.save_as(file)

    made = transcode(file.getvalue(), DEFLATED_FRAMES)

    back = read(transcode(made, ExplicitVRLittleEndian))
    assert back.PixelData == data.PixelData


def test_a_deflated_frame_is_a_raw_deflate_stream(transcode: Transcoder) -> None:
    cells = slopes(2, 8, 8)

    made = read(transcode(image(cells), DEFLATED_FRAMES))

    fragments = list(generate_fragments(made.PixelData))[1:]
    inflated = [zlib.decompressobj(-15).decompress(each) for each in fragments]
    assert inflated == [frame.tobytes() for frame in cells]


def test_lossy_compression_makes_another_instance_that_tells_of_it(transcode: Transcoder) -> None:
    cells = slopes(2, 32, 32, kind="u2")
    data = image(cells, stored=12, DerivationDescription="Verkürzt")

    made = read(transcode(data, JPEG2000, is_loss_allowed=True))

    assert made.SOPInstanceUID != "1.2.3.4"
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert made.ImageType == ["DERIVED", "PRIMARY", "AXIAL"]
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == "ISO_15444_1"
    frames = list(generate_fragments(made.PixelData))[1:]
    ratio = cells.nbytes / sum(map(len, frames))
    assert float(made.LossyImageCompressionRatio) == pytest.approx(ratio, rel=0.01)
    (source,) = made.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == "1.2.3.4"
    assert source.ReferencedSOPClassUID == made.SOPClassUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert made.DerivationCodeSequence[0].CodeValue == "113040"
    assert made.DerivationDescription.startswith("Verkürzt; Lossy compression")


def test_loss_is_refused_unless_it_is_allowed(transcode: Transcoder) -> None:
    with pytest.raises(Unsupported, match="lose"):
        transcode(image(slopes(1, 8, 8)), JPEG2000)


def test_each_loss_is_listed(transcode: Transcoder) -> None:
    cells = slopes(1, 32, 32, kind="u1", high=255)
    once = transcode(image(cells), JPEG2000, is_loss_allowed=True)

    twice = read(transcode(once, JPEGBaseline8Bit, is_loss_allowed=True))

    assert twice.LossyImageCompressionMethod == ["ISO_15444_1", "ISO_10918_1"]
    assert len(twice.LossyImageCompressionRatio) == 2


def test_lossy_colours_become_what_baseline_jpeg_has(transcode: Transcoder) -> None:
    cells = np.full((1, 16, 16, 3), (200, 30, 90), np.uint8)

    made = transcode(image(cells, photometric="RGB"), JPEGBaseline8Bit, is_loss_allowed=True)

    assert read(made).PhotometricInterpretation == "YBR_FULL_422"
    plain = transcode(made, ExplicitVRLittleEndian)
    assert read(plain).PhotometricInterpretation == "YBR_FULL"
    assert read(plain).LossyImageCompression == "01"
    shown = pydicom.pixels.convert_color_space(pixels(plain), "YBR_FULL", "RGB")
    assert np.abs(shown.astype(int) - cells).max() <= 3


def test_a_jpeg_stream_goes_to_jpeg_xl_and_back_byte_for_byte(transcode: Transcoder) -> None:
    path = get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False)
    data = Path(path).read_bytes()

    made = transcode(data, JPEG_XL_RECOMPRESSED)
    back = transcode(made, JPEGBaseline8Bit)

    def frame(file: bytes) -> bytes:
        return b"".join(list(generate_fragments(read(file).PixelData))[1:]).rstrip(b"\0")

    assert frame(back) == frame(data)
    assert read(back).SOPInstanceUID == read(data).SOPInstanceUID


def test_what_was_lossy_says_so_also_when_it_no_longer_shows(transcode: Transcoder) -> None:
    data = Path(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False)).read_bytes()
    bare = read(data)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio"):
        if keyword in bare:
            delattr(bare, keyword)
    file = BytesIO()
    bare.save_as(file)

    made = read(transcode(file.getvalue(), ExplicitVRLittleEndian))

    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == "ISO_10918_1"


def test_bits_above_those_stored_are_not_lost_in_silence(transcode: Transcoder) -> None:
    data = image(slopes(2, 8, 8) | 0x8000, stored=12)

    with pytest.raises(Unsupported, match=r"frame 1: .*12 bits stored"):
        transcode(data, JPEGLSLossless)
    back = transcode(transcode(data, RLELossless), ExplicitVRLittleEndian)
    assert read(back).PixelData == read(data).PixelData


def test_bits_stored_elsewhere_than_below_are_refused(transcode: Transcoder) -> None:
    data = image(slopes(1, 8, 8) << 4, stored=12, HighBit=15)

    with pytest.raises(Unsupported, match="lowest"):
        transcode(data, JPEG2000Lossless)


def test_palettes_are_compressed_without_loss_only(transcode: Transcoder) -> None:
    data = image(slopes(1, 8, 8, kind="u1", high=255), photometric="PALETTE COLOR")

    assert read(transcode(data, JPEGLSLossless)).PhotometricInterpretation == "PALETTE COLOR"
    with pytest.raises(Unsupported, match="palette"):
        transcode(data, JPEG2000, is_loss_allowed=True)


@pytest.mark.parametrize("presentation", ["COLOR", "MIXED"])
def test_supplemental_palettes_are_compressed_without_loss_only(
    transcode: Transcoder, presentation: str
) -> None:
    """PS3.3 C.8.16.2.1.1.1, Note 2."""
    data = image(slopes(1, 8, 8), PixelPresentation=presentation)

    assert read(transcode(data, JPEGLSLossless)).PixelPresentation == presentation
    with pytest.raises(Unsupported, match="palette"):
        transcode(data, JPEG2000, is_loss_allowed=True)


def test_an_icon_stays_as_it_is(transcode: Transcoder) -> None:
    icon = Dataset()
    icon.add_new("PixelData", "OB", b"icon")
    data = image(slopes(1, 8, 8), IconImageSequence=Sequence([icon]))

    made = transcode(data, JPEGLSLossless)

    assert read(made).IconImageSequence[0].PixelData == b"icon"
    back = transcode(made, ExplicitVRLittleEndian)
    assert read(back).IconImageSequence[0].PixelData == b"icon"


def test_a_compressed_icon_is_left_out_with_the_compression(transcode: Transcoder) -> None:
    icon = Dataset()
    icon.add_new("PixelData", "OB", encapsulate([b"icon"]))
    icon["PixelData"].is_undefined_length = True
    compressed = read(transcode(image(slopes(1, 8, 8)), JPEGLSLossless))
    compressed.IconImageSequence = Sequence([icon])
    compressed.PatientComments = "stays"
    file = BytesIO()
    compressed.save_as(file)

    made = read(transcode(file.getvalue(), ExplicitVRLittleEndian))

    assert "IconImageSequence" not in made
    assert made.PatientComments == "stays"
    assert np.array_equal(pixels(transcode(file.getvalue(), RLELossless)), slopes(1, 8, 8)[0])


def test_a_video_is_refused(transcode: Transcoder) -> None:
    compressed = read(transcode(image(slopes(1, 8, 8)), JPEGLSLossless))
    compressed.file_meta.TransferSyntaxUID = MPEG2MPML
    file = BytesIO()
    compressed.save_as(file)

    with pytest.raises(Unsupported):
        transcode(file.getvalue(), ExplicitVRLittleEndian)


def test_what_has_no_pixels_loses_its_compression_in_name(transcode: Transcoder) -> None:
    report = read(transcode(image(slopes(1, 8, 8)), JPEGLSLossless))
    del report.PixelData
    file = BytesIO()
    report.save_as(file)

    made = read(transcode(file.getvalue(), ExplicitVRLittleEndian))

    assert str(made.PatientName) == "Müller^Jürgen"
    with pytest.raises(Unsupported, match="no pixel data"):
        transcode(file.getvalue(), RLELossless)


def test_a_broken_frame_is_told_by_its_number(transcode: Transcoder) -> None:
    compressed = read(transcode(image(slopes(3, 8, 8)), JPEGLSLossless))
    frames = list(generate_fragments(compressed.PixelData))[1:]
    frames[1] = b"nonsense"
    compressed.PixelData = encapsulate(frames)
    file = BytesIO()
    compressed.save_as(file)

    with pytest.raises(Malformed, match="frame 2"):
        transcode(file.getvalue(), ExplicitVRLittleEndian)


def test_more_than_a_length_can_tell_is_not_given_uncompressed(
    transcode: Transcoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressed = transcode(image(slopes(3, 8, 8)), JPEGLSLossless)
    monkeypatch.setattr(module, "LONGEST", 100)

    with pytest.raises(Unsupported, match="uncompressed"):
        transcode(compressed, ExplicitVRLittleEndian)


async def test_nothing_stays_open_when_nobody_wants_the_rest(tmp_path: Path) -> None:
    opened: list[FileScratch] = []

    def scratch() -> FileScratch:
        opened.append(FileScratch(str(tmp_path / "scratch")))
        return opened[-1]

    data = image(slopes(6, 64, 64))
    header = part10.read(data)
    reader = InMemory(memoryview(data)[header.dataset_offset :])
    with closing(Workers(2)) as codecs, ThreadPoolExecutor(1) as files:
        work = module.Transcoding(
            reader,
            header.syntax,
            lookup(JPEGLSLossless),
            codecs=codecs,
            files=files,
            scratch=scratch,
        )
        pieces = work.pieces()
        await anext(pieces)

        await pieces.aclose()

        with pytest.raises(Unavailable):
            opened[0].window(0, 10)
    assert not list(tmp_path.iterdir())
