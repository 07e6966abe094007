"""The HTTP listener: whether we live and are ready, and the services it carries."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.dicomweb import problems


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

    def __init__(self, application: ASGIApp, bound: socket.socket) -> None:
        self._server = _Server(
            uvicorn.Config(
                application,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=30,
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


class Gate:
    """Passes requests on to an application that is there only while the archive is open."""

    def __init__(self) -> None:
        self.application: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 503 until there is an application, and after it is gone."""
        application = self.application
        if application is None:
            refusal = problems.problem(503, "starting or stopping", headers={"Retry-After": "5"})
            await refusal(scope, receive, send)
        else:
            await application(scope, receive, send)


def application(state: Callable[[], str], dicom_web: ASGIApp) -> Starlette:
    """Return the HTTP application; ``state`` says ``ready`` when all is up."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        now = state()
        return JSONResponse({"status": now}, status_code=200 if now == "ready" else 503)

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Mount("/dicom-web", dicom_web),
            Route("/wado", dicom_web),  # the URI service has no path below it
        ]
    )
