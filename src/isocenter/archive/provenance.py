"""What a blob notes of its own past, in the private part of its file meta information.

So that the index can be made anew from blobs alone: when the instance was received, and, where it
is kept in another encoding than it came in, the digest of what came.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from isocenter.dicom.implementation import IMPLEMENTATION_CLASS_UID
from isocenter.dicom.scanner import RawValue

PRIVATE_CREATOR: Final = 0x00020100
PRIVATE: Final = 0x00020102


@dataclass(frozen=True, slots=True)
class Provenance:
    """When an instance was received, and as what."""

    received_at: str = ""
    """ISO 8601; of two versions, the later one counts. Empty, where it is not known."""
    digest: bytes = b""
    """Of the data set as it came, if it is kept in another encoding."""

    @classmethod
    def now(cls) -> "Provenance":
        """Of what arrives now."""
        return cls(datetime.now(UTC).isoformat(timespec="microseconds"))

    @classmethod
    def read(cls, meta: Mapping[int, RawValue]) -> "Provenance":
        """Read what the file meta information notes, nothing where somebody else wrote it."""
        creator, noted = meta.get(PRIVATE_CREATOR), meta.get(PRIVATE)
        if creator is None or noted is None:
            return cls()
        if creator.value.decode("latin-1").strip("\0 ") != IMPLEMENTATION_CLASS_UID:
            return cls()
        received_at, _, digest = noted.value.decode("latin-1").strip("\0 ").partition(" ")
        try:
            return cls(received_at, bytes.fromhex(digest))
        except ValueError:
            return cls(received_at)

    def private(self) -> tuple[str, bytes]:
        """What ``part10.header`` is to write."""
        noted = f"{self.received_at} {self.digest.hex()}".rstrip()
        return IMPLEMENTATION_CLASS_UID, noted.encode("ascii")
