"""Media types as they are written in Accept and Content-Type (PS3.18 8.7; RFC 9110 8.3.1, 12.5.1).

Parameters are taken quoted or not, also where their value has characters that want quotes: PS3.18
8.7.1 allows ``type=application/dicom`` both ways.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from isocenter.errors import Malformed

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_NAME = re.compile(rf"\s*({_WORD})\s*=\s*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*', re.DOTALL)
_BARE = re.compile(r"([^\s\";,\\]*)\s*")
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")

MULTIPART = "multipart/related"


@dataclass(frozen=True, slots=True)
class MediaType:
    """A media type, or a range of them."""

    type: str
    """Type and subtype in lower case, as in ``application/dicom``; ``*`` stands for any."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """By name in lower case, without quotes; ``q`` is not among them."""
    q: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one media type with its parameters. Raises: Malformed."""
        segments = list(_split(text, ";"))
        name = segments[0].strip().lower()
        if not _TYPE.fullmatch(name):
            raise Malformed(f"{name[:80]!r} is no media type")
        parameters: dict[str, str] = {}
        for segment in segments[1:]:
            if segment.strip():
                key, value = _parameter(segment)
                if key in parameters:  # RFC 6838 4.3
                    raise Malformed(f"the parameter {key!r} of {name!r} stands twice")
                parameters[key] = value
        return cls(name, parameters, _weight(parameters.pop("q", "1")))

    @classmethod
    def parse_list(cls, text: str) -> tuple[Self, ...]:
        """Read a list; leave out what is no media type (PS3.18 8.7.7)."""
        found = []
        for member in _split(text, ","):
            try:
                found.append(cls.parse(member))
            except Malformed:
                continue
        return tuple(found)

    @property
    def is_multipart(self) -> bool:
        """It is packaged in parts."""
        return self.type == MULTIPART

    @property
    def of_parts(self) -> str:
        """The media type of the content itself: for a multipart, of its parts.

        Empty, where a multipart does not say it.
        """
        return self.parameters.get("type", "").lower() if self.is_multipart else self.type

    def __str__(self) -> str:
        return "; ".join(
            [self.type, *(f"{name}={quoted(value)}" for name, value in self.parameters.items())]
        )


def quoted(value: str) -> str:
    """Write a parameter's value, in quotes if it needs them."""
    if re.fullmatch(_WORD, value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _parameter(segment: str) -> tuple[str, str]:
    if not (name := _NAME.match(segment)):
        raise Malformed(f"{segment.strip()[:80]!r} is no parameter of a media type")
    rest = segment[name.end() :]
    if whole := _QUOTED.fullmatch(rest):
        return name[1].lower(), re.sub(r"\\(.)", r"\1", whole[1])
    if whole := _BARE.fullmatch(rest):
        return name[1].lower(), whole[1]
    raise Malformed(f"the value of the parameter {name[1]!r} is not well formed")


def _weight(text: str) -> float:
    if not _WEIGHT.fullmatch(text):
        raise Malformed(f"{text[:20]!r} is no weight between 0 and 1")
    return float(text)


def _split(text: str, separator: str) -> Iterator[str]:
    """Split at what does not stand within quotes."""
    start, at = 0, 0
    is_quoted = False
    while at < len(text):
        character = text[at]
        if character == "\\" and is_quoted:
            at += 1
        elif character == '"':
            is_quoted = not is_quoted
        elif character == separator and not is_quoted:
            yield text[start:at]
            start = at + 1
        at += 1
    yield text[start:]
