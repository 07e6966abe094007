"""The first page for administrators: what there is to look after."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.ui.page import render


async def show(request: Request) -> Response:
    """GET /administration: the pages of ``page.ADMINISTRATION``."""
    return render(request, "administration.html")


ROUTES = (Route("/administration", show, name="administration"),)
