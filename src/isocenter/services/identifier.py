"""Identifiers of C-FIND, C-MOVE and C-GET: read into values, and made (PS3.4 C.4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from isocenter.dicom import charset as charsets, values
from isocenter.dicom.elements import Element, Item, elements
from isocenter.dicom.layout import SPECIFIC_CHARACTER_SET, Limits
from isocenter.dicom.syntax import TransferSyntax
from isocenter.errors import Mismatch
from isocenter.services.models import UNIQUE_KEYS, Model, Negotiated
from isocenter.storage.attributes import Level
from isocenter.storage.query import Key

QUERY_RETRIEVE_LEVEL = 0x00080052
TIMEZONE = 0x00080201
LIMITS: Final = Limits(inflated_size=16 << 20)
"""An identifier is in memory as a whole: a deflated one may not unfold to much."""
ABOUT_THE_QUERY = frozenset({SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, TIMEZONE})


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a peer asks for."""

    level: Level
    keys: tuple[Key, ...]
    """All but those about the query itself; in order of their tags."""
    vrs: dict[int, str]
    """How the keys were encoded; for what the dictionary does not know."""
    character_set: str
    """Specific Character Set as sent; empty if absent."""
    timezone: str | None
    """Timezone Offset From UTC; None if it was not sent."""

    def values(self, tag: int) -> tuple[str, ...]:
        """The alternatives given for ``tag``; empty if it is absent or universal."""
        text = next((key.value for key in self.keys if key.tag == tag), "")
        return tuple(part for part in text.split("\\") if part)


def read(dataset: bytes, syntax: TransferSyntax, model: Model) -> Identifier:
    """Raises: Malformed; Mismatch, where the level is none of the model's."""
    found = list(elements(dataset, syntax, limits=LIMITS))
    by_tag = {element.tag: element for element in found}
    named = by_tag.get(SPECIFIC_CHARACTER_SET)
    charset = charsets.of_value(bytes(named.value)) if named else charsets.DEFAULT
    keys = tuple(_keys(iter(found), charset))
    zone = by_tag.get(TIMEZONE)
    return Identifier(
        _level(_text(by_tag.get(QUERY_RETRIEVE_LEVEL), charset), model),
        tuple(key for key in keys if key.tag not in ABOUT_THE_QUERY),
        {element.tag: element.vr for element in found},
        "\\".join(charset.terms),
        _text(zone, charset) if zone is not None else None,
    )


def check_hierarchy(identifier: Identifier, model: Model, negotiated: Negotiated) -> None:
    """Without relational queries, the levels above are named, each by one value of its unique key.

    Raises: Mismatch. Source: PS3.4 C.4.1.2.1, C.4.2.2.1.
    """
    if negotiated.relational:
        return
    for level in model.levels:
        if level >= identifier.level:
            return
        given = identifier.values(UNIQUE_KEYS[level])
        if len(given) != 1 or set(given[0]) & set("*?"):
            raise Mismatch(f"a {identifier.level.name} query needs one {level.name} unique key")


def _level(text: str, model: Model) -> Level:
    names = {level.name: level for level in model.levels}
    if text not in names:
        raise Mismatch(f"QueryRetrieveLevel {text!r} is none of {', '.join(names)}")
    return names[text]


def _text(element: Element | None, charset: charsets.Charset) -> str:
    return _value(element, charset) if element is not None else ""


def _keys(found: Iterator[Element], charset: charsets.Charset) -> Iterator[Key]:
    for element in found:
        if element.tag & 0xFFFF == 0:  # group length
            continue
        if element.vr == "SQ":
            first: Item | None = next(element.items(), None)
            items = tuple(_keys(first.elements(), charset)) if first else ()
            yield Key(element.tag, items=items)
        else:
            yield Key(element.tag, _value(element, charset))


def _value(element: Element, charset: charsets.Charset) -> str:
    """The value as text, its alternatives kept apart by backslashes."""
    raw = bytes(element.value)
    if element.vr in values.TEXT_VRS or element.vr in values.PLAIN_VRS:
        return "\\".join(values.texts(element.vr, raw, charset))
    if element.vr in values.BYTES_VRS:
        return "\\".join(values.texts("LO", raw, charset))
    decoded = values.decode(
        element.vr, raw, charset, is_little_endian=element.layout.is_little_endian
    )
    return "\\".join(str(value) for value in decoded)
