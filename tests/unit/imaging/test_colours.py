"""Colours: compared with pydicom's conversions, and with values worked out by hand."""

import base64

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, convert_color_space

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging import colours, native
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.recipes import Palette


def test_full_range_ybr_becomes_rgb_as_pydicom_makes_it() -> None:
    ybr = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    found = colours.to_rgb(ybr, "YBR_FULL", 8)

    expected = convert_color_space(ybr, "YBR_FULL", "RGB")
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("ybr", "rgb"),
    [((16, 128, 128), (0, 0, 0)), ((235, 128, 128), (255, 255, 255)), ((81, 90, 240), (254, 0, 0))],
)
def test_partial_range_ybr_goes_from_16_to_235(
    ybr: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    found = colours.to_rgb(np.array([[ybr]], np.uint8), "YBR_PARTIAL_420", 8)

    assert np.abs(found[0, 0].astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("name", ["examples_palette.dcm"])
def test_a_palette_gives_the_colours_that_pydicom_gives(name: str) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file(name, download=False)))
    pixels = dataset.pixel_array
    expected = apply_color_lut(pixels, dataset)
    del dataset[0x7FE00010]

    palette = Palette(*colours.palette(dataset.to_json_dict()))

    scaled = expected >> 8 if expected.dtype == np.uint16 else expected
    assert np.array_equal(palette.apply(pixels), scaled)


def segmented(*values: int, count: int) -> dict[str, dict[str, object]]:
    described = {"vr": "US", "Value": [count, 0, 16]}
    inline = base64.b64encode(np.array(values, "<u2").tobytes()).decode()
    table = {"vr": "OW", "InlineBinary": inline}
    return {
        **{f"0028110{each}": described for each in (1, 2, 3)},
        **{f"0028122{each}": table for each in (1, 2, 3)},
    }


def test_a_segmented_palette_is_unfolded() -> None:
    # PS3.3 C.7.9.2: discrete 0, 0x1000; linear over two steps to 0x3000; the first segment again.
    dataset = segmented(0, 2, 0x0000, 0x1000, 1, 2, 0x3000, 2, 1, 0, 0, count=6)

    _, found = colours.palette(dataset)

    assert found[:, 0].tolist() == [0x00, 0x10, 0x20, 0x30, 0x00, 0x10]


@pytest.mark.parametrize(
    "values", [(1, 4, 9), (7, 1, 1), (2, 1, 0, 0), (0, 60_000), (0, 1, 5, 2, 9, 0, 0)]
)
def test_a_broken_segmented_palette_is_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(Malformed):
        colours.palette(segmented(*values, count=100))


def test_shared_chroma_is_given_to_both_pixels() -> None:
    form = PixelFormat(
        rows=1,
        columns=4,
        samples_per_pixel=3,
        bits_allocated=8,
        bits_stored=8,
        photometric_interpretation="YBR_FULL_422",
    )

    found = native.decode(bytes((1, 2, 90, 91, 3, 4, 92, 93)), form)

    assert found[0].tolist() == [[1, 90, 91], [2, 90, 91], [3, 92, 93], [4, 92, 93]]


def test_planes_and_pixels_give_the_same_picture() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    by_pixel = PixelFormat(
        rows=2,
        columns=4,
        samples_per_pixel=3,
        bits_allocated=8,
        bits_stored=8,
        photometric_interpretation="RGB",
    )
    by_plane = PixelFormat(
        rows=2,
        columns=4,
        samples_per_pixel=3,
        bits_allocated=8,
        bits_stored=8,
        photometric_interpretation="RGB",
        planar_configuration=1,
    )

    for form in (by_pixel, by_plane):
        assert np.array_equal(native.decode(native.encode(pixels, form), form), pixels)
    assert native.encode(pixels, by_plane)[:8] == pixels[..., 0].tobytes()


def test_what_has_no_colours_is_refused() -> None:
    with pytest.raises(Unsupported, match="HSV"):
        colours.to_rgb(np.zeros((1, 1, 3), np.uint8), "HSV", 8)
