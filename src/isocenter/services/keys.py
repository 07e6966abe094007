"""Keys of a query as people write them: ``Keyword=Value``, nested with dots.

A key is a keyword or a tag (``GGGG,EEEE``, ``GGGGEEEE``, ``(GGGG,EEEE)``), after which a colon may
name the VR that the dictionary does not know. Before it may stand the sequences it is in, each with
a dot behind. Without ``=`` the key is universal: its value is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from isocenter.dicom.dictionary import is_private, plain_vr, tag_of
from isocenter.dicom.layout import LONG_VRS, SHORT_VRS
from isocenter.dicom.values import BYTES_VRS, SINGLE_VRS
from isocenter.errors import Malformed

Document = dict[str, Any]
"""A data set in the DICOM JSON model."""

VRS: Final = frozenset(SHORT_VRS.values()) | frozenset(LONG_VRS.values())


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the tags that lead to it, with their VRs, and what it is to match."""

    path: tuple[tuple[int, str], ...]
    """Sequences first, the attribute itself last."""
    value: str
    """Alternatives are divided by backslashes; empty for universal matching."""

    @property
    def tag(self) -> int:
        """Of the outermost attribute."""
        return self.path[0][0]


def parse(text: str) -> Key:
    """Read one key. Raises: Malformed, which says what is wrong."""
    name, _, value = text.partition("=")
    parts = name.strip().split(".")
    path = tuple(_attribute(part.strip()) for part in parts)
    for part, (_, vr) in zip(parts[:-1], path, strict=False):
        if vr != "SQ":
            raise Malformed(f"{part.strip()} is no sequence: nothing can be in it")
    if path[-1][1] == "SQ" and value:
        raise Malformed(f"{parts[-1]} is a sequence: it has keys in it, not a value")
    if path[-1][1] in BYTES_VRS and value:
        raise Malformed(f"{parts[-1]} has VR {path[-1][1]}, which cannot be matched")
    return Key(path, value)


def _attribute(text: str) -> tuple[int, str]:
    name, _, vr = text.partition(":")
    tag = tag_of(name)
    if tag is None or not 0 < tag <= 0xFFFFFFFF:
        raise Malformed(f"{name!r} is neither a keyword of DICOM nor a tag GGGG,EEEE")
    if tag >> 16 in (0x0000, 0x0002, 0xFFFE) or not tag & 0xFFFF:
        raise Malformed(f"{name} cannot stand in a query")
    if vr and vr not in VRS:
        raise Malformed(f"{vr!r} is no value representation")
    if not vr and is_private(tag) and plain_vr(tag) == "UN":
        raise Malformed(f"{name} is private: say its VR, as in {name}:LO")
    return tag, vr or plain_vr(tag)


def document(keys: Iterable[Key]) -> Document:
    """Put keys together. Raises: Malformed, if one stands twice or contradicts another."""
    root: Document = {}
    for key in keys:
        place = root
        for tag, vr in key.path[:-1]:
            sequence = place.setdefault(f"{tag:08X}", {"vr": vr})
            place = sequence.setdefault("Value", [{}])[0]
        tag, vr = key.path[-1]
        if f"{tag:08X}" in place:
            if vr == "SQ" and not key.value:
                continue
            raise Malformed(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is given twice")
        place[f"{tag:08X}"] = _model(vr, key.value)
    return root


def _model(vr: str, value: str) -> Document:
    if not value:
        return {"vr": vr}
    return {"vr": vr, "Value": [value] if vr in SINGLE_VRS else value.split("\\")}
