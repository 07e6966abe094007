"""Renderings and thumbnails: where they will be (PS3.18 8.7.4, 10.4.1.1.3 to 10.4.1.1.8).

Nothing is rendered yet. What is asked for is checked all the same, so that who asks wrongly hears
what is wrong, and who asks rightly hears that it is not there yet.
"""

import re
from typing import Final, Never

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.archive.archive import Archive
from isocenter.dicomweb import negotiation, targets
from isocenter.dicomweb.negotiation import Offer
from isocenter.dicomweb.resources import Method, Resource

MEDIA_TYPES: Final = (
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/jp2",
    "image/jph",
    "image/jxl",
    "video/mpeg",
    "video/mp4",
    "video/h265",
    "text/html",
    "text/plain",
    "text/xml",
    "text/rtf",
    "application/pdf",
)
"""What a rendering may be (PS3.18 Table 8.7.4-1)."""

_OFFERS: Final = tuple(
    Offer(each, is_multipart) for each in MEDIA_TYPES for is_multipart in (False, True)
)
_FRAMES: Final = re.compile(r"[1-9][0-9]{0,9}(,[1-9][0-9]{0,9})*")


async def not_yet(request: Request) -> Response:
    """Refuse to render what the path names.

    Raises: HTTPException 400, 406, 501; Malformed, NotFound, Unavailable.
    """
    uids = dict(request.path_params)
    if not _FRAMES.fullmatch(frames := uids.pop("frames", "1")):
        raise HTTPException(400, f"{frames[:80]!r} is no list of frame numbers, such as 1,2,5")
    if not negotiation.acceptable(request).ranked(_OFFERS):
        refuse_media_type()
    archive: Archive = request.app.state.archive
    if not await archive.index.count_instances(targets.selection_of(uids)):
        raise targets.absent(uids)
    refuse()


def refuse_media_type() -> Never:
    """Raises: HTTPException 406."""
    raise HTTPException(406, f"a rendering is one of {', '.join(MEDIA_TYPES)}")


def refuse() -> Never:
    """Raises: HTTPException 501."""
    raise HTTPException(
        501, "this server does not render yet: retrieve the instance as application/dicom"
    )


_METHOD: Final = Method(
    transaction="Retrieve Rendered",
    source="PS3.18 10.4.1.1.3 to 10.4.1.1.8",
    endpoint=not_yet,
    statuses={
        400: "a UID, a frame number or the query is not well formed",
        404: "there is no such thing",
        406: "none of the acceptable media types is of a rendering",
        501: "it would be rendered; that is not done yet",
    },
    gives=MEDIA_TYPES,
)
_SERIES = "/studies/{study}/series/{series}"
_INSTANCE = f"{_SERIES}/instances/{{instance}}"
_LEVELS: Final = (
    ("Study", "/studies/{study}"),
    ("Series", _SERIES),
    ("Instance", _INSTANCE),
    ("Frames", f"{_INSTANCE}/frames/{{frames}}"),
)
_KINDS: Final = (
    ("Rendered {}", "rendered"),
    ("{} Thumbnail", "thumbnail"),
    ("Rendered MPR Volume {}", "renderedmpr"),
    ("Rendered 3D Volume {}", "rendered3d"),
)

# Table 10.4.1.8-1 has the study's volume below series.
_ODD: Final = (("Rendered 3D Volume Study", "/studies/{study}/series/rendered3d"),)

RESOURCES: Final[tuple[Resource, ...]] = tuple(
    Resource(name=name, path=path, methods={"GET": _METHOD})
    for name, path in (
        *((name.format(level), f"{at}/{end}") for name, end in _KINDS for level, at in _LEVELS),
        *_ODD,
    )
)
