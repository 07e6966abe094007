"""Data sets in the blob store, read here and there: what describes an image, not its pixels."""

from collections.abc import Iterator
from typing import Final

from isocenter.dicom.inflation import Inflater
from isocenter.dicom.json_text import Source
from isocenter.dicom.layout import DEFAULT_LIMITS
from isocenter.dicom.syntax import TransferSyntax, lookup
from isocenter.errors import Malformed, Unavailable
from isocenter.storage.blobs import Blob
from isocenter.storage.records import InstanceRef

STEP: Final = 1 << 16
"""Bytes of a deflated data set that are read at a time."""


def source_of(blob: Blob, instance: InstanceRef) -> tuple[Source, TransferSyntax]:
    """Give the (inflated) data set of an instance. Blocks. Raises: Unavailable."""
    if blob.size != instance.size:
        raise Unavailable(f"{blob.size} bytes are there where {instance.size} should be")
    syntax = lookup(instance.transfer_syntax)
    if syntax.is_deflated:
        return _Deflated(blob, instance.dataset_offset), syntax
    return _Plain(blob, instance.dataset_offset), syntax


class _Plain:
    def __init__(self, blob: Blob, offset: int) -> None:
        self._blob = blob
        self._offset = offset

    def read(self, start: int, end: int) -> bytes:
        """Give a part of the data set."""
        return bytes(self._blob.window(self._offset + start, self._offset + end))


class _Deflated:
    """What is skipped has to be inflated all the same, but is not kept."""

    def __init__(self, blob: Blob, offset: int) -> None:
        self._steps = self._inflated(blob, offset)
        self._held = bytearray()
        self._base = 0  # where in the data set that begins

    def read(self, start: int, end: int) -> bytes:
        """Give a part of the data set, never one before the last. Raises: Malformed."""
        self._drop(start)
        while self._base + len(self._held) < end:
            if (step := next(self._steps, None)) is None:
                break
            self._held += step
            self._drop(start)
        return bytes(self._held[: end - start])

    def _drop(self, start: int) -> None:
        count = min(start - self._base, len(self._held))
        if count < 0:
            raise Malformed("a deflated data set cannot be read backwards", offset=start)
        del self._held[:count]
        self._base += count

    @staticmethod
    def _inflated(blob: Blob, offset: int) -> Iterator[bytes]:
        inflater = Inflater(DEFAULT_LIMITS)
        for start in range(offset, blob.size, STEP):
            yield from inflater.feed(blob.window(start, start + STEP))
        inflater.finish()
