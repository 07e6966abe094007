"""Blobs: immutable byte strings under opaque keys.

A blob is written once and never changed: to replace it, write another and move the index over. So
readers never see half a write, and a cache never goes stale.

Every method blocks; callers on an event loop hand them to a worker. ``Unavailable`` may come out of
any of them.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from isocenter.errors import Unavailable

NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system calls it when there is no room."""


class StorageFull(Unavailable):
    """No room is left; what is there can still be read."""


Buffer = bytes | bytearray | memoryview


def new_key(study: str, series: str, instance: str, digest: bytes) -> str:
    """Return a key for a new blob; the blobs of a study lie together.

    It is a hash, so that no UID, however hostile, becomes a path, and never the same twice, so that
    a second version never touches the first.
    """
    together = hashlib.sha256(study.encode()).hexdigest()
    single = hashlib.sha256(b"\0".join((series.encode(), instance.encode(), digest, os.urandom(8))))
    return f"{together[:2]}/{together[2:30]}/{single.hexdigest()[:40]}"


class Draft(Protocol):
    """A blob being written, visible to nobody yet."""

    def write(self, parts: Sequence[Buffer]) -> None:
        """Append ``parts``, in their order. Raises: StorageFull."""

    def hasten(self) -> None:
        """Say that more is to come: what was written may begin its way to the disk."""

    def publish(self, key: str, name: str) -> None:
        """Make all that was written durable and visible under ``key``.

        That it is visible is itself durable after ``BlobStore.sync``. ``name`` says to whoever asks
        for ``BlobStore.unsettled`` what it is. Raises: Conflict, if ``key`` is taken.
        """

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after ``publish``. Never raises."""


class Blob(Protocol):
    """A blob opened for reading."""

    size: int
    """Bytes in all."""

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive), ready in memory.

        Release it when done: windows are what bounds the memory that a large blob takes.
        """

    def close(self) -> None:
        """Let go of the blob; windows handed out stay valid."""


class Scratch(Protocol):
    """Bytes that are needed for a while; they are gone when it is closed."""

    size: int
    """Bytes so far."""

    def write(self, parts: Sequence[Buffer]) -> int:
        """Append ``parts``; return where they begin. Raises: StorageFull."""

    def window(self, start: int, end: int) -> memoryview:
        """Return bytes ``start`` to ``end`` (exclusive); valid after ``close``."""

    def close(self) -> None:
        """Let go of it. Closing again is no error."""


class StoredBlob(Blob, Protocol):
    """A blob of a store, opened for reading."""

    def read_into(self, view: memoryview, start: int) -> None:
        """Fill ``view`` with the bytes from ``start`` on. Raises: Unavailable."""

    def at_hand(self, start: int, end: int, scratch: memoryview | None = None) -> Buffer | None:
        """Return bytes ``start`` to ``end`` if that takes no waiting, else None. Never raises.

        They may be in ``scratch``, where that is given and large enough.
        """


class BlobStore(Protocol):
    """Where blobs are kept."""

    def begin(self) -> Draft:
        """Start a blob."""

    def scratch(self) -> Scratch:
        """Give room for bytes that are needed for a while. Raises: StorageFull."""

    def sync(self, keys: Iterable[str]) -> None:
        """Make the names of published ``keys`` durable; after this they survive a power cut."""

    def settle(self, keys: Iterable[str]) -> None:
        """Take note that the index knows of ``keys`` (or that they were deleted)."""

    def open(self, key: str) -> StoredBlob:
        """Open ``key`` for reading. Raises: NotFound."""

    def path(self, key: str) -> str:
        """Say where ``key`` lies, for a process that reads it itself. Raises: NotFound."""

    def size(self, key: str) -> int:
        """Say how many bytes ``key`` has, without reading them. Raises: NotFound."""

    def delete(self, key: str) -> None:
        """Remove ``key``. Removing what is not there succeeds."""

    def expunge(self, keys: Iterable[str]) -> None:
        """Remove ``keys`` for good: after this not even a power cut brings them back."""

    def all_keys(self) -> Iterator[str]:
        """Yield every key there is, in no order that means anything."""

    def unsettled(self) -> dict[str, str]:
        """After a crash: keys that were published and perhaps not settled, with their names."""

    def recover(self) -> int:
        """After a crash, and after ``unsettled`` was attended to: remove drafts, forget the rest.

        Returns how many drafts there were.
        """

    def close(self) -> None:
        """Let go of everything."""
