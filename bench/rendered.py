"""Pictures of CT slices as JPEG, side by side with Orthanc and its plug-in.

Both render every slice once before, so that what they remember of each is not measured.
"""

from functools import partial
from pathlib import Path

from bench.contestants import make_folders
from bench.http import Client
from bench.report import Report
from bench.web import CLIENTS, NAMES, Rates, Served, asked, by_several, rate, turns
from instances import read_instance

COUNT = 250
TURNS = 3
"""How often each slice is asked for in a round."""
ASKED = 2.0
LEAST = 2_000
"""Bytes of a JPEG of 512 by 512."""


def measure(report: Report, folder: Path, rounds: int) -> None:
    (source,) = make_folders(folder / "from", COUNT)
    files = sorted(source.iterdir())
    instances = [read_instance(file.read_bytes()) for file in files]
    paths = [
        f"/studies/{each.study}/series/{each.series}/instances/{each.sop_instance}/rendered"
        for each in instances
    ]
    both = [Served(name, folder / name) for name in NAMES]
    try:
        for one in both:
            one.store(files, COUNT)
            by_several(one.port, paths, CLIENTS, _ask)
        rates: Rates = {name: [] for name in NAMES}
        for one in turns(both, rounds):
            rates[one.name].append(
                rate(COUNT * TURNS, partial(by_several, one.port, paths * TURNS, CLIENTS, _ask))
            )
            print(f"    {one.name}: {rates[one.name][-1]:.0f}/s", flush=True)
        what = f"CT of 512 by 512 rendered as JPEG, {CLIENTS} clients"
        report.compare(what, rates["Isocenter"], "Orthanc", rates["Orthanc"], ASKED)
    finally:
        for one in both:
            one.stop()


def _ask(port: int, paths: list[str]) -> None:
    with Client(port) as client:
        for path in paths:
            asked(client, path, LEAST, accept="image/jpeg")
