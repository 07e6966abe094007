"""Reading attributes out of the DICOM JSON model, with functional groups where they may stand.

Source: PS3.18 Annex F; PS3.3 C.7.6.16 (multi-frame functional groups).
"""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Dataset = Mapping[str, Mapping[str, Any]]

SHARED_GROUPS: Final = "52009229"
PER_FRAME_GROUPS: Final = "52009230"


def values(dataset: Dataset, tag: str) -> list[Any]:
    """Give the values of ``tag``; none, if it is absent or empty."""
    found = dataset.get(tag)
    return [] if found is None else list(found.get("Value", ()))


def number(dataset: Dataset, tag: str) -> float | None:
    """Give the first value as a number; None, if it is none."""
    return next(iter(numbers(dataset, tag)), None)


def numbers(dataset: Dataset, tag: str) -> list[float]:
    """Give those values that are finite numbers."""
    found = []
    for each in values(dataset, tag):
        try:
            value = float(each)
        except (TypeError, ValueError):
            continue
        if isfinite(value):
            found.append(value)
    return found


def wrapped(value: float, bits: int) -> float:
    """Give a number of so many bits, written unsigned, as the signed one that it stands for."""
    return value - (1 << bits) if value >= 1 << (bits - 1) else value


def integer(dataset: Dataset, tag: str, default: int) -> int:
    """Give the first value as a whole number."""
    value = number(dataset, tag)
    return default if value is None else int(value)


def text(dataset: Dataset, tag: str) -> str:
    """Give the first value as text."""
    found = values(dataset, tag)
    return found[0].strip() if found and isinstance(found[0], str) else ""


def items(dataset: Dataset, tag: str) -> list[Dataset]:
    """Give the items of a sequence."""
    return [each for each in values(dataset, tag) if isinstance(each, dict)]


def words(dataset: Dataset, tag: str, bits: int = 16) -> NDArray[np.generic]:
    """Give a lookup table's data, however it was written, as unsigned numbers."""
    attribute = dataset.get(tag, {})
    if "Value" in attribute:
        return np.array(attribute["Value"], np.int64).astype(np.uint16)
    data = b64decode(attribute.get("InlineBinary", ""))
    kind = "<u2" if bits > 8 else "u1"
    return np.frombuffer(data, kind, len(data) // np.dtype(kind).itemsize)


def binary(dataset: Dataset, tag: str) -> bytes:
    """Give the bytes of a binary value."""
    return b64decode(dataset.get(tag, {}).get("InlineBinary", ""))


def groups(dataset: Dataset, macro: str, frame: int) -> Iterator[Dataset]:
    """Where the attributes of a functional group macro stand for ``frame`` (from 1), nearest first.

    In the frame's own item, in the shared one, and in the data set itself.
    """
    per_frame = items(dataset, PER_FRAME_GROUPS)
    own = per_frame[frame - 1 : frame]
    for place in (*own, *items(dataset, SHARED_GROUPS)[:1]):
        yield from items(place, macro)[:1]
    yield dataset


def nearest(dataset: Dataset, macro: str, frame: int, tag: str) -> Dataset:
    """Give the first of ``groups`` that has ``tag``, or the data set."""
    return next((each for each in groups(dataset, macro, frame) if tag in each), dataset)
