"""One instance of 4 GB in by C-STORE and out by C-GET: how much the server's memory grows."""

import hashlib
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import wire
from bench.contestants import isocenter_send, run_together
from bench.report import Report, Result
from instances import as_file, ct_template, data_set_start, new_uid
from peers import Isocenter

MULTI_FRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
ROWS = 4096
FRAMES = 255
PIXEL_BYTES = ROWS * ROWS * FRAMES
"""4,278,190,080: the most whole frames that a length of 32 bits allows (PS3.5 7.1.1)."""
ASKED_MB = 100.0
INTERVAL = 0.05


def measure(report: Report, folder: Path, rounds: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file, sop_instance, study = _make(folder / "big.dcm")
    server = Isocenter(folder / "server").start()
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


def _make(path: Path) -> tuple[Path, str, str]:
    """A sparse file; its SOP Instance UID and Study Instance UID."""
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
    return path, image.SOPInstanceUID, image.StudyInstanceUID


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
