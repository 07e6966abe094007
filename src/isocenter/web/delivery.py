"""Answers that are sent while they are made."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

Buffer = bytes | bytearray | memoryview

SLICE = 1 << 20
"""Bytes handed to the transport at once: more would wait there in vain."""


class Stream(Response):
    """Sends ``content`` at the pace at which it is taken; stops making it when nobody listens.

    Its first piece is made before the answer begins, so that an error until then becomes a problem;
    an error later breaks the connection off, which tells the client that what it has is not whole.
    ``content`` is closed in any case (if it can be), then ``release`` is called.
    """

    def __init__(
        self,
        content: AsyncIterator[Buffer],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        *,
        size: int | None = None,
        release: Callable[[], Awaitable[None] | None] | None = None,
    ) -> None:
        """``size``: bytes of ``content``, where that is known; without it the answer is chunked."""
        self.status_code = status_code
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)
        if size is not None:
            self.headers["content-length"] = str(size)
        self._content = content
        self._iterator = aiter(content)
        self._size = size
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with AsyncExitStack() as closing:
            closing.push_async_callback(self._close)
            if scope["method"] == "HEAD":
                await self._begin(send)
                await send({"type": "http.response.body", "body": b""})
                return
            sending = asyncio.create_task(self._send(send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
                else:
                    log.info("client left in mid-answer")
            finally:
                for task in (sending, leaving):
                    task.cancel()
                await asyncio.wait({sending, leaving})

    async def _send(self, send: Send) -> None:
        content = self._iterator
        piece: Buffer | None = await anext(content, None)
        await self._begin(send)
        sent = turned = 0
        try:
            while piece is not None:
                for part in _slices(piece):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                sent += len(piece)
                if sent - turned >= SLICE:
                    # Nothing above need ever have waited: not the content that is at hand, nor the
                    # transport of a client that is gone. Others must get their turn.
                    turned = sent
                    await asyncio.sleep(0)
                piece = await anext(content, None)
        except Exception as error:  # the answer has begun: all that is left is to break it off
            log.error("answer broken off", exc_info=error)
            return
        if self._size not in (None, sent):
            log.error("answer broken off", extra={"promised": self._size, "made": sent})
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _close(self) -> None:
        for each in {id(one): one for one in (self._iterator, self._content)}.values():
            if (close := getattr(each, "aclose", None)) is not None:
                await close()
        if self._release is not None and (closing := self._release()) is not None:
            await closing


def _slices(piece: Buffer) -> Iterable[Buffer]:
    if len(piece) <= SLICE:
        return (piece,)
    view = memoryview(piece)
    return (view[start : start + SLICE] for start in range(0, len(view), SLICE))


async def _left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
