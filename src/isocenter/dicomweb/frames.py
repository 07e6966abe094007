"""Retrieve Transaction for frames, decoded or compressed if need be (PS3.18 10.4.1.1.6).

A single frame that was located before and is in memory is answered at once, in one piece: viewers
ask for thousands of those.
"""

import logging
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.dicom.syntax import lookup
from isocenter.dicomweb import addresses, frame_types, targets
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.files import Body
from isocenter.dicomweb.negotiation import Chosen
from isocenter.dicomweb.pieces import Pieces
from isocenter.dicomweb.resources import Method, Parameter, Resource
from isocenter.errors import Malformed, Unsupported
from isocenter.imaging.frame_bytes import Frame
from isocenter.imaging.frames import is_video
from isocenter.imaging.transcoding import Conversion
from isocenter.storage.records import InstanceRef
from isocenter.web import multipart
from isocenter.web.conditional import etag
from isocenter.web.delivery import Buffer

log = logging.getLogger(__name__)

PATH: Final = "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}"
MOST_FRAMES: Final = 10_000
"""Frames of one answer."""
_NUMBERS: Final = re.compile(r"[0-9]{1,10}(?:,[0-9]{1,10})*")
_CONDITIONS: Final = frozenset(
    (b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
)


async def frames(request: Request) -> Response:
    """GET /studies/{study}/series/{series}/instances/{instance}/frames/{frames}.

    They are given in the order in which they are asked for, each as often.
    """
    numbers = _numbers(request.path_params["frames"])
    instance = await targets.instance_of(request)
    is_one = len(numbers) == 1
    wanted = frame_types.choose_converted(request, instance.transfer_syntax, is_one=is_one)
    if wanted is not None and (given := await _converted(request, instance, wanted, numbers)):
        return given
    chosen = frame_types.choose(request, instance.transfer_syntax, is_one=is_one)
    syntax = frame_types.transfer_syntax_of(lookup(instance.transfer_syntax))
    manner = _Manner.of(request, instance, chosen, syntax, numbers)
    archive: Archive = request.app.state.archive
    opened = archive.opened.known(instance) or await archive.opened.open(instance, locates=True)
    try:
        is_quick = len(numbers) == 1 and _is_unconditional(request)
        if is_quick and (data := opened.at_hand(numbers[0], archive.opened.scratch)) is not None:
            return manner.at_once(data, numbers[0])
        if numbers == [1] and is_video(instance.transfer_syntax):
            found = [await opened.whole()]  # one representation of all frames (PS3.18 8.7.3.3)
        else:
            found = await opened.frames(numbers)
    finally:
        opened.release()
    body = Pieces(archive, instance, list(manner.pieces(found, numbers)))
    return answer(request, body, manner.tag, manner.content_type, {})


async def _converted(
    request: Request, instance: InstanceRef, wanted: tuple[Chosen, str], numbers: Sequence[int]
) -> Response | None:
    """Give frames in another transfer syntax; None, where the first of them cannot be had so."""
    chosen, target = wanted
    archive: Archive = request.app.state.archive
    manner = _Manner.of(request, instance, chosen, target, numbers)
    opened = await archive.opened.open(instance, locates=True)
    try:
        try:
            way = await archive.conversions.begin(opened, target)
            given = archive.conversions.frames(opened, way, numbers[:1])
            first = await anext(given)
        except (Malformed, Unsupported) as error:
            log.info("frame not converted", extra={"reason": str(error)})
            return None
    finally:
        opened.release()
    body: Body
    if len(numbers) == 1:
        body = Pieces(archive, instance, [manner.whole(numbers[0], first)])
    else:
        body = _Converted(archive, instance, way, manner, numbers, first)
    return answer(request, body, f"W/{manner.tag}", manner.content_type, {})


class _Converted:
    """Frames that are converted while they are given; how large they become shows only then."""

    size: int | None = None

    def __init__(
        self,
        archive: Archive,
        instance: InstanceRef,
        way: Conversion,
        manner: "_Manner",
        numbers: Sequence[int],
        first: bytes,
    ) -> None:
        self._archive = archive
        self._instance = instance
        self._way = way
        self._manner = manner
        self._numbers = numbers
        self._first = first

    async def content(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Buffer]:
        """Give them all. Raises: Malformed, Unsupported, NotFound, Unavailable."""
        yield self._manner.part(self._numbers[0], self._first, is_first=True)
        opened = await self._archive.opened.open(self._instance, locates=True)
        try:
            rest = self._numbers[1:]
            async with aclosing(
                self._archive.conversions.frames(opened, self._way, rest)
            ) as frames:
                for number in rest:
                    yield self._manner.part(number, await anext(frames), is_first=False)
        finally:
            opened.release()
        if self._manner.boundary:
            yield multipart.end(self._manner.boundary)


@dataclass(frozen=True, slots=True)
class _Manner:
    """How frames are given."""

    media_type: str
    """Of a frame, with its transfer syntax."""
    content_type: str
    """Of the whole."""
    boundary: str
    """Empty, if the whole is a single frame."""
    tag: str
    base: str
    """Where the instance is."""

    @classmethod
    def of(
        cls,
        request: Request,
        instance: InstanceRef,
        chosen: Chosen,
        syntax: str,
        numbers: Sequence[int],
    ) -> "_Manner":
        name = frame_types.media_type_of(lookup(syntax))
        if chosen.media_type == name:
            name = chosen.called
        media_type = f"{name}; transfer-syntax={syntax}"
        base = addresses.of(request, instance)
        tag = etag(media_type, chosen.is_multipart, base, instance.blob_key, *numbers)
        if not chosen.is_multipart:
            return cls(media_type, media_type, "", tag, base)
        boundary = tag.strip('"')  # the same one again, so that a part of the whole fits
        return cls(media_type, multipart.content_type(boundary, name), boundary, tag, base)

    def at_once(self, data: Buffer, number: int) -> Response:
        """Answer with a single frame."""
        headers = {"vary": "accept", "etag": self.tag, "accept-ranges": "bytes"}
        headers["content-type"] = self.content_type
        return Response(self.whole(number, data), headers=headers)

    def whole(self, number: int, data: Buffer) -> bytes:
        """Give a single frame with what stands around it, in memory of its own."""
        if not self.boundary:
            return bytes(data)
        head = self._head(number, len(data), is_first=True)
        return b"".join((head, data, multipart.end(self.boundary)))

    def pieces(self, found: Sequence[Frame], numbers: Sequence[int]) -> Iterator[bytes | Frame]:
        """Give the frames, with what stands around them."""
        if not self.boundary:
            yield from found
            return
        is_first = True
        for frame, number in zip(found, numbers, strict=True):
            yield self._head(number, frame.size, is_first=is_first)
            yield frame
            is_first = False
        yield multipart.end(self.boundary)

    def part(self, number: int, data: bytes, *, is_first: bool) -> bytes:
        """Give one frame with what stands before it."""
        if not self.boundary:
            return data
        return self._head(number, len(data), is_first=is_first) + data

    def _head(self, number: int, size: int, *, is_first: bool) -> bytes:
        headers = {
            "Content-Type": self.media_type,
            "Content-Location": f"{self.base}/frames/{number}",
            "Content-Length": str(size),
        }
        return multipart.part_head(self.boundary, headers, is_first)


def _is_unconditional(request: Request) -> bool:
    return not any(name in _CONDITIONS for name, _ in request.scope["headers"])


def _numbers(listed: str) -> list[int]:
    """Read a list of frames. Raises: HTTPException 400, 413."""
    if not _NUMBERS.fullmatch(listed):
        raise HTTPException(400, "frames are a list of numbers from 1 on, as in 1,2,5")
    numbers = [int(number) for number in listed.split(",")]
    if len(numbers) > MOST_FRAMES:
        raise HTTPException(413, f"more than {MOST_FRAMES} frames: ask for them in several turns")
    return numbers


_STATUSES: Final = {
    200: "the frames",
    206: "the range that is asked for",
    304: "the client has them already",
    400: "a UID, the list of frames or the query is not well formed",
    404: "there is no such instance or frame, or its frames cannot be told apart",
    406: "none of the acceptable media types and transfer syntaxes can be had",
    412: "they are not as If-Match says",
    413: "more frames than one answer takes",
    416: "the range lies outside",
    503: "the bytes cannot be read",
}
RESOURCES: Final[tuple[Resource, ...]] = (
    Resource(
        name="Frame Pixel Data",
        path=PATH,
        methods={
            "GET": Method(
                transaction="Retrieve Frame Pixel Data",
                source="PS3.18 10.4.1.1.6",
                endpoint=frames,
                statuses=_STATUSES,
                gives=tuple(
                    given
                    for media_type in frame_types.IMAGES
                    for given in (f'multipart/related; type="{media_type}"', media_type)
                ),
                parameters=(Parameter(name="accept", source="PS3.18 8.3.3.1"),),
            )
        },
    ),
)
