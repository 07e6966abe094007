"""Recordings of real devices: the values that pydicom finds, drawn lead by lead."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest
from pydicom.waveforms import multiplex_array

from corpus_files import REASON, ROOT, name, paths
from isocenter.dicom.opened import opened
from isocenter.imaging import frame_bytes, waveform_drawing
from isocenter.imaging.waveform_description import describe
from isocenter.imaging.waveform_samples import Samples, lying
from isocenter.imaging.waveform_strips import Strip

OF_PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files" / "waveform_ecg.dcm"
CORPUS = [path for path in paths() if name(path).startswith("waveforms/")]
LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
FILES = [OF_PYDICOM, *CORPUS]


def test_there_is_a_corpus() -> None:
    if not ROOT.is_dir():
        pytest.skip(REASON)
    assert CORPUS


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_values_and_leads_are_those_of_the_file(path: Path) -> None:
    theirs = pydicom.dcmread(path)
    with opened(path) as file:
        recording = describe(file.reader, file.syntax)
        assert len(recording.groups) == len(theirs.WaveformSequence)
        for number, group in enumerate(recording.groups):
            frame = lying(group, 0, group.samples)
            data = b"".join(map(bytes, frame_bytes.content(file.reader, frame)))
            ours = Samples(data, group)
            wanted = multiplex_array(theirs, number, as_raw=False)
            for place in range(len(group.channels)):
                np.testing.assert_allclose(ours.channel(place), wanted[:, place])

            strip = Strip(group=number + 1)
            first, last = strip.span(group)
            drawn = data[first * group.step : last * group.step]
            made = waveform_drawing.svg(drawn, group, recording.sop_class, strip)
            texts = [each.text for each in ElementTree.fromstring(bytes(made)).iter()]
            assert [each for each in texts if each in LEADS][:12] == LEADS
