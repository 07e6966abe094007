"""A stand-in until isocenter.dicom.xml_model is there: the Native DICOM Model (PS3.19 A.1)."""

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from isocenter.dicom.dictionary import keyword_of


def write(document: dict[str, Any]) -> Iterator[bytes]:
    """A data set of the DICOM JSON model as XML."""
    yield b'<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xml:space="preserve">'
    yield from _attributes(document)
    yield b"</NativeDicomModel>"


def _attributes(document: dict[str, Any]) -> Iterator[bytes]:
    for tag8, element in document.items():
        keyword = quoteattr(keyword_of(int(tag8, 16)))
        vr = element["vr"]
        yield f'<DicomAttribute tag="{tag8}" vr="{vr}" keyword={keyword}>'.encode()
        for number, value in enumerate(element.get("Value", ()), 1):
            yield from _value(vr, number, value)
        yield b"</DicomAttribute>"


def _value(vr: str, number: int, value: Any) -> Iterator[bytes]:
    if vr == "SQ":
        yield f'<Item number="{number}">'.encode()
        yield from _attributes(value)
        yield b"</Item>"
    elif vr == "PN":
        yield f'<PersonName number="{number}">'.encode()
        for group, name in value.items():
            parts = zip(
                ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"),
                name.split("^"),
                strict=False,
            )
            inner = "".join(f"<{part}>{escape(text)}</{part}>" for part, text in parts if text)
            yield f"<{group}>{inner}</{group}>".encode()
        yield b"</PersonName>"
    elif value is not None:
        yield f'<Value number="{number}">{escape(str(value))}</Value>'.encode()
