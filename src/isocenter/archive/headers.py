"""Data sets in the blob store, read here and there: what describes an image, not its pixels."""

from isocenter.dicom.syntax import TransferSyntax, lookup
from isocenter.dicom.windowed import Inflated, Reader
from isocenter.storage.blobs import Blob
from isocenter.storage.records import InstanceRef


def reader_of(blob: Blob, instance: InstanceRef) -> tuple[Reader, TransferSyntax]:
    """Give the (inflated) data set of an instance. Blocks. Raises: Malformed, Unavailable.

    ``blob``: as `corrected` opens it, or as it is kept.
    """
    syntax = lookup(instance.transfer_syntax)
    kept = _Kept(blob, instance)
    return Inflated(kept) if syntax.is_deflated else kept, syntax


class _Kept:
    """The data set as it is kept."""

    def __init__(self, blob: Blob, instance: InstanceRef) -> None:
        self.size = blob.size - instance.dataset_offset
        self._blob = blob
        self._offset = instance.dataset_offset

    def window(self, start: int, end: int) -> memoryview:
        """Give a part of it."""
        return self._blob.window(self._offset + start, self._offset + end)
