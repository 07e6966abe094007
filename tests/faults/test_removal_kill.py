"""kill -9 amid removing, putting back and letting go: nothing is half gone, nothing is mixed up."""

import os
import random
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from instances import Instance, make_study
from peers import Isocenter, clean_environment, isocenter_command
from programs import Command, ServerFactory
from questions import fetch, store_all

ROUNDS = int(os.environ.get("ISOCENTER_KILL_ROUNDS", "3"))
STUDIES = 12
SLICES = 5

Studies = dict[str, list[Instance]]


class Remover(threading.Thread):
    """Has studies removed until the connection breaks; remembers what was acknowledged."""

    def __init__(self, server: Isocenter, studies: list[str]) -> None:
        super().__init__(daemon=True)
        self.asked: set[str] = set()
        self.acknowledged: set[str] = set()
        self.failure: BaseException | None = None
        self._root = f"{server.url}/dicom-web/studies"
        self._studies = studies

    def run(self) -> None:
        try:
            with httpx.Client() as http:
                for study in self._studies:
                    self.asked.add(study)
                    assert http.delete(f"{self._root}/{study}").status_code == 204
                    self.acknowledged.add(study)
        except httpx.TransportError:
            pass  # this is the moment
        except BaseException as error:  # seen by the test
            self.failure = error


def stored(server: Isocenter) -> Studies:
    studies = [make_study(SLICES, series=2, pixels=64, PatientID=f"K{n}") for n in range(STUDIES)]
    for study in studies:
        store_all(server, study)
    return {study[0].study: study for study in studies}


def check(server: Isocenter, studies: Studies, there: set[str], perhaps: set[str]) -> set[str]:
    """Whole studies are there, or nothing of them; return which are."""
    found = set()
    for uid, study in studies.items():
        data_sets = {one.sop_instance: one.data_set for one in study}
        got = {each: data for each, (_, data) in fetch(server, uid).items()}
        assert got in (data_sets, {})
        if got:
            found.add(uid)
    assert there <= found <= there | perhaps
    return found


def killed(server: Isocenter, after: float, *arguments: str) -> bool:
    """Run a command and kill it; whether it had come to its end before."""
    command = [*isocenter_command(), *arguments, "--data", str(server.data)]
    process = subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return process.wait(after) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def removals(isocenter: Command, data: Path) -> list[str]:
    listed = isocenter("removed", "--data", data).stdout.splitlines()
    return [line.split("\t")[0] for line in listed]


@pytest.mark.timeout(120 + 40 * ROUNDS)
def test_a_kill_amid_removing_and_putting_back_loses_nothing(
    start_server: ServerFactory, isocenter: Command
) -> None:
    chance = random.Random(20250117)
    server = start_server()
    studies = stored(server)
    there = set(studies)

    for _ in range(ROUNDS):
        remover = Remover(server, sorted(there)[: len(there) // 2])
        remover.start()
        time.sleep(chance.uniform(0.005, 0.06))
        server.kill()
        remover.join(30)
        assert remover.failure is None, repr(remover.failure)
        server.restart()
        there = check(server, studies, there - remover.asked, remover.asked - remover.acknowledged)
    gone = set(studies) - there
    server.stop()

    numbers = removals(isocenter, server.data)
    assert len(numbers) == len(gone)
    for number in numbers:
        killed(server, chance.uniform(0.3, 1.3), "restore", number)
        isocenter("restore", number, "--data", server.data)  # it goes on, or has nothing to do
    isocenter("verify", "--data", server.data)
    server.restart()
    check(server, studies, set(studies), set())


@pytest.mark.timeout(180)
def test_what_was_due_goes_after_a_kill_and_nothing_else(
    start_server: ServerFactory, isocenter: Command
) -> None:
    server = start_server(config="[archive]\nremoval_retention = 1\n")
    studies = stored(server)
    gone = set(sorted(studies)[: STUDIES // 2])
    remover = Remover(server, sorted(gone))

    remover.start()
    remover.join(30)
    assert remover.acknowledged == gone
    time.sleep(0.9)  # about when the first are due
    server.kill()
    server.restart()

    until = time.monotonic() + 30
    while blobs(server.data) > (STUDIES - len(gone)) * SLICES and time.monotonic() < until:
        time.sleep(0.1)
    assert blobs(server.data) == (STUDIES - len(gone)) * SLICES
    check(server, studies, set(studies) - gone, set())
    server.stop()
    isocenter("verify", "--data", server.data)
    numbers = removals(isocenter, server.data)
    assert len(numbers) == len(gone)
    refused = isocenter("restore", numbers[0], "--data", server.data, expect=1)
    assert "deleted" in refused.stderr


def blobs(data: Path) -> int:
    """How many files hold a data set: ours have the preamble of PS3.10 7.1."""
    return sum(_is_part10(path) for path in data.rglob("*") if path.is_file())


def _is_part10(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except FileNotFoundError:  # it went meanwhile
        return False
