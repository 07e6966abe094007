"""Data sets for tests, by an encoder of their own: typed from PS3.5 7, not from the product."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import pack

from hypothesis import strategies as st

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
# Tags whose VR the dictionary tells without doubt, so that implicit VR is read alike.
TAGS = {
    0x00080016: "UI",
    0x00080018: "UI",
    0x00080020: "DA",
    0x00080050: "SH",
    0x00081030: "LO",
    0x00081110: "SQ",
    0x00081140: "SQ",
    0x00100010: "PN",
    0x00101010: "AS",
    0x00101030: "DS",
    0x0018106C: "US",
    0x0020000D: "UI",
    0x00200013: "IS",
    0x00280010: "US",
    0x00280011: "US",
    0x0040A730: "SQ",
    0x00420011: "OB",
    0x7FE00010: "OW",
}


@dataclass
class Node:
    tag: int
    vr: str
    value: bytes = b""
    items: list[list[Node]] = field(default_factory=list)
    is_undefined: bool = False
    undefined_items: bool = False


def header(tag: int, vr: str, length: int, *, implicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    start = pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return start + pack(f"{order}I", length)
    if vr in LONG:
        return start + vr.encode() + pack(f"{order}HI", 0, length)
    return start + vr.encode() + pack(f"{order}H", length)


def marker(tag: int, length: int, *, little: bool) -> bytes:
    return pack("<HHI" if little else ">HHI", tag >> 16, tag & 0xFFFF, length)


def encode(nodes: list[Node], *, implicit: bool = False, little: bool = True) -> bytes:
    return b"".join(_encode(node, implicit=implicit, little=little) for node in nodes)


def sequence_value(node: Node, *, implicit: bool, little: bool) -> bytes:
    parts = []
    for item in node.items:
        content = encode(item, implicit=implicit, little=little)
        if node.undefined_items:
            parts += [marker(0xFFFEE000, 0xFFFFFFFF, little=little), content]
            parts += [marker(0xFFFEE00D, 0, little=little)]
        else:
            parts += [marker(0xFFFEE000, len(content), little=little), content]
    return b"".join(parts)


def _encode(node: Node, *, implicit: bool, little: bool) -> bytes:
    if node.vr != "SQ":
        return header(node.tag, node.vr, len(node.value), implicit=implicit, little=little) + (
            node.value
        )
    value = sequence_value(node, implicit=implicit, little=little)
    length = 0xFFFFFFFF if node.is_undefined else len(value)
    data = header(node.tag, "SQ", length, implicit=implicit, little=little) + value
    return data + (marker(0xFFFEE0DD, 0, little=little) if node.is_undefined else b"")


def _node(tag: int, items: st.SearchStrategy[list[list[Node]]]) -> st.SearchStrategy[Node]:
    vr = TAGS[tag]
    if vr == "SQ":
        flags = st.booleans()
        return st.builds(Node, st.just(tag), st.just(vr), st.just(b""), items, flags, flags)
    size = 2 if vr == "US" else 1
    values = st.binary(max_size=24).map(lambda value: value[: len(value) // 2 * 2])
    return st.builds(
        Node, st.just(tag), st.just(vr), values if size == 1 else st.binary(min_size=2, max_size=2)
    )


def _nodes(depth: int) -> st.SearchStrategy[list[Node]]:
    inner = st.lists(_nodes(depth - 1), max_size=2) if depth else st.just([])
    tags = st.lists(st.sampled_from(sorted(TAGS)), unique=True, max_size=6).map(sorted)
    return tags.flatmap(lambda found: st.tuples(*(_node(tag, inner) for tag in found)).map(list))


datasets = _nodes(3)
"""Data sets of up to three levels, of values that need not mean anything."""

cuts = st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=12)
"""Sizes of pieces, used over and over."""


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return found
