"""The HTTP side of a running server: stopping, proxies, and what a crowd leaves behind."""

import os
import signal
import socket
import threading
from pathlib import Path

import httpx
import psutil

from made_instances import image, part10
from peers import eventually
from programs import Command, ServerFactory

SIZE = 64 << 20
PATH = "/dicom-web/studies/1.2/series/1.2.3/instances/1.2.3.4"
REQUEST = (
    f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAccept: application/dicom\r\n"
    "Connection: close\r\n\r\n"
).encode()


def with_a_large_instance(folder: Path, isocenter: Command) -> Path:
    """A data folder that holds one."""
    file = folder / "large.dcm"
    file.write_bytes(part10(image(PixelData=os.urandom(1 << 20) * (SIZE >> 20))))
    isocenter("import", "--data", folder / "data", file)
    return folder / "data"


def test_a_stop_lets_a_download_finish(
    start_server: ServerFactory, isocenter: Command, tmp_path: Path
) -> None:
    server = start_server(data_folder=with_a_large_instance(tmp_path, isocenter))
    with socket.create_connection(("127.0.0.1", server.http_port), 20) as client:
        client.sendall(REQUEST)
        got = len(client.recv(1 << 16))

        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: server.health() == 503)
        refused = httpx.get(f"{server.url}{PATH}", trust_env=False)
        while piece := client.recv(1 << 20):
            got += len(piece)

    assert got > SIZE
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert server.process.wait(20) == 0
    assert "Traceback" not in server.process.output()


def test_a_stop_does_not_wait_for_ever_for_who_takes_nothing(
    start_server: ServerFactory, isocenter: Command, tmp_path: Path
) -> None:
    server = start_server(
        data_folder=with_a_large_instance(tmp_path, isocenter), config="shutdown_timeout = 1\n"
    )
    with socket.create_connection(("127.0.0.1", server.http_port), 20) as client:
        client.sendall(REQUEST)
        client.recv(1)

        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(15) == 0
    assert "requests broken off" in server.process.output()
    assert "Traceback" not in server.process.output()


def test_addresses_lead_through_a_trusted_proxy(
    start_server: ServerFactory, isocenter: Command, tmp_path: Path
) -> None:
    config = '[http]\ntrusted_proxies = ["127.0.0.1"]\nnames = ["pacs.example"]\n'
    file = tmp_path / "one.dcm"
    file.write_bytes(part10(image()))
    isocenter("import", "--data", tmp_path / "data", file)
    server = start_server(data_folder=tmp_path / "data", config=config)
    said = {"forwarded": "for=192.0.2.1;proto=https;host=pacs.example", "x-forwarded-prefix": "/i"}

    (found,) = httpx.get(f"{server.url}/dicom-web/studies", headers=said, trust_env=False).json()

    assert found["00081190"]["Value"] == ["https://pacs.example/i/dicom-web/studies/1.2"]


def test_clients_that_leave_leave_nothing_behind(
    start_server: ServerFactory, isocenter: Command, tmp_path: Path
) -> None:
    server = start_server(data_folder=with_a_large_instance(tmp_path, isocenter))
    process = psutil.Process(server.process.pid)
    httpx.get(f"{server.url}{PATH}", headers={"accept": "application/dicom"}, trust_env=False)
    memory = process.memory_info().rss

    def held() -> list[str]:
        """Blobs and connections; the index opens files of its own as it needs them."""
        blobs = [each.path for each in process.open_files() if "/blobs/" in each.path]
        kept = [str(each.raddr) for each in process.net_connections() if each.raddr]
        return blobs + kept

    def leave_early() -> None:
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", server.http_port), 20) as client:
                client.sendall(REQUEST)
                client.recv(1 << 16)

    threads = [threading.Thread(target=leave_early) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert eventually(lambda: not held()), held()
    assert process.memory_info().rss - memory < 100 << 20
    assert "Traceback" not in server.process.output()
