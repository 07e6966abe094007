"""What a peer has acknowledged, noted in a file: a line for each, so that a run can be resumed."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from isocenter.archive.media import Found
from isocenter.errors import Unavailable

DIGEST_SIZE: Final = 16


class Receipts:
    """The acknowledgements of one peer. Lines of other peers are left alone.

    A line that a crash cut short counts as not there.
    """

    def __init__(self, path: Path, peer: str) -> None:
        """Read what is noted; the file is made if it is not there. Raises: Unavailable."""
        self._peer = peer
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            with open(path, "rb") as noted:
                self._known = set(_digests(noted, peer))
            size = os.fstat(self._file).st_size
            if size and _last_byte(path) != b"\n":
                os.write(self._file, b"\n")
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from error

    def has(self, found: Found) -> bool:
        """Whether this file, as it is now, was acknowledged."""
        return _digest(self._peer, found.name, found.size, found.modified) in self._known

    def note(self, found: Found, sop_instance: str) -> None:
        """Write down an acknowledgement. Raises: Unavailable."""
        line = {
            "peer": self._peer,
            "sop": sop_instance,
            "path": found.name,
            "size": found.size,
            "mtime_ns": found.modified,
        }
        try:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"cannot note what was sent: {error.strerror}") from error

    def close(self) -> None:
        """Make the notes durable."""
        os.fsync(self._file)
        os.close(self._file)


def _last_byte(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def _digests(lines: Iterator[bytes], peer: str) -> Iterator[bytes]:
    for line in lines:
        try:
            noted = json.loads(line)
            if noted["peer"] == peer:
                yield _digest(peer, noted["path"], noted["size"], noted["mtime_ns"])
        except (ValueError, KeyError, TypeError):
            continue


def _digest(peer: str, path: str, size: int, modified: int) -> bytes:
    """What is remembered of a line: small, for there may be millions."""
    together = json.dumps([peer, path, size, modified]).encode()
    return hashlib.blake2b(together, digest_size=DIGEST_SIZE).digest()
