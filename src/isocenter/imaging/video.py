"""A video as a data set keeps it: one stream, in fragments (PS3.5 8.2.5 to 8.2.12, A.4.5 and on).

It is read with PyAV, an extra of its own, and in worker processes only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.spans import READ_SIZE, SpanFile, Spans

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

MP4: Final = "video/mp4"
MISSING: Final = (
    "videos are read and made with PyAV, which is not installed here: "
    'pip install "isocenter[video]"'
)
FORMATS: Final = frozenset({"mov", "mpegts", "mpeg", "mpegvideo", "h264", "hevc"})
"""Containers and plain streams that are opened. Never others: there are some that name files."""
ELEMENTARY: Final = frozenset({"mpegvideo", "h264", "hevc"})
"""Streams without a container: frames have no times."""
CODECS: Final = frozenset({"mpeg1video", "mpeg2video", "h264", "hevc"})
SOUNDS: Final = frozenset({"aac", "mp3"})
"""What is kept of sound (PS3.5 8.2.12), where an MP4 file has a place for it."""
_HEVC: Final = ("1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108")
_OPENED: Final = {
    "codec_whitelist": ",".join(sorted(CODECS | SOUNDS)),
    "max_streams": "16",
    "enable_drefs": "0",
}
MACROBLOCK: Final = 16
"""Pixels by which a stream may have more, or a data set may round."""
LARGEST_SIDE: Final = 16_384
START: Final = 400
"""Bytes that show what a stream is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A video, apart from its stream."""

    stream: Spans
    syntax: str
    rows: int
    columns: int
    interval: float | None = None
    """Seconds from frame to frame, if the data set says so."""
    aspect: float = 1.0
    """Height of a pixel over its width, where the stream does not say it."""


def is_at_hand() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def demand() -> None:
    """Raises: Unsupported, where PyAV is not installed."""
    if not is_at_hand():
        raise Unsupported(MISSING)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that is open."""

    container: "InputContainer"
    pictures: "VideoStream"
    kind: str
    """One of ``FORMATS``."""
    video: Video

    @property
    def codec(self) -> str:
        """One of ``CODECS``."""
        return self.pictures.codec_context.name

    @property
    def is_timed(self) -> bool:
        """Frames have times."""
        return self.kind not in ELEMENTARY

    @property
    def interval(self) -> Fraction:
        """Seconds from frame to frame, on the whole."""
        if not self.is_timed and self.video.interval:
            return Fraction(self.video.interval).limit_denominator(100_000)
        rate = self.pictures.average_rate or self.pictures.guessed_rate
        if rate and Fraction(1, 10) <= rate <= 1000:
            return 1 / Fraction(rate)
        return Fraction(self.video.interval or 0.04).limit_denominator(100_000)

    @property
    def aspect(self) -> float:
        """Height of a pixel over its width."""
        told = self.pictures.sample_aspect_ratio
        if not told or not 0.1 <= told <= 10:
            return self.video.aspect
        return float(1 / told)

    def check(self, frame: "av.VideoFrame") -> "av.VideoFrame":
        """Raises: Malformed, for a frame of another size: a stream is of one."""
        if (frame.width, frame.height) != (self.pictures.width, self.pictures.height):
            raise Malformed("the frames of the stream are not all of one size")
        return frame


@contextmanager
def opened(video: Video) -> Iterator[Stream]:
    """Open the stream of ``video``. Raises: Malformed, Unsupported, Unavailable."""
    demand()
    import av

    with SpanFile(video.stream) as file:
        kind = kind_of(file.read(START), video.syntax)
        file.seek(0)
        try:
            container = av.open(
                file,
                "r",
                format=kind,
                options=_OPENED,
                buffer_size=READ_SIZE,
                **_tolerance(av.__version__),
            )
            with container:
                yield _checked(container, kind, video)
        except av.FFmpegError as error:
            raise Malformed(f"the video stream cannot be read: {error.strerror}") from error


def _tolerance(version: str) -> dict[str, Any]:
    """What has PyAV put up with names that are no text: from 19 on it does so itself."""
    return {"metadata_errors": "replace"} if int(version.partition(".")[0]) < 19 else {}


def kind_of(start: bytes, syntax: str) -> str:
    """Tell by its first bytes what a stream is: one of ``FORMATS``. Raises: Malformed."""
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"):
        return "mov"
    if any(start[at : at + 1] == start[at + size : at + size + 1] == b"G" for at, size in _PACKETS):
        return "mpegts"
    if start.startswith(b"\0\0\1\xba"):
        return "mpeg"
    if start.startswith(b"\0\0\1\xb3"):
        return "mpegvideo"
    if start.startswith((b"\0\0\1", b"\0\0\0\1")):
        return "hevc" if syntax in _HEVC else "h264"
    raise Malformed("the video stream is neither MP4 nor MPEG, nor one of H.264 or HEVC")


_PACKETS: Final = ((0, 188), (4, 192))
"""Where packets of a transport stream begin, and how long they are."""


def _checked(container: "InputContainer", kind: str, video: Video) -> Stream:
    if not container.streams.video:
        raise Malformed("there is no video in the stream")
    pictures = container.streams.video[0]
    codec: VideoCodecContext | None = pictures.codec_context  # None for what is not opened
    if codec is None or codec.name not in CODECS:
        raise Unsupported("the stream has none of the video codings of DICOM")
    check_size(codec.width, codec.height, video)
    codec.thread_count = 1
    # Of frames that grow in mid-stream, no memory is taken.
    sides = ((each + MACROBLOCK) * 2 for each in (codec.width, codec.height))
    codec.options = {"max_pixels": str(next(sides) * next(sides))}
    return Stream(container, pictures, kind, video)


def check_size(columns: int, rows: int, video: Video) -> None:
    """Raises: Malformed, where stream and data set are not of one size."""
    off = max(abs(columns - video.columns), abs(rows - video.rows))
    if off >= MACROBLOCK or not 0 < max(columns, rows) <= LARGEST_SIDE:
        raise Malformed(
            f"the stream has {columns} x {rows} pixels, the data set {video.columns} x {video.rows}"
        )
