"""What our errors are called over HTTP: problem details (RFC 9457)."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter import errors
from isocenter.archive.not_rendered import NotRendered, TooLarge

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
        NotRendered: HTTPStatus.NOT_ACCEPTABLE,
        TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    }
)
"""The nearest of an error's own classes counts."""

RETRY_AFTER = "5"
"""Seconds after which what is unavailable may be asked for again."""


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
    told = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(content), status, media_type=MEDIA_TYPE, headers=told)


def response_of(error: BaseException) -> Response:
    """Return the problem that tells of ``error``; of our own bugs, no details."""
    if isinstance(error, HTTPException):
        return problem(error.status_code, error.detail, headers=error.headers)
    for kind in type(error).__mro__:
        if (status := STATUSES.get(kind)) is not None and status < 500:
            return problem(status, str(error))
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            return problem(status, str(error), headers={"retry-after": RETRY_AFTER})
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")


async def on_error(_: Request, error: Exception) -> Response:
    """Answer for what an endpoint raised on purpose."""
    response = response_of(error)
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", exc_info=error)
    return response


HANDLERS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = MappingProxyType(
    {errors.IsocenterError: on_error, HTTPException: on_error}
)
