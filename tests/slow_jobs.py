"""Jobs for worker processes, most of which take their time."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from pathlib import Path

import numpy as np

from isocenter.errors import Malformed
from isocenter.imaging import worksite
from isocenter.imaging.workers import alive


def lively(_: memoryview, seconds: float, notes: str) -> bytes:
    """Work on for so long, with signs of life; note how often."""
    end = time.monotonic() + seconds
    with Path(notes).open("a") as out:
        while time.monotonic() < end:
            alive()
            out.write(".")
            out.flush()
            time.sleep(0.02)
        out.write("!")
    return b"done"


def silent(_: memoryview, seconds: float, allowance: float) -> bytes:
    """Work on for so long, having said how long it may take."""
    alive(allowance)
    time.sleep(seconds)
    return b"done"


def echo(given: memoryview) -> bytes:
    """Give back what was given."""
    return bytes(given)


def dying(_: memoryview) -> bytes:
    """End this process, as a codec does that a hostile stream crashes."""
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def process(_: memoryview) -> bytes:
    """Tell the number of this process."""
    return b"%d" % os.getpid()


def film(_: memoryview, seconds: float, log: str, path: str, limit: int) -> bytes:
    """Make a file in so long."""
    lively(_, seconds, log)
    Path(path).write_bytes(b"film of %d" % limit)
    return b""


def refused(_: memoryview, log: str, path: str, limit: int) -> bytes:
    """Refuse, having begun to write."""
    with Path(log).open("a") as out:
        out.write("!")
    Path(path).write_bytes(bytes(limit % 1000))
    raise Malformed("broken")


_HELD = deque[object](maxlen=5)


def failing(_: memoryview, size: int) -> bytes:
    """Fail amid work on an array in the memory that is shared, and keep it for a while."""
    _HELD.append(worksite.array((size,), np.dtype(np.uint8)))
    raise Malformed("broken")
