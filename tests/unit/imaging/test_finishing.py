"""From a frame's bytes to a file: sizes, colours, text, animation, what is read of a header."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image as Pillow, ImageCms
from pydicom.dataset import Dataset

from isocenter.dicom.syntax import EXPLICIT_LE
from isocenter.errors import Malformed, NotFound
from isocenter.imaging import animation, annotations, pictures, profiles
from isocenter.imaging.colour_hints import photometric
from isocenter.imaging.description import describe
from isocenter.imaging.image import Image
from isocenter.imaging.luts import Rescale, Table
from isocenter.imaging.pictures import Viewport, scaled
from made_instances import encoded, image
from made_pictures import frames_of, grey, ramp
from made_pixels import InMemory

SIDES = st.integers(1, 60)
JPEG, JPEG_2000 = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.91"


def described(dataset: Dataset) -> Any:
    return describe(InMemory(encoded(dataset)), EXPLICIT_LE)


# --- sizes


@given(SIDES, SIDES, SIDES, SIDES)
def test_a_picture_touches_its_viewport_and_does_not_overflow_it(
    rows: int, columns: int, width: int, height: int
) -> None:
    found = scaled(np.zeros((rows, columns), np.uint8), Viewport(width=width, height=height))

    assert found.shape[0] <= height
    assert found.shape[1] <= width
    assert found.shape[0] == height or found.shape[1] == width


@given(st.floats(0, 80), st.floats(0, 80), st.floats(-80, 80), st.floats(-80, 80), st.booleans())
def test_any_region_is_within_the_picture_or_refused(
    left: float, top: float, width: float, height: float, is_normalized: bool
) -> None:
    viewport = Viewport(
        left=left,
        top=top,
        source_width=width,
        source_height=height,
        is_normalized=is_normalized,
    )

    try:
        rows, columns = viewport.region(30, 40)
    except Malformed:
        return

    assert 0 <= rows.start < rows.stop <= 30
    assert 0 <= columns.start < columns.stop <= 40


# --- colours


@pytest.mark.parametrize("name", profiles.NAMES)
def test_profiles_are_read_by_littlecms_and_lead_back(name: str) -> None:
    picture = np.array([[[200, 30, 60], [128, 128, 128], [10, 200, 90]]], np.uint8)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profiles.named(name)))

    there = profiles.converted(picture, b"", name)

    back = ImageCms.profileToProfile(
        Pillow.fromarray(there), profile, ImageCms.createProfile("sRGB")
    )
    assert back is not None
    assert (
        np.abs(np.asarray(back).astype(int) - picture).max() <= 6
    )  # 8 bits of ROMM RGB are coarse


def test_adobe_rgb_has_the_values_that_its_definition_gives() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)

    found = profiles.converted(red, b"", profiles.ADOBE_RGB)

    # sRGB's red is (0.7152, 0, 0) in linear Adobe RGB (1998), to the power of 1 / 2.19921875.
    assert np.abs(found[0, 0].astype(int) - (219, 0, 0)).max() <= 1


def test_a_profile_that_is_none_is_refused() -> None:
    with pytest.raises(Malformed):
        profiles.converted(np.zeros((1, 1, 3), np.uint8), b"nonsense", profiles.SRGB)


def test_marks_of_a_jpeg_go_before_the_attributes() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    out = io.BytesIO()
    Pillow.fromarray(picture).save(out, "JPEG")  # with a JFIF segment: YCbCr

    assert photometric(out.getvalue(), JPEG, "RGB") == "YBR_FULL"
    assert photometric(out.getvalue(), JPEG, "YBR_FULL_422") == "YBR_FULL"


@pytest.mark.parametrize("relationship", ["LOG", "DISP"])
def test_an_angiogram_is_shown_without_its_modality_table(relationship: str) -> None:
    table = Dataset()
    table.add_new(0x00283002, "US", [4, 0, 8])
    table.add_new(0x00283006, "OW", b"\0\0\1\0\2\0\3\0")
    angiogram = grey(
        ramp(),
        SOPClassUID="1.2.840.10008.5.1.4.1.1.12.1",
        PixelIntensityRelationship=relationship,
        ModalityLUTSequence=[table],
    )

    assert Image(described(angiogram)).modality(1) == Rescale()
    angiogram.PixelIntensityRelationship = "LIN"
    assert isinstance(Image(described(angiogram)).modality(1), Table)


# --- text


@given(
    st.dictionaries(
        st.sampled_from(["00100020", "00100030", "0008103E", "00080020", "00080030"]),
        st.text(max_size=80).map(lambda text: {"vr": "LO", "Value": [text]}),
    ),
    st.text(max_size=80),
    st.integers(1, 80),
    st.integers(1, 80),
)
@settings(max_examples=40)
def test_whatever_a_data_set_says_can_be_written_on_a_picture(
    dataset: dict[str, Any], name: str, rows: int, columns: int
) -> None:
    dataset["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": name}]}
    picture = np.zeros((rows, columns), np.uint8)

    left = annotations.of_patient(dataset)
    right = annotations.of_technique(dataset, 2, 3)

    assert annotations.written(picture, left, right).shape == picture.shape


def test_who_is_shown_is_told_as_a_person_reads_it() -> None:
    dataset = described(
        image(PatientName="Doe^Jane^M", PatientBirthDate="19700102", PatientSex="F")
    )

    assert annotations.of_patient(dataset) == ("Doe, Jane M", "P1", "1970-01-02 F")


# --- animation


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=5), SIDES, SIDES, st.booleans())
@settings(max_examples=30)
def test_frames_put_together_are_those_that_went_in(
    delays: list[float], rows: int, columns: int, is_coloured: bool
) -> None:
    shape = (rows, columns, 3) if is_coloured else (rows, columns)
    stills = [np.full(shape, 40 * number, np.uint8) for number in range(len(delays))]

    blocks = [
        animation.block(pictures.written(still, "image/gif"), delay)
        for still, delay in zip(stills, delays, strict=True)
    ]
    file = b"".join([animation.opening(blocks[0]), *map(animation.content, blocks)])

    found = frames_of(file + animation.TRAILER)
    assert len(found) == len(stills)
    for (duration, frame), still, delay in zip(found, stills, delays, strict=True):
        assert duration == round(delay * 100) * 10
        assert frame.shape == (rows, columns)
        assert int(frame[0, 0]) == int(still.flat[0])


# --- headers


def test_little_is_kept_of_what_no_picture_is_made_from() -> None:
    icon, private = Dataset(), Dataset()
    private.add_new(0x00110010, "LO", "SOMEBODY")
    private.add_new(0x00111001, "OB", bytes(100))
    icon.Rows = 64
    dataset = grey(ramp(), IconImageSequence=[icon])
    dataset.update(private)

    found = described(dataset)

    assert "00880200" not in found
    assert not any(int(tag[:4], 16) % 2 for tag in found)
    assert found["7FE00010"] == {"vr": "OW"}


def test_of_each_frame_only_what_shows_it_is_kept() -> None:
    groups = []
    for number in range(3):
        voi, content, item = Dataset(), Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = 10 * number, 100
        content.FrameComments = "long and of no use" * 10
        item.FrameVOILUTSequence, item.FrameContentSequence = [voi], [content]
        groups.append(item)
    frames = np.stack([ramp()] * 3)

    found = described(grey(frames, PerFrameFunctionalGroupsSequence=groups))

    assert [list(each) for each in found["52009230"]["Value"]] == [["00289132"]] * 3
    assert [Image(found).windows(frame)[0].center for frame in (1, 2, 3)] == [0, 10, 20]


def test_pixels_are_not_read_to_describe_them() -> None:
    reader = InMemory(encoded(grey(np.zeros((2000, 2000), np.uint16))))

    describe(reader, EXPLICIT_LE)

    assert reader.fetched < 20_000


def test_what_has_no_pixels_is_no_image() -> None:
    dataset = image()
    del dataset[0x7FE00010]

    with pytest.raises(NotFound):
        described(dataset)
