"""Recordings read and drawn (PS3.3 C.10.9, C.10.10)."""

from __future__ import annotations

import io
import itertools
import re
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from isocenter.dicom.syntax import lookup
from isocenter.errors import IsocenterError, Malformed, NotFound, Unsupported
from isocenter.imaging import frame_bytes, waveform_drawing, waveform_strips
from isocenter.imaging.finishing import Finish
from isocenter.imaging.pictures import Viewport
from isocenter.imaging.waveform_description import describe
from isocenter.imaging.waveform_samples import Samples, lying
from isocenter.imaging.waveform_strips import SCALE, Sheet, Strip, laid
from isocenter.imaging.waveforms import Multiplex, Recording
from made_pixels import InMemory
from made_waveforms import (
    AMBULATORY,
    ECG,
    HEMODYNAMIC,
    LEADS,
    beats,
    channel,
    electrocardiogram,
    group,
    measured,
    waveform,
)
from slides import item

SVG = "{http://www.w3.org/2000/svg}"


def written(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> memoryview:
    """The data set alone."""
    uid = pydicom.uid.UID(syntax)
    buffer = io.BytesIO()
    pydicom.dcmwrite(
        buffer, dataset, implicit_vr=uid.is_implicit_VR, little_endian=uid.is_little_endian
    )
    return memoryview(buffer.getvalue())


def read(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> tuple[Recording, InMemory]:
    reader = InMemory(written(dataset, syntax))
    return describe(reader, lookup(syntax)), reader


def samples_of(reader: InMemory, of: Multiplex, first: int = 0, last: int | None = None) -> Samples:
    frame = lying(of, first, of.samples if last is None else last)
    return Samples(b"".join(map(bytes, frame_bytes.content(reader, frame))), of)


def sheet_of(dataset: Dataset, **asked: Any) -> Sheet:
    recording, reader = read(dataset)
    strip = Strip(**asked)
    of = recording.group(strip.group)
    return laid(samples_of(reader, of, *strip.span(of)), of, recording.sop_class, strip)


def svg_of(dataset: Dataset, **asked: Any) -> bytes:
    recording, reader = read(dataset)
    strip = Strip(**asked)
    of = recording.group(strip.group)
    frame = lying(of, *strip.span(of))
    data = b"".join(map(bytes, frame_bytes.content(reader, frame)))
    return bytes(waveform_drawing.svg(data, of, recording.sop_class, strip))


# --- what is read


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_values_are_those_that_pydicom_finds(kind: str, syntax: str) -> None:
    info = np.iinfo(kind)
    rng = np.random.default_rng(1)
    raw = rng.integers(info.min, info.max, (40, 3), dtype=kind, endpoint=True)
    channels = [
        channel("I", ChannelSensitivity=2.5, ChannelSensitivityCorrectionFactor=0.5),
        channel("II", ChannelBaseline=-7),
        channel("V1", "mV", ChannelSensitivity=0.001),
    ]
    made = waveform([group(raw, channels)])
    theirs = pydicom.waveforms.multiplex_array(made, 0, as_raw=False)

    recording, reader = read(made, syntax)

    ours = samples_of(reader, recording.groups[0])
    for number in range(3):
        np.testing.assert_allclose(ours.channel(number), theirs[:, number])


def test_values_in_big_endian_are_the_same() -> None:
    raw = np.array([[1, -2], [300, -400]], np.int16)
    made = waveform([group(raw, [channel("I"), channel("II")])])
    made.WaveformSequence[0].WaveformData = raw.byteswap().tobytes()

    recording, reader = read(made, ExplicitVRBigEndian)

    ours = samples_of(reader, recording.groups[0])
    assert ours.channel(0).tolist() == [1, 300]
    assert ours.channel(1).tolist() == [-2, -400]
    assert samples_of(reader, recording.groups[0], 1).channel(1).tolist() == [-400]


@pytest.mark.parametrize(("kind", "codec"), [("MB", "pcm_mulaw"), ("AB", "pcm_alaw")])
def test_companded_samples_are_those_that_ffmpeg_finds(kind: str, codec: str) -> None:
    raw = np.arange(256, dtype=np.uint8)
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"  # type: ignore[attr-defined]
    (frame,) = decoder.decode(av.Packet(raw.tobytes()))  # type: ignore[attr-defined]
    recording, reader = read(waveform([group(raw[:, None], [channel("X")], 8000, kind)]))

    ours = samples_of(reader, recording.groups[0]).channel(0)

    np.testing.assert_array_equal(ours, frame.to_ndarray().ravel())


def test_padding_is_no_value() -> None:
    raw = np.array([[5], [-32768], [7]], np.int16)
    made = waveform([group(raw, [channel("I")], WaveformPaddingValue=b"\x00\x80")])
    made.WaveformSequence[0]["WaveformPaddingValue"].VR = "OW"

    recording, reader = read(made)

    ours = samples_of(reader, recording.groups[0]).channel(0)
    assert ours[[0, 2]].tolist() == [5, 7]
    assert np.isnan(ours[1])


def test_leads_are_named_by_code_or_meaning() -> None:
    own = channel("x")
    own.ChannelSourceSequence[0].CodeMeaning = "Lead avf"
    unknown = channel("Balloon pressure", "mmHg")
    labelled = channel("y", ChannelLabel="Nose")
    labelled.ChannelSourceSequence[0].CodeMeaning = ""
    scp = channel("z")
    scp.ChannelSourceSequence[0].CodeValue = "5.6.3-9-62"
    scp.ChannelSourceSequence[0].CodingSchemeDesignator = "SCPECG"
    every = [*map(channel, LEADS), own, unknown, labelled, scp]
    raw = np.zeros((2, len(every)), np.int16)

    recording, _ = read(waveform([group(raw, every)]))

    names = [each.name for each in recording.groups[0].channels]
    assert names == [*LEADS, "aVF", "Balloon pressure", "Nose", "aVR"]


def test_annotations_are_findings_measurements_and_moments() -> None:
    recording, _ = read(electrocardiogram(2))

    told = [(each.name, each.value, each.units, each.at) for each in recording.annotations]
    assert told == [
        ("Sinus rhythm", "", "", None),
        ("Heart rate", "60", "/min", None),
        ("QT Interval", "368", "ms", None),
        ("R wave", "", "", pytest.approx(0.4)),
    ]


@pytest.mark.parametrize(("channels", "position"), [([9, 1], 1), ([1, 1], 10**6), ([1, 1], 0)])
def test_a_place_that_there_is_not_is_no_moment(channels: list[int], position: int) -> None:
    made = electrocardiogram(2)
    mark = made.WaveformAnnotationSequence[3]
    mark.ReferencedWaveformChannels, mark.ReferencedSamplePositions = channels, position

    recording, _ = read(made)

    assert recording.annotations[3].at is None


def test_names_are_read_in_the_character_set_of_the_instance() -> None:
    made = electrocardiogram(1, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne")
    made.WaveformAnnotationSequence[0].UnformattedTextValue = "größer"
    made.WaveformSequence[0].MultiplexGroupLabel = "Übung"

    recording, _ = read(made)

    assert recording.annotations[0].name == "größer"
    assert recording.groups[0].label == "Übung"
    assert recording.told({"patient"})[0] == "Müller, Änne"


def test_of_very_many_annotations_some_are_read() -> None:
    made = electrocardiogram(1)
    made.WaveformAnnotationSequence = [measured("RR", each, "ms") for each in range(1500)]

    recording, _ = read(made)

    assert len(recording.annotations) == 1000


HOSTILE: dict[str, dict[str, Any]] = {
    "no channels": {"NumberOfWaveformChannels": 0},
    "channels that are not defined": {"NumberOfWaveformChannels": 13},
    "no samples": {"NumberOfWaveformSamples": 0},
    "samples that are not there": {"NumberOfWaveformSamples": 2**32 - 1},
    "odd bits": {"WaveformBitsAllocated": 3},
    "no frequency": {"SamplingFrequency": 0},
    "a negative frequency": {"SamplingFrequency": -500},
    "a frequency beyond all": {"SamplingFrequency": 1e300},
    "an unknown sample": {"WaveformSampleInterpretation": "XX"},
    "truncated data": {"WaveformData": b"1234"},
    "no data": {"WaveformData": None},
    "no definitions": {"ChannelDefinitionSequence": None},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_is_refused(name: str) -> None:
    made = electrocardiogram(1)
    for keyword, value in HOSTILE[name].items():
        if value is None:
            delattr(made.WaveformSequence[0], keyword)
        else:
            setattr(made.WaveformSequence[0], keyword, value)

    with pytest.raises(Malformed):
        read(made)


def test_very_many_channels_are_refused() -> None:
    raw = np.zeros((1, 600), np.int16)
    with pytest.raises(Unsupported):
        read(waveform([group(raw, [channel("X")] * 600)]))


def test_an_instance_without_waveforms_has_none() -> None:
    made = electrocardiogram(1)
    del made.WaveformSequence

    with pytest.raises(NotFound):
        read(made)


# --- how it is drawn


def points(sheet: Sheet, name: str) -> NDArray[np.float64]:
    """The points of a curve: mm from the left, mm above its line."""
    curve = next(each for each in sheet.curves if each.name == name)
    found = np.concatenate(curve.runs) / SCALE
    return np.column_stack((found[:, 0] - waveform_strips.LEFT, curve.at - found[:, 1]))


def test_a_second_is_25_mm_and_a_millivolt_is_10_mm() -> None:
    sheet = sheet_of(electrocardiogram(2))

    first = points(sheet, "I")
    top = first[first[:, 1].argmax()]
    assert top == pytest.approx([0.4 * 25, 10], abs=0.06)
    assert points(sheet, "aVF")[:, 1].max() == pytest.approx(10.5, abs=0.02)
    assert first[:, 0].max() == pytest.approx(2 * 25, abs=0.06)


def test_speed_and_gain_change_the_scale() -> None:
    sheet = sheet_of(electrocardiogram(2), speed=50, gain=20)

    first = points(sheet, "I")
    assert first[first[:, 1].argmax()] == pytest.approx([0.4 * 50, 20], abs=0.06)
    assert sheet.curves[0].pulse == 20
    assert sheet.told[:2] == ("50 mm/s", "20 mm/mV")


def test_leads_follow_each_other_as_on_paper_and_do_not_meet() -> None:
    mixed = ("V6", "aVR", "I", "V1", "II", "aVF", "III", "aVL", "V2", "V5", "V4", "V3")

    sheet = sheet_of(waveform([beats(2, names=mixed)]))

    assert [each.name for each in sheet.curves] == list(LEADS)
    lines = [each.at for each in sheet.curves]
    assert all(each % 5 == 0 for each in lines)
    assert all(b - a >= 11 for a, b in itertools.pairwise(lines))
    assert sheet.height >= lines[-1] + 10


def test_a_window_in_time_begins_where_it_is_asked_for() -> None:
    sheet = sheet_of(electrocardiogram(20), start=12.2, seconds=3)

    tops = points(sheet, "I")
    assert sheet.start == pytest.approx(12.2)
    assert sheet.seconds == pytest.approx(3)
    assert tops[tops[:, 1].argmax(), 0] % 25 == pytest.approx(0.2 * 25, abs=0.06)


def test_dense_samples_are_drawn_as_what_they_span() -> None:
    count = 60 * 20_000
    raw = np.zeros((count, 1), np.int16)
    raw[count // 2 + 7] = 1500
    raw[count // 2 + 9] = -1500

    made = waveform([group(raw, [channel("I")], 20_000)])
    sheet = sheet_of(made, seconds=60)

    found = points(sheet, "I")
    assert found[:, 1].max() == pytest.approx(15, abs=0.02)
    assert found[:, 1].min() == pytest.approx(-15, abs=0.02)
    assert len(found) <= 2 * 60 * 25 * waveform_strips.FINEST
    assert len(svg_of(made, seconds=60)) < 1_000_000


def test_a_curve_breaks_off_where_there_is_nothing() -> None:
    raw = np.full((100, 1), 10, np.int16)
    raw[40:60] = -32768
    made = waveform([group(raw, [channel("I")], 100, WaveformPaddingValue=b"\x00\x80")])
    made.WaveformSequence[0]["WaveformPaddingValue"].VR = "OW"

    sheet = sheet_of(made)

    assert [len(run) for run in sheet.curves[0].runs] == [40, 40]


def test_pressures_have_a_round_scale_that_is_written_down() -> None:
    raw = np.linspace(62, 118, 200).astype(np.int16)[:, None]
    made = waveform([group(raw, [channel("Aorta", "mmHg")], 100)], sop_class=HEMODYNAMIC)

    sheet = sheet_of(made)

    (curve,) = sheet.curves
    assert curve.told == "10 mm = 20 mmHg, line at 60"
    assert curve.pulse == 0
    assert points(sheet, "Aorta")[-1, 1] == pytest.approx((118 - 60) / 2, abs=0.02)


@pytest.mark.parametrize("units", ["nV", "uV", "mV", "V"])
def test_all_voltages_have_one_scale(units: str) -> None:
    steps = {"nV": 1_000_000, "uV": 1000, "mV": 1, "V": 0.001}[units]
    raw = np.tile(np.array([0, 0, 0, 1], np.int16), 10)[:, None]
    made = waveform([group(raw, [channel("I", units, ChannelSensitivity=steps)], 100)])

    assert points(sheet_of(made), "I")[:, 1].max() == pytest.approx(10)


@pytest.mark.parametrize(
    "asked",
    [
        {"start": -1},
        {"start": float("nan")},
        {"start": 10},
        {"seconds": 0},
        {"seconds": 1e9},
        {"seconds": float("nan")},
        {"speed": 1},
        {"gain": 0},
        {"group": 0},
    ],
)
def test_what_cannot_be_drawn_is_refused(asked: dict[str, float]) -> None:
    with pytest.raises(Malformed):
        sheet_of(electrocardiogram(10), **asked)


def test_a_recording_that_there_is_not_is_not_found() -> None:
    with pytest.raises(NotFound):
        sheet_of(electrocardiogram(1), group=2)


def test_too_many_samples_at_once_are_refused() -> None:
    raw = np.zeros((40_000_000, 1), np.int8)
    recording, _ = read(waveform([group(raw, [channel("X")], 4_000_000)]))

    with pytest.raises(Unsupported, match="less time"):
        Strip(seconds=10).span(recording.groups[0])


# --- the files


def test_the_drawing_has_grid_pulses_names_and_scales() -> None:
    root = ElementTree.fromstring(svg_of(electrocardiogram(10)))

    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert texts[:12] == list(LEADS)
    assert "25 mm/s  ·  10 mm/mV  ·  500 Hz" in texts
    assert {"0 s", "5 s", "10 s"} <= set(texts)
    fine, thick = list(root.iter(f"{SVG}path"))[:2]
    width = float(root.attrib["width"].removesuffix("mm"))
    assert fine.attrib["d"].count("V") == width + 1
    assert thick.attrib["d"].count("V") == width // 5 + 1
    pulses = [each for each in root.iter(f"{SVG}path") if "V" in each.attrib["d"]][2:]
    assert len(pulses) == 12


def test_a_long_recording_tells_the_time_of_day_in_it() -> None:
    made = waveform([beats(3700, 100, ("I", "II"))], sop_class=AMBULATORY)

    texts = [each.text for each in ElementTree.fromstring(svg_of(made, start=3660)).iter()]

    assert "1:01:05" in texts


NAMES = st.text(min_size=1, max_size=30).filter(lambda each: each.isprintable() and each.strip())


@settings(max_examples=50, deadline=None)
@given(NAMES)
def test_no_name_breaks_out_of_the_drawing(name: str) -> None:
    made = waveform([group(np.zeros((10, 1), np.int16), [channel("X")], 10)])
    made.SpecificCharacterSet = "ISO_IR 192"
    source = made.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSourceSequence[0]
    source.CodeMeaning = f"<script>{name}"

    root = ElementTree.fromstring(svg_of(made))

    assert {each.tag.removeprefix(SVG) for each in root.iter()} == {
        *("svg", "title", "rect", "path", "g", "text")
    }


def test_a_small_picture_shows_paper_and_ink() -> None:
    recording, reader = read(electrocardiogram(2))
    of, strip = recording.groups[0], Strip(seconds=2)
    data = b"".join(map(bytes, frame_bytes.content(reader, lying(of, *strip.span(of)))))
    finish = Finish(media_type="image/png", viewport=Viewport(width=160, height=120))

    made = waveform_drawing.picture(memoryview(data), of, ECG, strip, finish)

    with Pillow.open(io.BytesIO(bytes(made))) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape == (120, 160, 3)
    assert (pixels.min(axis=2) > 220).mean() > 0.4
    assert (pixels.max(axis=2) < 60).sum() > 100


# --- anything at all

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda each: f"{each:.6g}"),
    st.sampled_from(["0", "-1", "1e30", "-1e30", "1e-30", "500"]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["SB", "UB", "MB", "AB", "SS", "US", "SL", "UL", "SV"]),
    st.integers(0, 3),
    st.binary(max_size=200).map(lambda each: each + b"\0" * (len(each) % 2)),
    st.lists(NUMBERS, min_size=6, max_size=6),
    st.integers(0, 40),
    st.sampled_from(["uV", "mmHg", ""]),
)
def test_whatever_is_recorded_is_drawn_or_refused(
    kind: str, count: int, data: bytes, numbers: list[str], samples: int, units: str
) -> None:
    each = channel(
        "I",
        units,
        ChannelSensitivity=numbers[0],
        ChannelSensitivityCorrectionFactor=numbers[1],
        ChannelBaseline=numbers[2],
        ChannelTimeSkew=numbers[3],
    )
    made = waveform(
        [
            item(
                NumberOfWaveformChannels=count,
                NumberOfWaveformSamples=samples,
                SamplingFrequency=numbers[4],
                ChannelDefinitionSequence=[each] * count,
                WaveformBitsAllocated=8
                * {"S": 1, "U": 1, "M": 1, "A": 1}[kind[0]]
                * {"B": 1, "S": 2, "L": 4, "V": 8}[kind[1]],
                WaveformSampleInterpretation=kind,
                WaveformData=data,
            )
        ]
    )
    made.WaveformSequence[0]["WaveformData"].VR = "OW"

    try:
        drawn = svg_of(made)
    except IsocenterError:
        return

    assert not re.search(rb"nan|inf|e[+-]?\d", b"".join(re.findall(rb' d="[^"]*"', drawn)))
    ElementTree.fromstring(drawn)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_recordings_are_drawn_or_refused(data: st.DataObject) -> None:
    whole = bytearray(written(electrocardiogram(1, 50)))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = memoryview(bytes(whole[: data.draw(st.integers(1, len(whole)))]))

    try:
        recording = describe(InMemory(damaged), lookup(ExplicitVRLittleEndian))
        of, strip = recording.groups[0], Strip()
        frame = lying(of, *strip.span(of))
        content = b"".join(map(bytes, frame_bytes.content(InMemory(damaged), frame)))
        waveform_drawing.svg(content, of, recording.sop_class, strip)
    except IsocenterError:
        pass
