"""``isocenter viewer``: the package comes from a registry, or as a file, and is checked."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from isocenter.errors import Malformed, NotFound, Unavailable
from isocenter.ohif import fetching, installation
from isocenter.ohif.package import PATH, Pinned
from peers import LOCALHOST, free_port
from programs import Command
from viewers import package


class Registry(ThreadingHTTPServer):
    """Has one package, whatever it is."""

    content = b""
    knows_ranges = True
    breaks_off_at: int | None = None
    asked: list[str | None]

    def __init__(self) -> None:
        super().__init__((LOCALHOST, 0), _Handler)
        self.asked = []

    @property
    def url(self) -> str:
        return f"http://{LOCALHOST}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        wanted = self.headers.get("range")
        self.server.asked.append(wanted)
        if self.path != PATH:
            self.send_error(404)
            return
        start = 0
        if wanted and self.server.knows_ranges and len(self.server.content) <= 100:
            self.send_error(416)
            return
        if self.server.knows_ranges and (found := re.fullmatch(r"bytes=(\d+)-", wanted or "")):
            start = int(found[1])
        self.send_response(206 if start else 200)
        body = self.server.content[start:]
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who has enough may go
            self.wfile.write(body[: self.server.breaks_off_at])

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet."""


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        running = threading.Thread(target=server.serve_forever)
        running.start()
        yield server
        server.shutdown()
        running.join()


def test_the_package_comes_from_the_registry_that_is_named(
    registry: Registry, tmp_path: Path
) -> None:
    file, pinned = package(tmp_path)
    registry.content = file.read_bytes()
    steps: list[int] = []

    installed = installation.install(
        tmp_path / "viewers", registry=registry.url + "/", step=steps.append, pinned=pinned
    )

    assert installation.find(tmp_path / "viewers") == installed
    assert sum(steps) == pinned.size
    assert registry.asked == [None]


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_broke_off_is_taken_up_where_it_stopped(
    registry: Registry, tmp_path: Path, knows_ranges: bool
) -> None:
    file, pinned = package(tmp_path)
    registry.content = file.read_bytes()
    registry.knows_ranges = knows_ranges
    registry.breaks_off_at = 100
    with pytest.raises(Unavailable, match="try again"):
        installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)
    registry.breaks_off_at = None

    installed = installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)

    assert installed.files
    assert registry.asked == [None, "bytes=100-"]


def test_another_package_under_its_name_is_refused_and_not_kept(
    registry: Registry, tmp_path: Path
) -> None:
    file, pinned = package(tmp_path)
    registry.content = bytes(pinned.size)

    with pytest.raises(Malformed, match="SHA-512"):
        installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)

    registry.content = file.read_bytes()
    assert installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)


def test_a_registry_that_gives_without_end_is_not_listened_to(
    registry: Registry, tmp_path: Path
) -> None:
    pinned = Pinned(hashlib.sha512(b"").hexdigest(), 1000)
    registry.content = bytes(10_000_000)

    with pytest.raises(Malformed):
        installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)

    assert list((tmp_path / "viewers").glob("*.part")) == []


def test_a_shorter_package_is_given_up_when_there_is_no_more_of_it(
    registry: Registry, tmp_path: Path
) -> None:
    file, pinned = package(tmp_path)
    registry.content = bytes(100)
    for _ in range(2):
        with pytest.raises(Unavailable):
            installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)

    registry.content = file.read_bytes()
    assert installation.install(tmp_path / "viewers", registry=registry.url, pinned=pinned)
    assert registry.asked == [None, "bytes=100-", None]


@pytest.mark.parametrize("url", ["", "file:///etc", "ftp://a", "http://", "http://[", "a"])
def test_what_is_no_registry_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Malformed, match="registry"):
        fetching.fetch(Pinned("", 1), url, tmp_path / "a", lambda _: None)


def test_a_registry_without_the_package_or_without_an_answer_is_told(
    registry: Registry, tmp_path: Path
) -> None:
    into = tmp_path / "a"
    with pytest.raises(Unavailable, match="404"):
        fetching.fetch(Pinned("", 1), f"{registry.url}/elsewhere", into, lambda _: None)
    with pytest.raises(Unavailable, match="try again"):
        fetching.fetch(Pinned("", 1), f"http://{LOCALHOST}:{free_port()}", into, lambda _: None)


def test_without_npm_one_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotFound, match=r"--registry URL.*--from FILE"):
        fetching.registry_of_npm()


def test_the_command_says_what_there_is_and_refuses_what_is_not_the_package(
    isocenter: Command, tmp_path: Path
) -> None:
    config = tmp_path / "isocenter.toml"
    config.write_text(f'[viewer]\nfolder = "{tmp_path / "viewers"}"\n')
    file, _ = package(tmp_path)

    missing = isocenter("viewer", "status", "--config", config, expect=1)
    refused = isocenter("viewer", "install", "--from", file, "--config", config, expect=1)
    absent = isocenter("viewer", "install", "--from", tmp_path / "no", "--config", config, expect=1)
    removed = isocenter("viewer", "remove", "--config", config)

    assert "is not installed" in missing.stdout
    assert "npm pack" in refused.stderr
    assert "npm pack" in absent.stderr
    assert removed.stdout == "nothing is installed\n"
