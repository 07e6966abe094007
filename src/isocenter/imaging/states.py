"""Presentation states: which images they refer to, and what they say of each.

Source: PS3.3 A.33, C.11.11. A state speaks of the images it lists, and of no other: what is asked
of it for another image is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from isocenter.dicom.elements import elements
from isocenter.dicom.json_model import to_json
from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Reader, Walk
from isocenter.errors import Malformed, NotFound, Unsupported
from isocenter.imaging.attributes import Dataset, binary, items, numbers, text, values

GRAYSCALE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
COLOR: Final = "1.2.840.10008.5.1.4.1.1.11.2"
PSEUDO_COLOR: Final = "1.2.840.10008.5.1.4.1.1.11.3"
APPLIED: Final = frozenset({GRAYSCALE, COLOR, PSEUDO_COLOR})
"""Those whose pictures we make."""
STATES: Final = frozenset(
    uid for uid, kind in SOP_CLASSES.items() if "Presentation State" in kind.name
)
"""All storage SOP classes of presentation states."""

LARGEST: Final = 16 << 20
"""Bytes of a state that is read. Nothing is left out of it: what is larger is refused."""
LARGEST_ANNOTATION: Final = 4 << 20
"""Bytes of its graphics: a million coordinates."""
MOST_IMAGES: Final = 10_000

REFERENCED_SERIES: Final = "00081115"
REFERENCED_IMAGES: Final = "00081140"
_ANNOTATION: Final = 0x0070
_GROUPS: Final = frozenset({0x0008, 0x0018, 0x0020, 0x0028, 0x0070, 0x2050})


def read(reader: Reader, syntax: TransferSyntax) -> Dataset:
    """Read an (inflated) state's data set, but for what no picture is made from.

    Raises: Malformed; Unsupported, for more than is worked with.
    """
    walk = Walk(reader, syntax)
    wanted = bytearray()
    annotation = at = 0
    for place in walk.elements():
        end = walk.end_of(place) + (8 if place.length is None else 0)
        group = place.tag >> 16
        if group in _GROUPS or group & 0xFF01 == 0x6000:
            annotation += end - at if group == _ANNOTATION else 0
            if len(wanted) + end - at > LARGEST or annotation > LARGEST_ANNOTATION:
                raise Unsupported("the presentation state is too large to be applied")
            wanted += walk.reader.window(at, end)
        at = end
    return to_json(elements(bytes(wanted), syntax))


@dataclass(frozen=True, slots=True)
class Reference:
    """An image to which a state applies."""

    series: str
    sop_class: str
    sop_instance: str
    frames: tuple[int, ...]
    """From 1; empty for all of them."""


class State:
    """What a presentation state says."""

    def __init__(self, dataset: Dataset, key: str = "") -> None:
        """``dataset``: in the DICOM JSON model; ``key``: tells its bytes from all others.

        Raises: Malformed; Unsupported.
        """
        self.dataset = dataset
        self.key = key
        self.sop_class = text(dataset, "00080016")
        if self.sop_class not in APPLIED:
            raise Unsupported(f"{name_of(self.sop_class)} is not applied to images here")
        self.study = text(dataset, "0020000D")
        self.references = tuple(_references(dataset))
        if not self.references:
            raise Malformed("the presentation state refers to no image")

    def __repr__(self) -> str:
        return f"State({self.key!r})"

    @property
    def profile(self) -> bytes:
        """Its ICC profile, which goes before those of images (PS3.3 C.11.15)."""
        return binary(self.dataset, "00282000")

    @cached_property
    def _by_instance(self) -> dict[str, Reference]:
        return {each.sop_instance: each for each in reversed(self.references)}

    @property
    def memory(self) -> int:
        """Bytes that it takes, roughly."""
        return 65_536 + 512 * len(self.references) + _weight(self.dataset)

    def reference(self, study: str, series: str, sop_instance: str) -> Reference:
        """Find what is said of an image. Raises: NotFound, if it does not refer to it."""
        found = self._by_instance.get(sop_instance)
        if found is None or found.series != series or self.study != study:
            raise NotFound("the presentation state does not refer to this image")
        return found

    def of(self, sequence: str, sop_instance: str, frame: int) -> list[Dataset]:
        """Give the items of a sequence that are for a frame (PS3.3 C.11.8, C.10.4, C.10.5)."""
        return [
            each
            for each in items(self.dataset, sequence)
            if _is_for(items(each, REFERENCED_IMAGES), sop_instance, frame)
        ]


def name_of(sop_class: str) -> str:
    """Give the name of a SOP class, as far as it has one."""
    known = SOP_CLASSES.get(sop_class)
    return f"a {known.name.removesuffix(' Storage')}" if known else "an unknown SOP class"


def _is_for(references: list[Dataset], sop_instance: str, frame: int) -> bool:
    """Without references an item is for all images of the state."""
    return not references or any(
        text(each, "00081155") == sop_instance and frame in (_frames(each) or (frame,))
        for each in references
    )


def _references(dataset: Dataset) -> Iterator[Reference]:
    count = 0
    for series in items(dataset, REFERENCED_SERIES):
        for image in items(series, REFERENCED_IMAGES):
            count += 1
            if count > MOST_IMAGES:
                raise Unsupported(
                    f"the presentation state refers to more than {MOST_IMAGES} images"
                )
            yield Reference(
                text(series, "0020000E"),
                text(image, "00081150"),
                text(image, "00081155"),
                _frames(image),
            )


def _frames(image: Dataset) -> tuple[int, ...]:
    named = numbers(image, "00081160")
    if len(named) != len(values(image, "00081160")) or any(each < 1 for each in named):
        raise Malformed("the presentation state refers to a frame that is none")
    return tuple(map(int, named))


def _weight(value: object) -> int:
    if isinstance(value, dict):
        return 256 + sum(map(_weight, value.values()))
    if isinstance(value, list):
        return 64 + sum(map(_weight, value))
    return 64 + (len(value) if isinstance(value, str) else 0)
