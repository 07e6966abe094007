"""What is measured: Isocenter and the others, each fresh for each round, and the senders.

DCMTK's tools print a lot: nothing of it is kept.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from instances import stream_study, write_files
from peers import (
    Isocenter,
    Orthanc,
    Peer,
    clean_environment,
    find_program,
    isocenter_command,
    start_orthanc,
    start_storescp,
)

TIMEOUT = 600.0
PIXELS = 512
"""Rows and columns of a slice of 512 KB."""


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for this run, removed afterwards.

    Nothing is removed in between: some file systems look long at the places of files that were just
    removed before they use them again (ext4 without a journal, for five minutes), and what makes
    files would be measured by that.
    """
    folder = Path(tempfile.mkdtemp(prefix="isocenter-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_folders(folder: Path, count: int, parts: int = 1) -> list[Path]:
    """``count`` slices of 512 KB in ``parts`` folders, each a study."""
    folders = [folder / f"part{number}" for number in range(parts)]
    for number, one in enumerate(folders):
        study = stream_study(count // parts, pixels=PIXELS, PatientID=f"BENCH{number}")
        write_files(study, one)
    return folders


def run_together(commands: Sequence[Sequence[str]], *, is_default: bool = False) -> float:
    """Run all at once; return the seconds until the last has ended. Each must succeed.

    ``is_default``: without TCP_NODELAY, as DCMTK is unless told.
    """
    environment = default_environment() if is_default else clean_environment()
    os.sync()
    started = time.perf_counter()
    running: list[subprocess.Popen[bytes]] = []
    try:
        running += [
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            for command in commands
        ]
        codes = [process.wait(TIMEOUT) for process in running]
        elapsed = time.perf_counter() - started
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    if any(codes):
        raise RuntimeError(f"exit codes {codes} of {commands[0]}")
    return elapsed


def storescu(port: int, folder: Path, *options: str) -> list[str]:
    called = ["-aec", "ISOCENTER"]
    where = ["+sd", "127.0.0.1", str(port), str(folder)]
    return [find_program("storescu"), "-R", *called, *options, *where]


def isocenter_send(address: str, folder: Path) -> list[str]:
    return [*isocenter_command(), "send", address, str(folder)]


def fresh_isocenter(folder: Path, peers: Sequence[str] = ()) -> Isocenter:
    return Isocenter(folder, peers=peers).start()


def fresh_orthanc(folder: Path) -> Orthanc:
    return start_orthanc(folder)


def fresh_storescp(folder: Path) -> Peer:
    return start_storescp(folder, "+B", "--fork")


def default_storescp(folder: Path) -> Peer:
    """As DCMTK is unless told: without TCP_NODELAY."""
    return start_storescp(folder, "+B", "--fork", environment=default_environment())


def default_environment() -> dict[str, str]:
    """The environment without TCP_NODELAY."""
    return {key: value for key, value in clean_environment().items() if key != "TCP_NODELAY"}


Start = Callable[[Path], Isocenter | Peer]

CONTESTANTS: dict[str, Start] = {
    "Isocenter": fresh_isocenter,
    "Orthanc": fresh_orthanc,
    "storescp": fresh_storescp,
    "default storescp": default_storescp,
}


@contextmanager
def contestant(name: str, folder: Path) -> Iterator[tuple[Isocenter | Peer, int]]:
    """Start one in a fresh folder below ``folder``; yield it with its DICOM port; stop it."""
    running = CONTESTANTS[name](fresh_folder(folder))
    try:
        yield running, running.dicom_port if isinstance(running, Isocenter) else running.port
    finally:
        running.stop()


def fresh_folder(folder: Path) -> Path:
    """A new folder below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=folder))


def alternating(names: Sequence[str], rounds: int) -> Iterator[str]:
    """Each name once a round, the order reversed every other round."""
    for number in range(rounds):
        yield from names if number % 2 == 0 else reversed(names)
