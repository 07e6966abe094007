"""A plugin: pynetdicom's associations without a race of its own.

Its thread says that it is paused, looks whether it may go on, and takes back that it is paused.
A ``send_*`` that comes between the last two believes it is paused; the thread then takes the answer
off the queue, finds it is no request, and aborts. It happens when the machine is busy.
"""

import threading
from typing import Any

from pynetdicom.association import Association


class Checkpoint(threading.Event):
    """What an association's thread waits at: whoever is let on is no longer called paused."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self.set()
        self._association = association

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the thread may go on, and nobody has counted on its pause meanwhile."""
        while super().wait(timeout):
            self._association._is_paused = False
            if self.is_set():
                return True
            self._association._is_paused = True
        return False


def pytest_configure() -> None:
    """Have every association of pynetdicom, from now on, wait at such a checkpoint."""
    first = Association.__init__

    def begin(self: Association, *arguments: Any, **options: Any) -> None:
        first(self, *arguments, **options)
        self._reactor_checkpoint = Checkpoint(self)

    Association.__init__ = begin  # type: ignore[method-assign]
