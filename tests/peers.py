"""Programs the tests and the benchmark run: Isocenter itself, and those we did not write.

Everything started here is ended here, by its process id. Output goes to a file, never to a pipe
that nobody reads. ``Missing`` says that a program is not on this machine.
"""

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

LOCALHOST = "127.0.0.1"
START_TIMEOUT = 30.0
READY = re.compile(r"\bready\b.*?\bdicom=(\S+):(\d+).*?\bhttp=(\S+):(\d+)")


class Missing(Exception):
    """A program is not on this machine."""


def find_program(name: str) -> str:
    """Return the path of a program of DCMTK, Orthanc or dicom3tools. Raises: Missing."""
    # Not PATH: pynetdicom installs programs of the same names.
    folders = os.environ.get("DCMTK_BIN", os.pathsep.join(("/usr/bin", "/usr/sbin")))
    if not (path := shutil.which(name, path=folders)):
        raise Missing(f"{name} is not installed")
    return path


def isocenter_command() -> list[str]:
    """How to start Isocenter: installed beside this interpreter, or as the environment says."""
    if chosen := os.environ.get("ISOCENTER_COMMAND"):
        return chosen.split()
    return [str(Path(sys.executable).with_name("isocenter"))]


def clean_environment() -> dict[str, str]:
    """This process's environment without Isocenter's settings, and with quick DCMTK sockets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ISOCENTER_")}
    return kept | {"TCP_NODELAY": "1"}


# Below those that the system gives to whoever names none: a port once chosen is not taken away
# between two starts. Each process of a parallel run (pytest-xdist) has its own share.
_SHARES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = itertools.cycle(
    random.SystemRandom().sample(range(16_000 + _SHARE, 32_000, _SHARES), 15_000 // _SHARES)
)


def free_port() -> int:
    """A port nobody listens on now, for programs that cannot be told to choose one."""
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind((LOCALHOST, port))
            return port
    raise AssertionError("unreachable")


def eventually(is_so: Callable[[], object], seconds: float = 20) -> bool:
    """Whether it comes to be so, within the ``seconds``: what others do takes them a moment."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Process:
    """A program that runs until it is stopped; its output goes to ``log``."""

    def __init__(
        self, command: Sequence[str], log: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.command = list(command)
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=clean_environment() if environment is None else environment,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Return the exit code. Raises: TimeoutError, after ``timeout`` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            message = f"{self.command[0]} did not end in {timeout} s:\n{self.output()[-4000:]}"
            raise TimeoutError(message) from error

    def stop(self, timeout: float = 10.0) -> int:
        """Ask it to end; return its exit code. Killed if it does not end in time."""
        if self.exit_code is None:
            self._process.terminate()
        try:
            return self.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it at once, with whatever it forked."""
        if self.exit_code is None:
            children = psutil.Process(self.pid).children(recursive=True)
            self._process.kill()
            self._process.wait(10)
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()

    def await_port(self, port: int, timeout: float = START_TIMEOUT) -> None:
        """Return when something accepts connections on ``port``."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.exit_code is None:
            with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, port), 1):
                return
            time.sleep(0.02)
        self.kill()
        raise TimeoutError(f"{self.command} accepts nothing on {port}:\n{self.output()[-4000:]}")

    def resident_bytes(self) -> int:
        """Memory in use by this program and what it forked."""
        me = psutil.Process(self.pid)
        total = 0
        for process in [me, *me.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(TimeoutError):
            self.stop()


@dataclass
class Peer:
    """A DICOM application that runs, reachable as ``AET@HOST:PORT``."""

    process: Process
    aet: str
    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"{self.aet}@{LOCALHOST}:{self.port}"

    def files(self) -> list[Path]:
        """What it has received and written as files, oldest name first."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def stop(self) -> None:
        with contextlib.suppress(TimeoutError):
            self.process.stop()


def start_storescp(
    folder: Path,
    *options: str,
    aet: str = "STORESCP",
    environment: dict[str, str] | None = None,
) -> Peer:
    """DCMTK's storescp, writing what it receives to ``folder``/received as it came."""
    received = folder / "received"
    received.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [find_program("storescp"), "-aet", aet, "-od", str(received), *options, str(port)]
    process = Process(command, folder / "storescp.log", environment)
    process.await_port(port)
    return Peer(process, aet, port, received)


def start_dcmqrscp(folder: Path, peers: Iterable[Peer] = (), aet: str = "DCMQRSCP") -> Peer:
    """DCMTK's dcmqrscp, an archive that may send to ``peers``."""
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    port = free_port()
    hosts = [f"peer{n} = ({peer.aet}, {LOCALHOST}, {peer.port})" for n, peer in enumerate(peers)]
    lines = [
        f"NetworkTCPPort = {port}",
        "MaxPDUSize = 131072",
        "MaxAssociations = 64",
        "HostTable BEGIN",
        *hosts,
        "HostTable END",
        "VendorTable BEGIN",
        "VendorTable END",
        "AETable BEGIN",
        f"{aet} {storage} RW (9999, 4096mb) ANY",
        "AETable END",
    ]
    config = folder / "dcmqrscp.cfg"
    config.write_text("\n".join(lines) + "\n")
    process = Process([find_program("dcmqrscp"), "-c", str(config)], folder / "dcmqrscp.log")
    process.await_port(port)
    return Peer(process, aet, port, storage)


@dataclass
class Orthanc(Peer):
    """An Orthanc of our own, driven by its REST API."""

    http_port: int
    rest: httpx.Client

    def introduce(self, name: str, aet: str, port: int) -> None:
        """Make ``aet`` known to it under ``name``."""
        modality = {"AET": aet, "Host": LOCALHOST, "Port": port, "Timeout": 30}
        self.rest.put(f"/modalities/{name}", json=modality).raise_for_status()

    def upload(self, file: bytes) -> str:
        """Give it one instance; return its own identifier for it."""
        answer = self.rest.post("/instances", content=file).raise_for_status()
        return str(answer.json()["ID"])

    def find(self, level: str, **query: str) -> list[str]:
        """Its own identifiers of what matches."""
        body = {"Level": level, "Query": query}
        answer = self.rest.post("/tools/find", json=body).raise_for_status()
        return [str(found) for found in answer.json()]

    def instance_uids(self, study: str) -> set[str]:
        """SOP Instance UIDs it holds of a study."""
        found = self.find("Instance", StudyInstanceUID=study)
        tags = [self.rest.get(f"/instances/{one}/simplified-tags").json() for one in found]
        return {str(one["SOPInstanceUID"]) for one in tags}

    def call(self, path: str, body: Any, timeout: float = 60.0) -> Any:
        """POST ``body`` as JSON; return the JSON answer."""
        answer = self.rest.post(path, json=body, timeout=timeout)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def stop(self) -> None:
        self.rest.close()
        super().stop()


def start_orthanc(folder: Path, aet: str = "ORTHANC", **settings: Any) -> Orthanc:
    """Orthanc with its default index (SQLite), a fresh folder and ports of its own."""
    storage = folder / "storage"
    storage.mkdir(parents=True, exist_ok=True)
    dicom_port, http_port = free_port(), free_port()
    config = {
        "Name": aet,
        "DicomAet": aet,
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [],
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "SynchronousCMove": True,
        **settings,
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(config))
    process = Process([find_program("Orthanc"), str(file)], folder / "orthanc.log")
    process.await_port(http_port)
    process.await_port(dicom_port)
    rest = httpx.Client(base_url=f"http://{LOCALHOST}:{http_port}", timeout=30, trust_env=False)
    return Orthanc(process, aet, dicom_port, storage, http_port, rest)


def start_orthanc_web(folder: Path) -> Orthanc:
    """Orthanc with its DICOMweb plug-in, below ``/dicom-web``. Raises: Missing."""
    plug_in = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if not plug_in.exists():
        raise Missing("orthanc-dicomweb is not installed")
    web = {"Enable": True, "Root": "/dicom-web/"}
    return start_orthanc(folder, Plugins=[str(plug_in)], DicomWeb=web)


@dataclass
class Isocenter:
    """`isocenter serve`, from the outside."""

    folder: Path
    peers: Sequence[str] = ()
    config: str = ""
    options: Sequence[str] = ()
    aet: str = "ISOCENTER"
    data_folder: Path | None = None
    dicom_port: int = 0
    http_port: int = 0
    process: Process = field(init=False)

    @property
    def data(self) -> Path:
        return self.data_folder or self.folder / "data"

    @property
    def address(self) -> str:
        return f"{self.aet}@{LOCALHOST}:{self.dicom_port}"

    @property
    def at(self) -> tuple[str, str, str, str]:
        """What tells a tool of DCMTK where we are."""
        return "-aec", self.aet, LOCALHOST, str(self.dicom_port)

    @property
    def url(self) -> str:
        return f"http://{LOCALHOST}:{self.http_port}"

    @property
    def log(self) -> Path:
        return self.folder / "isocenter.log"

    def command(self) -> list[str]:
        command = [*isocenter_command(), "serve", "--data", str(self.data), "--aet", self.aet]
        command += ["--host", LOCALHOST, "--dicom-port", str(self.dicom_port)]
        command += ["--http-port", str(self.http_port)]
        for peer in self.peers:
            command += ["--peer", peer]
        if self.config:
            file = self.folder / "isocenter.toml"
            file.write_text(self.config)
            command += ["--config", str(file)]
        return [*command, *self.options]

    def start(self, timeout: float = START_TIMEOUT) -> Self:
        """Return when it says that every listener accepts. Raises: TimeoutError, with its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dicom_port = self.dicom_port or free_port()
        self.http_port = self.http_port or free_port()
        before = self.log.stat().st_size if self.log.exists() else 0
        self.process = Process(self.command(), self.log)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            ended = self.process.exit_code is not None
            with self.log.open("rb") as log:
                log.seek(before)
                written = log.read().decode(errors="replace")
            if match := READY.search(written):
                self.dicom_port, self.http_port = int(match[2]), int(match[4])
                return self
            if ended:
                break
            time.sleep(0.02)
        self.process.kill()
        raise TimeoutError(f"{self.process.command} is not ready:\n{written[-4000:]}")

    def stop(self, timeout: float = 40.0) -> None:
        """Ask it to end, and demand that it ends well."""
        if self.process.exit_code is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        finally:
            self.process.kill()
        assert code == 0, f"exit code {code}:\n{self.process.output()[-8000:]}"

    def kill(self) -> None:
        """Pull the plug: kill -9."""
        self.process.kill()

    def restart(self) -> Self:
        """Start again on the same data folder and the same ports."""
        if self.process.exit_code is None:
            self.stop()
        return self.start()

    def health(self, name: str = "ready") -> int:
        """The status code of ``/health/{name}``."""
        return httpx.get(f"{self.url}/health/{name}", timeout=5, trust_env=False).status_code


def run_isocenter(
    *arguments: str | Path, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run one of Isocenter's commands to its end, with a default configuration."""
    return subprocess.run(
        [*isocenter_command(), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=clean_environment(),
        check=False,
    )


def run_tool(
    name: str,
    *arguments: str | Path,
    timeout: float = 60.0,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program we did not write to its end; its two outputs come as one."""
    return subprocess.run(
        [find_program(name), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        env=clean_environment() | (environment or {}),
        check=False,
    )
