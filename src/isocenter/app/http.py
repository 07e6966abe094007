"""The HTTP listener: it starts and stops, and what it carries is put together here."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.app import connections
from isocenter.app.api import OPERATIONS, Api
from isocenter.app.forwarded import Forwarded
from isocenter.app.origins import Origins
from isocenter.config import HttpConfig
from isocenter.dicomweb import problems
from isocenter.ohif.serving import PATHS as VIEWER_PATHS, Viewer
from isocenter.web.guard import Guard

log = logging.getLogger(__name__)

LONGEST_MESSAGE: Final = 1 << 16
"""Bytes of a WebSocket message that is heard: subscribers have nothing to say (PS3.18 8.10.5)."""


class _Server(uvicorn.Server):
    """Leaves signals to the node, and says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpListener:
    """Serves ``application`` on a socket that is bound already."""

    def __init__(
        self, application: ASGIApp, bound: socket.socket, config: HttpConfig | None = None
    ) -> None:
        config = config or HttpConfig()
        # What it would log we say ourselves: once, and without what a client sent.
        logging.getLogger("uvicorn.error").disabled = True
        self._server = _Server(
            uvicorn.Config(
                application,
                http=connections.limited(limits_of(config)),
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(1, round(config.idle_timeout)),
                ws_max_size=LONGEST_MESSAGE,
                timeout_graceful_shutdown=5,
            )
        )
        self._socket = bound
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when requests are answered."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        accepting = asyncio.create_task(self._server.accepting.wait())
        await asyncio.wait({self._task, accepting}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            accepting.cancel()
            self._task.result()

    async def close(self) -> None:
        """Let requests in flight finish, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def limits_of(config: HttpConfig) -> connections.Limits:
    """What the settings say of limits and waiting."""
    return connections.Limits(
        connections=config.max_connections,
        header_size=config.max_header_size,
        header_timeout=config.header_timeout,
        network_timeout=config.network_timeout,
    )


class Gate:
    """Passes requests on to an application that is there only while the archive is open."""

    def __init__(self) -> None:
        self._application: ASGIApp | None = None
        self._under_way: set[asyncio.Task[object]] = set()

    @property
    def under_way(self) -> int:
        """Requests that are being answered."""
        return len(self._under_way)

    def open(self, application: ASGIApp) -> None:
        """Pass on what comes from now on."""
        self._application = application

    async def drain(self, timeout: float) -> None:
        """Refuse what comes from now on; return when what is under way has ended.

        After ``timeout`` seconds it is ended.
        """
        self._application = None
        if not self._under_way:
            return
        log.info("finishing requests", extra={"under_way": self.under_way})
        _, left = await asyncio.wait(self._under_way, timeout=timeout)
        if left:
            log.warning("requests broken off", extra={"under_way": len(left)})
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 until there is an application, and after it is gone."""
        application = self._application
        if application is None:
            await _refuse(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            await _run(application, scope, receive, send)
        finally:
            self._under_way.discard(task)


async def _run(application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application answer; if it is ended before it began to, refuse."""
    has_begun = False

    async def watched(message: Message) -> None:
        nonlocal has_begun
        has_begun = True
        await send(message)

    try:
        await application(scope, receive, watched)
    except asyncio.CancelledError:
        if not has_begun:
            await _refuse(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1012})  # service restart
        return
    told = {"retry-after": problems.RETRY_AFTER, "connection": "close"}
    await problems.problem(503, "starting or stopping", headers=told)(scope, receive, send)


def application(
    state: Callable[[], str],
    dicom_web: ASGIApp,
    pages: ASGIApp | None = None,
    config: HttpConfig | None = None,
    fhir: ASGIApp | None = None,
    viewer: Viewer | None = None,
) -> Starlette:
    """Return the HTTP application; ``state`` says ``ready`` when all is up."""
    config = config or HttpConfig()
    api = Api(state)
    return Starlette(
        routes=[
            Mount("/dicom-web", dicom_web),  # what is asked for most is looked for first
            *(Route(each.path, api.serve(each)) for each in OPERATIONS),
            Route("/wado", dicom_web),  # the URI service has no path below it
            *([Mount("/fhir", fhir)] if fhir is not None else ()),
            *([Route(path, viewer) for path in VIEWER_PATHS] if viewer is not None else ()),
            *([Mount("/", pages)] if pages is not None else ()),
        ],
        middleware=[
            Middleware(Guard, answer=problems.response_of),
            Middleware(Forwarded, trusted=config.trusted_proxies),
            Middleware(Origins, config=config),
        ],
        exception_handlers=problems.HANDLERS,
    )
