"""Bytes within a file, told to a worker process that reads them itself: videos are too large to be
handed over.
"""

import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, Final

from isocenter.errors import Unavailable

READ_SIZE: Final = 1 << 18
"""Bytes that a stream's reader fetches at a time."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Parts of a file, one after another."""

    path: str
    bounds: "array[int]"
    """Start and end of each in turn, in bytes from the start of the file."""

    @classmethod
    def of(cls, path: str, spans: Sequence[int], offset: int) -> "Spans":
        """Parts that are told from ``offset`` on."""
        return cls(path, array("Q", (offset + each for each in spans)))

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.bounds[1::2]) - sum(self.bounds[::2])


class SpanFile:
    """Spans as one file, to be read and sought in."""

    def __init__(self, spans: Spans) -> None:
        """Raises: Unavailable."""
        try:
            self._file: BinaryIO = Path(spans.path).open("rb", buffering=0)  # noqa: SIM115 - `close`
        except OSError as error:
            raise Unavailable(f"storage: {error.strerror or error}") from error
        self._starts = spans.bounds[::2]
        lengths = (end - start for start, end in zip(self._starts, spans.bounds[1::2], strict=True))
        self._before = array("Q", accumulate(lengths, initial=0))
        self.size = self._before[-1]
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Give up to ``size`` bytes; none at the end."""
        end = self.size if size < 0 else min(self._at + size, self.size)
        found = []
        while self._at < end:
            number = bisect_right(self._before, self._at) - 1
            count = min(self._before[number + 1], end) - self._at
            self._file.seek(self._starts[number] + self._at - self._before[number])
            piece = self._file.read(count)
            if not piece:
                break  # cut short: the stream ends here
            found.append(piece)
            self._at += len(piece)
        return b"".join(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to ``offset``."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = min(max(base + offset, 0), self.size)
        return self._at

    def tell(self) -> int:
        """Say where the next byte is read."""
        return self._at

    def seekable(self) -> bool:
        """Say that it can be sought in."""
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> "SpanFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
