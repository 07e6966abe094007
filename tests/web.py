"""Requests to store, as a bare client sends them: parts, chunks, and bodies that break off."""

import http.client
import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset

from peers import LOCALHOST, Isocenter

BOUNDARY = "5f2b8c1d9e7a4f3b8c1d9e7a4f3b8c1d"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STUDIES = "/dicom-web/studies"
HEAD = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
END = f"--{BOUNDARY}--\r\n".encode()


def parts(files: Iterable[bytes]) -> Iterator[bytes]:
    """A multipart body, in pieces."""
    for file in files:
        yield HEAD
        yield file
        yield b"\r\n"
    yield END


def store(
    port: int, files: Sequence[bytes], path: str = STUDIES, timeout: float = 120
) -> tuple[int, Dataset]:
    """Send files in one request; return the status code and the payload."""
    size = sum(map(len, parts(files)))
    return send(port, parts(files), {"Content-Length": str(size)}, path, timeout)


def send(
    port: int,
    pieces: Iterable[bytes],
    headers: dict[str, str],
    path: str = STUDIES,
    timeout: float = 120,
) -> tuple[int, Dataset]:
    """Send a body; without a Content-Length it is chunked."""
    connection = http.client.HTTPConnection(LOCALHOST, port, timeout=timeout)
    try:
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        given: dict[str, Any] = {"Content-Type": CONTENT_TYPE, **headers}
        is_chunked = "Content-Length" not in given
        connection.request("POST", path, pieces, given, encode_chunked=is_chunked)
        response = connection.getresponse()
        content = response.read().decode()
    finally:
        connection.close()
    is_module = response.headers.get("Content-Type") == "application/dicom+json"
    return response.status, Dataset.from_json(content) if is_module else Dataset()


def stored(answer: Dataset) -> set[str]:
    """SOP Instance UIDs that are acknowledged."""
    items = answer.get("ReferencedSOPSequence", ())
    return {str(item.ReferencedSOPInstanceUID) for item in items}


def begin(server: Isocenter, head: bytes, length: int) -> socket.socket:
    """Open a connection, and send the beginning of a request whose body has ``length`` bytes."""
    connection = socket.create_connection((LOCALHOST, server.http_port), 30)
    lines = [
        f"POST {STUDIES} HTTP/1.1",
        f"Host: {LOCALHOST}:{server.http_port}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {length}",
    ]
    connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + head)
    return connection
