"""Images of the corpus with their presentation states, held against what is published with them.

The published results are pictures that people made of what is to be seen: lines are smoothed, text
is in another font, and each has a ramp in its last row that is not of the image. So greys, shutters
and overlays are compared as they are, and lines and text by where they may be and where they are.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow, ImageFilter

from corpus_files import REASON, ROOT
from isocenter.imaging.from_files import rendered, state_of
from isocenter.imaging.looks import Look

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)

PAIRS = ROOT / "presentation" / "gsps-consistency"
GSPS = ROOT / "presentation" / "gsps"
OVERLAYS = ROOT / "images" / "sc-ot" / "sc-overlay-weasis.dcm"
NAMES = sorted(path.name.removesuffix("-image.dcm") for path in PAIRS.glob("*-image.dcm"))
RAMP = slice(0, 511)
"""Rows without the ramp."""


def shown(image: Path, state: Path) -> NDArray[Any]:
    look = Look(media_type="image/png", state=state_of(state))
    with Pillow.open(io.BytesIO(b"".join(map(bytes, rendered(image, look))))) as picture:
        return np.asarray(picture)


def pair(name: str) -> NDArray[Any]:
    return shown(PAIRS / f"{name}-image.dcm", PAIRS / f"{name}-pstate.dcm")


def pixels(name: str) -> NDArray[Any]:
    return pydicom.dcmread(PAIRS / f"{name}.dcm").pixel_array


def grown(points: NDArray[Any], by: int) -> NDArray[Any]:
    """True also for what is ``by`` pixels away."""
    wide = Pillow.fromarray(points.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * by + 1))
    return np.asarray(wide) > 0


@pytest.mark.parametrize("name", NAMES)
def test_every_pair_is_shown(name: str) -> None:
    assert pair(name).shape == (512, 512)


@pytest.mark.parametrize("name", ["dish_p07", "xlut_p03"])
def test_greys_and_shutters_are_those_published(name: str) -> None:
    assert (pair(name)[RAMP] == pixels(f"{name}-expected")[RAMP]).all()


@pytest.mark.parametrize("name", ["mlut_p01", "plut_p01", "spat_p01", "vlut_p01", "vlut_p04"])
def test_identities_leave_the_image_as_it_is(name: str) -> None:
    """What is not published is told by the names: each is the identity in another guise."""
    assert (pair(name) == pixels(f"{name}-image")).all()


def test_a_circle_hides_what_is_outside_to_a_pixel() -> None:
    """Its edge may be taken either way; the text within is elsewhere in the published result."""
    row, column = np.ogrid[1:513, 1:513]
    distance = np.hypot(row - 256, column - 256)
    seen = pair("dish_p01")

    assert (seen[distance > 128.5] == 0).all()
    assert (seen[distance < 126] == pixels("dish_p01-image")[distance < 126]).all()


@pytest.mark.parametrize("name", ["gran_p01"])
def test_lines_lie_where_they_are_published(name: str) -> None:
    drawn = pair(name)[RAMP] > 0
    expected = pixels(f"{name}-expected")[RAMP]

    assert not (drawn & ~grown(expected > 0, 1)).any()
    assert not ((expected > 128) & ~grown(drawn, 1)).any()


def test_a_curve_goes_through_its_points() -> None:
    """PS3.3 C.10.5.1.2 asks for that; the published one cuts corners, which it may not."""
    drawn = grown(pair("gran_p05")[RAMP] > 0, 1)
    points = (128, 256), (192, 128), (320, 128), (384, 256), (320, 384), (192, 384)

    assert all(drawn[y - 1, x - 1] for x, y in points)


def test_overlays_are_those_published() -> None:
    """Within a pixel: the published ones are smoothed."""
    drawn = pair("ovly_p01")[RAMP] > 0
    expected = pixels("ovly_p01-expected")[RAMP]

    assert not (drawn & ~grown(expected > 0, 1)).any()
    assert not ((expected > 128) & ~grown(drawn, 1)).any()


def test_the_same_overlays_are_in_another_pair() -> None:
    drawn = shown(OVERLAYS, GSPS / "weasis-overlay-pstate.dcm")

    assert (drawn == pair("ovly_p01")).all()


@pytest.mark.parametrize(
    ("name", "box"), [("tean_p01", (126, 127, 386, 146)), ("tean_p07", (126, 127, 386, 258))]
)
def test_text_lies_where_it_is_published(name: str, box: tuple[int, int, int, int]) -> None:
    """Left, top, right and bottom of all that differs from the image, with two pixels' grace."""
    changed = (pair(name) != pixels(f"{name}-image"))[RAMP]
    rows, columns = np.nonzero(changed)

    assert changed.sum() > 100
    assert columns.min() >= box[0]
    assert rows.min() >= box[1]
    assert columns.max() <= box[2]
    assert rows.max() <= box[3]


def test_all_of_it_together_is_as_published() -> None:
    """The first image of a state for two, with a shutter and text relative to the display."""
    seen, expected = pair("cplx_p03"), pixels("cplx_p03-expected")
    text = np.zeros((512, 512), bool)
    text[:20, 200:320] = True
    edge = np.zeros((512, 512), bool)
    edge[30:33] = True
    edge[0] = edge[:, 0] = True  # smoothed, too

    assert (seen == expected)[~(text | edge)].all()
    assert (seen[30:33] == expected[30:33]).mean() > 0.3
    assert (seen[text] > 128).any()


def test_tables_in_a_row_are_the_image_they_were_made_from() -> None:
    drawn = shown(GSPS / "weasis-lut-image.dcm", GSPS / "weasis-lut-pstate.dcm")

    assert (drawn == pair("xlut_p03")).all()


def test_the_displayed_area_is_what_is_shown() -> None:
    drawn = shown(GSPS / "dcmtk-image07.dcm", GSPS / "dcmtk-pstate07.dcm")
    image = pydicom.dcmread(GSPS / "dcmtk-image07.dcm").pixel_array

    assert drawn.shape == (55, 300)
    assert (drawn[:-1] == image[203:257, 109:409]).all()
    assert (drawn[-1] == 0).all()  # beyond the shutter


@pytest.mark.parametrize("name", NAMES)
def test_no_state_is_applied_to_the_image_of_another(name: str) -> None:
    other = NAMES[NAMES.index(name) - 1]

    with pytest.raises(Exception, match="does not refer"):
        shown(PAIRS / f"{other}-image.dcm", PAIRS / f"{name}-pstate.dcm")
