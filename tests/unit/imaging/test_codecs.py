"""What goes through a codec comes back; what is broken is refused in time."""

import io
from dataclasses import replace

import numpy as np
import openjpeg
import pydicom
import pytest
from hypothesis import given, settings, strategies as st
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder

from isocenter.errors import IsocenterError, Malformed, Unsupported
from isocenter.imaging import codestream
from isocenter.imaging.codecs import CODECS, codec
from isocenter.imaging.native import Pixels
from isocenter.imaging.pixel_format import PixelFormat

BIG_ENDIAN = "1.2.840.10008.1.2.2"
"""Frames are encoded little endian: the writer of the data set changes the order."""
LOSSLESS = [
    uid for uid, each in CODECS.items() if each.encode and not each.is_lossy and uid != BIG_ENDIAN
]
LOSSY = [uid for uid, each in CODECS.items() if each.encode and each.is_lossy]

GREYS = [(8, 8, False), (16, 12, False), (16, 16, False), (16, 12, True), (16, 16, True)]


def picture(bits: int, *, is_signed: bool, samples: int = 1) -> Pixels:
    """A picture with slopes, edges, noise and both ends of the range."""
    rows, columns = np.mgrid[0:61, 0:47]
    wave = (np.sin(rows / 9) * np.cos(columns / 7) + 1) / 2
    noise = np.random.default_rng(bits).normal(0, 0.01, (61, 47, samples))
    levels = (1 << bits) - 1
    cells = np.rint(np.clip(wave[..., None] + noise, 0, 1) * levels).astype(np.int64)
    cells[:3, :3], cells[-3:, -3:] = 0, levels
    if is_signed:
        cells -= 1 << (bits - 1)
    kind = ("i" if is_signed else "u") + ("1" if bits <= 8 else "2")
    found = cells.astype(kind)
    return found[..., 0] if samples == 1 else found


def form_of(allocated: int, stored: int, *, is_signed: bool, samples: int = 1) -> PixelFormat:
    return PixelFormat(
        rows=61,
        columns=47,
        samples_per_pixel=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=is_signed,
        photometric_interpretation="MONOCHROME2" if samples == 1 else "RGB",
    )


@pytest.mark.parametrize("uid", LOSSLESS)
@pytest.mark.parametrize(("allocated", "stored", "is_signed"), GREYS)
def test_greys_come_back_from_lossless_syntaxes_bit_by_bit(
    uid: str, allocated: int, stored: int, is_signed: bool
) -> None:
    form = form_of(allocated, stored, is_signed=is_signed)
    pixels = picture(stored, is_signed=is_signed)
    chosen = codec(uid)

    found = chosen.decode(chosen.encode(pixels, form), form)

    assert found.dtype == pixels.dtype
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("uid", LOSSLESS)
def test_colours_come_back_from_lossless_syntaxes_bit_by_bit(uid: str) -> None:
    form = form_of(8, 8, is_signed=False, samples=3)
    pixels = picture(8, is_signed=False, samples=3)
    chosen = codec(uid)

    found = chosen.decode(chosen.encode(pixels, form), form)

    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("uid", LOSSLESS)
@pytest.mark.parametrize(("bits", "samples"), [(8, 1), (16, 1), (8, 3)])
def test_noise_which_nothing_makes_smaller_comes_back(uid: str, bits: int, samples: int) -> None:
    form = replace(form_of(bits, bits, is_signed=False, samples=samples), rows=512, columns=512)
    noise = np.random.default_rng(0).integers(0, 1 << bits, form.shape).astype(form.dtype)
    used = CODECS[uid]

    assert np.array_equal(used.decode(used.encode(noise, form), form), noise)


@pytest.mark.parametrize("uid", LOSSY)
def test_greys_come_back_from_lossy_syntaxes_nearly(uid: str) -> None:
    form = form_of(8, 8, is_signed=False)
    pixels = picture(8, is_signed=False)
    chosen = codec(uid)

    found = chosen.decode(chosen.encode(pixels, form), form)

    assert np.abs(found.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"])
def test_single_bits_come_back(uid: str) -> None:
    form = form_of(1, 1, is_signed=False)
    pixels = (picture(8, is_signed=False) > 128).astype(np.uint8)
    chosen = codec(uid)

    assert np.array_equal(chosen.decode(chosen.encode(pixels, form), form), pixels)


@pytest.mark.parametrize("suffix", ["90", "201", "202"])
@pytest.mark.parametrize(("allocated", "stored", "is_signed"), GREYS)
def test_another_decoder_reads_our_jpeg_2000(
    suffix: str, allocated: int, stored: int, is_signed: bool
) -> None:
    form = form_of(allocated, stored, is_signed=is_signed)
    pixels = picture(stored, is_signed=is_signed)

    encoded = codec(f"1.2.840.10008.1.2.4.{suffix}").encode(pixels, form)

    assert np.array_equal(openjpeg.decode(io.BytesIO(encoded)), pixels)


def test_progressive_streams_go_by_resolution() -> None:
    form = form_of(16, 12, is_signed=False)

    encoded = codec("1.2.840.10008.1.2.4.202").encode(picture(12, is_signed=False), form)

    place = encoded.index(b"\xff\x52")  # COD: length, style, then the progression order
    assert encoded[place + 5] == 2, "RPCL (ISO 15444-1 Table A.16)"
    assert b"\xff\x55" in encoded, "TLM"


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "JPEG2000.dcm",
        "SC_rgb_rle_16bit.dcm",
        "693_J2KI.dcm",
    ],
)
def test_pydicom_and_its_plugins_decode_the_same(name: str) -> None:
    path = get_testdata_file(name, download=False)
    dataset = pydicom.dcmread(str(path))
    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = get_decoder(syntax)
    count = int(dataset.get("NumberOfFrames", 1))
    form = PixelFormat(
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples_per_pixel=dataset.SamplesPerPixel,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        is_signed=bool(dataset.PixelRepresentation),
        photometric_interpretation=dataset.PhotometricInterpretation,
    )

    found = codec(syntax).decode(get_frame(dataset.PixelData, 0, number_of_frames=count), form)

    expected, _ = decoder.as_array(dataset, index=0, raw=True)
    assert np.array_equal(found, expected)


ENCODED = {
    uid: codec(uid).encode(picture(8, is_signed=False), form_of(8, 8, is_signed=False))
    for uid in (*LOSSLESS, *LOSSY)
}


@pytest.mark.parametrize("uid", sorted(ENCODED))
def test_an_image_of_other_dimensions_is_refused(uid: str) -> None:
    other = PixelFormat(rows=6100, columns=4700, bits_allocated=8, bits_stored=8)

    with pytest.raises(Malformed):
        codec(uid).decode(ENCODED[uid], other)


@pytest.mark.parametrize("uid", sorted({"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.8.1"}))
@given(st.data())
@settings(max_examples=200, deadline=2000)
def test_garbage_is_refused_by_what_is_ours(uid: str, data: st.DataObject) -> None:
    broken = bytearray(ENCODED[uid])
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))

    try:
        found = codec(uid).decode(bytes(broken[:cut]), form_of(8, 8, is_signed=False))
    except IsocenterError:
        return
    assert found.shape == (61, 47)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=2000)
def test_no_stream_header_breaks_its_reader(data: bytes) -> None:
    for start, read in (
        (b"\xff\xd8", codestream.jpeg),
        (b"\xff\x4f\xff\x51", codestream.jpeg_2000),
        (b"\xff\x0a", codestream.jpeg_xl),
        (b"\0\0\0\x0cJXL ", codestream.jpeg_xl),
    ):
        try:
            read(start + data)
        except Malformed:
            continue


def test_bits_above_those_stored_are_not_lost_silently() -> None:
    form = form_of(16, 12, is_signed=False)
    pixels = picture(12, is_signed=False) | 0x8000

    with pytest.raises(Unsupported, match="12 bits"):
        codec("1.2.840.10008.1.2.4.80").encode(pixels.astype(np.uint16), form)


def test_an_unknown_transfer_syntax_has_no_codec() -> None:
    with pytest.raises(Unsupported):
        codec("1.2.840.10008.1.2.4.93")
