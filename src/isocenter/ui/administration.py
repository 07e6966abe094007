"""The first page for administrators: what there is to look after."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from isocenter.config import Config
from isocenter.errors import Denied
from isocenter.ui.page import render


def refuse_if_forbidden(request: Request) -> None:
    """Raises: Denied, where the settings keep users of the pages from administering."""
    config: Config = request.app.state.config
    if not config.permits(config.http.administration):
        raise Denied(
            "this server is not administered by its pages"
            f' (its setting [http] administration is "{config.http.administration}")'
        )


async def show(request: Request) -> Response:
    """GET /administration: the pages of ``page.ADMINISTRATION``."""
    return render(request, "administration.html")


ROUTES = (Route("/administration", show, name="administration"),)
