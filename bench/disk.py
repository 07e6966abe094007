"""How many files of 512 KB the disk itself takes a second: the floor under receiving.

Each is written, synced and renamed, and its folder synced, as durability demands; nothing else is
done.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.report import Report, Result

COUNT = 400
SIZE = 530_000


def measure(report: Report, folder: Path, rounds: int) -> None:
    for writers in (1, 4, 16):
        target = folder / f"by{writers}"
        target.mkdir(parents=True)
        started = time.perf_counter()
        with ThreadPoolExecutor(writers) as pool:
            for done in [pool.submit(_write, target, number) for number in range(COUNT)]:
                done.result()
        rate = COUNT / (time.perf_counter() - started)
        what = f"files of 512 KB written and synced by {writers} thread{'s' * (writers > 1)}"
        report.add(Result(what, rate, "/s"))


def _write(folder: Path, number: int) -> None:
    draft = folder / f"{number}.draft"
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.write(descriptor, bytes(SIZE))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.rename(folder / str(number))
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
