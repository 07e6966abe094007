"""What compressed frames say of themselves, held against what pydicom's files say of them."""

from contextlib import suppress

import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames

from isocenter.errors import Malformed
from isocenter.imaging.codestream import MEDIA_TYPES, describe

MEDIA = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
}
FILES = [
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "JPEG2000.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "examples_jpeg2k.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "693_J2KI.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
]


def first_frame(name: str) -> tuple[pydicom.Dataset, bytes]:
    image = pydicom.dcmread(str(get_testdata_file(name)))
    return image, next(generate_frames(image.PixelData, number_of_frames=1))


@pytest.mark.parametrize("name", FILES)
def test_a_stream_tells_its_transfer_syntax_and_size(name: str) -> None:
    image, frame = first_frame(name)
    syntax = image.file_meta.TransferSyntaxUID

    found = describe(MEDIA[syntax], frame[:4096])

    # That it was told to be lossless, or allowed not to be, the stream does not say.
    lossless_or_not = {"1.2.840.10008.1.2.4.91": {"1.2.840.10008.1.2.4.90", syntax}}
    assert found.transfer_syntax in lossless_or_not.get(syntax, {syntax})
    assert (found.rows, found.columns) == (image.Rows, image.Columns)
    assert found.samples == image.SamplesPerPixel
    assert found.bits in (image.BitsStored, image.BitsAllocated)


def test_a_jp2_file_has_its_stream_behind_boxes() -> None:
    _, frame = first_frame("MR_small_jp2klossless.dcm")
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    boxed = boxes + (len(frame) + 8).to_bytes(4, "big") + b"jp2c" + frame

    found = describe("image/jp2", boxed)

    assert boxed[found.start :] == frame


@given(kind=st.sampled_from(sorted(MEDIA_TYPES)), data=st.binary(max_size=200))
def test_nonsense_is_malformed_or_described(kind: str, data: bytes) -> None:
    with suppress(Malformed):
        describe(kind, data)


@given(st.data())
def test_damage_is_malformed_or_described(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    image, frame = first_frame(name)
    damaged = bytearray(frame[:600])
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=5)):
        damaged[at] = data.draw(st.integers(0, 255))

    with suppress(Malformed):
        describe(MEDIA[image.file_meta.TransferSyntaxUID], bytes(damaged))
