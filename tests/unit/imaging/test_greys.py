"""From stored values to greys: compared with pydicom, and with the standard's examples."""

from dataclasses import replace
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, strategies as st
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from isocenter.errors import Malformed
from isocenter.imaging.greys import Shading, fractions, shading, shown
from isocenter.imaging.image import Image, Padding
from isocenter.imaging.luts import Function, Rescale, Table, Window
from isocenter.imaging.pixel_format import PixelFormat


def header_of(dataset: pydicom.Dataset) -> dict[str, Any]:
    del dataset[0x7FE00010]
    return dict(dataset.to_json_dict())


def image_of(**values: Any) -> Image:
    dataset = pydicom.Dataset()
    ordinary = {
        "Rows": 1,
        "Columns": 4,
        "SamplesPerPixel": 1,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "PixelRepresentation": 0,
        "PhotometricInterpretation": "MONOCHROME2",
    }
    for keyword, value in {**ordinary, **values}.items():
        setattr(dataset, keyword, value)
    return Image(dataset.to_json_dict())


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm"])
def test_a_window_maps_as_pydicom_maps_it(name: str) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    pixels = dataset.pixel_array
    dataset.WindowCenter, dataset.WindowWidth = 300, 1000
    modality = apply_modality_lut(pixels, dataset)
    voi = apply_voi_lut(modality, dataset)
    image = Image(header_of(dataset))

    found = shown(pixels, image.form, shading(image, 1, Window(300, 1000)))

    # pydicom maps to the range of the modality's values; scaled to 8 bits it must be the same.
    low, high = voi_range(dataset)
    expected = (voi - low) / (high - low) * 255
    assert np.abs(found - expected).max() <= 0.51


def voi_range(dataset: pydicom.Dataset) -> tuple[float, float]:
    bits = dataset.BitsStored
    ends = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        if dataset.PixelRepresentation
        else (0, 2**bits - 1)
    )
    slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
    return float(ends[0] * slope + intercept), float(ends[1] * slope + intercept)


def test_a_linear_window_has_the_ends_of_the_standards_example() -> None:
    # PS3.3 C.11.2.1.2: center 2048, width 4096 maps 0 to the lowest and 4095 to the highest.
    mapped = Window(2048, 4096).apply(np.array([0.0, 4095.0]))

    assert mapped.tolist() == [0.0, 1.0]


def test_a_window_of_width_one_is_a_threshold() -> None:
    mapped = Window(2048, 1).apply(np.array([2047.0, 2047.4, 2048.0]))

    assert mapped.tolist() == [0.0, 0.0, 1.0]


def test_an_exact_window_reaches_half_at_its_center() -> None:
    assert Window(10, 4, Function.LINEAR_EXACT).apply(np.array([8.0, 10.0, 12.0])).tolist() == [
        0,
        0.5,
        1,
    ]


def test_a_sigmoid_reaches_half_at_its_center_and_its_slope_there() -> None:
    window = Window(100, 40, Function.SIGMOID)
    step = 1e-3

    low, middle, high = window.apply(np.array([100 - step, 100.0, 100 + step]))

    assert middle == 0.5
    assert (high - low) / (2 * step) == pytest.approx(1 / 40, rel=1e-4)


@pytest.mark.parametrize(("width", "function"), [(0.5, Function.LINEAR), (0, Function.SIGMOID)])
def test_an_impossible_window_is_refused(width: float, function: Function) -> None:
    with pytest.raises(Malformed):
        Window(0, width, function)


def test_monochrome1_shows_low_values_white() -> None:
    image = image_of(PhotometricInterpretation="MONOCHROME1", WindowCenter=2048, WindowWidth=4096)

    found = shown(np.array([[0, 4095, 0, 4095]], np.uint16), image.form, shading(image, 1))

    assert found.tolist() == [[255, 0, 255, 0]]


def test_bits_above_those_stored_do_not_show() -> None:
    image = image_of(WindowCenter=2048, WindowWidth=4096)

    found = shown(np.array([[0xF000, 0x8FFF, 0, 0x0FFF]], np.uint16), image.form, shading(image, 1))

    assert found.tolist() == [[0, 255, 0, 255]]


def test_padding_is_background_and_takes_no_part_in_the_range() -> None:
    image = image_of(
        PixelRepresentation=1,
        BitsStored=16,
        PixelPaddingValue=-2000,
        RescaleSlope=1,
        RescaleIntercept=0,
    )
    assert image.padding == Padding(-2000, -2000)

    found = shown(np.array([[-2000, 0, 50, 100]], np.int16), image.form, shading(image, 1))

    assert found.tolist() == [[0, 0, 128, 255]]


def test_padding_written_unsigned_beside_signed_pixels_is_understood() -> None:
    image = image_of(PixelRepresentation=1, BitsStored=16)
    image.dataset["00280120"] = {"vr": "US", "Value": [63536]}  # type: ignore[index]

    assert image.padding == Padding(-2000, -2000)


def test_a_frames_own_window_goes_before_the_shared_one() -> None:
    def group(center: float) -> dict[str, Any]:
        window = {
            "00281050": {"vr": "DS", "Value": [center]},
            "00281051": {"vr": "DS", "Value": [10]},
        }
        return {"00289132": {"vr": "SQ", "Value": [window]}}

    image = image_of(NumberOfFrames=2)
    dataset: Any = image.dataset
    dataset["52009229"] = {"vr": "SQ", "Value": [group(1)]}
    dataset["52009230"] = {"vr": "SQ", "Value": [{}, group(2)]}

    assert [image.windows(frame)[0].center for frame in (1, 2)] == [1, 2]


@pytest.mark.parametrize(
    ("center", "expected"), [(5, [10.0, 10.0, 20.0, 30.0]), (6, [10.0] * 3 + [20.0])]
)
def test_a_table_holds_its_ends(center: int, expected: list[float]) -> None:
    table = Table(center, np.array([10, 20, 30], np.uint16), 8)

    assert table.apply(np.array([-100.0, 5, 6, 7])).tolist() == expected


def test_a_table_of_sixteen_bits_is_read_from_words() -> None:
    item = {
        "00283002": {"vr": "US", "Value": [3, 65534, 16]},
        "00283006": {"vr": "US", "Value": [0, 30000, 65535]},
    }

    table = Table.of(item)

    assert (table.first, table.entries.tolist(), table.bits) == (65534, [0, 30000, 65535], 16)


def test_without_a_window_the_range_of_the_picture_is_shown() -> None:
    image = image_of(RescaleSlope=2, RescaleIntercept=-1000)

    found = shown(np.array([[100, 200, 300, 300]], np.uint16), image.form, shading(image, 1))

    assert found.tolist() == [[0, 128, 255, 255]]


def test_eight_bits_without_a_word_are_shown_as_they_are() -> None:
    image = image_of(BitsAllocated=8, BitsStored=8)

    found = shown(np.array([[3, 100, 200, 201]], np.uint8), image.form, shading(image, 1))

    assert found.tolist() == [[3, 100, 200, 201]]


def test_wide_and_floating_pixels_are_mapped_one_by_one() -> None:
    look = Shading(Rescale(), Window(0.5, 1.0, Function.LINEAR_EXACT))
    image = image_of(BitsAllocated=32, BitsStored=32)

    found = shown(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32), image.form, look)

    assert found.tolist() == [[0, 128, 255, 0]]


@given(
    st.data(),
    st.integers(1, 16),
    st.booleans(),
    st.builds(Window, st.floats(-5e4, 5e4), st.floats(1, 5e4), st.sampled_from(Function)),
)
def test_what_is_looked_up_is_what_each_pixel_is_mapped_to(
    data: st.DataObject, bits: int, is_signed: bool, window: Window
) -> None:
    allocated = 8 if bits <= 8 and data.draw(st.booleans()) else 16
    form = PixelFormat(
        rows=3, columns=5, bits_allocated=allocated, bits_stored=bits, is_signed=is_signed
    )
    cells = data.draw(st.binary(min_size=15 * allocated // 8, max_size=15 * allocated // 8))
    pixels = np.frombuffer(cells, form.dtype).reshape(3, 5)
    look = Shading(Rescale(2, -7), window, is_inverse=data.draw(st.booleans()))

    # Bit by bit: what is above those stored is left out, and the highest of them is the sign.
    stored = [int(each) & ((1 << bits) - 1) for each in pixels.ravel()]
    if is_signed:
        stored = [each - (1 << bits) if each >> (bits - 1) else each for each in stored]
    light = fractions(np.array(stored, np.float64), look)
    expected = np.rint(light * 255).astype(np.uint8).reshape(3, 5)

    assert np.array_equal(shown(pixels, form, look), expected)


@pytest.mark.parametrize("is_signed", [True, False])
@pytest.mark.parametrize("bits", [(16, 16), (16, 14), (8, 8), (32, 16)])
@given(data=st.data())
def test_padding_anywhere_is_left_out_of_the_range(
    data: st.DataObject, bits: tuple[int, int], *, is_signed: bool
) -> None:
    allocated, stored = bits
    lowest = -(1 << stored - 1) if is_signed else 0
    number = st.integers(lowest, lowest + (1 << stored) - 1)
    pixels = data.draw(st.lists(number, min_size=1, max_size=40))
    ends = sorted((data.draw(number), data.draw(number)))
    image = image_of(BitsAllocated=allocated, BitsStored=stored, PixelRepresentation=int(is_signed))
    look = replace(shading(image, 1), padding=Padding(*ends), modality=Rescale(2.0, 3.0))
    real = [each for each in pixels if not ends[0] <= each <= ends[1]]
    low, high = min(real or pixels), max(real or pixels)

    found = shown(
        np.array([pixels], f"{'i' if is_signed else 'u'}{allocated // 8}"), image.form, look
    )

    for grey, each in zip(found[0], pixels, strict=True):
        is_padding = ends[0] <= each <= ends[1]
        expected = 0.0 if is_padding else 255 * (each - low) / max(high - low, 5e-7)
        if high > low or is_padding:
            assert abs(float(grey) - expected) <= 0.5 + 1e-6
