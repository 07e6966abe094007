"""Where an attribute stands in a data set: tags and items in turn, from the outside in.

Written as ``7FE00010``, or ``54000100/0/54001010`` within an item; items are counted from 0, as in
the arrays of the JSON model.
"""

import re
from collections.abc import Sequence
from typing import Final

from isocenter.errors import Malformed

AttributePath = tuple[int, ...]
"""Tag, or tag, item, tag, and so on."""

LONGEST: Final = 129
"""Steps: as many as there are in a data set nested as deep as is read."""
_STEPS: Final = (re.compile("[0-9A-Fa-f]{8}"), re.compile("[0-9]{1,9}"))


def written(path: Sequence[int]) -> str:
    """Write a path."""
    return "/".join(f"{step}" if number % 2 else f"{step:08X}" for number, step in enumerate(path))


def parse(text: str) -> AttributePath:
    """Read what ``written`` writes. Raises: Malformed."""
    steps = text.split("/")
    if len(steps) > LONGEST or not len(steps) % 2:
        raise Malformed("a path to an attribute is a tag, or tag/item/tag and so on")
    for number, step in enumerate(steps):
        if not _STEPS[number % 2].fullmatch(step):
            expected = (
                "the number of an item" if number % 2 else "a tag of eight hexadecimal digits"
            )
            raise Malformed(f"step {number + 1} of the path to an attribute is not {expected}")
    return tuple(int(step, 10 if number % 2 else 16) for number, step in enumerate(steps))
