"""Retrieve Transaction for bulk data and pixel data (PS3.18 10.4.1.1.5, 10.4.1.1.6).

A BulkDataURI is the instance's path, ``/bulkdata/`` and the path to the attribute: it holds as long
as the instance is what it is. Values are given little endian; nothing is decoded.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.archive.frames import NoFrames, OpenInstance
from isocenter.config import Config
from isocenter.dicom import paths
from isocenter.dicom.syntax import lookup
from isocenter.dicomweb import addresses, frame_types, negotiation, targets
from isocenter.dicomweb import representations as represent
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.negotiation import OCTET_STREAM, Chosen, Offer
from isocenter.dicomweb.pieces import Pieces
from isocenter.dicomweb.representations import Representation
from isocenter.dicomweb.resources import Endpoint, Method, Parameter, Resource
from isocenter.errors import NotFound
from isocenter.storage.records import InstanceRef
from isocenter.web import multipart
from isocenter.web.conditional import etag
from isocenter.web.delivery import Buffer

ENCAPSULATED_DOCUMENT: Final = (0x00420011,)
MIME_TYPE: Final = (0x00420012,)
DOCUMENTS: Final = ("application/pdf", "model/stl", "model/obj", "model/mtl")
"""What a document may be given as: nothing that a browser takes for a page of ours and runs."""
LONGEST_MIME_TYPE: Final = 64

Represent = Callable[[OpenInstance], AsyncGenerator[Representation]]


def uri_of(study: str, series: str, instance: str, path: Sequence[int]) -> str:
    """Give the BulkDataURI of an attribute, below the root of the service.

    ``path`` is tag, or tag, item, tag and so on; items are counted from 0.
    """
    root = f"/studies/{study}/series/{series}/instances/{instance}"
    return f"{root}/bulkdata/{paths.written(path)}"


async def value(request: Request) -> Response:
    """GET …/instances/{instance}/bulkdata/{path}: what a BulkDataURI refers to."""
    path = paths.parse(request.path_params["path"])
    instance = await targets.instance_of(request)
    archive: Archive = request.app.state.archive
    opened = await archive.opened.open(instance)
    try:
        place = await opened.find(path)
        if place.vr == "SQ":
            raise NotFound("the attribute is a sequence: its items are in the metadata")
        if represent.is_pixel_data(place):
            return await _pixel_data(request, opened)
        return await _value(request, opened, await represent.of_value(opened, path, place))
    finally:
        opened.release()


async def pixel_data(request: Request) -> Response:
    """GET …/instances/{instance}/pixeldata."""
    instance = await targets.instance_of(request)
    archive: Archive = request.app.state.archive
    opened = await archive.opened.open(instance)
    try:
        return await _pixel_data(request, opened)
    finally:
        opened.release()


async def all_bulk_data(request: Request) -> Response:
    """GET …/bulkdata of a study, a series, an instance."""
    config: Config = request.app.state.config
    size = config.dicomweb.inline_size
    return await _gathered(request, lambda opened: represent.of_bulk(opened, size))


async def all_pixel_data(request: Request) -> Response:
    """GET …/pixeldata of a study, a series."""
    return await _gathered(request, represent.of_pixel_data)


async def _pixel_data(request: Request, opened: OpenInstance) -> Response:
    is_one = await represent.is_one(opened, await opened.pixel_data())
    chosen = frame_types.choose(request, opened.instance.transfer_syntax, is_one=is_one)
    if not is_one:
        return await _parts(request, [opened.instance], chosen, represent.of_pixel_data)
    async with aclosing(represent.of_pixel_data(opened)) as found:
        return _single(request, opened, await anext(found), chosen)


async def _value(request: Request, opened: OpenInstance, found: Representation) -> Response:
    offers = [Offer(found.media_type, True), Offer(found.media_type)]
    if found.location == represent.location(ENCAPSULATED_DOCUMENT):
        document = await _document_type(opened)
        offers += [Offer(document, False), Offer(document, True)] if document else []
    chosen = negotiation.choose(request, offers)
    return _single(request, opened, replace(found, media_type=chosen.media_type), chosen)


def _single(
    request: Request, opened: OpenInstance, found: Representation, chosen: Chosen
) -> Response:
    """Answer with one representation, alone or as the only part."""
    instance = opened.instance
    if chosen.media_type == found.media_type:
        found = replace(found, media_type=chosen.called)
    place = addresses.of(request, instance) + found.location
    tag = etag(found.content_type, chosen.is_multipart, place, instance.blob_key)
    archive: Archive = request.app.state.archive
    headers = {}
    if not chosen.is_multipart:
        headers["content-location"] = place
        body = Pieces(archive, instance, [found.frame])
        return answer(request, body, tag, found.content_type, headers)
    boundary = tag.strip('"')  # the same one again, so that a part of the whole fits
    head = _head(boundary, found, place, is_first=True)
    body = Pieces(archive, instance, [head, found.frame, multipart.end(boundary)])
    media_type = multipart.content_type(boundary, found.media_type)
    return answer(request, body, tag, media_type, headers)


async def _gathered(request: Request, found: Represent) -> Response:
    """Answer with the values of all instances that the path names, in parts.

    What is compressed is given as it is kept, and each part says what it is: to refuse a study for
    one image in it would help nobody.
    """
    instances = await targets.instances_of(request)
    kinds = {frame_types.media_type_of(lookup(each.transfer_syntax)) for each in instances}
    offers = [Offer(each, True) for each in (OCTET_STREAM, *sorted(kinds - {OCTET_STREAM}))]
    return await _parts(request, instances, negotiation.choose(request, offers), found)


async def _parts(
    request: Request, instances: Sequence[InstanceRef], chosen: Chosen, found: Represent
) -> Response:
    keys = (each.blob_key for each in instances)
    tag = etag(request.url.path, chosen.media_type, chosen.called, *keys, is_weak=True)
    boundary = tag.removeprefix("W/").strip('"')
    body = _Parts(request, instances, chosen, found, boundary)
    async with aclosing(body.content()) as content:
        await anext(content)
    media_type = multipart.content_type(boundary, chosen.called)
    return answer(request, body, tag, media_type, {})


class _Parts:
    """Values in parts, found while they are given: how many there are shows at the end."""

    size: int | None = None

    def __init__(
        self,
        request: Request,
        instances: Sequence[InstanceRef],
        chosen: Chosen,
        found: Represent,
        boundary: str,
    ) -> None:
        self._archive: Archive = request.app.state.archive
        self._bases = {each.blob_key: addresses.of(request, each) for each in instances}
        self._instances = instances
        self._chosen = chosen
        self._found = found
        self._boundary = boundary

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give all. Raises: NotFound, if there is nothing to give; Unavailable."""
        is_first = True
        for instance in self._instances:
            opened = await self._archive.opened.open(instance)
            try:
                async for each in self._of(opened):
                    base = self._bases[instance.blob_key]
                    yield _head(self._boundary, each, base + each.location, is_first=is_first)
                    is_first = False
                    async for piece in opened.content(each.frame):
                        yield piece
            finally:
                opened.release()
        if is_first:
            raise NotFound("there are no such values here, or none of the acceptable media type")
        yield multipart.end(self._boundary)

    async def _of(self, opened: OpenInstance) -> AsyncGenerator[Representation]:
        """The values of one instance, where it has any, of the media type that was chosen."""
        chosen = self._chosen
        try:
            async for each in self._found(opened):
                if chosen.media_type == each.media_type:
                    yield replace(each, media_type=chosen.called)
                elif chosen.media_type == OCTET_STREAM:
                    yield each
        except NoFrames:
            raise
        except NotFound:
            return  # of several instances, some have no pixels


async def _document_type(opened: OpenInstance) -> str:
    """Give the media type that an encapsulated document says it has, if it may be given so."""
    try:
        told = await opened.value(await opened.find(MIME_TYPE))
    except NotFound:
        return ""
    if told.size > LONGEST_MIME_TYPE:
        return ""
    text = b"".join([bytes(piece) async for piece in opened.content(told)])
    name = text.decode("latin-1").strip(" \0").lower()
    return name if name in DOCUMENTS else ""


def _head(boundary: str, found: Representation, place: str, *, is_first: bool) -> bytes:
    headers = {
        "Content-Type": found.content_type,
        "Content-Location": place,
        "Content-Length": str(found.frame.size),
    }
    return multipart.part_head(boundary, headers, is_first)


_STATUSES: Final = {
    200: "the values",
    304: "the client has them already",
    400: "a UID, the path to the attribute or the query is not well formed",
    404: "there is no such thing, or no such value in it",
    406: "none of the acceptable media types and transfer syntaxes can be had without decoding",
    412: "they are not as If-Match says",
    503: "the bytes cannot be read",
}
_OF_ONE: Final = {206: "the range that is asked for", 416: "the range lies outside"}
_OF_SEVERAL: Final = {413: "more instances than one answer takes"}
_INSTANCE: Final = "/studies/{study}/series/{series}/instances/{instance}"
_PARTS: Final = f'multipart/related; type="{OCTET_STREAM}"'
_COMPRESSED: Final = tuple(
    f'multipart/related; type="{each}"' for each in frame_types.MEDIA_TYPES if each != OCTET_STREAM
)


def _resource(
    name: str, path: str, endpoint: Endpoint, source: str, *, is_one: bool = False
) -> Resource:
    gives = (_PARTS, *_COMPRESSED)
    if is_one:
        gives += frame_types.MEDIA_TYPES
    method = Method(
        transaction=f"Retrieve {name}",
        source=source,
        endpoint=endpoint,
        statuses={**_STATUSES, **(_OF_ONE if is_one else _OF_SEVERAL)},
        gives=gives,
        parameters=(Parameter(name="accept", source="PS3.18 8.3.3.1"),),
    )
    return Resource(name=name, path=path, methods={"GET": method})


def _resources() -> tuple[Resource, ...]:
    bulk, pixels = "PS3.18 10.4.1.1.5", "PS3.18 10.4.1.1.6"
    study, series = "/studies/{study}", "/studies/{study}/series/{series}"
    return (
        _resource("Bulkdata", f"{_INSTANCE}/bulkdata/{{path:path}}", value, bulk, is_one=True),
        _resource("Instance Bulkdata", f"{_INSTANCE}/bulkdata", all_bulk_data, bulk),
        _resource("Series Bulkdata", f"{series}/bulkdata", all_bulk_data, bulk),
        _resource("Study Bulkdata", f"{study}/bulkdata", all_bulk_data, bulk),
        _resource("Instance Pixel Data", f"{_INSTANCE}/pixeldata", pixel_data, pixels, is_one=True),
        _resource("Series Pixel Data", f"{series}/pixeldata", all_pixel_data, pixels),
        _resource("Study Pixel Data", f"{study}/pixeldata", all_pixel_data, pixels),
    )


RESOURCES: Final = _resources()
