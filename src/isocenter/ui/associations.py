"""Associations: those there are, as they go on, and those that ended lately."""

from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.ui import forms
from isocenter.ui.administration import refuse_if_forbidden
from isocenter.ui.page import is_partial, render
from isocenter.ui.running import running_of

PATH: Final = "/administration/associations"
MOST: Final = 200
"""Associations that are shown; of more, the page says how many."""


async def show(request: Request) -> Response:
    """GET /administration/associations."""
    watch = running_of(request).watch
    current = watch.current
    context = {"current": current[:MOST], "more": max(0, len(current) - MOST), "past": watch.past}
    template = "_associations.html" if is_partial(request) else "associations.html"
    return render(request, template, context)


async def abort(request: Request) -> Response:
    """POST /administration/associations/abort: end one at once (A-ABORT, PS3.8 7.3)."""
    refuse_if_forbidden(request)
    number = dict(await forms.fields(request)).get("number", "")
    if number.isascii() and number.isdigit() and len(number) < 19:
        running_of(request).watch.abort(int(number))  # one that is over needs no more
    return RedirectResponse(PATH, 303)


ROUTES = (
    Route(PATH, show, name="associations"),
    Route(f"{PATH}/abort", abort, methods=["POST"], name="abort-association"),
)
