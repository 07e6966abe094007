"""Colour: photometric interpretations, palettes, profiles (PS3.3 C.7.6.3.1.2, C.7.9, C.11.15)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.attributes import Dataset, integer, numbers, words, wrapped
from isocenter.imaging.native import Pixels

Bytes = NDArray[np.uint8]

GREYS: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
PALETTE: Final = "PALETTE COLOR"

# PS3.3 C.7.6.3.1.2: full range after CCIR 601-2, and the studio range.
_FULL: Final = np.array(((1, 0, 1.402), (1, -0.344136, -0.714136), (1, 1.772, 0)))
_PARTIAL: Final = np.array(((1.1644, 0, 1.596), (1.1644, -0.3917, -0.8129), (1.1644, 2.0173, 0)))
_ZERO: Final = {False: np.array((0, 128, 128)), True: np.array((16, 128, 128))}

_SEGMENT_DISCRETE, _SEGMENT_LINEAR, _SEGMENT_INDIRECT = 0, 1, 2
_LARGEST_TABLE: Final = 1 << 16

PIXEL_REPRESENTATION: Final = "00280103"


def to_rgb(pixels: Pixels, photometric: str, bits_stored: int) -> Bytes:
    """Give ``(rows, columns, 3)`` in RGB of 8 bits.

    Raises: Unsupported, for a photometric interpretation that has no colours.
    """
    eight = to_eight_bits(pixels, bits_stored)
    if photometric in ("RGB", "YBR_RCT", "YBR_ICT", "XYB"):
        # A codec that undoes the transformation gives RGB whatever the name.
        return np.ascontiguousarray(eight)
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return _converted(eight, _FULL, is_partial=False)
    if photometric.startswith("YBR_PARTIAL"):
        return _converted(eight, _PARTIAL, is_partial=True)
    if photometric == "CMYK":
        black = 255 - eight[..., 3:].astype(np.uint16)
        light: Bytes = ((255 - eight[..., :3]) * black // 255).astype(np.uint8)
        return light
    raise Unsupported(f"photometric interpretation {photometric!r}")


def to_eight_bits(pixels: Pixels, bits_stored: int) -> Bytes:
    """Scale samples of ``bits_stored`` bits."""
    if bits_stored <= 8:
        scale = 255 // ((1 << bits_stored) - 1)
        return (pixels * scale).astype(np.uint8) if scale > 1 else pixels.astype(np.uint8)
    return (pixels >> (bits_stored - 8)).astype(np.uint8)


def _converted(pixels: Bytes, matrix: "NDArray[np.float64]", *, is_partial: bool) -> Bytes:
    offset = matrix @ _ZERO[is_partial]
    flat = pixels.reshape(-1, 3).astype(np.float32) @ matrix.T.astype(np.float32)
    flat -= offset.astype(np.float32)
    np.rint(flat, out=flat)
    np.clip(flat, 0, 255, out=flat)
    return flat.astype(np.uint8).reshape(pixels.shape)


def palette(dataset: Dataset) -> tuple[int, Bytes]:
    """Give the first value mapped and the colours, ``(entries, 3)``, of Palette Color tables.

    Raises: Malformed.
    """
    channels, first = [], 0
    is_signed = integer(dataset, PIXEL_REPRESENTATION, 0) == 1
    for number in (1, 2, 3):
        described = numbers(dataset, f"0028110{number}")
        if len(described) != 3:
            raise Malformed("a palette without its descriptors")
        count, bits = int(described[0]) & 0xFFFF or _LARGEST_TABLE, int(described[2])
        # Peer quirk: written unsigned beside signed pixels.
        first = int(wrapped(described[1], 16) if is_signed else described[1])
        entries = _channel(dataset, number, count, bits)
        if len(entries) < count:
            raise Malformed(f"a palette of {count} colours that has {len(entries)}")
        channels.append(entries[:count])
    if len({len(channel) for channel in channels}) != 1:
        raise Malformed("a palette whose tables differ in length")
    return first, _scaled(np.stack(channels, axis=1), bits)


def _scaled(entries: Pixels, bits: int) -> Bytes:
    # Peer quirk: 16 bits announced and bytes written, in all three of them.
    if bits > 8 and entries.size and int(entries.max()) > 255:
        return (entries >> 8).astype(np.uint8)
    return entries.astype(np.uint8)


def _channel(dataset: Dataset, number: int, count: int, bits: int) -> Pixels:
    if f"0028122{number}" in dataset:
        return _segmented(words(dataset, f"0028122{number}", bits).astype(np.int64), count)
    entries = words(dataset, f"0028120{number}", 16)
    if bits <= 8 or len(entries) * 2 == count:
        entries = entries.view("u1") if len(entries) < count else entries
    return entries


def _segmented(data: "NDArray[np.int64]", count: int) -> Pixels:
    """Unfold a segmented table (PS3.3 C.7.9.2). Raises: Malformed."""
    out: list[int] = []
    _unfold(data, 0, len(data), out, is_indirect=False)
    if len(out) > _LARGEST_TABLE:
        raise Malformed("a segmented palette of more than 65,536 colours")
    return np.array(out[:count], np.uint16)


def _unfold(
    data: "NDArray[np.int64]",
    at: int,
    end: int,
    out: list[int],
    *,
    is_indirect: bool,
    most: int = 0,
) -> None:
    done = 0
    while at + 2 <= end and (not most or done < most) and len(out) <= _LARGEST_TABLE:
        code, length = int(data[at]), int(data[at + 1])
        at += 2
        done += 1
        if code == _SEGMENT_DISCRETE:
            out += (int(each) for each in data[at : at + length])
            at += length
        elif code == _SEGMENT_LINEAR and out and at < end:
            start, stop = out[-1], int(data[at])
            out += (round(start + (stop - start) * step / length) for step in range(1, length + 1))
            at += 1
        elif code == _SEGMENT_INDIRECT and not is_indirect and at + 2 <= end:
            place = int(data[at]) | int(data[at + 1]) << 16
            at += 2
            _unfold(data, place // 2, end, out, is_indirect=True, most=length)
        else:
            raise Malformed(f"a segment of kind {code} in a palette")
