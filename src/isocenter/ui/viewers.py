"""What stands where a viewer would be, while it is not installed."""

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.ui.page import render


async def missing(request: Request) -> Response:
    """GET /ohif: how to install it."""
    return render(request, "viewer.html", status=HTTPStatus.NOT_FOUND)


ROUTES = (Route("/ohif", missing, name="viewer"),)
