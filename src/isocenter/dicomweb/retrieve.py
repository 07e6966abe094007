"""Retrieve Transaction for instances: a study's, a series', one; of patients and of none.

Source: PS3.18 10.4 and 12.4. Metadata, bulk data, frames and renderings are modules of their own.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.exporting import name_of
from isocenter.dicomweb import addresses, bulkdata, metadata, negotiation, targets
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.files import DICOM, Body, Single, content_type
from isocenter.dicomweb.negotiation import AS_KEPT, OCTET_STREAM, Chosen, Offer
from isocenter.dicomweb.non_patient import CATEGORIES
from isocenter.dicomweb.parts import Parts
from isocenter.dicomweb.resources import Endpoint, Method, Parameter, Resource
from isocenter.dicomweb.syntaxes import Plan
from isocenter.dicomweb.zipped import Zipped
from isocenter.errors import Unavailable
from isocenter.storage.records import InstanceRef
from isocenter.web.conditional import etag
from isocenter.web.delivery import Stream
from isocenter.web.multipart import content_type as multipart_type

ZIP: Final = "application/zip"

LOST: Final = "what is asked for is in the index, but its bytes cannot be read"

_MULTIPART = Offer(DICOM, is_multipart=True)
_ALONE = Offer(DICOM)
_ZIP = Offer(ZIP)
OF_SEVERAL: Final = (_MULTIPART, _ZIP)
OF_ONE: Final = (_MULTIPART, _ALONE, _ZIP)
_BULK: Final = Offer(OCTET_STREAM, is_multipart=True)
"""Asked of instances it means their bulk data (PS3.18 Table 10.4.4-1, note 2)."""
OF_NO_PATIENT: Final = (*metadata.OFFERS, _ALONE)
"""Default and required in PS3.18 Table 12.1.3-1."""


async def study_or_series(request: Request) -> Response:
    """GET /studies/{study}, GET /studies/{study}/series/{series} (PS3.18 10.4.1.1.1)."""
    return await _retrieved(request, OF_SEVERAL)


async def instance(request: Request) -> Response:
    """GET /studies/{study}/series/{series}/instances/{instance} (PS3.18 10.4.1.1.1)."""
    return await _retrieved(request, OF_ONE)


def of_no_patient(category: str) -> Endpoint:
    """Return the endpoint of GET /{npi-name}/{uid} for one category (PS3.18 12.4)."""

    async def retrieve(request: Request) -> Response:
        found = await targets.of_no_patient(request, category)
        chosen = negotiation.choose(request, OF_NO_PATIENT)
        if chosen.media_type != DICOM:
            return await metadata.of_no_patient(request, found)
        return await given_alone(request, found, chosen.transfer_syntaxes)

    return retrieve


async def _retrieved(request: Request, offers: Sequence[Offer]) -> Response:
    wanted = negotiation.acceptable(request).ranked((*offers, _BULK))
    if wanted and wanted[0].media_type == OCTET_STREAM:
        return await bulkdata.all_bulk_data(request)
    instances = await targets.instances_of(request)
    archive: Archive = request.app.state.archive
    chosen, plan = _choose(request, instances, offers)
    lost = await archive.lost(instances)
    given = [
        each
        for each in instances
        if plan.target(each) is not None and each.sop_instance_uid not in lost
    ]
    if not given:
        raise Unavailable(LOST)
    if chosen.media_type == DICOM and not chosen.is_multipart:
        return _alone(request, given[0], plan)
    body, tag, media_type = await asyncio.to_thread(_body, request, chosen, given, plan)
    if len(given) < len(instances):
        return _partial(body, media_type, len(instances) - len(given), len(instances))
    headers = {}
    if chosen.media_type == ZIP:
        headers["content-disposition"] = _attached(given[0], _level(request), ".zip")
    return answer(request, body, tag, media_type, headers)


def _choose(
    request: Request, instances: Sequence[InstanceRef], offers: Sequence[Offer]
) -> tuple[Chosen, Plan]:
    """Choose the best media type in which all can be given, else the best for some of them.

    Raises: HTTPException 400, 406.
    """
    ranked = negotiation.acceptable(request).ranked(offers)
    plans = [(chosen, _plan(chosen, instances)) for chosen in ranked]
    for chosen, plan in plans:
        if plan.is_complete:
            return chosen, plan
    for chosen, plan in plans:
        if any(plan.targets.values()):
            return chosen, plan
    as_kept = [Offer(each.media_type, each.is_multipart, AS_KEPT) for each in offers]
    raise negotiation.not_acceptable([*offers, *as_kept])


def _plan(chosen: Chosen, instances: Sequence[InstanceRef]) -> Plan:
    # In a zip archive are files, not representations: it has them as they are kept.
    is_zip = chosen.media_type == ZIP
    return Plan.of(instances, chosen.transfer_syntaxes, as_kept_only=is_zip)


def _body(
    request: Request, chosen: Chosen, given: Sequence[InstanceRef], plan: Plan
) -> tuple[Body, str, str]:
    """Return what is given, its entity tag and its media type."""
    archive: Archive = request.app.state.archive
    base = addresses.root(request)
    keys = (each.blob_key for each in given)
    tag = etag(chosen.media_type, base, plan, *keys, is_weak=not plan.is_as_kept)
    if chosen.media_type == ZIP:
        return Zipped(archive, given), tag, ZIP
    boundary = tag.removeprefix("W/").strip('"')  # the same one again, so that a part of it fits
    syntaxes = {to.uid for to in plan.targets.values() if to is not None}
    syntax = syntaxes.pop() if len(syntaxes) == 1 else None
    media_type = multipart_type(boundary, DICOM, syntax)
    return Parts(archive, given, plan, boundary, base), tag, media_type


def _partial(body: Body, media_type: str, missing: int, count: int) -> Response:
    """Say that some could not be given (PS3.18 10.4.3.1); such a thing is not asked for again."""
    warning = f'299 isocenter "{missing} of {count} instances are missing here"'
    headers = {"vary": "accept", "warning": warning}
    return Stream(body.content(), 206, headers, media_type, size=body.size)


async def given_alone(
    request: Request,
    instance: InstanceRef,
    acceptable: Sequence[str | None],
    media_type: str | None = None,
) -> Response:
    """Give one instance as application/dicom to who finds transfer syntaxes ``acceptable``.

    ``media_type``: what is said of it; unless given, with its transfer syntax.

    Raises: Unavailable; HTTPException 406, 412, 416.
    """
    archive: Archive = request.app.state.archive
    plan = Plan.of([instance], acceptable)
    if not plan.is_complete:
        raise negotiation.not_acceptable([_ALONE, Offer(DICOM, transfer_syntax=AS_KEPT)])
    if await archive.lost([instance]):
        raise Unavailable(LOST)
    return _alone(request, instance, plan, media_type)


def _alone(
    request: Request, instance: InstanceRef, plan: Plan, media_type: str | None = None
) -> Response:
    archive: Archive = request.app.state.archive
    syntax = plan.target(instance)
    assert syntax is not None
    tag = etag(DICOM, syntax.uid, instance.blob_key, is_weak=not plan.is_as_kept)
    headers = {"content-disposition": _attached(instance, "instance", ".dcm")}
    body = Single(archive, instance, plan)
    return answer(request, body, tag, media_type or content_type(syntax), headers)


def _level(request: Request) -> str:
    return next(level for level in reversed(targets.LEVELS) if level in request.path_params)


def _attached(instance: InstanceRef, level: str, ending: str) -> str:
    """Name what is saved to a file after a level above ``instance``, or after itself."""
    names = name_of(instance).removesuffix(".dcm").split("/")
    return f'attachment; filename="{names[targets.LEVELS.index(level)]}{ending}"'


_ACCEPT = Parameter(name="accept", source="PS3.18 8.3.3.1")
_STATUSES: Final = {
    200: "everything that is asked for",
    206: "the range that is asked for; or, with a Warning, what of it can be given",
    304: "the client has it already",
    400: "a UID or the query is not well formed",
    404: "there is no such thing",
    406: "none of the acceptable media types and transfer syntaxes can be had",
    412: "it is not as If-Match says",
    413: "more instances than one answer takes",
    416: "the range lies outside",
    503: "the bytes cannot be read",
}


def _resource(name: str, path: str, endpoint: Endpoint, offers: Sequence[Offer]) -> Resource:
    method = Method(
        transaction=f"Retrieve {name}",
        source="PS3.18 10.4.1.1.1",
        endpoint=endpoint,
        statuses=_STATUSES,
        gives=tuple(map(str, (*offers, _BULK))),
        parameters=(_ACCEPT,),
    )
    return Resource(name=name, path=path, methods={"GET": method})


def _category(name: str) -> Resource:
    method = Method(
        transaction="Retrieve",
        source="PS3.18 12.4",
        endpoint=of_no_patient(name),
        statuses={number: when for number, when in _STATUSES.items() if number != 413},
        gives=tuple(map(str, OF_NO_PATIENT)),
        parameters=(_ACCEPT,),
    )
    return Resource(name=f"Instance of {name}", path=f"/{name}/{{uid}}", methods={"GET": method})


RESOURCES: Final[tuple[Resource, ...]] = (
    _resource(
        "Instance",
        "/studies/{study}/series/{series}/instances/{instance}",
        instance,
        OF_ONE,
    ),
    _resource("Series Instances", "/studies/{study}/series/{series}", study_or_series, OF_SEVERAL),
    _resource("Study Instances", "/studies/{study}", study_or_series, OF_SEVERAL),
    *map(_category, CATEGORIES),
)
