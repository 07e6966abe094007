"""Images as presentation states show them (PS3.4 N.2; PS3.3 C.7.6, C.10, C.11)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.dataset import Dataset

from isocenter.errors import IsocenterError, Malformed, NotFound, Unsupported
from isocenter.imaging import graphics
from isocenter.imaging.image import Image
from isocenter.imaging.looks import Look, Subject, followed
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.states import State
from made_pictures import coloured, grey, ramp
from made_states import (
    BLENDING,
    COLOR,
    PSEUDO_COLOR,
    annotation,
    area,
    graphic,
    made,
    note,
    overlay,
    reference,
    seen_by,
    state,
    table,
    with_elements,
)

EXPLICIT = "1.2.840.10008.1.2.1"
LEVELS = np.arange(256, dtype=np.uint16).reshape(8, 32)


def eight(**attributes: Any) -> Dataset:
    """Every level of 8 bits, once."""
    return grey(LEVELS, **{"BitsStored": 8, "HighBit": 7, **attributes})


def dark(rows: int = 40, columns: int = 60, **attributes: Any) -> Dataset:
    return grey(np.zeros((rows, columns)), BitsStored=8, HighBit=7, **attributes)


# --- greys


def test_what_the_state_does_not_say_is_not_done(tmp_path: Path) -> None:
    """PS3.4 N.2: no transformation of the image's own, nor its polarity, its shutter, overlays."""
    image = with_elements(
        eight(
            PhotometricInterpretation="MONOCHROME1",
            WindowCenter=10,
            WindowWidth=5,
            RescaleSlope=3,
            RescaleIntercept=-7,
            ShutterShape="CIRCULAR",
            CenterOfCircularShutter=[1, 1],
            RadiusOfCircularShutter=1,
        ),
        overlay(0x6000, np.ones((8, 32))),
    )

    assert (seen_by(tmp_path, image, state(image)) == LEVELS).all()


def test_greys_go_from_the_least_to_the_greatest_value_that_can_be(tmp_path: Path) -> None:
    signed = grey(
        np.array([[-2048, -1, 0, 2047]], np.int16).view(np.uint16),
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=1,
    )

    assert seen_by(tmp_path, signed, state(signed)).tolist() == [[0, 127, 128, 255]]


def test_tables_follow_one_another(tmp_path: Path) -> None:
    """PS3.4 N.2.1: modality, VOI, presentation."""
    turning = [255 - each for each in range(256)]
    plus_one = [min(each + 1, 255) for each in range(256)]
    halving = [each // 2 for each in range(256)]
    said = state(
        image := eight(),
        **table("ModalityLUTSequence", turning),
        SoftcopyVOILUTSequence=[made(**table("VOILUTSequence", plus_one))],
        **table("PresentationLUTSequence", halving),
    )
    del said.PresentationLUTShape

    expected = np.minimum(255 - LEVELS.astype(int) + 1, 255) // 2
    assert (seen_by(tmp_path, image, said) == expected).all()


def test_a_window_counts_for_the_image_that_it_names(tmp_path: Path) -> None:
    image, other = eight(), eight(instance="1.2.3.5")
    window = made(WindowCenter=128, WindowWidth=1, ReferencedImageSequence=[reference(image)])
    said = state(image, other, SoftcopyVOILUTSequence=[window])

    assert (seen_by(tmp_path, image, said) == np.where(LEVELS > 127.5, 255, 0)).all()
    assert (seen_by(tmp_path, other, said) == LEVELS).all()


def test_a_window_counts_for_the_frame_that_it_names(tmp_path: Path) -> None:
    image = grey(np.stack([LEVELS, LEVELS]), BitsStored=8, HighBit=7)
    window = made(WindowCenter=128, WindowWidth=1, ReferencedImageSequence=[reference(image, 2)])
    said = state(image, SoftcopyVOILUTSequence=[window])

    assert (seen_by(tmp_path, image, said, frame=1) == LEVELS).all()
    assert set(np.unique(seen_by(tmp_path, image, said, frame=2))) == {0, 255}


def test_inverse_turns_greys_round(tmp_path: Path) -> None:
    said = state(image := eight(), PresentationLUTShape="INVERSE")

    assert (seen_by(tmp_path, image, said) == 255 - LEVELS).all()


def test_a_mask_is_subtracted_once_values_are_the_modality_s(tmp_path: Path) -> None:
    """PS3.4 N.2.1.2: positive where the frame is more than the mask, one bit longer."""
    frames = np.stack([np.full((2, 2), value) for value in (10, 20, 90)])
    image = grey(
        frames,
        BitsStored=8,
        HighBit=7,
        MaskSubtractionSequence=[made(MaskOperation="AVG_SUB", MaskFrameNumbers=[1, 2])],
    )
    said = state(
        image,
        RescaleSlope=2,
        RescaleIntercept=0,
        MaskSubtractionSequence=[made(MaskOperation="AVG_SUB", ContrastFrameAveraging=1)],
        SoftcopyVOILUTSequence=[made(WindowCenter=150.5, WindowWidth=2)],
    )

    # Twice 90 less twice 15 is 150: half of the way through the window.
    assert seen_by(tmp_path, image, said, frame=3).tolist() == [[128, 128]] * 2


def test_a_mask_that_the_state_does_not_have_is_not_subtracted(tmp_path: Path) -> None:
    mask = made(MaskOperation="AVG_SUB", MaskFrameNumbers=[1])
    image = grey(
        np.stack([LEVELS, LEVELS]), MaskSubtractionSequence=[mask], BitsStored=8, HighBit=7
    )

    assert (seen_by(tmp_path, image, state(image), frame=2) == LEVELS).all()


def test_colours_are_given_to_greys(tmp_path: Path) -> None:
    """PS3.4 N.2, figure N.2-1: a Pseudo-Color state's palette behind its VOI LUT."""
    image = eight()
    said = state(image, sop_class=PSEUDO_COLOR)
    for number, entries in enumerate((range(256), range(255, -1, -1), [7] * 256)):
        said.add_new(0x00281101 + number, "US", [256, 0, 8])
        said.add_new(0x00281201 + number, "OW", np.array(entries, "<u2").tobytes())

    expected = np.stack([LEVELS, 255 - LEVELS, np.full_like(LEVELS, 7)], axis=-1)
    assert (seen_by(tmp_path, image, said) == expected).all()


def test_a_color_state_shows_colours_as_they_are(tmp_path: Path) -> None:
    pixels = np.arange(24).reshape(2, 4, 3)
    image = coloured(pixels)

    assert (seen_by(tmp_path, image, state(image, sop_class=COLOR)) == pixels).all()


# --- where


def turned(**spatial: Any) -> dict[str, Any]:
    return {"ImageRotation": 0, "ImageHorizontalFlip": "N", **spatial}


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("flip", ["N", "Y"])
def test_an_image_is_rotated_clockwise_then_flipped(
    tmp_path: Path, rotation: int, flip: str
) -> None:
    """PS3.3 C.10.6."""
    said = state(image := eight(), **turned(ImageRotation=rotation, ImageHorizontalFlip=flip))

    expected = np.rot90(LEVELS, -rotation // 90)
    expected = np.fliplr(expected) if flip == "Y" else expected
    assert (seen_by(tmp_path, image, said) == expected).all()


def test_part_of_the_image_is_displayed(tmp_path: Path) -> None:
    """PS3.3 C.10.4: columns and rows from 1, both ends included."""
    said = state(image := eight(), DisplayedAreaSelectionSequence=[area(3, 2, 10, 5)])

    assert (seen_by(tmp_path, image, said) == LEVELS[1:5, 2:10]).all()


def test_corners_are_named_as_they_are_displayed(tmp_path: Path) -> None:
    """PS3.3 C.10.4: of an image on its head, the upper left is the lower right one as stored."""
    said = state(
        image := eight(),
        DisplayedAreaSelectionSequence=[area(10, 5, 3, 2)],
        **turned(ImageRotation=180),
    )

    assert (seen_by(tmp_path, image, said) == LEVELS[1:5, 2:10][::-1, ::-1]).all()


def test_beyond_the_image_it_is_black(tmp_path: Path) -> None:
    white = eight(PixelData=np.full((8, 32), 255, "<u2").tobytes())
    said = state(white, DisplayedAreaSelectionSequence=[area(-1, -3, 34, 10)])

    shown = seen_by(tmp_path, white, said)

    assert shown.shape == (14, 36)
    assert (shown[4:12, 2:34] == 255).all()
    assert shown.sum() == 255 * 8 * 32


@pytest.mark.parametrize(
    ("pixels", "shape"),
    [
        ({"PresentationPixelAspectRatio": [2, 1]}, (16, 32)),
        ({"PresentationPixelAspectRatio": [1, 2]}, (8, 64)),
        ({"PresentationPixelSpacing": [0.5, 0.25]}, (16, 32)),
        (
            {"PresentationSizeMode": "MAGNIFY", "PresentationPixelMagnificationRatio": 2.5},
            (20, 80),
        ),
    ],
)
def test_pixels_have_the_proportions_that_are_said(
    tmp_path: Path, pixels: dict[str, Any], shape: tuple[int, int]
) -> None:
    said = state(image := eight(), DisplayedAreaSelectionSequence=[area(1, 1, 32, 8, **pixels)])

    assert seen_by(tmp_path, image, said).shape == shape


def test_what_is_magnified_is_cropped_and_not_scaled(tmp_path: Path) -> None:
    """PS3.18 8.3.5.1.6."""
    ratio = {"PresentationSizeMode": "MAGNIFY", "PresentationPixelMagnificationRatio": 2}
    said = state(image := eight(), DisplayedAreaSelectionSequence=[area(1, 1, 32, 8, **ratio)])

    whole = seen_by(tmp_path, image, said)
    cropped = seen_by(tmp_path, image, said, viewport=Viewport(width=20, height=99))

    assert cropped.shape == (16, 20)
    assert (cropped == whole[:, 22:42]).all()


def test_what_is_displayed_is_scaled_to_the_viewport(tmp_path: Path) -> None:
    said = state(image := eight(), DisplayedAreaSelectionSequence=[area(1, 1, 16, 8)])

    assert seen_by(tmp_path, image, said, viewport=Viewport(width=64, height=64)).shape == (32, 64)


def test_a_region_is_taken_of_what_is_displayed(tmp_path: Path) -> None:
    """PS3.18 9.5.2.4: once the state is applied."""
    said = state(
        image := eight(),
        DisplayedAreaSelectionSequence=[area(1, 1, 16, 8)],
        **turned(ImageHorizontalFlip="Y"),
    )
    region = Viewport(left=0.5, top=0.25, source_width=0.5, source_height=0.5, is_normalized=True)

    shown = seen_by(tmp_path, image, said, viewport=region)

    assert (shown == LEVELS[:, 15::-1][2:6, 8:16]).all()


# --- shutters, overlays


def test_a_rectangle_hides_what_is_outside(tmp_path: Path) -> None:
    white = eight(PixelData=np.full((8, 32), 255, "<u2").tobytes())
    said = state(
        white,
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge=3,
        ShutterRightVerticalEdge=30,
        ShutterUpperHorizontalEdge=2,
        ShutterLowerHorizontalEdge=7,
        ShutterPresentationValue=0x8000,
    )

    shown = seen_by(tmp_path, white, said)

    assert (shown[1:7, 2:30] == 255).all()
    assert (shown == 128).sum() == 8 * 32 - 6 * 28


def test_a_bitmap_hides_where_it_is_set(tmp_path: Path) -> None:
    """PS3.3 C.7.6.15; it is not shown as an overlay, too."""
    points = np.zeros((8, 32))
    points[2:4, 5:9] = 1
    said = with_elements(
        state(
            image := eight(PixelData=np.full((8, 32), 255, "<u2").tobytes()),
            ShutterShape="BITMAP",
            ShutterOverlayGroup=0x6002,
            ShutterPresentationValue=0,
        ),
        overlay(0x6002, points),
    )

    assert (seen_by(tmp_path, image, said) == np.where(points, 0, 255)).all()


def test_a_shutter_may_have_a_colour(tmp_path: Path) -> None:
    """PS3.3 C.10.7.1.1: L* of 100 % in the middle of a* and b* is white."""
    said = state(
        image := dark(8, 8),
        ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge=5,
        ShutterRightVerticalEdge=8,
        ShutterUpperHorizontalEdge=1,
        ShutterLowerHorizontalEdge=8,
        ShutterPresentationColorCIELabValue=[0x8000, 0xFFFF, 0x8080],
    )

    red, green, blue = seen_by(tmp_path, image, said)[4, 0]

    assert red > 200
    assert green < 20
    assert blue > 100


def test_overlays_are_shown_that_have_a_layer(tmp_path: Path) -> None:
    """PS3.3 C.11.7; of the image, or of the state in its place."""
    first, second, third = (np.eye(8, 32, k) for k in (0, 5, 9))
    image = eight(PixelData=bytes(8 * 32 * 2))
    with_elements(image, {**overlay(0x6000, first), **overlay(0x6002, second)})
    said = with_elements(
        state(
            image,
            GraphicLayerSequence=[
                made(
                    GraphicLayer="A",
                    GraphicLayerOrder=1,
                    GraphicLayerRecommendedDisplayGrayscaleValue=0x4000,
                )
            ],
        ),
        {0x60001001: ("CS", "A"), **overlay(0x6004, third, "A")},
    )

    expected = np.where(first.astype(bool) | third.astype(bool), 0x40, 0)
    assert (seen_by(tmp_path, image, said) == expected).all()


def test_overlays_are_turned_with_the_image(tmp_path: Path) -> None:
    points = np.eye(8, 32)
    image = eight(PixelData=bytes(8 * 32 * 2))
    said = with_elements(state(image, **turned(ImageRotation=90)), overlay(0x6000, points, "A"))

    assert (seen_by(tmp_path, image, said) == np.rot90(points, -1) * 255).all()


# --- graphics


def lit(picture: Any) -> tuple[int, int, int, int]:
    """First and last column and row that are not black."""
    rows, columns = np.nonzero(picture if picture.ndim == 2 else picture.max(2))
    return int(columns.min()), int(columns.max()), int(rows.min()), int(rows.max())


@pytest.mark.parametrize(
    ("drawn", "extent"),
    [
        (graphic("POLYLINE", 10, 5, 50, 5, 50, 30), (9, 49, 4, 29)),
        (graphic("POLYLINE", 0.5, 0.5, 59.5, 39.5), (0, 59, 0, 39)),
        (graphic("INTERPOLATED", 10, 20, 30, 20, 50, 20), (9, 49, 19, 19)),
        (graphic("CIRCLE", 30.5, 20.5, 40.5, 20.5), (20, 40, 10, 30)),
        (graphic("ELLIPSE", 10.5, 20.5, 50.5, 20.5, 30.5, 15.5, 30.5, 25.5), (10, 50, 15, 25)),
        (graphic("POLYLINE", 0.25, 0.25, 0.75, 0.25, units="DISPLAY"), (14, 44, 9, 9)),
    ],
)
def test_graphics_lie_where_they_are_said_to(
    tmp_path: Path, drawn: Dataset, extent: tuple[int, int, int, int]
) -> None:
    """PS3.3 C.10.5.1.2: PIXEL counts from 0.0 at the corner, DISPLAY is of the displayed area."""
    said = state(image := dark(), GraphicAnnotationSequence=[annotation(drawn)])

    assert lit(seen_by(tmp_path, image, said)) == extent


@pytest.mark.filterwarnings("ignore:The value for the data element")
def test_more_points_than_explicit_vr_has_room_for_are_read(tmp_path: Path) -> None:
    """PS3.5 6.2.2: what is too long for a length of two bytes stands there as UN."""
    line = graphic("POLYLINE", *[10, 5, 50, 5] * 5000)
    said = state(image := dark(), GraphicAnnotationSequence=[annotation(line)])

    assert lit(seen_by(tmp_path, image, said)) == (9, 49, 4, 4)


def test_a_point_is_seen(tmp_path: Path) -> None:
    said = state(
        image := dark(), GraphicAnnotationSequence=[annotation(graphic("POINT", 30.5, 20.5))]
    )

    left, right, top, bottom = lit(seen_by(tmp_path, image, said))

    assert (left + right, top + bottom) == (60, 40)


def test_graphics_are_filled(tmp_path: Path) -> None:
    square = graphic("POLYLINE", 10.5, 10.5, 20.5, 10.5, 20.5, 20.5, 10.5, 20.5, 10.5, 10.5)
    square.GraphicFilled = "Y"
    said = state(image := dark(), GraphicAnnotationSequence=[annotation(square)])

    assert (seen_by(tmp_path, image, said) > 0).sum() == 121


def test_graphics_are_turned_with_the_image_and_those_of_the_display_are_not(
    tmp_path: Path,
) -> None:
    image = dark()
    for units, extent in (("PIXEL", (27, 27, 1, 11)), ("DISPLAY", (1, 3, 29, 29))):
        line = (2, 12, 12, 12) if units == "PIXEL" else (0.05, 0.5, 0.1, 0.5)
        said = state(
            image,
            **turned(ImageRotation=90),
            GraphicAnnotationSequence=[annotation(graphic("POLYLINE", *line, units=units))],
        )

        assert lit(seen_by(tmp_path, image, said)) == extent, units


def test_a_layer_of_higher_order_lies_above(tmp_path: Path) -> None:
    """PS3.3 C.10.7."""
    layers = [
        made(
            GraphicLayer=name,
            GraphicLayerOrder=order,
            GraphicLayerRecommendedDisplayGrayscaleValue=grey << 8,
        )
        for name, order, grey in (("UP", 2, 200), ("DOWN", 1, 100))
    ]
    line = graphic("POLYLINE", 5, 5, 50, 5)
    said = state(
        image := dark(),
        GraphicLayerSequence=layers,
        GraphicAnnotationSequence=[annotation(line, layer=name) for name in ("UP", "DOWN")],
    )

    assert seen_by(tmp_path, image, said)[4, 20] == 200


def test_a_layer_s_colour_is_shown(tmp_path: Path) -> None:
    layer = made(
        GraphicLayer="ONE",
        GraphicLayerOrder=1,
        GraphicLayerRecommendedDisplayCIELabValue=[0x8800, 0xD000, 0xC800],  # a red
    )
    line = graphic("POLYLINE", 5, 5, 50, 5)
    said = state(
        image := dark(),
        GraphicLayerSequence=[layer],
        GraphicAnnotationSequence=[annotation(line)],
    )

    red, green, blue = seen_by(tmp_path, image, said)[4, 20]

    assert red > 150
    assert max(green, blue) < 100


def test_lines_have_the_style_that_is_said(tmp_path: Path) -> None:
    style = made(
        PatternOnColorCIELabValue=[0xFFFF, 0x8080, 0x8080],
        PatternOnOpacity=0.5,
        LineThickness=3,
        LineDashingStyle="DASHED",
        LinePattern=0xFFFF0000,
    )
    line = graphic("POLYLINE", 0.5, 20.5, 59.5, 20.5, LineStyleSequence=[style])
    said = state(image := dark(), GraphicAnnotationSequence=[annotation(line)])

    shown = seen_by(tmp_path, image, said)

    assert set(np.unique(shown)) == {0, 128}
    assert (shown[:, 8] > 0).sum() == 3
    assert (shown[20, 2:15] > 0).all()
    assert (shown[20, 18:30] == 0).all()


def test_graphics_are_drawn_on_their_image_only(tmp_path: Path) -> None:
    image, other = dark(), dark(instance="1.2.3.5")
    line = graphic("POLYLINE", 5, 5, 50, 5)
    drawn = annotation(line, ReferencedImageSequence=[reference(image)])
    said = state(image, other, GraphicAnnotationSequence=[drawn])

    assert seen_by(tmp_path, image, said).any()
    assert not seen_by(tmp_path, other, said).any()


def test_text_lies_in_its_box(tmp_path: Path) -> None:
    text = note("Left", (10, 10, 90, 26))
    said = state(image := dark(100, 100), GraphicAnnotationSequence=[annotation(text)])

    left, right, top, bottom = lit(seen_by(tmp_path, image, said))

    assert 9 <= left < 20
    assert right < 60
    assert top >= 9
    assert bottom <= 26


@pytest.mark.parametrize(("where", "side"), [("LEFT", 0), ("CENTER", 1), ("RIGHT", 2)])
def test_text_is_justified(tmp_path: Path, where: str, side: int) -> None:
    text = note("x", (10, 10, 100, 26))
    text.BoundingBoxTextHorizontalJustification = where
    said = state(image := dark(40, 110), GraphicAnnotationSequence=[annotation(text)])

    left, right, _, _ = lit(seen_by(tmp_path, image, said))

    assert abs((left + right) / 2 - (10 + 45 * side)) < 8


def test_text_runs_from_corner_to_corner_of_its_box(tmp_path: Path) -> None:
    """PS3.3 C.10.5.1.1: also once the box is turned with the image."""
    text = note("WIDE WORDS", (10, 10, 90, 26))
    image = dark(100, 100)
    said = state(
        image,
        **turned(ImageRotation=90),
        GraphicAnnotationSequence=[annotation(text)],
    )

    left, right, top, bottom = lit(seen_by(tmp_path, image, said))

    assert bottom - top > 2 * (right - left)
    assert left >= 73
    assert right <= 91


def test_text_is_linked_with_its_visible_anchor(tmp_path: Path) -> None:
    text = note(
        "x",
        (10, 10, 40, 26),
        AnchorPointAnnotationUnits="PIXEL",
        AnchorPoint=[90, 90],
        AnchorPointVisibility="Y",
    )
    image = dark(100, 100)
    shown = seen_by(tmp_path, image, state(image, GraphicAnnotationSequence=[annotation(text)]))
    text.AnchorPointVisibility = "N"
    unlinked = seen_by(tmp_path, image, state(image, GraphicAnnotationSequence=[annotation(text)]))

    assert shown[89, 89] == 255
    assert not unlinked[60:, :].any()


def test_text_of_any_script_and_style_is_drawn(tmp_path: Path) -> None:
    style = made(
        TextColorCIELabValue=[0xFFFF, 0x8080, 0x8080],
        HorizontalAlignment="CENTER",
        VerticalAlignment="BOTTOM",
        ShadowStyle="NORMAL",
        ShadowOffsetX=1.0,
        ShadowOffsetY=1.0,
        ShadowColorCIELabValue=[0x4000, 0x8080, 0x8080],
        ShadowOpacity=1.0,
        Underlined="Y",
        Bold="Y",
        Italic="Y",
    )
    text = note("心臓 \r\nقلب\r\n❤\u202e\x00", (5, 5, 95, 95), TextStyleSequence=[style])
    image = dark(100, 100)
    said = state(
        image,
        SpecificCharacterSet="ISO_IR 192",
        GraphicAnnotationSequence=[annotation(text)],
    )

    assert lit(seen_by(tmp_path, image, said))[2] > 40  # at the bottom


# --- what is refused


def test_a_state_is_never_applied_to_another_image(tmp_path: Path) -> None:
    said = state(eight())
    for changed in (
        {"instance": "1.2.3.5"},
        {"SeriesInstanceUID": "1.2.4"},
        {"StudyInstanceUID": "1.3"},
    ):
        with pytest.raises(NotFound, match="does not refer"):
            seen_by(tmp_path, eight(**changed), said)


def test_a_state_is_never_applied_to_another_frame(tmp_path: Path) -> None:
    image = grey(np.stack([LEVELS, LEVELS]))
    said = state(image)
    said.ReferencedSeriesSequence[0].ReferencedImageSequence = [reference(image, 2)]

    with pytest.raises(NotFound, match="does not refer"):
        seen_by(tmp_path, image, said, frame=1)
    assert seen_by(tmp_path, image, said).shape == (8, 32)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"sop_class": BLENDING}, Unsupported),
        ({"sop_class": COLOR}, Unsupported),
        ({"ImageRotation": 45}, Malformed),
        ({"ReferencedSeriesSequence": []}, Malformed),
        ({"DisplayedAreaSelectionSequence": [made(PresentationSizeMode="MAGNIFY")]}, Malformed),
        ({"DisplayedAreaSelectionSequence": [area(1, 1, 2**30, 2**30)]}, Malformed),
        (
            {
                "DisplayedAreaSelectionSequence": [
                    area(1, 1, 2, 2, PresentationPixelAspectRatio=[0, 1])
                ]
            },
            Malformed,
        ),
        ({"SoftcopyVOILUTSequence": [made(WindowCenter=1, WindowWidth=0)]}, Malformed),
        ({"ShutterShape": "BITMAP", "ShutterOverlayGroup": 0x6000}, Malformed),
        ({"MaskSubtractionSequence": [made(MaskOperation="XOR")]}, Unsupported),
        (
            {"MaskSubtractionSequence": [made(MaskOperation="AVG_SUB", MaskFrameNumbers=[7])]},
            Malformed,
        ),
        ({"GraphicAnnotationSequence": [annotation(graphic("SPLINE", 1, 1))]}, Unsupported),
        ({"GraphicAnnotationSequence": [annotation(graphic("CIRCLE", 1, 1))]}, Malformed),
        ({"GraphicAnnotationSequence": [annotation(graphic("POLYLINE", 1, 1, 2))]}, Malformed),
        ({"GraphicAnnotationSequence": [annotation(note("nowhere"))]}, Malformed),
        (
            {
                "GraphicAnnotationSequence": [
                    annotation(CompoundGraphicSequence=[made(CompoundGraphicInstanceID=1)])
                ]
            },
            Unsupported,
        ),
    ],
)
def test_what_cannot_be_applied_whole_is_not_applied(
    tmp_path: Path, changed: dict[str, Any], error: type[IsocenterError]
) -> None:
    image = eight()
    if changed.get("ReferencedSeriesSequence") is None:
        said = state(image, **changed)
    else:
        said = state(**changed)

    with pytest.raises(error):
        seen_by(tmp_path, image, said)


def test_a_tile_of_a_slide_is_not_an_image_by_itself(tmp_path: Path) -> None:
    image = eight(TotalPixelMatrixColumns=320, TotalPixelMatrixRows=80)

    with pytest.raises(Unsupported, match="slides"):
        seen_by(tmp_path, image, state(image))


def test_more_graphics_than_are_drawn_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphics, "MOST_POINTS", 3)
    line = graphic("POLYLINE", 1, 1, 2, 2)
    image = dark()

    assert seen_by(
        tmp_path, image, state(image, GraphicAnnotationSequence=[annotation(line)])
    ).any()
    with pytest.raises(Unsupported, match="more graphics"):
        seen_by(tmp_path, image, state(image, GraphicAnnotationSequence=[annotation(line, line)]))


def test_a_state_of_many_megabytes_is_refused_unread(tmp_path: Path) -> None:
    image = dark()
    said = state(image, GraphicAnnotationSequence=[annotation(note("x" * (5 << 20), (1, 1, 9, 9)))])

    with pytest.raises(Unsupported, match="too large"):
        seen_by(tmp_path, image, said)


def test_what_goes_to_a_worker_is_small() -> None:
    image = eight()
    said = state(image, GraphicAnnotationSequence=[annotation(graphic("POLYLINE", 1, 1, 9, 9))])
    subject = Subject(Image(image.to_json_dict()), 1)
    look = Look(state=State(said.to_json_dict()))

    assert len(pickle.dumps(followed(subject, 1, EXPLICIT, look))) < 8192


coordinates = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(["POINT", "POLYLINE", "INTERPOLATED", "CIRCLE", "ELLIPSE"]),
    points=st.lists(coordinates, min_size=2, max_size=12).filter(lambda each: len(each) % 2 == 0),
    is_filled=st.booleans(),
    units=st.sampled_from(["PIXEL", "DISPLAY", "MATRIX", ""]),
    thickness=st.floats(0, 2000, width=32),
    told=st.text(max_size=40),
    box=st.lists(coordinates, min_size=4, max_size=4),
    rotation=st.sampled_from([0, 90, 180, 270]),
    corners=st.lists(st.integers(-70_000, 70_000), min_size=4, max_size=4),
    magnification=st.sampled_from([0.001, 1.0, 1000.0]),
)
def test_no_coordinates_break_the_drawing(
    tmp_path: Path,
    kind: str,
    points: list[float],
    is_filled: bool,
    units: str,
    thickness: float,
    told: str,
    box: list[float],
    rotation: int,
    corners: list[int],
    magnification: float,
) -> None:
    shape = graphic(
        kind,
        *points,
        units=units,
        GraphicFilled="Y" if is_filled else "N",
        LineStyleSequence=[made(LineThickness=thickness)],
    )
    magnified = area(
        *corners,
        PresentationSizeMode="MAGNIFY",
        PresentationPixelMagnificationRatio=magnification,
    )
    image = grey(ramp())
    said = state(
        image,
        **turned(ImageRotation=rotation),
        SpecificCharacterSet="ISO_IR 192",
        DisplayedAreaSelectionSequence=[magnified],
        GraphicAnnotationSequence=[
            annotation(shape, note(told.encode("utf-8", "ignore").decode(), box))
        ],
    )

    try:
        shown = seen_by(tmp_path, image, said, viewport=Viewport(width=64, height=64))
    except (Malformed, Unsupported):
        return
    assert max(shown.shape[:2]) <= 64
