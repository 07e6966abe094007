"""Mask subtraction: frames without what stands still in them.

Source: PS3.3 C.7.6.10, C.11.13; PS3.4 N.2.1.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.attributes import Dataset, integer, items, numbers, text, values
from isocenter.imaging.luts import Values

MASKS: Final = "00286100"
OPERATION: Final = "00286101"
RANGES: Final = "00286102"
MASK_FRAMES: Final = "00286110"
MOST_FRAMES: Final = 32
"""Frames of which a picture is made."""
LARGEST_SHIFT: Final = 1_000.0


@dataclass(frozen=True, slots=True)
class Subtraction:
    """What is subtracted from a frame, and what that is averaged with."""

    contrast: tuple[int, ...]
    """Frames that are averaged, from 1; the shown one first."""
    masks: tuple[int, ...]
    """Frames whose average is subtracted."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Of the mask: rows down, columns to the right."""

    @property
    def frames(self) -> tuple[int, ...]:
        """All frames that are needed."""
        return self.contrast + self.masks

    def apply(self, planes: Sequence[Values]) -> Values:
        """Give the difference; ``planes``: of ``frames``, in order."""
        count = len(self.contrast)
        contrast = _average(planes[:count])
        difference: Values = contrast - _shifted(_average(planes[count:]), self.shift)
        return difference


def subtraction(state: Dataset, image: Dataset, frame: int, count: int) -> Subtraction | None:
    """Say what a state subtracts from a frame; None, if nothing.

    The state says that and how; which frames, as far as it does not, the image's own Mask module.
    Raises: Malformed; Unsupported.
    """
    for item in items(state, MASKS):
        operation = text(item, OPERATION)
        said = [item, *(each for each in items(image, MASKS) if text(each, OPERATION) == operation)]
        ranges = _first(said, RANGES)
        if operation == "NONE" or not _is_within(frame, ranges):
            continue
        masks = tuple(_masks(operation, said, frame, ranges))
        averaged = max(integer(item, "00286112", 1), 1)
        found = Subtraction(tuple(range(frame, frame + averaged)), masks, _shift(said))
        if len(found.frames) > MOST_FRAMES:
            raise Unsupported(f"a mask subtraction of more than {MOST_FRAMES} frames")
        if not masks or min(masks) < 1 or max(found.frames) > count:
            raise Malformed("the mask subtraction asks for frames that the image does not have")
        return found
    return None


def _first(said: Sequence[Dataset], tag: str) -> list[int]:
    place = next((each for each in said if values(each, tag)), {})
    return [int(each) for each in numbers(place, tag)]


def _is_within(frame: int, ranges: list[int]) -> bool:
    pairs = zip(ranges[::2], ranges[1::2], strict=False)
    return not ranges or any(first <= frame <= last for first, last in pairs)


def _masks(operation: str, said: Sequence[Dataset], frame: int, ranges: list[int]) -> Iterator[int]:
    offset = (_first(said, "00286120") or [1])[0]
    if operation == "AVG_SUB":
        yield from _first(said, MASK_FRAMES)[: MOST_FRAMES + 1]
    elif operation == "TID":
        yield frame - offset
    elif operation == "REV_TID" and ranges:
        first = next(
            start
            for start, end in zip(ranges[::2], ranges[1::2], strict=False)
            if start <= frame <= end
        )
        yield first - offset - (frame - first)
    else:
        raise Unsupported(f"the mask operation {operation[:16]!r} is not done")


def _shift(said: Sequence[Dataset]) -> tuple[float, float]:
    place = next((each for each in said if values(each, "00286114")), {})
    found = numbers(place, "00286114")
    if len(found) != 2:
        return (0.0, 0.0)
    if max(map(abs, found)) > LARGEST_SHIFT:
        raise Malformed("the mask is shifted out of the image")
    return (found[0], found[1])


def _average(planes: Sequence[Values]) -> Values:
    mean: Values = sum(planes[1:], planes[0]) / len(planes)
    return mean


def _shifted(plane: Values, shift: tuple[float, float]) -> Values:
    """Move a plane, between pixels by their neighbours; what comes in from outside is the edge."""
    for axis, amount in enumerate(shift):
        if not amount:
            continue
        at = np.clip(np.arange(plane.shape[axis]) - amount, 0, plane.shape[axis] - 1)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        share = (at - low)[:, None] if axis == 0 else (at - low)[None, :]
        plane = plane.take(low, axis) * (1 - share) + plane.take(high, axis) * share
    return plane
