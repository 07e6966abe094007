"""Waveforms as their attributes describe them: multiplex groups, channels, what is said of them.

Source: PS3.3 C.10.9 (Waveform), C.10.10 (Waveform Annotation).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

from isocenter.errors import Malformed, NotFound, Unsupported
from isocenter.imaging import annotations
from isocenter.imaging.attributes import Dataset, binary, items, number, text, values

STORAGE: Final = "1.2.840.10008.5.1.4.1.1.9."
"""What the UIDs of the storage SOP classes of waveforms begin with."""
ECG: Final = f"{STORAGE}1."
OF_NERVES: Final = f"{STORAGE}7."
"""Electroencephalograms and the like: voltages a hundred times smaller than those of the heart."""
SAMPLE_BITS: Final = MappingProxyType(
    {"SB": 8, "UB": 8, "MB": 8, "AB": 8, "SS": 16, "US": 16, "SL": 32, "UL": 32, "SV": 64, "UV": 64}
)
"""Bits allocated of each sample interpretation (PS3.3 C.10.9.1.5)."""
MOST_CHANNELS: Final = 512
SLOWEST, FASTEST = 0.001, 10_000_000.0
"""Samples of a channel in a second."""
LONGEST_TEXT: Final = 64
"""Characters of a name that are shown."""

_LIMBS: Final = ("I", "II", "III", "aVR", "aVL", "aVF")
_CHEST: Final = tuple(f"V{number}" for number in range(1, 10))
ORDER: Final = (*_LIMBS, *_CHEST, *(f"{each}R" for each in _CHEST[1:]), "X", "Y", "Z")
"""Leads as they follow each other on a sheet."""
_LEADS: Final = MappingProxyType(
    {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"}
    | {3 + place: name for place, name in enumerate(_CHEST[:7])}
    | {10 + place: f"V{place + 2}R" for place in range(6)}
    | {16: "X", 17: "Y", 18: "Z", 66: "V8", 67: "V9", 68: "V8R", 69: "V9R"}
)
"""By the last number of their codes: ``2:1`` of MDC, ``5.6.3-9-1`` of SCPECG (PS3.16 CID 3001)."""
_BY_NAME: Final = MappingProxyType({name.casefold(): name for name in ORDER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One curve."""

    name: str
    units: str = ""
    """As UCUM writes them; nothing, where the samples are not calibrated."""
    scale: float = 1.0
    """Units of a step of its samples."""
    baseline: float = 0.0
    """Units that are added."""
    skew: float = 0.0
    """Seconds by which it is later than the group."""
    filters: tuple[float | None, float | None, float | None] = (None, None, None)
    """Hertz: what is lower, what is higher, what is in between is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplex:
    """Channels that were sampled together, and where their samples lie."""

    label: str
    is_original: bool
    channels: tuple[Channel, ...]
    samples: int
    """Of each channel."""
    frequency: float
    """Samples in a second."""
    interpretation: str
    padding: bytes
    """Of a sample that is none, little endian; empty where no such is told."""
    offset: int
    """Of the samples, in bytes from the start of the (inflated) data set."""
    swapped: int
    """Bytes that change places for the samples to be little endian; 1 for none."""

    @property
    def sample_size(self) -> int:
        """Bytes of a sample."""
        return SAMPLE_BITS[self.interpretation] // 8

    @property
    def step(self) -> int:
        """Bytes from one sample of a channel to the next."""
        return self.sample_size * len(self.channels)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.frequency


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something that was found or measured."""

    name: str
    value: str = ""
    units: str = ""
    at: float | None = None
    """Seconds from the start of the group, where it is of a moment."""
    group: int = 1
    """The recording that it is of, from 1."""


@dataclass(frozen=True)
class Recording:
    """All waveforms of an instance, and what is said of them."""

    sop_class: str
    groups: tuple[Multiplex, ...]
    annotations: tuple[Annotation, ...]
    dataset: Dataset
    """Who was recorded, and when."""

    @cached_property
    def memory(self) -> int:
        """Bytes that this takes, roughly."""
        channels = sum(len(each.channels) for each in self.groups)
        return 8_192 + 512 * channels + 512 * len(self.annotations)

    def group(self, wanted: int) -> Multiplex:
        """Give a multiplex group, from 1. Raises: NotFound."""
        if not 1 <= wanted <= len(self.groups):
            raise NotFound(f"there is no recording {wanted}: the instance has {len(self.groups)}")
        return self.groups[wanted - 1]

    def told(self, wanted: Collection[str]) -> tuple[str, ...]:
        """Give what is written at the top of a drawing: of the kinds of ``annotations``."""
        patient = annotations.of_patient(self.dataset) if annotations.PATIENT in wanted else ()
        if annotations.TECHNIQUE not in wanted:
            return patient
        return (*patient, *annotations.of_technique(self.dataset, 1, 1))


def is_waveform(sop_class: str) -> bool:
    """Whether instances of a SOP class hold waveforms."""
    return sop_class.startswith(STORAGE)


def clock(second: float) -> str:
    """Give a moment of a recording: seconds, or hours, minutes and seconds."""
    if second < 60:
        return f"{second:.4g} s"
    minutes, rest = divmod(int(second), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# --- reading


def multiplex(
    item: Dataset, data: tuple[int, int], *, is_little_endian: bool, vr: str
) -> Multiplex:
    """Read an item of the Waveform Sequence; ``data``: where its samples are, and how many bytes.

    Raises: Malformed, Unsupported.
    """
    interpretation = text(item, "54001006")
    if (bits := SAMPLE_BITS.get(interpretation)) is None:
        raise Malformed(f"{interpretation[:4]!r} is no way to write samples (5400,1006)")
    if (allocated := _count(item, "54001004")) != bits:
        raise Malformed(f"{allocated} bits (5400,1004) are not those of {interpretation}")
    channels = _channels(item)
    samples = _count(item, "003A0010")
    offset, length = data
    if not samples:
        raise Malformed("there are no samples (003A,0010)")
    if samples * len(channels) * bits // 8 > length:
        raise Malformed(f"{length} bytes are too few for {samples} samples of each channel")
    # By the letter words of two bytes are turned (PS3.5 6.2); larger samples are as pixels are.
    size = max(2 if vr == "OW" else 1, bits // 8)
    return Multiplex(
        label=text(item, "003A0020")[:LONGEST_TEXT],
        is_original=text(item, "003A0004") != "DERIVED",
        channels=channels,
        samples=samples,
        frequency=_frequency(item),
        interpretation=interpretation,
        padding=_padding(item, bits // 8),
        offset=offset,
        swapped=1 if is_little_endian else size,
    )


def _channels(item: Dataset) -> tuple[Channel, ...]:
    told = _count(item, "003A0005")
    if not told:
        raise Malformed("there are no channels (003A,0005)")
    if told > MOST_CHANNELS:
        raise Unsupported(f"{told} channels are not drawn: at most {MOST_CHANNELS} are")
    definitions = items(item, "003A0200")
    if len(definitions) != told:
        raise Malformed(f"{len(definitions)} of {told} channels are defined (003A,0200)")
    frequency = _frequency(item)
    return tuple(_channel(each, place, frequency) for place, each in enumerate(definitions, 1))


def _channel(definition: Dataset, place: int, frequency: float) -> Channel:
    sensitivity = number(definition, "003A0210")
    correction = number(definition, "003A0212")
    skew = number(definition, "003A0214")
    if skew is None:
        skew = (number(definition, "003A0215") or 0.0) / frequency
    units = next(iter(items(definition, "003A0211")), {})
    return Channel(
        name=_name(definition) or str(place),
        units=_units(units) if sensitivity is not None else "",
        scale=_or(sensitivity, 1.0) * _or(correction, 1.0),
        baseline=number(definition, "003A0213") or 0.0,
        skew=skew,
        filters=(
            number(definition, "003A0220"),
            number(definition, "003A0221"),
            number(definition, "003A0222"),
        ),
    )


def _name(definition: Dataset) -> str:
    source = next(iter(items(definition, "003A0208")), {})
    code, scheme = text(source, "00080100"), text(source, "00080102")
    if scheme in ("MDC", "SCPECG"):
        last = code.replace(":", "-").rpartition("-")[2]
        if last.isdecimal() and (lead := _LEADS.get(int(last[:4]))):
            return lead
    meaning = text(source, "00080104") or text(definition, "003A0203")
    plain = meaning.removeprefix("Lead ").split(" (")[0].strip()
    return _BY_NAME.get(plain.casefold(), plain)[:LONGEST_TEXT]


def _units(code: Dataset) -> str:
    return (text(code, "00080100") or text(code, "00080104"))[:16]


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _frequency(item: Dataset) -> float:
    found = number(item, "003A001A")
    if found is None or not SLOWEST <= found <= FASTEST:
        raise Malformed(f"no sampling frequency (003A,001A) of {SLOWEST:g} to {FASTEST:g} Hz")
    return found


def _padding(item: Dataset, size: int) -> bytes:
    found = binary(item, "5400100A")
    return found[:size] if len(found) >= size else b""


def _count(item: Dataset, tag: str) -> int:
    found = number(item, tag)
    if found is None or found < 0 or found != int(found):
        raise Malformed(f"({tag[:4]},{tag[4:]}) is no number of anything")
    return int(found)


# --- annotations


def annotation(item: Dataset, groups: Sequence[Multiplex]) -> Annotation | None:
    """Read an item of the Waveform Annotation Sequence; None, if there is nothing to be read."""
    name = _meaning(item, "0040A043")
    value = _value(item) or _meaning(item, "0040A168")
    told = text(item, "00700006")[: 4 * LONGEST_TEXT]
    if not name:
        name, told = told, ""
    if not name:
        return None
    units = _units(next(iter(items(item, "004008EA")), {}))
    group = int(number(item, "0040A0B0") or 1)
    if not 1 <= group <= len(groups):
        return Annotation(name, value or told, units if value else "")
    at = _moment(item, groups[group - 1])
    return Annotation(name, value or told, units if value else "", at, group)


def _value(item: Dataset) -> str:
    found = [each for each in values(item, "0040A30A") if isinstance(each, int | float)]
    return ", ".join(f"{each:.12g}" for each in found[:4])


def _meaning(item: Dataset, tag: str) -> str:
    return text(next(iter(items(item, tag)), {}), "00080104")[:LONGEST_TEXT]


def _moment(item: Dataset, group: Multiplex) -> float | None:
    """Where the first of its places is (PS3.3 C.10.10.1.2); samples are counted from 1."""
    found = number(item, "0040A138")
    if found is None:
        position = number(item, "0040A132")
        found = None if position is None else (position - 1) / group.frequency
    return found if found is not None and 0 <= found <= group.seconds else None
