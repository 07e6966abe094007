"""One server to a data folder."""

import os
import sys
from pathlib import Path
from typing import Self

from isocenter.errors import Unavailable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class InUse(Unavailable):
    """Another Isocenter holds the data folder."""


class FolderLock:
    """Holds a data folder for one process; the system lets go of it when the process ends."""

    def __init__(self, folder: Path) -> None:
        """Raises: InUse; Unavailable, if the folder cannot be written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"{folder} cannot be written: {error.strerror}") from error
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            if isinstance(error, BlockingIOError | PermissionError):
                raise InUse(f"{folder} is in use by another Isocenter") from error
            raise Unavailable(f"{folder} cannot be locked: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
