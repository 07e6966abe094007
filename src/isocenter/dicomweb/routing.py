"""All resources of PS3.18 as one application."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.dicomweb import (
    bulkdata,
    capabilities,
    commitment,
    frames,
    metadata,
    notifications,
    problems,
    remove,
    rendered,
    retrieve,
    search,
    store,
    uri,
    workitems,
)
from isocenter.dicomweb.resources import Resource, merged
from isocenter.web.compression import Compression
from isocenter.web.guard import Guard

RESOURCES: tuple[Resource, ...] = (
    *frames.RESOURCES,
    *rendered.RESOURCES,
    *bulkdata.RESOURCES,
    *search.RESOURCES,
    *workitems.RESOURCES,
    *metadata.RESOURCES,
    *retrieve.RESOURCES,
    *remove.RESOURCES,
    *store.RESOURCES,
    *commitment.RESOURCES,
    *uri.RESOURCES,
)
"""Every resource, the more special paths first."""


def application(
    archive: Archive, config: Config, resources: tuple[Resource, ...] | None = None
) -> Starlette:
    """Return what is served below ``/dicom-web``; endpoints find ``archive`` and ``config`` in
    ``request.app.state``."""
    served = (capabilities.service(), *merged(RESOURCES if resources is None else resources))
    serving = Starlette(
        routes=[
            *(Route(resource.path, Served(resource)) for resource in served),
            WebSocketRoute(notifications.PATH, notifications.notify),
        ],
        middleware=[
            Middleware(Guard, answer=problems.response_of),
            Middleware(Compression),
            Middleware(_WithoutSlash),
        ],
        exception_handlers=problems.HANDLERS,
    )
    serving.router.redirect_slashes = False
    serving.state.archive = archive
    serving.state.config = config
    serving.state.resources = served
    return serving


class Served:
    """A resource as a route has it: finds the method, and adds those that all have."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises: HTTPException, and whatever the endpoint does."""
        request = Request(scope, receive, send)
        if request.method == "HEAD":
            send = _without_body(send)
        response = await self._endpoint(request.method)(request)
        response.headers.setdefault("cache-control", "private, no-cache")
        await response(scope, receive, send)

    def _endpoint(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        found = self._resource.methods.get("GET" if name == "HEAD" else name)
        if found is not None:
            return found.endpoint
        if name == "OPTIONS":
            return self._describe
        allowed = ", ".join(self._resource.allowed)
        raise HTTPException(405, f"here are {allowed}", {"allow": allowed})

    async def _describe(self, request: Request) -> Response:
        return capabilities.describe(request, self._resource)


def _without_body(send: Send) -> Send:
    """Pass on what HEAD has of an answer: all but the content."""

    async def pass_on(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return pass_on


class _WithoutSlash:
    """Takes ``/studies/`` for ``/studies``. Peer quirk: clients join URLs with a slash too many."""

    def __init__(self, within: ASGIApp) -> None:
        self._within = within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            root, path = scope.get("root_path", ""), scope["path"]
            if path.endswith("/") and len(path) > len(root) + 1:
                scope = {**scope, "path": path.rstrip("/") or "/"}
            elif path == root:  # the service itself, asked for without a slash
                scope = {**scope, "path": f"{root}/"}
        await self._within(scope, receive, send)
