"""OHIF, as it is installed and served at /ohif: its list of studies, and CT."""

from __future__ import annotations

import numpy as np
import pytest

from made_volumes import BRIGHT, DARK, as_shown, ct_volume
from ohif import Ohif
from tabs import store

TOLERANCE = 3
"""Of 255: drawing in three dimensions rounds."""


def stored(ohif: Ohif, study: str, slices: int = 12, pixels: int = 64, **attributes: str) -> str:
    """Store a CT of so many slices; return its Study Instance UID."""
    for each in ct_volume(study, slices, pixels, **attributes):
        store(ohif.server, each)
    return study


def test_a_ct_is_shown_with_the_brightness_its_window_gives(ohif: Ohif) -> None:
    study = stored(ohif, "1.2.501")

    ohif.open(study)
    ohif.page.wait_for_timeout(500)

    picture = ohif.picture().mean(axis=2)
    rows, columns = picture.shape
    quarter = columns // 2 - rows // 4
    assert picture[rows // 2, quarter] == pytest.approx(as_shown(DARK), abs=TOLERANCE)
    assert picture[rows // 2, columns - quarter] == pytest.approx(as_shown(BRIGHT), abs=TOLERANCE)
    assert np.unique(picture).size > 2
