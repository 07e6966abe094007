"""Taking a multipart apart, as RFC 2046 5.1.1 has it; not by the product's parser."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx


@dataclass
class Part:
    headers: dict[str, str]
    content: bytes


def parts(answer: httpx.Response) -> list[Part]:
    found = re.search(r'boundary="?([^";]+)"?', answer.headers["content-type"])
    assert found, answer.headers["content-type"]
    return apart(answer.content, found[1])


def apart(body: bytes, boundary: str) -> list[Part]:
    mark = b"--" + boundary.encode()
    assert body.startswith(mark + b"\r\n")
    assert body.endswith(b"\r\n" + mark + b"--\r\n")
    inner = body[len(mark) : -len(mark) - 6]
    found = []
    for piece in inner.split(b"\r\n" + mark):
        assert piece.startswith(b"\r\n")
        head, _, content = piece[2:].partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        found.append(Part({name.lower(): value for name, value in lines}, content))
    return found
