"""Answers that are sent while they are made."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from isocenter.errors import NotFound
from isocenter.web.delivery import SLICE, Stream


class Client:
    """The other side of an application."""

    def __init__(self, method: str = "GET", leaves_after: int | None = None) -> None:
        self.scope = {"type": "http", "method": method}
        self.messages: list[Any] = []
        self._leaves_after = leaves_after
        self._gone = asyncio.Event()

    async def ask(self, stream: Stream) -> None:
        await asyncio.wait_for(stream(self.scope, self._receive, self._send), 5)

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.messages.append(message)
        if self._leaves_after is not None and len(self.messages) >= self._leaves_after:
            self._gone.set()
            await asyncio.sleep(0)

    @property
    def status(self) -> int | None:
        return self.messages[0]["status"] if self.messages else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(bytes(each["body"]) for each in self.messages[1:])

    @property
    def is_complete(self) -> bool:
        return bool(self.messages) and self.messages[-1].get("more_body") is False


class Content:
    """Pieces, and whether they were closed."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.is_closed = False
        self.made = 0
        self._pieces = pieces
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.made += 1
            yield piece
        if self._error is not None:
            raise self._error

    async def aclose(self) -> None:
        self.is_closed = True


def stream(content: Content, **options: Any) -> Stream:
    return Stream(content, **options)  # type: ignore[arg-type]


async def test_what_is_made_is_sent_and_closed() -> None:
    content, client, released = Content(b"one", b"two"), Client(), asyncio.Event()

    await client.ask(stream(content, media_type="a/b", size=6, release=released.set))

    assert (client.status, client.body, client.is_complete) == (200, b"onetwo", True)
    assert client.headers == {b"content-type": b"a/b", b"content-length": b"6"}
    assert content.is_closed
    assert released.is_set()


async def test_head_makes_nothing() -> None:
    content, client = Content(b"one"), Client("HEAD")

    await client.ask(stream(content, size=3))

    assert client.headers[b"content-length"] == b"3"
    assert client.body == b""
    assert (content.made, content.is_closed) == (0, True)


async def test_an_error_before_the_first_piece_can_still_be_told() -> None:
    content, client = Content(error=NotFound("gone")), Client()

    with pytest.raises(NotFound):
        await client.ask(stream(content))

    assert client.messages == []
    assert content.is_closed


@pytest.mark.parametrize("content", [Content(b"one", error=OSError("disk")), Content(b"one")])
async def test_less_than_was_promised_is_not_taken_for_all(content: Content) -> None:
    client = Client()

    await client.ask(stream(content, size=6))

    assert client.body == b"one"
    assert not client.is_complete
    assert content.is_closed


async def test_for_a_client_that_is_gone_nothing_more_is_made() -> None:
    content, client = Content(*[bytes(SLICE)] * 100), Client(leaves_after=5)

    await client.ask(stream(content))

    assert content.made < 10
    assert content.is_closed


async def test_large_pieces_go_out_in_slices_without_a_copy() -> None:
    piece = bytes(3 * SLICE + 1)
    client = Client()

    await client.ask(stream(Content(piece)))

    slices = [each["body"] for each in client.messages[1:-1]]
    assert [len(each) for each in slices] == [SLICE, SLICE, SLICE, 1]
    assert all(each.obj is piece for each in slices)


async def test_while_much_is_sent_others_get_their_turn() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await Client().ask(stream(Content(*[bytes(SLICE)] * 50)))
    counting.cancel()

    assert turns > 40
