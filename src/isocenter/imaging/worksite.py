"""What a codec finds where it works: processors that are free, and room for what it makes.

In a worker, room is memory shared with the server: what is made there need not be copied. Elsewhere
there is one thread and no room.
"""

from math import prod
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np

ALIGNED: Final = 64
"""Bytes that arrays begin at a multiple of."""


class _Site:
    """Of this process; a worker's is prepared anew for each job."""

    threads = 1
    room: memoryview | None = None
    has_given = False


def prepare(threads: int, room: memoryview | None) -> None:
    """Say how many threads there may be, and where there is room for arrays."""
    _Site.threads = max(1, threads)
    _Site.room = room
    _Site.has_given = False


def threads() -> int:
    """Give how many threads there may be, the caller's among them."""
    return _Site.threads


def array(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> "np.ndarray[Any, Any] | None":
    """Give room for an array, each time another; None where there is none."""
    size = prod(shape) * dtype.itemsize
    room = _Site.room
    if room is None or len(room) < size:
        return None
    import numpy as np

    _Site.has_given = True
    _Site.room = room[-(-size // ALIGNED) * ALIGNED :]
    return np.frombuffer(room, dtype, prod(shape)).reshape(shape)


def offset_in(whole: memoryview, part: memoryview) -> int | None:
    """Give where ``part`` begins in ``whole``, if it is of an array from here; else None."""
    if not (len(part) and _Site.has_given):
        return None
    offset = _address(part) - _address(whole)
    return offset if 0 <= offset <= len(whole) - len(part) else None


def _address(view: memoryview) -> int:
    import numpy as np

    return int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])
