"""How pictures are to look, and the images that they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from isocenter.dicom.syntax import EXPLICIT_VR_LITTLE_ENDIAN, TransferSyntax
from isocenter.errors import NotFound, Unsupported
from isocenter.imaging import annotations
from isocenter.imaging.attributes import binary, integer, items, nearest, numbers, text
from isocenter.imaging.finishing import NO_PROFILE, OWN_PROFILE, Finish
from isocenter.imaging.frames import ENCAPSULATED_UNCOMPRESSED
from isocenter.imaging.image import Image
from isocenter.imaging.luts import Window
from isocenter.imaging.pictures import DEFAULT_QUALITY, WITHOUT_PROFILE, Viewport
from isocenter.imaging.presentations import Presented, presented
from isocenter.imaging.recipes import Recipe, recipe
from isocenter.imaging.spans import Spans
from isocenter.imaging.states import State
from isocenter.imaging.video import Video

GIF: Final = "image/gif"
SOP_INSTANCE: Final = "00080018"
TOTAL_COLUMNS: Final = "00480006"
UNSAID_PROFILE: Final = ""
"""Nobody asked: there is none, but for that of a presentation state (PS3.18 8.3.5.1.6)."""
FRAME_TIME: Final = 0.1
"""Seconds for which a frame is shown where nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How pictures are to look, and what they are written as."""

    media_type: str = "image/jpeg"
    quality: int = DEFAULT_QUALITY
    viewport: Viewport | None = None
    window: Window | None = None
    annotations: frozenset[str] = frozenset()
    profile: str = UNSAID_PROFILE
    state: State | None = None
    """The presentation state that decides on all but size and file."""
    has_overlays: bool = True
    """Whether overlays, graphics and text are shown, in which names may stand."""
    is_block: bool = False
    """As a frame of an animation, which is a GIF."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An image of which pictures can be made."""

    image: Image
    count: int
    """Frames."""
    video: Video | None = None
    """Their stream, if they are one."""

    @property
    def memory(self) -> int:
        """Bytes that what is known of it takes, roughly."""
        dataset = self.image.dataset
        inline = sum(len(each.get("InlineBinary", "")) for each in dataset.values())
        spans = 8 * len(self.video.stream.bounds) if self.video else 0
        return 16_384 + spans + inline + 2_048 * len(items(dataset, "52009230"))

    @property
    def representative(self) -> int:
        """The frame that stands for all (PS3.3 C.7.6.6): the one that is named, or the middle."""
        named = integer(self.image.dataset, "00286010", 0)
        return named if 0 < named <= self.count else self.count // 2 + 1

    @property
    def played(self) -> range:
        """The frames that are to be played, one after another (PS3.3 C.7.6.5): the trimmed ones."""
        first = integer(self.image.dataset, "00082142", 1)
        last = integer(self.image.dataset, "00082143", self.count)
        if not 1 <= first <= last <= self.count:
            first, last = 1, self.count
        return range(first, last + 1)

    def change(self, look: Look) -> Finish | None:
        """What ``look`` changes of a video; None, if it can stay as it is."""
        plain = Look(media_type=look.media_type, quality=look.quality)
        if replace(look, window=None) == plain and look.quality == DEFAULT_QUALITY:
            return None
        return finish_of(self, self.representative, look)

    def delay(self, frame: int) -> float:
        """Seconds for which a frame is shown."""
        return self.told_delay(frame) or FRAME_TIME

    def told_delay(self, frame: int) -> float | None:
        """Seconds for which a frame is shown, if that is said (PS3.3 C.7.6.5)."""
        dataset = self.image.dataset
        vector = numbers(dataset, "00181065")
        if frame < len(vector) and vector[frame] > 0:
            return vector[frame] / 1000
        for tag, seconds in (("00181063", 0.001), ("00200110", 1.0)):
            if (found := numbers(dataset, tag)) and found[0] > 0:
                return found[0] * seconds
        for tag in ("00082144", "00180040"):
            if (rates := numbers(dataset, tag)) and rates[0] > 0:
                return 1 / rates[0]
        return None


def syntax_of_frames(syntax: TransferSyntax) -> str:
    """How frames are coded when they are read: native ones come little endian."""
    is_native = not syntax.is_encapsulated or syntax.uid == ENCAPSULATED_UNCOMPRESSED
    return EXPLICIT_VR_LITTLE_ENDIAN if is_native else syntax.uid


def video_of(subject: Subject, stream: Spans, syntax: str) -> Video:
    """Say what a worker needs to know of a video."""
    form = subject.image.form
    return Video(
        stream=stream,
        syntax=syntax,
        rows=form.rows,
        columns=form.columns,
        interval=subject.told_delay(1),
        aspect=subject.image.aspect(1),
    )


def followed(subject: Subject, frame: int, syntax: str, look: Look) -> Recipe | Presented:
    """Say how ``frame`` (from 1) is shown: as its image asks, or as a presentation state does.

    A state is never applied to what it does not refer to. Raises: Malformed, Unsupported; NotFound,
    if the state does not refer to the frame.
    """
    image = subject.image
    if look.state is None:
        plain = recipe(image, frame, syntax, look.window)
        return plain if look.has_overlays else replace(plain, overlays=())
    if TOTAL_COLUMNS in image.dataset:
        raise Unsupported("presentation states are not applied to the tiles of slides")
    if frame not in referenced(subject, look.state):
        raise NotFound(f"the presentation state does not refer to frame {frame}")
    shown = presented(look.state, image, text(image.dataset, SOP_INSTANCE), frame, syntax)
    return shown if look.has_overlays else replace(shown, overlays=(), layers=())


def referenced(subject: Subject, state: State) -> Sequence[int]:
    """Give the frames of an image to which a state refers, in order.

    Raises: NotFound, if it does not refer to the image.
    """
    dataset = subject.image.dataset
    uids = (text(dataset, tag) for tag in ("0020000D", "0020000E", SOP_INSTANCE))
    reference = state.reference(*uids)
    return tuple(each for each in reference.frames if each <= subject.count) or (
        range(1, subject.count + 1) if not reference.frames else ()
    )


def stands_for(subject: Subject, look: Look) -> int:
    """Give the frame that stands for all that are shown. Raises: NotFound, if none is."""
    if look.state is None:
        return subject.representative
    shown = referenced(subject, look.state)
    if not shown:
        raise NotFound("the presentation state refers to frames that the image does not have")
    return subject.representative if subject.representative in shown else shown[0]


def played(subject: Subject, look: Look) -> Sequence[int]:
    """Give the frames that are played, of those that are shown. Raises: NotFound."""
    if look.state is None:
        return subject.played
    return [each for each in referenced(subject, look.state) if each in subject.played]


def finish_of(subject: Subject, frame: int, look: Look) -> Finish:
    """Say what is done with the picture of ``frame`` (from 1)."""
    dataset = subject.image.dataset
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    if annotations.PATIENT in look.annotations:
        left = annotations.of_patient(dataset)
    if annotations.TECHNIQUE in look.annotations:
        right = annotations.of_technique(dataset, frame, subject.count)
    own = look.state.profile if look.state is not None else b""
    profile = look.profile
    if profile == UNSAID_PROFILE:
        profile = OWN_PROFILE if own and look.media_type not in WITHOUT_PROFILE else NO_PROFILE
    return Finish(
        media_type=look.media_type,
        quality=look.quality,
        viewport=look.viewport,
        left=left,
        right=right,
        profile=profile,
        source=own or _profile(subject, frame) if profile != NO_PROFILE else b"",
        delay=subject.delay(frame) if look.is_block else None,
    )


def _profile(subject: Subject, frame: int) -> bytes:
    """The ICC profile of a frame: of its optical path, or of the image (PS3.3 C.11.15)."""
    dataset = subject.image.dataset
    named = text(nearest(dataset, "00480207", frame, "00480106"), "00480106")
    paths = items(dataset, "00480105")
    for path in sorted(paths, key=lambda each: text(each, "00480106") != named):
        if profile := binary(path, "00282000"):
            return profile
    return binary(dataset, "00282000")
