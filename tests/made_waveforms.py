"""Recordings made here: curves whose values are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from made_instances import image
from slides import item

ECG = "1.2.840.10008.5.1.4.1.1.9.1.1"
GENERAL_ECG = "1.2.840.10008.5.1.4.1.1.9.1.2"
AMBULATORY = "1.2.840.10008.5.1.4.1.1.9.1.3"
HEMODYNAMIC = "1.2.840.10008.5.1.4.1.1.9.2.1"
LEADS = {
    "I": "2:1",
    "II": "2:2",
    "III": "2:61",
    "aVR": "2:62",
    "aVL": "2:63",
    "aVF": "2:64",
    "V1": "2:3",
    "V2": "2:4",
    "V3": "2:5",
    "V4": "2:6",
    "V5": "2:7",
    "V6": "2:8",
}
"""Codes of MDC (PS3.16 CID 3001)."""
KINDS = {"int8": "SB", "uint8": "UB", "int16": "SS", "uint16": "US", "int32": "SL", "uint32": "UL"}
WIDTHS = {"SB": 8, "UB": 8, "MB": 8, "AB": 8, "SS": 16, "US": 16, "SL": 32, "UL": 32}


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def channel(name: str, units: str = "uV", **attributes: Any) -> Dataset:
    """The definition of a channel; a lead has its code."""
    scheme = "MDC" if name in LEADS else "99TEST"
    given: dict[str, Any] = {
        "ChannelSourceSequence": [code(LEADS.get(name, "X"), scheme, f"Lead {name}")],
        "ChannelSensitivity": 1,
        "ChannelSensitivityUnitsSequence": [code(units, "UCUM", units)],
        "ChannelSensitivityCorrectionFactor": 1,
        "ChannelBaseline": 0,
        "ChannelSampleSkew": 0,
        "WaveformBitsStored": 16,
        **attributes,
    }
    return item(**{name: value for name, value in given.items() if value is not None})


def group(
    samples: NDArray[Any],
    channels: list[Dataset],
    frequency: float = 500,
    kind: str = "",
    **attributes: Any,
) -> Dataset:
    """A multiplex group; ``samples``: (samples, channels)."""
    kind = kind or KINDS[str(samples.dtype)]
    given: dict[str, Any] = {
        "WaveformOriginality": "ORIGINAL",
        "NumberOfWaveformChannels": samples.shape[1],
        "NumberOfWaveformSamples": samples.shape[0],
        "SamplingFrequency": frequency,
        "ChannelDefinitionSequence": channels,
        "WaveformBitsAllocated": WIDTHS[kind],
        "WaveformSampleInterpretation": kind,
        "WaveformData": samples.tobytes(),
        **attributes,
    }
    made = item(**{name: value for name, value in given.items() if value is not None})
    if "WaveformData" in made:
        made["WaveformData"].VR = "OB" if WIDTHS[kind] == 8 else "OW"
    return made


def waveform(
    groups: list[Dataset],
    *,
    sop_class: str = ECG,
    annotations: list[Dataset] | None = None,
    **attributes: Any,
) -> Dataset:
    """An instance with recordings."""
    given: dict[str, Any] = {
        "SOPClassUID": sop_class,
        "Modality": "ECG",
        "Rows": None,
        "Columns": None,
        "WaveformSequence": groups,
        "WaveformAnnotationSequence": annotations,
    }
    made = image(**{**given, **attributes})
    del made[0x7FE00010]
    return made


def beats(seconds: float = 10, frequency: int = 500, names: tuple[str, ...] = ()) -> Dataset:
    """Leads in microvolts: each second a peak of 1 mV and so many hundredths as the lead's place.

    In each lead the peak is at 0.4 s.
    """
    names = names or tuple(LEADS)
    count = round(seconds * frequency)
    at = (np.arange(count) % frequency) / frequency
    curve = np.clip(1 - abs(at - 0.4) / 0.02, 0, None)
    heights = 1000 + 10 * np.arange(len(names))
    samples = np.rint(curve[:, None] * heights).astype(np.int16)
    return group(samples, [channel(name) for name in names], frequency)


def measured(name: str, value: float, units: str) -> Dataset:
    """An annotation with a number."""
    return item(
        ConceptNameCodeSequence=[code("X", "99TEST", name)],
        NumericValue=value,
        MeasurementUnitsCodeSequence=[code(units, "UCUM", units)],
        ReferencedWaveformChannels=[1, 0],
    )


def electrocardiogram(seconds: float = 10, frequency: int = 500, **attributes: Any) -> Dataset:
    """Twelve leads, with what was measured and found."""
    annotations = [
        item(UnformattedTextValue="Sinus rhythm", ReferencedWaveformChannels=[1, 0]),
        measured("Heart rate", 60, "/min"),
        measured("QT Interval", 368, "ms"),
        item(
            ConceptNameCodeSequence=[code("X", "99TEST", "R wave")],
            ReferencedWaveformChannels=[1, 2],
            TemporalRangeType="POINT",
            ReferencedSamplePositions=201,
        ),
    ]
    return waveform([beats(seconds, frequency)], annotations=annotations, **attributes)
