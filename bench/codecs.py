"""Decoding in workers beside the libraries called alone, and transcoding of a whole series.

What is compared is the way that frames go in the server: to a worker process and back. The library
is called with as many threads as make it fastest for one frame; for many, in a process for each
processor, without handing anything over. Both are measured by turns: what else runs hits both.
"""

import asyncio
import multiprocessing
import os
import resource
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import imagecodecs
import numpy as np

from bench.contestants import make_folders
from bench.report import Report, Result
from isocenter.app.node import run
from isocenter.imaging import decoding
from isocenter.imaging.codecs import codec
from isocenter.imaging.pixel_format import PixelFormat
from isocenter.imaging.workers import Workers
from peers import clean_environment, isocenter_command

ASKED = 0.833
"""Of the library's rate: 1.2 times the time."""
CORES = os.cpu_count() or 1
USED = 0.9
"""Of the processors, that transcoding is to keep busy."""
SERIES = 1_000
Decoder = Callable[[bytes], Any]


def _threaded(name: str) -> tuple[Decoder, ...]:
    function = getattr(imagecodecs, name)
    return tuple(partial(function, numthreads=count) for count in sorted({1, CORES}))


FORMATS: dict[str, tuple[str, tuple[Decoder, ...]]] = {
    "JPEG 2000": ("1.2.840.10008.1.2.4.90", _threaded("jpeg2k_decode")),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80", (imagecodecs.jpegls_decode,)),
    "HTJ2K": ("1.2.840.10008.1.2.4.201", (imagecodecs.htj2k_decode,)),
    "JPEG XL": ("1.2.840.10008.1.2.4.110", _threaded("jpegxl_decode")),
}
FRAMES = {"CT of 512 by 512": (512, 12, 40), "MG of 2048 by 2048": (2048, 12, 8)}
"""Size, bits, and how many are decoded in a round."""


def measure(report: Report, folder: Path, rounds: int) -> None:
    run(_decoding(report, rounds))
    _series(report, folder)


async def _decoding(report: Report, rounds: int) -> None:
    workers = Workers()
    try:
        for kind, (size, bits, count) in FRAMES.items():
            form = PixelFormat(rows=size, columns=size, bits_allocated=16, bits_stored=bits)
            for name, (syntax, decoders) in FORMATS.items():
                encode = codec(syntax).encode
                assert encode is not None
                frame = encode(_picture(size, bits), form)
                one = partial(decoding.decode, workers, frame, syntax, form)
                await asyncio.gather(*(one() for _ in range(2 * CORES)))
                await _latency(report, f"{name}, {kind}", one, decoders, frame, rounds * 10)
                await _rate(report, f"{name}, {kind}", one, decoders[0], frame, count, rounds)
    finally:
        workers.close()


def _picture(size: int, bits: int) -> "np.ndarray[Any, np.dtype[np.uint16]]":
    """A body of falling density, with noise: it compresses about as slices do."""
    chance = np.random.default_rng(1)
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x - size / 2, y - size / 2) / size
    body = np.clip(1 - 2 * distance, 0, 1) * (1 << bits) * 0.45
    noisy = body + chance.normal(0, 8, (size, size)) + 40
    return noisy.clip(0, (1 << bits) - 1).astype(np.uint16)


async def _latency(
    report: Report,
    what: str,
    one: Callable[[], Any],
    decoders: tuple[Decoder, ...],
    frame: bytes,
    times: int,
) -> None:
    """Time one frame, while nothing else is decoded."""
    ours: list[float] = []
    theirs: list[list[float]] = [[] for _ in decoders]
    for _ in range(times):
        started = time.perf_counter()
        await one()
        ours.append(time.perf_counter() - started)
        for taken, decoder in zip(theirs, decoders, strict=True):
            started = time.perf_counter()
            decoder(frame)
            taken.append(time.perf_counter() - started)
    fastest = min(theirs, key=median)
    rates = [[1 / each for each in taken] for taken in (ours, fastest)]
    report.compare(f"{what}: one at a time", rates[0], "library", rates[1], ASKED)


async def _rate(
    report: Report,
    what: str,
    one: Callable[[], Any],
    decoder: Decoder,
    frame: bytes,
    count: int,
    rounds: int,
) -> None:
    """Decode many frames on all processors."""
    ours: list[float] = []
    theirs: list[float] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(CORES, _keep, (decoder, frame)) as pool:
        pool.map(_decode, [1] * CORES)
        for _ in range(2 * rounds):
            started = time.perf_counter()
            await _several(one, count * CORES)
            ours.append(count * CORES / (time.perf_counter() - started))
            started = time.perf_counter()
            pool.map(_decode, [count] * CORES, chunksize=1)
            theirs.append(count * CORES / (time.perf_counter() - started))
    report.compare(f"{what}: all processors", ours, "library", theirs, ASKED)


async def _several(one: Callable[[], Any], count: int) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(work() for _ in range(2 * CORES)))


_kept: tuple[Decoder, bytes] | None = None


def _keep(decoder: Decoder, frame: bytes) -> None:
    global _kept
    _kept = decoder, frame


def _decode(count: int) -> None:
    assert _kept is not None
    decoder, frame = _kept
    for _ in range(count):
        decoder(frame)


def _series(report: Report, folder: Path) -> None:
    """Convert a series with one worker, and with all."""
    (source,) = make_folders(folder / "from", SERIES)
    lone, _ = _convert(source, folder / "lone", 1)
    seconds, used = _convert(source, folder / "all", 0)
    what = f"{SERIES} CT slices to JPEG 2000"
    asked = USED * CORES
    is_met = used >= asked
    report.add(Result(f"{what}: processors used", used, "", asked=f">= {asked:g}", is_met=is_met))
    report.compare(f"{what}, all processors", [SERIES / seconds], "one", [SERIES / lone], None)


def _convert(source: Path, target: Path, jobs: int) -> tuple[float, float]:
    """Give the seconds that it takes, and how many processors it keeps busy."""
    command = [*isocenter_command(), "convert", str(source), str(target)]
    command += ["--to", "jpeg-2000", "--jobs", str(jobs), "--quiet"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(command, check=True, env=clean_environment())
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used / seconds
