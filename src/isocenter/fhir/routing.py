"""All releases as one application."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.fhir import (
    capability,
    diagnostic_report,
    endpoint,
    everything,
    imaging_study,
    outcomes,
    patient,
)
from isocenter.fhir.interactions import Interactions
from isocenter.fhir.registry import ResourceType
from isocenter.fhir.releases import RELEASES, Release
from isocenter.web.compression import Compression
from isocenter.web.guard import Guard

RESOURCES: Final[tuple[ResourceType, ...]] = (
    imaging_study.RESOURCE,
    patient.RESOURCE,
    endpoint.RESOURCE,
    diagnostic_report.RESOURCE,
)
"""Every resource."""


def application(archive: Archive, config: Config) -> Starlette:
    """Return what is served below ``/fhir``."""
    serving = Starlette(
        routes=[Mount(f"/{release.name}", routes=_routes(release)) for release in RELEASES],
        middleware=[
            Middleware(Guard, answer=outcomes.response_of),
            Middleware(Compression),
        ],
        exception_handlers=outcomes.HANDLERS,
    )
    serving.router.redirect_slashes = False
    serving.state.archive = archive
    serving.state.zone = ZoneInfo(config.fhir.timezone) if config.fhir.timezone else None
    return serving


def _routes(release: Release) -> list[BaseRoute]:
    describe = partial(capability.metadata, release=release, resources=RESOURCES)
    every = partial(everything.everything, release=release)
    return [
        _route("/metadata", describe),
        _route("/.well-known/smart-configuration", capability.smart),
        _route(f"/{patient.TYPE}/{{id}}/${everything.NAME}", every),
        *(route for kind in RESOURCES for route in _of(kind, Interactions(kind, release))),
    ]


def _of(kind: ResourceType, interactions: Interactions) -> list[Route]:
    return [
        _route(f"/{kind.name}", interactions.search),
        _route(f"/{kind.name}/_search", interactions.search, "GET", "POST"),
        _route(f"/{kind.name}/{{id}}", interactions.read),
    ]


def _route(path: str, endpoint: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
    async def answer(request: Request) -> Response:
        response = await endpoint(request)
        response.headers.setdefault("cache-control", "private, no-cache")
        return response

    return Route(path, answer, methods=list(methods or ("GET",)))
