"""What our errors are called in FHIR: an OperationOutcome, and the status it comes with."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter import errors

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/fhir+json"
RETRY_AFTER: Final = "5"
"""Seconds after which what is unavailable may be asked for again."""

Resource = dict[str, Any]

STATUSES: Mapping[type[errors.IsocenterError], tuple[HTTPStatus, str]] = MappingProxyType(
    {
        errors.Malformed: (HTTPStatus.BAD_REQUEST, "invalid"),
        errors.Unsupported: (HTTPStatus.BAD_REQUEST, "not-supported"),
        errors.Denied: (HTTPStatus.FORBIDDEN, "forbidden"),
        errors.NotFound: (HTTPStatus.NOT_FOUND, "not-found"),
        errors.Conflict: (HTTPStatus.CONFLICT, "conflict"),
        errors.Unavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "transient"),
        errors.OutOfTurn: (HTTPStatus.INTERNAL_SERVER_ERROR, "exception"),
    }
)
"""Status and issue type; the nearest of an error's own classes counts."""

CODES: Mapping[int, str] = MappingProxyType(
    {
        404: "not-found",
        405: "not-supported",
        406: "not-supported",
        410: "deleted",
        413: "too-long",
        415: "not-supported",
        500: "exception",
    }
)
"""The issue types of what HTTP itself refuses; else ``invalid``."""


def outcome(code: str, text: str, severity: str = "error") -> Resource:
    """Say one thing."""
    issue = {"severity": severity, "code": code, "diagnostics": text}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def response(
    status: int, code: str, text: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with one thing that is wrong."""
    told = {"cache-control": "no-store", **(headers or {})}
    content = orjson.dumps(outcome(code, text))
    return Response(content, status, media_type=MEDIA_TYPE, headers=told)


def response_of(error: BaseException) -> Response:
    """Return the outcome that tells of ``error``; of our own bugs, no details."""
    if isinstance(error, HTTPException):
        status = error.status_code
        return response(status, CODES.get(status, "invalid"), error.detail, error.headers)
    for kind in type(error).__mro__:
        status, code = STATUSES.get(kind, (HTTPStatus.OK, ""))
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            return response(status, code, str(error), {"retry-after": RETRY_AFTER})
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return response(status, code, str(error))
    return response(HTTPStatus.INTERNAL_SERVER_ERROR, "exception", "internal error")


async def on_error(_: Request, error: Exception) -> Response:
    """Answer for what an interaction raised on purpose."""
    told = response_of(error)
    if told.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", exc_info=error)
    return told


HANDLERS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = MappingProxyType(
    {errors.IsocenterError: on_error, HTTPException: on_error}
)
