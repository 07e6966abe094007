"""Segmentations in colours of their own (PS3.3 C.8.20, C.10.7.1.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from isocenter.imaging import cielab, segments
from isocenter.imaging.image import Image


def image(sop_class: str = segments.SEGMENTATION, bits: int = 1, **more: Any) -> Image:
    dataset: dict[str, Any] = {
        "00080016": {"vr": "UI", "Value": [sop_class]},
        "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
        "00280010": {"vr": "US", "Value": [4]},
        "00280011": {"vr": "US", "Value": [4]},
        "00280100": {"vr": "US", "Value": [max(bits, 1)]},
        "00280101": {"vr": "US", "Value": [bits]},
        **{tag: {"vr": "SQ", "Value": value} for tag, value in more.items()},
    }
    return Image(dataset)


def encoded(light: float, a: float, b: float) -> list[int]:
    return [round(light / 100 * 65535), *(round((each + 128) / 255 * 65535) for each in (a, b))]


def segment(number: int, colour: list[int] | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"00620004": {"vr": "US", "Value": [number]}}
    if colour:
        item["0062000D"] = {"vr": "US", "Value": colour}
    return item


# What Bruce Lindbloom's calculator gives for colours of sRGB, adapted to D50.
@pytest.mark.parametrize(
    ("lab", "rgb"),
    [
        ((100, 0, 0), (255, 255, 255)),
        ((0, 0, 0), (0, 0, 0)),
        ((54.29, 80.81, 69.89), (255, 0, 0)),
        ((87.82, -79.27, 80.99), (0, 255, 0)),
        ((29.57, 68.30, -112.03), (0, 0, 255)),
        ((53.39, 0, 0), (127, 127, 127)),
    ],
)
def test_cielab_is_what_a_screen_shows(
    lab: tuple[float, float, float], rgb: tuple[int, int, int]
) -> None:
    found = cielab.to_srgb(*lab)

    assert np.abs(np.array(found) - rgb).max() <= 1


def test_a_frame_has_the_colour_of_its_segment() -> None:
    per_frame = [
        {"0062000A": {"vr": "SQ", "Value": [{"0062000B": {"vr": "US", "Value": [number]}}]}}
        for number in (1, 2)
    ]
    listed = [segment(1), segment(2, encoded(29.57, 68.30, -112.03))]
    made = image(**{"00620002": listed, "52009230": per_frame})

    first, second = segments.palette(made, 1), segments.palette(made, 2)

    assert second.tolist()[0] == [0, 0, 0]
    assert np.abs(second[1].astype(int) - (0, 0, 255)).max() <= 2
    assert np.abs(first[1].astype(int) - second[1]).max() > 60


def test_fractions_go_from_black_to_the_colour() -> None:
    made = image(bits=8, **{"00620002": [segment(1, encoded(100, 0, 0))]})
    dataset = {
        **made.dataset,
        "00620001": {"vr": "CS", "Value": ["FRACTIONAL"]},
        "0062000E": {"vr": "US", "Value": [200]},
    }

    ramp = segments.palette(Image(dataset), 1)

    assert len(ramp) == 201
    assert ramp[0].tolist() == [0, 0, 0]
    assert ramp[100].tolist() == [128, 128, 128]
    assert ramp[200].tolist() == [255, 255, 255]


def test_neighbouring_labels_are_easily_told_apart() -> None:
    colours = segments.palette(image(segments.LABEL_MAP, 8), 1).astype(int)

    assert colours[0].tolist() == [0, 0, 0]
    for number in range(1, 20):
        others = colours[[each for each in range(20) if each != number]]
        assert np.abs(others - colours[number]).sum(axis=1).min() >= 40


def test_what_a_label_map_pads_with_is_black() -> None:
    made = image(segments.LABEL_MAP, 8)
    dataset = {**made.dataset, "00280120": {"vr": "US", "Value": [255]}}

    assert segments.palette(Image(dataset), 1)[255].tolist() == [0, 0, 0]
