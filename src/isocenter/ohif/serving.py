"""The viewer over HTTP: its files, its page below every path of its own, what it is told of us."""

import mimetypes
import re
import time
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.ohif import configuration, installation
from isocenter.ohif.installation import File, Installed
from isocenter.web import compression, conditional
from isocenter.web.conditional import Validator

PATHS: Final = ("/ohif", "/ohif/{path:path}")
CONFIGURATION: Final = "app-config.js"
LOOK_AGAIN: Final = 2.0
"""Seconds until it is seen that a viewer was installed."""

_COMMON: Final = (
    "default-src 'none'",
    "style-src 'self' 'unsafe-inline'",  # its components style themselves
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "font-src 'self' data:",
    "connect-src 'self' blob: data:",
    "frame-src 'self' blob:",
    "object-src 'self' blob:",
    "worker-src 'self' blob:",
    "form-action 'self'",
    "base-uri 'self'",
    "frame-ancestors 'self'",
)
# It talks to nobody but us: no other origin stands in it.
POLICY: Final = "; ".join((*_COMMON, "script-src 'self' blob: 'wasm-unsafe-eval' 'unsafe-eval'"))
"""Its decoders make functions from text when they start, and so does what reads segmentations."""

_HASHED: Final = re.compile(r"(?:.*[./])?[0-9a-f]{20}\.[a-z0-9]+")
_ASSET: Final = re.compile(r".*\.(?:js|css|wasm|map|json|png|svg|ico|woff2?|txt)")
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<base href="{base}">
<meta name="viewport" content="width=device-width, initial-scale=1, user-scalable=no">
<meta name="theme-color" content="#000000">
<title>OHIF · Isocenter</title>
<link rel="icon" type="image/png" href="assets/favicon-32x32.png">
<link rel="stylesheet" href="app.bundle.css">
<script src="app-config.js"></script>
<script src="{entry}" defer></script>
</head>
<body>
<noscript>This viewer needs JavaScript.</noscript>
<div id="react-portal"></div>
<div id="root"></div>
</body>
</html>
"""


class Viewer:
    """Serves the viewer that is installed in a folder of viewers."""

    def __init__(self, viewers: Path, otherwise: ASGIApp) -> None:
        """``otherwise``: what answers, at ``/ohif``, while no viewer is installed."""
        self._viewers = viewers
        self._otherwise = otherwise
        self._installed: Installed | None = None
        self._looked = -LOOK_AGAIN

    @property
    def is_installed(self) -> bool:
        """Whether there is a viewer now."""
        return self._find() is not None

    def _find(self) -> Installed | None:
        now = time.monotonic()
        if now - self._looked >= LOOK_AGAIN:
            self._looked = now
            folder = self._viewers / installation.NAME
            is_there = (folder / installation.LIST).is_file()
            if not is_there or self._installed is None:
                self._installed = installation.find(self._viewers) if is_there else None
        return self._installed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for what stands at ``PATHS``."""
        installed = self._find()
        if installed is None:
            await self._otherwise({**scope, "path": f"{_prefix(scope)}/ohif"}, receive, send)
            return
        answer = _answer(Request(scope), installed)
        answer.headers.setdefault("content-security-policy", POLICY)
        answer.headers.setdefault("cache-control", "no-cache")
        answer.headers["referrer-policy"] = "same-origin"
        await answer(scope, receive, send)


def _answer(request: Request, installed: Installed) -> Response:
    if request.method not in ("GET", "HEAD"):
        return PlainTextResponse("this is only read", 405, {"allow": "GET, HEAD"})
    name = request.path_params.get("path", "")
    if name == CONFIGURATION:
        told = configuration.script(_prefix(request.scope))
        return Response(told, media_type="text/javascript; charset=utf-8")
    if (file := installed.files.get(name)) is not None:
        return _file(request, installed.folder / name, name, file)
    if _ASSET.fullmatch(name):
        return PlainTextResponse("the viewer has no such file", 404)
    page = _PAGE.format(base=f"{_prefix(request.scope)}/ohif/", entry=installed.entry)
    return Response(page, media_type="text/html; charset=utf-8")


def _prefix(scope: Scope) -> str:
    """The path below which a proxy we trust serves us: of harmless characters only."""
    return str(scope.get("root_path", ""))


def _file(request: Request, path: Path, name: str, file: File) -> Response:
    headers = {"vary": "accept-encoding"} if file.is_compressed else {}
    tag = file.digest[:24]
    if file.is_compressed and compression.accepts_gzip(request.headers):
        path = path.with_name(f"{path.name}.gz")
        headers["content-encoding"] = "gzip"
        tag += "-gzip"
    if _HASHED.fullmatch(name):
        headers["cache-control"] = "public, max-age=31536000, immutable"
    if name.endswith(".js"):
        headers["content-security-policy"] = POLICY  # of no effect but where a worker is it
    validator = Validator(etag=f'"{tag}"')
    if (known := conditional.check(request, validator)) is not None:
        known.headers.update({key: headers[key] for key in headers if key != "content-encoding"})
        return known
    suffix = Path(name).suffix
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FileResponse(path, headers={**headers, **validator.headers}, media_type=kind)
