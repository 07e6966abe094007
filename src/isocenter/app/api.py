"""What is served beside DICOMweb, and its description in OpenAPI 3.1.

``OPERATIONS`` is what routes and description are drawn from.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from isocenter import __version__
from isocenter.dicomweb import problems
from isocenter.web import addresses

JSON: Final = "application/json"
DESCRIPTION: Final = "/api/openapi.json"

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way in which an operation may end."""

    meaning: str
    media_type: str
    schema: Schema = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one path answers to GET; there is nothing here yet that changes anything."""

    name: str
    path: str
    summary: str
    answers: Mapping[int, Answer]


def _of_state(*states: str) -> Schema:
    return {
        "type": "object",
        "properties": {"status": {"type": "string", "enum": [*states]}},
        "required": ["status"],
    }


PROBLEM: Final[Schema] = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}

LIVE: Final = Operation(
    name="live",
    path="/health/live",
    summary="Whether the process lives",
    answers={200: Answer(meaning="It does.", media_type=JSON, schema=_of_state("live"))},
)
READY: Final = Operation(
    name="ready",
    path="/health/ready",
    summary="Whether requests are served",
    answers={
        200: Answer(meaning="They are.", media_type=JSON, schema=_of_state("ready")),
        503: Answer(
            meaning="Not yet, or not any more.",
            media_type=JSON,
            schema=_of_state("starting", "draining"),
        ),
    },
)
OPENAPI: Final = Operation(
    name="openapi",
    path=DESCRIPTION,
    summary="This description",
    answers={200: Answer(meaning="It.", media_type=JSON, schema={"type": "object"})},
)
OPERATIONS: Final[Sequence[Operation]] = (LIVE, READY, OPENAPI)
"""Everything beside DICOMweb."""


class Api:
    """Answers the operations."""

    def __init__(self, state: Callable[[], str]) -> None:
        self._state = state
        self._endpoints: Mapping[str, Callable[[Request], Awaitable[Response]]] = {
            LIVE.name: self._live,
            READY.name: self._ready,
            OPENAPI.name: self._openapi,
        }

    def serve(self, operation: Operation) -> "Served":
        """Return what a route needs."""
        return Served(self._endpoints[operation.name])

    async def _live(self, _: Request) -> Response:
        return _json({"status": "live"})

    async def _ready(self, _: Request) -> Response:
        now = self._state()
        return _json({"status": now}, 200 if now == "ready" else 503)

    async def _openapi(self, request: Request) -> Response:
        return _json(description(addresses.root(request)))


class Served:
    """An operation as a route has it: GET, and what comes with it."""

    def __init__(self, endpoint: Callable[[Request], Awaitable[Response]]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises: HTTPException 405."""
        request = Request(scope, receive, send)
        allowed = "GET, HEAD, OPTIONS"
        if request.method == "OPTIONS":
            response = Response(status_code=204, headers={"allow": allowed})
        elif request.method in ("GET", "HEAD"):
            response = await self._endpoint(request)
        else:
            raise HTTPException(405, f"here are {allowed}", {"allow": allowed})
        await response(scope, receive, send)


def description(base: str) -> dict[str, Any]:
    """Return the description in OpenAPI 3.1 of what is served at ``base``."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Isocenter",
            "version": __version__,
            "description": "What is not DICOMweb; of that, OPTIONS /dicom-web/ tells (PS3.18 8.9).",
        },
        "servers": [{"url": base}],
        "paths": {each.path: {"get": _operation(each)} for each in OPERATIONS},
        "components": {"schemas": {"Problem": PROBLEM}},
    }


def _operation(operation: Operation) -> dict[str, Any]:
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    answers: dict[str, Any] = {
        str(status): {
            "description": answer.meaning,
            "content": {answer.media_type: {"schema": answer.schema}},
        }
        for status, answer in operation.answers.items()
    }
    answers["4XX"] = {
        "description": "The request is refused; the problem says why.",
        "content": {problems.MEDIA_TYPE: problem},
    }
    return {"operationId": operation.name, "summary": operation.summary, "responses": answers}


def _json(content: object, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    return Response(orjson.dumps(content), status, media_type=JSON, headers=headers)
