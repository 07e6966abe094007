"""All pages as one application, and the rules that hold for each of them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter import __version__
from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.ui import (
    administration,
    associations,
    attributes,
    changes,
    correction,
    dashboard,
    display,
    events,
    images,
    jobs,
    manifest,
    opening,
    patterns,
    peers,
    preferences,
    removal,
    send,
    settings,
    shared,
    shares,
    storage,
    study,
    upload,
    viewers,
    waveforms,
    worklist,
)
from isocenter.ui.arrivals import Arrivals
from isocenter.ui.faults import HANDLERS
from isocenter.ui.page import viewers_of
from isocenter.ui.running import Running, alone

STATIC: Final = Path(__file__).parent / "static"

PAGES: Final = (
    worklist,
    correction,
    administration,
    peers,
    associations,
    storage,
    changes,
    settings,
    dashboard,
    events,
    upload,
    study,
    images,
    attributes,
    waveforms,
    removal,
    send,
    jobs,
    preferences,
    patterns,
    viewers,
    opening,
    manifest,
    display,
    shares,
    shared,
)
"""The modules that have pages; the ``ROUTES`` of each say where."""
ROUTES: Final = tuple(route for pages in PAGES for route in pages.ROUTES)

# Nothing is run or shown but what we serve ourselves, so script in a patient's name stays text
# even where escaping were forgotten. Thumbnails a page makes itself are blobs.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    )
)
USUAL: Final[Mapping[bytes, bytes]] = {b"referrer-policy": b"same-origin"}
"""Addresses, of shared studies too, are told to nobody else. Were they told to nobody at all, forms
would come from the origin ``null``, which may not."""
_OF_SHARED: Final[Mapping[bytes, bytes]] = {**USUAL, **shared.HEADERS}
_LONG: Final = b"public, max-age=31536000, immutable"


def application(
    archive: Archive,
    config: Config,
    has_ohif: Callable[[], bool] = lambda: False,
    running: Running | None = None,
    web_services: ASGIApp | None = None,
) -> Starlette:
    """Return what is served at ``/``; pages find ``archive`` and ``config`` in the state.

    ``has_ohif``: says whether the viewer is installed now. ``running``: what pages ask of the
    process, if it talks to anybody. ``web_services``: what answers below ``/dicom-web``, of which
    shared studies have their pictures.
    """
    serving = Starlette(
        routes=[*ROUTES, Mount(f"/static/{__version__}", StaticFiles(directory=STATIC))],
        middleware=[Middleware(_Guarded)],
        exception_handlers=HANDLERS,
    )
    serving.state.archive = archive
    serving.state.config = config
    serving.state.has_ohif = has_ohif
    serving.state.running = running or alone(archive, config)
    serving.state.web_services = web_services
    serving.state.arrivals = Arrivals(archive, partial(viewers_of, config, has_ohif))
    serving.state.doorway = upload.Doorway()
    return serving


class _Guarded:
    """Sends what keeps a page safe with each answer."""

    def __init__(self, within: ASGIApp) -> None:
        self._within = within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_static = path.startswith("/static/")
        more = _OF_SHARED if path.startswith(shared.PREFIX) else USUAL

        async def guard(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], *more.items()]
                if is_static and message["status"] == 200:
                    headers.append((b"cache-control", _LONG))  # the path names the version
                elif not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))  # patients' data
                if not any(name == b"content-security-policy" for name, _ in headers):
                    headers.append((b"content-security-policy", POLICY.encode()))
                message = {**message, "headers": headers}
            await send(message)

        await self._within(scope, receive, guard)
