"""Animated GIF, put together of frames that were written one by one (GIF89a, sections 18 to 27).

So frames are made by several workers at a time, and none but those under way are in memory.
"""

from struct import Struct
from typing import Final

from isocenter.errors import Malformed

TRAILER: Final = b";"

_SCREEN: Final = Struct("<6sHHBBB")
_DESCRIPTOR: Final = Struct("<cHHHHB")
_CONTROL: Final = Struct("<BBBBHBB")
_SIZE: Final = Struct("<HH")
_LOOP: Final = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
"""Again and again."""
_TABLE: Final = 0x80
_EXTENSION: Final = ord("!")
_IMAGE: Final = ord(",")
LONGEST_DELAY: Final = 0xFFFF


def block(still: bytes, delay: float) -> bytes:
    """Give a GIF file of one frame as a block of an animation, behind its width and height.

    ``delay``: seconds for which the frame is shown. Raises: Malformed.
    """
    _, width, height, flags, _, _ = _SCREEN.unpack_from(still)
    colours, at = b"", _SCREEN.size
    if flags & _TABLE:
        colours = still[at : at + (3 << (flags & 7) + 1)]
        at += len(colours)
    while still[at] == _EXTENSION:
        at = _behind(still, at + 2)
    if still[at] != _IMAGE:
        raise Malformed("a GIF file without an image")
    mark, left, top, columns, rows, local = _DESCRIPTOR.unpack_from(still, at)
    at += _DESCRIPTOR.size
    if not local & _TABLE:
        local |= _TABLE | flags & 7
    else:
        colours = b""
    end = _behind(still, at + (3 << (local & 7) + 1 if not colours else 0) + 1)
    hundredths = min(max(round(delay * 100), 1), LONGEST_DELAY)
    control = _CONTROL.pack(_EXTENSION, 0xF9, 4, 0, hundredths, 0, 0)
    descriptor = _DESCRIPTOR.pack(mark, left, top, columns, rows, local)
    return b"".join((_SIZE.pack(width, height), control, descriptor, colours, still[at:end]))


def opening(first: bytes) -> bytes:
    """Give what stands before the blocks, of which ``first`` is the first."""
    width, height = _SIZE.unpack_from(first)
    return _SCREEN.pack(b"GIF89a", width, height, 0x70, 0, 0) + _LOOP


def content(made: bytes) -> memoryview:
    """Give a block as it stands in the animation."""
    return memoryview(made)[_SIZE.size :]


def _behind(data: bytes, at: int) -> int:
    """Give where sub-blocks end."""
    while size := data[at]:
        at += size + 1
    return at + 1
