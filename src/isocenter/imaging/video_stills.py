"""Single frames of a video: jobs of the workers."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed, NotFound
from isocenter.imaging import finishing, pictures
from isocenter.imaging.finishing import Finish
from isocenter.imaging.native import Buffer
from isocenter.imaging.video import Stream, Video, opened

if TYPE_CHECKING:
    import av

Bytes = NDArray[np.uint8]

NEAR: Final = 250
"""Frames that are decoded at most for a picture that stands for a stream without times."""
BACKWARDS: Final = (0.0, 5.0, 30.0)
"""Seconds before a frame that it is sought from, in turn: where the index is coarse, it is missed.
"""
FIRST_PACKETS: Final = 64
"""Among these is the first frame that is shown."""
HIGH_DEFINITION: Final = 720
"""Rows from which on colours that are not told are those of BT.709, as players take it."""
BT709, BT601, BT2020 = 1, 5, 9
_MATRICES: Final = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}
"""Of ITU-T H.273 table 4, which streams use, those that the converter has a name for."""


def still(
    _: memoryview, video: Video, number: int, finish: Finish, is_poster: bool = False
) -> Buffer:
    """Give a frame, from 1, as a picture in a file.

    ``is_poster``: one nearer to the beginning will do. Raises: NotFound, where the stream has not
    so many; Malformed, Unsupported, Unavailable.
    """
    with opened(video) as stream:
        aspect = stream.aspect
        if is_poster and not stream.is_timed:
            number = min(number, NEAR)
    frame = frame_of(video, number)
    return finishing.finished(pictures.scaled(coloured(frame), finish.viewport, aspect), finish)


def coloured(frame: "av.VideoFrame") -> Bytes:
    """Give a decoded frame as ``(rows, columns, 3)``, in RGB."""
    rgb: Any = frame.to_ndarray(format="rgb24", src_colorspace=matrix_of(frame))
    found: Bytes = rgb
    return found


def matrix_of(frame: "av.VideoFrame") -> int:
    """By what colours are told; what players take them for, where the stream does not say."""
    by_size = BT709 if frame.height >= HIGH_DEFINITION else BT601
    return _MATRICES.get(int(frame.colorspace), by_size)


def frame_of(video: Video, number: int) -> "av.VideoFrame":
    """Decode a frame, from 1, in the order they are shown. Raises: NotFound, Malformed."""
    if number > 1 and (time := _time_of(video, number)) is not None:
        with opened(video) as stream:
            if (found := _sought(stream, time)) is not None:
                return found
    with opened(video) as stream:
        return _counted(stream, number)


def _counted(stream: Stream, number: int) -> "av.VideoFrame":
    count = 0
    for count, found in enumerate(frames(stream), 1):
        if count == number:
            return found
    if not count:
        raise Malformed("no frame of the video can be decoded")
    raise NotFound(f"there is no frame {number}: the video has {count}")


def frames(stream: Stream) -> Iterator["av.VideoFrame"]:
    """Decode from where the stream is. Raises: Malformed."""
    for frame in stream.container.decode(stream.pictures):
        yield stream.check(frame)


def _time_of(video: Video, number: int) -> int | None:
    """When a frame is shown, in the stream's time base; None, if that is not told."""
    with opened(video) as stream:
        if not stream.is_timed:
            return None
        times: Sequence[int] = _even_times(stream, number) or ()
    if not times:
        with opened(video) as stream:
            times = sorted(_packet_times(stream))
    return times[number - 1] if number <= len(times) else None


def _even_times(stream: Stream, number: int) -> range | None:
    """When frames are shown, if an index shows that they come evenly."""
    entries = stream.pictures.index_entries
    if stream.kind != "mov" or len(entries) < number:
        return None  # fragments, perhaps, that are not in the index
    at = [each.timestamp for each in entries]
    steps = {after - before for before, after in pairwise(at)}
    if len(steps) != 1 or min(steps) <= 0:
        return None
    first = min(_packet_times(stream, FIRST_PACKETS), default=None)
    return None if first is None else range(first, first + min(steps) * len(at), min(steps))


def _packet_times(stream: Stream, most: int | None = None) -> list[int]:
    """The times of packets; none, if one does not say it. Reads the stream."""
    times: list[int] = []
    for packet in stream.container.demux(stream.pictures):
        if packet.size == 0:
            break
        if packet.pts is None:
            return []
        times.append(packet.pts)
        if len(times) == most:
            break
    return times


def _sought(stream: Stream, time: int) -> "av.VideoFrame | None":
    """Decode the frame that is shown at ``time``, from not far before."""
    base = stream.pictures.time_base
    for back in BACKWARDS:
        start = time - round(back / base) if base else time
        stream.container.seek(start, stream=stream.pictures, backward=True)
        for frame in frames(stream):
            if frame.pts is None or frame.pts > time:
                break
            if frame.pts == time:
                return frame
    return None
