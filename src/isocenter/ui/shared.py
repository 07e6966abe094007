"""What a shared link shows: one study, to look at, and nothing else of the archive.

Every address below ``/shared/{token}`` looks the token up anew. What it needs of the web services
is asked of them with the study that the token is for: no part of the path or the query says which.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.archive.shares import Opened
from isocenter.errors import Denied, NotFound, Unavailable
from isocenter.ui import asking, images
from isocenter.ui.page import render
from isocenter.ui.study import QuickLook, series_rows
from isocenter.ui.worklist import row_of

PREFIX: Final = "/shared/"
HEADERS: Final[Mapping[bytes, bytes]] = {b"x-robots-tag": b"noindex, nofollow, noarchive"}
"""What every answer below ``PREFIX`` has as well, refusals too."""
PICTURE: Final = ("window", "viewport", "quality")
"""Parameters of a picture that are passed on (PS3.18 8.3.5.1)."""
METADATA: Final = "includefield=" + ",".join(
    ("00280008", "00280101", "00280103", "00281050", "00281051", "00281052", "00281053",
     "00181063", "00180040", "00082144", "52009229", "52009230")
)  # fmt: skip
"""What the quick look reads of an instance: windows and times of frames, and nobody's name."""
_FRAME: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_LEAVES_OUT: Final = frozenset((b"content-location", b"link"))
"""Header fields that say where else it is."""


async def _opened(request: Request) -> Opened:
    """What the token of the path shows. Raises: NotFound, Unavailable."""
    return await asking.archive_of(request).shares.open(request.path_params["token"])


async def show(request: Request) -> Response:
    """GET /shared/{token}: the quick look of the study; with ``series``, that one opened."""
    opened = await _opened(request)
    archive = asking.archive_of(request)
    every = await series_rows(archive, opened.study)
    series = [each for each in every if opened.shows(each.uid)]
    wanted = request.query_params.get("series", series[0].uid if series else "")
    chosen = next((each for each in series if each.uid == wanted), None)
    if chosen is None:
        raise NotFound("the study has no such series")
    base = f"/shared/{request.path_params['token']}"
    of_series = f"{base}/series/{quote(chosen.uid, safe='')}"
    context = {
        "base": base,
        "study": row_of(opened.study.attributes),
        "series": series,
        "opened": chosen,
        "look": QuickLook(f"{of_series}/images", of_series),
        "may_download": opened.share.may_download,
    }
    await archive.shares.note_use(opened)
    return render(request, "shared.html", context)


async def listed(request: Request) -> Response:
    """GET /shared/{token}/series/{series}/images: as the quick look reads it."""
    opened, series = await _series(request)
    return await images.answer(asking.archive_of(request), opened.study, series)


async def thumbnail(request: Request) -> Response:
    """GET /shared/{token}/series/{series}/thumbnail."""
    opened, series = await _series(request)
    return _Passed(request, _path(opened, series, "thumbnail"), _asked(request))


async def of_instance(request: Request) -> Response:
    """GET /shared/{token}/series/{series}/instances/{instance}/{rendered, thumbnail, metadata}."""
    opened, series = await _series(request)
    instance, part = asking.uid_of(request, "instance"), request.path_params["part"]
    if part not in ("rendered", "thumbnail", "metadata"):
        raise HTTPException(404)
    path = _path(opened, series, "instances", instance, part)
    return _Passed(request, path, METADATA if part == "metadata" else _asked(request))


async def of_frame(request: Request) -> Response:
    """GET /shared/{token}/series/{series}/instances/{instance}/frames/{frame}/rendered."""
    opened, series = await _series(request)
    instance, frame = asking.uid_of(request, "instance"), request.path_params["frame"]
    if not _FRAME.fullmatch(frame):
        raise HTTPException(404)
    path = _path(opened, series, "instances", instance, "frames", frame, "rendered")
    return _Passed(request, path, _asked(request))


async def download(request: Request) -> Response:
    """GET /shared/{token}/download: the files in a zip archive, where the share allows it."""
    opened = await _opened(request)
    if not opened.share.may_download:
        raise Denied("this link is to look at the study, not to download it")
    return _Passed(request, _path(opened, opened.share.series_uid), "accept=application/zip")


async def _series(request: Request) -> tuple[Opened, str]:
    """The share, and a series that it shows. Raises: NotFound, Unavailable."""
    opened, series = await _opened(request), asking.uid_of(request, "series")
    if not opened.shows(series):
        raise NotFound("the study has no such series")
    return opened, series


def _path(opened: Opened, series: str, *more: str) -> str:
    """A path of the web services; the study is always that of the share."""
    of_series = ("series", series) if series else ()
    parts = ("studies", opened.study_uid, *of_series, *more)
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _asked(request: Request) -> str:
    return urlencode([each for each in request.query_params.multi_items() if each[0] in PICTURE])


class _Passed(Response):
    """What the web services answer, asked for by us."""

    def __init__(self, request: Request, path: str, query: str) -> None:
        super().__init__()
        services: ASGIApp | None = request.app.state.web_services
        if services is None:
            raise Unavailable("no pictures can be had here")
        self._services = services
        self._path = path
        self._query = query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask, and pass the answer on."""
        root = f"{scope.get('root_path', '')}/dicom-web"
        kept = ("type", "asgi", "http_version", "method", "scheme", "headers", "client", "server")
        asked: Scope = {name: scope[name] for name in kept if name in scope}
        asked["root_path"] = root
        asked["path"] = root + self._path
        asked["raw_path"] = asked["path"].encode()
        asked["query_string"] = self._query.encode()

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [each for each in message["headers"] if each[0] not in _LEAVES_OUT]
                message = {**message, "headers": headers}
            await send(message)

        await self._services(asked, receive, pass_on)


_SERIES: Final = "/shared/{token}/series/{series}"
ROUTES = (
    Route("/shared/{token}", show, name="shared"),
    Route(f"{_SERIES}/images", listed, name="shared images"),
    Route(f"{_SERIES}/thumbnail", thumbnail, name="shared thumbnail"),
    Route(f"{_SERIES}/instances/{{instance}}/{{part}}", of_instance, name="shared instance"),
    Route(f"{_SERIES}/instances/{{instance}}/frames/{{frame}}/rendered", of_frame, name="frame"),
    Route("/shared/{token}/download", download, name="shared download"),
)
