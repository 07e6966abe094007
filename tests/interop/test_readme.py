"""The tour of the README does what it says, and prints it."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import peers
from programs import Tool

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PORTS = ("11112", "8080", "11113")
SERVING = re.compile(r'make run SERVE="(.*)"')
# What differs from one run to the next. Ports are put back before.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "<moment>"),
    (re.compile(r"\d+(\.\d+)? ms"), "<time>"),
    (re.compile(r"in \d+(\.\d+)? s \(\d+/s\)"), "in <time>"),
    (re.compile(r"ISOCENTER_\w+"), "<version>"),
)


@dataclass(frozen=True)
class Step:
    """A command, and the lines the README says it prints; ``...`` stands for any."""

    command: str
    lines: tuple[str, ...]

    @property
    def stays(self) -> bool:
        """Whether it runs until it is stopped."""
        return "make run" in self.command or "storescp" in self.command


def steps(text: str) -> Iterator[Step]:
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield Step(command, tuple(lines))


def masked(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text.rstrip()


def agrees(expected: tuple[str, ...], printed: list[str]) -> bool:
    """Whether ``printed`` is what was expected, line by line."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(masked(line)) + "\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{masked(line)}\n" for line in printed)) is not None


class Terminal:
    """A shell in a folder like a checkout, in which commands of a tour run."""

    def __init__(self, folder: Path, ports: dict[str, str]) -> None:
        self.folder = folder
        self._ports = ports
        self._said: list[str] = []
        self.running: list[peers.Process] = []
        binaries = folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        for name, target in (("python", sys.executable), ("isocenter", _program())):
            (binaries / name).write_text(f'#!/bin/sh\nexec {shlex.quote(target)} "$@"\n')
            (binaries / name).chmod(0o755)

    def run(self, step: Step) -> list[str]:
        """Run a command; return the lines it printed."""
        command = SERVING.sub(r".venv/bin/isocenter serve \1 --http-port 8080", step.command)
        if SERVING.search(step.command):
            command += " --dicom-port 11112"
        for port, actual in self._ports.items():
            command = re.sub(rf"\b{port}\b", actual, command)
        printed = self._start(command, step) if step.stays else self._finish(command)
        for port, actual in self._ports.items():
            printed = re.sub(rf"\b{actual}\b", port, printed)
        return printed.replace("\0", "").splitlines()  # as a terminal shows padding

    def _finish(self, command: str) -> str:
        # What an earlier command set, an alias or a variable, holds for the next ones.
        names = re.compile(r"(alias )?\w+=")
        before = "\n".join(each for each in self._said if names.match(each))
        self._said.append(command)
        done = subprocess.run(
            ["sh", "-c", f"set -e\n{before}\n{command}"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def _start(self, command: str, step: Step) -> str:
        # The shell becomes the program, so that it is the program that is stopped.
        *before, last = command.split(" && ")
        script = "\n".join(["set -e", *before, f"exec {last}"])
        log = self.folder / f"log{len(self.running)}"
        process = peers.Process(
            ["sh", "-c", f"cd {shlex.quote(str(self.folder))}\n{script}"], log, self._environment()
        )
        self.running.append(process)
        if not step.lines:
            process.await_port(int(command.split()[-1]))
        deadline = time.monotonic() + peers.START_TIMEOUT
        while process.output().count("\n") < len(step.lines) and process.exit_code is None:
            assert time.monotonic() < deadline, process.output()
            time.sleep(0.02)
        return process.output()

    def _environment(self) -> dict[str, str]:
        # DCMTK's programs, not those of the same names that come with pynetdicom.
        found = Path(peers.find_program("storescu")).parent
        return peers.clean_environment() | {"PATH": f"{found}:/usr/bin:/bin"}


def _program() -> str:
    (program,) = peers.isocenter_command()
    return program


@pytest.fixture
def terminal(tmp_path: Path, dcmtk: Tool) -> Iterator[Terminal]:
    for name in ("storescu", "findscu", "movescu", "storescp"):
        dcmtk(name, "--version")  # skips, where it is missing
    free = {port: str(peers.free_port()) for port in PORTS}
    terminal = Terminal(tmp_path / "isocenter", free)
    yield terminal
    for process in terminal.running:
        process.stop()


def test_every_command_of_the_tour_prints_what_the_readme_says(terminal: Terminal) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tour = list(steps(readme))
    assert len(tour) > 10

    for step in tour:
        printed = terminal.run(step)

        told = "\n".join(["$ " + step.command, *printed])
        assert agrees(step.lines, printed), told


def test_make_run_serves_with_the_options_that_serve_names() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "run", "SERVE=--data demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert ".venv/bin/isocenter serve --data demo" in done.stdout.splitlines()
