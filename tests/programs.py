"""Fixtures that run Isocenter and the programs it must get along with.

A program that is missing skips the test by name; in CI that is a failure.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import pytest

import peers
from peers import Isocenter, Missing, Orthanc, Peer


@contextmanager
def skipping() -> Iterator[None]:
    """Skip what needs a missing program; in CI, fail."""
    try:
        yield
    except Missing as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


class ServerFactory(Protocol):
    """Start Isocenter; keyword arguments are the fields of `Isocenter`."""

    def __call__(self, **options: Any) -> Isocenter: ...


class PeerFactory(Protocol):
    """Start a peer; arguments as its ``start_`` function takes them after the folder."""

    def __call__(self, *arguments: Any, **options: Any) -> Peer: ...


class Tool(Protocol):
    """Run a program; return what it printed. Fails unless it exits with ``expect``."""

    def __call__(self, name: str, *arguments: str | Path, expect: int | None = 0) -> str: ...


class Command(Protocol):
    """Run one of Isocenter's commands. Fails unless it exits with ``expect`` (None: whatever)."""

    def __call__(
        self, *arguments: str | Path, expect: int | None = 0, timeout: float = 60.0
    ) -> CompletedProcess[str]: ...


def _servers(folder: Path) -> Iterator[ServerFactory]:
    with contextlib.ExitStack() as running:
        count = iter(range(1000))

        def start(**options: Any) -> Isocenter:
            server = Isocenter(options.pop("folder", folder / f"server{next(count)}"), **options)
            server.start()
            running.callback(_end, server)
            return server

        yield start


def _end(server: Isocenter) -> None:
    """Stop a server that the test has left running, and demand that it ends well."""
    if server.process.exit_code is None:
        server.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[ServerFactory]:
    """Start a server of this test's own; it is stopped afterwards and must then exit with 0."""
    yield from _servers(tmp_path)


@pytest.fixture
def server(start_server: ServerFactory) -> Isocenter:
    """An empty server of this test's own."""
    return start_server()


@pytest.fixture(scope="module")
def start_module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerFactory]:
    """As `start_server`, for servers that the tests of a module share."""
    yield from _servers(tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="module")
def shared_server(start_module_server: ServerFactory) -> Isocenter:
    """A server that the tests of a module share: each brings studies of its own."""
    return start_module_server()


def _peers(folder: Path, start: Callable[..., Peer]) -> AbstractContextManager[Callable[..., Peer]]:
    @contextmanager
    def manage() -> Iterator[Callable[..., Peer]]:
        with contextlib.ExitStack() as running:
            count = iter(range(1000))

            def launch(*arguments: Any, **options: Any) -> Peer:
                own = folder / f"{start.__name__}{next(count)}"
                own.mkdir(parents=True)
                with skipping():
                    peer = start(own, *arguments, **options)
                running.callback(peer.stop)
                return peer

            yield launch

    return manage()


@pytest.fixture
def start_storescp(tmp_path: Path) -> Iterator[PeerFactory]:
    """Start DCMTK's storescp with options; it keeps what it receives bit for bit with ``+B``."""
    with _peers(tmp_path, peers.start_storescp) as start:
        yield start


@pytest.fixture
def storescp(start_storescp: PeerFactory) -> Peer:
    """A storescp that takes everything and keeps it bit for bit."""
    return start_storescp("+xa", "-pm", "+B")


@pytest.fixture
def start_dcmqrscp(tmp_path: Path) -> Iterator[PeerFactory]:
    with _peers(tmp_path, peers.start_dcmqrscp) as start:
        yield start


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One Orthanc for all tests: each brings studies and modality names of its own."""
    with skipping():
        peer = peers.start_orthanc(tmp_path_factory.mktemp("orthanc"))
    yield peer
    peer.stop()


@pytest.fixture(scope="session")
def dcmtk() -> Tool:
    """Run a tool of DCMTK (or dicom3tools); return what it printed."""

    def run(name: str, *arguments: str | Path, expect: int | None = 0) -> str:
        with skipping():
            done = peers.run_tool(name, *arguments)
        assert expect is None or done.returncode == expect, f"{done.args}\n{done.stdout[-4000:]}"
        return done.stdout

    return run


@pytest.fixture(scope="session")
def isocenter() -> Command:
    """Run one of Isocenter's commands."""

    def run(
        *arguments: str | Path, expect: int | None = 0, timeout: float = 60.0
    ) -> CompletedProcess[str]:
        done = peers.run_isocenter(*arguments, timeout=timeout)
        told = f"{done.args}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        assert expect is None or done.returncode == expect, told
        return done

    return run
