"""What a reader chose for the pages: kept by the browser, not by us."""

from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from isocenter.ui import forms
from isocenter.ui.language import LANGUAGES
from isocenter.ui.page import THEMES

CHOICES = {"theme": frozenset(THEMES), "language": frozenset(LANGUAGES)}
YEAR = 365 * 24 * 3600


async def keep(request: Request) -> Response:
    """POST /preferences: remember a theme or a language, and go back."""
    chosen = dict(await forms.fields(request))
    back = urlsplit(chosen.pop("back", "/"))
    answer = RedirectResponse(_local(back.path, back.query), 303)
    for name, value in chosen.items():
        if value not in CHOICES.get(name, ()):
            raise HTTPException(400, "there is no such theme or language")
        answer.set_cookie(name, value, max_age=YEAR, httponly=True, samesite="lax")
    return answer


def _local(path: str, query: str) -> str:
    """A place among our pages, never elsewhere: ``//host`` would be."""
    path = "/" + path.lstrip("/\\")
    return f"{path}?{query}" if query else path


ROUTES = (Route("/preferences", keep, methods=["POST"], name="preferences"),)
