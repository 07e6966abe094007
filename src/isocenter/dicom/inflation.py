"""Deflated data sets, unfolded in bounded steps (PS3.5 A.5)."""

import zlib
from collections.abc import Iterator
from typing import Final

from isocenter.dicom.layout import Buffer, Limits
from isocenter.errors import Malformed

STEP: Final = 1 << 18
"""Bytes that are inflated at a time."""


class Inflater:
    """Feed it what was received; it yields what that unfolds to, a step at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self.received = 0
        """Bytes fed."""
        self.inflated = 0
        """Bytes given out."""

    def feed(self, piece: Buffer) -> Iterator[bytes]:
        """Raises: Malformed, for a broken stream and for one that unfolds to too much."""
        self.received += len(piece)
        waiting: Buffer = piece
        while not self._stream.eof:  # behind the end there is padding to even length
            try:
                step = self._stream.decompress(waiting, STEP)
            except zlib.error as error:
                raise Malformed("deflated data set is corrupt", offset=self.received) from error
            if step:
                self._count(len(step))
                yield step
            waiting = self._stream.unconsumed_tail
            if not waiting and len(step) < STEP:
                return

    def finish(self) -> None:
        """Raises: Malformed, if the stream does not end."""
        if not self._stream.eof:
            raise Malformed("deflated data set is cut short", offset=self.received)

    def _count(self, size: int) -> None:
        self.inflated += size
        limits = self._limits
        is_bomb = (
            self.inflated > limits.inflated_grace
            and self.inflated > self.received * limits.inflated_ratio
        )
        if is_bomb or self.inflated > limits.inflated_size:
            raise Malformed("deflated data set unfolds to too much", offset=self.received)


def inflate(data: Buffer, limits: Limits) -> memoryview:
    """Unfold a whole deflated data set. Raises: Malformed."""
    inflater = Inflater(limits)
    inflated = bytearray()
    for step in inflater.feed(data):
        inflated += step
    inflater.finish()
    return memoryview(inflated)
