"""Retrieve Transaction for frames, one by one, without decoding them (PS3.18 10.4.1.1.6).

A single frame that was located before and is in memory is answered at once, in one piece: viewers
ask for thousands of those.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.dicom.syntax import lookup
from isocenter.dicomweb import addresses, frame_types, multipart, targets
from isocenter.dicomweb.answers import answer
from isocenter.dicomweb.conditional import etag
from isocenter.dicomweb.delivery import Buffer
from isocenter.dicomweb.negotiation import Chosen
from isocenter.dicomweb.pieces import Pieces
from isocenter.dicomweb.resources import Method, Parameter, Resource
from isocenter.imaging.frame_bytes import Frame
from isocenter.storage.records import InstanceRef

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
    chosen = frame_types.choose(request, instance.transfer_syntax, is_one=len(numbers) == 1)
    manner = _Manner.of(request, instance, chosen, numbers)
    archive: Archive = request.app.state.archive
    opened = archive.opened.known(instance) or await archive.opened.open(instance, locates=True)
    try:
        is_quick = len(numbers) == 1 and _is_unconditional(request)
        if is_quick and (data := opened.at_hand(numbers[0])) is not None:
            return manner.at_once(data, numbers[0])
        found = await opened.frames(numbers)
    finally:
        opened.release()
    body = Pieces(archive, instance, list(manner.pieces(found, numbers)))
    return answer(request, body, manner.tag, manner.content_type, {})


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
        cls, request: Request, instance: InstanceRef, chosen: Chosen, numbers: Sequence[int]
    ) -> "_Manner":
        syntax = lookup(instance.transfer_syntax)
        name = frame_types.media_type_of(syntax)
        if chosen.media_type == name:
            name = chosen.called
        media_type = f"{name}; transfer-syntax={frame_types.transfer_syntax_of(syntax)}"
        base = addresses.instance(
            addresses.root(request),
            instance.sop_class_uid,
            instance.study_instance_uid,
            instance.series_instance_uid,
            instance.sop_instance_uid,
        )
        tag = etag(media_type, chosen.is_multipart, base, instance.blob_key, *numbers)
        if not chosen.is_multipart:
            return cls(media_type, media_type, "", tag, base)
        boundary = tag.strip('"')  # the same one again, so that a part of the whole fits
        return cls(media_type, multipart.content_type(boundary, name), boundary, tag, base)

    def at_once(self, data: Buffer, number: int) -> Response:
        """Answer with a single frame."""
        headers = {"vary": "accept", "etag": self.tag, "accept-ranges": "bytes"}
        headers["content-type"] = self.content_type
        if self.boundary:
            head = self._head(number, len(data), is_first=True)
            data = b"".join((head, data, multipart.end(self.boundary)))
        return Response(bytes(data), headers=headers)

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
    406: "none of the acceptable media types and transfer syntaxes can be had without decoding",
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
