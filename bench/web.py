"""DICOMweb, side by side with Orthanc and its plug-in: store, retrieve, metadata, frames.

Both are asked by the same client in the same way; both have what they read in the page cache.
"""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench.contestants import alternating, fresh_folder, make_folders
from bench.http import Answer, Client, store
from bench.report import Report
from instances import read_instance
from peers import Isocenter, Orthanc, start_orthanc_web

NAMES = ("Isocenter", "Orthanc")
ROOT = "/dicom-web"
COUNT = 1000
OF_STUDY = 500
AT_ONCE = (1000, 10)
"""Instances in each request to store."""
CLIENTS = 4
FRAMES = 1000
ASKED = {"store": 5.0, "retrieve": 1.0, "cold": 3.0, "again": 20.0, "frames": 2.0}

IN_PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"'
JSON = "application/dicom+json"

Rates = dict[str, list[float]]


class Served:
    """One of the two, and where its instances are."""

    def __init__(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.running: Isocenter | Orthanc = (
            Isocenter(folder).start() if name == "Isocenter" else start_orthanc_web(folder)
        )

    @property
    def port(self) -> int:
        return self.running.http_port

    def store(self, files: list[Path], at_once: int) -> None:
        with Client(self.port) as client:
            for start in range(0, len(files), at_once):
                store(client, f"{ROOT}/studies", files[start : start + at_once])

    def forget(self) -> None:
        """Let go of what is kept ready-made."""
        if isinstance(self.running, Isocenter):
            shutil.rmtree(self.running.data / "copies", ignore_errors=True)

    def stop(self) -> None:
        self.running.stop()


def measure(report: Report, folder: Path, rounds: int) -> None:
    (source,) = make_folders(folder / "from", COUNT)
    files = sorted(source.iterdir())
    (smaller,) = make_folders(folder / "smaller", OF_STUDY)
    for at_once in AT_ONCE:
        rates: Rates = {name: [] for name in NAMES}
        for name in alternating(NAMES, rounds):
            with served(name, folder / "to") as one:
                rates[name].append(rate(COUNT, partial(one.store, files, at_once)))
            print(f"    {name}: {rates[name][-1]:.0f}/s", flush=True)
        what = f"store {COUNT:,} CT of 512 KB by STOW-RS, {at_once:,} a request"
        compare(report, what, rates, "store" if at_once == COUNT else None)
    both = [Served(name, folder / name) for name in NAMES]
    try:
        for one in both:
            one.store(files, COUNT)
            one.store(sorted(smaller.iterdir()), COUNT)
        _retrieve(report, both, smaller, rounds)
        _metadata(report, both, source, rounds)
        _frames(report, both, source, rounds)
    finally:
        for one in both:
            one.stop()


def _retrieve(report: Report, both: list[Served], source: Path, rounds: int) -> None:
    study = read_instance(next(source.iterdir()).read_bytes()).study
    rates: Rates = {name: [] for name in NAMES}
    least = sum(file.stat().st_size for file in source.iterdir()) * 0.99
    for one in turns(both, rounds):
        with Client(one.port) as client:
            work = partial(asked, client, f"/studies/{study}", least, accept=IN_PARTS)
            rates[one.name].append(rate(OF_STUDY, work))
    compare(report, f"retrieve a study of {OF_STUDY} CT by WADO-RS", rates, "retrieve")


def _metadata(report: Report, both: list[Served], source: Path, rounds: int) -> None:
    one_of_them = read_instance(next(source.iterdir()).read_bytes())
    path = f"/studies/{one_of_them.study}/series/{one_of_them.series}/metadata"
    for coding in ("gzip", "identity"):
        cold: Rates = {name: [] for name in NAMES}
        again: Rates = {name: [] for name in NAMES}
        for one in turns(both, rounds):
            one.forget()
            with Client(one.port) as client:
                ask = partial(asked, client, path, 100_000, accept=JSON, accept_encoding=coding)
                cold[one.name].append(rate(COUNT, ask))
                again[one.name].append(rate(COUNT, ask))
        what = f"metadata of a series of {COUNT:,} CT, {coding}"
        compare(report, f"{what}, first time", cold, "cold")
        compare(report, f"{what}, again", again, "again")


def _frames(report: Report, both: list[Served], source: Path, rounds: int) -> None:
    instances = [read_instance(file.read_bytes()) for file in sorted(source.iterdir())]
    paths = [
        f"/studies/{each.study}/series/{each.series}/instances/{each.sop_instance}/frames/1"
        for each in instances[:FRAMES]
    ]
    for clients in (1, CLIENTS):
        rates: Rates = {name: [] for name in NAMES}
        for one in turns(both, rounds):
            work = partial(by_several, one.port, paths, clients, _ask_for_frames)
            rates[one.name].append(rate(len(paths), work))
        what = f"frames of 512 KB, {clients} client{'s' * (clients > 1)}"
        compare(report, what, rates, "frames" if clients == CLIENTS else None)


def by_several(
    port: int, paths: list[str], clients: int, ask: Callable[[int, list[str]], None]
) -> None:
    """Ask by ``clients`` processes at once: one alone would hold up all of them."""
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=ask, args=(port, paths[number::clients]))
        for number in range(clients)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a client failed")


def _ask_for_frames(port: int, paths: list[str]) -> None:
    with Client(port) as client:
        for path in paths:
            asked(client, path, 524_288, accept=OCTETS)


def asked(client: Client, path: str, least: float, **headers: str) -> Answer:
    """GET what should be there, and be of at least so many bytes. Raises: RuntimeError."""
    answer = client.get(f"{ROOT}{path}", **headers)
    if answer.status != 200 or answer.size < least:
        raise RuntimeError(f"{answer.status}, {answer.size} bytes: {answer.beginning[:300]!r}")
    return answer


def turns(both: list[Served], rounds: int) -> Iterator[Served]:
    """Each once a round."""
    by_name = {one.name: one for one in both}
    for name in alternating(NAMES, rounds):
        yield by_name[name]


def rate(count: int, work: Callable[[], object]) -> float:
    """How many a second."""
    started = time.perf_counter()
    work()
    return count / (time.perf_counter() - started)


def compare(report: Report, what: str, rates: Rates, asked: str | None) -> None:
    at_least = None if asked is None else ASKED[asked]
    report.compare(what, rates["Isocenter"], "Orthanc", rates["Orthanc"], at_least)


@contextmanager
def served(name: str, folder: Path) -> Iterator[Served]:
    """One of the two, in a fresh folder below ``folder``."""
    one = Served(name, fresh_folder(folder))
    try:
        yield one
    finally:
        one.stop()
