"""Instances as they are given out: what is kept, with the corrections laid over it.

Here it is decided for every way out. Who wants what came opens the blob itself: digests, proofs and
what makes the index anew do.
"""

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol, TypeVar, cast

from isocenter.dicom.amending import Splice, amended
from isocenter.dicom.syntax import EXPLICIT_LE, TransferSyntax, lookup
from isocenter.dicom.windowed import Inflated, Reader
from isocenter.errors import Malformed, Unavailable, Unsupported
from isocenter.storage.blobs import Blob, Buffer, Scratch, StoredBlob
from isocenter.storage.records import InstanceRef

STEP: Final = 1 << 20
"""Bytes that are deflated at a time."""


B_co = TypeVar("B_co", bound=Blob, covariant=True)


class Source(Protocol[B_co]):
    """Where blobs are, and room for what is made of them."""

    def open(self, key: str) -> B_co:
        """Open ``key`` for reading. Raises: NotFound, Unavailable."""

    def scratch(self) -> Scratch:
        """Give room for bytes that are needed for a while. Raises: StorageFull."""


def opened(source: Source[B_co], instance: InstanceRef) -> "B_co | CorrectedBlob":
    """Open the file of ``instance`` as it is to be given out. Blocks.

    Raises: NotFound; Unavailable, also where it cannot be corrected: rather nothing than the wrong
    patient's name.
    """
    blob = source.open(instance.blob_key)
    try:
        if blob.size != instance.size:
            raise Unavailable(f"{blob.size} bytes are there where {instance.size} should be")
        if instance.overlay is None:
            return blob
        # What is corrected is in a store.
        return _corrected(source, instance, cast(StoredBlob, blob)) or blob
    except (Malformed, Unsupported) as error:
        blob.close()
        raise Unavailable(f"what was corrected cannot be laid over it: {error}") from error
    except BaseException:
        blob.close()
        raise


def _corrected(
    source: Source[Blob], instance: InstanceRef, blob: StoredBlob
) -> "CorrectedBlob | None":
    """None, where the instance says already what it is corrected to."""
    assert instance.overlay is not None
    syntax = lookup(instance.transfer_syntax)
    kept = _DataSet(blob, instance.dataset_offset)
    reader, native = _read(kept, syntax)
    splices = amended(reader, native, instance.overlay)
    if not splices:
        return None
    if syntax.is_deflated:
        return _deflated(source, blob, instance.dataset_offset, reader, splices)
    return CorrectedBlob(blob, _parts(splices, instance.dataset_offset, blob.size))


def _read(kept: "_DataSet", syntax: TransferSyntax) -> tuple[Reader, TransferSyntax]:
    return (Inflated(kept), EXPLICIT_LE) if syntax.is_deflated else (kept, syntax)


class _DataSet:
    """The data set as it is kept."""

    def __init__(self, blob: StoredBlob, offset: int) -> None:
        self.size = blob.size - offset
        self._blob = blob
        self._offset = offset

    def window(self, start: int, end: int) -> memoryview:
        end = min(end, self.size)
        if start >= end:
            return memoryview(b"")
        return self._blob.window(self._offset + start, self._offset + end)


@dataclass(frozen=True, slots=True)
class _Part:
    """Bytes of the blob from ``start`` on, or ``made`` ones."""

    start: int
    size: int
    made: "bytes | Scratch | None" = None


def _parts(splices: Sequence[Splice], offset: int, size: int) -> list[_Part]:
    """Divide a file of ``size`` bytes; splices count from ``offset``, where its data set is."""
    parts = []
    at = 0
    for splice in splices:
        start = offset + splice.start
        parts += [
            _Part(at, start - at),
            _Part(0, len(splice.content), splice.content),
        ]
        at = offset + splice.end
    parts.append(_Part(at, size - at))
    return [part for part in parts if part.size]


def _deflated(
    source: Source[Blob], blob: StoredBlob, offset: int, reader: Reader, splices: Sequence[Splice]
) -> "CorrectedBlob":
    """Write a deflated data set anew (PS3.5 A.5)."""
    scratch = source.scratch()
    try:
        stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        for part in _parts(splices, 0, reader.size):
            if isinstance(part.made, bytes):
                scratch.write([stream.compress(part.made)])
                continue
            for at in range(part.start, part.start + part.size, STEP):
                end = min(at + STEP, part.start + part.size)
                scratch.write([stream.compress(reader.window(at, end))])
        scratch.write([stream.flush()])
        scratch.write([bytes(scratch.size % 2)])
        return CorrectedBlob(blob, [_Part(0, offset), _Part(0, scratch.size, scratch)])
    except BaseException:
        scratch.close()
        raise


class CorrectedBlob:
    """A blob with other bytes in the place of some of its own."""

    def __init__(self, blob: StoredBlob, parts: Sequence[_Part]) -> None:
        self._blob = blob
        self._parts = parts
        self._starts = list(accumulate((part.size for part in parts), initial=0))
        self.size = self._starts[-1]

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive), ready in memory."""
        end = min(end, self.size)
        found = []
        while start < end:
            part, within, stop = self._at(start, end)
            found.append(self._window(part, within, within + stop - start))
            start = stop
        if len(found) == 1:
            return found[0]
        return memoryview(b"".join(found))

    def read_into(self, view: memoryview, start: int) -> None:
        """Fill ``view`` with the bytes from ``start`` on. Raises: Unavailable."""
        end, first = start + len(view), start
        while start < end:
            part, within, stop = self._at(start, end)
            target = view[start - first : stop - first]
            if part.made is None:
                self._blob.read_into(target, part.start + within)
            else:
                target[:] = self._window(part, within, within + stop - start)
            start = stop

    def at_hand(self, start: int, end: int, scratch: memoryview | None = None) -> Buffer | None:
        """Return bytes ``start`` to ``end`` if that takes no waiting, else None. Never raises."""
        if not 0 <= start < end <= self.size:
            return None
        part, within, stop = self._at(start, end)
        if part.made is not None or stop < end:
            return None
        return self._blob.at_hand(part.start + within, part.start + within + end - start, scratch)

    def place(self, start: int) -> int:
        """Say where in the blob byte ``start`` lies, which is to be one of its own."""
        part, within, _ = self._at(start, start + 1)
        return part.start + within

    def close(self) -> None:
        """Let go of it; windows handed out stay valid."""
        for part in self._parts:
            if part.made is not None and not isinstance(part.made, bytes):
                part.made.close()
        self._blob.close()

    def _at(self, start: int, end: int) -> tuple[_Part, int, int]:
        """Give the part that ``start`` is in, where in it, and up to where it goes on."""
        number = min(bisect_right(self._starts, start), len(self._parts)) - 1
        return (
            self._parts[number],
            start - self._starts[number],
            min(end, self._starts[number + 1]),
        )

    def _window(self, part: _Part, start: int, end: int) -> memoryview:
        if part.made is None:
            return self._blob.window(part.start + start, part.start + end)
        if isinstance(part.made, bytes):
            return memoryview(part.made)[start:end]
        return part.made.window(start, end)
