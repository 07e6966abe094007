"""A light HTTP client: it counts what comes and keeps none of it, so as not to be the limit.

For servers on this machine that answer as they should; anything else is an error.
"""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

BUFFER = 1 << 20
SHOWN = 1024
"""Bytes of an answer that are kept, to be shown where it is not what it should be."""
TIMEOUT = 600.0
Part = bytes | Path


@dataclass(frozen=True)
class Answer:
    """What was answered; of a large body, its beginning only."""

    status: int
    headers: dict[str, str]
    size: int
    beginning: bytes


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._view = memoryview(bytearray(BUFFER))
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, path: str, **headers: str) -> Answer:
        """GET ``path``; header fields have underscores for hyphens."""
        self._socket.sendall(_head("GET", path, headers))
        return self._answer()

    def post(self, path: str, parts: Iterable[Part], **headers: str) -> Answer:
        """POST ``parts`` one after the other: bytes, or the contents of files."""
        body = list(parts)
        size = sum(part.stat().st_size if isinstance(part, Path) else len(part) for part in body)
        self._socket.sendall(_head("POST", path, {**headers, "content_length": str(size)}))
        for part in body:
            if isinstance(part, Path):
                with part.open("rb") as file:
                    self._socket.sendfile(file)
            else:
                self._socket.sendall(part)
        return self._answer()

    def _answer(self) -> Answer:
        head = self._head()
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        status = int(first.split(" ", 2)[1])
        if "content-length" in headers:
            size, beginning = self._counted(int(headers["content-length"]))
        elif "chunked" in headers.get("transfer-encoding", ""):
            size, beginning = self._chunked()
        else:
            size, beginning = self._to_the_end()
        if headers.get("connection", "").lower() == "close":
            self._socket.close()
            self._connect()
        return Answer(status, headers, size, beginning)

    def _head(self) -> bytes:
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            self._held += self._more()
        head, self._held = self._held[:end], self._held[end + 4 :]
        return head

    def _counted(self, size: int) -> tuple[int, bytes]:
        came = min(size, len(self._held))
        beginning, self._held = self._held[: min(came, SHOWN)], self._held[came:]
        while came < size:
            count = self._socket.recv_into(self._view[: min(size - came, BUFFER)])
            if not count:
                raise ConnectionError("the answer was broken off")
            beginning = self._shown(beginning, count)
            came += count
        return size, beginning

    def _shown(self, beginning: bytes, count: int) -> bytes:
        missing = SHOWN - len(beginning)
        return beginning + bytes(self._view[: min(count, missing)]) if missing > 0 else beginning

    def _chunked(self) -> tuple[int, bytes]:
        total, beginning = 0, b""
        while True:
            while (end := self._held.find(b"\r\n")) < 0:
                self._held += self._more()
            size = int(self._held[:end].split(b";")[0], 16)
            self._held = self._held[end + 2 :]
            count, start = self._counted(size + 2)  # with the end of its line
            if not size:
                return total, beginning
            total += count - 2
            beginning = (beginning + start[:size])[:SHOWN]

    def _to_the_end(self) -> tuple[int, bytes]:
        beginning, size = self._held[:SHOWN], len(self._held)
        while count := self._socket.recv_into(self._view):
            beginning = self._shown(beginning, count)
            size += count
        return size, beginning

    def _more(self) -> bytes:
        count = self._socket.recv_into(self._view)
        if not count:
            raise ConnectionError("the answer was broken off")
        return bytes(self._view[:count])


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def in_parts(files: Iterable[Path], boundary: str) -> list[Part]:
    """The body of a request to store ``files`` (PS3.18 10.5)."""
    parts: list[Part] = []
    for file in files:
        head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
        parts += [head.encode(), file]
    return [*parts, f"\r\n--{boundary}--\r\n".encode()]


def store(client: Client, path: str, files: Iterable[Path]) -> None:
    """Store ``files`` by one request. Raises: RuntimeError."""
    boundary = os.urandom(12).hex()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    answer = client.post(
        path, in_parts(files, boundary), content_type=kind, accept="application/dicom+json"
    )
    if answer.status != 200:
        raise RuntimeError(f"status {answer.status}: {answer.beginning[:500]!r}")
