"""Samples of waveforms as numbers, in the units of their channels.

Source: PS3.3 C.10.9.1.4, C.10.9.1.5; ITU-T G.711 for those of MB and AB.
"""

from array import array
from functools import cache
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed
from isocenter.imaging.frame_bytes import Frame
from isocenter.imaging.waveforms import Multiplex

Values = NDArray[np.float64]

_KINDS: Final = MappingProxyType(
    {"SB": "i1", "UB": "u1", "MB": "u1", "AB": "u1", "SS": "<i2", "US": "<u2"}
    | {"SL": "<i4", "UL": "<u4", "SV": "<i8", "UV": "<u8"}
)


def lying(group: Multiplex, first: int, last: int) -> Frame:
    """Give where samples lie, the last exclusive, and how they come to be little endian."""
    start, end = (group.offset + each * group.step for each in (first, last))
    return Frame(array("Q", (start, end)), end - start, word=group.swapped, words_from=group.offset)


class Samples:
    """Some samples of each channel of a group."""

    def __init__(self, data: memoryview | bytes, group: Multiplex) -> None:
        """``data``: little endian. Raises: Malformed, if it is not of whole samples."""
        if not len(data) or len(data) % group.step:
            raise Malformed(f"{len(data)} bytes are not samples of {len(group.channels)} channels")
        kind = np.dtype(_KINDS[group.interpretation])
        self._group = group
        self._raw = np.frombuffer(data, kind).reshape(-1, len(group.channels))
        self._padding = np.frombuffer(group.padding, kind)[:1] if group.padding else None

    @property
    def count(self) -> int:
        """Of each channel."""
        return len(self._raw)

    def channel(self, number: int) -> Values:
        """Give the values of a channel, from 0, in its units; what is none, or padding, is NaN."""
        raw, channel = self._raw[:, number], self._group.channels[number]
        with np.errstate(all="ignore"):
            values = _linear(raw, self._group.interpretation) * channel.scale + channel.baseline
        values[~np.isfinite(values)] = np.nan
        if self._padding is not None:
            values[raw == self._padding[0]] = np.nan
        return values


def _linear(raw: "NDArray[np.generic]", interpretation: str) -> Values:
    if interpretation in _LAWS:
        return np.asarray(_LAWS[interpretation]()[raw], np.float64)
    return raw.astype(np.float64)


@cache
def _mu_law() -> Values:
    code = ~np.arange(256, dtype=np.uint8)
    size = (((code & 0x0F).astype(np.int64) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.float64)


@cache
def _a_law() -> Values:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code & 0x70) >> 4).astype(np.int64)
    size = ((code & 0x0F).astype(np.int64) << 4) + np.where(exponent, 0x108, 8)
    size <<= np.maximum(exponent - 1, 0)
    return np.where(code & 0x80, size, -size).astype(np.float64)


_LAWS: Final = MappingProxyType({"MB": _mu_law, "AB": _a_law})
