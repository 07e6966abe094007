"""How much room the archive takes, and how much is left."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isocenter.errors import Unavailable
from isocenter.storage.copies import CopyStore
from isocenter.storage.made_files import MadeFiles
from isocenter.storage.tallies import Tally

INDEX_SUFFIXES: Final = ("", "-wal", "-shm")
LOOKED_BACK: Final = 30
"""Days whose growth tells how it goes on."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bytes."""

    index: int
    copies: int
    """Ready-made answers; they can be made again."""
    videos: int
    """Made for players; they can be made again."""
    free: int
    disk: int
    """Of the volume as a whole."""

    @property
    def used(self) -> float:
        """The part of the volume that is taken, by whomever; 0 to 1."""
        return 1 - self.free / self.disk if self.disk else 0.0


def measure(index: Path, copies: CopyStore, videos: MadeFiles) -> Capacity:
    """Look. Blocks. Raises: Unavailable."""
    size = 0
    for suffix in INDEX_SUFFIXES:
        with suppress(OSError):
            size += Path(f"{index}{suffix}").stat().st_size
    try:
        volume = shutil.disk_usage(index.parent)
    except OSError as error:
        raise Unavailable(f"the volume cannot be looked at: {error.strerror}") from error
    return Capacity(size, copies.size, videos.size, volume.free, volume.total)


def days_left(free: int, tallies: Sequence[Tally], today: int) -> float | None:
    """Days until the volume is full, if it goes on as in the last; None, where it does not grow.

    ``tallies``: of days, at least the last ``LOOKED_BACK``; younger archives are judged by the
    days they have.
    """
    recent = [each for each in tallies if each.number > today - LOOKED_BACK]
    if not recent:
        return None
    days = today - min(each.number for each in recent) + 1
    growth = sum(each.kept_bytes for each in recent) / days
    return free / growth if growth > 0 else None
