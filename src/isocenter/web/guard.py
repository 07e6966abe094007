"""The last stand of a request: errors that nobody foresaw."""

import logging
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isocenter.errors import OutOfTurn

log = logging.getLogger(__name__)


class Guard:
    """Answers for what nobody foresaw, and logs it, once.

    It stands within Starlette's own guard, which would raise the error again for the server to log.
    """

    def __init__(self, within: ASGIApp, answer: Callable[[BaseException], Response]) -> None:
        """``answer``: what tells of an error in the words of what is served."""
        self._within = within
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._within(scope, receive, watched)
        except ClientDisconnect:
            log.info("client left in mid-request")
        except Exception as error:  # the top of a request
            log.error("request failed", exc_info=error)
            if not has_begun and scope["type"] == "http":
                await self._answer(OutOfTurn())(scope, receive, send)
