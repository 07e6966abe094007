"""Videos for players: jobs of the workers.

H.264 and HEVC are put into an MP4 file as they are; MPEG-2, and what is to look otherwise, is coded
anew.
"""

import json
from array import array
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, cast

from isocenter.errors import Malformed
from isocenter.imaging import finishing, mp4, pictures, video
from isocenter.imaging.finishing import Finish
from isocenter.imaging.mp4_writing import TICKS, Coder, File, written
from isocenter.imaging.native import Buffer
from isocenter.imaging.spans import SpanFile
from isocenter.imaging.video import SOUNDS, Stream, Video, opened
from isocenter.imaging.video_stills import BT601, BT709, coloured, matrix_of
from isocenter.imaging.workers import alive

if TYPE_CHECKING:
    import av
    from av.audio.stream import AudioStream

_PIXELS: Final = {
    "h264": frozenset({"yuv420p", "yuvj420p"}),
    "hevc": frozenset({"yuv420p", "yuvj420p", "yuv420p10le"}),
}
"""What browsers decode."""
_LIMITED_RANGE: Final = 1
MOST_HELD: Final = 1_000
"""Packets of sound that wait for the first picture."""


def examined(_: memoryview, kept: Video) -> Buffer:
    """Say in JSON up to where a stream can be handed out as it is; null, if it cannot.

    Needs no library. Raises: Malformed, Unavailable.
    """
    with SpanFile(kept.stream) as file:
        if video.kind_of(file.read(video.START), kept.syntax) != "mov":
            return b"null"
        found = mp4.playable(file)
    if found is None:
        return b"null"
    video.check_size(found.columns, found.rows, kept)
    return json.dumps(found.size).encode()


def made(_: memoryview, kept: Video, finish: Finish | None, path: str, limit: int) -> Buffer:
    """Make an MP4 file at ``path``, of up to ``limit`` bytes; the answer is empty.

    ``finish``: how frames are to look, if not as they are. Raises: Malformed, Unsupported,
    Unavailable.
    """
    with opened(kept) as stream:
        is_copied = finish is None and _is_known(stream)
        is_timed = is_copied and _is_timed_throughout(stream)
    order = _order(kept) if is_copied and not is_timed else None
    with opened(kept) as stream, written(path, limit) as file:
        if is_timed:
            _copy(stream, file)
        elif order is not None:
            _copy_in_order(stream, file, order)
        else:
            _Coding(stream, file, finish).run()
    return b""


def _is_known(stream: Stream) -> bool:
    pixels = stream.pictures.codec_context.pix_fmt
    return pixels in _PIXELS.get(stream.codec, ())


def _is_timed_throughout(stream: Stream) -> bool:
    """Whether each packet says when it is decoded and shown; in an MP4 file it does."""
    if stream.kind == "mov" or not stream.is_timed:
        return stream.is_timed
    return all(each.pts is not None and each.dts is not None for each in _packets(stream))


def _packets(stream: Stream) -> "Iterator[av.Packet[Any]]":
    for each in stream.container.demux(stream.pictures):
        if each.size:
            alive()
            yield each


def _copy(stream: Stream, file: File) -> None:
    """Copy packets with their times, moved to begin at 0."""
    wanted: list[Any] = [stream.pictures, *_sounds(stream)]
    outs = {each.index: _added(file, each) for each in wanted}
    first = _start(stream)
    for packet in stream.container.demux(*wanted):
        if packet.dts is None or not packet.size:
            continue
        first = packet.dts * packet.time_base if first is None else first
        if not _move(packet, first):
            continue
        packet.stream = outs[packet.stream.index]
        file.add(packet)


def _start(stream: Stream) -> Fraction | None:
    """When the first picture is shown, in seconds, if that is told."""
    start, base = stream.pictures.start_time, stream.pictures.time_base
    return None if start is None or base is None else start * base


def _move(packet: "av.Packet[Any]", first: Fraction) -> bool:
    """Have times begin at ``first``; of sound from before, say that it is left out."""
    shift = round(first / packet.time_base)
    if packet.dts is None or (packet.dts < shift and packet.stream.type == "audio"):
        return False
    packet.pts = (packet.dts if packet.pts is None else packet.pts) - shift
    packet.dts -= shift
    return True


def _added(file: File, stream: Any) -> Any:
    out = file.container.add_stream_from_template(stream)
    if stream.type == "video" and stream.codec_context.name == "hevc":
        out.codec_context.codec_tag = "hvc1"  # Safari plays no hev1
    return out


def _sounds(stream: Stream) -> "list[AudioStream]":
    """The sound, if MP4 files have a place for it."""
    found = stream.container.streams.audio[:1]
    return [each for each in found if each.codec_context and each.codec_context.name in SOUNDS]


def _order(kept: Video) -> "array[int] | None":
    """Give the packets of a stream without times in the order in which they are shown.

    Only decoding shows that. None, if not each packet is a frame.
    """
    shown = array("q")
    count = 0
    with opened(kept) as stream:
        codec = stream.pictures.codec_context
        for packet in _packets(stream):
            packet.pts = packet.dts = count
            count += 1
            shown.extend(each.pts for each in codec.decode(packet) if each.pts is not None)
        shown.extend(each.pts for each in codec.decode(None) if each.pts is not None)
    return shown if sorted(shown) == list(range(count)) else None


def _copy_in_order(stream: Stream, file: File, order: "array[int]") -> None:
    """Copy packets with times that follow from their order and the rate of frames."""
    place = array("q", bytes(8 * len(order)))
    for number, packet_number in enumerate(order):
        place[packet_number] = number
    delay = max((number - shown for number, shown in enumerate(place)), default=0)
    step = stream.interval * TICKS
    out = _added(file, stream.pictures)
    for number, packet in enumerate(_packets(stream)):
        packet.time_base = Fraction(1, TICKS)
        packet.dts = round((number - delay) * step)
        packet.pts = round(place[number] * step)
        packet.duration = max(1, round(step))
        packet.stream = out
        file.add(packet)


class _Coding:
    """Coding a stream anew."""

    def __init__(self, stream: Stream, file: File, finish: Finish | None) -> None:
        self._stream = stream
        self._file = file
        self._finish = finish
        self._coder: Coder | None = None
        self._step = max(1, round(stream.interval * TICKS))
        self._at: int | None = None  # of the frame before, in ticks
        self._first = _start(stream)
        self._graph: Any = None
        self._outs: dict[int, Any] = {}
        self._held: list[av.Packet[Any]] = []

    def run(self) -> None:
        """Raises: Malformed, if there are no frames."""
        sounds = _sounds(self._stream)
        pictures_at = self._stream.pictures.index
        for packet in self._stream.container.demux(self._stream.pictures, *sounds):
            if packet.stream.index != pictures_at:
                self._add_sound(packet)
                continue
            for frame in cast("list[av.VideoFrame]", packet.decode()):
                self._take(self._stream.check(frame))
        if self._graph is not None:
            self._graph.vpush(None)
            self._pull()
        if self._coder is None:
            raise Malformed("no frame of the video can be decoded")
        self._coder.finish()

    def _take(self, frame: "av.VideoFrame") -> None:
        """Give a frame its time, and have it woven if it consists of two fields."""
        told = None
        if frame.pts is not None and frame.time_base:
            time = frame.pts * frame.time_base
            self._first = time if self._first is None else self._first
            told = round((time - self._first) * TICKS)
        if self._at is None:
            self._at = max(0, told or 0)
        else:
            self._at = max(self._at + 1, told) if told is not None else self._at + self._step
        frame.pts, frame.time_base = self._at, Fraction(1, TICKS)
        if self._graph is None and not frame.interlaced_frame:
            self._add(frame)
            return
        if self._graph is None:
            self._graph = _weaving(frame)
        self._graph.vpush(frame)
        self._pull()

    def _pull(self) -> None:
        import av

        while True:
            try:
                frame = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            frame.pts = round(frame.pts * frame.time_base * TICKS)
            self._add(frame)

    def _add(self, frame: "av.VideoFrame") -> None:
        at = frame.pts or 0
        if self._finish is None:
            coder = self._coder or self._begin(*_even(frame), frame)
            plain = frame.reformat(*_even(frame), format="yuv420p", dst_color_range=_LIMITED_RANGE)
            coder.add_frame(plain, at, self._step)
            return
        picture = pictures.scaled(coloured(frame), self._finish.viewport, self._stream.aspect)
        picture = finishing.annotated(picture, self._finish)
        coder = self._coder or self._begin(picture.shape[1], picture.shape[0], None)
        coder.add_picture(picture, at, self._step)

    def _begin(self, columns: int, rows: int, frame: "av.VideoFrame | None") -> Coder:
        quality = self._finish.quality if self._finish else pictures.DEFAULT_QUALITY
        self._coder = Coder(self._file, columns, rows, self._step / TICKS, quality)
        if frame is not None:
            matrix = matrix_of(frame)
            same = {BT709: (1, 1), BT601: (5, 6)}.get(matrix, (2, 2))
            self._coder.tell_colours(matrix, *same)
            self._coder.tell_aspect(Fraction(1 / self._stream.aspect).limit_denominator(255))
        for sound in _sounds(self._stream):
            self._outs[sound.index] = _added(self._file, sound)
        for packet in self._held:
            self._write_sound(packet)
        self._held.clear()
        return self._coder

    def _add_sound(self, packet: "av.Packet[Any]") -> None:
        """Sound goes as it is; what comes before the first picture waits for it."""
        if not packet.size:
            return
        if self._coder is not None:
            self._write_sound(packet)
        elif len(self._held) < MOST_HELD:
            self._held.append(packet)

    def _write_sound(self, packet: "av.Packet[Any]") -> None:
        if _move(packet, self._first or Fraction(0)):
            packet.stream = self._outs[packet.stream.index]
            self._file.add(packet)


def _even(frame: "av.VideoFrame") -> tuple[int, int]:
    return frame.width + frame.width % 2, frame.height + frame.height % 2


def _weaving(frame: "av.VideoFrame") -> Any:
    """A filter that makes pictures of frames whose lines are of two moments."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, TICKS)
    )
    weave = graph.add("yadif", "mode=send_frame:deint=interlaced")
    graph.link_nodes(source, weave, graph.add("buffersink")).configure()
    return graph
