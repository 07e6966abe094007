"""What a reader sees when something cannot be done."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from isocenter.errors import (
    Conflict,
    Denied,
    IsocenterError,
    Malformed,
    NotFound,
    OutOfTurn,
    Unavailable,
    Unsupported,
)
from isocenter.ui.page import is_partial, render

log = logging.getLogger(__name__)

STATUSES: Final[Mapping[type[IsocenterError], HTTPStatus]] = {
    Malformed: HTTPStatus.BAD_REQUEST,
    Unsupported: HTTPStatus.UNPROCESSABLE_ENTITY,
    Denied: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    OutOfTurn: HTTPStatus.INTERNAL_SERVER_ERROR,
}

TITLES: Final[Mapping[int, str]] = {
    400: "This cannot be understood",
    403: "You may not do this",
    404: "There is no such page here",
    405: "This cannot be done here",
    409: "This is in conflict with what is there",
    500: "Something went wrong",
    503: "This cannot be done now",
}
"""English texts; the catalogs have the others."""


async def of_ours(request: Request, error: Exception) -> Response:
    """Answer an error of our own."""
    assert isinstance(error, IsocenterError)
    status = next(STATUSES[each] for each in type(error).__mro__ if each in STATUSES)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, Unavailable):
        log.error("a page failed", exc_info=error)
    answer = _told(request, status, str(error))
    if isinstance(error, Unavailable):
        answer.headers["retry-after"] = "5"
    return answer


async def of_http(request: Request, error: Exception) -> Response:
    """Answer what a page or a route refuses."""
    assert isinstance(error, HTTPException)
    named = error.detail != HTTPStatus(error.status_code).phrase
    answer = _told(request, error.status_code, error.detail if named else "")
    answer.headers.update(error.headers or {})
    return answer


async def of_others(request: Request, error: Exception) -> Response:
    """Answer an error nobody foresaw: a bug."""
    log.error("a page failed", exc_info=error)
    return _told(request, HTTPStatus.INTERNAL_SERVER_ERROR, "")


def _told(request: Request, status: int, detail: str) -> Response:
    title = TITLES.get(status) or TITLES[400 if status < 500 else 500]
    template = "_fault.html" if is_partial(request) else "fault.html"
    context = {"title": title, "detail": detail, "status": int(status)}
    return render(request, template, context, status=status)


HANDLERS: Final[dict[Any, Any]] = {
    IsocenterError: of_ours,
    HTTPException: of_http,
    Exception: of_others,
}
