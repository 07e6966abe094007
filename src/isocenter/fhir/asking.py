"""What a search asks for: its parameters, from the URL or from a form.

Source: https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/http.html#search
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

from isocenter.errors import Malformed, Unsupported
from isocenter.fhir.demands import Demands, Given, split
from isocenter.fhir.registry import ResourceType
from isocenter.fhir.releases import Release

FORM: Final = "application/x-www-form-urlencoded"
LONGEST_FORM: Final = 1 << 16
"""Bytes of a search that is posted."""
MOST_PARAMETERS: Final = 100

PAGE: Final = 50
"""Matches on a page, if nothing is said."""
LARGEST_PAGE: Final = 1_000

SUMMARIES: Final = ("true", "text", "data", "count", "false")
TOTALS: Final = ("none", "estimate", "accurate")
PLACE: Final = "_place"
"""Where a page begins: our own; only what a link said is taken."""

_CONTROLS: Final = frozenset(
    {
        "_count", "_summary", "_elements", "_total", "_sort", "_include", "_revinclude", "_format",
        "_pretty", PLACE,
    }
)  # fmt: skip
_NAME: Final = re.compile(r"([A-Za-z_-]+)(?::([A-Za-z]+))?(?:\.([A-Za-z_:-]+))?")

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How an answer is to be given; what is searched for is in ``Demands``."""

    heeded: Pairs = ()
    """The parameters that count, as they were given."""
    ignored: tuple[str, ...] = ()
    """What no one here understands."""
    count: int = PAGE
    summary: str | None = None
    elements: frozenset[str] | None = None
    total: str = ""
    sort: str = ""
    includes: tuple[str, ...] = ()
    reverse_includes: tuple[str, ...] = ()
    format: str | None = None
    place: str = ""

    def url(self, base: str, place: str = "") -> str:
        """Where the same is asked for: the page that begins at ``place``."""
        pairs = [pair for pair in self.heeded if pair[0] != PLACE]
        return url(base, [*pairs, *([(PLACE, place)] if place else [])])


def url(base: str, pairs: Pairs) -> str:
    """``base`` with parameters."""
    query = urlencode(pairs)
    return f"{base}?{query}" if query else base


async def parameters(request: Request) -> Pairs:
    """All parameters of a search, of the URL and of a form.

    Raises: HTTPException 413, 415; Malformed.
    """
    found = _pairs(request.scope["query_string"])
    if request.method != "POST":
        return found
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_FORM:
            raise HTTPException(413, f"a search has at most {LONGEST_FORM} bytes")
    if body and kind != FORM:
        raise HTTPException(415, f"a search is posted as {FORM}")
    return [*found, *_pairs(bytes(body))]


def _pairs(encoded: bytes) -> Pairs:
    try:
        return parse_qsl(
            encoded.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS
        )
    except ValueError as error:
        raise Malformed(f"more than {MOST_PARAMETERS} parameters") from error


def is_strict(request: Request) -> bool:
    """Whether what is not understood is refused (``Prefer: handling=strict``)."""
    said = ",".join(request.headers.getlist("prefer"))
    return any(each.strip().lower() == "handling=strict" for each in re.split("[,;]", said))


def format_of(pairs: Pairs) -> str | None:
    """What ``_format`` says."""
    return next((value for name, value in pairs if name == "_format"), None)


def controls(pairs: Pairs) -> Asked:
    """How one resource is to be given, that is read and not searched for. Raises: Malformed."""
    given = {name: value for name, value in pairs if name in _CONTROLS}
    return Asked(
        summary=_choice(given, "_summary", SUMMARIES) or None,
        elements=_elements(given.get("_elements", "")),
        format=given.get("_format"),
    )


def read(
    pairs: Pairs,
    kind: ResourceType,
    release: Release,
    demands: Demands,
    includable: tuple[Iterable[str], Iterable[str]],
) -> Asked:
    """Sort out what is asked, and add to ``demands`` what is searched for.

    ``includable``: what may be included, and in reverse. Raises: Malformed, Unsupported.
    """
    heeded: list[tuple[str, str]] = []
    ignored: list[str] = []
    given: dict[str, str] = {}
    includes: list[str] = []
    reverse: list[str] = []
    for name, value in pairs:
        into, known = _including(name, includes, reverse, includable)
        if into is not None:
            is_heeded = value in known
            if is_heeded:
                into.append(value)
        elif name in _CONTROLS:
            is_heeded = name != "_sort" or value in kind.sorts
            if is_heeded:
                given[name] = value
        else:
            is_heeded = _demanded(name, value, kind, release, demands)
        if is_heeded:
            heeded.append((name, value))
        else:
            ignored.append(f"{name}={value}" if name.startswith("_") else name)
    summary = _choice(given, "_summary", SUMMARIES)
    return Asked(
        heeded=heeded,
        ignored=tuple(ignored),
        count=count(given.get("_count")),
        summary=summary if summary not in ("", "false") else None,
        elements=_elements(given.get("_elements", "")),
        total=_choice(given, "_total", TOTALS),
        sort=given.get("_sort", ""),
        includes=tuple(dict.fromkeys(includes)),
        reverse_includes=tuple(dict.fromkeys(reverse)),
        format=given.get("_format"),
        place=given.get(PLACE, ""),
    )


def _including(
    name: str,
    includes: list[str],
    reverse: list[str],
    includable: tuple[Iterable[str], Iterable[str]],
) -> tuple[list[str] | None, Iterable[str]]:
    base, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        return None, ()
    if base == "_include":
        return includes, includable[0]
    return (reverse, includable[1]) if base == "_revinclude" else (None, ())


def _demanded(
    name: str, value: str, kind: ResourceType, release: Release, demands: Demands
) -> bool:
    """Add what a parameter demands; False, if there is none of that name.

    Raises: Malformed, Unsupported: a modifier that is not understood changes what is meant, so it
    is never ignored.
    """
    found = _NAME.fullmatch(name)
    parameter = kind.known(release).get(found[1]) if found else None
    if found is None or parameter is None:
        return False
    modifier, chain = found[2] or "", found[3] or ""
    if modifier and modifier not in parameter.modifiers + parameter.targets:
        raise Unsupported(f"the modifier {modifier[:40]} of {parameter.name}")
    if chain and "Patient" not in parameter.targets:
        raise Unsupported(f"to ask more of what {parameter.name} refers to")
    values = split(value)
    if values:  # one without a value asks for nothing
        parameter.demand(demands, Given(parameter.name, modifier, chain, values))
    return True


def _choice(given: dict[str, str], name: str, choices: Sequence[str]) -> str:
    value = given.get(name, "")
    if value and value not in choices:
        raise Malformed(f"{name} is one of {', '.join(choices)}")
    return value


def _elements(text: str) -> frozenset[str] | None:
    return frozenset(each for part in text.split(",") if (each := part.strip())) or None


def count(text: str | None) -> int:
    """How many matches a page is to have. Raises: Malformed."""
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Malformed("_count is a number of matches")
    return min(int(text), LARGEST_PAGE)
