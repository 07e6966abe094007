"""Patient $everything: all that the archive has of one patient.

Source: https://hl7.org/fhir/R4/operation-patient-everything.html
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.errors import Malformed, Unsupported
from isocenter.fhir import (
    asking,
    bundles,
    diagnostic_report,
    endpoint,
    imaging_study,
    negotiation,
    patient,
    places,
)
from isocenter.fhir.dates import Interval, interval
from isocenter.fhir.demands import Demands
from isocenter.fhir.here import Here, here
from isocenter.fhir.projection import WHOLE
from isocenter.fhir.registry import Found, Place, ResourceType, Wanted
from isocenter.fhir.releases import Release
from isocenter.storage.records import Match
from isocenter.web.delivery import Stream

NAME: Final = "everything"
DEFINITION: Final = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
PARAMETERS: Final = ("start", "end", "_type", "_count")

# In this order, page after page.
_STAGES: Final = (imaging_study.RESOURCE, diagnostic_report.RESOURCE)
_FIRST: Final = (patient.RESOURCE, endpoint.RESOURCE)
_STUDY_DATE: Final = 0x00080020


async def everything(request: Request, release: Release) -> Response:
    """GET Patient/[id]/$everything. Raises: NotFound, Malformed, Unsupported; HTTPException."""
    pairs = await asking.parameters(request)
    media_type = negotiation.chosen(request, asking.format_of(pairs), release)
    reached = here(request, release)
    whose = await patient.one(reached, request.path_params["id"])
    asked = _Asked(pairs, asking.is_strict(request))
    demands = Demands(reached.base, reached.zone)
    demands.of_patients((whose.patient,))
    if asked.between is not None:
        demands.within(_STUDY_DATE, None, [asked.between])
    pages, following = await _find(reached, demands, asked)
    url = f"{reached.url(patient.TYPE, whose.patient)}/${NAME}"
    links = {"self": asked.url(url, asked.place)}
    if following is not None:
        links["next"] = asked.url(url, places.written(following))
    entries = _entries(reached, whose, asked, pages)
    bundle = bundles.searchset(links, None, entries)
    return Stream(bundles.together(bundle), media_type=media_type)


class _Asked:
    """What is asked of everything."""

    def __init__(self, pairs: asking.Pairs, is_strict: bool) -> None:
        """Raises: Malformed, Unsupported."""
        self._heeded = [
            (name, value) for name, value in pairs if name in PARAMETERS or name == "_format"
        ]
        given = dict(pairs)
        self.place = given.get(asking.PLACE, "")
        self.count = asking.count(given.get("_count")) or asking.PAGE
        self.types = frozenset(filter(None, given.get("_type", "").split(",")))
        known = {*PARAMETERS, "_format", "_pretty", asking.PLACE}
        self.ignored = [name for name, _ in pairs if name not in known]
        if self.ignored and is_strict:
            listed = ", ".join(each[:80] for each in self.ignored[:20])
            raise Unsupported(f"these parameters are not supported: {listed}")
        self.between = _between(given.get("start", ""), given.get("end", ""))

    def has(self, kind: ResourceType) -> bool:
        """Whether resources of a kind are wanted."""
        return not self.types or kind.name in self.types

    def url(self, base: str, place: str) -> str:
        """Where the page is that begins at ``place``."""
        pairs = [*self._heeded, *([(asking.PLACE, place)] if place else [])]
        return asking.url(base, pairs)


def _between(start: str, end: str) -> Interval | None:
    """The care dates that are asked for, by the day. Raises: Malformed, Unsupported."""
    if not start and not end:
        return None
    if any(each[:2].isalpha() for each in (start, end)):
        raise Malformed("start and end are dates without a prefix")
    begin = interval(f"ge{start[:10]}", None) if start else Interval(None, None)
    return begin.within(interval(f"le{end[:10]}", None) if end else Interval(None, None))


Pages = list[tuple[ResourceType, Found]]


async def _find(here: Here, demands: Demands, asked: _Asked) -> tuple[Pages, Place | None]:
    """Fill one page, stage after stage, and say where the next begins."""
    stage, place = _read(asked.place)
    pages: Pages = []
    left = asked.count
    if demands.is_vain:
        return [], None
    for number in range(stage, len(_STAGES)):
        kind = _STAGES[number]
        if not asked.has(kind):
            continue
        if not left:
            return pages, Place(0, (number,))
        found = await kind.find(here, demands, Wanted(count=left, place=place))
        pages.append((kind, found))
        left -= len(found.entities)
        if found.following is not None:
            return pages, Place(0, (number, *found.following))
        place = Place()
    return pages, None


def _read(text: str) -> tuple[int, Place]:
    """The stage that a page begins in, and where. Raises: Malformed."""
    if not text:
        return 0, Place()
    for number, kind in enumerate(_STAGES):
        for kinds in ((int,), (int, *kind.position)):
            try:
                found = places.read(text, kinds).after
            except Malformed:
                continue
            if found[0] == number:
                return number, Place(0, tuple(found[1:]))
    raise Malformed(places.UNREADABLE)


async def _entries(here: Here, whose: Match, asked: _Asked, pages: Pages) -> AsyncIterator[bytes]:
    if asked.ignored:
        names = ", ".join(each[:80] for each in asked.ignored[:20])
        yield bundles.warning(f"These parameters are not supported and were ignored: {names}")
    firsts: Sequence[tuple[ResourceType, Found]] = ()
    if not asked.place:
        of_studies = [each for each in endpoint.SERVICES if each.is_of_studies]
        firsts = tuple(zip(_FIRST, (Found([whose]), Found(of_studies)), strict=True))
    for kind, found in (*firsts, *pages):
        if asked.has(kind) and found.entities:
            written = kind.write(here, found.entities, WHOLE)
            async for piece in bundles.entries(here, kind.name, written, "match"):
                yield piece
