"""Answering with a body: whole, a part of it, or only that the client has it already."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from isocenter.dicomweb import ranges
from isocenter.dicomweb.files import Body
from isocenter.web import conditional
from isocenter.web.conditional import Validator
from isocenter.web.delivery import Stream


def answer(
    request: Request, body: Body, etag: str, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Give ``body``, or what ``request`` wants of it (RFC 9110 13.2.2).

    Raises: HTTPException 412, 416.
    """
    validator = Validator(etag)
    if (settled := conditional.check(request, validator)) is not None:
        return settled
    told = {"vary": "accept", **validator.headers, **headers}
    if body.size is None:
        return Stream(body.content(), 200, told, media_type)
    told["accept-ranges"] = "bytes"
    span = _span(request, validator, body.size)
    if span is None:
        return Stream(body.content(), 200, told, media_type, size=body.size)
    told["content-range"] = span.told(body.size)
    content = body.content(span.start, span.end)
    return Stream(content, 206, told, media_type, size=len(span))


def _span(request: Request, validator: Validator, size: int) -> ranges.Span | None:
    """What is wanted of ``size`` bytes; of several ranges, the whole (RFC 9110 14.2)."""
    if not conditional.is_range_wanted(request, validator):
        return None
    spans = ranges.parse(request.headers.get("range"), size)
    return spans[0] if spans is not None and len(spans) == 1 else None
