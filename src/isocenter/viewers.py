"""Viewers that a study can be opened in: those we know, and others by a URL of one's own."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Final
from urllib.parse import quote

from isocenter.setting import Span

KNOWN: Final[Mapping[str, str]] = {
    "ohif": "OHIF",
    "weasis": "Weasis",
    "weasis-dicomweb": "Weasis (DICOMweb)",
    "slicer": "3D Slicer",
}
"""Those whose URLs we know, and what they are called."""

PLACES: Final = ("study", "patient", "issuer", "accession", "base", "dicomweb", "wado")
"""What a URL of one's own may leave open."""

# What these lead to would run, or be read, as if it came from us or lay on the reader's disk.
_REFUSED: Final = frozenset(
    ("javascript", "vbscript", "data", "file", "blob", "about", "filesystem")
)
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*):")
_UNSEEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\"<>\\^`]")


@dataclass(frozen=True, slots=True, kw_only=True)
class UiConfig:
    """The pages."""

    viewers: tuple[str, ...] = ("ohif", "weasis", "slicer")
    """What a study can be opened in: ``ohif`` (where it is installed), ``weasis``,
    ``weasis-dicomweb``, ``slicer``, or any other by a name and a URL, as in
    ``RadiAnt=radiant://?n=pstv&v=0020000D&v=%22{study}%22``. The URL may have in it ``{study}``,
    ``{patient}``, ``{issuer}``, ``{accession}``, and our own URLs ``{base}``, ``{dicomweb}`` and
    ``{wado}``."""

    longest_share: Annotated[float, Span(60, 10 * 366 * 24 * 3600)] = 90 * 24 * 3600.0
    """How long a link that shares a study can be used, at most."""


@dataclass(frozen=True, slots=True)
class Template:
    """A viewer that we do not know, and its URL with places to be filled."""

    name: str
    url: str

    @classmethod
    def read(cls, text: str) -> "Template":
        """Read ``name=URL``. Raises: ValueError."""
        name, is_split, url = (part.strip() for part in text.partition("="))
        if not is_split or not name or len(name) > 40 or not name.isprintable() or "/" in name:
            raise ValueError(f"{text!r} is none of {', '.join(KNOWN)}, and no name=URL")
        scheme = _SCHEME.match(url)
        if scheme is None or scheme[1] in _REFUSED:
            raise ValueError(f"{url!r} is no URL that a viewer could have")
        if _UNSEEN.search(url):
            raise ValueError(f"{url!r} has characters in it that a URL writes as %..")
        _check_places(url)
        return cls(name, url)

    def filled(self, values: Mapping[str, str]) -> str:
        """The URL with ``values``, each written so that it stays one value."""
        return self.url.format_map({name: quote(value, safe="") for name, value in values.items()})


def _check_places(url: str) -> None:
    """Raises: ValueError."""
    try:
        places = [each[1:] for each in Formatter().parse(url) if each[1] is not None]
    except ValueError as error:
        raise ValueError(f"{url!r}: {error}") from error
    for name, form, conversion in places:
        if name not in PLACES or form or conversion:
            known = ", ".join(f"{{{each}}}" for each in PLACES)
            raise ValueError(f"{url!r} may leave open only {known}")


def faults_of(config: UiConfig) -> Iterator[str]:
    """What is wrong with the viewers."""
    names = []
    for each in config.viewers:
        try:
            names.append(each if each in KNOWN else Template.read(each).name)
        except ValueError as error:
            yield f"ui.viewers: {error}"
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield f"ui.viewers: {name!r} is there twice"
