"""One instance of 4 GB, in and out by DIMSE and by DICOMweb: how much the server's memory grows."""

import hashlib
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import wire
from bench.contestants import isocenter_send, run_together
from bench.http import Client, store
from bench.report import Report, Result
from instances import as_file, ct_template, data_set_start, new_uid
from peers import Isocenter

MULTI_FRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
ROWS = 4096
FRAMES = 255
PIXEL_BYTES = ROWS * ROWS * FRAMES
"""4,278,190,080: the most whole frames that a length of 32 bits allows (PS3.5 7.1.1)."""
ASKED_MB = 100.0
RANGE = 64 << 20
"""Bytes that are asked for at a time."""
OCTETS = 'multipart/related; type="application/octet-stream"'
INTERVAL = 0.05


def measure(report: Report, folder: Path, rounds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = _make(folder / "big.dcm")
    _by_dimse(report, folder / "server", made)
    _by_web(report, folder / "web", made)


def _by_dimse(report: Report, folder: Path, made: "Made") -> None:
    file, sop_instance, study = made.file, made.sop_instance, made.study
    server = Isocenter(folder).start()
    try:
        before = _memory(server)
        with peak(server) as during:
            seconds = run_together([isocenter_send(server.address, file)])
        report.limit("4 GB in by C-STORE: memory grows by", _grown(before, during), "MB", ASKED_MB)
        report.add(Result("4 GB in by C-STORE", PIXEL_BYTES / seconds / 1e6, "MB/s"))
        with peak(server) as during:
            started = time.perf_counter()
            digest = _get(server.dicom_port, study)
            seconds = time.perf_counter() - started
        report.limit("4 GB out by C-GET: memory grows by", _grown(before, during), "MB", ASKED_MB)
        report.add(Result("4 GB out by C-GET", PIXEL_BYTES / seconds / 1e6, "MB/s"))
    finally:
        server.stop()
    assert digest == _digest(file), f"{sop_instance} came back changed"


def _by_web(report: Report, folder: Path, made: "Made") -> None:
    server = Isocenter(folder).start()
    instance = f"/dicom-web/studies/{made.study}/series/{made.series}/instances/{made.sop_instance}"
    size = made.file.stat().st_size
    alone = "application/dicom; transfer-syntax=*"
    try:
        with Client(server.http_port) as client:
            asked: list[tuple[str, Callable[[], object], int]] = [
                ("in by STOW-RS", lambda: store(client, "/dicom-web/studies", [made.file]), size),
                ("out by WADO-RS", lambda: given(client, instance, size, accept=alone), size),
                ("out by ranges of 64 MB", lambda: _by_range(client, instance, alone, size), size),
                (
                    f"out by {FRAMES} frames",
                    lambda: [
                        given(client, f"{instance}/frames/{frame}", ROWS * ROWS, accept=OCTETS)
                        for frame in range(1, FRAMES + 1)
                    ],
                    PIXEL_BYTES,
                ),
                ("as metadata", lambda: given(client, f"{instance}/metadata", 1000), 0),
            ]
            for what, work, count in asked:
                before = _memory(server)
                with peak(server) as during:
                    started = time.perf_counter()
                    work()
                    seconds = time.perf_counter() - started
                grown = _grown(before, during)
                report.limit(f"4 GB {what}: memory grows by", grown, "MB", ASKED_MB)
                if count:
                    report.add(Result(f"4 GB {what}", count / seconds / 1e6, "MB/s"))
    finally:
        server.stop()


def _by_range(client: Client, path: str, accept: str, size: int) -> None:
    for start in range(0, size, RANGE):
        end = min(start + RANGE, size)
        answer = client.get(path, accept=accept, range=f"bytes={start}-{end - 1}")
        assert (answer.status, answer.size) == (206, end - start), answer


def given(client: Client, path: str, least: int, **headers: str) -> None:
    """GET what should be there, and be of at least so many bytes."""
    answer = client.get(path, **headers)
    assert (answer.status, answer.size >= least) == (200, True), (answer.status, answer.size)


@dataclass(frozen=True)
class Made:
    """A large file, and what is in it."""

    file: Path
    sop_instance: str
    study: str
    series: str


def _make(path: Path) -> Made:
    """A sparse file."""
    image = ct_template(
        8, SOPClassUID=MULTI_FRAME_BYTE, SOPInstanceUID=new_uid(), SeriesInstanceUID=new_uid()
    )
    image.Rows = image.Columns = ROWS
    image.NumberOfFrames = FRAMES
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    del image.PixelData
    with path.open("wb") as file:
        file.write(as_file(image))
        file.write(struct.pack("<HH2sxxI", 0x7FE0, 0x0010, b"OB", PIXEL_BYTES))
        file.truncate(file.tell() + PIXEL_BYTES)
    uids = (image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID)
    return Made(path, *map(str, uids))


def _get(port: int, study: str) -> str:
    """C-GET the study; return the SHA-256 of the data set, which is not kept."""
    contexts = [(wire.STUDY_ROOT_GET, (wire.IMPLICIT,)), (MULTI_FRAME_BYTE, (wire.EXPLICIT,))]
    roles = wire.role_selection(MULTI_FRAME_BYTE, user=False, provider=True)
    keys = wire.identifier({0x00080052: "STUDY", 0x0020000D: study})
    digest = hashlib.sha256()
    with wire.Association(port, contexts, user_items=roles, timeout=120) as association:
        answers = list(association.get(keys, sink=digest.update))
    assert answers[-1].status == wire.SUCCESS
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(data_set_start(file))
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _memory(server: Isocenter) -> int:
    return server.process.resident_bytes()


def _grown(before: int, during: list[int]) -> float:
    """Megabytes between the state before and the peak."""
    return max(0, max(during) - before) / 1e6


@contextmanager
def peak(server: Isocenter) -> Iterator[list[int]]:
    """Collect the server's resident memory while the block runs."""
    seen = [_memory(server)]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(INTERVAL):
            seen.append(_memory(server))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()
        os.sync()
