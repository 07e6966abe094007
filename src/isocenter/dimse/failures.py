"""How an association can end without being asked to."""

from isocenter.dimse.pdu import Abort, AssociateReject
from isocenter.errors import Unavailable


class NoConnection(Unavailable):
    """The peer could not be reached: refused, unknown, or no route."""


class Rejected(Unavailable):
    """The peer answered the association request with a rejection."""

    def __init__(self, rejection: AssociateReject) -> None:
        super().__init__(f"association {rejection}")
        self.rejection = rejection

    @property
    def is_permanent(self) -> bool:
        return self.rejection.result == 1


class Aborted(Unavailable):
    """The association is over: aborted by either side, or cut."""

    def __init__(self, message: str, abort: Abort | None = None) -> None:
        super().__init__(message)
        self.abort = abort


class TimedOut(Aborted):
    """The peer fell silent, or took nothing, for longer than it may."""
