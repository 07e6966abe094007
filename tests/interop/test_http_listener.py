"""The HTTP listener before slow, greedy and broken clients, over real sockets."""

import asyncio
import hashlib
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from isocenter.app.http import Gate, HttpListener, application
from isocenter.config import HttpConfig
from isocenter.web.bodies import LONG_BODY
from isocenter.web.delivery import Stream

QUICK = HttpConfig(header_timeout=0.4, network_timeout=0.4, idle_timeout=1, max_header_size=4096)
Talk = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def listening(within: ASGIApp, config: HttpConfig = QUICK) -> AsyncIterator[int]:
    """A listener that serves ``within`` below /dicom-web; its port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
        listener = HttpListener(application(lambda: "ready", within, None, config), bound, config)
        await listener.start()
        try:
            yield port
        finally:
            await listener.close()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell how long the body was, and which way it came."""
    size, is_more = 0, True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            gone.append(size)
            return
        size += len(message["body"])
        is_more = message["more_body"]
    told = f"{scope['path']} {size}".encode()
    headers = [(b"content-length", str(len(told)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


gone: list[int] = []


async def talk(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send ``pieces``; return all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def say() -> None:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)

    saying = asyncio.create_task(say())
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        saying.cancel()
        writer.close()


def problem_in(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    found = json.loads(body)
    assert isinstance(found, dict)
    assert head.startswith(f"HTTP/1.1 {found['status']} ".encode())
    return found


async def test_a_client_that_says_nothing_is_not_waited_for() -> None:
    async with listening(echo) as port:
        assert await talk(port) == b""


async def test_header_fields_that_trickle_in_are_not_waited_for() -> None:
    async with listening(echo) as port:
        line = [b"GET /dicom-web/ HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 12]

        answer = await talk(port, *line, pause=0.1)

    assert problem_in(answer)["status"] == 408


async def test_a_body_that_stops_is_not_waited_for() -> None:
    gone.clear()
    async with listening(echo) as port:
        head = b"POST /dicom-web/ HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"

        answer = await talk(port, head, b"x" * 10)

    assert problem_in(answer)["status"] == 408
    assert gone == [10] or gone == [0]


async def test_a_body_that_comes_slowly_but_comes_is_waited_for() -> None:
    async with listening(echo) as port:
        head = b"POST /dicom-web/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"

        answer = await talk(port, head + b"Content-Length: 8\r\n\r\n", *[b"x"] * 8, pause=0.15)

    assert answer.endswith(b"/dicom-web/ 8")


async def test_between_requests_a_connection_may_rest() -> None:
    config = replace(QUICK, idle_timeout=5)
    request = b"GET /dicom-web/ HTTP/1.1\r\nHost: h\r\n\r\n"
    last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with listening(echo, config) as port:
        answer = await talk(port, request, last, pause=0.8)

    assert answer.count(b"HTTP/1.1 200") == 2


async def test_an_application_may_think_longer_than_a_client_may_be_silent() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await echo(scope, receive, send)

    async with listening(slow) as port, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/dicom-web/")

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /dicom-web/ HTTP/1.1\r\nX: " + b"x" * 5000, 431),
        (b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /dicom-web/ HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_what_cannot_be_served_is_answered_and_closed(request_: bytes, status: int) -> None:
    async with listening(echo) as port:
        assert problem_in(await talk(port, request_))["status"] == status


async def test_requests_sent_ahead_are_answered_in_their_order() -> None:
    requests = [f"GET /dicom-web/{n} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for n in range(5)]
    requests.append(b"GET /dicom-web/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    async with listening(echo) as port:
        answer = await talk(port, b"".join(requests))

    places = [answer.find(f"/dicom-web/{n} 0".encode()) for n in range(5)]
    assert places == sorted(places)
    assert min(places) > 0
    assert answer.endswith(b"/dicom-web/last 0")


async def test_more_connections_than_allowed_are_turned_away() -> None:
    async with listening(echo, replace(QUICK, max_connections=2, header_timeout=5)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        answer = await talk(port)
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.2)
        after = await talk(port, b"GET /dicom-web/ HTTP/1.0\r\n\r\n")

    assert problem_in(answer)["status"] == 503
    assert b"retry-after: 5" in answer
    assert after.startswith(b"HTTP/1.1 200")


async def test_a_client_that_takes_nothing_is_not_waited_for() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            ended.set()

    async with listening(Stream(endless())) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /dicom-web/ HTTP/1.1\r\nHost: h\r\n\r\n")

        await asyncio.wait_for(ended.wait(), 5)

        writer.close()


async def test_a_client_that_takes_slowly_is_waited_for() -> None:
    async def some() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(1 << 18)

    async with listening(Stream(some(), size=40 << 18)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(b"GET /dicom-web/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        size = 0
        while piece := await reader.read(1 << 17):
            size += len(piece)
            await asyncio.sleep(0.02)
        writer.close()

    assert size > 40 << 18


async def test_what_is_made_for_a_client_that_leaves_is_not_made_further() -> None:
    ended = asyncio.Event()
    released: list[bool] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1 << 16)
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    within = Stream(endless(), release=lambda: released.append(True))
    async with listening(within, HttpConfig()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /dicom-web/ HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readexactly(1 << 17)

        writer.close()

        await asyncio.wait_for(ended.wait(), 5)
    assert released == [True]


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise OSError("disk")

    for size in (None, 100):
        within = Stream(broken(), size=size)
        async with listening(within) as port, httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{port}/dicom-web/")
    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == [
        "answer broken off"
    ] * 2


async def test_a_failure_is_answered_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async with listening(failing) as port, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/dicom-web/")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "internal error"
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.exc_info


async def test_what_is_left_of_a_refused_body_is_not_taken_for_ever() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def send_it(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            head = b"POST /dicom-web/ HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n"
            client.sendall(head)
            try:
                for _ in range(999_999_999 >> 16):
                    client.sendall(bytes(1 << 16))
            except OSError:
                return client.recv(1 << 16)
            pytest.fail("all of it was taken")

    async with listening(refusing, HttpConfig()) as port:
        assert (await asyncio.to_thread(send_it, port)).startswith(b"HTTP/1.1 413")


async def test_a_gate_lets_finish_what_is_under_way() -> None:
    gate, begun, go_on = Gate(), asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await echo(scope, receive, send)

    gate.open(slow)
    async with listening(gate) as port, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}/dicom-web/"
        first = asyncio.create_task(client.get(url))
        await begun.wait()

        draining = asyncio.create_task(gate.drain(5))
        await asyncio.sleep(0)
        refused = await client.get(url)
        assert not draining.done()
        go_on.set()
        await draining

        assert (await first).status_code == 200
        assert refused.status_code == 503
        assert refused.headers["retry-after"]


async def test_a_gate_breaks_off_what_does_not_finish() -> None:
    gate, begun = Gate(), asyncio.Event()

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await asyncio.Event().wait()

    gate.open(stuck)
    async with listening(gate) as port, httpx.AsyncClient(trust_env=False) as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/dicom-web/"))
        await begun.wait()

        await gate.drain(0.1)

        assert (await asking).status_code == 503
    assert gate.under_way == 0


async def test_who_is_refused_and_goes_on_sending_reads_the_answer_all_the_same() -> None:
    async with listening(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * (1 << 20))
        await asyncio.sleep(0.3)  # refused by now, with what follows still to come
        writer.write(b"x" * 1000)
        await asyncio.sleep(0.3)  # would have been answered by a reset

        answer = await asyncio.wait_for(reader.read(), 10)

        writer.close()
    assert problem_in(answer)["status"] == 431


# --- long bodies, which the application takes from the connection itself


LONG = 3_000_000


async def takes_it_long(scope: Scope, receive: Receive, send: Send) -> None:
    """As ``echo``, past the server; tells a digest as well."""
    begin = scope["extensions"][LONG_BODY]
    body = begin()
    digest, size = hashlib.sha256(), 0
    if body is None:
        await echo(scope, receive, send)
        return
    try:
        while (piece := await body.next(5)) is not None:
            digest.update(piece.view)
            size += len(piece)
            piece.let_go()
    except ClientDisconnect:
        gone.append(size)
        return
    told = f"{size} {digest.hexdigest()}".encode()
    headers = [(b"content-length", str(len(told)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


def long_request(body: bytes, *fields: str) -> bytes:
    lines = ["POST /dicom-web/ HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_a_long_body_comes_whole_and_the_next_request_after_it() -> None:
    first, second = os.urandom(LONG), os.urandom(LONG + 1)
    last = (
        b"POST /dicom-web/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nxx"
    )

    async with listening(takes_it_long, HttpConfig()) as port:
        answer = await talk(port, long_request(first) + long_request(second) + last)

    told = [hashlib.sha256(body).hexdigest().encode() for body in (first, second)]
    assert [answer.count(each) for each in told] == [1, 1]
    assert answer.endswith(b"/dicom-web/x 2")


async def test_a_long_body_may_be_asked_for_first() -> None:
    body = os.urandom(LONG)
    whole = long_request(body, "Expect: 100-continue", "Connection: close")

    async with listening(takes_it_long, HttpConfig()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(whole[: -len(body)])
        told = await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        answer = await reader.read()
        writer.close()

    assert told.startswith(b"HTTP/1.1 100 ")
    assert answer.endswith(hashlib.sha256(body).hexdigest().encode())


async def test_a_client_that_leaves_in_a_long_body_is_told_of() -> None:
    gone.clear()
    async with listening(takes_it_long, HttpConfig()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(long_request(bytes(LONG))[:-1000])
        await writer.drain()
        writer.close()
        async with asyncio.timeout(5):
            while not gone:  # noqa: ASYNC110 nobody sets an event
                await asyncio.sleep(0.01)

    assert gone[0] <= LONG - 1000


async def test_a_long_body_that_stops_is_not_waited_for() -> None:
    gone.clear()
    async with listening(takes_it_long) as port:
        answer = await talk(port, long_request(bytes(LONG))[:-1000])

    assert problem_in(answer)["status"] == 408
    assert len(gone) == 1


async def test_what_is_left_of_a_long_body_is_not_taken_for_the_next_request() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        body = scope["extensions"][LONG_BODY]()
        if body is None:
            await echo(scope, receive, send)
            return
        await body.next(5)
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    last = b"GET /dicom-web/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    disguised = (b"GET /dicom-web/never HTTP/1.1\r\nHost: h\r\n\r\n" * LONG)[:LONG]
    async with listening(refusing, HttpConfig()) as port:
        answer = await talk(port, long_request(disguised) + last)

    assert answer.startswith(b"HTTP/1.1 413")
    assert answer.count(b"HTTP/1.1") == 2
    assert answer.endswith(b"/dicom-web/x 0")


async def test_who_does_not_take_a_long_body_holds_the_client_up() -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        body = scope["extensions"][LONG_BODY]()
        await begun.wait()
        size = 0
        while (piece := await body.next(5)) is not None:
            size += len(piece)
        told = str(size).encode()
        headers = [(b"content-length", str(len(told)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})

    begun = asyncio.Event()
    whole = 64 << 20  # more than sockets hold
    async with listening(waiting, HttpConfig()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(long_request(bytes(whole), "Connection: close"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)
        begun.set()
        answer = await reader.read()
        writer.close()

    assert answer.endswith(str(whole).encode())
