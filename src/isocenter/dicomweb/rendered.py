"""Retrieve Transaction for renderings and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4).

A single picture of several frames or instances is of the one that stands for all of them; a GIF has
all frames of an instance, and a multipart all that is there. Waveforms are drawn; what else is no
image has a thumbnail that says so. A presentation state is rendered as the images to which it
refers. Volumes (10.4.1.1.7, 10.4.1.1.8) are not rendered yet.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final, Never
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter import __version__
from isocenter.archive.archive import Archive
from isocenter.archive.states import Shown
from isocenter.dicomweb import (
    addresses,
    documents,
    films,
    negotiation,
    presented,
    targets,
    waveforms,
)
from isocenter.dicomweb.negotiation import Chosen, Offer
from isocenter.dicomweb.rendering_parameters import (
    OF_RENDERED,
    OF_THUMBNAIL,
    of_presentation_state,
    of_rendered,
    of_thumbnail,
)
from isocenter.dicomweb.resources import Endpoint, Method, Parameter, Resource
from isocenter.imaging.looks import GIF, Look
from isocenter.imaging.pictures import WRITERS
from isocenter.imaging.states import State
from isocenter.imaging.waveforms import is_waveform
from isocenter.storage.records import InstanceRef
from isocenter.web import conditional, multipart
from isocenter.web.conditional import Validator, etag
from isocenter.web.delivery import Buffer, Stream

STILLS: Final = tuple(WRITERS)
"""Media types of pictures, the default first."""
MEDIA_TYPES: Final = (*STILLS, films.MP4, waveforms.SVG, *documents.MEDIA_TYPES.values())
"""All that a rendering may be."""

ALONE: Final = tuple(map(Offer, STILLS))
IN_PARTS: Final = tuple(Offer(each, is_multipart=True) for each in STILLS)
OF_ONE: Final = (*ALONE, *IN_PARTS)
OF_SEVERAL: Final = (*IN_PARTS, *ALONE, films.OFFER, films.IN_PARTS)
"""Who takes anything gets all of a study."""
OF_FRAMES: Final = (*IN_PARTS, Offer(GIF), films.OFFER)
OF_IMAGE: Final = (*OF_ONE, films.OFFER)

MOST_FRAMES: Final = 10_000
"""Frames of one answer."""
MOST_REMEMBERED: Final = 1_000
"""Requests that were understood; clients ask for the same again and again."""
_FRAMES: Final = re.compile(r"[1-9][0-9]{0,9}(,[1-9][0-9]{0,9})*")

_remembered: dict[tuple[object, ...], tuple[Chosen, Look]] = {}


async def instance(request: Request) -> Response:
    """GET …/instances/{instance}/rendered."""
    found = await targets.instance_of(request)
    if found.sop_class_uid in documents.MEDIA_TYPES:
        return await documents.given(request, found)
    if is_waveform(found.sop_class_uid):
        return await waveforms.given(request, found)
    if presented.is_state(found):
        return await _of_state(request, found)
    chosen, look = _asked(request, films.OF_VIDEO if films.is_of_video(found) else OF_IMAGE)
    return await of_instance(request, found, chosen, look, ())


async def frames(request: Request) -> Response:
    """GET …/instances/{instance}/frames/{frames}/rendered."""
    numbers = _numbers(request)
    chosen, look = _asked(request, OF_ONE if len(numbers) == 1 else OF_FRAMES)
    found = await targets.instance_of(request)
    if presented.is_state(found):
        presented.refuse_frames()
    return await of_instance(request, found, chosen, look, numbers)


async def study_or_series(request: Request) -> Response:
    """GET /studies/{study}/rendered, GET …/series/{series}/rendered."""
    chosen, look = _asked(request, OF_SEVERAL)
    if not chosen.is_multipart:
        representative = await _representative(request)
        if presented.is_state(representative):
            return await _of_state(request, representative)
        if chosen.media_type == films.MP4:
            instances = await targets.instances_of(request)
            return await films.of_several(request, instances, representative, chosen, look)
        return await of_instance(request, representative, chosen, look, ())
    instances = await targets.instances_of(request)
    if chosen.media_type == films.MP4:
        return await films.in_parts(request, instances, chosen, look)
    keys = [each.state for each in instances]
    if any(map(presented.is_state, instances)):
        keys.append(uuid4().hex)  # their pictures change as images come and go
    validator = Validator(_tag(chosen, look, *keys))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    return _in_parts(chosen, validator, _of_each(request, instances, look))


async def thumbnail(request: Request) -> Response:
    """GET …/thumbnail of an instance, of a frame."""
    numbers = _numbers(request)
    found = await targets.instance_of(request)
    return await _thumbnail(request, found, numbers[0] if numbers else None)


async def thumbnail_of_several(request: Request) -> Response:
    """GET …/thumbnail of a study, of a series."""
    return await _thumbnail(request, await _representative(request), None)


async def of_instance(
    request: Request, instance: InstanceRef, chosen: Chosen, look: Look, numbers: Sequence[int]
) -> Response:
    """Answer with pictures of an instance: of the frames ``numbers``, or of all.

    Raises: NotRendered; NotFound, Malformed, Unavailable; HTTPException 412.
    """
    if chosen.media_type == films.MP4:
        return await films.of_instance(request, instance, chosen, look, numbers)
    renderings = _archive(request).renderings
    sources = () if numbers else await renderings.slides.sources(instance)
    validator = Validator(_tag(chosen, look, instance.state, *numbers, *sources))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    if chosen.is_multipart:
        subject = await renderings.subject(instance)
        listed = numbers or range(1, subject.count + 1)
        return _in_parts(chosen, validator, _of_frames(request, instance, look, listed))
    headers = _headers(chosen.called, validator)
    if look.media_type == GIF and len(numbers) != 1:
        return Stream(renderings.animation(instance, look, numbers), 200, headers)
    frame = numbers[0] if numbers else None
    return Response(await renderings.still(instance, look, frame), headers=headers)


async def _of_state(request: Request, instance: InstanceRef) -> Response:
    """Answer with the images to which a presentation state refers, as it shows them."""
    state, shown = await presented.state_of(request, instance)
    is_single = await presented.is_single(request, state, shown)
    chosen = negotiation.choose(request, OF_IMAGE if is_single else OF_SEVERAL)
    look = replace(of_presentation_state(request.query_params, chosen.media_type), state=state)
    if not chosen.is_multipart:
        answer = await of_instance(request, shown.instances[0], chosen, look, ())
    else:
        keys = (each.state for each in shown.instances)
        validator = Validator(_tag(chosen, look, *keys))
        settled = conditional.check(request, validator)
        made = _presented(request, shown, look, state)
        answer = settled or _in_parts(chosen, validator, made)
    for name, value in presented.warning(shown).items():
        answer.headers[name] = value
    return answer


async def _thumbnail(request: Request, instance: InstanceRef, frame: int | None) -> Response:
    chosen, look = _asked(request, ALONE, is_thumbnail=True)
    renderings = _archive(request).renderings
    sources: tuple[object, ...] = ()
    if presented.is_state(instance):
        if frame is not None:
            presented.refuse_frames()
        sources = await presented.sources(request, instance)
    elif not frame:
        sources = tuple(await renderings.slides.sources(instance))
    validator = Validator(_tag(chosen, look, instance.state, frame, *sources))
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    made = await renderings.thumbnail(instance, look, frame)
    return Response(made, headers=_headers(chosen.called, validator))


async def _representative(request: Request) -> InstanceRef:
    """Raises: Malformed, NotFound, Unavailable."""
    selection = targets.selection_of(request.path_params)
    found = await _archive(request).renderings.representative(selection)
    if found is None:
        raise targets.absent(request.path_params)
    return found


def _asked(
    request: Request, offers: Sequence[Offer], *, is_thumbnail: bool = False
) -> tuple[Chosen, Look]:
    """Read what is wanted, and how it is to look. Raises: HTTPException 400, 406."""
    accept = tuple(request.headers.getlist("accept"))
    key = (request.scope["query_string"], accept, id(offers), is_thumbnail)
    if (known := _remembered.get(key)) is None:
        chosen = negotiation.choose(request, offers)
        read = of_thumbnail if is_thumbnail else of_rendered
        known = chosen, read(request.query_params, chosen.media_type)
        if len(_remembered) >= MOST_REMEMBERED:
            _remembered.clear()
        _remembered[key] = known
    return known


def _numbers(request: Request) -> list[int]:
    """Read the list of frames, if there is one. Raises: HTTPException 400, 413."""
    if (listed := request.path_params.get("frames")) is None:
        return []
    if not _FRAMES.fullmatch(listed):
        raise HTTPException(400, "frames are a list of numbers from 1 on, as in 1,2,5")
    numbers = [int(number) for number in listed.split(",")]
    if len(numbers) > MOST_FRAMES:
        raise HTTPException(413, f"more than {MOST_FRAMES} frames: ask for them in several turns")
    return numbers


# --- answers


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive


def _tag(chosen: Chosen, look: Look, *of: object) -> str:
    return etag(__version__, chosen.called, chosen.is_multipart, look, *of)


def _headers(media_type: str, validator: Validator) -> dict[str, str]:
    return {"vary": "accept", **validator.headers, "content-type": media_type}


Placed = tuple[str, bytes]
"""Where a picture is had by itself, and the picture."""


def _in_parts(chosen: Chosen, validator: Validator, made: AsyncGenerator[Placed]) -> Response:
    boundary = multipart.boundary()
    headers = _headers(multipart.content_type(boundary, chosen.called), validator)
    return Stream(_parts(made, boundary, chosen.called), 200, headers)


async def _parts(
    made: AsyncGenerator[Placed], boundary: str, media_type: str
) -> AsyncGenerator[Buffer]:
    is_first = True
    async with aclosing(made):
        async for place, picture in made:
            headers = {
                "Content-Type": media_type,
                "Content-Location": place,
                "Content-Length": str(len(picture)),
            }
            yield multipart.part_head(boundary, headers, first=is_first)
            yield picture
            is_first = False
    yield multipart.end(boundary)


async def _of_frames(
    request: Request, instance: InstanceRef, look: Look, numbers: Sequence[int]
) -> AsyncGenerator[Placed]:
    base = addresses.of(request, instance)
    async with aclosing(_archive(request).renderings.stills(instance, look, numbers)) as made:
        at = iter(numbers)
        async for picture in made:
            yield f"{base}/frames/{next(at)}/rendered", picture


async def _of_each(
    request: Request, instances: Sequence[InstanceRef], look: Look
) -> AsyncGenerator[Placed]:
    async with aclosing(_archive(request).renderings.each(instances, look)) as made:
        async for instance, picture in made:
            yield f"{addresses.of(request, instance)}/rendered", picture


async def _presented(
    request: Request, shown: Shown, look: Look, state: State
) -> AsyncGenerator[Placed]:
    async with aclosing(presented.pictures(request, shown, look, state)) as made:
        async for instance, frame, picture in made:
            place = addresses.of(request, instance)
            yield f"{place}/frames/{frame}/rendered", picture


async def not_yet(request: Request) -> Response:
    """Refuse to render a volume. Raises: HTTPException 400, 501; Malformed, NotFound."""
    _numbers(request)
    uids = {name: uid for name, uid in request.path_params.items() if name != "frames"}
    if not await _archive(request).index.count_instances(targets.selection_of(uids)):
        raise targets.absent(uids)
    refuse("volumes")


def refuse(what: str) -> Never:
    """Raises: HTTPException 501."""
    raise HTTPException(501, f"this server does not render {what} yet")


# --- resources

_STATUSES: Final = {
    200: "the pictures",
    304: "the client has them already",
    400: "a UID, a frame number or a parameter is not well formed",
    404: "there is no such thing",
    406: "none of the acceptable media types can be had, or there is nothing to be seen",
    412: "it is not as If-Match says",
    503: "the bytes cannot be read",
}
_OF_RANGES: Final = {
    206: "the range of a document or a video that is asked for",
    416: "the range lies outside",
}
_TOO_MANY: Final = {413: "more than one answer takes"}


def _rendered(
    endpoint: Endpoint,
    gives: Sequence[object],
    more: dict[int, str],
    parameters: tuple[Parameter, ...] = OF_RENDERED,
) -> Method:
    return Method(
        transaction="Retrieve Rendered",
        source="PS3.18 10.4.1.1.3, 10.4.1.1.4",
        endpoint=endpoint,
        statuses=dict(sorted((_STATUSES | more).items())),
        gives=tuple(map(str, gives)),
        parameters=parameters,
    )


def _thumbnailed(endpoint: Endpoint, more: dict[int, str]) -> Method:
    return _rendered(endpoint, ALONE, more, OF_THUMBNAIL)


_NOT_YET: Final = Method(
    transaction="Retrieve Rendered Volume",
    source="PS3.18 10.4.1.1.7, 10.4.1.1.8",
    endpoint=not_yet,
    statuses={
        400: "a UID, a frame number or the query is not well formed",
        404: "there is no such thing",
        501: "it would be rendered; that is not done yet",
    },
)
_DOCUMENT_OFFERS: Final = tuple(map(Offer, documents.MEDIA_TYPES.values()))
_STUDY: Final = "/studies/{study}"
_SERIES: Final = f"{_STUDY}/series/{{series}}"
_INSTANCE: Final = f"{_SERIES}/instances/{{instance}}"
_FRAME: Final = f"{_INSTANCE}/frames/{{frames}}"
_METHODS: Final = (
    (
        "Rendered Study",
        f"{_STUDY}/rendered",
        _rendered(study_or_series, OF_SEVERAL, _TOO_MANY | _OF_RANGES),
    ),
    (
        "Rendered Series",
        f"{_SERIES}/rendered",
        _rendered(study_or_series, OF_SEVERAL, _TOO_MANY | _OF_RANGES),
    ),
    (
        "Rendered Instance",
        f"{_INSTANCE}/rendered",
        _rendered(
            instance, (*OF_IMAGE, waveforms.OFFER, *_DOCUMENT_OFFERS), _OF_RANGES | _TOO_MANY
        ),
    ),
    ("Rendered Frames", f"{_FRAME}/rendered", _rendered(frames, OF_IMAGE, _TOO_MANY | _OF_RANGES)),
    ("Study Thumbnail", f"{_STUDY}/thumbnail", _thumbnailed(thumbnail_of_several, {})),
    ("Series Thumbnail", f"{_SERIES}/thumbnail", _thumbnailed(thumbnail_of_several, {})),
    ("Instance Thumbnail", f"{_INSTANCE}/thumbnail", _thumbnailed(thumbnail, {})),
    ("Frame Thumbnail", f"{_FRAME}/thumbnail", _thumbnailed(thumbnail, _TOO_MANY)),
    *(
        (f"Rendered {kind} Volume {level}", f"{at}/{end}", _NOT_YET)
        for kind, end in (("MPR", "renderedmpr"), ("3D", "rendered3d"))
        for level, at in zip(
            ("Study", "Series", "Instance", "Frames"),
            (_STUDY, _SERIES, _INSTANCE, _FRAME),
            strict=True,
        )
    ),
    # Table 10.4.1.8-1 has the study's volume below series.
    ("Rendered 3D Volume Study", f"{_STUDY}/series/rendered3d", _NOT_YET),
)

RESOURCES: Final[tuple[Resource, ...]] = tuple(
    Resource(name=name, path=path, methods={"GET": method}) for name, path, method in _METHODS
)
