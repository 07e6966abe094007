"""Writing corrections into the bytes of a data set, which is otherwise left as it is.

What comes out is a list of splices: bytes that take the place of others. All else, pixel data above
all, may be given as it lies. What was there before goes into the Original Attributes Sequence
(PS3.3 C.12.1.1.9), an item for each correction.

Where the character set of the data set cannot express a new value, all its text becomes UTF-8.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from isocenter.dicom import charset as charsets, encoding
from isocenter.dicom.layout import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    PIXEL_DATA_TAGS,
    SPECIFIC_CHARACTER_SET,
    Layout,
)
from isocenter.dicom.overlay import Attribute, Overlay, Step
from isocenter.dicom.reencode import Reencoder
from isocenter.dicom.syntax import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, TransferSyntax
from isocenter.dicom.values import TEXT_VRS
from isocenter.dicom.windowed import Place, Reader, Walk
from isocenter.errors import Unsupported

ORIGINAL_ATTRIBUTES: Final = 0x04000561
LENGTH_TO_END: Final = 0x00080001
MODIFYING_SYSTEM: Final = "Isocenter"
LARGEST: Final = 64 << 20
"""Bytes of an element that has to be written anew."""
_STEP: Final = 1 << 20
_DELIMITER: Final = 8
_SYNTAXES: Final[dict[Layout, TransferSyntax]] = {
    EXPLICIT_LITTLE: EXPLICIT_LE,
    EXPLICIT_BIG: EXPLICIT_BE,
    IMPLICIT_LITTLE: IMPLICIT_LE,
}


@dataclass(frozen=True, slots=True)
class Splice:
    """Bytes in the place of those from ``start`` to ``end`` (exclusive)."""

    start: int
    end: int
    content: bytes


def amended(reader: Reader, syntax: TransferSyntax, overlay: Overlay) -> list[Splice]:
    """Say what is to be written into an (inflated) data set, in its order. Blocks.

    Nothing, where it says all of that already. Raises: Malformed, where it cannot be read as far as
    is needed; Unsupported, where that cannot be written.
    """
    walk = Walk(reader, syntax)
    places = list(_places(walk))
    found: dict[int, Place] = {}
    for place in places:
        found.setdefault(place.tag, place)
    layout = places[0].layout if places else EXPLICIT_LITTLE
    if layout not in _SYNTAXES:
        raise Unsupported("a data set in implicit VR big endian cannot be corrected")
    return _Amending(walk, places, found, _SYNTAXES[layout]).splices(overlay)


def _places(walk: Walk) -> Iterator[Place]:
    """What stands before encapsulated pixel data, and where that does."""
    for place in walk.elements():
        yield place
        if place.tag in PIXEL_DATA_TAGS and place.length is None:
            return


class _Amending:
    def __init__(
        self, walk: Walk, places: list[Place], found: dict[int, Place], syntax: TransferSyntax
    ) -> None:
        self._walk = walk
        self._places = places
        self._found = found
        self._syntax = syntax
        self._former = charsets.of_value(self._value(SPECIFIC_CHARACTER_SET))
        self._charset = self._former

    def splices(self, overlay: Overlay) -> list[Splice]:
        is_new = not all(map(self._is_expressible, _texts(overlay)))
        if is_new:
            self._charset = charsets.of_terms(charsets.UTF_8)
        written, items = self._written(overlay.steps)
        if not items:
            return []
        written[ORIGINAL_ATTRIBUTES] = self._original_attributes(items)
        if is_new:
            attribute = {"vr": "CS", "Value": [charsets.UTF_8]}
            written[SPECIFIC_CHARACTER_SET] = self._encoded(SPECIFIC_CHARACTER_SET, attribute)
        found = list(self._spliced(written))
        if is_new:
            found += self._recoded_places(written.keys())
        touched = None if is_new else {tag >> 16 for tag in written}
        found += self._without_lengths(touched)
        # What is put before an element goes before what takes its place.
        return sorted(found, key=lambda each: (each.start, each.end))

    def _is_expressible(self, text: str) -> bool:
        return self._former.encode(text) is not None

    def _written(self, steps: Sequence[Step]) -> tuple[dict[int, bytes], list[bytes]]:
        """Give what elements become, empty if nothing, and an item for each step that counts."""
        current: dict[int, bytes] = {}
        items = []
        for step in steps:
            before: dict[int, bytes] = {}
            is_change = False
            for tag8, attribute in sorted(step.changes.items()):
                tag = int(tag8, 16)
                was = current[tag] if tag in current else self._element(tag)
                now = b"" if attribute is None else self._encoded(tag, attribute)
                if was == now or (not was and attribute is None):
                    continue
                is_change = True
                current[tag] = now
                # What was not there is told as having had no value.
                before[tag] = was or self._encoded(tag, {"vr": _vr(attribute)})
            if is_change:
                items.append(self._item(step, before))
        return current, items

    def _item(self, step: Step, before: dict[int, bytes]) -> bytes:
        """Write an item of the Original Attributes Sequence."""
        content = b"".join(before[tag] for tag in sorted(before))
        at = datetime.fromtimestamp(step.at / 1_000_000, UTC).strftime("%Y%m%d%H%M%S.%f+0000")
        model: dict[str, Attribute] = {
            "04000562": {"vr": "DT", "Value": [at]},
            "04000563": {"vr": "LO", "Value": [MODIFYING_SYSTEM]},
            "04000564": {"vr": "LO"},
            "04000565": {"vr": "CS", "Value": ["CORRECT"]},
        }
        told = b"".join(self._encoded(int(tag8, 16), each) for tag8, each in model.items())
        item = encoding.item(content, self._syntax)
        modified = encoding.sequence(0x04000550, item, self._syntax)
        return encoding.item(modified + told, self._syntax)

    def _original_attributes(self, items: Iterable[bytes]) -> bytes:
        """Add items to those that are there."""
        place = self._found.get(ORIGINAL_ATTRIBUTES)
        kept = b"" if place is None or place.length == 0 else self._kept_items(place)
        return encoding.sequence(ORIGINAL_ATTRIBUTES, kept + b"".join(items), self._syntax)

    def _kept_items(self, place: Place) -> bytes:
        element, source = self._raw(place.start, self._end(place)), self._syntax
        if not source.is_implicit and element[4:6] == b"UN" and place.length is not None:
            # What became UN on its way is in implicit VR little endian (PS3.5 6.2.2).
            source = IMPLICIT_LE
            head = place.length.to_bytes(4, "little")
            element = b"\x00\x04\x61\x05" + head + self._raw(place.offset, self._end(place))
        anew = self._reencoded(element, source)
        # A header, the items, a delimiter.
        return anew[len(encoding.sequence(ORIGINAL_ATTRIBUTES, b"", self._syntax)) : -_DELIMITER]

    def _spliced(self, written: dict[int, bytes]) -> Iterator[Splice]:
        for tag, content in sorted(written.items()):
            place = self._found.get(tag)
            if place is None:
                at = self._behind(tag)
                yield Splice(at, at, content)
                continue
            yield Splice(place.start, self._end(place), content)
            # Peer quirk: an element that is there twice; who reads the other one is misled.
            for again in self._places:
                if again.tag == tag and again is not place:
                    yield Splice(again.start, self._end(again), b"")

    def _without_lengths(self, groups: set[int] | None) -> Iterator[Splice]:
        """Take out lengths that are not right any more (PS3.5 7.2): of ``groups``, or of all."""
        for place in self._places:
            is_length = not place.tag & 0xFFFF and (groups is None or place.tag >> 16 in groups)
            if is_length or place.tag == LENGTH_TO_END:
                yield Splice(place.start, self._end(place), b"")

    def _behind(self, tag: int) -> int:
        """Give where an element belongs that is not there."""
        for place in self._places:
            if place.tag > tag:
                return place.start
        return self._end(self._places[-1]) if self._places else 0

    # --- another character set

    def _recoded_places(self, but: Iterable[int]) -> Iterator[Splice]:
        """Write all other text in the new character set."""
        others = [each for each in self._places if each.tag not in but]
        for place in others:
            start, end = place.start, self._end(place)
            if place.vr == "SQ" and place.length != 0:
                recoded = self._recoded_sequence(start, end)
                if recoded is not None:
                    yield Splice(start, end, recoded)
            elif place.vr in TEXT_VRS and not self._former.is_utf_8(self._raw(place.offset, end)):
                yield Splice(start, end, self._reencoded(self._raw(start, end)))
        last = self._places[-1] if self._places else None
        if last is not None and last.tag in PIXEL_DATA_TAGS and last.length is None:
            yield from self._recoded_behind(self._end(last))

    def _recoded_behind(self, start: int) -> Iterator[Splice]:
        end = self._walk.reader.size
        if start < end and (recoded := self._recoded_sequence(start, end)) is not None:
            yield Splice(start, end, recoded)

    def _recoded_sequence(self, start: int, end: int) -> bytes | None:
        """Write elements anew; None, where nothing in them is to be changed."""
        encoder = self._encoder()
        made = []
        size = 0
        for at in range(start, end, _STEP):
            made.append(encoder.feed(self._walk.reader.window(at, min(at + _STEP, end))))
            size += len(made[-1])
            if size > LARGEST:
                if encoder.recoded:
                    raise Unsupported("too much of it would have to be written in UTF-8")
                made.clear()  # of no use so far
        made.append(encoder.finish())
        if not encoder.recoded:
            return None
        if size > LARGEST:
            raise Unsupported("too much of it would have to be written in UTF-8")
        return b"".join(made)

    def _encoder(self, source: TransferSyntax | None = None) -> Reencoder:
        charset = None if self._charset is self._former else self._former
        return Reencoder(source or self._syntax, self._syntax, to_utf_8=charset)

    def _reencoded(self, element: bytes, source: TransferSyntax | None = None) -> bytes:
        encoder = self._encoder(source)
        return encoder.feed(element) + encoder.finish()

    # --- elements

    def _value(self, tag: int) -> bytes:
        place = self._found.get(tag)
        return b"" if place is None else self._raw(place.offset, self._end(place))

    def _element(self, tag: int) -> bytes:
        """Give an element as it is, or with its text in the new character set; empty for none."""
        place = self._found.get(tag)
        if place is None:
            return b""
        element = self._raw(place.start, self._end(place))
        return element if self._charset is self._former else self._reencoded(element)

    def _end(self, place: Place) -> int:
        """Give where what follows begins."""
        return self._walk.end_of(place) + (_DELIMITER if place.length is None else 0)

    def _raw(self, start: int, end: int) -> bytes:
        if end - start > LARGEST:
            raise Unsupported(f"an element of {end - start} bytes would have to be written anew")
        return bytes(self._walk.reader.window(start, end))

    def _encoded(self, tag: int, attribute: Attribute) -> bytes:
        return encoding.element(tag, attribute, self._syntax, self._charset)


def _texts(overlay: Overlay) -> Iterator[str]:
    """Every text of the new values that the character set applies to."""
    for step in overlay.steps:
        for attribute in step.changes.values():
            if attribute is not None and attribute["vr"] in TEXT_VRS:
                for value in attribute.get("Value", ()):
                    yield from value.values() if isinstance(value, dict) else (str(value),)


def _vr(attribute: Attribute | None) -> str:
    return str(attribute["vr"]) if attribute is not None else "SQ"
