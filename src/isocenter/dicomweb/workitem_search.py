"""Search for workitems (PS3.18 11.9)."""

from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.worklist import Worklist
from isocenter.config import Config
from isocenter.dicom.procedure_step import TABLE
from isocenter.dicomweb import workitem_payloads
from isocenter.dicomweb.negotiation import choose
from isocenter.dicomweb.resources import Method
from isocenter.dicomweb.search_parameters import PARAMETERS, Asked, read
from isocenter.dicomweb.workitem_answers import warn
from isocenter.storage.workitem_records import Dataset
from isocenter.storage.workitem_search import KNOWN, PAGE, WorkitemQuery

COUNTED: Final = 10_000
"""Further matches are counted up to here."""
NAMED: Final = 20
"""Parameters without support that a warning names."""

_PERFORMED: Final = "00741216"
_ALWAYS: Final = frozenset(each.tag8 for each in TABLE.values() if each.returned in ("1", "2"))
_IF_THERE: Final = frozenset(each.tag8 for each in TABLE.values() if each.returned in ("1C", "2C"))
_PERFORMED_IF_THERE: Final = frozenset(
    each.tag8 for each in TABLE[int(_PERFORMED, 16)].items.values() if each.returned == "1C"
)


async def search(request: Request) -> Response:
    """GET /workitems."""
    worklist: Worklist = request.app.state.archive.worklist
    config: Config = request.app.state.config
    chosen = choose(request, workitem_payloads.OFFERS)
    asked = read(request.scope["query_string"], KNOWN)
    most = config.dicomweb.max_results
    limit = most if asked.limit is None else min(asked.limit, most)
    query = _query(asked, limit)
    pages = worklist.search(query)
    first: list[Dataset] = await anext(aiter(pages), [])
    if first:
        response = workitem_payloads.stream(chosen, _returned(first, pages, asked))
        if len(first) == min(limit, PAGE):
            await _tell_more(request, response, worklist, query)
    else:
        response = Response(status_code=204)
    if asked.ignored:
        names = ", ".join(asked.ignored[:NAMED])
        warn(request, response, f"These parameters are not supported and were ignored: {names}")
    response.headers["Cache-Control"] = "no-cache"
    return response


def _query(asked: Asked, limit: int) -> WorkitemQuery:
    return WorkitemQuery(
        keys=asked.keys,
        fuzzy=asked.fuzzy,
        empty_values=asked.empty_values,
        multiple_values=asked.multiple_values,
        skip=asked.offset,
        limit=limit,
        offset=asked.timezone,
    )


async def _tell_more(
    request: Request, response: Response, worklist: Worklist, query: WorkitemQuery
) -> None:
    """Warn of matches that are left (PS3.18 8.3.4.4.1)."""
    seen = query.skip + (query.limit or 0)
    most = seen + COUNTED
    remaining = await worklist.count(query, most) - seen
    if remaining > 0:
        number = f"{'at least ' if remaining == COUNTED else ''}{remaining}"
        warn(request, response, f"There are {number} additional results that can be requested")


async def _returned(
    first: list[Dataset], pages: AsyncIterator[list[Dataset]], asked: Asked
) -> AsyncIterator[list[Dataset]]:
    """What the answer tells, page by page."""
    yield [returned(each, asked) for each in first]
    async for page in pages:
        yield [returned(each, asked) for each in page]


def returned(workitem: Dataset, asked: Asked) -> Dataset:
    """What an answer tells of a workitem (PS3.18 11.9.2)."""
    if asked.is_all:
        return workitem
    also = {f"{key.tag:08X}" for key in asked.returns}
    wanted = _ALWAYS | also
    found: Dataset = {tag8: {"vr": TABLE[int(tag8, 16)].vr} for tag8 in wanted}
    found |= {tag8: workitem[tag8] for tag8 in workitem.keys() & (wanted | _IF_THERE)}
    if _PERFORMED not in wanted and (performed := _performed(workitem)):
        found[_PERFORMED] = {"vr": "SQ", "Value": performed}
    return dict(sorted(found.items()))


def _performed(workitem: Dataset) -> list[Dataset]:
    """Of what was performed, who did it and when it ended."""
    items = workitem.get(_PERFORMED, {}).get("Value") or []
    kept = [
        {tag8: item[tag8] for tag8 in sorted(item.keys() & _PERFORMED_IF_THERE)} for item in items
    ]
    return [each for each in kept if each]


METHOD: Final = Method(
    transaction="Search for Workitems",
    source="PS3.18 11.9",
    endpoint=search,
    gives=workitem_payloads.GIVES,
    statuses={
        200: "the matches by scheduled start; a Warning header field says if there are more",
        204: "nothing matches",
        400: "a parameter cannot be read, or is given twice",
        406: "none of the accepted media types can be given",
    },
    parameters=PARAMETERS,
)
