"""How frames become pictures: beside DCMTK's, and by what the standard says of each attribute."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset

from isocenter.imaging.from_files import opened_image, state_of
from isocenter.imaging.looks import Look
from made_instances import part10
from made_pictures import coloured, grey
from made_states import made, seen_by, state
from programs import Tool

Pixels = NDArray[Any]
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
WINDOW = {"WindowCenter": 1000, "WindowWidth": 1500}


EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def ours(folder: Path, image: Dataset, frame: int = 1, syntax: str = EXPLICIT) -> Pixels:
    """The picture of a frame."""
    path = folder / "ours.dcm"
    path.write_bytes(part10(image, syntax))
    with opened_image(path) as opened:
        return opened.pictured(frame, Look()).astype(int)


def theirs(
    dcmtk: Tool, folder: Path, image: Dataset, *options: str, syntax: str = EXPLICIT
) -> Pixels:
    """The same by DCMTK."""
    source, target = folder / "theirs.dcm", folder / "theirs.png"
    source.write_bytes(part10(image, syntax))
    dcmtk("dcm2pnm", "--write-png", *options, source, target)
    with Pillow.open(io.BytesIO(target.read_bytes())) as opened:
        return np.asarray(opened).astype(int)


# --- where in their cells the bits stored lie (PS3.5 8.1.1, Note 3)


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("high_bit", [11, 13, 15])
def test_the_bits_stored_are_found_wherever_they_lie(
    tmp_path: Path, dcmtk: Tool, high_bit: int, *, is_signed: bool
) -> None:
    image = grey(RAMP << (high_bit - 11), BitsStored=12, HighBit=high_bit, **WINDOW)
    image.PixelRepresentation = int(is_signed)

    expected = theirs(dcmtk, tmp_path, image, "+Wi", "1")

    assert np.abs(ours(tmp_path, image) - expected).max() <= 1


def test_an_overlay_may_lie_in_the_bits_below_those_stored(tmp_path: Path) -> None:
    image = grey(np.array([[0x8000, 0x8004]]), BitsStored=12, HighBit=15)
    image.WindowCenter, image.WindowWidth = 2048, 4096
    for element, vr, value in ((0x0010, "US", 1), (0x0011, "US", 2), (0x0102, "US", 2)):
        image.add_new(0x60000000 + element, vr, value)

    assert ours(tmp_path, image).tolist() == [[128, 255]]


def test_a_presentation_state_finds_the_bits_stored_too(tmp_path: Path) -> None:
    image = grey(np.array([[0, 0x7FF0, 0xFFF0]]), BitsStored=12, HighBit=15)

    assert seen_by(tmp_path, image, state(image)).tolist() == [[0, 127, 255]]


@pytest.mark.parametrize("high_bit", [3, 16])
def test_a_high_bit_that_cannot_be_is_ignored(tmp_path: Path, high_bit: int) -> None:
    image = grey(np.array([[0, 4095]]), BitsStored=12, HighBit=high_bit)

    assert ours(tmp_path, image).tolist() == [[0, 255]]


# --- functional groups: where plain attributes may stand (PS3.3 C.7.6.16)


def of_groups(shared: Dataset, *per_frame: Dataset) -> dict[str, Any]:
    return {
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": list(per_frame),
    }


def inverting() -> Dataset:
    """A VOI LUT of 256 entries, from white to black."""
    entries = np.arange(255, -1, -1, dtype="<u2").tobytes()
    table = made(LUTDescriptor=[256, 0, 8], LUTData=entries)
    table["LUTData"].VR = "OW"
    return table


def test_a_frame_may_have_a_table_for_its_greys(tmp_path: Path) -> None:
    """PS3.3 C.7.6.16.2.10b: tomosynthesis and breast projection images."""
    window = made(FrameVOILUTSequence=[made(WindowCenter=128, WindowWidth=256)])
    table = made(FrameVOILUTSequence=[made(VOILUTSequence=[inverting()])])
    levels = np.array([[[0, 100, 255]]] * 2)
    image = grey(levels, BitsStored=8, HighBit=7, **of_groups(Dataset(), window, table))

    assert ours(tmp_path, image, 1).tolist() == [[0, 100, 255]]
    assert ours(tmp_path, image, 2).tolist() == [[255, 155, 0]]


def test_all_frames_may_share_a_table(tmp_path: Path) -> None:
    table = made(FrameVOILUTSequence=[made(VOILUTSequence=[inverting()])])
    image = grey(np.array([[[0, 100, 255]]] * 2), BitsStored=8, HighBit=7, **of_groups(table))

    assert ours(tmp_path, image, 2).tolist() == [[255, 155, 0]]


def shutter(left: int, right: int) -> Dataset:
    """What shows the columns from ``left`` to ``right``, from 1."""
    edges = {"Left": left, "Right": right}
    said = {f"Shutter{side}VerticalEdge": str(edge) for side, edge in edges.items()}
    lines = {"ShutterUpperHorizontalEdge": "1", "ShutterLowerHorizontalEdge": "1"}
    return made(
        FrameDisplayShutterSequence=[made(ShutterShape="RECTANGULAR", **said, **lines)],
    )


def test_each_frame_may_have_its_shutter(tmp_path: Path) -> None:
    """PS3.3 C.7.6.16.2.16: enhanced angiography and fluoroscopy."""
    light = np.full((3, 1, 4), 255)
    groups = of_groups(shutter(2, 3), shutter(1, 1), Dataset(), shutter(4, 4))
    image = grey(light, BitsStored=8, HighBit=7, **groups)

    shown = [ours(tmp_path, image, frame)[0].tolist() for frame in (1, 2, 3)]

    assert shown == [[255, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]


# --- supplemental palettes (PS3.3 C.8.16.2.1.1.1)


def supplemented(levels: Pixels, first: int, vr: str = "US", **attributes: Any) -> Dataset:
    """An image with two colours for the values from ``first`` on."""
    window = {"WindowCenter": 128, "WindowWidth": 256}
    image = grey(levels, **{**window, "PixelPresentation": "COLOR", **attributes})
    for channel, entries in enumerate(((0xFF00, 0), (0, 0x8000), (0, 0xFF00))):
        image.add_new(0x00281101 + channel, vr, [2, first, 16])
        image.add_new(0x00281201 + channel, "OW", np.array(entries, "<u2").tobytes())
    return image


def test_values_from_the_palette_s_first_on_are_in_colour(tmp_path: Path) -> None:
    image = supplemented(np.array([[0, 100, 255, 1000, 1001, 4000]]), 1000)

    shown = ours(tmp_path, image)[0].tolist()

    assert shown[:3] == [[0, 0, 0], [100, 100, 100], [255, 255, 255]]
    assert shown[3:] == [[255, 0, 0], [0, 128, 255], [0, 128, 255]]


def test_a_supplemental_palette_may_begin_below_zero(tmp_path: Path) -> None:
    levels = np.array([[-11, -10, -9]], np.int16)
    image = supplemented(levels, -10, "SS", PixelRepresentation=1)

    assert ours(tmp_path, image)[0].tolist() == [[0, 0, 0], [255, 0, 0], [0, 128, 255]]


@pytest.mark.parametrize("presentation", ["MONOCHROME", "TRUE_COLOR"])
def test_a_palette_that_is_not_for_the_image_is_not_used(tmp_path: Path, presentation: str) -> None:
    image = supplemented(np.array([[0, 1000]]), 1000, PixelPresentation=presentation)

    assert ours(tmp_path, image).tolist() == [[0, 255]]


def test_of_mixed_frames_those_are_in_colour_that_say_so(tmp_path: Path) -> None:
    kinds = [
        made(CTImageFrameTypeSequence=[made(PixelPresentation=each)])
        for each in ("MONOCHROME", "COLOR")
    ]
    groups = of_groups(Dataset(), *kinds)
    levels = np.array([[[0, 1000]]] * 2)
    image = supplemented(levels, 1000, PixelPresentation="MIXED", **groups)

    assert ours(tmp_path, image, 1).tolist() == [[0, 255]]
    assert ours(tmp_path, image, 2)[0].tolist() == [[0, 0, 0], [255, 0, 0]]


# --- chroma that pixels share (PS3.3 C.7.6.3.1.2)


def ycc(cells: Pixels, photometric: str, rows: int, columns: int, frames: int) -> Dataset:
    image = coloured(np.zeros((rows, columns, 3)), PhotometricInterpretation=photometric)
    image.NumberOfFrames = frames
    image.PixelData = cells.astype(np.uint8).tobytes()
    return image


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_PARTIAL_422"])
def test_two_pixels_share_their_chroma_as_dcmtk_sees_it(
    tmp_path: Path, dcmtk: Tool, photometric: str
) -> None:
    cells = np.random.default_rng(1).integers(60, 180, 2 * 4 * 8 * 2)
    image = ycc(cells, photometric, 4, 8, 2)

    expected = theirs(dcmtk, tmp_path, image, "+F", "2")

    assert np.abs(ours(tmp_path, image, 2) - expected).max() <= 2  # DCMTK calculates in integers


@pytest.mark.parametrize("columns", [3, 4])
def test_every_frame_is_found_where_pixels_only_say_that_they_share_chroma(
    tmp_path: Path, columns: int
) -> None:
    """As programs leave it that decompress and keep the name: named so, and three samples each."""
    pixels = np.zeros((2, 2, columns, 3))
    pixels[0, ...], pixels[1, ...] = (76, 85, 255), (29, 255, 107)  # red, blue
    image = ycc(pixels, "YBR_FULL_422", 2, columns, 2)

    assert np.abs(ours(tmp_path, image, 1) - (254, 0, 0)).max() <= 1
    assert np.abs(ours(tmp_path, image, 2) - (0, 0, 254)).max() <= 1


# --- padding and proportions


@pytest.mark.parametrize(
    ("keyword", "padding", "limit", "kind"),
    [
        ("FloatPixelData", "FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit", "<f4"),
        (
            "DoubleFloatPixelData",
            "DoubleFloatPixelPaddingValue",
            "DoubleFloatPixelPaddingRangeLimit",
            "<f8",
        ),
    ],
)
def test_floating_point_padding_is_background_and_takes_no_part_in_the_range(
    tmp_path: Path, keyword: str, padding: str, limit: str, kind: str
) -> None:
    """PS3.3 C.7.6.24, C.7.6.25."""
    cells = np.array([[-9999, -9000, 0, 0.5, 1]], kind)
    image = grey(cells, BitsAllocated=8 * cells.itemsize)
    del image.PixelData, image.BitsStored, image.HighBit, image.PixelRepresentation
    setattr(image, keyword, cells.tobytes())
    setattr(image, padding, -9000.0)
    setattr(image, limit, -10000.0)

    assert ours(tmp_path, image).tolist() == [[0, 0, 0, 128, 255]]


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing"])
def test_pixels_have_the_proportions_of_their_spacing(
    tmp_path: Path, dcmtk: Tool, keyword: str
) -> None:
    image = grey(RAMP, **WINDOW)
    for each in ("PixelSpacing", "PixelAspectRatio"):
        image.pop(each, None)
    setattr(image, keyword, ["0.4", "0.2"])

    expected = theirs(dcmtk, tmp_path, image, "+Wi", "1", "+Sxf", "1")

    assert ours(tmp_path, image).shape == expected.shape == (128, 64)


@pytest.mark.parametrize(
    ("width", "expected"), [("1", [0, 64, 128, 255]), ("0.5", [0, 0, 128, 255])]
)
def test_fractions_are_shown_by_a_window_from_end_to_end(
    tmp_path: Path, width: str, expected: list[int]
) -> None:
    """As PS3.3 C.11.2.1.3.2 (LINEAR_EXACT): LINEAR would leave nothing but black and white."""
    cells = np.array([[0, 0.25, 0.5, 1]], "<f4")
    window = made(WindowCenter="0.5", WindowWidth=width, VOILUTFunction="LINEAR")
    groups = of_groups(made(FrameVOILUTSequence=[window]))
    image = grey(cells, BitsAllocated=32, NumberOfFrames=1, **groups)
    del image.PixelData, image.BitsStored, image.HighBit, image.PixelRepresentation
    image.FloatPixelData = cells.tobytes()

    assert ours(tmp_path, image).tolist() == [expected]


# --- tables that begin below zero: US or SS, which implicit VR does not tell

HOUNSFIELD = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}
SQUARES = (np.linspace(0, 1, 4096) ** 2 * 65535).astype("<u2")


def from_below_zero(vr: str, first: int) -> Dataset:
    table = made(LUTExplanation="of HU")
    table.add_new(0x00283002, vr, [4096, first if vr == "SS" else first % 65536, 16])
    table.add_new(0x00283006, "OW", SQUARES.tobytes())
    return table


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_voi_table_may_begin_below_zero(
    tmp_path: Path, dcmtk: Tool, vr: str, syntax: str
) -> None:
    image = grey(RAMP, BitsStored=12, HighBit=11, **HOUNSFIELD)
    image.VOILUTSequence = [from_below_zero(vr, -1024)]

    expected = theirs(dcmtk, tmp_path, image, "+Wl", "1", syntax=syntax)

    assert len(np.unique(expected)) > 200
    assert np.abs(ours(tmp_path, image, syntax=syntax) - expected).max() <= 1


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_modality_table_may_begin_below_zero(tmp_path: Path, dcmtk: Tool, vr: str) -> None:
    image = grey(RAMP.astype(np.int16) - 2048, BitsStored=12, HighBit=11, PixelRepresentation=1)
    image.ModalityLUTSequence = [from_below_zero(vr, -2048)]
    image.ModalityLUTSequence[0].ModalityLUTType = "US"
    image.WindowCenter, image.WindowWidth = 32768, 65536

    expected = theirs(dcmtk, tmp_path, image, "+Wi", "1")

    assert len(np.unique(expected)) > 200
    assert np.abs(ours(tmp_path, image) - expected).max() <= 1


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_presentation_state_s_table_may_begin_below_zero(
    tmp_path: Path, dcmtk: Tool, vr: str, syntax: str
) -> None:
    """By DCMTK: what the image would look like if it said itself what the state says."""
    image = grey(RAMP, BitsStored=12, HighBit=11)
    said = state(image, **HOUNSFIELD)
    said.SoftcopyVOILUTSequence = [made(VOILUTSequence=[from_below_zero(vr, -1024)])]
    paths = tmp_path / "image.dcm", tmp_path / "state.dcm"
    paths[0].write_bytes(part10(image))
    paths[1].write_bytes(part10(said, syntax))

    with opened_image(paths[0]) as opened:
        found = opened.pictured(1, Look(state=state_of(paths[1]))).astype(int)

    for keyword, value in HOUNSFIELD.items():
        setattr(image, keyword, value)
    image.VOILUTSequence = [from_below_zero("SS", -1024)]
    expected = theirs(dcmtk, tmp_path, image, "+Wl", "1")
    assert len(np.unique(expected)) > 200
    assert np.abs(found - expected).max() <= 1


def test_a_table_may_begin_with_a_large_number(tmp_path: Path, dcmtk: Tool) -> None:
    image = grey(RAMP + np.uint16(40000))
    image.VOILUTSequence = [from_below_zero("US", 40000)]

    expected = theirs(dcmtk, tmp_path, image, "+Wl", "1")

    assert len(np.unique(expected)) > 200
    assert np.abs(ours(tmp_path, image) - expected).max() <= 1


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_palette_for_signed_pixels_may_begin_below_zero(tmp_path: Path, vr: str) -> None:
    first = -10 if vr == "SS" else 65526
    levels = np.array([[-10, -9]], np.int16)
    image = supplemented(levels, first, vr, PixelRepresentation=1)
    image.PhotometricInterpretation = "PALETTE COLOR"

    assert ours(tmp_path, image)[0].tolist() == [[255, 0, 0], [0, 128, 255]]


def test_a_channel_may_be_dark_throughout(tmp_path: Path, dcmtk: Tool) -> None:
    image = grey(np.array([[0, 1]]), BitsAllocated=8, BitsStored=8, HighBit=7)
    image.PhotometricInterpretation, image.PixelData = "PALETTE COLOR", b"\0\1"
    for channel, entries in enumerate(((0, 0xFFFF), (0, 200), (255, 100))):
        image.add_new(0x00281101 + channel, "US", [2, 0, 16])
        image.add_new(0x00281201 + channel, "OW", np.array(entries, "<u2").tobytes())

    expected = theirs(dcmtk, tmp_path, image)

    assert ours(tmp_path, image).tolist() == expected.tolist() == [[[0, 0, 0], [255, 0, 0]]]
