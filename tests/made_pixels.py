"""Data sets with pixel data of every make, by an encoder of their own (PS3.5 A.4)."""

from collections.abc import Iterable, Sequence
from struct import pack

from datasets import Node, encode, header, marker

IS_TAG = 0x00280008


class InMemory:
    """Bytes, and how many of them were fetched."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        self.size = len(data)
        self.fetched = 0

    def window(self, start: int, end: int) -> memoryview:
        assert 0 <= start <= end
        found = self.data[start:end]
        self.fetched += len(found)
        return found


def description(
    frames: int | None = 1,
    rows: int = 2,
    columns: int = 2,
    bits: int = 8,
    samples: int = 1,
    photometric: str = "MONOCHROME2",
    *,
    little: bool = True,
) -> list[Node]:
    """The attributes that tell what a frame is."""

    def short(number: int) -> bytes:
        return pack("<H" if little else ">H", number)

    nodes = [
        Node(0x00280002, "US", short(samples)),
        Node(0x00280004, "CS", _even(photometric.encode(), b" ")),
        Node(0x00280010, "US", short(rows)),
        Node(0x00280011, "US", short(columns)),
        Node(0x00280100, "US", short(bits)),
    ]
    if frames is not None:
        nodes.insert(2, Node(IS_TAG, "IS", _even(str(frames).encode(), b" ")))
    return nodes


def native(
    value: bytes,
    nodes: Sequence[Node],
    *,
    tag: int = 0x7FE00010,
    vr: str = "OW",
    little: bool = True,
) -> bytes:
    """A data set with native pixel data."""
    return encode([*nodes, Node(tag, vr, value)], little=little)


def item(content: bytes) -> bytes:
    return marker(0xFFFEE000, len(content), little=True) + content


def encapsulated(
    frames: Sequence[Sequence[bytes]],
    nodes: Sequence[Node],
    *,
    basic: Sequence[int] | None = None,
    extended: tuple[Sequence[int], Sequence[int]] | None = None,
) -> bytes:
    """A data set with encapsulated pixel data; each frame is given by its fragments."""
    before = list(nodes)
    if extended is not None:
        for tag, numbers in zip((0x7FE00001, 0x7FE00002), extended, strict=True):
            before.append(Node(tag, "OV", b"".join(pack("<Q", each) for each in numbers)))
    table = b"".join(pack("<I", each) for each in basic or ())
    parts = [encode(before), header(0x7FE00010, "OB", 0xFFFFFFFF, implicit=False, little=True)]
    parts += [item(table), *(item(fragment) for frame in frames for fragment in frame)]
    return b"".join([*parts, marker(0xFFFEE0DD, 0, little=True)])


def offsets(frames: Sequence[Iterable[bytes]]) -> list[int]:
    """What a true offset table says of the frames."""
    found, at = [], 0
    for frame in frames:
        found.append(at)
        at += sum(8 + len(fragment) for fragment in frame)
    return found


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)
