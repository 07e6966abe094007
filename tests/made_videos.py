"""Videos that are made here with PyAV, and read back with it: each frame is a grey of its own."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from made_instances import Kept, encoded, image

MPEG2 = "1.2.840.10008.1.2.4.100"
H264 = "1.2.840.10008.1.2.4.102"
H264_FRAGMENTABLE = "1.2.840.10008.1.2.4.102.1"
HEVC = "1.2.840.10008.1.2.4.107"
ENDOSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
CODERS = {MPEG2: "mpeg2video", H264: "libx264", H264_FRAGMENTABLE: "libx264", HEVC: "libx265"}
COLUMNS, ROWS = 96, 64
RATE = 25


def grey_of(number: int) -> int:
    """What frame ``number``, from 1, looks like."""
    return 20 + 7 * (number - 1)


def picture_of(number: int, columns: int = COLUMNS, rows: int = ROWS) -> NDArray[np.uint8]:
    """A frame: a flat grey, but for a dark column at the left."""
    made = np.full((rows, columns, 3), grey_of(number), np.uint8)
    made[:, : columns // 8] = 16
    return made


def stream(
    syntax: str = H264,
    container: str = "mp4",
    frames: int = 30,
    *,
    columns: int = COLUMNS,
    rows: int = ROWS,
    is_in_order: bool = False,
    has_sound: bool = False,
    aspect: Fraction | None = None,
    **options: str,
) -> bytes:
    """A video as bytes; ``is_in_order``: an MP4 file whose index comes first."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        pictures: Any = file.add_stream(CODERS[syntax], rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = columns, rows, "yuv420p"
        pictures.codec_context.options = {**_SETTINGS[CODERS[syntax]], **options}
        pictures.codec_context.gop_size = 10
        if aspect:
            pictures.codec_context.sample_aspect_ratio = aspect
        sound: Any = file.add_stream("aac", rate=48_000) if has_sound else None
        for number in range(1, frames + 1):
            frame = av.VideoFrame.from_ndarray(picture_of(number, columns, rows), format="rgb24")
            frame.pts = number - 1
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode(None))
        if sound:
            _add_sound(file, sound, frames / RATE)
    return _ordered(out, syntax) if is_in_order else out.getvalue()


def _ordered(made: io.BytesIO, syntax: str) -> bytes:
    """The same with its index first, in one go: that takes a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ordered.mp4"
        made.seek(0)
        with (
            av.open(made) as source,
            av.open(path, "w", options={"movflags": "+faststart"}) as file,
        ):
            places: dict[int, Any] = {
                each.index: file.add_stream_from_template(each) for each in source.streams
            }
            if syntax == HEVC:
                places[0].codec_context.codec_tag = "hvc1"
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = places[packet.stream.index]
                    file.mux(packet)
        return path.read_bytes()


_SETTINGS: dict[str, dict[str, str]] = {
    "libx264": {"bf": "2", "crf": "12"},
    "libx265": {"x265-params": "log-level=none:bframes=2:crf=12:pools=none"},
    "mpeg2video": {"bf": "2", "q": "2", "qmin": "1", "qmax": "3"},
}


def _add_sound(file: Any, sound: Any, seconds: float) -> None:
    for at in range(0, int(seconds * 48_000), 1024):
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        silence.sample_rate, silence.pts = 48_000, at
        file.mux(sound.encode(silence))
    file.mux(sound.encode(None))


def video(data: bytes, frames: int = 30, fragments: int = 1, **attributes: Any) -> Dataset:
    """A data set of a video."""
    size = -(-len(data) // fragments)
    size += size % 2
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    pixels = encapsulate([b"".join(pieces)], has_bot=False)
    if fragments > 1:
        pixels = encapsulate(pieces, has_bot=False)
    given: dict[str, Any] = {
        "SOPClassUID": ENDOSCOPY,
        "Modality": "ES",
        "Rows": ROWS,
        "Columns": COLUMNS,
        "NumberOfFrames": frames,
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "YBR_PARTIAL_420",
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "FrameTime": 1000 / RATE,
        "PixelData": pixels,
        **attributes,
    }
    made = image(given.pop("SOPInstanceUID", "1.2.3.4"), **given)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return made


async def store(kept: Kept, dataset: Dataset, syntax: str = H264) -> None:
    """Put a video into an archive."""
    reception = kept.begin(
        encoded(dataset),
        syntax=syntax,
        sop_class=str(dataset.SOPClassUID),
        sop_instance=str(dataset.SOPInstanceUID),
    )
    await reception.finish()


@dataclass(frozen=True)
class Read:
    """What PyAV reads in a file."""

    codec: str
    tag: str
    times: Sequence[float]
    """In seconds, of each frame that is shown."""
    duration: float
    greys: Sequence[float]
    """Of each frame, as a player would show it."""
    pictures: Sequence[NDArray[np.uint8]]
    sounds: int
    colours: tuple[int, int]
    """Colour space and range, by ITU-T H.273."""
    aspect: Fraction | None


def read(data: bytes) -> Read:
    """Read an MP4 file."""
    with av.open(io.BytesIO(data), format="mp4") as file:
        pictures = file.streams.video[0]
        codec: Any = pictures.codec_context
        frames = list(file.decode(pictures))
        shown: list[Any] = [each.to_ndarray(format="rgb24") for each in frames]
        return Read(
            codec=codec.name,
            tag=codec.codec_tag,
            times=[float(each.time) for each in frames],
            duration=(file.duration or 0) / av.time_base,
            greys=[float(each[:, each.shape[1] // 4 :].mean()) for each in shown],
            pictures=shown,
            sounds=len(file.streams.audio),
            colours=(int(frames[0].colorspace), int(frames[0].color_range)),
            aspect=pictures.sample_aspect_ratio,
        )


def is_in_order(data: bytes) -> bool:
    """Whether the index of an MP4 file comes before its content."""
    return 0 < data.find(b"moov") < data.find(b"mdat")
