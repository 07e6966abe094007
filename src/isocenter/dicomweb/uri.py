"""The URI service, WADO-URI: one instance, named in the query (PS3.18 chapter 9)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.not_rendered import NoSuchFrame
from isocenter.dicom.identity import is_uid
from isocenter.dicomweb import (
    anonymized,
    documents,
    films,
    negotiation,
    presented,
    rendered,
    rendering_parameters,
    retrieve,
    targets,
    waveforms,
)
from isocenter.dicomweb.negotiation import AS_KEPT, DICOM, NEVER_ON_THE_WEB, Accepted, Offer
from isocenter.dicomweb.resources import Method, Parameter, Resource
from isocenter.imaging.states import State
from isocenter.imaging.waveforms import is_waveform
from isocenter.storage.records import InstanceRef
from isocenter.web.media_types import MediaType

_RENDERED: Final = ("*/*", "image/*", "text/*", "model/*", "video/*")
UIDS: Final = {"studyUID": "study", "seriesUID": "series", "objectUID": "instance"}
"""What the parameters are called in the paths of the studies service."""


async def get(request: Request) -> Response:
    """GET /wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=… (PS3.18 9.4, 9.5).

    Raises: HTTPException 400, 406; Denied, Malformed, NotFound, Unavailable.
    """
    if _one(request, "requestType") != "WADO":
        raise HTTPException(400, "requestType must be WADO")
    uids = {level: _one(request, name) for name, level in UIDS.items()}
    accepted = _accepted(request)
    asked = presented.asked(request)
    is_dicom = _is_dicom(accepted)
    anonymizes = _anonymizes(request)
    archive: Archive = request.app.state.archive
    if is_dicom:
        _refuse_windows(request)
        if asked is not None:
            raise HTTPException(400, "presentationUID is for renderings, not for application/dicom")
        syntax = _transfer_syntax(request)
        (instance, *_) = await targets.found(archive, uids)
        if anonymizes:
            return await anonymized.given(request, instance, syntax)
        return await retrieve.given_alone(request, instance, (syntax,), media_type=DICOM)
    (instance, *_) = await targets.found(archive, uids)
    if anonymizes:
        await anonymized.check_rendering(request, instance)
    state = await presented.named(request, instance, asked) if asked else None
    if instance.sop_class_uid in documents.MEDIA_TYPES:
        return await documents.given(request, instance, accepted)
    if is_waveform(instance.sop_class_uid):
        return await _drawn(request, instance, accepted, anonymizes=anonymizes)
    return await _rendered(request, instance, accepted, state, anonymizes=anonymizes)


async def _drawn(
    request: Request, instance: InstanceRef, accepted: Accepted, *, anonymizes: bool
) -> Response:
    """Answer with a drawing of waveforms."""
    wanted = rendering_parameters.of_uri_service(request.query_params, waveforms.SVG).annotations
    if anonymizes and wanted:
        raise HTTPException(400, "a picture is either annotated or anonymized")
    return await waveforms.given(request, instance, accepted, wanted)


async def _rendered(
    request: Request,
    instance: InstanceRef,
    accepted: Accepted,
    state: State | None,
    *,
    anonymizes: bool,
) -> Response:
    """Answer with a picture (PS3.18 9.5)."""
    offers: Sequence[Offer] = (*rendered.ALONE, films.OFFER)
    if films.is_of_video(instance):
        offers = films.OF_VIDEO
    if "frameNumber" in request.query_params:
        offers = rendered.ALONE
    ranked = accepted.ranked(offers)
    if not ranked:
        raise negotiation.not_acceptable(offers)
    chosen = ranked[0]
    look = rendering_parameters.of_uri_service(request.query_params, chosen.media_type)
    look = replace(look, state=state)
    if anonymizes:
        if look.annotations:
            raise HTTPException(400, "a picture is either annotated or anonymized")
        look = replace(look, has_overlays=False)
    frame = rendering_parameters.frame_of_uri_service(request.query_params)
    try:
        return await rendered.of_instance(
            request, instance, chosen, look, (frame,) if frame else ()
        )
    except NoSuchFrame as error:
        raise HTTPException(400, f"frameNumber: {error}") from error  # PS3.18 9.5.2.1


def _one(request: Request, name: str) -> str:
    """Return the value of a mandatory parameter. Raises: HTTPException 400."""
    given = request.query_params.getlist(name)
    if len(given) != 1 or not given[0]:
        raise HTTPException(400, f"the query needs {name}, once")
    return given[0]


def _accepted(request: Request) -> Accepted:
    """Read what may be given (PS3.18 9.1.2.2.1). Raises: HTTPException 400."""
    asked = ", ".join(request.query_params.getlist("contentType"))
    ranges = MediaType.parse_list(asked)
    if asked.strip() and not ranges:
        raise HTTPException(400, "contentType has no media type in it")
    for each in ranges:
        if each.parameters.keys() & {"transfer-syntax", "charset"}:
            raise HTTPException(400, "contentType may not have transfer-syntax or charset within")
    header = ", ".join(request.headers.getlist("accept")) or "*/*"
    return Accepted(ranges, MediaType.parse_list(header))


def _is_dicom(accepted: Accepted) -> bool:
    """Whether the instance itself is wanted, not a rendering of it (PS3.18 9.3).

    What takes anything takes a rendering. Raises: HTTPException 400, 406.
    """
    ranges = accepted.of_query or accepted.of_header
    wanted = [each.type for each in ranges if each.q > 0]
    is_dicom = DICOM in wanted
    is_rendered = any(each in rendered.MEDIA_TYPES for each in wanted)
    if is_dicom and is_rendered:
        raise HTTPException(400, "application/dicom and renderings are asked for at once")
    if is_dicom or "application/*" in wanted:
        return True
    if is_rendered or any(each in _RENDERED for each in wanted):
        return False
    raise HTTPException(
        406,
        f"to be had is application/dicom; or a rendering: {', '.join(rendered.MEDIA_TYPES)}",
    )


def _refuse_windows(request: Request) -> None:
    """PS3.18 9.5.1.2.6. Raises: HTTPException 400."""
    for name in ("windowCenter", "windowWidth"):
        if name in request.query_params:
            raise HTTPException(400, f"{name} is for renderings, not for application/dicom")


def _anonymizes(request: Request) -> bool:
    """Whether nothing that identifies is to be given out (PS3.18 9.4.2.3).

    Raises: HTTPException 400.
    """
    asked = request.query_params.getlist("anonymize")
    if asked and asked != ["yes"]:
        raise HTTPException(400, "anonymize can only be yes, once")
    return bool(asked)


def _transfer_syntax(request: Request) -> str | None:
    """Return the transfer syntax that is asked for. Raises: HTTPException 400, 406."""
    asked = request.query_params.getlist("transferSyntax")
    if not asked:
        return None
    if len(asked) > 1 or not (asked[0] == AS_KEPT or is_uid(asked[0])):
        raise HTTPException(400, "transferSyntax must be one UID")
    if asked[0] in NEVER_ON_THE_WEB:
        raise HTTPException(406, f"{asked[0]} is not used with web services (PS3.18 8.7.3)")
    return asked[0]


def _parameter(name: str, source: str) -> Parameter:
    return Parameter(name=name, source=source)


RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(
        name="URI Service",
        path="/wado",
        methods={
            "GET": Method(
                transaction="Retrieve DICOM Instance or Rendered Instance",
                source="PS3.18 9.4, 9.5",
                endpoint=get,
                statuses={
                    200: "the instance, or its rendering",
                    206: "the range of it that is asked for",
                    304: "the client has it already",
                    400: "a parameter is missing, not well formed, or there too often",
                    403: "it would be anonymized, and its pixels show who it is",
                    404: "there is no such instance",
                    406: "it cannot be had in this media type or transfer syntax",
                    412: "it is not as If-Match says",
                    413: "the picture of a slide would be too large: name rows, columns, a region",
                    416: "the range lies outside",
                    503: "the bytes cannot be read",
                },
                gives=(DICOM, *rendered.MEDIA_TYPES),
                parameters=(
                    _parameter("requestType", "PS3.18 9.1.2.1.1"),
                    _parameter("studyUID", "PS3.18 9.1.2.1.2"),
                    _parameter("seriesUID", "PS3.18 9.1.2.1.3"),
                    _parameter("objectUID", "PS3.18 9.1.2.1.4"),
                    _parameter("contentType", "PS3.18 9.1.2.2.1"),
                    _parameter("anonymize", "PS3.18 9.4.1.2.1"),
                    _parameter("transferSyntax", "PS3.18 9.4.1.2.3"),
                    _parameter("frameNumber", "PS3.18 9.5.1.2.1"),
                    _parameter("imageAnnotation", "PS3.18 9.5.1.2.2"),
                    _parameter("annotation", "PS3.18 9.5.1"),
                    _parameter("imageQuality", "PS3.18 9.5.1.2.3"),
                    _parameter("rows", "PS3.18 9.5.1.2.4.1"),
                    _parameter("columns", "PS3.18 9.5.1.2.4.2"),
                    _parameter("region", "PS3.18 9.5.1.2.5"),
                    _parameter("windowCenter", "PS3.18 9.5.1.2.6.1"),
                    _parameter("windowWidth", "PS3.18 9.5.1.2.6.2"),
                    _parameter("presentationSeriesUID", "PS3.18 9.5.1.2.7.1"),
                    _parameter("presentationUID", "PS3.18 9.5.1.2.7.2"),
                ),
            )
        },
    ),
)
