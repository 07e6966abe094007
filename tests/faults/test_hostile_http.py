"""Garbage, silence and lies on the HTTP port, while an honest client is served."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from made_instances import image, part10
from peers import Isocenter
from programs import ServerFactory

MEGABYTE = 1 << 20
ALLOWED_GROWTH = 60 * MEGABYTE
STUDIES = "/dicom-web/studies"
PATH = f"{STUDIES}/1.2/series/1.2.3/instances/1.2.3.4"


@pytest.fixture(scope="module")
def server(start_module_server: ServerFactory) -> Isocenter:
    server = start_module_server(
        config="[http]\nheader_timeout = 1\nnetwork_timeout = 1\nidle_timeout = 1\n"
    )
    headers = {"content-type": "application/dicom"}
    stored = httpx.post(
        server.url + STUDIES, content=part10(image()), headers=headers, trust_env=False
    )
    assert stored.status_code == 200
    return server


@pytest.fixture(autouse=True)
def honest_client(server: Isocenter) -> Iterator[None]:
    """Someone who asks properly during each test, must always succeed, and soon."""
    stopping = threading.Event()
    trouble: list[str] = []

    def ask() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=10) as client:
            while not stopping.wait(0.05):
                try:
                    found = [client.get(STUDIES), client.get(PATH)]
                except Exception as error:  # told to the test
                    trouble.append(repr(error))
                    return
                if {each.status_code for each in found} != {200}:
                    trouble.append(repr(found))

    process = psutil.Process(server.process.pid)
    before = server.process.resident_bytes()
    client = threading.Thread(target=ask, daemon=True)
    client.start()
    yield
    stopping.set()
    client.join(30)
    assert trouble == []
    assert server.process.exit_code is None
    deadline = time.monotonic() + 10
    while (left := connections(process)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert drafts(server) == []
    assert server.process.resident_bytes() - before < ALLOWED_GROWTH
    log = server.process.output()
    assert "Traceback" not in log
    assert "request failed" not in log


def connections(process: psutil.Process) -> list[object]:
    """What is still connected to it."""
    return [each.raddr for each in process.net_connections() if each.raddr]


def drafts(server: Isocenter) -> list[str]:
    """What is still being received."""
    found = (each for each in (server.data / "incoming").rglob("*") if each.is_file())
    return [each.name for each in found if not each.name.startswith("journal")]


def send(server: Isocenter, data: bytes, *, cut: int | None = None) -> bytes:
    """Send ``data``; return what comes, until either side has had enough."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", server.http_port), 5) as client,
    ):
        client.sendall(data[:cut])
        if cut is None:
            client.settimeout(4)
            while piece := client.recv(1 << 16):
                answer += piece
    return answer


def good_requests() -> list[bytes]:
    file = part10(image("1.2.3.9"))
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--b--\r\n"
    kind = b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n'
    host = b"Host: localhost\r\n"
    post = b"POST /dicom-web/studies HTTP/1.1\r\n" + host + kind
    return [
        b"GET /dicom-web/studies?PatientName=D* HTTP/1.1\r\n" + host + b"Accept: */*\r\n\r\n",
        b"GET " + PATH.encode() + b" HTTP/1.1\r\n" + host + b"Range: bytes=5-9\r\n\r\n",
        b"OPTIONS /dicom-web/ HTTP/1.1\r\n" + host + b"Accept: application/json\r\n\r\n",
        post + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        post + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    ]


def spoilt(request: bytes, chance: random.Random) -> bytes:
    data = bytearray(request)
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(data))
        match chance.randint(0, 3):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randint(1, 30)]
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 30))
            case _:
                data[at:at] = data[at : at + 200]
        if len(data) < 2:
            break
    return bytes(data)


def test_spoilt_requests_are_answered_or_closed(server: Isocenter) -> None:
    chance = random.Random(1)
    good = good_requests()
    answers: list[bytes] = []

    def ask(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(12):
            request = spoilt(own.choice(good), own)
            cut = own.randrange(len(request)) if own.random() < 0.3 else None
            answers.append(send(server, request, cut=cut))

    threads = [threading.Thread(target=ask, args=(chance.random(),)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)

    statuses = {answer[9:12] for answer in answers if answer}
    assert b"400" in statuses
    assert not {each for each in statuses if each.startswith(b"5")} - {b"501", b"505"}


def test_bytes_that_mean_nothing_are_refused(server: Isocenter) -> None:
    chance = random.Random(2)
    for _ in range(40):
        answer = send(server, chance.randbytes(chance.randint(1, 5000)))

        assert answer[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 408", b"HTTP/1.1 431")


def test_half_a_study_leaves_nothing(server: Isocenter) -> None:
    whole = good_requests()[3]
    for cut in range(200, len(whole), len(whole) // 40):
        send(server, whole, cut=cut)


def test_many_silent_clients_are_let_go(server: Isocenter) -> None:
    clients: list[socket.socket] = []
    with contextlib.ExitStack() as held:
        for number in range(200):
            client = socket.create_connection(("127.0.0.1", server.http_port), 5)
            held.enter_context(client)
            if number % 2:
                client.sendall(b"POST /dicom-web/studies HTTP/1.1\r\nHost: h\r\n")

            clients.append(client)
        for client in clients:  # each was accepted, then: what waits to be is not counted below
            client.settimeout(60)
            while client.recv(4096):
                pass

        process = psutil.Process(server.process.pid)
        deadline = time.monotonic() + 60
        while len(connections(process)) >= 10 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(connections(process)) < 10
