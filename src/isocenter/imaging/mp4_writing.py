"""MP4 files for players: index first, H.264 in 4:2:0 where pictures are coded anew.

Source: ISO/IEC 14496-12, 14496-15; ITU-T H.264 E.2.1 for colours.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from isocenter.errors import Malformed, Unavailable, Unsupported
from isocenter.imaging import video
from isocenter.imaging.pictures import DEFAULT_QUALITY
from isocenter.imaging.video_stills import BT709
from isocenter.imaging.workers import alive

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

Bytes = NDArray[np.uint8]

ENCODER: Final = "libx264"
TICKS: Final = 90_000
"""Of a second: times of frames are told in these."""
_TIME_BASE: Final = Fraction(1, TICKS)
LONGEST_INTERVAL: Final = 3600.0
KEY_FRAME_EVERY: Final = 1.0
"""Seconds: to any frame it is not far from one of these, so that a player seeks quickly."""
MOVING_RATE: Final = 20e6
"""Bytes a second at which a disk moves the content behind its index, at the least."""
_LIMITED: Final = 1
_SRGB: Final = 13
"""Transfer characteristics of the pictures (IEC 61966-2-1)."""
_BLACK, _RANGE, _NEUTRAL = 16, 219, 128
_GREYS: Final = np.round(_BLACK + np.arange(256) * _RANGE / 255).astype(np.uint8)
"""Luminance of greys, in the limited range that players expect (ITU-R BT.709 3)."""


class File:
    """An MP4 file that is being made."""

    def __init__(self, path: str, limit: int) -> None:
        """``limit``: bytes that it may have."""
        import av

        self.container: OutputContainer = av.open(
            path, "w", format="mp4", options={"movflags": "+faststart"}
        )
        self._limit = limit
        self._size = 0

    def add(self, packet: "av.Packet[Any]") -> None:
        """Write a packet. Raises: Unsupported, if the file becomes too large."""
        self._size += packet.size
        if self._size > self._limit:
            raise Unsupported(f"as MP4 it takes more than {self._limit} bytes, which is too much")
        self.container.mux(packet)
        alive()

    def finish(self) -> None:
        """Write the index, and move it to the front."""
        alive(self._size / MOVING_RATE)
        self.container.close()


@contextmanager
def written(path: str, limit: int) -> Iterator[File]:
    """Make a file at ``path``. Raises: Malformed, Unsupported, Unavailable."""
    video.demand()
    import av

    try:
        file = File(path, limit)
        try:
            yield file
        except BaseException:
            file.container.close()
            raise
        file.finish()
    except av.FFmpegError as error:
        if error.errno in _OF_DISKS:
            raise Unavailable(f"storage: {error.strerror}") from error
        raise Malformed(f"no video can be made of it: {error.strerror}") from error


_OF_DISKS: Final = frozenset({5, 28, 122})
"""EIO, ENOSPC, EDQUOT."""


class Coder:
    """Codes pictures as H.264 into a file."""

    def __init__(
        self, file: File, columns: int, rows: int, interval: float, quality: int = DEFAULT_QUALITY
    ) -> None:
        """``interval``: seconds from frame to frame, on the whole.

        Raises: Unsupported.
        """
        if max(columns, rows) > video.LARGEST_SIDE:
            raise Unsupported(f"a video is of up to {video.LARGEST_SIDE} pixels a side")
        self._file = file
        self.columns, self.rows = columns + columns % 2, rows + rows % 2
        self._durations: dict[int, int] = {}
        rate = Fraction(1 / interval).limit_denominator(1001)
        stream = file.container.add_stream(ENCODER, rate=max(rate, Fraction(1, 100)))
        stream.time_base = _TIME_BASE
        stream.width, stream.height = self.columns, self.rows
        stream.pix_fmt = "yuv420p"
        codec: Any = stream.codec_context
        codec.time_base = _TIME_BASE
        codec.thread_count = 1
        codec.options = _options(interval, quality)
        self._stream, self._codec = stream, codec
        self.tell_colours(BT709, BT709, _SRGB)

    def tell_colours(self, matrix: int, primaries: int, transfer: int) -> None:
        """Say what the numbers in the stream mean, before the first picture."""
        self._codec.color_range = _LIMITED
        self._codec.colorspace = matrix
        self._codec.color_primaries = primaries
        self._codec.color_trc = transfer

    def tell_aspect(self, aspect: Fraction) -> None:
        """Say how wide a pixel is in relation to its height, before the first picture."""
        self._codec.sample_aspect_ratio = aspect

    def add_picture(self, picture: Bytes, at: int, duration: int) -> None:
        """Add ``(rows, columns)`` or ``(rows, columns, 3)``, shown from ``at`` on; in ticks."""
        import av

        down, across = self.rows - picture.shape[0], self.columns - picture.shape[1]
        if down or across:  # 4:2:0 has even sides: the last line stands twice
            picture = np.pad(
                picture, ((0, down), (0, across), *((0, 0),) * (picture.ndim - 2)), mode="edge"
            )
        if picture.ndim == 2:
            frame = av.VideoFrame.from_ndarray(_as_yuv(picture), format="yuv420p")
        else:
            colours = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = colours.reformat(format="yuv420p", dst_colorspace=BT709, dst_color_range=1)
        self.add_frame(frame, at, duration)

    def add_frame(self, frame: "av.VideoFrame", at: int, duration: int) -> None:
        """Add a frame in 4:2:0."""
        import av

        frame.pts, frame.time_base = at, _TIME_BASE
        frame.pict_type = av.video.frame.PictureType.NONE
        self._durations[at] = duration
        self._write(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is still under way."""
        self._write(self._stream.encode(None))

    def _write(self, packets: "list[av.Packet[Any]]") -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts or 0, packet.duration or 1)
            self._file.add(packet)


def _options(interval: float, quality: int) -> dict[str, str]:
    return {
        "preset": "veryfast",
        # From "as good as seen" at 100 to the worst there is.
        "crf": f"{51 - 0.36 * quality:.1f}",
        "bf": "0",
        "g": str(max(1, min(250, round(KEY_FRAME_EVERY / interval)))),
    }


def _as_yuv(grey: Bytes) -> Bytes:
    rows, columns = grey.shape
    planes = np.full((rows * 3 // 2, columns), _NEUTRAL, np.uint8)
    planes[:rows] = _GREYS[grey]
    return planes
