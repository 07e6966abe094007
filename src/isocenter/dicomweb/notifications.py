"""Event reports to subscribers over WebSocket (PS3.18 8.10, 11.13)."""

import asyncio
import logging
from contextlib import aclosing, suppress
from itertools import cycle
from typing import Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from isocenter.address import ae_title
from isocenter.archive.worklist import Worklist
from isocenter.dicom.procedure_step import UPS_PUSH
from isocenter.dicomweb.problems import problem
from isocenter.errors import IsocenterError, Malformed
from isocenter.storage.workitem_records import Event

log = logging.getLogger(__name__)

PATH: Final = "/ws/subscribers/{aetitle}"
MOST_LISTENERS: Final = 1_000
"""Connections at once; more are refused."""
PATIENCE: Final = 30.0
"""Seconds to wait for a subscriber to take a report."""
_GOING_AWAY: Final = 1001
_TRY_AGAIN: Final = 1013


async def notify(websocket: WebSocket) -> None:
    """Open a notification connection, and send what its subscriber is to be told."""
    worklist: Worklist = websocket.app.state.archive.worklist
    try:
        ae = ae_title(websocket.path_params["aetitle"])
    except Malformed as error:
        await websocket.send_denial_response(problem(400, str(error)))
        return
    if worklist.listeners >= MOST_LISTENERS:
        full = problem(503, "too many subscribers are connected", headers={"Retry-After": "60"})
        await websocket.send_denial_response(full)
        return
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        await _serve(websocket, worklist, ae)


async def _serve(websocket: WebSocket, worklist: Worklist, ae: str) -> None:
    """Send until the subscriber goes, does not listen, or we do."""
    telling = asyncio.create_task(_tell(websocket, worklist, ae))
    hearing = asyncio.create_task(_hear(websocket))
    both = (telling, hearing)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            await websocket.close(telling.result())
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _tell(websocket: WebSocket, worklist: Worklist, ae: str) -> int:
    """Send events as they happen; return the code to close the connection with."""
    numbers = cycle(range(1, 1 << 16))
    try:
        async with aclosing(worklist.events(ae)) as pages:
            async for page in pages:
                for event in page:
                    async with asyncio.timeout(PATIENCE):
                        await websocket.send_text(written(event, next(numbers)))
    except (TimeoutError, IsocenterError) as error:
        log.info("subscriber not told", extra={"subscriber": ae, "reason": type(error).__name__})
        return _TRY_AGAIN
    return _GOING_AWAY


async def _hear(websocket: WebSocket) -> None:
    """Wait for the subscriber to go; nothing that it may say means anything to us."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def written(event: Event, message_id: int) -> str:
    """An event report as the standard's example has it (PS3.18 11.13).

    The SOP class is that of all workitems, as PS3.4 CC.2.4.3 demands; the example has another.
    """
    command = {
        "00000002": {"vr": "UI", "Value": [UPS_PUSH]},
        "00000110": {"vr": "US", "Value": [message_id]},
        "00001000": {"vr": "UI", "Value": [event.workitem_uid]},
        "00001002": {"vr": "US", "Value": [int(event.kind)]},
    }
    return orjson.dumps(command | event.information).decode()
