"""What web pages may do with this server: those it serves itself, and those of other origins.

Whoever sits at a browser in a hospital also opens pages of strangers. Without these rules such a
page could store and delete here in that person's name (a form needs nobody's leave), and, by giving
its own name our address, read as well (DNS rebinding). Programs that are no browsers send none of
the fields that are looked at, and notice nothing.
"""

import re
import socket
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.app.forwarded import HOST
from isocenter.config import HttpConfig
from isocenter.dicomweb.problems import problem

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
METHODS: Final = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
EXPOSED: Final = (
    "Accept-Ranges, Allow, Content-Disposition, Content-Encoding, Content-Length, Content-Location,"
    " Content-Range, ETag, Last-Modified, Location, Retry-After, Warning,"
    " X-Total-Count"
)
"""What pages of allowed origins may read of an answer's header fields."""

PREFLIGHT_AGE: Final = "600"
"""Seconds for which a browser need not ask again."""

# Nobody can register a name below these (RFC 6761, 6762; ICANN's for private use).
_PRIVATE_ENDINGS: Final = (".localhost", ".local", ".internal", ".test", ".home.arpa")
_FIELD_NAMES: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~ ,-]*")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Origins:
    """Refuses what a stranger's page asks for, and lets allowed origins in (CORS)."""

    def __init__(self, within: ASGIApp, config: HttpConfig) -> None:
        self._within = within
        self._allowed = frozenset(config.cors_origins)
        self._names = frozenset(each.lower() for each in config.names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._within(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        is_allowed = origin is not None and ("*" in self._allowed or origin in self._allowed)
        answer = self._refusal(scope, headers, is_allowed)
        if answer is None and _is_preflight(scope, headers):
            answer = _preflight(headers) if is_allowed else _foreign()
        if scope["type"] == "websocket":
            if answer is not None:
                await send({"type": "websocket.close", "code": 1008})
                return
        else:
            send = self._marking(send, origin if is_allowed else None)
        await (answer or self._within)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers, is_allowed: bool) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) > 1 or not all(map(HOST.fullmatch, hosts)):
            return problem(400, "the Host header field is not well formed")
        if not hosts and scope.get("http_version", "1.1") != "1.0":
            return problem(400, "the Host header field is missing")
        host = hosts[0] if hosts else "localhost"
        if not self._is_ours(host):
            return problem(
                421, "this server is not known by the name in Host: see the setting [http] names"
            )
        is_change = scope["type"] == "websocket" or scope["method"] not in READING
        if is_change and not is_allowed and _is_foreign(headers, host):
            return _foreign()
        return None

    def _is_ours(self, host: str) -> bool:
        name = re.sub(r":[0-9]+$", "", host).lower().rstrip(".")
        if "*" in self._names or name in self._names:
            return True
        # A page can give a name of its own our address, but never an address.
        is_address = name.startswith("[") or re.fullmatch(r"[0-9.]+", name) is not None
        is_private = "." not in name or name.endswith(_PRIVATE_ENDINGS)
        return is_address or is_private or name == socket.gethostname().lower()

    def _marking(self, send: Send, origin: str | None) -> Send:
        async def mark(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                headers.setdefault("x-content-type-options", "nosniff")
                policy = "cross-origin" if self._allowed else "same-origin"
                headers.setdefault("cross-origin-resource-policy", policy)
                if self._allowed and "*" not in self._allowed:
                    headers.add_vary_header("Origin")
                if origin is not None:
                    anybody = "*" in self._allowed
                    headers["access-control-allow-origin"] = "*" if anybody else origin
                    headers["access-control-expose-headers"] = EXPOSED
                message = {**message, "headers": headers.raw}
            await send(message)

        return mark


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    is_options = scope["type"] == "http" and scope["method"] == "OPTIONS"
    return is_options and "origin" in headers and "access-control-request-method" in headers


def _preflight(headers: Headers) -> Response:
    asked = headers.get("access-control-request-headers", "")
    told = {
        "access-control-allow-methods": METHODS,
        "access-control-max-age": PREFLIGHT_AGE,
        "vary": "Access-Control-Request-Headers",
    }
    if asked and _FIELD_NAMES.fullmatch(asked):
        told["access-control-allow-headers"] = asked
    if headers.get("access-control-request-private-network") == "true":
        told["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=told)


def _foreign() -> Response:
    return problem(403, "pages of that origin may not: see the setting [http] cors_origins")


def _is_foreign(headers: Headers, host: str) -> bool:
    """Say whether a page of another origin asks; what is no page is no stranger."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is not None and _place(origin) not in _places_of(host)


def _place(origin: str) -> tuple[str, int | None] | None:
    """Host and port of an origin; of ``null`` and what is none, nothing."""
    try:
        split = urlsplit(origin)
        port = split.port or _DEFAULT_PORTS.get(split.scheme)
    except ValueError:
        return None
    return (split.hostname, port) if split.hostname else None


def _places_of(host: str) -> Sequence[tuple[str, int | None]]:
    """Where a page of ours may say that it is from.

    A proxy that is not trusted to tell may have been asked by https: so without a port, both.
    """
    split = urlsplit(f"//{host}")
    name = split.hostname or ""
    return [(name, split.port)] if split.port else [(name, 80), (name, 443)]
