"""What our errors are called over HTTP: problem details (RFC 9457)."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter import errors

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUSES: Mapping[type[errors.IsocenterError], HTTPStatus] = MappingProxyType(
    {
        errors.Malformed: HTTPStatus.BAD_REQUEST,
        errors.Unsupported: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        errors.Denied: HTTPStatus.FORBIDDEN,
        errors.NotFound: HTTPStatus.NOT_FOUND,
        errors.Conflict: HTTPStatus.CONFLICT,
        errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.OutOfTurn: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)
"""The nearest of an error's own classes counts."""


def problem(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    """Say what is wrong; ``more`` are members of the problem's own."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        **more,
    }
    return Response(
        orjson.dumps(content), status, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def response_of(error: BaseException) -> Response:
    """Return the problem that tells of ``error``; of our own bugs, no details."""
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, headers=error.headers)
    for kind in type(error).__mro__:
        if (status := STATUSES.get(kind)) is not None and status < 500:
            return problem(status, str(error))
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            return problem(status, str(error), headers={"Retry-After": "5"})
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")


async def on_error(_: Request, error: Exception) -> Response:
    """Answer for whatever an endpoint raised."""
    response = response_of(error)
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", exc_info=error)
    return response
