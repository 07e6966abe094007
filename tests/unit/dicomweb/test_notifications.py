"""Subscriptions and event reports over HTTP and WebSocket, called without a socket."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.dicomweb import notifications, routing
from made_workitems import UID, code, element, state, workitem

ALL = "1.2.840.10008.5.1.4.34.5"
FILTERED = "1.2.840.10008.5.1.4.34.5.1"
JSON = {"Content-Type": "application/dicom+json"}


class Listener:
    """The far end of a WebSocket, without the socket."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.said: asyncio.Queue[Any] = asyncio.Queue()
        self.said.put_nowait({"type": "websocket.connect"})

    async def message(self) -> Any:
        async with asyncio.timeout(10):
            return await self.sent.get()

    async def report(self) -> Any:
        message = await self.message()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])


async def until(is_so: Callable[[], Awaitable[object]]) -> None:
    """Return when something is so: let others run meanwhile."""
    async with asyncio.timeout(10):
        for _ in itertools.repeat(None):
            if await is_so():
                return
            await asyncio.sleep(0)


async def listened_to(archive: Archive) -> int:
    return archive.worklist.listeners


Listen = Callable[[str], AbstractAsyncContextManager[Listener]]


@pytest.fixture
def listen(archive: Archive) -> Listen:
    """Open a notification connection for an AE title."""
    served = routing.application(archive, Config())

    @asynccontextmanager
    async def connect(ae: str) -> AsyncIterator[Listener]:
        listener = Listener()
        scope = {
            "type": "websocket",
            "path": f"/ws/subscribers/{ae}",
            "raw_path": b"",
            "root_path": "",
            "scheme": "ws",
            "query_string": b"",
            "headers": [(b"host", b"archive")],
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
        }
        task = asyncio.create_task(served(scope, listener.said.get, listener.sent.put))
        try:
            yield listener
        finally:
            listener.said.put_nowait({"type": "websocket.disconnect", "code": 1000})
            async with asyncio.timeout(10):
                await task

    return connect


async def create(web: httpx.AsyncClient, uid: str = UID, **more: Any) -> None:
    answer = await web.post(
        f"/workitems?workitem={uid}", content=json.dumps(workitem(**more)), headers=JSON
    )
    assert answer.status_code == 201


async def test_a_subscriber_is_told_where_to_listen(web: httpx.AsyncClient) -> None:
    await create(web)

    for path in (f"/workitems/{UID}", f"/workitems/{ALL}"):
        answer = await web.post(f"{path}/subscribers/WATCHER?deletionlock=true")

        assert answer.status_code == 201
        assert answer.headers["content-location"] == "ws://archive/ws/subscribers/WATCHER"


async def test_reports_are_as_the_standard_has_them(web: httpx.AsyncClient, listen: Listen) -> None:
    await create(web)
    await web.post(f"/workitems/{UID}/subscribers/WATCHER")

    async with listen("WATCHER") as listener:
        assert (await listener.message())["type"] == "websocket.accept"
        first = await listener.report()
        claim = json.dumps(state("IN PROGRESS"))
        await web.put(f"/workitems/{UID}/state", content=claim, headers=JSON)
        second = await listener.report()

    assert first == {
        "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]},
        "00000110": {"vr": "US", "Value": [1]},
        "00001000": {"vr": "UI", "Value": [UID]},
        "00001002": {"vr": "US", "Value": [1]},
        "00404041": {"vr": "CS", "Value": ["READY"]},
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
    }
    assert second["00000110"]["Value"] == [2]
    assert second["00741000"]["Value"] == ["IN PROGRESS"]


async def test_every_subscriber_hears_and_hears_once(
    archive: Archive, web: httpx.AsyncClient, listen: Listen
) -> None:
    for ae in ("ONE", "TWO"):
        await web.post(f"/workitems/{ALL}/subscribers/{ae}")

    async with listen("ONE") as one, listen("TWO") as two:
        for listener in (one, two):
            assert (await listener.message())["type"] == "websocket.accept"
        await create(web)
        for listener in (one, two):
            assert (await listener.report())["00001000"]["Value"] == [UID]
        await until(lambda: archive.index.worklist.cursor("ONE"))
    async with listen("ONE") as again:
        assert (await again.message())["type"] == "websocket.accept"
        await create(web, "1.2.3")
        assert (await again.report())["00001000"]["Value"] == ["1.2.3"]


async def test_when_we_go_down_subscribers_are_told_and_let_go(
    archive: Archive, web: httpx.AsyncClient, listen: Listen
) -> None:
    await archive.worklist.start()
    await web.post(f"/workitems/{ALL}/subscribers/WATCHER")

    async with listen("WATCHER") as listener:
        assert (await listener.message())["type"] == "websocket.accept"
        await until(lambda: listened_to(archive))
        await archive.worklist.close()
        report = await listener.report()
        closed = await listener.message()

    assert report["00741242"] == element("CS", "GOING DOWN")
    assert closed["type"] == "websocket.close"
    assert closed["code"] == 1001


async def test_what_a_subscriber_says_is_ignored(web: httpx.AsyncClient, listen: Listen) -> None:
    await web.post(f"/workitems/{ALL}/subscribers/WATCHER")

    async with listen("WATCHER") as listener:
        for said in ({"text": "{"}, {"bytes": b"\xff"}):
            listener.said.put_nowait({"type": "websocket.receive", **said})
        assert (await listener.message())["type"] == "websocket.accept"
        await create(web)

        assert (await listener.report())["00001000"]["Value"] == [UID]


async def test_an_ae_title_that_is_none_is_refused(listen: Listen) -> None:
    async with listen("A" * 17) as listener:
        message = await listener.message()

    assert message["type"] == "websocket.http.response.start"
    assert message["status"] == 400


async def test_no_more_listen_than_there_is_room_for(
    listen: Listen, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MOST_LISTENERS", 1)

    async with listen("ONE") as one:
        assert (await one.message())["type"] == "websocket.accept"
        await until(lambda: listened_to(archive))
        async with listen("TWO") as two:
            assert (await two.message())["status"] == 503


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/workitems/1.2.3/subscribers/W", 404),
        ("DELETE", "/workitems/1.2.3/subscribers/W", 404),
        ("DELETE", f"/workitems/{UID}/subscribers/W", 404),
        ("DELETE", f"/workitems/{ALL}/subscribers/W", 404),
        ("DELETE", f"/workitems/{FILTERED}/subscribers/W", 404),
        ("POST", f"/workitems/{ALL}/subscribers/W/suspend", 404),
        ("POST", f"/workitems/{FILTERED}/subscribers/W/suspend", 404),
        ("POST", f"/workitems/{UID}/subscribers/{'W' * 17}", 400),
        ("POST", f"/workitems/{UID}/subscribers/W?deletionlock=perhaps", 400),
        ("POST", f"/workitems/{UID}/subscribers/W?deletionlock=true&deletionlock=false", 400),
        ("POST", f"/workitems/{FILTERED}/subscribers/W", 400),
        ("POST", f"/workitems/{FILTERED}/subscribers/W?filter=", 400),
        ("POST", f"/workitems/{FILTERED}/subscribers/W?filter=Colour=red", 400),
        ("POST", f"/workitems/{FILTERED}/subscribers/W?filter=PatientID=1,PatientID=2", 400),
        ("POST", f"/workitems/{FILTERED}/subscribers/W?filter=PatientBirthDate=today", 400),
        ("POST", f"/workitems/{UID}/subscribers/W", 201),
        ("POST", f"/workitems/{ALL}/subscribers/W", 201),
        ("POST", f"/workitems/{FILTERED}/subscribers/W?filter=PatientID=1%2CPatientSex=F", 201),
    ],
)
async def test_statuses_of_subscriptions(
    web: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    await create(web)

    answer = await web.request(method, path)

    assert answer.status_code == status
    if status >= 400:
        assert answer.json()["detail"]


@pytest.mark.parametrize("resource", [UID, ALL, FILTERED])
async def test_what_was_subscribed_can_be_ended(web: httpx.AsyncClient, resource: str) -> None:
    await create(web)
    path = f"/workitems/{resource}/subscribers/W"
    await web.post(f"{path}?filter=ProcedureStepState=SCHEDULED")

    if resource != UID:
        assert (await web.post(f"{path}/suspend")).status_code == 200
    ended = await web.delete(path)

    assert ended.status_code == 200
    assert ended.content == b""
    assert (await web.delete(path)).status_code == 404


async def test_a_filter_may_look_into_sequences(web: httpx.AsyncClient, listen: Listen) -> None:
    wanted = "ScheduledStationNameCodeSequence.CodeValue=CT1,ProcedureStepLabel=Read, then sign"
    await web.post(f"/workitems/{FILTERED}/subscribers/W", params={"filter": wanted})
    station = element("SQ", code("CT1"))

    async with listen("W") as listener:
        assert (await listener.message())["type"] == "websocket.accept"
        await create(web, "1.2.1", t00404025=station)
        await create(web, "1.2.2", t00404025=station, t00741204=element("LO", "Read, then sign"))

        assert (await listener.report())["00001000"]["Value"] == ["1.2.2"]
