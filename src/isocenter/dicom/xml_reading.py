"""The Native DICOM Model, read into the DICOM JSON model (PS3.19 A.1, PS3.18 F.3.1).

A stranger's document can do no harm: it has no document type, so no entities to unfold; what it
nests, and how long it and its tags are, is limited. DS and IS stay the text they are.
"""

import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final
from xml.parsers import expat

from isocenter.dicom.decimals import integer
from isocenter.dicom.dictionary import is_private, is_private_creator, plain_vr
from isocenter.dicom.json_model import Attribute, Dataset, json_number, person_name
from isocenter.dicom.layout import DEFAULT_LIMITS, LONG_VRS, SHORT_VRS, Buffer
from isocenter.dicom.values import NUMBERS, PLAIN_VRS, SINGLE_VRS, TEXT_VRS
from isocenter.errors import Malformed

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
LARGEST: Final = 1 << 30
"""Bytes of a document."""
LONGEST_TAG: Final = 1 << 20
"""Bytes of a tag, a comment or the like: what the parser must hold as a whole."""
STEP: Final = 1 << 16

_ATTRIBUTE: Final = "DicomAttribute"
_CHILDREN: Final = {
    "": frozenset({"NativeDicomModel"}),
    "NativeDicomModel": frozenset({_ATTRIBUTE}),
    "Item": frozenset({_ATTRIBUTE}),
    _ATTRIBUTE: frozenset({"Value", "Item", "PersonName", "BulkData", "InlineBinary"}),
    "PersonName": frozenset({"Alphabetic", "Ideographic", "Phonetic"}),
}
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_GROUPS: Final = {group: frozenset(_COMPONENTS) for group in _CHILDREN["PersonName"]}
_ALLOWED: Final = _CHILDREN | _GROUPS
"""What may stand in what; nothing but text in all others."""
_VRS: Final = frozenset(SHORT_VRS.values()) | frozenset(LONG_VRS.values())
_TAG: Final = re.compile("[0-9A-Fa-f]{8}")
_SPACE: Final = " \t\r\n"


@dataclass(slots=True)
class _Attribute:
    tag: int
    creator: str
    vr: str
    kind: str = ""
    values: dict[int, Any] = field(default_factory=dict)
    """By their numbers."""
    other: str = ""
    """A BulkDataURI, or base64."""


def read(source: "Buffer | BinaryIO | Iterable[Buffer]", *, largest: int = LARGEST) -> Dataset:
    """Read a document, of no more than ``largest`` bytes. Raises: Malformed."""
    reader = Reader(largest=largest)
    if isinstance(source, bytes | bytearray | memoryview):
        pieces: Iterable[Buffer] = (source,)
    elif hasattr(source, "read"):
        pieces = iter(lambda: source.read(STEP), b"")
    else:
        pieces = source
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


class Reader:
    """Feed it a document in pieces; in the end it gives the data set. Both raise Malformed."""

    def __init__(self, *, largest: int = LARGEST) -> None:
        self._largest = largest
        self._size = 0
        self._path = [""]
        self._text: list[str] = []
        self._depth = 0
        self._found: list[list[_Attribute]] = []
        """Of the data set and the items around, innermost last."""
        self._open: list[_Attribute] = []
        self._name: dict[str, str] = {}
        self._components: dict[int, str] = {}
        self._numbers: list[int] = []
        """Of the open items and values; 0 where none is given."""
        self._result: Dataset | None = None
        self._parser = _parser(self)

    def feed(self, piece: Buffer) -> None:
        """Go on with the next bytes."""
        for at in range(0, len(piece), STEP):
            step = piece[at : at + STEP]
            self._size += len(step)
            if self._size > self._largest:
                raise Malformed(f"the document is larger than {self._largest} bytes")
            self._parse(step)
            if self._size - self._parser.CurrentByteIndex > LONGEST_TAG:
                raise Malformed("a tag is too long", offset=self._parser.CurrentByteIndex)

    def finish(self) -> Dataset:
        """Say that the document is complete."""
        self._parse(b"", is_last=True)
        if self._result is None:
            raise Malformed("the document is cut short", offset=self._size)
        return self._result

    def _parse(self, step: Buffer, *, is_last: bool = False) -> None:
        try:
            self._parser.Parse(bytes(step), is_last)
        except expat.ExpatError as error:
            said = expat.ErrorString(error.code)
            where = self._parser.ErrorByteIndex
            raise Malformed(f"not well-formed XML: {said}", offset=where) from error
        except (LookupError, ValueError) as error:
            raise self._malformed("cannot be read as XML") from error

    def _malformed(self, what: str) -> Malformed:
        return Malformed(what, offset=self._parser.CurrentByteIndex)

    def on_doctype(self, *_: object) -> None:
        """Refuse what entities, and files of ours, could come in by."""
        raise self._malformed("a document type has no place in a Native DICOM Model")

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        """Open an element."""
        namespace, _, local = name.rpartition(" ")
        around = self._path[-1]
        if namespace not in ("", NAMESPACE) or local not in _ALLOWED.get(around, ()):
            raise self._malformed(f"an element has no place in {around or 'a document'} there")
        self._no_text()
        self._path.append(local)
        match local:
            case "NativeDicomModel":
                self._found.append([])
            case "DicomAttribute":
                self._open.append(self._attribute(attributes))
            case "Item":
                self._begin("Item", attributes)
                self._depth += 1
                if self._depth > DEFAULT_LIMITS.nesting:
                    raise self._malformed("sequences are nested too deep")
                self._found.append([])
            case "Value" | "PersonName":
                self._begin(local, attributes)
                self._name = {}
            case "BulkData" | "InlineBinary":
                self._one(local, attributes)

    def on_end(self, _: str) -> None:
        """Close an element."""
        name = self._path.pop()
        text = "".join(self._text)
        self._text.clear()
        if name in _ALLOWED and text.strip(_SPACE):
            raise self._malformed(f"text has no place in {name}")
        match name:
            case "NativeDicomModel":
                self._result = self._closed()
            case "DicomAttribute":
                self._found[-1].append(self._open.pop())
            case "Item":
                self._depth -= 1
                self._keep(self._closed())
            case "Value":
                self._keep(text)
            case "PersonName":
                self._keep(self._name or None)
            case "InlineBinary":
                self._open[-1].other = "".join(text.split())
            case "BulkData":
                pass
            case _:
                self._on_name(name, text)

    def on_text(self, text: str) -> None:
        """Keep text until what it is in ends."""
        self._text.append(text)

    def _no_text(self) -> None:
        if self._text:
            if "".join(self._text).strip(_SPACE):
                raise self._malformed(f"text has no place in {self._path[-1]}")
            self._text.clear()

    def _on_name(self, name: str, text: str) -> None:
        """Take a component of a name, or what its group turned out to be."""
        if name in _COMPONENTS:
            self._components[_COMPONENTS.index(name)] = text
            return
        last = max(self._components, default=-1)
        parts = [self._components.get(number, "") for number in range(last + 1)]
        if joined := "^".join(parts):
            self._name[name] = joined
        self._components = {}

    def _attribute(self, attributes: dict[str, str]) -> _Attribute:
        tag, vr = attributes.get("tag", ""), attributes.get("vr", "")
        if not _TAG.fullmatch(tag) or (vr and vr not in _VRS):
            raise self._malformed("an attribute needs a tag of eight digits and a known VR")
        creator = attributes.get("privateCreator", "")
        number = int(tag, 16)
        if creator and (not is_private(number) or number & 0xFF00):
            raise self._malformed("a private creator has no place at this tag")
        return _Attribute(number, creator, vr)

    def _begin(self, kind: str, attributes: dict[str, str]) -> None:
        element = self._open[-1]
        if element.kind not in ("", kind) or not _fits(element.vr, kind):
            raise self._malformed(f"{kind} has no place in this attribute")
        element.kind = kind
        number = attributes.get("number", "")
        if number and not (number.isascii() and number.isdigit() and len(number) < 10):
            raise self._malformed("a number is none")
        self._numbers.append(int(number or 0))

    def _keep(self, value: object) -> None:
        element = self._open[-1]
        number = self._numbers.pop() or len(element.values) + 1
        if number in element.values:
            raise self._malformed(f"value {number} is there twice")
        element.values[number] = value

    def _one(self, kind: str, attributes: dict[str, str]) -> None:
        element = self._open[-1]
        if element.kind or element.vr == "SQ":
            raise self._malformed(f"{kind} has no place in this attribute")
        element.kind = kind
        if kind == "BulkData":
            uri, uuid = attributes.get("uri", ""), attributes.get("uuid", "")
            if bool(uri) == bool(uuid):
                raise self._malformed("bulk data needs a URI or a UUID")
            element.other = uri or f"urn:uuid:{uuid}"

    def _closed(self) -> Dataset:
        """Give what a data set or item was found to hold."""
        found = self._found.pop()
        tags = _placed(found)
        signed = {tag for tag, each in zip(tags, found, strict=True) if _is_signed(tag, each)}
        result: Dataset = {}
        for tag, each in sorted(zip(tags, found, strict=True), key=lambda pair: pair[0]):
            key = f"{tag:08X}"
            if key in result:
                raise self._malformed(f"attribute {key} is there twice")
            if tag & 0xFFFF:
                vr = (
                    each.vr
                    or _KINDS.get(each.kind)
                    or plain_vr(tag, is_signed=bool(signed), creator=each.creator)
                )
                result[key] = self._given(vr, each, key)
        for key, creator in _reservations(tags, found):
            result.setdefault(key, {"vr": "LO", "Value": [creator]})
        return dict(sorted(result.items()))

    def _given(self, vr: str, each: _Attribute, key: str) -> Attribute:
        if not each.kind:
            return {"vr": vr}
        if each.kind == "BulkData":
            return {"vr": vr, "BulkDataURI": each.other}
        try:
            if each.kind == "InlineBinary":
                return _inline(vr, each.other)
            if max(each.values) != len(each.values):
                raise ValueError(key)
            return {"vr": vr, "Value": [_value(vr, each.values[n]) for n in sorted(each.values)]}
        except (ValueError, TypeError) as fault:
            raise self._malformed(f"attribute {key}: not a value of its VR") from fault


_KINDS: Final = {"Item": "SQ", "PersonName": "PN"}


def _parser(reader: Reader) -> "expat.XMLParserType":
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.on_doctype
    parser.EntityDeclHandler = reader.on_doctype
    parser.StartElementHandler = reader.on_start
    parser.EndElementHandler = reader.on_end
    parser.CharacterDataHandler = reader.on_text
    return parser


def _fits(vr: str, kind: str) -> bool:
    return not vr or _KINDS.get(kind) == vr or (kind == "Value" and vr not in ("SQ", "PN"))


def _is_signed(tag: int, each: _Attribute) -> bool:
    return tag == 0x00280103 and each.values.get(1) == "1"


def _inline(vr: str, base64: str) -> Attribute:
    """Give binary as such, and text as text: XML had no characters for some of it."""
    value = b64decode(base64, validate=True)
    if not value:
        return {"vr": vr}
    if vr not in TEXT_VRS and vr not in PLAIN_VRS:
        return {"vr": vr, "InlineBinary": base64}
    text = value.decode("utf-8", "surrogatepass")
    found: list[Any] = [text] if vr in SINGLE_VRS else text.split("\\")
    if vr == "PN":
        found = [person_name(each) if each else None for each in found]
    return {"vr": vr, "Value": [each or None for each in found]}


def _value(vr: str, value: Any) -> Any:
    if vr in ("SQ", "PN") or not value:
        return value or (None if vr != "SQ" else {})
    if vr == "AT":
        if not _TAG.fullmatch(value):
            raise ValueError(value)
        return value.upper()
    if vr in ("FL", "FD"):
        return json_number(vr, float(value))
    if vr in NUMBERS:
        return json_number(vr, integer(value))
    if vr not in TEXT_VRS and vr not in PLAIN_VRS:
        raise ValueError(vr)
    return value


def _placed(found: list[_Attribute]) -> list[int]:
    """Give the tags that attributes have in JSON: private ones are in blocks (PS3.5 7.8.1)."""
    blocks: dict[tuple[int, str], list[int]] = {}
    taken = {each.tag for each in found if not each.creator}
    for each in found:
        if is_private_creator(each.tag) and not each.creator and each.values.get(1):
            name = (each.tag >> 16, str(each.values[1]).strip(" "))
            blocks.setdefault(name, []).append(each.tag & 0xFF)
    used = {(tag >> 16, tag >> 8 & 0xFF if tag & 0xFF00 else tag & 0xFF) for tag in taken}
    tags = []
    for each in found:
        tag = each.tag
        if each.creator:
            tag = _place(
                each, blocks.setdefault((tag >> 16, each.creator.strip(" ")), []), taken, used
            )
            taken.add(tag)
        tags.append(tag)
    return tags


def _place(each: _Attribute, blocks: list[int], taken: set[int], used: set[tuple[int, int]]) -> int:
    for block in blocks:
        if (tag := each.tag | block << 8) not in taken:
            return tag
    group = each.tag >> 16
    free = next((block for block in range(0x10, 0x100) if (group, block) not in used), None)
    if free is None:
        raise Malformed("there are more private creators than blocks")
    used.add((group, free))
    blocks.append(free)
    return each.tag | free << 8


def _reservations(tags: list[int], found: list[_Attribute]) -> Iterable[tuple[str, str]]:
    """Give the private creators' own elements."""
    for tag, each in zip(tags, found, strict=True):
        if each.creator:
            yield f"{tag & 0xFFFF0000 | tag >> 8 & 0xFF:08X}", each.creator
