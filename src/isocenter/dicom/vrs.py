"""Value representations: what each is called and may hold (PS3.5 6.2)."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class ValueRepresentation:
    """One row of PS3.5 Table 6.2-1."""

    code: str
    name: str
    holds: str
    length: str
    """Of one value."""


_ROWS: Final = (
    ("AE", "Application Entity", "the title of an application", "16 bytes at most"),
    ("AS", "Age String", "an age: nnnD, nnnW, nnnM or nnnY", "4 bytes"),
    ("AT", "Attribute Tag", "a tag, as two 16-bit numbers", "4 bytes"),
    ("CS", "Code String", "a term in capitals, digits, space and underscore", "16 bytes at most"),
    ("DA", "Date", "a date as YYYYMMDD", "8 bytes"),
    ("DS", "Decimal String", "a decimal number as text", "16 bytes at most"),
    ("DT", "Date Time", "YYYYMMDDHHMMSS.FFFFFF&ZZXX, cut off anywhere", "26 bytes at most"),
    ("FD", "Floating Point Double", "a 64-bit floating point number", "8 bytes"),
    ("FL", "Floating Point Single", "a 32-bit floating point number", "4 bytes"),
    ("IS", "Integer String", "a whole number of 32 bits as text", "12 bytes at most"),
    ("LO", "Long String", "a line of text", "64 characters at most"),
    ("LT", "Long Text", "paragraphs of text, never several", "10240 characters at most"),
    ("OB", "Other Byte", "bytes", "as the transfer syntax has it"),
    ("OD", "Other Double", "64-bit floating point numbers in a row", "4 GB at most"),
    ("OF", "Other Float", "32-bit floating point numbers in a row", "4 GB at most"),
    ("OL", "Other Long", "32-bit words", "as the transfer syntax has it"),
    ("OV", "Other 64-bit Very Long", "64-bit words", "as the transfer syntax has it"),
    ("OW", "Other Word", "16-bit words", "as the transfer syntax has it"),
    (
        "PN",
        "Person Name",
        "family^given^middle^prefix^suffix; alphabetic=ideographic=phonetic",
        "64 characters at most in each of the three groups",
    ),
    ("SH", "Short String", "a short line of text", "16 characters at most"),
    ("SL", "Signed Long", "a signed 32-bit number", "4 bytes"),
    ("SQ", "Sequence of Items", "items, each a data set", "any"),
    ("SS", "Signed Short", "a signed 16-bit number", "2 bytes"),
    ("ST", "Short Text", "a paragraph or more of text, never several", "1024 characters at most"),
    ("SV", "Signed 64-bit Very Long", "a signed 64-bit number", "8 bytes"),
    ("TM", "Time", "a time as HHMMSS.FFFFFF, cut off anywhere", "14 bytes at most"),
    ("UC", "Unlimited Characters", "text of any length", "4 GB at most"),
    ("UI", "Unique Identifier", "numbers with dots between", "64 bytes at most"),
    ("UL", "Unsigned Long", "an unsigned 32-bit number", "4 bytes"),
    ("UN", "Unknown", "bytes that nobody on the way knew", "any"),
    ("UR", "Universal Resource Identifier or Locator", "a URI, never several", "4 GB at most"),
    ("US", "Unsigned Short", "an unsigned 16-bit number", "2 bytes"),
    ("UT", "Unlimited Text", "paragraphs of any length, never several", "4 GB at most"),
    ("UV", "Unsigned 64-bit Very Long", "an unsigned 64-bit number", "8 bytes"),
)

VRS: Final = MappingProxyType({row[0]: ValueRepresentation(*row) for row in _ROWS})
"""All of them, by code."""
