"""What a data set says of its waveforms: read without their samples."""

from collections.abc import Iterator
from typing import Final

from isocenter.dicom.elements import elements
from isocenter.dicom.json_model import Dataset, to_json
from isocenter.dicom.layout import SPECIFIC_CHARACTER_SET
from isocenter.dicom.syntax import TransferSyntax
from isocenter.dicom.windowed import Place, Reader, Walk
from isocenter.errors import Malformed, NotFound, Unsupported
from isocenter.imaging.waveforms import Multiplex, Recording, annotation, multiplex

WAVEFORMS: Final = 0x54000100
DATA: Final = 0x54001010
ANNOTATIONS: Final = 0x0040B020
_OF_WHOM: Final = frozenset((0x0008, 0x0010, 0x0020))
MOST_GROUPS: Final = 64
MOST_ANNOTATIONS: Final = 1_000
"""Of a day's recording each beat may be one; who wants all of them has the metadata."""
LARGEST_VALUE: Final = 1 << 12
"""Bytes of an attribute that tells of whom."""
LARGEST: Final = 16 << 20
"""Bytes of all that is read: descriptions of channels, annotations."""


def describe(reader: Reader, syntax: TransferSyntax) -> Recording:
    """Read what an (inflated) data set says of its waveforms.

    Raises: NotFound, if there are none; Malformed, Unsupported.
    """
    return _Description(Walk(reader, syntax), syntax).recording()


class _Description:
    """On one walk: annotations stand before the waveforms, and are understood by them."""

    def __init__(self, walk: Walk, syntax: TransferSyntax) -> None:
        self._walk = walk
        self._syntax = syntax
        self._charset = b""
        self._size = 0  # of what was taken
        self._groups: list[Multiplex] = []
        self._noted: list[Dataset] = []

    def recording(self) -> Recording:
        head = bytearray()
        for place in self._walk.elements():
            if place.tag == ANNOTATIONS and place.vr == "SQ":
                self._note(place)
            elif place.tag == WAVEFORMS and place.vr == "SQ":
                self._groups = [self._group(each) for each in self._items(place, MOST_GROUPS)]
                break
            elif place.tag >> 16 in _OF_WHOM and place.vr != "SQ":
                head += self._taken(place, LARGEST_VALUE)
        if not self._groups:
            raise NotFound("the instance has no waveforms")
        dataset = to_json(elements(bytes(head), self._syntax))
        found = (annotation(each, self._groups) for each in self._noted)
        return Recording(
            sop_class=str(next(iter(dataset.get("00080016", {}).get("Value", ())), "")),
            groups=tuple(self._groups),
            annotations=tuple(each for each in found if each is not None),
            dataset=dataset,
        )

    def _note(self, place: Place) -> None:
        for item in self._items(place, MOST_ANNOTATIONS):
            self._noted.append(self._model(item))

    def _items(self, place: Place, most: int) -> Iterator[Iterator[Place]]:
        for number, item in enumerate(self._walk.items(place)):
            if number == most:
                return
            yield item

    def _group(self, item: Iterator[Place]) -> Multiplex:
        data: list[Place] = []
        model = self._model(item, data)
        if not data:
            raise Malformed("a recording has no samples (5400,1010)")
        place = data[0]
        if place.length is None:
            raise Malformed("the samples (5400,1010) have no length")
        return multiplex(
            model,
            (place.offset, place.length),
            is_little_endian=place.layout.is_little_endian,
            vr=place.vr,
        )

    def _model(self, item: Iterator[Place], data: list[Place] | None = None) -> Dataset:
        """Give an item without its samples, whose place is put into ``data``."""
        taken = bytearray(self._charset)
        for place in item:
            if place.tag == DATA:
                if data is not None:
                    data.append(place)
                continue
            taken += self._taken(place, LARGEST)
        return to_json(elements(bytes(taken), self._syntax))

    def _taken(self, place: Place, most: int) -> bytes:
        end = self._walk.end_of(place) + (8 if place.length is None else 0)
        if end - place.start > most:
            return b""
        self._size += end - place.start
        if self._size > LARGEST:
            raise Unsupported(f"more than {LARGEST} bytes describe the recording")
        found = bytes(self._walk.reader.window(place.start, end))
        if place.tag == SPECIFIC_CHARACTER_SET and not place.depth:
            self._charset = found
        return found
