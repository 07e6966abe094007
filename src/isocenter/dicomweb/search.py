"""Search: studies, series, instances (PS3.18 10.6), and instances of no patient (12.6)."""

import dataclasses
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.dicom import xml_model
from isocenter.dicomweb import addresses
from isocenter.dicomweb.negotiation import DICOM_JSON, DICOM_XML, Chosen, Offer, choose
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.dicomweb.resources import Endpoint, Method, Parameter, Resource
from isocenter.dicomweb.search_answers import (
    OF_INSTANCE,
    OF_SERIES,
    OF_STUDY,
    Answers,
    Shape,
    of_category,
)
from isocenter.dicomweb.search_parameters import PARAMETERS, Asked, read
from isocenter.storage.attributes import ATTRIBUTES, Attribute, Level
from isocenter.storage.query import Key, Query
from isocenter.storage.records import Answer, Match
from isocenter.web import multipart
from isocenter.web.delivery import Stream

Document = dict[str, Any]

OFFERS: Final = (Offer(DICOM_JSON), Offer(DICOM_XML, is_multipart=True))
AT_ONCE: Final = 100
"""Matches that are written before anybody else is heard."""
NAMED: Final = 20
"""Parameters without support that a warning names."""

_STUDY_UID, _SERIES_UID = 0x0020000D, 0x0020000E
_NO_WILDCARD: Final = re.compile(r'[^*?"]+')
_IN_PATH: Final = {"study": _STUDY_UID, "series": _SERIES_UID}


@dataclass(frozen=True, slots=True)
class _Searched:
    """What a resource searches."""

    level: Level
    shape: Shape
    known: Mapping[int, Attribute]
    sop_classes: tuple[str, ...] = ()
    """Of a category of instances of no patient."""


def _endpoint(searched: _Searched) -> Endpoint:
    async def search(request: Request) -> Response:
        return await _search(request, searched)

    return search


async def _search(request: Request, searched: _Searched) -> Response:
    archive: Archive = request.app.state.archive
    config: Config = request.app.state.config
    chosen = choose(request, OFFERS)
    asked = read(request.scope["query_string"], searched.known)
    answers = Answers(searched.level, searched.shape, asked, searched.known, config.aet)
    query = _query(request, searched, asked, answers.wanted)
    maximum = config.dicomweb.max_results
    limit = maximum if asked.limit is None else min(asked.limit, maximum)
    if query is None or not limit:
        return _Writer(request, asked, answers).nothing()
    found = await archive.answer(dataclasses.replace(query, limit=limit))
    return _Writer(request, asked, answers).response(found, limit, chosen)


def _query(
    request: Request, searched: _Searched, asked: Asked, wanted: frozenset[int]
) -> Query | None:
    """What to ask of the archive; None where nothing can match."""
    keys = {key.tag: key for key in asked.keys}
    for name, tag in _IN_PATH.items():
        if uid := addresses.uid(request, name):
            if not _NO_WILDCARD.fullmatch(uid):
                return None
            if tag in keys and uid not in keys[tag].value.split("\\"):
                return None
            keys[tag] = Key(tag, uid)
    return Query(
        level=searched.level,
        keys=tuple(keys.values()),
        returns=wanted,
        fuzzy=asked.fuzzy,
        combined_date_time=True,
        offset=asked.timezone,
        empty_values=asked.empty_values,
        multiple_values=asked.multiple_values,
        skip=asked.offset,
        non_patient=searched.sop_classes,
    )


class _Writer:
    """Writes the response to one request."""

    def __init__(self, request: Request, asked: Asked, answers: Answers) -> None:
        self._root = addresses.root(request)
        self._asked = asked
        self._answers = answers
        self._warnings: list[str] = []
        if asked.ignored:
            names = ", ".join(asked.ignored[:NAMED])
            self._warnings.append(f"These parameters are not supported and were ignored: {names}")

    def nothing(self) -> Response:
        return self._with_headers(Response(status_code=204))

    def response(self, found: Answer, limit: int, chosen: Chosen) -> Response:
        if not found.first:
            return self.nothing()
        known = len(found.first) + found.behind
        if known > limit:
            number = f"{'' if found.is_counted else 'at least '}{known - limit}"
            self._warnings.append(f"There are {number} additional results that can be requested")
        pages = _pages(found)
        if chosen.is_multipart:
            boundary = multipart.boundary()
            response: Response = Stream(
                self._xml(pages, boundary),
                headers={"content-type": multipart.content_type(boundary, DICOM_XML)},
            )
        elif known <= AT_ONCE or limit <= AT_ONCE:
            response = Response(b"[" + self._json(found.first) + b"]", media_type=chosen.called)
        else:
            response = Stream(self._array(pages), media_type=chosen.called)
        if found.is_counted:
            response.headers["x-total-count"] = str(self._asked.offset + known)
        return self._with_headers(response)

    def _with_headers(self, response: Response) -> Response:
        for text in self._warnings:
            response.headers.append("warning", f"299 {self._root}: {text}")
        return response

    def _made(self, match: Match) -> Document:
        return self._answers.make(match.attributes, _url(self._root, match.attributes))

    def _json(self, matches: list[Match]) -> bytes:
        """Objects with commas between."""
        return orjson.dumps([self._made(match) for match in matches])[1:-1]

    async def _array(self, pages: AsyncIterator[list[Match]]) -> AsyncIterator[bytes]:
        before = b"["
        async for some in pages:
            yield before + self._json(some)
            before = b","
        yield b"]"

    async def _xml(self, pages: AsyncIterator[list[Match]], boundary: str) -> AsyncIterator[bytes]:
        head = {"Content-Type": DICOM_XML}
        is_first = True
        async for some in pages:
            written = bytearray()
            for match in some:
                written += multipart.part_head(boundary, head, is_first)
                for piece in xml_model.write(self._made(match)):
                    written += piece
                is_first = False
            yield bytes(written)
        yield multipart.end(boundary)


async def _pages(found: Answer) -> AsyncIterator[list[Match]]:
    """All matches, a few at a time."""
    yield found.first
    async for page in found.pages:
        for start in range(0, len(page), AT_ONCE):
            yield page[start : start + AT_ONCE]


def _url(root: str, match: Document) -> str:
    uids = (_text(match, tag8) for tag8 in ("0020000D", "0020000E", "00080018", "00080016"))
    study, series, instance, sop_class = uids
    if instance:
        return addresses.instance(root, sop_class, study, series, instance)
    return addresses.series_of(root, study, series) if series else addresses.study(root, study)


def _text(match: Document, tag8: str) -> str:
    return str(match[tag8]["Value"][0]) if tag8 in match else ""


# --- the resources

_PARAMETERS: Final = (*PARAMETERS, Parameter(name="charset", source="PS3.18 8.3.3.2"))
_STATUSES: Final = {
    200: "the matches; a Warning header field says if there are more",
    204: "nothing matches",
    400: "a parameter cannot be read, or is given twice",
    406: "none of the accepted media types can be given",
}


def _resource(name: str, path: str, searched: _Searched, source: str = "PS3.18 10.6") -> Resource:
    return Resource(
        name=name,
        path=path,
        methods={
            "GET": Method(
                transaction="Search",
                source=source,
                endpoint=_endpoint(searched),
                statuses=_STATUSES,
                gives=tuple(str(offer) for offer in OFFERS),
                parameters=_PARAMETERS,
            )
        },
    )


def _of_patients(name: str, path: str, level: Level, shape: Shape) -> Resource:
    return _resource(name, path, _Searched(level, shape, ATTRIBUTES))


def _of_none(name: str, sop_classes: frozenset[str]) -> Resource:
    shape, known = of_category(name)
    searched = _Searched(Level.IMAGE, shape, known, tuple(sorted(sop_classes)))
    return _resource(name, f"/{name}", searched, "PS3.18 12.6")


RESOURCES: tuple[Resource, ...] = (
    _of_patients("All Studies", "/studies", Level.STUDY, OF_STUDY),
    _of_patients("Study's Series", "/studies/{study}/series", Level.SERIES, OF_SERIES),
    _of_patients(
        "Study's Instances", "/studies/{study}/instances", Level.IMAGE, OF_SERIES + OF_INSTANCE
    ),
    _of_patients("All Series", "/series", Level.SERIES, OF_STUDY + OF_SERIES),
    _of_patients(
        "Study's Series' Instances",
        "/studies/{study}/series/{series}/instances",
        Level.IMAGE,
        OF_INSTANCE,
    ),
    _of_patients("All Instances", "/instances", Level.IMAGE, OF_STUDY + OF_SERIES + OF_INSTANCE),
    *(_of_none(name, sop_classes) for name, sop_classes in CATEGORIES.items()),
)
