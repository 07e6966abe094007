"""Reading and searching: what is done with every resource.

Source: https://hl7.org/fhir/R4/http.html
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.errors import NotFound, Unsupported
from isocenter.fhir import asking, bundles, including, negotiation, places
from isocenter.fhir.asking import Asked
from isocenter.fhir.demands import Demands, is_id
from isocenter.fhir.here import Here, here
from isocenter.fhir.including import Inclusion
from isocenter.fhir.projection import WHOLE, Projection, projection
from isocenter.fhir.registry import Found, Place, ResourceType, Wanted
from isocenter.fhir.releases import Release
from isocenter.web import conditional
from isocenter.web.conditional import Validator
from isocenter.web.delivery import Stream

NAMED: Final = 20
"""Parameters without support that a warning names."""


class Interactions:
    """What can be done with one type of resource in one release."""

    def __init__(self, kind: ResourceType, release: Release) -> None:
        self._kind = kind
        self._release = release

    async def read(self, request: Request) -> Response:
        """GET [type]/[id]. Raises: NotFound, Malformed; HTTPException 406."""
        pairs = await asking.parameters(request)
        media_type = negotiation.chosen(request, asking.format_of(pairs), self._release)
        asked = asking.controls(pairs)
        id = request.path_params["id"]
        if not is_id(id):
            raise NotFound("that is no logical id")
        reached = here(request, self._release)
        entity = await self._kind.one(reached, id)
        wanted = self._projection(self._kind, asked)
        pieces = (each.piece async for each in self._kind.write(reached, (entity,), wanted))
        if not self._kind.is_short(entity):
            return Stream(bundles.together(pieces), media_type=media_type)
        body = b"".join([piece async for piece in pieces])
        if not body:
            raise NotFound("FHIR has no way to tell of it")
        return whole(request, body, media_type)

    async def search(self, request: Request) -> Response:
        """GET [type]?…, POST [type]/_search.

        Raises: Malformed, Unsupported; HTTPException 406, 410, 413, 415.
        """
        pairs = await asking.parameters(request)
        media_type = negotiation.chosen(request, asking.format_of(pairs), self._release)
        reached = here(request, self._release)
        demands = Demands(reached.base, reached.zone)
        asked = self._asked(pairs, demands)
        if asked.ignored and asking.is_strict(request):
            listed = ", ".join(each[:80] for each in asked.ignored[:NAMED])
            raise Unsupported(f"these parameters are not supported: {listed}")
        found = await self._found(reached, demands, asked)
        links = {"self": asked.url(f"{reached.base}/{self._kind.name}")}
        if found.following is not None:
            shown = places.read(asked.place, self._kind.position).shown + len(found.entities)
            place = places.written(Place(shown, found.following))
            links["next"] = asked.url(f"{reached.base}/{self._kind.name}", place)
        entries = self._entries(reached, asked, found)
        bundle = bundles.searchset(links, found.total, entries)
        return Stream(bundles.together(bundle), media_type=media_type)

    def _asked(self, pairs: asking.Pairs, demands: Demands) -> Asked:
        includable = (
            including.of(including.INCLUDES, self._kind, self._release),
            including.of(including.REVERSE, self._kind, self._release),
        )
        return asking.read(pairs, self._kind, self._release, demands, includable)

    async def _found(self, here: Here, demands: Demands, asked: Asked) -> Found:
        place = places.read(asked.place, self._kind.position)
        if demands.is_vain:
            return Found(total=0)
        if asked.summary == "count" or asked.count == 0:
            return Found(total=await self._kind.count(here, demands))
        wanted = Wanted(count=asked.count, place=place, sort=asked.sort)
        found = await self._kind.find(here, demands, wanted)
        if asked.total == "accurate" and found.total is None:
            return Found(found.entities, found.following, await self._kind.count(here, demands))
        if asked.total == "none":
            return Found(found.entities, found.following)
        return found

    async def _entries(self, here: Here, asked: Asked, found: Found) -> AsyncIterator[bytes]:
        if asked.ignored:
            names = ", ".join(each[:80] for each in asked.ignored[:NAMED])
            yield bundles.warning(f"These parameters are not supported and were ignored: {names}")
        if not found.entities:
            return
        written = self._kind.write(here, found.entities, self._projection(self._kind, asked))
        async for piece in bundles.entries(here, self._kind.name, written, "match"):
            yield piece
        given: set[str] = set()
        for inclusion in self._inclusions(asked):
            if inclusion.gives.name in given:  # by another name: once is enough
                continue
            given.add(inclusion.gives.name)
            async for piece in self._included(here, inclusion, found, asked):
                yield piece

    def _inclusions(self, asked: Asked) -> list[Inclusion]:
        tables: tuple[tuple[Mapping[str, Inclusion], tuple[str, ...]], ...] = (
            (including.INCLUDES, asked.includes),
            (including.REVERSE, asked.reverse_includes),
        )
        return [table[name] for table, names in tables for name in names]

    async def _included(
        self, here: Here, inclusion: Inclusion, found: Found, asked: Asked
    ) -> AsyncIterator[bytes]:
        kind = inclusion.gives
        wanted = self._projection(kind, asked)
        async for some in inclusion.find(here, found.entities):
            written = kind.write(here, some, wanted)
            async for piece in bundles.entries(here, kind.name, written, "include"):
                yield piece

    def _projection(self, kind: ResourceType, asked: Asked) -> Projection:
        if asked.summary is None and asked.elements is None:
            return WHOLE
        mandatory = kind.mandatory.get(self._release, frozenset())
        return projection(
            kind.name, asked.summary, asked.elements, mandatory, kind.left_out_of_summary
        )


def whole(request: Request, body: bytes, media_type: str) -> Response:
    """Answer with what is at hand; not again, if the asker has it. Raises: HTTPException 412."""
    validator = Validator(conditional.etag(body, is_weak=True))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    return Response(body, media_type=media_type, headers=validator.headers)
