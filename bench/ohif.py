"""OHIF opens a CT of 1,000 slices: its own requests, replayed side by side with Orthanc.

Recorded from OHIF 3.12.10 in Chromium, from a link to the study until its multiplanar views have
every slice: what it asks, in which order, with which header fields, over how many connections.
"""

from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from bench.contestants import make_folders
from bench.http import Client
from bench.report import Report
from bench.web import NAMES, Rates, Served, asked, by_several, rate, turns
from instances import Instance, read_instance

COUNT = 1000
CONNECTIONS = 6
"""What Chromium opens to one server."""
ASKED = 2.0
PIXELS: Final = 512 * 512 * 2

JSON: Final = {"accept": "application/dicom+json"}
FRAMES: Final = {"accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
PICTURE: Final = {"accept": "image/jpeg"}
OF_CHROMIUM: Final = {"accept_language": "en-US,en;q=0.9", "connection": "keep-alive"}
CODINGS: Final = {"": "gzip, deflate, br, zstd", ", without gzip": "identity"}
"""What Chromium says that it reads; and nothing, for Orthanc then compresses every frame."""
LIST: Final = {"limit": "101", "offset": "0", "fuzzymatching": "true",
               "includefield": "00081030,00080060"}  # fmt: skip
OF_SERIES: Final = "00080021,00080031,0008103E,00200011"


def measure(report: Report, folder: Path, rounds: int) -> None:
    (source,) = make_folders(folder / "from", COUNT)
    files = sorted(source.iterdir())
    slices = [read_instance(file.read_bytes()) for file in files]
    both = [Served(name, folder / name) for name in NAMES]
    try:
        for one in both:
            one.store(files, COUNT)
        for told, coding in CODINGS.items():
            rates: Rates = {name: [] for name in NAMES}
            for one in turns(both, rounds):
                one.forget()
                opening = partial(open_study, one.port, slices, coding)
                rates[one.name].append(rate(COUNT, opening))
                print(f"    {one.name}: {COUNT / rates[one.name][-1]:.2f} s", flush=True)
            what = f"slices of a CT of {COUNT:,}, all that OHIF asks for{told}"
            report.compare(what, rates["Isocenter"], "Orthanc", rates["Orthanc"], ASKED)
    finally:
        for one in both:
            one.stop()


def open_study(port: int, slices: list[Instance], coding: str) -> None:
    """Ask for all that OHIF asks for. Raises: RuntimeError."""
    first = slices[0]
    study = f"/studies/{first.study}"
    series = f"{study}/series/{first.series}"
    with Client(port) as client:
        ask = partial(_ask, client, {**JSON, "accept_encoding": coding})
        ask(f"/studies?{urlencode({**LIST, 'StudyInstanceUID': first.study})}", 100)
        ask(f"{study}/series?includefield={quote(OF_SERIES, safe='')}", 100)
        ask(f"/studies?{urlencode({'00100020': first.patient_id, **LIST})}", 100)
        ask(f"{series}/metadata", 10_000)
        middle = slices[len(slices) // 2]
        # Its thumbnail; Orthanc knows no other path for one.
        _ask(client, PICTURE, f"{series}/instances/{middle.sop_instance}/rendered", 500)
    paths = [f"{series}/instances/{each.sop_instance}/frames/1" for each in slices]
    by_several(port, paths, CONNECTIONS, partial(_ask_for_frames, coding))


def _ask_for_frames(coding: str, port: int, paths: list[str]) -> None:
    with Client(port) as client:
        for path in paths:
            # A server may compress what it answers.
            _ask(client, {**FRAMES, "accept_encoding": coding}, path, PIXELS / 4)


def _ask(client: Client, kind: dict[str, str], path: str, least: float) -> None:
    asked(client, path, least, **kind, **OF_CHROMIUM)
