"""The Native DICOM Model, written from the DICOM JSON model (PS3.19 A.1, PS3.18 F.3.1).

``read`` leads back. Both models hold the same: XML says for each private attribute by whom it is,
and JSON in which block. What XML has no characters for is written as InlineBinary, in UTF-8.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from isocenter.dicom.decimals import decimal_string
from isocenter.dicom.dictionary import creator_tag, is_private, is_private_creator, keyword_of
from isocenter.dicom.json_model import GROUPS, joined_name
from isocenter.dicom.layout import Buffer
from isocenter.dicom.values import PLAIN_VRS, TEXT_VRS
from isocenter.dicom.xml_reading import NAMESPACE, Reader, read
from isocenter.errors import Malformed

__all__ = ["NAMESPACE", "Reader", "read", "write"]

Pairs = Iterable[tuple[str, Mapping[str, Any]]]
"""A data set's attributes in the order of their tags."""

PIECE: Final = 1 << 16
"""Characters that are collected before they are given out, or thereabouts."""
BASE64_STEP: Final = 3 << 16
"""Bytes that are encoded at a time: whole groups of three."""
COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_URN: Final = "urn:uuid:"
_START: Final = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" '
    'xml:space="preserve">\n'
)
_END: Final = "</NativeDicomModel>\n"
_INEXPRESSIBLE: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML has no way to say (XML 1.0 2.2)."""
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
"""What is markup, and what a reader would make something else of (XML 1.0 2.11, 3.3.3)."""
_ESCAPED_IN_QUOTES: Final = _ESCAPED | str.maketrans({"\n": "&#10;", "\t": "&#9;", '"': "&quot;"})


def write(dataset: Mapping[str, Mapping[str, Any]] | Pairs) -> Iterator[bytes]:
    """Give the XML of a data set in the JSON model, in UTF-8, a piece at a time.

    InlineBinary may be ``bytes`` or a view instead of base64, and sequences may be iterators, as
    ``json_model.unfolding`` makes them: then nothing large is held. Raises: Malformed, for what is
    no DICOM JSON model object.
    """
    collected: list[str] = [_START]
    size = 0
    try:
        for text in _attributes(dataset):
            collected.append(text)
            size += len(text)
            if size >= PIECE:
                yield "".join(collected).encode()
                collected.clear()
                size = 0
    except (ValueError, TypeError, AttributeError, LookupError) as fault:
        raise Malformed("not a DICOM JSON model object") from fault
    yield ("".join(collected) + _END).encode()


def _attributes(dataset: Mapping[str, Mapping[str, Any]] | Pairs) -> Iterator[str]:
    creators: dict[int, str] = {}
    pairs = sorted(dataset.items()) if isinstance(dataset, Mapping) else dataset
    for key, attribute in pairs:
        tag = int(key, 16)
        if is_private_creator(tag):
            creators[tag] = _creator(attribute)
        yield f"<DicomAttribute {_name(tag, creators)} vr={_quoted(attribute['vr'])}"
        started = False
        for text in _content(attribute):
            yield text if started else f">\n{text}"
            started = True
        yield "</DicomAttribute>\n" if started else "/>\n"


def _creator(attribute: Mapping[str, Any]) -> str:
    """Give the private creator in the element that reserves its block, if XML can say it."""
    values = attribute.get("Value") or ("",)
    name = values[0] or ""
    return "" if _INEXPRESSIBLE.search(name) else name


def _name(tag: int, creators: dict[int, str]) -> str:
    if is_private(tag):
        creator = creators.get(creator_tag(tag)) if tag & 0xFFFF >= 0x1000 else None
        if creator:
            return f'tag="{tag & 0xFFFF00FF:08X}" privateCreator={_quoted(creator)}'
        return f'tag="{tag:08X}"'
    keyword = keyword_of(tag)
    return f'tag="{tag:08X}" keyword="{keyword}"' if keyword else f'tag="{tag:08X}"'


def _content(attribute: Mapping[str, Any]) -> Iterator[str]:
    vr = attribute["vr"]
    if "InlineBinary" in attribute:
        yield from _inline(attribute["InlineBinary"])
    elif "BulkDataURI" in attribute:
        uri: str = attribute["BulkDataURI"]
        is_uuid = uri.startswith(_URN)
        kind, reference = ("uuid", uri.removeprefix(_URN)) if is_uuid else ("uri", uri)
        yield f"<BulkData {kind}={_quoted(reference)}/>\n"
    elif vr == "SQ":
        for number, item in enumerate(attribute.get("Value") or (), 1):
            yield f'<Item number="{number}">\n'
            yield from _attributes(item or {})
            yield "</Item>\n"
    else:
        values = attribute.get("Value") or ()
        texts = [_text(vr, value) for value in values]
        if any(map(_INEXPRESSIBLE.search, texts)):
            value = "\\".join(texts).encode("utf-8", "surrogatepass")
            yield from _inline(value)
        elif vr == "PN":
            for number, value in enumerate(values, 1):
                yield from _person_name(number, value)
        else:
            for number, text in enumerate(texts, 1):
                yield f'<Value number="{number}">{text.translate(_ESCAPED)}</Value>\n'


def _inline(value: str | Buffer) -> Iterator[str]:
    yield "<InlineBinary>"
    if isinstance(value, str):
        yield value.translate(_ESCAPED)
    else:
        for at in range(0, len(value), BASE64_STEP):
            yield b64encode(value[at : at + BASE64_STEP]).decode("ascii")
    yield "</InlineBinary>\n"


def _text(vr: str, value: Any) -> str:
    if value is None:
        return ""
    if vr == "PN":
        return joined_name(value)
    if isinstance(value, str):
        return value
    if vr in TEXT_VRS or (vr in PLAIN_VRS and vr not in ("DS", "IS")):
        raise TypeError(vr)
    return decimal_string(value) if vr == "DS" else str(value)


def _person_name(number: int, value: Mapping[str, str] | None) -> Iterator[str]:
    """Write one name; an empty component that another follows is written, too."""
    yield f'<PersonName number="{number}">\n'
    for group in GROUPS:
        if name := (value or {}).get(group):
            yield f"<{group}>"
            for component, text in zip(COMPONENTS, name.split("^", 4), strict=False):
                yield f"<{component}>{text.translate(_ESCAPED)}</{component}>"
            yield f"</{group}>\n"
    yield "</PersonName>\n"


def _quoted(text: str) -> str:
    if _INEXPRESSIBLE.search(text):
        raise ValueError(text)
    return f'"{text.translate(_ESCAPED_IN_QUOTES)}"'
