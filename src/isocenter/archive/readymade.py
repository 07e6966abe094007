"""The texts of a series ready-made: a few instances in each segment, deflated, one after the other.

Between two texts there is a comma and a line end, also between two segments. A segment is known by
the blobs its texts were made of. Where one ends, the blobs themselves say: so an instance more or
less changes the segment it belongs to and no other, and these need not be made again.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from isocenter.archive.deflated import Sum, stored, total
from isocenter.storage.contents import BlobRow, fingerprint_of
from isocenter.storage.copies import Copy

SEPARATOR: Final = b",\n"
STORED_SEPARATOR: Final = stored(SEPARATOR)
USUAL: Final = 64
"""Instances of a segment on average."""
MOST: Final = 256
HELD: Final = 1 << 20
"""Bytes up to which a copy is read as a whole."""

_HEAD: Final = Struct("<IQQI")
_ROW: Final = Struct("<16sIIQQQI")


@dataclass(frozen=True, slots=True)
class Plan:
    """A segment that is to be made."""

    id: bytes
    pks: "array[int]"
    """The rows of its instances."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is made."""

    id: bytes
    instances: int
    left_out: int
    """Instances that could not be read."""
    sum: Sum
    data: bytes
    """The texts, deflated; empty, if there are none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment lies among all of them; numbers as in `Segment`."""

    instances: int
    left_out: int
    start: int
    end: int
    sum: Sum


@dataclass(frozen=True, slots=True)
class Ready:
    """The texts of a series, all of them made: in memory, or in a copy."""

    fingerprint: int
    places: Mapping[bytes, Place]
    sum: Sum
    """Of all texts with what is between them."""
    size: int
    """Bytes of it, deflated."""
    read: Callable[[int, int], bytes]
    """Gives a part of it, deflated. May block. Raises: Unavailable."""

    @property
    def left_out(self) -> int:
        """How many instances could not be read."""
        return sum(place.left_out for place in self.places.values())


def plan(rows: Iterable[BlobRow], revision: int = 0) -> Iterator[Plan]:
    """Divide the instances of a series into segments. ``revision``: of its corrections."""
    start = hashlib.blake2b(f"{revision}\n".encode() if revision else b"", digest_size=16)
    pks, keys = array("q"), start.copy()
    for row in rows:
        pks.append(row.pk)
        keys.update(row.blob_key.encode() + b"\n")
        if len(pks) == MOST or not fingerprint_of(row.blob_key) % USUAL:
            yield Plan(keys.digest(), pks)
            pks, keys = array("q"), start.copy()
    if pks:
        yield Plan(keys.digest(), pks)


def join(fingerprint: int, segments: Iterable[Segment]) -> Ready:
    """Put segments one behind the other."""
    places: dict[bytes, Place] = {}
    parts: list[bytes] = []
    sums: list[Sum] = []
    at = 0
    for each in segments:
        if each.data and parts:
            parts.append(STORED_SEPARATOR)
            sums.append(Sum.of(SEPARATOR))
            at += len(STORED_SEPARATOR)
        end = at + len(each.data)
        places[each.id] = Place(each.instances, each.left_out, at, end, each.sum)
        if each.data:
            parts.append(each.data)
            sums.append(each.sum)
        at = end
    return _in_memory(fingerprint, places, total(sums), b"".join(parts))


def again(ready: Ready, wanted: Plan) -> Segment | None:
    """Give a segment that was made before, unless some of it could not be read. Blocks."""
    place = ready.places.get(wanted.id)
    if place is None or place.left_out:
        return None
    data = ready.read(place.start, place.end)
    return Segment(wanted.id, place.instances, 0, place.sum, data)


def encoded(ready: Ready) -> list[bytes]:
    """Write it as a copy."""
    rows = [
        _ROW.pack(key, each.instances, each.left_out, each.start, each.end, each.sum.size,
                  each.sum.crc)
        for key, each in ready.places.items()
    ]  # fmt: skip
    head = _HEAD.pack(len(rows), ready.fingerprint, ready.sum.size, ready.sum.crc)
    return [head, *rows, ready.read(0, ready.size)]


def decoded(copy: Copy) -> Ready | None:
    """Read what ``encoded`` wrote, None where it is not that. Blocks. Raises: Unavailable."""
    head = copy.read(0, _HEAD.size)
    if len(head) < _HEAD.size:
        return None
    rows, fingerprint, text_size, crc = _HEAD.unpack(head)
    offset = _HEAD.size + rows * _ROW.size
    if offset > copy.size:
        return None
    places = {
        key: Place(instances, left_out, start, end, Sum(size, checked))
        for key, instances, left_out, start, end, size, checked in _ROW.iter_unpack(
            copy.read(_HEAD.size, offset)
        )
    }
    size, whole = copy.size - offset, Sum(text_size, crc)
    if size <= HELD:
        body = copy.read(offset, copy.size)
        copy.close()
        return _in_memory(fingerprint, places, whole, body)

    def read(start: int, end: int) -> bytes:
        return copy.read(offset + start, offset + end)

    return Ready(fingerprint, places, whole, size, read)


def _in_memory(fingerprint: int, places: Mapping[bytes, Place], whole: Sum, body: bytes) -> Ready:
    return Ready(fingerprint, places, whole, len(body), lambda start, end: body[start:end])
